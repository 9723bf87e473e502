"""Vital signs: each against its definition, and none of them may change what is learned."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganforge.core.events import CheckUnavailable, HealthSamples, Stepped
from ganforge.core.records import DiscriminatorOutput, Samples
from ganforge.train.diagnostics import slopes
from ganforge.train.objective import Weighted


def vital(trainer) -> dict[str, float]:
    """The signals of the next iteration."""
    return {name: float(value) for name, value in trainer.step().signals.items()}


@pytest.fixture
def logistic(parts):
    class Logistic(parts.NonSaturating):
        logits_are_log_odds = True

    return [Weighted("logistic", Logistic())]


def test_they_come_every_so_many_iterations_and_the_dear_ones_a_tenth_as_often(make_trainer, logistic):
    steps = [event for event in make_trainer(losses=logistic, signals_every=2).run() if isinstance(event, Stepped)]
    assert [step.iteration for step in steps if step.signals] == list(range(2, 21, 2))
    assert [step.iteration for step in steps if "slopes/real" in step.signals] == [20]
    assert not any(step.signals for step in make_trainer(iterations=5).run() if isinstance(step, Stepped))


def test_norms_are_those_of_all_numbers_together(make_trainer):
    trainer = make_trainer(signals_every=1)
    before = {
        name: nn.utils.parameters_to_vector(network.parameters()).detach().norm() for name, network in trainer.networks.items()
    }
    for _ in range(9):
        trainer.step()
    found = vital(trainer)
    for name, network in trainer.networks.items():
        gradients = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        assert found[f"gradients/{name}"] == pytest.approx(float(gradients.norm()), rel=1e-5)
        now = nn.utils.parameters_to_vector(network.parameters()).detach().norm()
        assert found[f"weights/{name}"] == pytest.approx(float(now / before[name]), rel=1e-5)


def test_log_odds_are_read_as_defined(make_trainer, logistic):
    trainer = make_trainer(losses=logistic, signals_every=1)
    found = vital(trainer)
    said = trainer.turns[0].said
    real, fake = said.real[1].double(), said.fake[1].double()
    cross_entropy = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
    assert max(float(real.abs().max()), float(fake.abs().max())) < 4, "none is near what is clamped"
    assert found["dominance/loss"] == pytest.approx(float(cross_entropy), rel=1e-5)
    assert found["dominance/accuracy"] == pytest.approx(float(((real > 0).sum() + (fake < 0).sum()) / 32))
    assert found["dominance/sign"] == pytest.approx(float(real.sign().mean()), abs=1e-6)
    assert found["dominance/rejected"] == float((torch.sigmoid(fake) < 0.01).double().mean())


def test_logits_that_are_no_log_odds_are_not_read_so(make_trainer):
    assert not any(name.startswith("dominance") for name in vital(make_trainer(signals_every=1)))


def test_the_slope_of_a_plane_is_the_norm_of_its_weights():
    class Plane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, samples: Samples) -> DiscriminatorOutput:
            return DiscriminatorOutput(self.layer(samples.values).squeeze(1))

    plane = Plane()
    plane.layer.weight.data = torch.tensor([[3.0, 4.0]])
    found = slopes(plane, Samples(torch.randn(5, 2)), Samples(torch.randn(7, 2)), seed=0)
    assert {name: float(value) for name, value in found.items()} == pytest.approx({"slopes/real": 5.0, "slopes/fake": 5.0})
    assert plane.layer.weight.grad is None
    assert plane.layer.weight.requires_grad


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_a_watched_run_reaches_the_same_weights_bit_for_bit(make_trainer, logistic, updates):
    plain, watched = (
        make_trainer(losses=logistic, updates=updates),
        make_trainer(losses=logistic, updates=updates, signals_every=1, probe_every=3, probe_samples=40),
    )
    list(plain.run())
    probes = []
    for event in watched.run():
        if isinstance(event, HealthSamples):
            event.evaluation.critic(event.raw)
            probes.append(event.iteration)
    assert probes == [3, 6, 9, 12, 15, 18, 20]
    one, other = plain.state(), watched.state()
    assert [name for name in one.tensors if not torch.equal(one.tensors[name], other.tensors[name])] == []
    assert one.values == other.values


def test_a_probe_shows_both_generators_from_the_same_latents(make_trainer):
    probe = next(
        event for event in make_trainer(probe_every=2, probe_samples=40, average=0.9).run() if isinstance(event, HealthSamples)
    )
    assert probe.evaluation.fake.values.shape == probe.raw.values.shape == probe.evaluation.real.values.shape == (40, 2)
    assert torch.equal(probe.evaluation.fake.latent.noise, probe.raw.latent.noise)
    assert not torch.equal(probe.evaluation.fake.values, probe.raw.values)


def test_going_back_restores_the_weights_and_draws_other_latents(make_trainer, frozen_copy):
    trainer = make_trainer()
    for _ in range(5):
        trainer.step()
    state = frozen_copy(trainer.state())
    ahead = [float(trainer.step().terms["generator/total"]) for _ in range(3)]
    went = []
    for _ in range(2):
        trainer.go_back(frozen_copy(state))
        assert trainer.iteration == 5
        assert all(
            torch.equal(value, state.tensors[f"generator/{key}"])
            for key, value in trainer.networks["generator"].state_dict().items()
        )
        went.append([float(trainer.step().terms["generator/total"]) for _ in range(3)])
    assert len({*map(tuple, went), tuple(ahead)}) == 3
    assert trainer.returns == trainer.state().values["returns"] == 2


def test_a_run_that_is_rescued_goes_on_to_its_end(make_trainer, frozen_copy):
    trainer = make_trainer(save_every=100)
    first = frozen_copy(trainer.state())
    asked = []

    def rescue(reason):
        asked.append(reason)
        return frozen_copy(first) if len(asked) == 6 else None

    events = list(trainer.run(rescue=rescue))
    assert [event.iteration for event in events if isinstance(event, Stepped)] == [*range(1, 7), *range(1, 21)]
    assert events[-1].outcome == "finished"
    assert asked == [None] * 26


def test_a_run_that_diverged_asks_before_it_ends(make_trainer, frozen_copy):
    trainer = make_trainer()
    first = frozen_copy(trainer.state())
    first.tensors["generator/layers.0.weight"].fill_(math.nan)
    trainer.restore(frozen_copy(first))
    reasons = []

    def rescue(reason):
        reasons.append(reason)
        return frozen_copy(first) if reason and trainer.returns < 2 else None

    last = list(trainer.run(rescue=rescue))[-1]
    assert last.outcome == "diverged"
    assert len([reason for reason in reasons if reason]) == 3
    assert all("nan" in reason for reason in reasons if reason)


def test_a_stop_may_say_why(make_trainer):
    last = list(make_trainer().run(lambda: "mode collapse since iteration 3"))[-1]
    assert (last.outcome, last.reason, last.iteration) == ("stopped", "mode collapse since iteration 3", 1)
    assert math.isfinite(last.seconds)


class Blunt(nn.Module):
    """A discriminator that gives no derivative in eval mode, or refuses one, as a recurrent network on cuDNN does."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.raises = raises

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        if self.training:
            return DiscriminatorOutput(self.layer(samples.values).squeeze(1))
        if self.raises and samples.values.requires_grad:
            raise RuntimeError("backward can only be called in training mode")
        return DiscriminatorOutput(self.layer(samples.values).squeeze(1).detach().round())


@pytest.mark.parametrize("raises", [True, False])
def test_a_discriminator_without_slopes_in_eval_mode_is_trained_to_the_end(make_trainer, raises):
    def go(every: int):
        torch.manual_seed(0)
        trainer = make_trainer(critic=Blunt(raises=raises), signals_every=every, probe_every=5 if every else 0)
        return list(trainer.run()), trainer.state()

    (events, state), (_, plain) = go(1), go(0)
    assert events[-1].outcome == "finished"
    (lost,) = (event for event in events if isinstance(event, CheckUnavailable))
    assert (lost.check, lost.iteration) == ("slopes", 10)
    assert [name for name in state.tensors if not torch.equal(state.tensors[name], plain.tensors[name])] == []


def test_a_probe_that_cannot_be_drawn_is_lost_and_told_once(make_trainer, monkeypatch):
    trainer = make_trainer(probe_every=5)

    def no_memory(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("512 samples are too many")

    monkeypatch.setattr(trainer.observer, "probe", no_memory)
    events = list(trainer.run())
    assert [(event.check, event.iteration) for event in events if isinstance(event, CheckUnavailable)] == [("samples", 5)]
    assert events[-1].outcome == "finished"

"""Vital signs: each against its definition, and none of them may change what is learned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganforge.core.events import CheckUnavailable, HealthSamples, Stepped
from ganforge.core.records import DiscriminatorOutput, Samples
from ganforge.games.game import WeightedLoss
from ganforge.train.diagnostics import input_gradient


def vital(trainer) -> dict[str, float]:
    """The signals of the next iteration."""
    return {name: float(value) for name, value in trainer.step().diagnostics.items()}


@pytest.fixture
def logistic(parts):
    class Logistic(parts.NonSaturating):
        logits_are_log_odds = True

    return [WeightedLoss("logistic", Logistic())]


def test_they_come_every_so_many_iterations_and_the_dear_ones_a_tenth_as_often(make_trainer, logistic):
    steps = [event for event in make_trainer(losses=logistic, diagnostics_every=2).run() if isinstance(event, Stepped)]
    assert [step.iteration for step in steps if step.diagnostics] == list(range(2, 21, 2))
    assert [step.iteration for step in steps if "input_gradient/real" in step.diagnostics] == [20]
    assert not any(step.diagnostics for step in make_trainer(iterations=5).run() if isinstance(step, Stepped))


def test_norms_are_those_of_all_numbers_together(make_trainer):
    trainer = make_trainer(diagnostics_every=1)
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
    trainer = make_trainer(losses=logistic, diagnostics_every=1)
    found = vital(trainer)
    last = trainer.game.critic_outputs
    real, fake = last.real_logits.double(), last.fake_logits.double()
    cross_entropy = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
    assert max(float(real.abs().max()), float(fake.abs().max())) < 4, "none is near what is clamped"
    assert found["dominance/loss"] == pytest.approx(float(cross_entropy), rel=1e-5)
    assert found["dominance/accuracy"] == pytest.approx(float(((real > 0).sum() + (fake < 0).sum()) / 32))
    assert found["dominance/sign"] == pytest.approx(float(real.sign().mean()), abs=1e-6)
    assert found["dominance/rejected"] == float((torch.sigmoid(fake) < 0.01).double().mean())


def test_logits_that_are_no_log_odds_are_not_read_so(make_trainer):
    assert not any(name.startswith("dominance") for name in vital(make_trainer(diagnostics_every=1)))


def test_the_slope_of_a_plane_is_the_norm_of_its_weights():
    class Plane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, samples: Samples) -> DiscriminatorOutput:
            return DiscriminatorOutput(self.layer(samples.values).squeeze(1))

    plane = Plane()
    plane.layer.weight.data = torch.tensor([[3.0, 4.0]])
    found = input_gradient(plane, Samples(torch.randn(5, 2)), Samples(torch.randn(7, 2)), seed=0)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"input_gradient/real": 5.0, "input_gradient/fake": 5.0}
    )
    assert plane.layer.weight.grad is None
    assert plane.layer.weight.requires_grad


@pytest.mark.parametrize("updates", ["alternating", "simultaneous"])
def test_a_watched_run_reaches_the_same_weights_bit_for_bit(make_trainer, logistic, updates):
    plain, watched = (
        make_trainer(losses=logistic, updates=updates),
        make_trainer(losses=logistic, updates=updates, diagnostics_every=1, health_samples_every=3, health_samples=40),
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
        event
        for event in make_trainer(health_samples_every=2, health_samples=40, ema_decay=0.9).run()
        if isinstance(event, HealthSamples)
    )
    assert probe.evaluation.fake.values.shape == probe.raw.values.shape == probe.evaluation.real.values.shape == (40, 2)
    assert torch.equal(probe.evaluation.fake.latent.noise, probe.raw.latent.noise)
    assert not torch.equal(probe.evaluation.fake.values, probe.raw.values)


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
def test_a_discriminator_without_input_gradients_in_eval_mode_is_trained_to_the_end(make_trainer, raises):
    def go(every: int):
        torch.manual_seed(0)
        trainer = make_trainer(critic=Blunt(raises=raises), diagnostics_every=every, health_samples_every=5 if every else 0)
        return list(trainer.run()), trainer.state()

    (events, state), (_, plain) = go(1), go(0)
    assert events[-1].outcome == "finished"
    (lost,) = (event for event in events if isinstance(event, CheckUnavailable))
    assert (lost.check, lost.iteration) == ("input_gradient", 10)
    assert [name for name in state.tensors if not torch.equal(state.tensors[name], plain.tensors[name])] == []


def test_a_probe_that_cannot_be_drawn_is_lost_and_reported_once(make_trainer, monkeypatch):
    trainer = make_trainer(health_samples_every=5)

    def no_memory(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("512 samples are too many")

    monkeypatch.setattr(trainer.evaluator, "draw_health_samples", no_memory)
    events = list(trainer.run())
    assert [(event.check, event.iteration) for event in events if isinstance(event, CheckUnavailable)] == [("samples", 5)]
    assert events[-1].outcome == "finished"

"""The two-player game: shared forward passes, logits of the last turn, optimizers that do not import torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from ganforge.builtin.losses import build_r1, build_r2
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import NoParams, Schedule
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples
from ganforge.games.two_player import (
    Batch,
    Objective,
    ScheduledOptimizer,
    TwoPlayerGame,
    WeightedLoss,
    cached,
    eager,
    with_input_grad,
)

KINDS = [
    (torch.optim.Adam, {"lr": 1e-2, "betas": (0.5, 0.9), "fused": True}),
    (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1, "fused": True}),
    (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.5, "fused": True}),
    (torch.optim.RMSprop, {"lr": 1e-3, "alpha": 0.9}),
]


def trained(kind, options, steps=5):
    network = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 10)
    optimizer = kind(network.parameters(), **options)
    for step in range(steps):
        optimizer.zero_grad()
        network(torch.full((4, 3), float(step))).pow(2).sum().backward()
        optimizer.step()
    return network, optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
class TestEager:
    def test_steps_as_torch_does(self, kind, options):
        theirs, torchs = trained(kind, options)
        ours, eagers = trained(eager(kind), options)
        assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
        assert torchs.state_dict()["param_groups"] == eagers.state_dict()["param_groups"]

    def test_state_goes_from_one_to_the_other(self, kind, options):
        network, before = trained(kind, options)
        after = eager(kind)(network.parameters(), **options)
        after.load_state_dict(before.state_dict())
        assert after.state_dict()["state"].keys() == before.state_dict()["state"].keys()

    def test_is_one_class_and_a_child(self, kind, options):
        assert eager(kind) is eager(kind)
        assert issubclass(eager(kind), kind)
        assert type(trained(eager(kind), options)[1]).__name__ == kind.__name__

    def test_leaves_no_gradient_tape(self, kind, options):
        network, optimizer = trained(eager(kind), options)
        assert not any(
            value.requires_grad for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)
        )
        assert all(parameter.is_leaf for parameter in network.parameters())

    def test_step_hooks_are_called(self, kind, options):
        network, optimizer = trained(eager(kind), options)
        called = []
        optimizer.register_step_post_hook(lambda *arguments: called.append(arguments[0]))
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        assert called == [optimizer]


def test_compiler_is_not_imported():
    code = """
import sys, torch
from ganforge.games.two_player import eager
for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
    network = torch.nn.Linear(3, 2)
    optimizer = eager(kind)(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.split() == ["False"]


def test_the_critic_answers_twice_about_the_same_samples_from_memory(parts):
    discriminator = parts.Discriminator()
    critic = cached(discriminator)
    one, other = Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2))
    assert critic(one) is critic(one)
    assert critic(other) is not critic(one)
    assert discriminator.calls == 2


def test_a_loss_that_looks_without_gradients_takes_none_from_the_others(parts):
    critic, samples = cached(parts.Discriminator()), Samples(torch.randn(4, 2))
    with torch.no_grad():
        assert not critic(samples).logits.requires_grad
    assert critic(samples).logits.requires_grad


def test_losses_add_up_weighted(parts):
    objective = Objective([WeightedLoss("ns", parts.NonSaturating()), WeightedLoss("size", parts.Penalty(), 0.25)])
    critic, real, fake = cached(parts.Discriminator()), Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2))
    terms = objective.terms("discriminator", critic, real, fake, objective.weights(0, 1))
    values = terms.values
    torch.testing.assert_close(terms.total, values["real"] + values["fake"] + 0.25 * values["size"])
    assert list(objective.terms("generator", critic, real, fake, [1.0, 0.25])) == ["adversarial"]


def test_two_losses_with_one_term_are_refused_before_training(parts):
    with pytest.raises(IncompatiblePartsError, match="two losses give the discriminator a term named 'real'"):
        Objective([WeightedLoss("a", parts.NonSaturating()), WeightedLoss("b", parts.NonSaturating())])
    with pytest.raises(IncompatiblePartsError, match="two losses have a term named 'real'"):
        LossTerms({"real": torch.zeros(())}) + LossTerms({"real": torch.zeros(())})


def test_a_network_that_no_loss_teaches_is_refused(parts):
    with pytest.raises(IncompatiblePartsError, match="no loss trains the generator"):
        Objective([WeightedLoss("size", parts.Penalty())])


def test_the_totals_equilibrium_needs_every_terms(parts):
    assert Objective([WeightedLoss("ns", parts.NonSaturating(), 2.0)]).term_info["generator/total"].equilibrium == pytest.approx(
        2 * 0.693147, rel=1e-5
    )
    with_penalty = Objective([WeightedLoss("ns", parts.NonSaturating()), WeightedLoss("size", parts.Penalty())])
    assert with_penalty.term_info["discriminator/total"].equilibrium is None
    moving = Schedule(schedule="linear", start=1, end=2)
    assert Objective([WeightedLoss("ns", parts.NonSaturating(), moving)]).term_info["generator/total"].equilibrium is None


def test_penalties_cost_no_forward_pass_of_their_own(make_trainer, parts):
    losses = [
        WeightedLoss("ns", parts.NonSaturating()),
        WeightedLoss("r1", build_r1(NoParams(), None), 0.1),
        WeightedLoss("r2", build_r2(NoParams(), None), 0.1),
    ]
    trainer = make_trainer(losses=losses)
    discriminator = trainer.networks["discriminator"]
    trainer.game.turns[0].update(trainer._next_batch(), trainer.objective.weights(0, 20))
    assert discriminator.calls == 2


def test_a_shared_pass_gives_the_gradients_of_separate_ones(parts):
    torch.manual_seed(0)
    discriminator = parts.Discriminator().eval()  # without dropout, whose mask a shared pass shares
    real, fake = (parts.Points().held_out(16, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    objective = Objective(
        [
            WeightedLoss("ns", parts.NonSaturating()),
            WeightedLoss("r1", build_r1(NoParams(), None), 0.3),
            WeightedLoss("r2", build_r2(NoParams(), None), 0.2),
        ]
    )

    def gradients(real, fake):
        terms = objective.terms("discriminator", cached(discriminator), real, fake, [1.0, 0.3, 0.2])
        return torch.autograd.grad(terms.total, list(discriminator.parameters()), allow_unused=True)

    for shared, apart in zip(gradients(with_input_grad(real), with_input_grad(fake)), gradients(real, fake), strict=True):
        if apart is not None:
            torch.testing.assert_close(shared, apart)


def test_r1_is_half_the_squared_slope_by_finite_differences(parts):
    torch.manual_seed(0)
    discriminator = parts.Discriminator().eval().double()
    values = torch.randn(8, 2, dtype=torch.float64)
    samples = with_input_grad(Samples(values))
    found = build_r1(NoParams(), None).discriminator(cached(discriminator), samples, samples).values["r1"]

    def logits(points):
        return discriminator(Samples(points)).logits

    step = 1e-6
    slopes = torch.stack(
        [(logits(values + step * axis) - logits(values - step * axis)) / (2 * step) for axis in torch.eye(2, dtype=torch.float64)]
    )
    torch.testing.assert_close(found, slopes.square().sum(0).mean() / 2, rtol=1e-6, atol=1e-9)


class Generator(nn.Linear):
    def forward(self, latent: Latent) -> torch.Tensor:
        return super().forward(latent.noise)


class Discriminator(nn.Linear):
    def forward(self, samples: Samples) -> DiscriminatorOutput:
        return DiscriminatorOutput(super().forward(samples.values).squeeze(1))


class Wasserstein:
    second_order = False
    term_info = {"discriminator/gap": None, "generator/fake": None}

    def __init__(self, *, sees_real: bool) -> None:
        self.sees_real = sees_real

    def discriminator(self, critic, real: Samples, fake: Samples) -> LossTerms:
        gap = critic(fake).logits.mean()
        return LossTerms({"gap": gap - critic(real).logits.mean() if self.sees_real else gap})

    def generator(self, critic, real: Samples, fake: Samples) -> LossTerms:
        return LossTerms({"fake": -critic(fake).logits.mean()})


@pytest.fixture
def play(monkeypatch):
    """A game and a batch; ``sees_real`` says whether its loss runs the discriminator on real samples."""
    monkeypatch.setattr("ganforge.games.two_player._term_info", lambda losses: {})

    def make(*, sees_real: bool) -> tuple[TwoPlayerGame, Batch]:
        torch.manual_seed(0)
        generator, discriminator = Generator(3, 2), Discriminator(2, 1)
        generator_optimizer, discriminator_optimizer = (
            ScheduledOptimizer(torch.optim.SGD(network.parameters(), 0.1)) for network in (generator, discriminator)
        )
        objective = Objective([WeightedLoss("wasserstein", Wasserstein(sees_real=sees_real))])
        game = TwoPlayerGame(
            generator,
            discriminator,
            objective,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            steps=2,
        )
        return game, Batch(Samples(torch.randn(5, 2)), Latent(torch.randn(5, 3)))

    return make


def test_last_outputs_are_those_of_the_discriminators_last_turn(play):
    game, batch = play(sees_real=True)
    discriminator, generator = game.turns
    assert (discriminator.repeats, generator.repeats) == (2, 1)
    assert game.last_outputs is None
    terms = discriminator.update(batch, [1.0])
    last = game.last_outputs
    assert last.real is batch.real
    assert not last.real_logits.requires_grad
    torch.testing.assert_close(last.fake_logits.mean() - last.real_logits.mean(), terms["discriminator/gap"])
    generator.update(batch, [1.0])
    assert game.last_outputs is last


def test_losses_that_never_see_real_samples_leave_no_last_outputs(play):
    game, batch = play(sees_real=False)
    game.turns[0].update(batch, [1.0])
    assert game.last_outputs is None


def test_samples_with_input_grad_are_leaves():
    samples = with_input_grad(Samples(torch.ones(2, 2, requires_grad=True) * 2))
    assert samples.values.is_leaf
    assert samples.values.requires_grad

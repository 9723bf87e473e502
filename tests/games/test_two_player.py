"""The two-player game: shared forward passes, logits of the last turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from ganforge.builtin.losses import build_r1, build_r2
from ganforge.core.contracts import TermInfo
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import NoParams, Schedule
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples, Step, Turn
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.games.game import Batch, GameContext, Objective, WeightedLoss, cached
from ganforge.games.two_player import TwoPlayerGame, with_input_grad


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
    terms = objective.terms("discriminator", Turn(critic, real, fake))
    values = terms.values
    torch.testing.assert_close(terms.total, values["real"] + values["fake"] + 0.25 * values["size"])
    assert list(objective.terms("generator", Turn(critic, real, fake))) == ["adversarial"]


def test_a_loss_every_few_iterations_has_as_many_times_its_weight(parts):
    objective = Objective([WeightedLoss("ns", parts.NonSaturating()), WeightedLoss("size", parts.Penalty(), 0.25, every=4)])
    turn = Turn(cached(parts.Discriminator()), Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2)), step=Step(7, 20))
    assert list(objective.terms("discriminator", turn)) == ["real", "fake"]
    terms = objective.terms("discriminator", replace(turn, step=Step(8, 20)))
    torch.testing.assert_close(terms.total, terms.values["real"] + terms.values["fake"] + terms.values["size"])


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
    trainer.updates[0].backward(trainer.next_batch(), Step(0, 20))
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
        terms = objective.terms("discriminator", Turn(cached(discriminator), real, fake))
        return torch.autograd.grad(terms.total, list(discriminator.parameters()), allow_unused=True)

    for shared, apart in zip(gradients(with_input_grad(real), with_input_grad(fake)), gradients(real, fake), strict=True):
        if apart is not None:
            torch.testing.assert_close(shared, apart)


def test_r1_is_half_the_squared_slope_by_finite_differences(parts):
    torch.manual_seed(0)
    discriminator = parts.Discriminator().eval().double()
    values = torch.randn(8, 2, dtype=torch.float64)
    samples = with_input_grad(Samples(values))
    found = build_r1(NoParams(), None).discriminator(Turn(cached(discriminator), samples, samples)).values["r1"]

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
    term_info = {"discriminator/gap": TermInfo("gap"), "generator/fake": TermInfo("fakes")}

    def __init__(self, *, sees_real: bool) -> None:
        self.sees_real = sees_real

    def discriminator(self, turn) -> LossTerms:
        gap = turn.critic(turn.fake).logits.mean()
        return LossTerms({"gap": gap - turn.critic(turn.real).logits.mean() if self.sees_real else gap})

    def generator(self, turn) -> LossTerms:
        return LossTerms({"fake": -turn.critic(turn.fake).logits.mean()})


@pytest.fixture
def play(parts):
    """A game and a batch; ``sees_real`` says whether its loss runs the discriminator on real samples."""

    def make(*, sees_real: bool) -> tuple[TwoPlayerGame, Batch]:
        torch.manual_seed(0)
        generator, discriminator = Generator(3, 2), Discriminator(2, 1)
        objective = Objective([WeightedLoss("wasserstein", Wasserstein(sees_real=sees_real))])
        networks = {"generator": generator, "discriminator": discriminator}
        game = TwoPlayerGame(NoParams(), GameContext(parts.spec, networks, objective, DataSpec((2,)), LatentSpec(3), 2))
        return game, Batch(Samples(torch.randn(5, 2)), Latent(torch.randn(5, 3)))

    return make


def test_last_outputs_are_those_of_the_discriminators_last_turn(play):
    game, batch = play(sees_real=True)
    discriminator, generator = game.players
    assert (discriminator.steps, generator.steps) == (2, 1)
    assert game.critic_outputs is None
    terms = discriminator.loss(batch, Step(0, 1))
    last = game.critic_outputs
    assert last.real is batch.real
    assert not last.real_logits.requires_grad
    torch.testing.assert_close(last.fake_logits.mean() - last.real_logits.mean(), terms.values["gap"].detach())
    generator.loss(batch, Step(0, 1))
    assert game.critic_outputs is last


def test_losses_that_never_see_real_samples_leave_no_last_outputs(play):
    game, batch = play(sees_real=False)
    game.players[0].loss(batch, Step(0, 1))
    assert game.critic_outputs is None


def test_samples_with_input_grad_are_leaves():
    samples = with_input_grad(Samples(torch.ones(2, 2, requires_grad=True) * 2))
    assert samples.values.is_leaf
    assert samples.values.requires_grad

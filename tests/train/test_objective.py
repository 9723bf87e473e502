"""The objective: losses that add up and share one forward pass of the discriminator."""

from __future__ import annotations

import pytest
import torch

from ganforge.builtin.losses import build_r1, build_r2
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import NoParams, Schedule
from ganforge.core.records import Samples, Terms
from ganforge.games.two_player import with_input_grad
from ganforge.train.objective import Objective, WeightedLoss, cached


def test_the_critic_answers_twice_about_the_same_samples_from_memory(parts):
    discriminator = parts.Discriminator()
    critic = cached(discriminator)
    one, other = Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2))
    assert critic(one) is critic(one)
    assert critic(other) is not critic(one)
    assert discriminator.calls == 2


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
        Terms({"real": torch.zeros(())}) + Terms({"real": torch.zeros(())})


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

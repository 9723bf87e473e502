"""Penalties share the adversarial loss's forward pass, and nothing but the cost changes."""

from __future__ import annotations

import torch

from ganforge.builtin.gradient_penalties import R1, R2
from ganforge.core.records import Samples
from ganforge.train.objective import Objective, Weighted, remembering
from ganforge.train.turns import open_to_gradients


def test_penalties_cost_no_forward_pass_of_their_own(make_trainer, parts):
    losses = [Weighted("ns", parts.NonSaturating()), Weighted("r1", R1(), 0.1), Weighted("r2", R2(), 0.1)]
    trainer = make_trainer(losses=losses)
    discriminator = trainer.networks["discriminator"]
    trainer.turns[0].take(trainer._draw(), trainer.objective.weights(0, 20))
    assert discriminator.calls == 2


def test_a_shared_pass_gives_the_gradients_of_separate_ones(parts):
    torch.manual_seed(0)
    discriminator = parts.Discriminator().eval()  # without dropout, whose mask a shared pass shares
    real, fake = (parts.Points().held_out(16, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    objective = Objective([Weighted("ns", parts.NonSaturating()), Weighted("r1", R1(), 0.3), Weighted("r2", R2(), 0.2)])

    def gradients(real, fake):
        terms = objective.terms("discriminator", remembering(discriminator), real, fake, [1.0, 0.3, 0.2])
        return torch.autograd.grad(terms.total, list(discriminator.parameters()), allow_unused=True)

    for shared, apart in zip(gradients(open_to_gradients(real), open_to_gradients(fake)), gradients(real, fake), strict=True):
        if apart is not None:
            torch.testing.assert_close(shared, apart)


def test_r1_is_half_the_squared_slope_by_finite_differences(parts):
    torch.manual_seed(0)
    discriminator = parts.Discriminator().eval().double()
    values = torch.randn(8, 2, dtype=torch.float64)
    samples = open_to_gradients(Samples(values))
    found = R1().discriminator(remembering(discriminator), samples, samples).values["r1"]

    def logits(points):
        return discriminator(Samples(points)).logits

    step = 1e-6
    slopes = torch.stack(
        [(logits(values + step * axis) - logits(values - step * axis)) / (2 * step) for axis in torch.eye(2, dtype=torch.float64)]
    )
    torch.testing.assert_close(found, slopes.square().sum(0).mean() / 2, rtol=1e-6, atol=1e-9)

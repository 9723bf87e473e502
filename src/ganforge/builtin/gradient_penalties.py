"""Penalties on the discriminator's gradient: losses with terms for one turn only. The recipe's weight is the paper's λ or γ.

The trainer hands samples over as leaves that take gradients where a recipe holds such a loss; R₁ and R₂ then share the adversarial
loss's forward pass, since the critic answers from memory. Other samples are asked about on a fresh leaf, without a graph behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ganforge.builtin.component_params import GradientPenaltyParams
from ganforge.plugin import BuildContext, Critic, Loss, NoParams, Samples, TermInfo, Terms


def _input_gradient(critic: Critic, samples: Samples) -> Tensor:
    """``(n, d)``: ∇ₓ l(x) at the samples, itself differentiable.

    Summing the logits gives each sample its own gradient, as long as no layer mixes samples (batch normalisation does).
    """
    if not (samples.values.is_leaf and samples.values.requires_grad):
        samples = replace(samples, values=samples.values.detach().requires_grad_())
    (gradient,) = torch.autograd.grad(critic(samples).logits.sum(), samples.values, create_graph=True)
    return gradient.flatten(1)


class R1:
    """½ E‖∇l(x)‖² on real samples; with weight γ it is R₁ of Mescheder et al. 2018, equation 9."""

    term_info: Mapping[str, TermInfo] = {
        "discriminator/r1": TermInfo("½ mean squared slope of the discriminator at real samples", 0.0),
    }
    second_order = True

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """½ E‖∇l(x)‖²."""
        return Terms({"r1": _input_gradient(critic, real).square().sum(1).mean() / 2})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  nothing to say in this turn
        """Nothing."""
        return Terms({})


class R2:
    """½ E‖∇l(G(z))‖² on generated samples; with weight γ it is R₂ of Mescheder et al. 2018, equation 10."""

    term_info: Mapping[str, TermInfo] = {
        "discriminator/r2": TermInfo("½ mean squared slope of the discriminator at fakes", 0.0),
    }
    second_order = True

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """½ E‖∇l(G(z))‖²."""
        return Terms({"r2": _input_gradient(critic, fake).square().sum(1).mean() / 2})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  nothing to say in this turn
        """Nothing."""
        return Terms({})


class GradientPenalty:
    """E(‖∇l(x̂)‖ - target)² at random points between real samples and fakes (WGAN-GP, Gulrajani et al. 2017); λ = 10 there.

    x̂ = ε x + (1 - ε) G(z), one ε ~ U(0, 1) per pair, drawn from torch's global stream, which the trainer seeds.
    Labels are those of the real samples. At equilibrium there is no value that it must have unless the target is 0.
    """

    second_order = True

    def __init__(self, *, target: float = 1.0, two_sided: bool = True) -> None:
        self.target, self.two_sided = target, two_sided
        excess = "distance" if two_sided else "excess"
        self.term_info: Mapping[str, TermInfo] = {
            "discriminator/gradient-penalty": TermInfo(
                f"mean squared {excess} of the critic's slope between real and fake, from {target:g}", None if target else 0.0
            ),
        }

    def __repr__(self) -> str:
        return f"GradientPenalty(target={self.target:g}, two_sided={self.two_sided})"

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """E(‖∇l(x̂)‖ - target)², or with the positive part alone when one-sided."""
        share = torch.rand(len(real), *[1] * (real.values.dim() - 1), device=real.values.device, dtype=real.values.dtype)
        between = share * real.values.detach() + (1 - share) * fake.values.detach()
        excess = torch.linalg.vector_norm(_input_gradient(critic, replace(real, values=between)), dim=1) - self.target
        return Terms({"gradient-penalty": (excess if self.two_sided else excess.clamp_min(0)).square().mean()})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  nothing to say in this turn
        """Nothing."""
        return Terms({})


def build_r1(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``r1``."""
    return R1()


def build_r2(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``r2``."""
    return R2()


def build_gradient_penalty(params: GradientPenaltyParams, _context: BuildContext) -> Loss:
    """Factory of ``gradient-penalty``."""
    return GradientPenalty(target=params.target, two_sided=params.two_sided)

"""Adversarial losses and gradient penalties, all on logits l, never on probabilities.

With D(x) = σ(l(x)): -log D = softplus(-l) and -log(1 - D) = softplus(l), which stay finite where log σ(l) does not.
This module imports torch inside functions only: its params are read whenever components are listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import Field

from ganforge.plugin import BuildContext, Critic, Divergence, Loss, LossTerms, NoParams, Params, Samples, TermInfo, Turn

if TYPE_CHECKING:
    from torch import Tensor

TermFunction = Callable[[Critic, Samples, Samples], Mapping[str, "Tensor"]]
"""``(critic, real, fake) -> named scalars``."""
Cost = Callable[["Tensor"], "Tensor"]
"""Logits ``(n,)`` → scalar."""

_JENSEN_SHANNON = Divergence("Jensen-Shannon divergence", math.log(2))
"""The cost of the best discriminator is log 4 - 2 JSD (Goodfellow et al. 2014, theorem 1)."""
_TRIANGULAR = Divergence("triangular discrimination", 2.0)
"""∫(p - q)²/(p + q): the best discriminator's squares are a share of 1 - ½ of it of their value when undecided."""
_TOTAL_VARIATION = Divergence("total variation", 1.0)
"""The margins of the best discriminator sum to 2 - 2 TV (Lim & Ye 2017)."""
_PAIRED = Divergence("Jensen-Shannon divergence of pairs", math.log(2))
"""Between (real, generated) and (generated, real): the best score of a pair is the difference of two log density ratios."""
_GAP = Divergence("critic gap (W₁ up to the critic's slope)", math.inf)
_MEAN_SCORE = TermInfo("minus the mean score of fakes; only its changes are meaningful")


class LeastSquaresParams(Params):
    """Targets of the least-squares loss, in the letters of Mao et al. 2017."""

    a: float = 0.0
    """Target of the discriminator for generated samples."""
    b: float = 1.0
    """Target of the discriminator for real samples."""
    c: float = 1.0
    """Target of the generator for the discriminator's output on generated samples."""


class GradientPenaltyParams(Params):
    """Parameters of the WGAN-GP penalty."""

    target: float = Field(1.0, ge=0)
    """Gradient norm without penalty; 1 in the paper."""
    two_sided: bool = True
    """Whether norms below the target are penalised too, as in the paper."""


@dataclass(slots=True, eq=False)
class FunctionLoss:
    """A loss made of functions; one without ``generator_terms`` is a penalty.

    Attributes:
        logits_are_log_odds: whether it trains the logits to be log odds of being real.
        second_order: whether a term contains a gradient.
    """

    term_info: Mapping[str, TermInfo]
    discriminator_terms: TermFunction
    generator_terms: TermFunction = lambda _critic, _real, _fake: {}
    logits_are_log_odds: bool = False
    second_order: bool = False

    def discriminator(self, turn: Turn) -> LossTerms:
        """The discriminator's terms."""
        return LossTerms(self.discriminator_terms(turn.critic, turn.real, turn.fake))

    def generator(self, turn: Turn) -> LossTerms:
        """The generator's terms."""
        return LossTerms(self.generator_terms(turn.critic, turn.real, turn.fake))


def build_minimax(_params: NoParams, _context: BuildContext) -> Loss:
    """G minimises E log(1 - D(G(z))) = -E softplus(l) (Goodfellow et al. 2014, equation 1).

    Its gradient vanishes where the discriminator is certain about the fakes; the paper itself trains with ``non-saturating``.
    """
    info = TermInfo("how surely fakes are recognised, log(1 - D(G(z)))", -math.log(2), best=-math.inf)
    return _logistic_loss(info, lambda logits: -_mean_softplus(logits))


def build_non_saturating(_params: NoParams, _context: BuildContext) -> Loss:
    """G minimises -E log D(G(z)) = E softplus(-l) (Goodfellow et al. 2014, section 3)."""
    info = TermInfo("cost of fakes that are recognised, -log D(G(z))", math.log(2), best=0.0)
    return _logistic_loss(info, lambda logits: _mean_softplus(-logits))


def build_least_squares(params: LeastSquaresParams, _context: BuildContext) -> Loss:
    """½ E(l - target)² (Mao et al. 2017, equation 9 for a=0, b=c=1); the best discriminator outputs (a + b)/2 at equilibrium."""

    def half_square(target: float) -> Cost:
        return lambda logits: (logits - target).square().mean() / 2

    a, b, c = params.a, params.b, params.c
    middle = (a + b) / 2
    return _pointwise_loss(
        (TermInfo(f"½ squared distance of D(x) from {b:g}", (middle - b) ** 2 / 2, 0.0, _TRIANGULAR), half_square(b)),
        (TermInfo(f"½ squared distance of D(G(z)) from {a:g}", (middle - a) ** 2 / 2, 0.0, _TRIANGULAR), half_square(a)),
        (TermInfo(f"½ squared distance of D(G(z)) from {c:g}", (middle - c) ** 2 / 2), half_square(c)),
    )


def build_hinge(_params: NoParams, _context: BuildContext) -> Loss:
    """Margins max(0, 1 - l(x)) and max(0, 1 + l(G(z))); G minimises -l(G(z)) (Lim & Ye 2017).

    At equilibrium any constant score in [-1, 1] is best for the discriminator: its two terms sum to 2, 1 each when undecided.
    """
    real, fake = "how far real samples fall short of a score of 1", "how far fakes rise above a score of -1"
    return _pointwise_loss(
        (TermInfo(real, 1.0, 0.0, _TOTAL_VARIATION), lambda logits: (1 - logits).relu().mean()),
        (TermInfo(fake, 1.0, 0.0, _TOTAL_VARIATION), lambda logits: (1 + logits).relu().mean()),
        (_MEAN_SCORE, lambda logits: -logits.mean()),
    )


def build_wasserstein(_params: NoParams, _context: BuildContext) -> Loss:
    """Difference of the mean scores (Arjovsky et al. 2017). Add a bound on the slope, such as a gradient penalty.

    The scores of real samples and fakes may drift together without meaning, so only their difference is a term.
    """
    info = TermInfo("minus the critic's estimate of the distance W₁, up to the critic's slope", 0.0, -math.inf, _GAP)
    return FunctionLoss(
        {"discriminator/adversarial": info, "generator/adversarial": _MEAN_SCORE},
        lambda critic, real, fake: {"adversarial": critic(fake).logits.mean() - critic(real).logits.mean()},
        lambda critic, _real, fake: {"adversarial": -critic(fake).logits.mean()},
    )


def build_relativistic(_params: NoParams, _context: BuildContext) -> Loss:
    """Each fake is compared with one real sample, pair by pair (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2025).

    A fake improves only by gaining on the real samples, so a collapse to one mode does not pay; with R1 and R2 it covers all modes.
    """
    discriminator = "cost of not scoring real above its paired fake, softplus(-(l(x) - l(G(z))))"
    generator = "cost of not scoring fakes above their paired real, softplus(-(l(G(z)) - l(x)))"
    return FunctionLoss(
        {
            "discriminator/adversarial": TermInfo(discriminator, math.log(2), 0.0, _PAIRED),
            "generator/adversarial": TermInfo(generator, math.log(2), best=0.0),
        },
        lambda critic, real, fake: {"adversarial": _mean_softplus(critic(fake).logits - critic(real).logits)},
        lambda critic, real, fake: {"adversarial": _mean_softplus(critic(real).logits - critic(fake).logits)},
    )


def build_r1(_params: NoParams, _context: BuildContext) -> Loss:
    """½ E‖∇l(x)‖² on real samples; with weight γ it is R₁ of Mescheder et al. 2018, equation 9."""
    return FunctionLoss(
        {"discriminator/r1": TermInfo("½ mean squared slope of the discriminator at real samples", 0.0)},
        lambda critic, real, _fake: {"r1": _input_gradient(critic, real).square().sum(1).mean() / 2},
        second_order=True,
    )


def build_r2(_params: NoParams, _context: BuildContext) -> Loss:
    """½ E‖∇l(G(z))‖² on generated samples; with weight γ it is R₂ of Mescheder et al. 2018, equation 10."""
    return FunctionLoss(
        {"discriminator/r2": TermInfo("½ mean squared slope of the discriminator at fakes", 0.0)},
        lambda critic, _real, fake: {"r2": _input_gradient(critic, fake).square().sum(1).mean() / 2},
        second_order=True,
    )


def build_gradient_penalty(params: GradientPenaltyParams, _context: BuildContext) -> Loss:
    """E(‖∇l(x̂)‖ - target)² at random points between real samples and fakes (Gulrajani et al. 2017); λ = 10 there.

    x̂ = ε x + (1 - ε) G(z), one ε ~ U(0, 1) per pair, drawn from torch's global stream, which the trainer seeds. Labels are those
    of the real samples. One-sided, only norms above the target count. It has no known equilibrium unless the target is 0.
    """

    def penalty(critic: Critic, real: Samples, fake: Samples) -> Mapping[str, Tensor]:
        import torch

        share = torch.rand(len(real), *[1] * (real.values.dim() - 1), device=real.values.device, dtype=real.values.dtype)
        between = share * real.values.detach() + (1 - share) * fake.values.detach()
        excess = torch.linalg.vector_norm(_input_gradient(critic, replace(real, values=between)), dim=1) - params.target
        return {"gradient-penalty": (excess if params.two_sided else excess.clamp_min(0)).square().mean()}

    excess = "distance" if params.two_sided else "excess"
    label = f"mean squared {excess} of the critic's slope between real and fake, from {params.target:g}"
    info = TermInfo(label, None if params.target else 0.0)
    return FunctionLoss({"discriminator/gradient-penalty": info}, penalty, second_order=True)


def _pointwise_loss(*costs: tuple[TermInfo, Cost], logits_are_log_odds: bool = False) -> FunctionLoss:
    """A loss of three costs: of real samples, of fakes, and the generator's."""
    (real_info, real_cost), (fake_info, fake_cost), (generator_info, generator_cost) = costs
    return FunctionLoss(
        {"discriminator/real": real_info, "discriminator/fake": fake_info, "generator/adversarial": generator_info},
        lambda critic, real, fake: {"real": real_cost(critic(real).logits), "fake": fake_cost(critic(fake).logits)},
        lambda critic, _real, fake: {"adversarial": generator_cost(critic(fake).logits)},
        logits_are_log_odds=logits_are_log_odds,
    )


def _logistic_loss(generator_info: TermInfo, generator_cost: Cost) -> FunctionLoss:
    """The original game, whose discriminator has the binary cross-entropy, in two terms."""
    real, fake = "cost of taking real samples for fakes, -log D(x)", "cost of taking fakes for real, -log(1 - D(G(z)))"
    return _pointwise_loss(
        (TermInfo(real, math.log(2), 0.0, _JENSEN_SHANNON), lambda logits: _mean_softplus(-logits)),
        (TermInfo(fake, math.log(2), 0.0, _JENSEN_SHANNON), _mean_softplus),
        (generator_info, generator_cost),
        logits_are_log_odds=True,
    )


def _mean_softplus(values: Tensor) -> Tensor:
    from torch.nn.functional import softplus

    return softplus(values).mean()


def _input_gradient(critic: Critic, samples: Samples) -> Tensor:
    """``(n, d)``: ∇ₓ l(x) at the samples, itself differentiable.

    The gradient of the summed logits is each sample's own, unless a layer mixes samples, as batch normalisation does. In recipes
    with penalties the trainer passes samples as leaves that take gradients, and the critic caches its output, so R₁ and R₂ share
    the forward pass of the adversarial loss. Other samples become fresh leaves here.
    """
    import torch

    if not (samples.values.is_leaf and samples.values.requires_grad):
        samples = replace(samples, values=samples.values.detach().requires_grad_())
    (gradient,) = torch.autograd.grad(critic(samples).logits.sum(), samples.values, create_graph=True)
    return gradient.flatten(1)

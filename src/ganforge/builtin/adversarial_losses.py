"""Adversarial losses: what the two players want of each other's samples. All are arithmetic on logits l, never on probabilities.

With D(x) = σ(l(x)): -log D = softplus(-l) and -log(1 - D) = softplus(l), which stay finite where log σ(l) does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch.nn.functional import relu, softplus

from ganforge.builtin.component_params import LeastSquaresParams
from ganforge.plugin import BuildContext, Critic, Divergence, Loss, NoParams, Samples, TermInfo, Terms

_JENSEN_SHANNON = Divergence("Jensen-Shannon divergence", math.log(2))
"""The best discriminator's cost is log 4 - 2 JSD (Goodfellow et al. 2014, theorem 1)."""
_TRIANGULAR = Divergence("triangular discrimination", 2.0)
"""∫(p - q)²/(p + q): the best discriminator's squares add up to a share of 1 - ½ of it of what they cost when undecided."""
_TOTAL_VARIATION = Divergence("total variation", 1.0)
"""The best discriminator's margins add up to 2 - 2 TV (Lim & Ye 2017)."""
_PAIRED = Divergence("Jensen-Shannon divergence of pairs", math.log(2))
"""Between (real, generated) and (generated, real): the best score of a pair is the difference of two log density ratios."""
_GAP = Divergence("critic gap (W₁ up to the critic's slope)", math.inf)

_LOGISTIC_READINGS = {
    "discriminator/real": TermInfo(
        "cost of taking real samples for fakes, -log D(x)", math.log(2), best=0.0, divergence=_JENSEN_SHANNON
    ),
    "discriminator/fake": TermInfo(
        "cost of taking fakes for real, -log(1 - D(G(z)))", math.log(2), best=0.0, divergence=_JENSEN_SHANNON
    ),
}


def _logistic(critic: Critic, real: Samples, fake: Samples) -> Terms:
    """The discriminator's side of the original game: binary cross-entropy, its two halves apart."""
    return Terms({"real": softplus(-critic(real).logits).mean(), "fake": softplus(critic(fake).logits).mean()})


class Minimax:
    """The zero-sum game of Algorithm 1: G descends E log(1 - D(G(z))) (Goodfellow et al. 2014, equation 1).

    Its gradient vanishes where the discriminator is sure of the fakes; the paper itself trains with :class:`NonSaturating`.
    """

    term_info: Mapping[str, TermInfo] = {
        **_LOGISTIC_READINGS,
        "generator/adversarial": TermInfo("how surely fakes are recognised, log(1 - D(G(z)))", -math.log(2), best=-math.inf),
    }
    second_order = False
    logits_are_log_odds = True

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """-log D(x) and -log(1 - D(G(z)))."""
        return _logistic(critic, real, fake)

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """log(1 - D(G(z))) = -softplus(l)."""
        return Terms({"adversarial": -softplus(critic(fake).logits).mean()})


class NonSaturating:
    """The game that the 2014 paper plays in practice: G descends -E log D(G(z)) (Goodfellow et al. 2014, section 3)."""

    term_info: Mapping[str, TermInfo] = {
        **_LOGISTIC_READINGS,
        "generator/adversarial": TermInfo("cost of fakes that are recognised, -log D(G(z))", math.log(2), best=0.0),
    }
    second_order = False
    logits_are_log_odds = True

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """-log D(x) and -log(1 - D(G(z)))."""
        return _logistic(critic, real, fake)

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """-log D(G(z)) = softplus(-l)."""
        return Terms({"adversarial": softplus(-critic(fake).logits).mean()})


class LeastSquares:
    """Squared distance of the logits from targets a, b and c, each halved (LSGAN, Mao et al. 2017, equation 9 for a=0, b=c=1).

    At equilibrium the best discriminator says (a + b)/2 everywhere.
    """

    second_order = False

    def __init__(self, *, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> None:
        self.a, self.b, self.c = a, b, c
        middle = (a + b) / 2
        self.term_info: Mapping[str, TermInfo] = {
            "discriminator/real": TermInfo(
                f"½ squared distance of D(x) from {b:g}", (middle - b) ** 2 / 2, best=0.0, divergence=_TRIANGULAR
            ),
            "discriminator/fake": TermInfo(
                f"½ squared distance of D(G(z)) from {a:g}", (middle - a) ** 2 / 2, best=0.0, divergence=_TRIANGULAR
            ),
            "generator/adversarial": TermInfo(f"½ squared distance of D(G(z)) from {c:g}", (middle - c) ** 2 / 2),
        }

    def __repr__(self) -> str:
        return f"LeastSquares(a={self.a:g}, b={self.b:g}, c={self.c:g})"

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """½(l(x) - b)² and ½(l(G(z)) - a)²."""
        return Terms(
            {
                "real": (critic(real).logits - self.b).square().mean() / 2,
                "fake": (critic(fake).logits - self.a).square().mean() / 2,
            }
        )

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """½(l(G(z)) - c)²."""
        return Terms({"adversarial": (critic(fake).logits - self.c).square().mean() / 2})


class Hinge:
    """The discriminator stops caring beyond a margin of 1 (Lim & Ye 2017; Miyato et al. 2018; Zhang et al. 2019, SAGAN).

    At equilibrium any constant score in [-1, 1] is best for the discriminator: its two terms add up to 2, 1 each when undecided.
    """

    term_info: Mapping[str, TermInfo] = {
        "discriminator/real": TermInfo(
            "how far real samples fall short of a score of 1", 1.0, best=0.0, divergence=_TOTAL_VARIATION
        ),
        "discriminator/fake": TermInfo("how far fakes rise above a score of -1", 1.0, best=0.0, divergence=_TOTAL_VARIATION),
        "generator/adversarial": TermInfo("minus the mean score of fakes; only its changes mean something"),
    }
    second_order = False

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """max(0, 1 - l(x)) and max(0, 1 + l(G(z)))."""
        return Terms({"real": relu(1 - critic(real).logits).mean(), "fake": relu(1 + critic(fake).logits).mean()})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """-l(G(z))."""
        return Terms({"adversarial": -critic(fake).logits.mean()})


class Wasserstein:
    """Difference of the mean scores (WGAN, Arjovsky et al. 2017). It needs a bound on the slope, such as a gradient penalty.

    The scores of real samples and fakes may drift together without meaning, so only their difference is a term.
    """

    term_info: Mapping[str, TermInfo] = {
        "discriminator/adversarial": TermInfo(
            "minus the critic's estimate of the distance W₁, up to the critic's slope", 0.0, best=-math.inf, divergence=_GAP
        ),
        "generator/adversarial": TermInfo("minus the mean score of fakes; only its changes mean something"),
    }
    second_order = False

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """E l(G(z)) - E l(x)."""
        return Terms({"adversarial": critic(fake).logits.mean() - critic(real).logits.mean()})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:  # noqa: ARG002  the contract hands both over
        """-l(G(z))."""
        return Terms({"adversarial": -critic(fake).logits.mean()})


class Relativistic:
    """Each fake is judged against one real sample, pair by pair (RpGAN, Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2025).

    A fake improves only by gaining on the real samples, so hiding in one mode does not pay; with R1 and R2 it covers all modes.
    """

    term_info: Mapping[str, TermInfo] = {
        "discriminator/adversarial": TermInfo(
            "cost of not scoring real above its paired fake, softplus(-(l(x) - l(G(z))))",
            math.log(2),
            best=0.0,
            divergence=_PAIRED,
        ),
        "generator/adversarial": TermInfo(
            "cost of not scoring fakes above their paired real, softplus(-(l(G(z)) - l(x)))", math.log(2), best=0.0
        ),
    }
    second_order = False

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """softplus(-(l(x) - l(G(z))))."""
        return Terms({"adversarial": softplus(critic(fake).logits - critic(real).logits).mean()})

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """softplus(-(l(G(z)) - l(x)))."""
        return Terms({"adversarial": softplus(critic(real).logits - critic(fake).logits).mean()})


def build_minimax(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``minimax``."""
    return Minimax()


def build_non_saturating(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``non-saturating``."""
    return NonSaturating()


def build_least_squares(params: LeastSquaresParams, _context: BuildContext) -> Loss:
    """Factory of ``least-squares``."""
    return LeastSquares(a=params.a, b=params.b, c=params.c)


def build_hinge(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``hinge``."""
    return Hinge()


def build_wasserstein(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``wasserstein``."""
    return Wasserstein()


def build_relativistic(_params: NoParams, _context: BuildContext) -> Loss:
    """Factory of ``relativistic``."""
    return Relativistic()

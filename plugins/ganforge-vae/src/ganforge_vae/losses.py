"""The two parts of the negative evidence lower bound, in nats per sample (Kingma & Welling 2014). Shapes: n samples, z latents."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch.nn import functional as F

from ganforge.plugin import BuildContext, IncompatiblePartsError, LossTerms, TermInfo, Turn
from ganforge_vae.params import KlDivergenceParams, ReconstructionParams
from ganforge_vae.specs import POSTERIOR


class Reconstruction:
    """-log p(x | z), constants included, summed over the values of a sample; or the mean squared error.

    Raises:
        IncompatiblePartsError: a Bernoulli likelihood of data without a value range.
    """

    second_order = False

    def __init__(self, params: ReconstructionParams, context: BuildContext) -> None:
        self.params, self.range = params, context.data.value_range
        self.constant = context.data.size * (math.log(params.std) + math.log(2 * math.pi) / 2)
        if params.likelihood == "bernoulli" and self.range is None:
            raise IncompatiblePartsError(
                "a Bernoulli likelihood needs data with a value range, such as images", remedy='use likelihood = "gaussian"'
            )
        label = "mean squared error of the reconstruction" if params.likelihood == "squared" else "-log p(x | z) in nats per sample"
        self.term_info: Mapping[str, TermInfo] = {"autoencoder/reconstruction": TermInfo(label)}

    def autoencoder(self, turn: Turn) -> LossTerms:
        """The term of encoder and generator."""
        real, made = turn.real.values.flatten(1), turn.fake.values.flatten(1)  # (n, d)
        if self.params.likelihood == "squared":
            return LossTerms({"reconstruction": (made - real).square().mean()})
        if self.params.likelihood == "gaussian" or self.range is None:
            errors = (made - real).square().sum(1) / (2 * self.params.std**2) + self.constant
            return LossTerms({"reconstruction": errors.mean()})
        low, high = self.range
        shares, chances = ((values - low) / (high - low) for values in (real, made))
        costs = F.binary_cross_entropy(chances.clamp(1e-6, 1 - 1e-6), shares.clamp(0, 1), reduction="none")
        return LossTerms({"reconstruction": costs.sum(1).mean()})


class KlDivergence:
    """KL(q(z | x) ‖ N(0, 1)) = ½ Σ (μ² + σ² - 1 - log σ²), in closed form."""

    second_order = False
    term_info: Mapping[str, TermInfo] = {
        "autoencoder/kl": TermInfo("divergence of the posterior from the prior in nats per sample")
    }

    def __init__(self, params: KlDivergenceParams, _context: BuildContext) -> None:
        self.free = params.free_nats

    def autoencoder(self, turn: Turn) -> LossTerms:
        """The term of encoder and generator."""
        mean, log_variance = turn.outputs[POSTERIOR].chunk(2, dim=1)  # (n, z) each
        nats = (mean.square() + log_variance.exp() - 1 - log_variance) / 2
        return LossTerms({"kl": nats.mean(0).clamp_min(self.free).sum()})

"""The information loss of InfoGAN (Chen et al. 2016, eq. 5).

With Q the code reader, ``I(c; G(z, c)) ≥ H(c) + E[log Q(c | G(z, c))]``. H(c) is fixed by the sampler, so the loss is the negative
log-likelihood ``−E[log Q(c | x)]`` in nats, on generated samples, whose codes are known. It is part of both turns: the
discriminator's turn trains the reader, the generator's turn trains the generator to make codes readable. Without the former the
reader would never learn, and no loss curve would show it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.plugin import BuildContext, Codes, Critic, IncompatiblePartsError, LossTerms, Samples, TermInfo, Turn
from ganforge_infogan.networks import check_codes
from ganforge_infogan.params import MutualInformationParams


class MutualInformation:
    """``−log Q(c | x)`` on generated samples, in both turns.

    - ``categorical``: cross-entropy, summed over the categorical codes; 0 when every code is recovered with certainty.
    - ``continuous``: Gaussian negative log-likelihood around the reader's means with a fixed σ,
      ``(c − m)²/2σ² + log σ + ½ log 2π``, summed over the continuous codes. The constants stay in, so that ``H(c)`` minus the value
      is the paper's bound on the information; with σ = 1 the least value is 0.919 per code.

    Raises:
        IncompatiblePartsError: the sampler draws no codes.
    """

    second_order = False

    def __init__(self, params: MutualInformationParams, context: BuildContext) -> None:
        check_codes("loss 'mutual-information'", context.latent)
        self.params = params
        self.latent = context.latent
        self.constant = math.log(params.continuous_std) + math.log(2 * math.pi) / 2
        self.term_info = self._term_info()

    def discriminator(self, turn: Turn) -> LossTerms:
        """The terms that train the code reader."""
        return self._code_terms(turn.critic, turn.fake)

    def generator(self, turn: Turn) -> LossTerms:
        """The terms that train the generator to make codes readable."""
        return self._code_terms(turn.critic, turn.fake)

    def _code_terms(self, critic: Critic, fake: Samples) -> LossTerms:
        codes = self._codes(fake)
        head = self._head(critic, fake)
        *logits, means = torch.split(head, [*self.latent.categorical, self.latent.continuous], dim=1)  # (n, k) each, (n, c)

        values: dict[str, Tensor] = {}
        if logits:
            nats = [F.cross_entropy(part, codes.categorical[:, code]) for code, part in enumerate(logits)]
            values["categorical"] = torch.stack(nats).sum()
        if self.latent.continuous:
            squared = ((codes.continuous - means) / self.params.continuous_std).square()  # (n, c)
            values["continuous"] = (squared / 2 + self.constant).sum(dim=1).mean()
        return LossTerms(values, {"continuous": self.params.continuous_weight} if "continuous" in values else {})

    def _codes(self, fake: Samples) -> Codes:
        if fake.latent is None or fake.latent.codes is None:
            raise IncompatiblePartsError(
                "loss 'mutual-information' needs samples with codes, got none", remedy='set sampler.use = "structured"'
            )
        return fake.latent.codes

    def _head(self, critic: Critic, fake: Samples) -> Tensor:
        heads = critic(fake).heads
        if "code" not in heads:
            raise IncompatiblePartsError(
                "loss 'mutual-information' needs a discriminator with a head 'code'", remedy='set discriminator.use = "infogan-mlp"'
            )

        width = sum(self.latent.categorical) + self.latent.continuous
        if heads["code"].shape != (len(fake), width):
            raise IncompatiblePartsError(
                f"the discriminator's head 'code' has the shape {tuple(heads['code'].shape)}, but codes need {(len(fake), width)}",
                remedy="return the logits of all categorical codes side by side, then the means of the continuous ones",
            )
        return heads["code"]

    def _term_info(self) -> Mapping[str, TermInfo]:
        # with another weight the term enters the total with a different value, so no equilibrium is declared
        certain = self.latent.continuous * self.constant if self.params.continuous_weight == 1.0 else None
        term_info: dict[str, TermInfo] = {}
        for turn, doing in (("discriminator", "reading the {} codes"), ("generator", "making the {} codes readable")):
            if self.latent.categorical:
                term_info[f"{turn}/categorical"] = TermInfo(f"cost of {doing.format('categorical')}, in nats", equilibrium=0.0)
            if self.latent.continuous:
                term_info[f"{turn}/continuous"] = TermInfo(f"cost of {doing.format('continuous')}, in nats", equilibrium=certain)
        return term_info

"""What the discriminator's code reader tells of the generator's codes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.builtin.metrics.metric_params import InformationParams
from ganforge.metrics import mutual_information_bound
from ganforge.plugin import BuildContext, Evaluation, IncompatiblePartsError, LatentSpec, Metric, MetricInfo


class Information:
    """InfoGAN's bound on the information between categorical codes and samples, by the discriminator's head ``code``.

    Args:
        latent: what the sampler draws.
        column: which categorical code, or ``None`` for the sum over all.
    """

    def __init__(self, latent: LatentSpec, *, column: int | None = None) -> None:
        self.latent, self.column = latent, column
        entropy = sum(math.log(latent.categorical[code]) for code in self._columns)
        label = f"bound on the information that samples hold of their categorical codes, in nats; H(c) = {entropy:.3f}"
        self.value_info: Mapping[str, MetricInfo] = {"": MetricInfo(label, "higher", entropy)}

    def __repr__(self) -> str:
        return f"Information(column={self.column})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The bound."""
        latent = evaluation.fake.latent
        if latent is None or latent.codes is None:
            raise IncompatiblePartsError("metric 'information' was given samples that carry no codes")
        reads = self._reads(evaluation)
        return {"": sum(mutual_information_bound(reads[code], latent.codes.categorical[:, code]) for code in self._columns)}

    @property
    def _columns(self) -> range:
        return range(len(self.latent.categorical)) if self.column is None else range(self.column, self.column + 1)

    def _reads(self, evaluation: Evaluation) -> tuple[Tensor, ...]:
        """``(n, values)`` logits for each categorical code."""
        if evaluation.critic is None:
            raise IncompatiblePartsError("metric 'information' needs the discriminator, which this evaluation has not")
        head = evaluation.critic(evaluation.fake).heads.get("code")
        if head is None:
            raise IncompatiblePartsError(
                "metric 'information' needs a discriminator with a head 'code'", remedy="change discriminator.use to 'infogan-mlp'"
            )
        values = sum(self.latent.categorical)
        asked = (len(evaluation.fake), values + self.latent.continuous)
        if head.shape != asked:
            raise IncompatiblePartsError(
                f"the discriminator's head 'code' is {tuple(head.shape)}, the codes ask for {asked}",
                remedy="give the logits of each categorical code side by side, then the means of the continuous ones",
            )
        return torch.split(head[:, :values], list(self.latent.categorical), dim=1)


def build_information(params: InformationParams, context: BuildContext) -> Metric:
    """Factory of ``information``.

    Raises:
        IncompatiblePartsError: the sampler draws no such categorical code.
    """
    read, drawn = params.column or 0, len(context.latent.categorical)
    if read >= drawn:
        raise IncompatiblePartsError(
            f"metric 'information' reads categorical code {read}, and the sampler draws {drawn}",
            remedy="change sampler.use to 'structured' with sampler.params.categorical, or the metric's params.column",
        )
    return Information(context.latent, column=params.column)

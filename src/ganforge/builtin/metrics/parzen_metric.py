"""The 2014 table's number as a metric."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.builtin.metrics.metric_params import ParzenParams
from ganforge.metrics import parzen_log_likelihood
from ganforge.plugin import BuildContext, DataSpec, Evaluation, IncompatiblePartsError, Metric, MetricInfo


class ParzenMetric:
    """Log-likelihood of held-out samples under Gaussian windows on the generated ones; images are scaled to [0, 1] for it.

    The width is chosen on samples that the data set sets aside, and on training samples where it sets none aside. Which of the two
    it is follows from the data set's params, which are part of every protocol.

    Args:
        data: what the data set says of itself.
        validation: samples to choose the width by, at most.
        widths: what to choose from.
    """

    uses_training_data = True

    def __init__(self, data: DataSpec, *, validation: int, widths: tuple[float, ...]) -> None:
        self.data, self.validation, self.widths = data, validation, widths
        self.protocol: Mapping[str, str] = {
            "values": "as they are" if data.value_range is None else "scaled to [0, 1]",
            "window": f"best of {len(widths)} on {validation} samples set aside, or of the training samples where none are",
        }
        self.value_info: Mapping[str, MetricInfo] = {
            "log-likelihood": MetricInfo(
                "Parzen estimate of the mean log-likelihood of held-out samples, in nats (no measure of quality)", "higher"
            ),
            "standard-error": MetricInfo("standard error of that mean over the held-out samples, in nats", "none"),
            "width": MetricInfo("σ of the windows: the narrower, the closer the data lie to generated samples", "none"),
        }

    def __repr__(self) -> str:
        return f"ParzenMetric(validation={self.validation}, {len(self.widths)} widths)"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The mean, its standard error, and the width."""
        aside = evaluation.validation or evaluation.training
        if aside is None:
            raise IncompatiblePartsError("metric 'parzen' was given neither validation nor training samples to choose its width by")
        samples, chosen, test = map(self._scaled, (evaluation.fake.values, aside(self.validation).values, evaluation.real.values))
        found = parzen_log_likelihood(samples, chosen, test, self.widths)
        return {"log-likelihood": found.mean, "standard-error": found.standard_error, "width": found.width}

    def _scaled(self, values: Tensor) -> Tensor:
        if self.data.value_range is None:
            return values
        low, high = self.data.value_range
        return torch.sub(values, low).div_(high - low)


def build_parzen(params: ParzenParams, context: BuildContext) -> Metric:
    """Factory of ``parzen``."""
    return ParzenMetric(context.data, validation=params.validation, widths=params.widths)

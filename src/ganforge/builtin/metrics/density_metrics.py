"""What can be measured where the data's density is known."""

from __future__ import annotations

from collections.abc import Mapping

from ganforge.builtin.metrics.metric_params import OptimalDiscriminatorParams
from ganforge.builtin.metrics.simulated_floors import simulated_floors
from ganforge.metrics import SmoothedGrid, smoothed_grid
from ganforge.plugin import BuildContext, Evaluation, GaussianMixture, IncompatiblePartsError, Metric, MetricInfo, Samples


class OptimalDiscriminator:
    """How far the discriminator is from the best one for this generator, and the generator from the data, on a grid of cells."""

    def __init__(self, density: GaussianMixture, *, cells: int) -> None:
        self.density, self.cells = density, cells
        self.protocol: Mapping[str, str] = {"density": "kernel estimate, Scott's width for one mode, the data smoothed alike"}
        floors = simulated_floors(density, self.measure)
        self.value_info: Mapping[str, MetricInfo] = {
            "gap": MetricInfo("mean |D - D*| in probability, for losses whose D is the sigmoid of its logits", "lower"),
            "js": MetricInfo(
                "Jensen–Shannon divergence of generated and true density, in nats, at most log 2", "lower", floor=floors("js")
            ),
            "kl": MetricInfo("KL(true ‖ generated) in nats: large where something real is missed", "lower", floor=floors("kl")),
            "reverse-kl": MetricInfo(
                "KL(generated ‖ true) in nats: large where something false is made", "lower", floor=floors("reverse-kl")
            ),
            "total-variation": MetricInfo(
                "total variation of generated and true density, at most 1", "lower", floor=floors("total-variation")
            ),
        }

    def __repr__(self) -> str:
        return f"OptimalDiscriminator({len(self.density.means)} modes, cells={self.cells})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The gap and four divergences; these alone where there is no discriminator."""
        grid = smoothed_grid(evaluation.fake.values, self.density, self.cells)
        found = grid.divergences()
        return {
            **self._gap(grid, evaluation),
            "js": found.js,
            "kl": found.kl,
            "reverse-kl": found.reverse_kl,
            "total-variation": found.total_variation,
        }

    def _gap(self, grid: SmoothedGrid, evaluation: Evaluation) -> Mapping[str, float]:
        if evaluation.critic is None:
            return {}
        return {"gap": grid.gap(evaluation.critic(Samples(grid.points.to(evaluation.fake.values.dtype))).logits)}


def build_optimal_discriminator(params: OptimalDiscriminatorParams, context: BuildContext) -> Metric:
    """Factory of ``optimal-discriminator``.

    Raises:
        IncompatiblePartsError: the density is not known or has more than two dimensions, or the discriminator is told labels.
    """
    density = context.data.density
    if density is None or context.data.shape not in ((1,), (2,)):
        raise IncompatiblePartsError(
            "metric 'optimal-discriminator' needs one- or two-dimensional data whose density is known",
            remedy="drop the metric, or change dataset.use to 'gaussian-1d', 'ring' or 'grid'",
        )
    if context.latent.classes is not None:
        raise IncompatiblePartsError(
            "metric 'optimal-discriminator' asks the discriminator about points without labels, and here it is told labels",
            remedy="drop the metric, or change sampler.use to one without labels, such as 'normal'",
        )
    return OptimalDiscriminator(density, cells=params.cells)

"""Some metrics ask who lies next to whom: a real sample that is drawn twice would be its own neighbour."""

from __future__ import annotations

from ganforge.core.contracts import Dataset, DistinctRealSamples, FiniteHeldOut, Metric
from ganforge.core.errors import IncompatiblePartsError


def insist_on_distinct(metric: Metric, name: str, dataset: Dataset, count: int, *, sets: int = 1) -> None:
    """Refuse ``sets`` times ``count`` real samples where the metric needs different ones and fewer are kept back.

    Data sets that keep no part back make fresh draws, and are trusted.

    Raises:
        IncompatiblePartsError: how many are held out, and how many would be needed.
    """
    needed = isinstance(metric, DistinctRealSamples) and metric.needs_distinct_real
    if not needed or not isinstance(dataset, FiniteHeldOut) or sets * count <= dataset.held_out_size:
        return
    asked = f"{count:,} are asked for" if sets == 1 else f"its floor takes {sets} × {count:,}"
    raise IncompatiblePartsError(
        f"metric '{name}' needs real samples that all differ: {dataset.held_out_size:,} are held out, and {asked}",
        remedy=f"set its samples = {dataset.held_out_size // sets} or fewer",
    )

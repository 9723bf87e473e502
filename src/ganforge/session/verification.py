"""Whether today's code still reaches what a recipe expects: its seeds run again, and their last values held against its bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ganforge.build.expectations import require_bands
from ganforge.core.errors import UsageError
from ganforge.recipe.tables import Expectation
from ganforge.session.result import Result, SweepResult
from ganforge.session.run_plan import Options, assemble, prepare
from ganforge.session.sweep import sweep

if TYPE_CHECKING:
    from rich.console import Console

_MISSED = 1
"""Exit code: a band was not reached."""


@dataclass(frozen=True, slots=True)
class Band:
    """What came of one expectation.

    Attributes:
        metric: ``wasserstein`` or ``modes/captured``.
        min: least value in the band, or ``None``.
        max: greatest value in the band, or ``None``.
        needed: seeds that must lie in it.
        seeds: seeds that it is judged by.
        values: by seed, its last value; ``None`` of a seed that did not finish or was not run.
        inside: how many of them lie in the band.
    """

    metric: str
    min: float | None
    max: float | None
    needed: int
    seeds: int
    values: dict[int, float | None]
    inside: int

    @property
    def reached(self) -> bool:
        """Whether enough seeds lie in it."""
        return self.inside >= self.needed

    @property
    def measured(self) -> bool:
        """Whether any seed has a value."""
        return any(value is not None for value in self.values.values())

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.measured:
            return "not measured"
        return "reached" if self.reached else "missed"


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of all expectations of a recipe.

    Attributes:
        bands: one for each, in the recipe's order.
        sweep: the runs.
    """

    bands: tuple[Band, ...]
    sweep: SweepResult

    @property
    def exit_code(self) -> int:
        """0 when all is reached, 1 when not; that of the signal that broke it off, which is above 128."""
        if self.sweep.exit_code > 128:
            return self.sweep.exit_code
        return 0 if all(band.reached for band in self.bands) else _MISSED

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        return {
            "schema": 1,
            "reached": all(band.reached for band in self.bands),
            "bands": [{**asdict(band), "reached": band.reached, "measured": band.measured} for band in self.bands],
            "run": self.sweep.run,
            "folder": str(self.sweep.folder),
            "seconds": self.sweep.seconds,
            "seeds": [{"seed": one.seed, "run": one.run, "status": one.status, "reason": one.reason} for one in self.sweep.seeds],
            "exit_code": self.exit_code,
        }


def verify(options: Options, *, jobs: int, console: Console) -> Verification:
    """Run a recipe's seeds as a sweep, and judge what it expects.

    Raises:
        UsageError: the recipe expects nothing.
        RecipeError: it expects something of what it does not measure, or cannot measure here.
        GanforgeError: as a run does, before anything is created.
    """
    plot = prepare(options, lambda _: None)
    expected = plot.blueprint.recipe.expect
    if not expected:
        raise UsageError(
            f"{plot.source.path} expects nothing",
            remedy='add a [[expect]] table, such as metric = "wasserstein", max = 0.1, seeds = 3',
        )
    observer = assemble(plot, "cpu", lambda _: None).observer
    require_bands(plot.blueprint, observer.value_info, observer.left_out)  # told before the first seed is run
    swept = sweep(options, seeds=max(one.seeds for one in expected), jobs=jobs, console=console)
    first = plot.blueprint.recipe.train.seed
    return Verification(tuple(judged(one, first, swept.seeds) for one in expected), swept)


def judged(expected: Expectation, first: int, results: Sequence[Result]) -> Band:
    """One expectation held against the seeds from ``first`` on that it speaks of."""
    last = {result.seed: result.metrics.get(expected.metric) for result in results if result.status == "finished"}
    values = {seed: last.get(seed) for seed in range(first, first + expected.seeds)}
    low = -math.inf if expected.min is None else expected.min
    high = math.inf if expected.max is None else expected.max
    return Band(
        metric=expected.metric,
        min=expected.min,
        max=expected.max,
        needed=expected.seeds if expected.at_least is None else expected.at_least,
        seeds=expected.seeds,
        values=values,
        inside=sum(value is not None and math.isfinite(value) and low <= value <= high for value in values.values()),
    )

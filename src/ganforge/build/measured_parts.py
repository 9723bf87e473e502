"""What a finished run is measured with: its data set, any metrics, and its discriminator where the plugin is still there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ganforge.build.compatibility import check_compatibility
from ganforge.build.parts import Candidate, Part, PartSearch, find_parts
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, PluginError, Problem, RecipeError
from ganforge.recipe.reader import RecipeSource
from ganforge.registry.component import Kind
from ganforge.registry.registry import Registry

_BASE = (Kind.DATASET, Kind.SAMPLER, Kind.GENERATOR, Kind.DISCRIMINATOR)


@dataclass(frozen=True, slots=True)
class EvaluationParts:
    """The parts that measure.

    Attributes:
        dataset: the real samples.
        discriminator: the discriminator, or why there is none.
        metrics: for each metric that is asked for, its part, or why it cannot be had.
    """

    dataset: Part
    discriminator: Part | GanforgeError
    metrics: tuple[Part | GanforgeError, ...]


def resolve_evaluation_parts(source: RecipeSource, registry: Registry) -> EvaluationParts:
    """Find and judge data set, discriminator and metrics; losses are not looked for.

    Raises:
        RecipeError: the data set is not installed, or its parameters are wrong.
        PluginError: its plugin failed.
    """
    base = find_parts(source, registry, kinds=_BASE)
    dataset = _part(Kind.DATASET.value, source, base)
    if not isinstance(dataset, Part):
        raise dataset
    metrics = find_parts(source, registry, kinds=(Kind.METRIC,))
    settled = {problem.message for problem in check_compatibility(source, base, registry).problems}

    def judged(index: int) -> Part | GanforgeError:
        part = _part(f"metric[{index}]", source, metrics)
        if not isinstance(part, Part):
            return part
        whole = PartSearch((*base.candidates, Candidate(part.component, part.params, part.key)), (), ())
        against = [problem for problem in check_compatibility(source, whole, registry).problems if problem.message not in settled]
        return IncompatiblePartsError(against[0].message) if against else part

    tables = source.table.get("metric")
    count = len(tables) if isinstance(tables, list) else 0
    return EvaluationParts(dataset, _part(Kind.DISCRIMINATOR.value, source, base), tuple(judged(index) for index in range(count)))


def _part(key: str, source: RecipeSource, found: PartSearch) -> Part | GanforgeError:
    """The part of a table, or what is wrong with it."""
    failure: PluginError | None = next((failure for place, failure in found.failures if _is_below(place, key)), None)
    if failure is not None:
        return failure
    problems = [problem for problem in (*source.problems, *found.problems) if _is_below(problem.key, key)]
    if problems:
        return RecipeError(_unplaced(problems))
    for candidate in found.candidates:
        if candidate.key == key and candidate.params is not None:
            return Part(candidate.component, candidate.params, key)
    return RecipeError([source.problem(key, f"names no {key}", "restore the run's resolved.toml")])


def _is_below(key: str, table: str) -> bool:
    return key == table or key.startswith((f"{table}.", f"{table}["))


def _unplaced(problems: Iterable[Problem]) -> list[Problem]:
    """Each mistake once."""
    return list(dict.fromkeys(problems))

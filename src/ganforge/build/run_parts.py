"""The parts that a finished run is sampled and evaluated with, whether or not its other components are still installed."""

from __future__ import annotations

from dataclasses import dataclass

from ganforge.build.compatibility import check_compatibility
from ganforge.build.parts import Candidate, Part, PartSearch, find_parts
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, RecipeError
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.tables import SINGLE_KINDS
from ganforge.registry.component import Kind
from ganforge.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class SamplingParts:
    """The parts that draw samples.

    Attributes:
        sampler: the sampler.
        generator: the generator.
    """

    sampler: Part
    generator: Part


@dataclass(frozen=True, slots=True)
class EvaluationParts:
    """The parts that a run is evaluated with.

    Attributes:
        dataset: the data set.
        discriminator: the discriminator, or why it is not available.
        metrics: for each requested metric its part, or why it is not available.
    """

    dataset: Part
    discriminator: Part | GanforgeError
    metrics: tuple[Part | GanforgeError, ...]


def resolve_sampling_parts(source: RecipeSource, registry: Registry) -> SamplingParts:
    """Find generator and sampler; no other table of the recipe matters.

    A loss that is no longer installed, missing data, or a training option that this version does not know does not keep a trained
    generator from drawing samples.

    Raises:
        RecipeError: one of the two is not installed, or its parameters are not valid.
        PluginError: its plugin failed.
    """
    kinds = (Kind.SAMPLER, Kind.GENERATOR)
    found = find_parts(source, registry, kinds=kinds)
    if found.problems:
        raise RecipeError(source.sorted(found.problems))
    if found.failures:
        raise found.failures[0][1]
    valid = {candidate.component.kind: candidate.part for candidate in found.candidates}
    sampler, generator = (valid.get(kind) or _available(_part(kind.value, source, found)) for kind in kinds)
    return SamplingParts(sampler, generator)


def resolve_evaluation_parts(source: RecipeSource, registry: Registry) -> EvaluationParts:
    """Find data set, discriminator and metrics; losses are ignored.

    Raises:
        RecipeError: the data set is not installed, or its parameters are not valid.
        PluginError: its plugin failed.
    """
    base = find_parts(source, registry, kinds=SINGLE_KINDS)
    dataset = _available(_part(Kind.DATASET.value, source, base))
    metrics = find_parts(source, registry, kinds=(Kind.METRIC,))
    known = {problem.message for problem in check_compatibility(source, base, registry).problems}

    def metric(index: int) -> Part | GanforgeError:
        part = _part(f"metric[{index}]", source, metrics)
        if not isinstance(part, Part):
            return part
        whole = PartSearch((*base.candidates, Candidate(part.component, part.params, part.key)))
        new = [problem for problem in check_compatibility(source, whole, registry).problems if problem.message not in known]
        return IncompatiblePartsError(new[0].message) if new else part

    tables = source.table.get("metric")
    count = len(tables) if isinstance(tables, list) else 0
    return EvaluationParts(dataset, _part(Kind.DISCRIMINATOR.value, source, base), tuple(metric(index) for index in range(count)))


def _available(part: Part | GanforgeError) -> Part:
    if isinstance(part, Part):
        return part
    raise part


def _part(key: str, source: RecipeSource, found: PartSearch) -> Part | GanforgeError:
    """The part of a table, or why it is not available."""
    for failed, failure in found.failures:
        if _is_below(failed, key):
            return failure
    problems = [problem for problem in (*source.problems, *found.problems) if _is_below(problem.key, key)]
    if problems:
        return RecipeError(dict.fromkeys(problems))
    for candidate in found.candidates:
        if candidate.key == key and candidate.part is not None:
            return candidate.part
    return RecipeError([source.problem(key, f"names no {key}", "restore the run's resolved.toml")])


def _is_below(key: str, table: str) -> bool:
    return key == table or key.startswith((f"{table}.", f"{table}["))

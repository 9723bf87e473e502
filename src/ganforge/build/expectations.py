"""What a recipe expects of its metrics, compared with what it measures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ganforge.build.parts import PartSearch
from ganforge.core.errors import Problem, RecipeError, did_you_mean
from ganforge.recipe.reader import RecipeSource
from ganforge.registry.component import Kind

if TYPE_CHECKING:
    from ganforge.build.blueprint import Blueprint


def find_unmeasured(source: RecipeSource, found: PartSearch) -> Iterator[Problem]:
    """Bands of metrics that the recipe does not measure; said of the part of their names before "/", since no metric is built yet.

    Where ``--set`` took the metrics away, as to try a recipe quickly, nothing is said: only ``ganforge verify`` needs them.
    """
    given = source.place("metric")
    if given is not None and given.file is None:
        return
    names = _names(source, found)
    for key, metric in _bands(source):
        if names is not None and metric.partition("/")[0] not in names:
            yield _problem(source, key, metric, sorted(names))


def require_measured(source: RecipeSource, value_info: Collection[str], left_out: Collection[str] = ()) -> None:
    """Refuse bands of values that no metric gives, now that the metrics are built.

    Args:
        source: the recipe.
        value_info: the values' names, such as ``modes/captured``.
        left_out: names of optional metrics that could not be built.

    Raises:
        RecipeError: with each such band, at its place.
    """
    known = {name.partition("/")[0] for name in value_info}
    problems = [
        _problem(source, key, metric, sorted(value_info))
        for key, metric in _bands(source)
        if metric not in value_info and metric.partition("/")[0] in known and metric.partition("/")[0] not in left_out
    ]
    if problems:
        raise RecipeError(source.sorted(problems))


def require_bands(blueprint: Blueprint, value_info: Collection[str], left_out: Mapping[str, str]) -> None:
    """Refuse every band of what is not measured, whatever the reason: nothing could be said of it after training.

    Args:
        blueprint: the recipe, resolved.
        value_info: the values' names, such as ``modes/captured``.
        left_out: optional metrics that could not be built, and why.

    Raises:
        RecipeError: with each such band, at its place.
    """
    source = blueprint.source
    reasons = {**_not_to_be_had(blueprint), **left_out}
    problems = []
    for key, metric in _bands(source):
        reason = reasons.get(metric.partition("/")[0])
        if metric not in value_info and reason:
            problems.append(source.problem(key, f"'{metric[:60]}' cannot be measured here: {reason}", None))
        elif metric not in value_info:
            problems.append(_problem(source, key, metric, sorted(value_info)))
    if problems:
        raise RecipeError(source.sorted(problems))


def _not_to_be_had(blueprint: Blueprint) -> dict[str, str]:
    """Optional metrics of which a package is missing, and what was said of each."""
    tables = blueprint.source.value("metric") or []
    found = {}
    for index, table in enumerate(tables):
        told = next((one for one in blueprint.warnings if one.key == f"metric[{index}].use"), None)
        if told is not None and isinstance(table, Mapping):
            name = table.get("name") or str(table.get("use")).rpartition("/")[2].partition("@")[0]
            found[str(name)] = f"{told.message} ({told.hint})" if told.hint else told.message
    return found


def _bands(source: RecipeSource) -> Iterator[tuple[str, str]]:
    """Key and metric of each band, as far as it names one."""
    tables = source.value("expect")
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, Mapping) and isinstance(metric := table.get("metric"), str):
            yield f"expect[{index}].metric", metric


def _names(source: RecipeSource, found: PartSearch) -> set[str] | None:
    """What the recipe's metrics are called in logs, or ``None`` where some were not found, whose problem is told already."""
    tables = source.value("metric") or []
    if not isinstance(tables, list):
        return None
    components = {one.key: one.component.name for one in found.of(Kind.METRIC)}
    names = [_name(table, components.get(f"metric[{index}]")) for index, table in enumerate(tables)]
    return None if None in names else {name for name in names if name is not None}


def _name(table: object, component: str | None) -> str | None:
    own = table.get("name") if isinstance(table, Mapping) else None
    return own if isinstance(own, str) else component


def _problem(source: RecipeSource, key: str, metric: str, known: list[str]) -> Problem:
    listed = f"it measures {', '.join(known)}" if known else "it measures nothing: add a [[metric]] table"
    hint = did_you_mean(metric[:100], known) or listed
    return source.problem(key, f"the recipe measures nothing that is called '{metric[:60]}'", hint)

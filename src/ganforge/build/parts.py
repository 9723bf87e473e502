"""Each `use` of a recipe found among what is installed, and its params judged by the component's own model. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from pydantic import JsonValue

from ganforge.core.errors import PluginError, Problem, UsageError
from ganforge.core.params import Params
from ganforge.recipe.dotted_keys import Key, format_key
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry

SINGLE = (Kind.DATASET, Kind.SAMPLER, Kind.GENERATOR, Kind.DISCRIMINATOR)
"""Kinds of which a recipe names exactly one."""

MANY = (Kind.LOSS, Kind.METRIC)
"""Kinds of which a recipe holds a list."""


@dataclass(frozen=True, slots=True)
class Part:
    """One component as a recipe asks for it.

    Attributes:
        component: what is installed under the name.
        params: its parameters, judged, defaults filled in.
        key: the recipe's table, such as ``generator`` or ``loss[1]``.
    """

    component: Component
    params: Params
    key: str

    @property
    def filled(self) -> dict[str, JsonValue]:
        """All parameters as plain data, for a recipe that holds every default.

        What TOML has no word for, ``None`` and infinity, can only be a default, and is left out.
        """
        return dict(_sayable(self.params.model_dump(mode="json")))

    def __str__(self) -> str:
        return f"{self.component.kind} '{self.component.name}'"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A component that was found, whether or not its params are right; ``params`` is ``None`` where they are not."""

    component: Component
    params: Params | None
    key: str

    def __str__(self) -> str:
        return f"{self.component.kind} '{self.component.name}'"


@dataclass(frozen=True, slots=True)
class PartSearch:
    """What came of looking for all parts.

    Attributes:
        candidates: what was found, in the order of the recipe.
        problems: the user's to mend.
        failures: of plugins that are needed.
    """

    candidates: tuple[Candidate, ...]
    problems: tuple[Problem, ...]
    failures: tuple[tuple[str, PluginError], ...]

    def of(self, kind: Kind) -> tuple[Candidate, ...]:
        """The candidates of one kind."""
        return tuple(candidate for candidate in self.candidates if candidate.component.kind is kind)


def find_parts(source: RecipeSource, registry: Registry, kinds: Collection[Kind] = (*SINGLE, *MANY)) -> PartSearch:
    """Find every component of these kinds that the recipe names and judge its params, tables with schema problems included."""
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []
    for kind, key, table in _tables(source, kinds):
        try:
            component = registry.find(kind, table["use"])
            params = _judged(component, key, table.get("params", {}), source, problems)
        except PluginError as failure:
            failures.append((format_key((*key, "use")), failure))
        except UsageError as error:
            problems.append(source.problem((*key, "use"), error.message, error.remedy))
        else:
            candidates.append(Candidate(component, params, format_key(key)))
    return PartSearch(tuple(candidates), tuple(problems), tuple(failures))


def _tables(source: RecipeSource, kinds: Collection[Kind]) -> Iterator[tuple[Kind, Key, Mapping[str, Any]]]:
    """Every table that names a component of these kinds, as far as it is a table and names one."""
    for kind in (one for one in SINGLE if one in kinds):
        table = source.table.get(kind.value)
        if _names_one(table):
            yield kind, (kind.value,), table
    for kind in (one for one in MANY if one in kinds):
        tables = source.table.get(kind.value)
        for index, table in enumerate(tables if isinstance(tables, list) else ()):
            if _names_one(table):
                yield kind, (kind.value, index), table


def _names_one(table: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(table, Mapping) and isinstance(use := table.get("use"), str) and 0 < len(use) <= 200


def _judged(component: Component, key: Key, table: object, source: RecipeSource, problems: list[Problem]) -> Params | None:
    """The params, or ``None`` after adding what is wrong with them to ``problems``."""
    if not isinstance(table, Mapping):
        return None  # the schema tells it
    model = component.load_params()
    try:
        verdict = validate(model, table)
    except Exception as error:  # the boundary: a stranger's validators may raise anything
        raise PluginError(
            f"{component.kind} '{component.id}': its params model failed: {type(error).__name__}: {error}",
            remedy=f"report it to the authors of {component.plugin.distribution}",
        ) from error
    if isinstance(verdict, Params):
        return verdict
    problems += source.problems_at((*key, "params"), verdict)
    return None


def _sayable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sayable(item) for name, item in value.items() if not _unsayable(item)}
    if isinstance(value, list):
        return [_sayable(item) for item in value]
    return value


def _unsayable(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))

"""Find the components that a recipe names among the installed ones, and validate their parameters. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

from pydantic import JsonValue

from ganforge.core.errors import GanforgeError, PluginError, Problem, UsageError, describe_error, isolated
from ganforge.core.params import Params
from ganforge.recipe.dotted_keys import Key, format_key
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.tables import LIST_KINDS, SINGLE_KINDS
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a recipe, with its parameters.

    Attributes:
        component: the installed component.
        params: its parameters, valid and including defaults.
        key: the recipe's table, such as ``generator`` or ``loss[1]``.
    """

    component: Component
    params: Params
    key: str

    @property
    def filled(self) -> dict[str, JsonValue]:
        """All parameters as plain data, defaults included, for a resolved recipe.

        ``None`` and infinity are left out: TOML cannot represent them, so they are always defaults.
        """
        return dict(_toml_representable(self.params.model_dump(mode="json")))

    @property
    def identity(self) -> str:
        """The component's full id with its revision."""
        return f"{self.component.id}@{self.component.revision}"

    @property
    def title(self) -> str:
        """Table, kind and full id, as the beginning of a message."""
        return f"{self.key}: {self.component.kind} '{self.component.id}'"

    @property
    def report_hint(self) -> str:
        """Whom to report an error of the component to."""
        return f"report it to the authors of {self.component.plugin.distribution}"

    def __str__(self) -> str:
        return f"{self.component.kind} '{self.component.name}'"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A component that was found, whether or not its parameters are valid; ``params`` is ``None`` if they are not."""

    component: Component
    params: Params | None
    key: str

    @property
    def part(self) -> Part | None:
        """The part, if the parameters are valid."""
        return None if self.params is None else Part(self.component, self.params, self.key)

    def __str__(self) -> str:
        return f"{self.component.kind} '{self.component.name}'"


@dataclass(frozen=True, slots=True)
class PartSearch:
    """The result of a search for parts.

    Attributes:
        candidates: the components found, in the order of the recipe.
        problems: problems of the recipe.
        failures: keys of the recipe whose plugin failed, and the failure.
    """

    candidates: tuple[Candidate, ...]
    problems: tuple[Problem, ...] = ()
    failures: tuple[tuple[str, PluginError], ...] = ()

    def of(self, kind: Kind) -> tuple[Candidate, ...]:
        """The candidates of one kind."""
        return tuple(candidate for candidate in self.candidates if candidate.component.kind is kind)


@contextmanager
def plugin_errors(part: Part, problem: str, remedy: str | None = None) -> Iterator[None]:
    """Run a component's code, and raise its errors as `PluginError` with the component and the line of its code.

    Args:
        part: whose code runs.
        problem: message before the error, such as ``metric 'acme/fid' failed``.
        remedy: what to do; by default, report it to the authors.

    Raises:
        PluginError: the code raised something other than a `GanforgeError`.
    """
    try:
        with isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        source = part.component.source()
        message = f"{problem}: {describe_error(error, source and source.parent)}"
        raise PluginError(message, remedy=remedy or part.report_hint) from error


def find_parts(source: RecipeSource, registry: Registry, kinds: Collection[Kind] = (*SINGLE_KINDS, *LIST_KINDS)) -> PartSearch:
    """Find every component of these kinds that the recipe names and validate its parameters, even if a table has other problems."""
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []
    for kind, key, table in _component_tables(source, kinds):
        try:
            component = registry.find(kind, table["use"])
            params = _valid_params(component, key, table.get("params", {}), source, problems)
        except PluginError as failure:
            failures.append((format_key((*key, "use")), failure))
        except UsageError as error:
            problems.append(source.problem((*key, "use"), error.message, error.remedy))
        else:
            candidates.append(Candidate(component, params, format_key(key)))
    return PartSearch(tuple(candidates), tuple(problems), tuple(failures))


def _component_tables(source: RecipeSource, kinds: Collection[Kind]) -> Iterator[tuple[Kind, Key, Mapping[str, Any]]]:
    """Every table that names a component of these kinds."""
    for kind in (one for one in (*SINGLE_KINDS, *LIST_KINDS) if one in kinds):
        given = source.table.get(kind.value)
        tables: list[tuple[Key, object]] = [((kind.value,), given)]
        if kind in LIST_KINDS:
            tables = [((kind.value, index), table) for index, table in enumerate(given if isinstance(given, list) else ())]
        for key, table in tables:
            if _names_component(table):
                yield kind, key, table


def _names_component(table: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(table, Mapping) and isinstance(use := table.get("use"), str) and 0 < len(use) <= 200


def _valid_params(component: Component, key: Key, table: object, source: RecipeSource, problems: list[Problem]) -> Params | None:
    """The params, or ``None`` after adding their problems to ``problems``."""
    if not isinstance(table, Mapping):
        return None  # a problem of the recipe's schema
    model = component.load_params()
    try:
        result = validate(model, table)
    except Exception as error:  # a plugin's validators may raise anything
        raise PluginError(
            f"{component.kind} '{component.id}': its params model failed: {type(error).__name__}: {error}",
            remedy=f"report it to the authors of {component.plugin.distribution}",
        ) from error
    if isinstance(result, Params):
        return result
    problems += source.problems_at((*key, "params"), result)
    return None


def _toml_representable(value: Any) -> Any:
    """The value without ``None`` and infinity in its tables."""
    if isinstance(value, Mapping):
        kept = {name: item for name, item in value.items() if item is not None}
        return {name: _toml_representable(item) for name, item in kept.items() if not _is_infinite(item)}
    if isinstance(value, list):
        return [_toml_representable(item) for item in value]
    return value


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)

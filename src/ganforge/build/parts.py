"""Find the components that a recipe names among the installed ones, and validate their parameters. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from ganforge.core.errors import GanforgeError, PartError, PluginError, Problem, UsageError, describe_error, isolated
from ganforge.core.params import NoParams, Params
from ganforge.core.redaction import HIDDEN
from ganforge.recipe.config import LIST_KINDS, SINGLE_KINDS
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.toml_file import Key, format_key
from ganforge.recipe.toml_writer import without_unset
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a recipe, with its parameters, defaults included; without any if those of the recipe are not ``valid``.

    ``key`` is the recipe's table, such as ``generator`` or ``loss[1]``.
    """

    component: Component
    params: Params
    key: str
    valid: bool = True

    @property
    def filled(self) -> dict[str, JsonValue]:
        """All parameters as plain data, defaults included, for a resolved recipe."""
        return dict(without_unset(self.params.model_dump(mode="json")))

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
        """What to do about an error of the component's code."""
        plugin = self.component.plugin
        return f"fix it in {plugin.url}" if plugin.sha256 else f"report it to the authors of {plugin.distribution}"

    @property
    def remedy(self) -> str:
        """What to do about an error that may come from the parameters."""
        return (
            f"change {self.key}.params; if they are right, {self.report_hint}"
            if type(self.params).model_fields
            else self.report_hint
        )

    def __str__(self) -> str:
        return f"{self.component.kind} '{self.component.name}'"


@dataclass(frozen=True, slots=True)
class PartSearch:
    """The parts found, in the order of the recipe; problems of the recipe; and the keys whose plugin failed, with the failure."""

    parts: tuple[Part, ...]
    problems: tuple[Problem, ...] = ()
    failures: tuple[tuple[str, PluginError], ...] = ()

    def of(self, kind: Kind) -> tuple[Part, ...]:
        """The parts of one kind."""
        return tuple(part for part in self.parts if part.component.kind is kind)


@contextmanager
def plugin_errors(part: Part, problem: str, remedy: str | None = None) -> Iterator[None]:
    """Run a component's code, and raise its errors as `PluginError` with the line of its code. A `GanforgeError` passes."""
    try:
        with isolated():
            yield
    except GanforgeError:
        raise
    except Exception as error:
        source = part.component.source()
        message = f"{problem}: {describe_error(error, source and source.parent)}"
        raise PluginError(message, remedy=remedy or part.report_hint) from error


@contextmanager
def named_parts(parts: Collection[Part], kind: type[GanforgeError] = PluginError) -> Iterator[None]:
    """Raise the :class:`PartError` of a built part as :func:`name_part` words it; what parts print goes to stderr."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except PartError as error:
        raise name_part(error, parts, kind) from (error.__cause__ or error)


def name_part(error: PartError, parts: Collection[Part], kind: type[GanforgeError] = PluginError, when: str = "") -> GanforgeError:
    """The error of a built part with its component's name, the line of its code, and what to do.

    ``when`` follows the word "fails", such as " at iteration 12".
    """
    part = next((one for one in parts if one.key == error.key), None)
    if part is None:
        return error
    cause, fault, remedy = error.__cause__, error.fault, error.remedy or part.report_hint
    if cause is not None and not isinstance(cause, GanforgeError):
        source = part.component.source()
        fault, remedy = f"fails{when}: {describe_error(cause, source and source.parent)}", part.remedy
    return kind(f"{part.title} {fault}", remedy=remedy)


def find_parts(source: RecipeSource, registry: Registry, kinds: Collection[Kind] = (*SINGLE_KINDS, *LIST_KINDS)) -> PartSearch:
    """Find every component of these kinds that the recipe names and validate its parameters, even if a table has other problems."""
    parts: list[Part] = []
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []
    for kind, key, table in _component_tables(source, kinds):
        try:
            part = Part(registry.find(kind, table["use"]), NoParams(), format_key(key), valid=False)
            parts.append(_with_params(part, key, table.get("params", {}), source, problems))
        except PluginError as failure:
            failures.append((format_key((*key, "use")), failure))
        except UsageError as error:
            problems.append(source.problem((*key, "use"), error.message, error.remedy))
    return PartSearch(tuple(parts), tuple(problems), tuple(failures))


def _component_tables(source: RecipeSource, kinds: Collection[Kind]) -> Iterator[tuple[Kind, Key, Mapping[str, Any]]]:
    """Every table that names a component of these kinds."""
    for kind in (one for one in (*SINGLE_KINDS, *LIST_KINDS) if one in kinds):
        tables: list[tuple[Key, object]] = [((kind.value,), source.table.get(kind.value))]
        if kind in LIST_KINDS:
            tables = [((kind.value, index), table) for index, table in enumerate(source.tables(kind.value))]
        for key, table in tables:
            if isinstance(table, Mapping) and isinstance(use := table.get("use"), str) and 0 < len(use) <= 200:
                yield kind, key, table


def _with_params(part: Part, key: Key, table: object, source: RecipeSource, problems: list[Problem]) -> Part:
    """The part with its parameters, if they are valid; else their problems are added to ``problems``."""
    if not isinstance(table, Mapping):
        return part  # a problem of the recipe's schema
    if hidden := [name for name, value in table.items() if value == HIDDEN]:
        message, hint = "run folders do not keep secrets", "give the value with --set, or name the recipe that has it"
        problems += [source.problem((*key, "params", name), message, hint) for name in hidden]
        return part
    model = part.component.load_params()
    with plugin_errors(part, f"{part.component.kind} '{part.component.id}': its params model failed"):
        result = validate(model, table)
    if isinstance(result, Params):
        return replace(part, params=result, valid=True)
    problems += source.problems_at((*key, "params"), result)
    return part

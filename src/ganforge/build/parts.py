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
from ganforge.core.specs import GameSpec, network_key
from ganforge.recipe.config import LIST_KINDS, NETWORK_KINDS, SINGLE_KINDS, GameTable
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.toml_file import Key, format_key
from ganforge.recipe.toml_writer import without_unset
from ganforge.recipe.validation import missing_table, validate
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a recipe, with its parameters, defaults included; without any if those of the recipe are not ``valid``.

    ``key`` is the recipe's table, such as ``generator`` or ``loss[1]``, and ``role`` that of a network in the game.
    """

    component: Component
    params: Params
    key: str
    valid: bool = True
    role: str | None = None

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
    """The parts found, in the order of the recipe; problems of the recipe; and the keys whose plugin failed, with the failure.

    ``game`` is ``None`` if the recipe's game was not found.
    """

    parts: tuple[Part, ...]
    problems: tuple[Problem, ...] = ()
    failures: tuple[tuple[str, PluginError], ...] = ()
    game: GameSpec | None = None

    def of(self, kind: Kind) -> tuple[Part, ...]:
        """The parts of one kind."""
        return tuple(part for part in self.parts if part.component.kind is kind)

    @property
    def critic(self) -> Part | None:
        """The game's critic, if it has one and it was found."""
        role = None if self.game is None else self.game.critic
        return next((part for part in self.parts if role is not None and part.role == role), None)


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


def find_parts(
    source: RecipeSource, registry: Registry, kinds: Collection[Kind] = (*SINGLE_KINDS, *NETWORK_KINDS, *LIST_KINDS)
) -> PartSearch:
    """Find every component of these kinds that the recipe names and validate its parameters, even if a table has other problems.

    The game is always among them, because it decides which networks there are.
    """
    parts: list[Part] = []
    problems: list[Problem] = []
    failures: list[tuple[str, PluginError]] = []

    def find(kind: Kind, key: Key, table: Mapping[str, Any], role: str | None = None) -> None:
        try:
            part = Part(registry.find(kind, table["use"]), NoParams(), format_key(key), valid=False, role=role)
            parts.append(_with_params(part, key, table.get("params", {}), source, problems))
        except PluginError as failure:
            failures.append((format_key((*key, "use")), failure))
        except UsageError as error:
            problems.append(source.problem((*key, "use"), error.message, error.remedy))

    def find_all(kind: Kind) -> None:
        for key, table in _tables(source, kind) if kind in kinds or kind is Kind.GAME else ():
            find(kind, key, table)

    for kind in SINGLE_KINDS:
        find_all(kind)
    game = next((game_spec(part.component, part.params) for part in parts if part.component.kind is Kind.GAME and part.valid), None)
    if game is not None and set(NETWORK_KINDS) <= set(kinds):
        for role, key, table in _network_tables(source, game, problems):
            find(Kind(game.networks[role].kind), key, table, role)
    for kind in LIST_KINDS:
        find_all(kind)
    return PartSearch(tuple(parts), tuple(problems), tuple(failures), game)


def _tables(source: RecipeSource, kind: Kind) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """Every table that names a component of a kind, networks excepted; the default game if the recipe has none."""
    tables: list[tuple[Key, Any]] = [((kind.value,), source.table.get(kind.value))]
    if kind in LIST_KINDS:
        tables = [((kind.value, index), table) for index, table in enumerate(source.tables(kind.value))]
    if kind is Kind.GAME and isinstance(given := source.table.get(kind.value, {}), Mapping):
        tables = [((kind.value,), {"use": GameTable().use, **given})]
    yield from ((key, table) for key, table in tables if _names_component(table))


def _network_tables(source: RecipeSource, game: GameSpec, problems: list[Problem]) -> Iterator[tuple[str, Key, Mapping[str, Any]]]:
    """The table of each network of the game by its role; missing ones and ones that the game does not have are problems."""
    named = [kind.value for kind in NETWORK_KINDS if kind.value in source.table]
    others = source.table.get("networks")
    given: dict[str, tuple[Key, Any]] = {role: ((role,), source.table[role]) for role in named}
    if isinstance(others, Mapping):
        given |= {role: (("networks", role), table) for role, table in others.items()}

    tables = {role: f"[{network_key(role)}]" for role in game.networks}
    for role, (key, _) in given.items():
        if role not in game.networks:
            hint = f"its tables are {', '.join(tables.values())}"
            problems.append(source.problem(key, f"the game has no network '{role}'", hint))
    for role in tables:
        if role not in given:
            problems.append(source.problem(network_key(role), *missing_table(network_key(role))))
        elif _names_component(given[role][1]):
            yield role, *given[role]


def _names_component(table: object) -> bool:
    return isinstance(table, Mapping) and isinstance(use := table.get("use"), str) and 0 < len(use) <= 200


def game_spec(component: Component, params: Params) -> GameSpec:
    """What a game consists of.

    Raises:
        PluginError: its plugin declares no spec, or one that is not a GameSpec, or its function fails.
    """
    part = Part(component, params, Kind.GAME.value)
    function = component.load_spec()
    with plugin_errors(part, f"{part}: its spec function failed"):
        spec = None if function is None else function(params)
    if not isinstance(spec, GameSpec):
        raise PluginError(f"{part} has no spec that gives a GameSpec", remedy=part.report_hint)
    return spec


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

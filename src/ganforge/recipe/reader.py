"""Read a recipe from files and ``--set``, with the place of each value and every problem; explain where values come from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from pathlib import Path
from typing import Any

from ganforge.core.errors import Problem, RecipeError, UsageError, did_you_mean
from ganforge.core.params import Params, Schedule
from ganforge.core.specs import network_key
from ganforge.recipe.config import Recipe
from ganforge.recipe.layers import Place, apply_overrides, load_chain
from ganforge.recipe.toml_file import Key, format_key, parse_key, resolve_indices, step_into
from ganforge.recipe.validation import ValidationIssue, other_word, validate

Owner = tuple[str, Params]
"""Id and revision of a component, and its parameters."""

MAX_PROBLEMS = 100
"""Problems that are shown, at most."""


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """A recipe as it was read: its own file and text, all files that were read, the merged tables, and where each key was given.

    Values that no recipe may hold, such as dates, are `problems`; in the table harmless ones replace them at the keys ``replaced``.
    """

    path: Path
    text: str
    files: tuple[Path, ...]
    table: Mapping[str, Any]
    places: Mapping[Key, Place]
    replaced: frozenset[Key] = frozenset()
    problems: tuple[Problem, ...] = ()
    _recipe: Recipe | None = field(default=None, repr=False)

    @property
    def recipe(self) -> Recipe:
        """The recipe, before its component parameters are validated; a RecipeError if there are `problems`."""
        if self._recipe is None:
            raise RecipeError(self.problems)
        return self._recipe

    def place(self, key: str | Key) -> Place | None:
        """Where a value was given, or ``None`` for a default."""
        full = self._key(key)
        if self.value(full) is None:
            return None
        for length in range(len(full), 0, -1):
            # a value inside a table given by --set comes from --set; one inside a table of a file has its own line or is a default
            place = self.places.get(full[:length])
            if place and (length == len(full) or place.file is None):
                return place
        return None

    def value(self, key: str | Key) -> Any:
        """The value of a key in the recipe's files and ``--set``, or ``None``."""
        value: Any = self.table
        for step in self._key(key):
            value = step_into(value, step)
        return value

    def tables(self, key: str) -> list[Any]:
        """The elements of a list, such as ``metric``; none if the value is not a list."""
        found = self.value(key)
        return found if isinstance(found, list) else []

    def problem(self, key: str | Key, message: str, hint: str | None = None) -> Problem:
        """A problem with a key, at its place."""
        full = self._key(key)
        below = (place for other, place in self.places.items() if full and other[: len(full)] == full)  # of a table without a line
        around = (self.places.get(full[:length]) for length in range(len(full) - 1, 0, -1))
        place = self.places.get(full) or next(below, None) or next(filter(None, around), Place(self.path, None))
        return Problem(format_key(full), message, file=place.file, line=place.line, hint=hint)

    def problems_at(self, table: Key, issues: Iterable[ValidationIssue]) -> Iterator[Problem]:
        """Problems for the issues of a table, except issues about replaced values."""
        for issue in issues:
            key = (*table, *issue.key)
            if not any(other == key or (issue.joint and other[: len(key)] == key) for other in self.replaced):
                yield self.problem(self._overridden(key, issue.message) if issue.joint else key, issue.message, issue.hint)

    def sorted(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems by place, without duplicates: the recipe's own file first, ``--set`` last; within a file, by line."""
        order = {file: number for number, file in enumerate(self.files)}
        unique = dict.fromkeys(problems)
        found = sorted(unique, key=lambda p: (order.get(p.file, len(order)) if p.file else len(order), p.line or math.inf, p.key))
        if len(found) <= MAX_PROBLEMS:
            return tuple(found)
        return (*found[:MAX_PROBLEMS], Problem("", f"more than {MAX_PROBLEMS} problems; the rest is not shown", file=self.path))

    def _key(self, key: str | Key) -> Key:
        return resolve_indices(parse_key(key) if isinstance(key, str) else key, self.table) if key else ()

    def _overridden(self, key: Key, message: str) -> Key:
        """The key of the last ``--set`` value that a message about this table mentions, or the key of the table itself."""
        given = [other for other, place in self.places.items() if place.file is None and other[:-1] == key]
        return next((other for other in reversed(given) if re.search(rf"\b{re.escape(str(other[-1]))}\b", message)), key)


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RecipeSource:
    """Read a recipe, the files that it extends, and ``key=value`` overrides; a RecipeError if a file cannot be read or extended.

    Problems with single keys are in `RecipeSource.problems`; `RecipeSource.recipe` raises them.
    """
    path = Path(path)
    merged, problems = apply_overrides(load_chain(path), overrides)
    unusable: list[ValidationIssue] = []
    table = _replace_unusable(merged.table, (), unusable)
    files = tuple(document.path for document in merged.documents)
    replaced = frozenset(issue.key for issue in unusable)
    source = RecipeSource(path, merged.documents[0].text, files, table, merged.places, replaced)

    result = validate(Recipe, table)
    problems += [source.problem(issue.key, issue.message, issue.hint) for issue in unusable]
    problems += source.problems_at((), _overflowing_schedules(result) if isinstance(result, Recipe) else result)
    recipe = result if isinstance(result, Recipe) and not problems else None
    return replace(source, problems=source.sorted(problems), _recipe=recipe)


def _overflowing_schedules(recipe: Recipe) -> Iterator[ValidationIssue]:
    """Schedules whose factor overflows within the run."""
    iterations = recipe.train.iterations
    scalars: list[tuple[Key, object]] = [(("train", "ema_decay"), recipe.train.ema_decay)]
    for role, network in recipe.network_tables.items():
        scalars += [((*parse_key(network_key(role)), "optimizer", key), value) for key, value in network.optimizer]
    scalars += [(("loss", index, "weight"), table.weight) for index, table in enumerate(recipe.loss)]
    for key, schedule in ((key, value) for key, value in scalars if isinstance(value, Schedule)):
        try:
            schedule.at(iterations, iterations)
        except OverflowError:
            hint = f"its factor is {schedule.factor} to the power of {iterations}"
            yield ValidationIssue(key, f"exceeds the range of numbers within {iterations} iterations", hint)


def _replace_unusable(value: Any, key: Key, issues: list[ValidationIssue]) -> Any:
    """The value with dates, infinite and oversized numbers replaced; each one is added to ``issues``."""
    if isinstance(value, dict):
        return {name: _replace_unusable(item, (*key, name), issues) for name, item in value.items()}
    if isinstance(value, list):
        return [_replace_unusable(item, (*key, index), issues) for index, item in enumerate(value)]
    if isinstance(value, date | time):
        issues.append(ValidationIssue(key, "dates are not allowed", f'write it as text: "{value.isoformat()}"'))
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        issues.append(ValidationIssue(key, f"must be a finite number, got {value}"))
        return 0.0
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        issues.append(ValidationIssue(key, "integers must fit into 64 bits"))
        return 0
    return value


@dataclass(frozen=True, slots=True)
class ExplainedValue:
    """One value of a resolved recipe as plain data, and either where it was given or what defines its default."""

    key: Key
    value: Any
    place: Place | None
    default_of: str | None
    description: str

    @property
    def origin(self) -> str:
        """``recipe.toml:12``, ``--set`` or ``default of …``."""
        return str(self.place) if self.place else f"default of {self.default_of}"


def explain_values(source: RecipeSource, resolved: Recipe, owners: Mapping[str, Owner]) -> tuple[ExplainedValue, ...]:
    """All values of a resolved recipe, in the order of its schema; ``owners`` are its components by table, such as ``loss[1]``."""
    return tuple(_explained(source, resolved, (), None, {parse_key(table): owner for table, owner in owners.items()}))


def select_values(values: Sequence[ExplainedValue], text: str) -> tuple[ExplainedValue, ...]:
    """The values at or below a key; a UsageError if there are none."""
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    try:
        key = parse_key(text)
    except ValueError:
        raise UsageError(
            f"'{shown}' is not a dotted key", remedy="write it as in train.seed, loss[1].weight or generator.params"
        ) from None
    wanted = tuple(map(str, key))
    chosen = tuple(value for value in values if tuple(map(str, value.key[: len(key)])) == wanted)
    if not chosen:
        known = dict.fromkeys(format_key(value.key[:length]) for value in values for length in range(1, len(value.key) + 1))
        tables = dict.fromkeys(str(value.key[0]) for value in values)
        named = next((f"did you mean '{one}'?" for one in known if key[-1:] == parse_key(one)[-1:]), None)
        remedy = named or other_word(str(key[-1])) or did_you_mean(text, known) or f"tables: {', '.join(tables)}"
        raise UsageError(f"the recipe has no key '{shown}'", remedy=remedy)
    return chosen


def _explained(
    source: RecipeSource, model: Params, at: Key, owner: str | None, owners: Mapping[Key, Owner]
) -> Iterator[ExplainedValue]:
    """The values of a table and of the tables in it; ``owner`` is the component whose params they are."""
    plain = model.model_dump(mode="json")
    for name, info in type(model).model_fields.items():
        key, value = (*at, name), getattr(model, name)
        if name == "params" and at in owners:
            owner_name, params = owners[at]
            yield from _explained(source, params, key, owner_name, owners)
        elif isinstance(value, Params):
            yield from _explained(source, value, key, owner, owners)
        elif isinstance(value, tuple | list) and value and all(isinstance(item, Params) for item in value):
            for index, item in enumerate(value):
                yield from _explained(source, item, (*key, index), owner, owners)
        else:
            place = source.place(key)
            default_of = None if place else owner or _default_owner(model, at, name, owners)
            yield ExplainedValue(key, plain[name], place, default_of, " ".join((info.description or "").split()))


def _default_owner(model: Params, at: Key, name: str, owners: Mapping[Key, Owner]) -> str:
    """What defines the default of a value outside params."""
    if isinstance(model, Schedule):
        return "a schedule"
    if at[-1:] == ("optimizer",) and name != "use":
        return str(getattr(model, "use", "optimizer"))
    if at[:1] == ("metric",) and name == "name":
        return owners[at][0]
    if not at:
        return "the recipe"
    return f"[[{at[0]}]]" if len(at) > 1 and isinstance(at[1], int) else f"[{at[0]}]"

"""From files and ``--set`` to a recipe, with the place of each value remembered and every problem told at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from pathlib import Path
from typing import Any

from ganforge.core.errors import Problem, RecipeError
from ganforge.core.schedules import Schedule
from ganforge.recipe.dotted_keys import Key, format_key, parse_key, resolve_indices, step_into
from ganforge.recipe.inheritance import Place, load_chain
from ganforge.recipe.overrides import apply_overrides
from ganforge.recipe.tables import Recipe
from ganforge.recipe.validation import ValidationIssue, validate

MAX_PROBLEMS = 100
"""Problems that are told, at most."""

_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """A recipe as it was read: its tables, where each value was given, and what is wrong with it.

    Attributes:
        path: the recipe's file.
        text: that file's text.
        files: every file that was read: the recipe's and those it extends.
        overrides: the ``--set`` texts.
        table: the merged tables; values that no recipe may hold, such as dates, are replaced by harmless ones and are `problems`.
        places: where each key was given.
        replaced: the keys of those values; a judgement on them would be one on what the user did not write.
        problems: everything wrong with the tables, component parameters apart, sorted by place.
    """

    path: Path
    text: str
    files: tuple[Path, ...]
    overrides: tuple[str, ...]
    table: Mapping[str, Any]
    places: Mapping[Key, Place]
    replaced: frozenset[Key] = frozenset()
    problems: tuple[Problem, ...] = ()
    _recipe: Recipe | None = field(default=None, repr=False)

    @property
    def recipe(self) -> Recipe:
        """The recipe; component parameters are not judged yet.

        Raises:
            RecipeError: with all `problems`, where there are any.
        """
        if self._recipe is None:
            raise RecipeError(self.problems)
        return self._recipe

    def where(self, key: str | Key) -> tuple[Path, int] | None:
        """File and line of a key, or of the nearest table around it; ``None`` for ``--set`` and for keys that are nowhere."""
        place = self._nearest(self._steps(key))
        return (place.file, place.line) if place and place.file and place.line else None

    def place(self, key: str | Key) -> Place | None:
        """Where a value was given, or ``None`` where it is a default."""
        steps = self._steps(key)
        if self.value(steps) is None:
            return None
        for length in range(len(steps), 0, -1):
            # A value inside one that --set gave comes from --set; one merely below a table of a file does not come from its line.
            place = self.places.get(steps[:length])
            if place and (length == len(steps) or place.file is None):
                return place
        return None

    def origin(self, key: str | Key) -> str:
        """Where a value comes from: ``recipe.toml:12``, ``--set`` or ``default``."""
        return str(self.place(key) or "default")

    def value(self, key: str | Key) -> Any:
        """What the recipe's files and ``--set`` give for a key, or ``None``."""
        value: Any = self.table
        for step in self._steps(key):
            value = step_into(value, step)
        return value

    def problem(self, key: str | Key, message: str, hint: str | None = None) -> Problem:
        """A problem with a key, at its place."""
        steps = self._steps(key)
        place = self._nearest(steps)
        if place is None:
            return Problem(format_key(steps), message, file=self.path, hint=hint)
        if place.file is None:
            return Problem(format_key(steps), message, hint=hint)
        return Problem(format_key(steps), message, file=place.file, line=place.line, hint=hint)

    def faulted(self, faults: Iterable[ValidationIssue], within: Key = ()) -> Iterator[Problem]:
        """Problems for what is wrong with the table at ``within``, but for judgements on values that the user did not write."""
        for fault in faults:
            key = (*within, *fault.key)
            if not any(other == key or (fault.joint and other[: len(key)] == key) for other in self.replaced):
                yield self.problem(self._overridden(key, fault.message) if fault.joint else key, fault.message, fault.hint)

    def sorted(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """By place: the recipe's own file first, what has no line at a file's end, ``--set`` last; one at most for each mistake."""
        order = {file: number for number, file in enumerate(self.files)}
        unique = dict.fromkeys(problems)
        found = sorted(unique, key=lambda p: (order.get(p.file, len(order)) if p.file else len(order), p.line or math.inf, p.key))
        if len(found) <= MAX_PROBLEMS:
            return tuple(found)
        return (*found[:MAX_PROBLEMS], Problem("", f"more than {MAX_PROBLEMS} problems; the rest is not shown", file=self.path))

    def _steps(self, key: str | Key) -> Key:
        return resolve_indices(parse_key(key) if isinstance(key, str) else key, self.table) if key else ()

    def _overridden(self, key: Key, message: str) -> Key:
        """Of the values of a table that a message on all of them names, the last that ``--set`` gave; else the table."""
        given = [other for other, place in self.places.items() if place.file is None and other[:-1] == key]
        return next((other for other in reversed(given) if re.search(rf"\b{re.escape(str(other[-1]))}\b", message)), key)

    def _nearest(self, key: Key) -> Place | None:
        return next((self.places[key[:length]] for length in range(len(key), 0, -1) if key[:length] in self.places), None)


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> RecipeSource:
    """Read a recipe, what it extends, and ``--set`` over it.

    Args:
        path: the recipe's file.
        overrides: ``key=value`` texts.

    Returns:
        The source. Problems with single keys stand in `RecipeSource.problems`, and asking for `RecipeSource.recipe` raises them.

    Raises:
        RecipeError: a file that cannot be read as TOML, or cannot be extended.
    """
    path = Path(path)
    layers = load_chain(path)
    table, places, refused = apply_overrides(layers.table, layers.places, overrides)
    unusable: list[ValidationIssue] = []
    table = _plain(table, (), unusable)

    source = RecipeSource(
        path=path,
        text=layers.documents[0].text,
        files=tuple(document.path for document in layers.documents),
        overrides=tuple(overrides),
        table=table,
        places=places,
        replaced=frozenset(fault.key for fault in unusable),
    )
    verdict = validate(Recipe, table)
    problems = [source.problem(fault.key, fault.message, fault.hint) for fault in unusable]
    problems += source.faulted(_runaways(verdict) if isinstance(verdict, Recipe) else verdict)
    problems += refused
    recipe = verdict if isinstance(verdict, Recipe) and not problems else None
    return replace(source, problems=source.sorted(problems), _recipe=recipe)


def _runaways(recipe: Recipe) -> Iterator[ValidationIssue]:
    """Schedules that leave the range of numbers before the run is over."""
    iterations = recipe.train.iterations
    for key, schedule in _schedules(recipe):
        try:
            schedule.at(iterations, iterations)
        except OverflowError:
            hint = f"a factor above 1 grows fast: {schedule.factor} to the power of {iterations}" if schedule.factor else None
            yield ValidationIssue(key, f"grows beyond all numbers within {iterations} iterations", hint)


def _schedules(recipe: Recipe) -> Iterator[tuple[Key, Schedule]]:
    scalars: list[tuple[Key, object]] = [(("train", "average"), recipe.train.average)]
    for name, network in (("generator", recipe.generator), ("discriminator", recipe.discriminator)):
        scalars += [((name, "optimizer", key), value) for key, value in network.optimizer]
    scalars += [(("loss", index, "weight"), table.weight) for index, table in enumerate(recipe.loss)]
    return ((key, value) for key, value in scalars if isinstance(value, Schedule))


def _plain(value: Any, key: Key, unusable: list[ValidationIssue]) -> Any:
    """The same value with dates, infinite and giant numbers replaced; each is a fault."""
    if isinstance(value, dict):
        return {name: _plain(item, (*key, name), unusable) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, (*key, index), unusable) for index, item in enumerate(value)]
    if isinstance(value, date | time):
        unusable.append(ValidationIssue(key, "a recipe holds no dates", f'write it as text: "{value.isoformat()}"'))
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        unusable.append(ValidationIssue(key, f"must be a finite number, got {value}"))
        return 0.0
    if isinstance(value, int) and value not in _INTEGERS:
        unusable.append(ValidationIssue(key, "this whole number has more than 64 bits"))
        return 0
    return value

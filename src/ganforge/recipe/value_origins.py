"""Where each value of a recipe comes from: a line of the recipe or of a file that it extends, ``--set``, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError, did_you_mean
from ganforge.core.params import Params, Schedule
from ganforge.recipe.dotted_keys import Key, format_key, parse_key, resolve_indices
from ganforge.recipe.layers import Place
from ganforge.recipe.reader import RecipeSource
from ganforge.recipe.tables import Recipe


@dataclass(frozen=True, slots=True)
class ExplainedValue:
    """One value of a resolved recipe.

    Attributes:
        key: its key.
        value: the value as plain data; ``None`` if it is not set.
        place: where it was given, or ``None`` for a default.
        default_of: what defines the default, or ``None`` for a given value.
        description: what it means.
    """

    key: Key
    value: Any
    place: Place | None
    default_of: str | None
    description: str

    @property
    def file(self) -> Path | None:
        """The file that it was given in, or ``None``."""
        return self.place.file if self.place else None

    @property
    def line(self) -> int | None:
        """The line that it was given in, or ``None``."""
        return self.place.line if self.place else None

    @property
    def origin(self) -> str:
        """``recipe.toml:12``, ``--set`` or ``default of …``."""
        return str(self.place) if self.place else f"default of {self.default_of}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The component of a table.

    Attributes:
        name: its id and revision.
        params: its parameters, including defaults.
    """

    name: str
    params: Params


def explain_values(source: RecipeSource, resolved: Recipe, owners: Mapping[str, Owner]) -> tuple[ExplainedValue, ...]:
    """All values of a recipe, in the order of its schema.

    Args:
        source: the recipe as read.
        resolved: the recipe with full names.
        owners: the component of each table that has one, such as ``generator`` or ``loss[1]``.
    """
    return tuple(_explained(source, resolved, (), None, {parse_key(table): owner for table, owner in owners.items()}))


def select_values(values: Sequence[ExplainedValue], text: str) -> tuple[ExplainedValue, ...]:
    """The values at or below a key.

    Raises:
        UsageError: there is no such value.
    """
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    try:
        key = parse_key(text)
    except ValueError:
        raise UsageError(
            f"'{shown}' is not a dotted key", remedy="write it as in train.seed, loss[1].weight or generator.params"
        ) from None
    key = resolve_indices(key, _lists(values))
    chosen = tuple(value for value in values if value.key[: len(key)] == key)
    if not chosen:
        known = dict.fromkeys(format_key(value.key[:length]) for value in values for length in range(1, len(value.key) + 1))
        hint = did_you_mean(text, known) if len(text) <= 100 else None
        raise UsageError(f"the recipe has no key '{shown}'", remedy=hint or f"tables: {', '.join(_tables(values))}")
    return chosen


def _explained(
    source: RecipeSource, model: Params, at: Key, owner: str | None, owners: Mapping[Key, Owner]
) -> Iterator[ExplainedValue]:
    """The values of a table and of the tables in it; ``owner`` is the component whose params they are."""
    plain = model.model_dump(mode="json")
    for name, field in type(model).model_fields.items():
        key, value = (*at, name), getattr(model, name)
        if name == "params" and at in owners:
            yield from _explained(source, owners[at].params, key, owners[at].name, owners)
        elif isinstance(value, Params):
            yield from _explained(source, value, key, owner, owners)
        elif isinstance(value, tuple | list) and value and all(isinstance(item, Params) for item in value):
            for index, item in enumerate(value):
                yield from _explained(source, item, (*key, index), owner, owners)
        else:
            place = source.place(key)
            default_of = None if place else owner or _default_owner(model, at, name, owners)
            yield ExplainedValue(key, plain[name], place, default_of, " ".join((field.description or "").split()))


def _default_owner(model: Params, at: Key, name: str, owners: Mapping[Key, Owner]) -> str:
    """What defines the default of a value outside params."""
    if isinstance(model, Schedule):
        return "a schedule"
    if at[-1:] == ("optimizer",) and name != "use":
        return str(getattr(model, "use", "optimizer"))
    if at[:1] == ("metric",) and name == "name":
        return owners[at].name
    if not at:
        return "the recipe"
    return f"[[{at[0]}]]" if len(at) > 1 and isinstance(at[1], int) else f"[{at[0]}]"


def _lists(values: Sequence[ExplainedValue]) -> dict[str, object]:
    """Lists as long as the recipe's arrays of tables, which is enough to distinguish indices from names."""
    lists: dict[str, object] = {}
    for value in values:
        name = value.key[0]
        if isinstance(name, str) and len(value.key) > 1 and isinstance(value.key[1], int):
            lists[name] = [None] * (value.key[1] + 1)
    return lists


def _tables(values: Sequence[ExplainedValue]) -> list[str]:
    return list(dict.fromkeys(format_key(value.key[:1]) for value in values))

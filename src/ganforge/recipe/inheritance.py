"""``extends = "base.toml"``: a recipe laid over another one, with the place of every key remembered.

Tables are merged key by key; every other value, lists and arrays of tables included, is replaced. A table that names another
component or curve than its base starts anew: another ``use`` drops the base's ``params`` (an optimizer's whole table), another
``schedule`` drops the whole curve, for the keys of the one mean nothing to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ganforge.core.errors import Problem, RecipeError
from ganforge.recipe.dotted_keys import Key
from ganforge.recipe.toml_file import TomlDocument, load_toml

MAX_CHAIN = 8
"""Files in a chain of ``extends``, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was given; both ``None`` for ``--set``."""

    file: Path | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "--set"


@dataclass(frozen=True, slots=True)
class Layers:
    """A recipe's tables after merging.

    Attributes:
        table: the merged tables, without ``extends``.
        places: where each key was given.
        documents: every file that was read, the recipe itself first.
    """

    table: dict[str, Any]
    places: dict[Key, Place]
    documents: tuple[TomlDocument, ...]


def load_chain(path: Path) -> Layers:
    """Read a recipe and the chain of files that it extends.

    A base is named by a relative path with forward slashes and lies in the recipe's own folder or below it, links followed.

    Raises:
        RecipeError: a file of the chain cannot be read, lies elsewhere, or the chain is longer than `MAX_CHAIN` or a circle.
    """
    documents = [load_toml(path)]
    root = path.parent.resolve()
    while base := _base(documents[-1], root):
        if base.resolve() in {document.path.resolve() for document in documents}:
            names = " → ".join(str(document.path) for document in documents)
            raise _refused(documents[-1], f"the files extend each other in a circle: {names} → {base}")
        if len(documents) == MAX_CHAIN:
            raise _refused(documents[-1], f"a chain of more than {MAX_CHAIN} files that extend each other")
        if not base.is_file():
            raise _refused(documents[-1], f"there is no file {base}")
        documents.append(load_toml(base))

    table: dict[str, Any] = {}
    places: dict[Key, Place] = {}
    for document in reversed(documents):
        top = {name: value for name, value in document.table.items() if name != "extends"}
        replaced: list[Key] = []
        table = _merged(table, top, (), replaced)
        places = {key: place for key, place in places.items() if not _below_any(key, replaced)}
        places |= {key: Place(document.path, line) for key, line in document.lines.items() if key != ("extends",)}
    return Layers(table, places, tuple(documents))


def _base(document: TomlDocument, root: Path) -> Path | None:
    """The file that ``document`` extends, or ``None``."""
    if "extends" not in document.table:
        return None
    name = document.table["extends"]
    if not isinstance(name, str) or not name.strip():
        raise _refused(document, 'must be the name of a file in quotes, such as extends = "base.toml"')
    if "://" in name:
        raise _refused(
            document, "must be a local file; a recipe fetches nothing", hint="download the file, read it, and extend the copy"
        )
    if "\\" in name or "\0" in name or PurePosixPath(name).is_absolute() or ":" in name.partition("/")[0]:
        raise _refused(document, "must be a relative path with forward slashes", hint='such as extends = "base.toml"')
    base = document.path.parent / name
    if ".." in PurePosixPath(name).parts or not base.resolve().is_relative_to(root):
        raise _refused(
            document, f"must lie in the recipe's own folder or below it, {name!r} does not", hint="move the base beside the recipe"
        )
    return base


def _merged(base: Mapping[str, Any], top: Mapping[str, Any], at: Key, replaced: list[Key]) -> dict[str, Any]:
    """``top`` over ``base``; appends the keys whose base value is gone to ``replaced``."""
    merged = dict(base)
    if _another(base, top, "use") and len(at) == 1 and merged.pop("params", None) is not None:
        replaced.append((*at, "params"))
    for name, value in top.items():
        key = (*at, name)
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _starts_anew(below, value, key):
            merged[name] = _merged(below, value, key, replaced)
            continue
        if name in merged:
            replaced.append(key)
        merged[name] = value
    return merged


def _starts_anew(base: Mapping[str, Any], top: Mapping[str, Any], key: Key) -> bool:
    return _another(base, top, "schedule") or (len(key) > 1 and _another(base, top, "use"))


def _another(base: Mapping[str, Any], top: Mapping[str, Any], name: str) -> bool:
    return name in top and name in base and top[name] != base[name]


def _below_any(key: Key, others: list[Key]) -> bool:
    return any(key[: len(other)] == other for other in others)


def _refused(document: TomlDocument, message: str, *, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem("extends", message, file=document.path, line=document.lines[("extends",)], hint=hint)])

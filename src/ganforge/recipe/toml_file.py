"""One TOML file: read within limits, parsed, with the line of each key. Everything that a stranger's file can do ends here."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.core.errors import Problem, RecipeError
from ganforge.recipe.dotted_keys import Key
from ganforge.recipe.toml_positions import TomlError, find_lines

MAX_BYTES = 1_000_000
"""Bytes of a recipe file, at most."""

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class TomlDocument:
    """A TOML file as it stands.

    Attributes:
        path: the file.
        text: its text.
        table: its tables, as ``tomllib`` gives them.
        lines: the line of each key.
    """

    path: Path
    text: str
    table: Mapping[str, Any]
    lines: Mapping[Key, int]


def load_toml(path: Path) -> TomlDocument:
    """Read one TOML file.

    Raises:
        RecipeError: no such file, a folder, unreadable, larger than `MAX_BYTES`, not UTF-8, not TOML, or without any key.
    """
    text = _text(path)
    try:
        table, lines = parse_toml(text)
    except TomlError as error:
        column = f", column {error.column}" if error.column else ""
        raise _refused(path, f"not valid TOML{column}: {error.message}", line=error.line) from None
    if not table:
        raise _refused(
            path,
            "the file is empty",
            hint="a recipe needs at least [train], [dataset], [sampler], [generator], [discriminator], [[loss]]",
        )
    return TomlDocument(path, text, table, lines)


def parse_toml(text: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """The tables of a TOML text, and the line of each key.

    Raises:
        TomlError: it is not TOML, or goes beyond the limits.
    """
    lines = find_lines(text)
    try:
        return tomllib.loads(text), lines
    except ValueError as error:  # more than TOMLDecodeError: numbers of thousands of digits, impossible dates
        place = _PLACE.search(str(error))
        message = _PLACE.sub("", str(error))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (None, None)
        raise TomlError(message[:1].lower() + message[1:], line, column) from None


def _text(path: Path) -> str:
    try:
        if not path.exists():
            raise _refused(path, "there is no such file", hint=_nearby(path))
        if path.is_dir():
            raise _refused(path, "this is a folder", hint="name a recipe file in it")
        if not path.is_file():
            raise _refused(path, "this is no ordinary file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refused(path, f"the file cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the name
        raise _refused(path, "this is no file name") from None

    if len(content) > MAX_BYTES:
        raise _refused(
            path, f"the file is larger than {MAX_BYTES / 1e6:.0f} MB, which no recipe is", hint="data belongs into files of its own"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(path, "the file is not UTF-8 text", line=line, hint="save it with the encoding UTF-8") from None


def _nearby(path: Path) -> str | None:
    """The recipes that lie where one was looked for, or the file with the ending that was left out."""
    if path.suffix != ".toml" and path.with_name(path.name + ".toml").is_file():
        return f"did you mean {path.with_name(path.name + '.toml')}?"
    recipes = sorted(file.name for file in path.parent.glob("*.toml"))[:8] if path.parent.is_dir() else []
    return f"recipes in {path.parent}: {', '.join(recipes)}" if recipes else None


def _refused(path: Path, message: str, *, line: int | None = None, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem("", message, file=path, line=line, hint=hint)])

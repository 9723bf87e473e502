"""Telling TOML editors which schema judges a recipe: a ``#:schema`` line on top of it, or a rule in the editors' own settings."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError
from ganforge.recipe.toml_file import load_toml
from ganforge.recipe.toml_writer import value
from ganforge.storage import atomic_files

DEFAULT_SCHEMA = Path(".ganforge/recipe.schema.json")
"""Where the schema lies unless told otherwise: made from what is installed, so nothing to share or to keep."""

_DIRECTIVE = b"#:schema"
_BOM = b"\xef\xbb\xbf"

_HEAD = 100_000
"""Bytes of a schema within which its title stands."""


def write_schema_directive(recipe: Path, schema: Path) -> bool:
    """Make ``#:schema`` the recipe's first line, or renew the one that it has; whether that changed the file.

    Raises:
        RecipeError: the file is no TOML that a recipe could be.
        StorageError: it could not be written.
    """
    load_toml(recipe)
    recipe = recipe.resolve()  # a link to a recipe stays one
    content = recipe.read_bytes()
    bom = _BOM if content.startswith(_BOM) else b""
    lines = content.removeprefix(_BOM).splitlines(keepends=True)
    ending = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
    head = _DIRECTIVE + b" " + _from(recipe.parent, schema).encode() + ending

    for number, line in enumerate(lines):
        if not line.lstrip().startswith(b"#"):
            break
        if line.startswith(_DIRECTIVE):
            del lines[number]
            break
    changed = bom + head + b"".join(lines)
    if changed != content:
        atomic_files.write_bytes(recipe, changed)
    return changed != content


def updated_settings(globs: Sequence[str], schema: Path, folder: Path) -> dict[Path, str]:
    """Settings in ``folder`` by which taplo and tombi judge the files that match: those that must change, with their new text.

    A rule that leads to the schema already is extended.

    Raises:
        UsageError: a pattern is empty, or settings that are there already are not valid TOML or take no further rule.
    """
    if not all(glob.strip() for glob in globs):
        raise UsageError("an empty pattern matches no file", remedy="such as --associate 'recipes/**/*.toml'")
    taplo = folder / "taplo.toml" if (folder / "taplo.toml").is_file() else folder / ".taplo.toml"
    where, include = value(_from(folder, schema)), value(list(dict.fromkeys(globs)))
    rules = {
        taplo: f"[[rule]]\ninclude = {include}\n\n[rule.schema]\npath = {where}\n",
        folder / "tombi.toml": f"[[schemas]]\npath = {where}\ninclude = {include}\n",
    }
    return {path: text for path, rule in rules.items() if (text := _with_rule(path, rule)) is not None}


def read_schema_directive(recipe: Path) -> Path | None:
    """The schema that a recipe's ``#:schema`` line names, unless that is an address or there is none."""
    try:
        with recipe.open("rb") as stream:
            head = stream.read(4096).removeprefix(_BOM).splitlines()
    except OSError:
        return None
    for line in head:
        if not line.lstrip().startswith(b"#"):
            break
        if line.startswith(_DIRECTIVE):
            return _local(line.removeprefix(_DIRECTIVE).decode(errors="replace").strip(), recipe.parent)
    return None


def find_schemas(folder: Path) -> dict[Path, Path | None]:
    """The schemas that count in a folder, each with what names it: editors' settings, or a recipe here or in ``recipes``."""
    named: dict[Path, Path | None] = {}
    for settings in (folder / "taplo.toml", folder / ".taplo.toml", folder / "tombi.toml"):
        for schema in _in_settings(settings):
            named.setdefault(schema, settings)
    for recipe in sorted([*folder.glob("*.toml"), *folder.glob("recipes/**/*.toml")]):
        if on_top := read_schema_directive(recipe):
            named.setdefault(on_top, recipe)
    usual = (folder / DEFAULT_SCHEMA).resolve()
    return named if usual in named or not usual.is_file() else {usual: None, **named}


def _in_settings(settings: Path) -> list[Path]:
    """The schemas of ganforge's that taplo's or tombi's settings name; other tools' schemas may stand beside them."""
    try:
        table = tomllib.loads(settings.read_text(encoding="utf-8"))
        rules = [rule.get("schema", {}) for rule in table.get("rule", [])] + table.get("schemas", [])
        paths = [_local(str(rule["path"]), settings.parent) for rule in rules if "path" in rule]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
    return [path for path in paths if path and (path.name == DEFAULT_SCHEMA.name or is_ganforge_schema(path))]


def is_ganforge_schema(schema: Path) -> bool:
    """Whether a file is a schema that ganforge wrote."""
    try:
        return b'"title": "ganforge recipe"' in schema.read_bytes()[:_HEAD]
    except OSError:
        return False


def _local(named: str, folder: Path) -> Path | None:
    return None if not named or "://" in named else (folder / named).resolve()


def _with_rule(path: Path, rule: str) -> str | None:
    """The settings with the rule, or ``None`` where they hold it already."""
    ((name, (added,)),) = tomllib.loads(rule).items()
    try:
        settings = path.read_text(encoding="utf-8") if path.is_file() else ""
        table = tomllib.loads(settings)
        for number, old in enumerate(table.get(name, [])):
            if {**old, "include": added["include"]} == added:  # the same but for the files that it is for
                missing = [glob for glob in added["include"] if glob not in old.get("include", added["include"])]
                if not missing:
                    return None
                if extended := _extended(settings, (name, number), missing):
                    return extended
        changed = f"{settings.rstrip()}\n\n{rule}".lstrip()
        tomllib.loads(changed)  # settings that hold `rule = [...]` take no [[rule]]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"no rule can be added to {path}: {error}", remedy=f"add it by hand:\n\n{rule}") from None
    return changed


def _extended(settings: str, place: tuple[str, int], globs: list[str]) -> str | None:
    """The settings with more patterns in the ``include`` of one rule, or ``None`` where it is written in an unusual way."""
    name, number = place
    wanted = tomllib.loads(settings)
    include = wanted[name][number]["include"]
    several_lines = [*globs, *include]
    for match in re.finditer(r"^\s*include\s*=\s*\[", settings, re.MULTILINE):
        head, rest = settings[: match.end()], settings[match.end() :]
        line, newline, below = rest.partition("\n")
        candidates = [(several_lines, f"{head}\n  {', '.join(map(value, globs))},{rest}")]
        if line.rstrip().endswith("]") and "#" not in line:
            candidates.append(([*include, *globs], f"{head[:-1]}{value([*include, *globs])}{newline}{below}"))
        for patterns, text in candidates[::-1]:
            wanted[name][number]["include"] = patterns
            if _reads_as(text, wanted):
                return text
    return None


def _reads_as(text: str, table: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == table
    except tomllib.TOMLDecodeError:
        return False


def _from(folder: Path, schema: Path) -> str:
    """The schema's path as seen from a folder, with forward slashes."""
    try:
        seen = Path(os.path.relpath(schema.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another Windows drive
        return schema.resolve().as_posix()
    return seen if seen.startswith("..") else f"./{seen}"

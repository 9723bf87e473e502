"""Connect recipes with their JSON Schema: a ``#:schema`` line in a recipe, or a rule in the settings of taplo and tombi."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganforge.core.errors import UsageError
from ganforge.recipe.toml_file import load_toml
from ganforge.recipe.toml_writer import toml_value
from ganforge.storage import atomic_files

DEFAULT_SCHEMA = Path(".ganforge/recipe.schema.json")
"""Default place of the schema: it depends on what is installed, so it is neither shared nor kept."""

_DIRECTIVE = b"#:schema"
_BOM = b"\xef\xbb\xbf"
_TITLE = b'"title": "ganforge recipe"'
_HEAD = 100_000
"""Bytes of a schema within which its title is found."""


def write_schema_directive(recipe: Path, schema: Path) -> bool:
    """Make ``#:schema`` the recipe's first line, or update the existing one; returns whether the file changed.

    Raises:
        RecipeError: the file is not TOML, or exceeds the limits of a recipe.
        StorageError: it could not be written.
    """
    load_toml(recipe)
    recipe = recipe.resolve()  # write through a symbolic link
    content = recipe.read_bytes()
    bom = _BOM if content.startswith(_BOM) else b""
    lines = content.removeprefix(_BOM).splitlines(keepends=True)
    ending = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
    head = _DIRECTIVE + b" " + _relative(schema, recipe.parent).encode() + ending

    number = _directive_line(lines)
    if number is not None:
        del lines[number]
    changed = bom + head + b"".join(lines)
    if changed != content:
        atomic_files.write_bytes(recipe, changed)
    return changed != content


def read_schema_directive(recipe: Path) -> Path | None:
    """The schema file that a recipe's ``#:schema`` line names, or ``None`` if there is no such line or it holds a URL."""
    try:
        with recipe.open("rb") as stream:
            lines = stream.read(4096).removeprefix(_BOM).splitlines()
    except OSError:
        return None
    number = _directive_line(lines)
    if number is None:
        return None
    return _local_path(lines[number].removeprefix(_DIRECTIVE).decode(errors="replace").strip(), recipe.parent)


def updated_settings(globs: Sequence[str], schema: Path, folder: Path) -> dict[Path, str]:
    """New text for the settings of taplo and tombi in ``folder``, with a rule that applies the schema to matching files.

    Settings whose rules cover all patterns already are left out.

    Raises:
        UsageError: a pattern is empty, or existing settings are not valid TOML or cannot take another rule.
    """
    if not all(glob.strip() for glob in globs):
        raise UsageError("an empty pattern matches no file", remedy="such as --associate 'recipes/**/*.toml'")
    path = _relative(schema, folder)
    taplo = folder / "taplo.toml" if (folder / "taplo.toml").is_file() else folder / ".taplo.toml"
    templates = {
        taplo: "[[rule]]\ninclude = {include}\n\n[rule.schema]\npath = {path}\n",
        folder / "tombi.toml": "[[schemas]]\npath = {path}\ninclude = {include}\n",
    }
    texts = {settings: _with_rule(settings, template, path, globs) for settings, template in templates.items()}
    return {settings: text for settings, text in texts.items() if text is not None}


def find_schemas(folder: Path) -> dict[Path, Path | None]:
    """The schemas in use in a folder, each with the file that names it: editor settings, or a recipe here or in ``recipes``."""
    named: dict[Path, Path | None] = {}
    for settings in (folder / "taplo.toml", folder / ".taplo.toml", folder / "tombi.toml"):
        for schema in _schemas_in_settings(settings):
            named.setdefault(schema, settings)
    for recipe in sorted([*folder.glob("*.toml"), *folder.glob("recipes/**/*.toml")]):
        if schema_of_recipe := read_schema_directive(recipe):
            named.setdefault(schema_of_recipe, recipe)
    default = (folder / DEFAULT_SCHEMA).resolve()
    return named if default in named or not default.is_file() else {default: None, **named}


def _directive_line(lines: Sequence[bytes]) -> int | None:
    """Which of the comment lines at the top is the directive."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith(b"#"):
            return None
        if line.startswith(_DIRECTIVE):
            return number
    return None


def _schemas_in_settings(settings: Path) -> list[Path]:
    """The schemas written by ganforge that the settings of taplo or tombi name."""
    try:
        table = tomllib.loads(settings.read_text(encoding="utf-8"))
        rules = [rule.get("schema", {}) for rule in table.get("rule", [])] + table.get("schemas", [])
        paths = [_local_path(str(rule["path"]), settings.parent) for rule in rules if "path" in rule]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
    return [path for path in paths if path and (path.name == DEFAULT_SCHEMA.name or _is_ganforge_schema(path))]


def _is_ganforge_schema(schema: Path) -> bool:
    try:
        return _TITLE in schema.read_bytes()[:_HEAD]
    except OSError:
        return False


def _with_rule(settings: Path, template: str, path: str, globs: Sequence[str]) -> str | None:
    """The settings with one more rule for the patterns that no rule covers yet, or ``None`` if there are none."""
    rule = template.format(path=toml_value(path), include=toml_value(list(dict.fromkeys(globs))))
    try:
        text = settings.read_text(encoding="utf-8") if settings.is_file() else ""
        missing = _not_covered(globs, tomllib.loads(text), path)
        if not missing:
            return None
        changed = f"{text.rstrip()}\n\n{template.format(path=toml_value(path), include=toml_value(missing))}".lstrip()
        tomllib.loads(changed)  # settings with `rule = [...]` cannot take a [[rule]]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"no rule can be added to {settings}: {error}", remedy=f"add it by hand:\n\n{rule}") from None
    return changed


def _not_covered(globs: Sequence[str], settings: dict[str, Any], path: str) -> list[str]:
    """The patterns that no rule for the schema at ``path`` has; a rule without ``include`` applies to every file."""
    rules = [*settings.get("rule", []), *settings.get("schemas", [])]
    ours = [rule for rule in rules if path in (rule.get("path"), rule.get("schema", {}).get("path"))]
    covered = {glob for rule in ours for glob in rule.get("include", globs)}
    return [glob for glob in dict.fromkeys(globs) if glob not in covered]


def _local_path(name: str, folder: Path) -> Path | None:
    return None if not name or "://" in name else (folder / name).resolve()


def _relative(schema: Path, folder: Path) -> str:
    """The schema's path relative to a folder, with forward slashes."""
    try:
        relative = Path(os.path.relpath(schema.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another Windows drive
        return schema.resolve().as_posix()
    return relative if relative.startswith("..") else f"./{relative}"

"""What TOML editors need to know of the recipes that can be written here: the schema with all that is installed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from pydantic.errors import PydanticUserError

from ganforge import __version__
from ganforge.core.errors import PluginError
from ganforge.recipe.json_schema_export import Schema, export_schema
from ganforge.recipe.recipe_schema import STAMP, Choice, recipe_schema
from ganforge.registry.component import Component, Kind
from ganforge.registry.current_selection import words
from ganforge.registry.registry import Registry, Status


def build_schema(registry: Registry) -> tuple[Schema, tuple[str, ...]]:
    """The JSON Schema of recipes with the components of a registry, and what it could not say, one line each."""
    complaints: list[str] = []
    choices = {kind.value: [_choice(component, registry, complaints) for component in registry.components(kind)] for kind in Kind}
    return recipe_schema(choices, schema_versions(registry)), tuple(complaints)


def schema_versions(registry: Registry) -> str:
    """The versions that a schema depends on, in one line."""
    there = (one for one in registry.plugins if one.works or one.status is Status.UNAVAILABLE)
    plugins = {f"{one.handle} {one.version}" for one in there}
    return ", ".join([f"ganforge {__version__}", *sorted(plugins - {f"ganforge {__version__}"})])


def outdated_reason(schema: Path, registry: Registry) -> str | None:
    """How a schema's file is behind the components of a registry, or ``None`` when it is not."""
    try:
        stamp = json.loads(schema.read_bytes())[STAMP]
        known, fingerprint = dict(stamp["components"]), stamp["fingerprint"]
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError):
        return "was not written by this ganforge: it does not tell what it was made of"

    now = build_schema(registry)[0][STAMP]
    if now["fingerprint"] == fingerprint:
        return None
    here = now["components"]
    changes = {
        "lacks": [name for name in here if name not in known],
        "still has": [name for name in known if name not in here],
        "has other parameters of": [name for name in here if name in known and known[name] != here[name]],
    }
    told = [f"{words} {_some(names)}" for words, names in changes.items() if names]
    return "; ".join(told) or "was made for another version of ganforge"


def update_command(schema: Path) -> str:
    """The command that writes a schema anew, under the switches in force."""
    return f"ganforge schema --out {shlex.quote(str(schema))}{words()}"


def _some(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _choice(component: Component, registry: Registry, complaints: list[str]) -> Choice:
    revision = f"@{component.revision}"
    names = dict.fromkeys((registry.name_of(component), component.id))
    names |= dict.fromkeys(name + revision for name in tuple(names))
    try:
        params = export_schema(component.load_params())
    except PluginError as error:
        complaints.append(f"{error.message}; its params stay unjudged")
        params = None
    except PydanticUserError as error:
        complaints.append(f"{component.kind} '{component.id}': its params stay unjudged: {str(error).partition(chr(10))[0]}")
        params = None
    return Choice(tuple(names), component.summary, params)

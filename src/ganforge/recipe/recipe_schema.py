"""The JSON Schema of recipes, with the components that are installed: for TOML editors, which complete and judge by it.

It knows names, types and ranges. What the parts need of each other, and rules that a params model tells in code, only
``ganforge check`` knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganforge.recipe.json_schema_export import Schema, demanded, described, export_schema, meant, union
from ganforge.recipe.partial_schema import in_halves
from ganforge.recipe.tables import Recipe

DIALECT = "http://json-schema.org/draft-07/schema#"


@dataclass(frozen=True, slots=True)
class Choice:
    """One component that a table's ``use`` may name.

    Attributes:
        names: every way to write it, the usual one first.
        summary: what it is.
        params: the JSON Schema of its parameters, or ``None`` where it is not known.
    """

    names: tuple[str, ...]
    summary: str
    params: Schema | None


STAMP = "x-ganforge"
"""Key of a schema that tells which components it knows; JSON Schema leaves such keys alone."""


def recipe_schema(choices: Mapping[str, Sequence[Choice]], comment: str) -> Schema:
    """The JSON Schema (draft-07) of recipes, stamped with what it was made of.

    Args:
        choices: for each table that names a component, such as ``generator`` or ``loss``, what it may name.
        comment: what the schema was made from.
    """
    whole = export_schema(Recipe)
    tables = whole["properties"]
    for name, known in choices.items():
        if tables[name].get("type") == "array":
            tables[name]["items"] = _slot(tables[name]["items"], known)
        else:
            tables[name] = _slot(tables[name], known)
    extends = {"type": "string", "minLength": 1, "description": "A recipe in this folder or below it that this one is laid over."}
    whole["properties"] = {"extends": extends, **tables}
    content = in_halves(whole)
    stamp = {
        "fingerprint": _digest(content),
        "components": {
            f"{kind} {choice.names[-1]}": _digest([*choice.names, choice.params])[:12]
            for kind in choices
            for choice in choices[kind]
        },
    }
    return {"$schema": DIALECT, "$comment": comment, "title": "ganforge recipe", STAMP: stamp, **content}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _slot(table: Schema, choices: Sequence[Choice]) -> Schema:
    """A table that names one of several components and holds its parameters."""
    fields = table["properties"]
    names = [name for choice in choices for name in choice.names[:1]] + [name for choice in choices for name in choice.names[1:]]
    known = [(choice.names[0], choice.params) for choice in choices if choice.params is not None]
    params: Schema = {**described(fields["params"].get("description")), "type": "object", "additionalProperties": True}
    if len(known) == len(choices):
        params["properties"] = union(known)
    use = {**described(fields["use"].get("description")), "type": "string", "enum": names, **_explained(names, choices)}
    return {
        **table,
        "properties": {**fields, "use": use, "params": params},
        "allOf": [
            {"if": meant("use", choice.names), "then": _given(choice.params)} for choice in choices if choice.params is not None
        ],
    }


def _explained(names: Sequence[str], choices: Sequence[Choice]) -> Schema:
    """What each name means, as taplo's editors show it beside a completion."""
    summaries = {name: choice.summary for choice in choices for name in choice.names}
    return {"x-taplo": {"docs": {"enumValues": [summaries[name] for name in names]}}}


def _given(params: Schema) -> Schema:
    return {"additionalProperties": True, "properties": {"params": params}, **demanded(["params"] if "required" in params else [])}

"""The JSON Schema of recipes, with all installed components, for completion and validation in TOML editors.

taplo and tombi read draft-07, and point at the wrong key only if no ``anyOf`` or ``oneOf`` hides it ("not valid under any of the
schemas"). So pydantic's schema is rewritten:

- references are inlined, and the null branch of an optional is dropped, since TOML has no null;
- alternatives of different types become one schema with a list of types;
- alternatives with a tag such as ``use`` become ``if``/``then`` rules beside the union of all their keys, where editors find
  completions.

The schema knows names, types and ranges. Only ``ganforge check`` knows whether parts fit each other, and rules that a params model
implements in code.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.errors import PydanticUserError

from ganforge import __version__
from ganforge.core.errors import PluginError
from ganforge.core.params import Params
from ganforge.recipe.config import Recipe
from ganforge.registry.component import Component, Kind
from ganforge.registry.discovery import PluginStatus
from ganforge.registry.registry import Registry
from ganforge.registry.selection import command_line_options

Schema = dict[str, Any]
"""A JSON Schema as plain data."""

DIALECT = "http://json-schema.org/draft-07/schema#"
STAMP = "x-ganforge"
"""Key that records which components a schema was made from; JSON Schema ignores it."""

_OPEN: Schema = {"additionalProperties": True}
"""Marks a schema that mentions only some keys; tombi takes its absence for a closed table."""
_MULTI_TYPE = {"enum", "anyOf", "oneOf", "allOf", "if", "not"}
"""Keywords that apply to values of every type, so that schemas with one cannot be joined."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """A component that the ``use`` of a table may name.

    Attributes:
        names: every name that a recipe may use for it, the usual one first.
        summary: what it is.
        params: the schema of its parameters, or ``None`` if it is unknown.
    """

    names: tuple[str, ...]
    summary: str
    params: Schema | None


def build_schema(registry: Registry) -> tuple[Schema, tuple[str, ...]]:
    """The JSON Schema (draft-07) of recipes with the components of a registry, and warnings about parameters without a schema."""
    warnings: list[str] = []
    whole = export_schema(Recipe)
    tables = whole["properties"]
    components: dict[str, str] = {}
    for kind in Kind:
        choices = [_choice(component, registry, warnings) for component in registry.components(kind)]
        components |= {f"{kind} {choice.names[-1]}": _digest([*choice.names, choice.params])[:12] for choice in choices}
        table = tables[kind.value]
        if table.get("type") == "array":
            table["items"] = _with_components(table["items"], choices)
        else:
            tables[kind.value] = _with_components(table, choices)
    extends = {"type": "string", "minLength": 1, "description": "A recipe in this folder or below it that this one is based on."}
    whole["properties"] = {"extends": extends, **tables}
    content = _allow_extends(whole)
    stamp = {"fingerprint": _digest(content), "components": components}
    head = {"$schema": DIALECT, "$comment": schema_versions(registry), "title": "ganforge recipe", STAMP: stamp}
    return {**head, **content}, tuple(warnings)


def schema_versions(registry: Registry) -> str:
    """The versions of ganforge and plugins that a schema depends on, in one line."""
    usable = (one for one in registry.plugins if one.works or one.status is PluginStatus.UNAVAILABLE)
    plugins = {f"{one.handle} {one.version}" for one in usable}
    return ", ".join([f"ganforge {__version__}", *sorted(plugins - {f"ganforge {__version__}"})])


def outdated_reason(schema: Path, registry: Registry) -> str | None:
    """Why a schema file does not match the components of a registry, or ``None`` if it does."""
    try:
        stamp = json.loads(schema.read_bytes())[STAMP]
        known, fingerprint = dict(stamp["components"]), stamp["fingerprint"]
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, KeyError, TypeError):
        return "was not written by this version of ganforge"

    now = build_schema(registry)[0][STAMP]
    if now["fingerprint"] == fingerprint:
        return None
    here = now["components"]
    changes = {
        "lacks": [name for name in here if name not in known],
        "still has": [name for name in known if name not in here],
        "has other parameters of": [name for name in here if name in known and known[name] != here[name]],
    }
    reasons = [f"{verb} {_first(names, 3)}" for verb, names in changes.items() if names]
    return "; ".join(reasons) or "was made for another version of ganforge"


def update_command(schema: Path) -> str:
    """The command that writes a schema anew, with the current plugin options."""
    return f"ganforge schema --out {shlex.quote(str(schema))}{command_line_options()}"


def export_schema(model: type[Params]) -> Schema:
    """The JSON Schema (draft-07) of a params model.

    Raises:
        pydantic.PydanticUserError: a field of the model has no JSON Schema.
    """
    schema = model.model_json_schema()
    return _convert(schema, schema.get("$defs", {}), ())


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]) -> Schema:
    """One schema of pydantic and all schemas in it; ``within`` names the definitions around it."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        name = str(node["$ref"]).rpartition("/")[2]
        if name in within:  # a recursive model is validated one level deep
            return _description(rest.get("description"))
        return _convert({**definitions[name], **rest}, definitions, (*within, name))

    def convert(inner: Mapping[str, Any]) -> Schema:
        return _convert(inner, definitions, within)

    schema: Schema = {}
    for key, value in node.items():
        schema |= _convert_keyword(key, value, convert)
    if "prefixItems" in node:  # which fixes the number of items
        schema.pop("maxItems", None)
    for key in ("anyOf", "oneOf"):
        if key in node:
            schema = _join(key, [convert(branch) for branch in node[key]], schema)
    return schema


def _convert_keyword(key: str, value: Any, convert: Callable[[Mapping[str, Any]], Schema]) -> Schema:
    match key:
        case "title" | "discriminator" | "$defs" | "anyOf" | "oneOf":
            return {}
        case "default" if value is None:
            return {}
        case "const":
            return {"enum": [value]}
        case "properties" | "patternProperties":
            return {key: {name: convert(field) for name, field in value.items()}}
        case "prefixItems":
            return {"items": [convert(item) for item in value], "additionalItems": False}
        case "items" | "additionalProperties" | "propertyNames" if isinstance(value, Mapping):
            return {key: convert(value) or True}
    return {key: value}


def _join(keyword: str, branches: list[Schema], head: Schema) -> Schema:
    """Alternatives as one schema, if error messages can stay exact."""
    branches = [branch for branch in branches if branch.get("type") != "null"]
    if len(branches) == 1:
        return branches[0] | head
    if _have_different_types(branches):
        joined: Schema = {}
        for branch in branches:
            joined |= branch
        joined = {key: value for key, value in joined.items() if key not in ("description", "default")}
        return joined | head | {"type": [kind for branch in branches for kind in _types(branch)]}
    if tag := _find_tag(branches):
        return _tagged_union(tag, branches, head)
    return head | {keyword: branches}


def _have_different_types(branches: Sequence[Schema]) -> bool:
    kinds = ["number" if kind == "integer" else kind for branch in branches for kind in _types(branch)]
    return (
        all(_types(branch) for branch in branches)
        and len(set(kinds)) == len(kinds)
        and not any(_MULTI_TYPE & branch.keys() for branch in branches)
    )


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _find_tag(branches: Sequence[Schema]) -> str | None:
    """The key whose value distinguishes closed tables."""
    if not all(branch.get("type") == "object" and branch.get("additionalProperties") is False for branch in branches):
        return None
    for key in branches[0].get("properties", {}):
        values = [branch.get("properties", {}).get(key, {}).get("enum") for branch in branches]
        if all(values) and len({str(value) for some in values for value in some}) == sum(map(len, values)):
            return str(key)
    return None


def _tagged_union(tag: str, branches: Sequence[Schema], head: Schema) -> Schema:
    """Closed tables, one of which is selected by the value of ``tag``; a table that does not require the tag is the default."""
    values = [branch["properties"][tag]["enum"] for branch in branches]
    optional = [tag not in branch.get("required", ()) for branch in branches]
    rests = [_without(branch, tag) for branch in branches]
    names = {"type": "string", "enum": [value for some in values for value in some]}
    rules = []
    for some, is_optional, rest in zip(values, optional, rests, strict=True):
        then = {**rest, "properties": {tag: {}, **rest["properties"]}}
        then.pop("description", None)
        rules.append({"if": _has_tag(tag, some, optional=is_optional), "then": then})
    return {
        **head,
        "type": "object",
        "additionalProperties": True,
        "properties": {
            tag: names | _description(branches[0]["properties"][tag].get("description")),
            **_union([(some[0], rest) for some, rest in zip(values, rests, strict=True)]),
        },
        **_required([] if any(optional) else [tag]),
        "allOf": rules,
    }


def _union(schemas: Iterable[tuple[str, Schema]]) -> Schema:
    """The keys of all tables, for completion: each names its tables, and accepts anything if their schemas differ."""
    fields: dict[str, list[tuple[str, Schema]]] = {}
    for name, schema in schemas:
        for key, field in schema.get("properties", {}).items():
            fields.setdefault(key, []).append((name, field))
    return {key: _shared_field(found) for key, found in fields.items()}


def _shared_field(found: list[tuple[str, Schema]]) -> Schema:
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    kinds = [{key: value for key, value in field.items() if key not in ("description", "default")} for _, field in found]
    description = f"[{names}] {found[0][1].get('description', '')}".strip()
    return (kinds[0] if all(kind == kinds[0] for kind in kinds) else {}) | {"description": description}


def _has_tag(tag: str, values: Sequence[str], *, optional: bool = False) -> Schema:
    """The condition that ``tag`` has one of the values; if ``optional``, it may also be missing."""
    return {**_OPEN, "properties": {tag: {"enum": list(values)}}, **_required([] if optional else [tag])}


def _required(keys: Sequence[str]) -> Schema:
    """``required``; omitted when empty, since taplo rejects ``[]``."""
    return {"required": list(keys)} if keys else {}


def _description(text: str | None) -> Schema:
    return {"description": text} if text else {}


def _without(schema: Schema, key: str) -> Schema:
    """The schema of a table without one of its keys."""
    rest = {name: value for name, value in schema.items() if name != "required"}
    rest["properties"] = {name: field for name, field in schema.get("properties", {}).items() if name != key}
    return rest | _required([name for name in schema.get("required", ()) if name != key])


def _choice(component: Component, registry: Registry, warnings: list[str]) -> _Choice:
    names = dict.fromkeys((registry.name_of(component), component.id))
    names |= dict.fromkeys(f"{name}@{component.revision}" for name in tuple(names))
    params: Schema | None = None
    try:
        params = export_schema(component.load_params())
    except PluginError as error:
        warnings.append(f"{error.message}; editors will not validate its params")
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0]
        warnings.append(f"{component.kind} '{component.id}': editors will not validate its params: {reason}")
    return _Choice(tuple(names), component.summary, params)


def _with_components(table: Schema, choices: Sequence[_Choice]) -> Schema:
    """The schema of a table that names one of several components and holds its parameters."""
    fields = table["properties"]
    names = [choice.names[0] for choice in choices] + [name for choice in choices for name in choice.names[1:]]
    summaries = {name: choice.summary for choice in choices for name in choice.names}
    known = [(choice.names, choice.params) for choice in choices if choice.params is not None]
    params: Schema = {**_description(fields["params"].get("description")), "type": "object", "additionalProperties": True}
    if len(known) == len(choices):
        params["properties"] = _union((some[0], schema) for some, schema in known)
    use = {
        **_description(fields["use"].get("description")),
        "type": "string",
        "enum": names,
        "x-taplo": {"docs": {"enumValues": [summaries[name] for name in names]}},
    }
    rules = [
        {
            "if": _has_tag("use", some),
            "then": {**_OPEN, "properties": {"params": schema}, **_required(["params"] if "required" in schema else [])},
        }
        for some, schema in known
    ]
    return {**table, "properties": {**fields, "use": use, "params": params}, "allOf": rules}


def _allow_extends(whole: Schema) -> Schema:
    """The schema of a recipe that may extend another one and so be incomplete, from that of a complete recipe.

    A recipe with ``extends`` states only what differs: tables without ``use``, optimizers of the base's kind, schedules without
    ``start``. The main schema therefore requires nothing. The ``else`` branch, which applies without ``extends``, adds what a
    complete recipe needs. Lists such as ``[[loss]]`` replace those of the base, so their tables are complete in either case.
    """
    return {**_partial(whole), "if": {**_OPEN, "required": ["extends"]}, "then": _OPEN, "else": _completeness(whole)}


def _partial(whole: Schema) -> Schema:
    """The schema of a table that may lack keys."""
    part = {key: value for key, value in whole.items() if key != "required"}
    if "properties" in whole:
        part["properties"] = {key: _partial(field) for key, field in whole["properties"].items()}
    if "allOf" in whole:
        part["allOf"] = [
            {"if": {**rule["if"], "required": [_tag_of(rule)]}, "then": _partial(rule["then"])} for rule in whole["allOf"]
        ]
        if known_keys := _known_keys(whole):
            part["allOf"].append({"if": _is_missing(_tag_of(whole["allOf"][0])), "then": known_keys})
    return part


def _completeness(whole: Schema) -> Schema:
    """What a complete table needs beyond its partial schema."""
    needs: Schema = {"required": whole["required"]} if "required" in whole else {}
    fields = {key: found for key, field in whole.get("properties", {}).items() if (found := _completeness(field))}
    if fields:
        needs["properties"] = fields
    rules = [{"if": rule["if"], "then": found} for rule in whole.get("allOf", ()) if (found := _completeness(rule["then"]))]
    defaults = [rule for rule in whole.get("allOf", ()) if "required" not in rule["if"]]
    rules += [{"if": _is_missing(_tag_of(rule)), "then": _closed(rule["then"])} for rule in defaults]
    if rules:
        needs["allOf"] = rules
    return _OPEN | needs if needs else {}


def _known_keys(whole: Schema) -> Schema:
    """For a table without its tag: only keys that one of its kinds has."""
    if whole.get("additionalProperties") is True and whole.get("properties"):
        return _closed(whole)
    params = _known_keys(whole["properties"]["params"]) if "params" in whole.get("properties", {}) else {}
    return {**_OPEN, "properties": {"params": params}} if params else {}


def _closed(table: Schema) -> Schema:
    return {"properties": {key: {} for key in table["properties"]}, "additionalProperties": False}


def _is_missing(tag: str) -> Schema:
    return {"not": {**_OPEN, "required": [tag]}}


def _tag_of(rule: Schema) -> str:
    (tag,) = rule["if"]["properties"]
    return str(tag)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _first(names: Sequence[str], count: int) -> str:
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")

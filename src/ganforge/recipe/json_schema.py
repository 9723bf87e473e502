"""The JSON Schema of recipes, with all installed components, for TOML editors, and the line that leads editors to it.

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

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic.errors import PydanticUserError

from ganforge.core.errors import PluginError
from ganforge.core.params import Params
from ganforge.core.specs import GameSpec, network_key
from ganforge.recipe.config import NETWORK_KINDS, GameTable, Recipe
from ganforge.recipe.toml_file import load_toml
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry
from ganforge.registry.selection import next_command
from ganforge.storage import atomic_files

Schema = dict[str, Any]
"""A JSON Schema as plain data."""

DEFAULT_SCHEMA = Path(".ganforge/recipe.schema.json")
"""Default place of the schema: it depends on what is installed, so it is neither shared nor kept."""
_DIRECTIVE = b"#:schema"
_BOM = b"\xef\xbb\xbf"
_OPEN: Schema = {"additionalProperties": True}
"""Marks a schema that mentions only some keys; tombi takes its absence for a closed table."""

Choice = tuple[tuple[str, ...], str, Schema | None]
"""A component for the ``use`` of a table: its names, the usual one first; its summary; and its params, unless they are unknown."""


def build_schema(registry: Registry) -> tuple[Schema, tuple[str, ...]]:
    """The JSON Schema (draft-07) of recipes with the components of a registry, and warnings about parameters without a schema."""
    warnings: list[str] = []
    whole = export_schema(Recipe)
    tables = whole["properties"]
    choices_of = {kind: [_choice(component, registry, warnings) for component in registry.components(kind)] for kind in Kind}
    for kind, choices in choices_of.items():
        if not choices:  # taplo rejects an empty enum
            continue
        table = tables[kind.value]
        if table.get("type") == "array":
            table["items"] = _with_components(table["items"], choices)
        else:
            tables[kind.value] = _with_components(table, choices)
    networks = [choice for kind in NETWORK_KINDS for choice in choices_of[kind]]
    tables["networks"]["additionalProperties"] = _with_components(tables["networks"]["additionalProperties"], networks)
    extends = {"type": "string", "minLength": 1, "description": "A recipe in this folder or below it that this one is based on."}
    whole["properties"] = {"extends": extends, **tables}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "ganforge recipe"}
    schema = _allow_extends(whole)
    schema["else"]["allOf"] = [*schema["else"].get("allOf", ()), *_tables_of_games(registry)]
    return {**head, **schema}, tuple(warnings)


def _tables_of_games(registry: Registry) -> Iterator[Schema]:
    """For each game, the tables that a complete recipe needs; the default game is that of a recipe without ``[game]``."""
    for component in registry.components(Kind.GAME):
        function = component.load_spec()
        try:
            spec = function and function(component.load_params()())
        except Exception:  # noqa: BLE001, S112 - a game whose params have no defaults, or a plugin's error, which `check` reports
            continue
        if not isinstance(spec, GameSpec):
            continue
        named = [role for role in spec.networks if network_key(role) == role]
        others = [role for role in spec.networks if role not in named]
        needs: Schema = _required([*named, *(["networks"] if others else []), *(["loss"] if spec.needs_loss else [])])
        fields: Schema = {"networks": {**_OPEN, "required": others}} if others else {}
        fields |= {"loss": {"minItems": 1}} if spec.needs_loss else {}
        names = dict.fromkeys((registry.name_of(component), component.id))
        names |= dict.fromkeys(f"{name}@{component.revision}" for name in tuple(names))
        condition: Schema = {**_OPEN, "properties": {"game": _has_tag("use", list(names))}, "required": ["game"]}
        if GameTable().use in names:
            condition = {"anyOf": [condition, _is_missing("game"), {**_OPEN, "properties": {"game": _is_missing("use")}}]}
        yield {"if": condition, "then": {**_OPEN, **needs, "properties": fields}}


def outdated_reason(schema: Path, registry: Registry) -> str | None:
    """Why a schema file does not match the components of a registry, or ``None`` if it does."""
    try:
        known = json.loads(schema.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError:
        return "is not JSON"
    is_current = known == json.loads(json.dumps(build_schema(registry)[0]))
    return None if is_current else "is out of date: the installed components or their parameters have changed"


def update_command(schema: Path) -> str:
    """The command that writes a schema anew, with the current plugin options."""
    return next_command("schema", "--out", str(schema))


def export_schema(model: type[Params]) -> Schema:
    """The JSON Schema (draft-07) of a params model; a PydanticUserError if a field has none."""
    schema = model.model_json_schema()
    return _convert(schema, schema.get("$defs", {}), ())


def write_schema_directive(recipe: Path, schema: Path) -> bool:
    """Make ``#:schema`` the first line of a valid recipe, or update the existing one; returns whether the file changed."""
    load_toml(recipe)
    recipe = recipe.resolve()  # write through a symbolic link
    content = recipe.read_bytes()
    bom = _BOM if content.startswith(_BOM) else b""
    lines = content.removeprefix(_BOM).splitlines(keepends=True)
    ending = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
    head = _DIRECTIVE + b" " + _relative(schema, recipe.parent).encode() + ending

    comments = itertools.takewhile(lambda line: line.lstrip().startswith(b"#"), lines)
    if old := next((line for line in comments if line.startswith(_DIRECTIVE)), None):
        lines.remove(old)
    changed = bom + head + b"".join(lines)
    if changed != content:
        atomic_files.write_bytes(recipe, changed)
    return changed != content


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
        joined = {key: value for branch in branches for key, value in branch.items() if key not in ("description", "default")}
        return joined | head | {"type": [kind for branch in branches for kind in _types(branch)]}
    if tag := _find_tag(branches):
        return _tagged_union(tag, branches, head)
    return head | {keyword: branches}


def _have_different_types(branches: Sequence[Schema]) -> bool:
    kinds = ["number" if kind == "integer" else kind for branch in branches for kind in _types(branch)]
    for_every_type = {"enum", "anyOf", "oneOf", "allOf", "if", "not"}
    is_joinable = all(_types(branch) and not for_every_type & branch.keys() for branch in branches)
    return is_joinable and len(set(kinds)) == len(kinds)


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


def _choice(component: Component, registry: Registry, warnings: list[str]) -> Choice:
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
    return tuple(names), component.summary, params


def _with_components(table: Schema, choices: Sequence[Choice]) -> Schema:
    """The schema of a table that names one of several components and holds its parameters."""
    fields = table["properties"]
    usual = [(names[0], summary) for names, summary, _ in choices]
    summaries = dict(usual) | {name: summary for names, summary, _ in choices for name in names}
    known = [(names, params) for names, _, params in choices if params is not None]
    params: Schema = {**_description(fields["params"].get("description")), "type": "object", "additionalProperties": True}
    if len(known) == len(choices):
        params["properties"] = _union((some[0], schema) for some, schema in known)
    use = {
        **_description(fields["use"].get("description")),
        "type": "string",
        "enum": list(summaries),
        "x-taplo": {"docs": {"enumValues": list(summaries.values())}},
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
    """The schema of a recipe that may extend another one and then states only what differs, from that of a complete recipe.

    The main schema requires nothing; the ``else`` branch, which applies without ``extends``, adds what a complete recipe needs.
    Lists such as ``[[loss]]`` replace those of the base, so their tables are complete in either case.
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


def _relative(schema: Path, folder: Path) -> str:
    """The schema's path relative to a folder, with forward slashes."""
    try:
        relative = Path(os.path.relpath(schema.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another Windows drive
        return schema.resolve().as_posix()
    return relative if relative.startswith("..") else f"./{relative}"

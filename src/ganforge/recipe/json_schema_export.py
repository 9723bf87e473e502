"""From a params model to a JSON Schema that TOML editors judge exactly.

taplo and tombi read draft-07, and name the wrong key only where no ``anyOf`` or ``oneOf`` hides it ("not valid under any of the
schemas"). So pydantic's schema is rewritten: references are put in place, the null branch of an optional is dropped (TOML has no
null), alternatives of different types become one schema with a list of types, and alternatives told apart by a tag such as ``use``
become ``if``/``then`` beside the union of all their keys, which is where editors find completions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ganforge.core.params import Params

Schema = dict[str, Any]
"""A JSON Schema as plain data."""

_BRANCHES = ("anyOf", "oneOf")
_NAMED = ("properties", "patternProperties")
_SINGLE = ("items", "additionalProperties", "propertyNames")
_DROPPED = ("title", "discriminator", "$defs")
_TYPELESS = {"enum", "anyOf", "oneOf", "allOf", "if", "not"}
"""Keywords that judge values of every type, so that schemas which have one cannot be joined."""


def export_schema(model: type[Params]) -> Schema:
    """The JSON Schema (draft-07) of a params model.

    Raises:
        pydantic.PydanticUserError: a field of the model has no JSON Schema.
    """
    schema = model.model_json_schema()
    return _lowered(schema, schema.get("$defs", {}), ())


def tagged(tag: str, branches: Sequence[tuple[Sequence[str], Schema]], head: Schema) -> Schema:
    """Closed tables of which one is meant by the value of ``tag``; the first branch that does not require it is the default.

    Args:
        tag: the key that tells.
        branches: for each table the values of ``tag`` that mean it, and its schema.
        head: what else the schema says, such as its description.
    """
    known = {"type": "string", "enum": [value for values, _ in branches for value in values]}
    told = next((branch["properties"][tag].get("description") for _, branch in branches), None)
    return {
        **head,
        "type": "object",
        "additionalProperties": True,
        "properties": {tag: known | described(told), **union((values[0], without(branch, tag)) for values, branch in branches)},
        **demanded([tag] if all(tag in branch.get("required", ()) for _, branch in branches) else []),
        "allOf": [
            {"if": meant(tag, values, always=tag in branch.get("required", ())), "then": _then(tag, branch)}
            for values, branch in branches
        ],
    }


def union(schemas: Iterable[tuple[str, Schema]]) -> Schema:
    """The properties of all tables under one roof, for completion: each says whose it is, and is loose where the tables differ."""
    owners: dict[str, list[tuple[str, Schema]]] = {}
    for name, schema in schemas:
        for key, field in schema.get("properties", {}).items():
            owners.setdefault(key, []).append((name, field))
    return {key: _shared(found) for key, found in owners.items()}


def meant(tag: str, values: Sequence[str], *, always: bool = True) -> Schema:
    """The condition that ``tag`` has one of the values; unless ``always``, it may also be left out."""
    return {"additionalProperties": True, "properties": {tag: {"enum": list(values)}}, **demanded([tag] if always else [])}


def demanded(keys: Sequence[str]) -> Schema:
    """``required``, which taplo does not bear empty."""
    return {"required": list(keys)} if keys else {}


def described(text: str | None) -> Schema:
    """``description``, where there is one."""
    return {"description": text} if text else {}


def without(schema: Schema, key: str) -> Schema:
    """A table's schema but for one key."""
    rest = {name: value for name, value in schema.items() if name != "required"}
    rest["properties"] = {name: field for name, field in schema.get("properties", {}).items() if name != key}
    return rest | demanded([name for name in schema.get("required", ()) if name != key])


def _then(tag: str, branch: Schema) -> Schema:
    rest = without(branch, tag)
    rest.pop("description", None)
    rest["properties"] = {tag: {}, **rest["properties"]}
    return rest


def _shared(found: list[tuple[str, Schema]]) -> Schema:
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    label = {"description": f"[{names}] {found[0][1].get('description', '')}".strip()}
    kinds = [{name: value for name, value in field.items() if name not in ("description", "default")} for _, field in found]
    return (kinds[0] if all(kind == kinds[0] for kind in kinds) else {}) | label


def _lowered(node: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...]) -> Schema:
    """One schema with all that it holds; ``within`` names the definitions that it stands in."""
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        name = str(node["$ref"]).rpartition("/")[2]
        if name in within:  # a table that may hold one of its own kind is judged once
            return described(rest.get("description"))
        return _lowered({**definitions[name], **rest}, definitions, (*within, name))

    def below(inner: Mapping[str, Any]) -> Schema:
        return _lowered(inner, definitions, within)

    level = _draft7({key: value for key, value in node.items() if key not in (*_DROPPED, *_BRANCHES)})
    schema = {key: _inside(key, value, below) for key, value in level.items()}
    for key in _BRANCHES:
        if key in node:
            schema = _joined(key, [below(branch) for branch in node[key]], schema)
    return schema


def _inside(key: str, value: Any, below: Callable[[Mapping[str, Any]], Schema]) -> Any:
    """A keyword's value with the schemas in it lowered."""
    if key in _NAMED:
        return {name: below(field) for name, field in value.items()}
    if key in _SINGLE and isinstance(value, Mapping):
        return below(value) or True
    if key == "items" and isinstance(value, list):
        return [below(item) for item in value]
    return value


def _draft7(node: Schema) -> Schema:
    """One level in the words of draft-07."""
    if node.get("default", ...) is None:
        del node["default"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if "prefixItems" in node:
        node["items"] = node.pop("prefixItems")
        node["additionalItems"] = False
        node.pop("maxItems", None)  # which would say the same once more
    return node


def _joined(word: str, branches: list[Schema], head: Schema) -> Schema:
    """Alternatives as one schema, where there is a way that keeps messages exact."""
    branches = [branch for branch in branches if branch.get("type") != "null"]
    if len(branches) == 1:
        return branches[0] | head
    if _of_different_types(branches):
        joined: Schema = {}
        for branch in branches:
            joined |= branch
        for told in ("description", "default"):
            joined.pop(told, None)
        return joined | head | {"type": [kind for branch in branches for kind in _types(branch)]}
    if tag := _tag(branches):
        return tagged(tag, [(branch["properties"][tag]["enum"], branch) for branch in branches], head)
    return head | {word: branches}


def _of_different_types(branches: Sequence[Schema]) -> bool:
    kinds = ["number" if kind == "integer" else kind for branch in branches for kind in _types(branch)]
    return (
        all(_types(branch) for branch in branches)
        and len(set(kinds)) == len(kinds)
        and not any(_TYPELESS & branch.keys() for branch in branches)
    )


def _types(schema: Schema) -> list[str]:
    kind = schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _tag(branches: Sequence[Schema]) -> str | None:
    """The key whose value tells closed tables apart."""
    if not all(branch.get("type") == "object" and branch.get("additionalProperties") is False for branch in branches):
        return None
    for key in branches[0].get("properties", {}):
        values = [branch.get("properties", {}).get(key, {}).get("enum") for branch in branches]
        if all(values) and len({str(value) for some in values for value in some}) == sum(map(len, values)):
            return str(key)
    return None

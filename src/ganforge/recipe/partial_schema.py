"""A recipe's JSON Schema in two halves: what holds of every recipe, and what only a whole one must have.

A recipe that ``extends`` another says what differs: tables without ``use``, optimizers of which the base says the kind, schedules
without ``start``. The first half judges what stands there; the second, which holds only without ``extends``, asks for the rest.
Lists such as ``[[loss]]`` replace those of the base, so their tables are whole in either case.
"""

from __future__ import annotations

from ganforge.recipe.json_schema_export import Schema

_OPEN: Schema = {"additionalProperties": True}
"""That a schema speaks of some keys only; tombi takes its absence for a closed table."""


def in_halves(whole: Schema) -> Schema:
    """The schema of a table that may ``extends`` another one, from that of a whole table."""
    return {**_partial(whole), "if": {**_OPEN, "required": ["extends"]}, "then": _OPEN, "else": _demands(whole)}


def _partial(whole: Schema) -> Schema:
    """The schema of a table parts of which are said elsewhere."""
    part = {key: value for key, value in whole.items() if key != "required"}
    if "properties" in whole:
        part["properties"] = {key: _partial(field) for key, field in whole["properties"].items()}
    if "allOf" in whole:
        part["allOf"] = [
            {"if": {**rule["if"], "required": [_tag(rule)]}, "then": _partial(rule["then"])} for rule in whole["allOf"]
        ]
        if unsaid := _closed(whole):
            part["allOf"].append({"if": _absent(_tag(whole["allOf"][0])), "then": unsaid})
    return part


def _demands(whole: Schema) -> Schema:
    """What a whole table must have beyond what a part of one may."""
    demands: Schema = {"required": whole["required"]} if "required" in whole else {}
    fields = {key: asked for key, field in whole.get("properties", {}).items() if (asked := _demands(field))}
    if fields:
        demands["properties"] = fields
    rules = [{"if": rule["if"], "then": asked} for rule in whole.get("allOf", ()) if (asked := _demands(rule["then"]))]
    defaults = [rule for rule in whole.get("allOf", ()) if "required" not in rule["if"]]
    rules += [{"if": _absent(_tag(rule)), "then": _names_of(rule["then"])} for rule in defaults]
    if rules:
        demands["allOf"] = rules
    return _OPEN | demands if demands else {}


def _closed(whole: Schema) -> Schema:
    """That a table which does not say whose it is holds no key that none of its kinds has."""
    if whole.get("additionalProperties") is True and whole.get("properties"):
        return _names_of(whole)
    fields = {key: closed for key, field in whole.get("properties", {}).items() if key == "params" and (closed := _closed(field))}
    return {**_OPEN, "properties": fields} if fields else {}


def _names_of(table: Schema) -> Schema:
    return {"properties": {key: {} for key in table["properties"]}, "additionalProperties": False}


def _absent(tag: str) -> Schema:
    return {"not": {**_OPEN, "required": [tag]}}


def _tag(rule: Schema) -> str:
    (tag,) = rule["if"]["properties"]
    return str(tag)

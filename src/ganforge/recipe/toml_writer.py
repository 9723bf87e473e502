"""Write recipes and component templates as TOML, flatten recipes for trackers, and fingerprint them."""

from __future__ import annotations

import hashlib
import json
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ganforge.core.params import Params
from ganforge.core.redaction import mask_data
from ganforge.recipe.config import LIST_KINDS, Recipe
from ganforge.recipe.toml_file import BARE
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component
from ganforge.registry.params_description import ParamInfo, describe_params, plain_value

COSMETIC_KEYS = ("title", "description", "expect", "pictures", "checkpoints", "tracking", "requires")
"""Keys that affect how a run is named, judged, shown and recorded, but not its results."""


def to_toml(table: Mapping[str, Any]) -> str:
    """A whole recipe (:func:`to_plain`) as TOML, including defaults, in the order of the schema, and read back as an equal one."""
    lines = [f"{name} = {toml_value(item)}" for name, item in table.items() if not _is_table(item) and item != []]
    for name, item in table.items():
        if isinstance(item, Mapping) and item:
            lines += _section(f"[{name}]", name, item)
        elif _is_table(item):
            for element in item:
                lines += _section(f"[[{name}]]", name, element)
    return "\n".join(lines).strip("\n") + "\n"


def flatten(recipe: Recipe) -> dict[str, str]:
    """Every value by its dotted key, such as ``loss.0.weight``, without secrets; lists as TOML. MLflow allows the characters."""
    return {".".join(key): text for key, text in _leaves(mask_data(to_plain(recipe)), ())}


def fingerprint(recipe: Recipe) -> str:
    """A sha256, equal for resolved recipes with the same training and measurements, whatever their `COSMETIC_KEYS` and threads."""
    table = {name: item for name, item in to_plain(recipe).items() if name not in COSMETIC_KEYS}
    table["train"] = {
        name: item for name, item in table["train"].items() if name != "threads"
    }  # of the computer, not the experiment
    canonical = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as nested dicts and lists of plain values, without ``None``."""
    return dict(without_unset(recipe.model_dump(mode="json")))


def without_unset(item: Any) -> Any:
    """Plain data without ``None`` and infinity in its tables, which TOML cannot represent: they are always defaults."""
    if isinstance(item, Mapping):
        unset = {name for name, part in item.items() if part is None or (isinstance(part, float) and not math.isfinite(part))}
        return {name: without_unset(part) for name, part in item.items() if name not in unset}
    return [without_unset(part) for part in item] if isinstance(item, list) else item


def toml_value(item: object) -> str:
    """A value in TOML, multi-line only if it is multi-line text; a ValueError if TOML cannot represent it."""
    match item:
        case bool():
            return "true" if item else "false"
        case int():
            return str(item)
        case float() if math.isfinite(item):
            return repr(item)
        case str():
            return _multiline_string(item) if "\n" in item else _string(item)
        case PurePath():
            return _string(str(item))
        case Mapping():
            inside = ", ".join(f"{toml_key(name)} = {_inline(part)}" for name, part in item.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(_inline(part) for part in item)}]"
    raise ValueError(f"recipes cannot hold {item!r}")


def toml_key(name: str) -> str:
    """A key in TOML, quoted if necessary."""
    return name if BARE.fullmatch(name) else _string(name)


def component_template(component: Component, name: str) -> str:
    """A component as a TOML table to paste into a recipe, under this name: every parameter with a value, explained in a comment.

    Parameters that need a value get that of ``check_params``, marked as an example. Without one, the line is commented out.
    """
    model = component.load_params()
    examples = _examples(model, component.check_params)
    table = component.kind.value
    comments = [
        component.summary,
        f"deprecated: {component.deprecated}" if component.deprecated else "",
        f"{component.id}@{component.revision}, {component.plugin.distribution} {component.plugin.version}",
        *component.references,
    ]
    lines = [
        *(line for text in comments for line in _comment(text)),
        f"[[{table}]]" if component.kind in LIST_KINDS else f"[{table}]",
        f"use = {toml_value(name)}",
    ]
    parameters = describe_params(model)
    if parameters:
        lines += ["", f"[{table}.params]"]
    for parameter in parameters:
        if parameter.parent is None:
            lines += [*_comment(_explanation(parameter)), *_nested_comments(parameter, parameters)]
            lines.append(_template_line(parameter, examples))
    return "\n".join(lines)


def format_default(default: object) -> str:
    """A default as TOML, or as text if TOML cannot represent it."""
    try:
        return "not set" if default is None else toml_value(default)
    except ValueError:
        return str(default)


def _section(header: str, name: str, table: Mapping[str, Any]) -> list[str]:
    """The lines of a table, with separate headers for its ``params`` and ``optimizer``."""
    below = [part for part in ("params", "optimizer") if isinstance(table.get(part), Mapping)]
    lines = ["", header] + [f"{toml_key(part)} = {toml_value(item)}" for part, item in table.items() if part not in below]
    for part in below:
        if table[part]:
            lines += ["", f"[{name}.{part}]", *(f"{toml_key(inner)} = {toml_value(item)}" for inner, item in table[part].items())]
    return lines


def _is_table(item: object) -> bool:
    return isinstance(item, Mapping) or (isinstance(item, list) and bool(item) and all(isinstance(part, Mapping) for part in item))


def _inline(item: object) -> str:
    """As :func:`toml_value`, but always on one line, as inline tables require."""
    return _string(item) if isinstance(item, str) else toml_value(item)


def _string(text: str) -> str:
    # JSON's escapes are valid in TOML, which also requires DEL to be escaped
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _multiline_string(text: str) -> str:
    return '"""\n' + "\n".join(_string(line)[1:-1] for line in text.split("\n")) + '"""'


def _leaves(item: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(item, Mapping) and item:
        for name, part in item.items():
            yield from _leaves(part, (*at, re.sub(r"[^\w\-. :]", "_", name, flags=re.ASCII)))
    elif _is_table(item):
        for index, part in enumerate(item):
            yield from _leaves(part, (*at, str(index)))
    elif item != {} and item != []:
        yield at, item if isinstance(item, str) else toml_value(item)


def _examples(model: type[Params], check_params: Mapping[str, Any]) -> Mapping[str, object]:
    """The fewest ``check_params`` that make the model valid; none if even all of them do not."""
    required = {
        name: check_params[name] for name, field in model.model_fields.items() if field.is_required() and name in check_params
    }
    for table in (required, check_params):
        given = {key: plain_value(item) for key, item in table.items()}
        if isinstance(validate(model, given), model):
            return given
    return {}


def _explanation(parameter: ParamInfo) -> str:
    kind = ", ".join(part for part in (parameter.type, parameter.range) if part)
    return f"{parameter.description} ({kind})" if parameter.description else kind


def _nested_comments(parameter: ParamInfo, parameters: Iterable[ParamInfo]) -> Iterable[str]:
    """Comments for the keys of a nested table."""
    for other in parameters:
        if other.parent == parameter.name:
            yield from _comment(f"{other.name}: {_explanation(other)}; {_default_text(other)}", indent="  ")
            yield from _nested_comments(other, parameters)


def _template_line(parameter: ParamInfo, examples: Mapping[str, object]) -> str:
    key = toml_key(parameter.name)
    if parameter.name in examples:
        return f"{key} = {toml_value(examples[parameter.name])} # {_default_text(parameter)}; this is an example"
    try:
        return f"{key} = {toml_value(parameter.default)}"
    except ValueError:  # required, or a default that TOML cannot represent
        return f"# {key} = … {_default_text(parameter)}"


def _default_text(parameter: ParamInfo) -> str:
    return "required" if parameter.required else f"default: {format_default(parameter.default)}"


def _comment(text: str, *, indent: str = "") -> list[str]:
    """Wrapped comment lines, without the control characters that TOML forbids."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    lines = textwrap.wrap(" ".join(printable.split()), 110, break_long_words=False, break_on_hyphens=False)
    return [f"# {indent}{line}" for line in lines]

"""Dotted keys, such as ``loss[1].weight``: parsing, formatting, and lookup in nested tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Key = tuple[str | int, ...]
"""A path into nested tables and lists: names and list indices from 0."""

BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML accepts without quotes."""

_STEP = re.compile(r"""(?P<bare>[A-Za-z0-9_-]+) | (?P<basic>"(?:[^"\\]|\\.)*") | '(?P<literal>[^']*)'""", re.VERBOSE)
_INDEX = re.compile(r"\[(\d{1,9})\]")
_MAX_NAME = 80


def format_key(key: Key) -> str:
    """``("loss", 1, "params", "x")`` → ``loss[1].params.x``; other names are quoted, and shortened if they are very long."""
    text = ""
    for step in key:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        name = step if len(step) <= _MAX_NAME else step[: _MAX_NAME - 1] + "…"
        text += ("." if text else "") + (name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=len(step) == len(name)))
    return text


def parse_key(text: str) -> Key:
    """``loss[1].weight`` → ``("loss", 1, "weight")``; :func:`resolve_indices` turns the digits of ``loss.1.weight`` into an index.

    Raises:
        ValueError: the text is not a dotted key.
    """
    steps: list[str | int] = []
    at = 0
    while True:
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"{text!r} is not a dotted key")
        steps.append(_unquote(step))
        at = step.end()
        while index := _INDEX.match(text, at):
            steps.append(int(index[1]))
            at = index.end()
        if at == len(text):
            return tuple(steps)
        if text[at] != ".":
            raise ValueError(f"{text!r} is not a dotted key")
        at += 1


def _unquote(step: re.Match[str]) -> str:
    if step["bare"] is not None:
        return step["bare"]
    if step["literal"] is not None:
        return step["literal"]
    return str(json.loads(step["basic"], strict=False))


def resolve_indices(key: Key, table: object) -> Key:
    """The same key with digits as indices wherever ``table`` has a list."""
    steps: list[str | int] = []
    for step in key:
        if isinstance(table, Sequence) and not isinstance(table, str) and isinstance(step, str) and step.isdecimal():
            step = int(step)
        steps.append(step)
        table = step_into(table, step)
    return tuple(steps)


def step_into(value: object, step: str | int) -> Any:
    """The value at ``step`` of a table or list, or ``None``."""
    if isinstance(value, Mapping) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None

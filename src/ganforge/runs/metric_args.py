"""``--metric NAME:key=value,…`` becomes a metric table of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganforge.core.errors import UsageError
from ganforge.recipe.layers import parse_value
from ganforge.recipe.toml_writer import toml_value as toml

_OF_TABLE = ("samples", "name")
"""Keys that stand beside ``params`` in a recipe's ``[[metric]]``; all others are the metric's own parameters."""
_PARAMS = "params."
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "\"'"
_FORM = "write --metric NAME or --metric NAME:key=value,key=value, such as --metric wasserstein:order=1,samples=500"


@dataclass(frozen=True, slots=True)
class Request:
    """A metric that is asked for.

    Attributes:
        text: as it was written, or its name in the recipe.
        table: the table that a recipe would hold: ``use``, ``name``, ``params``, ``samples``.
    """

    text: str
    table: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What its values are called."""
        return str(self.table["name"])


def requests(texts: Sequence[str], known: Sequence[Mapping[str, Any]], samples: int | None = None) -> list[Request]:
    """What is to be measured: what the texts say, or all that the recipe names.

    A text that begins with the name of one of the recipe's metrics means that one, with its parameters where it gives no others.

    Args:
        texts: of the command line.
        known: the metric tables of the run's resolved recipe.
        samples: generated samples for each metric that does not say how many itself.

    Raises:
        UsageError: a text that cannot be read, two metrics of one name, or nothing to measure.
    """
    asked = [_read(text, known) for text in texts] or [Request(_name(table), {**table, "name": _name(table)}) for table in known]
    if not asked:
        raise UsageError(
            "the run's recipe names no metric", remedy="name one: --metric wasserstein; `ganforge list metric` shows them all"
        )
    seen: set[str] = set()
    for request in asked:
        if request.name in seen:
            raise UsageError(
                f"two metrics are called '{request.name}'", remedy=f"give one a name: --metric '{_renamed(request.text)}'"
            )
        seen.add(request.name)
    return [_sized(request, samples) for request in asked]


def _read(text: str, known: Sequence[Mapping[str, Any]]) -> Request:
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not name or (colon and not rest.strip()):
        raise UsageError(f"--metric {text!r} names no metric" if not name else f"--metric {text!r} ends in a colon", remedy=_FORM)
    base: Mapping[str, Any] = next((table for table in known if _name(table) == name), {"use": name})
    own: dict[str, Any] = {}
    params: dict[str, Any] = dict(base.get("params", {}))
    for key, value in _assignments(text, rest) if colon else ():
        if key in _OF_TABLE:
            own[key] = value
        else:
            params[key.removeprefix(_PARAMS)] = value
    called = name.rpartition("/")[2].partition("@")[0]
    return Request(text, {"name": called, **base, **own, "params": params, **({"asked": True} if "samples" in own else {})})


def _assignments(text: str, rest: str) -> Iterator[tuple[str, Any]]:
    for piece in _pieces(rest):
        key, equals, value = piece.partition("=")
        key = key.strip()
        if not equals or not key or not value.strip():
            raise UsageError(f"--metric {text!r}: {piece.strip()!r} is not of the form key=value", remedy=_FORM)
        try:
            found = parse_value(value.strip())
            toml(found)  # what a recipe cannot hold, such as inf, has no place here either
            yield key, found
        except ValueError as error:
            raise UsageError(
                f"--metric {text!r}: {key}: {error}", remedy="numbers are finite, and text needs quotes, as in a recipe"
            ) from error


def _pieces(text: str) -> Iterator[str]:
    """What stands between commas, those within brackets or quotes apart."""
    depth, quote, begin = 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "," and not depth:
            yield text[begin:place]
            begin = place + 1
        else:
            depth += (letter in _OPEN) - (letter in _CLOSE)
    yield text[begin:]


def _sized(request: Request, samples: int | None) -> Request:
    table = {key: value for key, value in request.table.items() if key not in ("asked", "every", "optional")}
    if samples is not None and not request.table.get("asked"):
        table["samples"] = samples
    return replace(request, table=table)


def _name(table: Mapping[str, Any]) -> str:
    return str(table.get("name") or str(table.get("use")).rpartition("/")[2].partition("@")[0])


def _renamed(text: str) -> str:
    return f"{text},name=another" if ":" in text else f"{text}:name=another"

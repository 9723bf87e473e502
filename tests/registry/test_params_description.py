from typing import Annotated, Literal

import pytest
from pydantic import Field, JsonValue

from ganforge.core.params import NoParams, Params
from ganforge.registry.params_description import describe_params, type_words


class Inner(Params):
    depth: int = Field(3, ge=1)
    """How deep."""


class Node(Params):
    name: str
    """What it is called."""
    below: tuple["Node", ...] = ()
    """What hangs on it."""


class Nested(Params):
    maybe: Inner | None = None
    """Perhaps one more."""
    blocks: tuple[Inner, ...] = ()
    """Many of them."""
    named: dict[str, Inner] = Field(default_factory=dict)
    """Each under its name."""
    tree: Node | None = None
    """Tables in tables."""


class Bounded(Params):
    maybe: Annotated[int, Field(ge=1)] | None = None
    """One or more, or none."""
    widths: tuple[Annotated[int, Field(ge=4, le=9)], ...] | None = None
    """Each between 4 and 9."""
    pair: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(lt=1)]] = (0.0, 0.5)
    """Two unlike numbers."""
    shares: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """By name."""


class Example(Params):
    exact: str = Field(",", min_length=1, max_length=1)
    """One character."""
    some: tuple[int, ...] = Field((1,), min_length=1, max_length=4)
    """One to four."""
    even: int = Field(2, multiple_of=2)
    """Even."""
    inner: Inner = Inner()
    """The core."""


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (int | None, "int"),
        (int | str, "int or str"),
        (Literal["a", 2], '"a" or 2'),
        (tuple[int, ...], "list of int"),
        (tuple[float, float], "[float, float]"),
        (list[Annotated[str, "mark"]], "list of str"),
        (dict[str, tuple[int, ...]], "table of list of int"),
        (Inner, "table"),
        (JsonValue, None),  # a name of its own, or what it stands for, but never a failure
    ],
)
def test_types_in_words(annotation, words):
    assert type_words(annotation) == words or words is None


def test_ranges_in_words():
    assert {one.name: one.range for one in describe_params(Example)} == {
        "exact": "1 long",
        "some": "not empty, at most 4 long",
        "even": "multiple of 2",
        "inner": "",
        "inner.depth": "≥ 1",
    }


def test_ranges_within_types():
    assert {one.name: one.range for one in describe_params(Bounded)} == {
        "maybe": "≥ 1",
        "widths": "each ≥ 4, each ≤ 9",
        "pair": "item 0 ≥ 0, item 1 < 1",
        "shares": "each ≥ 0",
    }


def test_tables_are_told_wherever_they_may_stand_and_once_each():
    assert [(one.name, one.parent) for one in describe_params(Nested)] == [
        ("maybe", None),
        ("maybe.depth", "maybe"),
        ("blocks", None),
        ("blocks[].depth", "blocks"),
        ("named", None),
        ("named.*.depth", "named"),
        ("tree", None),
        ("tree.name", "tree"),
        ("tree.below", "tree"),
    ]


def test_no_parameters():
    assert describe_params(NoParams) == ()

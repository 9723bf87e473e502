from typing import Annotated, Literal

import pytest
from pydantic import Field, JsonValue

from ganforge.core.params import NoParams, Params
from ganforge.hooks.parameters import describe_params, type_words


class Inner(Params):
    depth: int = Field(3, ge=1)
    """How deep."""


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


def test_no_parameters():
    assert describe_params(NoParams) == ()

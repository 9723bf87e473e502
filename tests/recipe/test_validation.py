"""Models of plugin authors: any type they may declare, one clear sentence for each mistake."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from ganforge.core.params import Params, Schedule
from ganforge.recipe.toml_file import format_key
from ganforge.recipe.validation import validate


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Params):
    width: int = Field(ge=1)
    kind: Literal["inner"] = "inner"


class Other(Params):
    depth: int
    kind: Literal["other"]


class Model(Params):
    colour: Colour = Colour.RED
    path: Path = Path()
    pair: tuple[int, int] = (1, 1)
    many: tuple[Annotated[int, Field(ge=1)], ...] = ()
    some: list[str] = Field(default=[], max_length=2)
    few: tuple[int, ...] = Field((1,), min_length=1)
    by_name: dict[str, int] = Field(default={})
    maybe: int | None = None
    either: int | str = 1
    scalar: Annotated[float, Field(ge=0)] | Schedule = 1.0
    inner: Inner | Other | None = None
    inners: tuple[Inner, ...] = ()
    even: int = Field(2, multiple_of=2)
    share: float = Field(0.5, gt=0, lt=1)
    code: str = Field("ab", pattern="^[a-z]+$", min_length=2, max_length=5)
    flag: Literal[True] = True
    size: Literal[8, 16] = 8


def test_what_toml_gives_fits_tuples_paths_enums_and_floats():
    table = {"colour": "blue", "path": "a/b", "pair": [1, 2], "scalar": 1, "inner": {"width": 2}, "maybe": 3}
    verdict = validate(Model, table)
    assert isinstance(verdict, Model)
    assert (verdict.colour, verdict.path, verdict.pair, verdict.scalar) == (Colour.BLUE, Path("a/b"), (1, 2), 1.0)


@pytest.mark.parametrize(
    ("table", "key", "message", "hint"),
    [
        ({"colour": "blu"}, "colour", 'must be one of "red", "blue", got \'blu\'', "did you mean 'blue'?"),
        ({"path": 3}, "path", "must be text in quotes, got 3", None),
        ({"pair": [1, "x"]}, "pair[1]", "must be an integer, got 'x'", None),
        ({"many": [1, 0]}, "many[1]", "must be at least 1, got 0", None),
        ({"many": 8}, "many", "must be a list, got 8", "write a list, such as [8]"),
        ({"some": ["a", "b", "c"]}, "some", "length must be at most 2, got 3", None),
        ({"few": []}, "few", "length must be at least 1, got 0", None),
        ({"by_name": {"a": 1.5}}, "by_name.a", "must be an integer, got 1.5", None),
        ({"maybe": "x"}, "maybe", "must be an integer, got 'x'", None),
        ({"either": 1.5}, "either", "must be an integer or text in quotes, got 1.5", None),
        ({"scalar": -1}, "scalar", "must be at least 0, got -1", None),
        ({"scalar": "x"}, "scalar", "must be a number or a schedule table, got 'x'", None),
        ({"scalar": {"schedule": "linear", "start": 1, "end": "0"}}, "scalar.end", "must be a number, got '0'", "drop the quotes"),
        ({"scalar": {"schedule": "linear", "start": 1}}, "scalar", "give 'end'", None),
        ({"inner": {"width": 0}}, "inner.width", "must be at least 1, got 0", None),
        ({"inner": {"width": 1, "widht": 1}}, "inner.widht", "unknown key", "did you mean 'width'?"),
        ({"inner": {"kind": "other", "depht": 1, "depth": 1}}, "inner.depht", "unknown key", "did you mean 'depth'?"),
        ({"inner": 3}, "inner", "must be a table, got 3", None),
        ({"inners": [{"width": 1}, {}]}, "inners[1].width", "is missing", "add width = … to inners[1]"),
        ({"even": 3}, "even", "must be a multiple of 2, got 3", None),
        ({"share": 1}, "share", "must be below 1, got 1", None),
        ({"share": 0.0}, "share", "must be above 0, got 0.0", None),
        ({"code": "AB"}, "code", "must match the pattern ^[a-z]+$, got 'AB'", None),
        ({"code": "a"}, "code", "must have at least 2 characters, got 'a'", None),
        ({"code": "abcdef"}, "code", "must have at most 5 characters, got 'abcdef'", None),
        ({"flag": False}, "flag", "must be true, got false", None),
        ({"size": 9}, "size", "must be one of 8, 16, got 9", None),
        ({"colours": "red"}, "colours", "unknown key", "did you mean 'colour'?"),
    ],
)
def test_one_mistake_is_one_fault(table, key, message, hint):
    faults = validate(Model, table)
    assert isinstance(faults, list)
    assert [(format_key(fault.key), fault.message, fault.hint) for fault in faults] == [(key, message, hint)]


def test_every_mistake_is_reported():
    faults = validate(Model, {"share": 2, "even": 1, "inner": {"width": 0, "x": 1}})
    assert isinstance(faults, list)
    assert {format_key(fault.key) for fault in faults} == {"share", "even", "inner.width", "inner.x"}


def test_a_component_without_parameters_says_so():
    (fault,) = validate(Params, {"width": 1})
    assert (fault.message, fault.hint) == ("unknown key", "this component takes no parameters")

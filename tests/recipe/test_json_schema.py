from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import Field

from ganforge.core.params import Params
from ganforge.recipe.json_schema import export_schema


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(Params):
    """What is inside."""

    depth: int = Field(3, ge=1)
    """How deep."""


class Disc(Params):
    shape: Literal["disc"] = "disc"
    """Which shape."""
    radius: float
    """Half its width."""


class Box(Params):
    shape: Literal["box"]
    """Which shape."""
    side: float
    """Its width."""


class Tree(Params):
    """A table that holds tables of its own kind."""

    name: str
    """What it is called."""
    below: tuple["Tree", ...] = ()
    """What hangs on it."""


class Everything(Params):
    """All that a params model may hold."""

    sides: int = Field(gt=2)
    """Corners."""
    file: Path | None = None
    """Where it lies."""
    colour: Colour = Colour.BLUE
    """Its paint."""
    only: Literal["one"] = "one"
    """No choice."""
    pair: tuple[float, Annotated[int, Field(le=9)]] = (0.5, 1)
    """Two numbers."""
    widths: tuple[Annotated[int, Field(ge=4)], ...] = (8,)
    """Many numbers."""
    weights: dict[str, float] = Field(default_factory=dict)
    """By name."""
    label: str | int | None = None
    """A name or a number."""
    inner: Inner = Inner()
    """The core."""
    maybe: Inner | None = None
    """Perhaps one more."""
    automatic: Literal["auto"] | int = "auto"
    """A number, or let it be found."""
    title: str = ""
    """Is no keyword here."""


class Shaped(Params):
    shape: Annotated[Disc | Box, Field(discriminator="shape")] = Disc(radius=1.0)
    """What it looks like."""


@pytest.fixture(scope="module")
def fields():
    return export_schema(Everything)["properties"]


def errors(model, value):
    found = jsonschema.Draft7Validator(export_schema(model)).iter_errors(value)
    return sorted({(".".join(map(str, error.absolute_path)), error.validator) for error in found})


def test_table_is_closed_and_says_what_must_be_given():
    schema = export_schema(Everything)
    assert (schema["type"], schema["additionalProperties"], schema["required"]) == ("object", False, ["sides"])
    assert schema["description"] == "All that a params model may hold."
    assert "required" not in export_schema(Inner)


def test_fields_keep_type_range_default_and_description(fields):
    assert fields["sides"] == {"type": "integer", "exclusiveMinimum": 2, "description": "Corners."}
    assert fields["colour"] == {"type": "string", "enum": ["red", "blue"], "default": "blue", "description": "Its paint."}
    assert fields["weights"]["additionalProperties"] == {"type": "number"}
    assert fields["title"]["description"] == "Is no keyword here."


def test_optional_fields_lose_the_null_that_toml_lacks(fields):
    assert fields["file"] == {"type": "string", "format": "path", "description": "Where it lies."}
    assert fields["maybe"]["properties"]["depth"]["minimum"] == 1
    assert fields["maybe"]["description"] == "Perhaps one more."


def test_references_are_put_in_place_under_the_fields_own_description(fields):
    assert fields["inner"]["properties"]["depth"] == {"type": "integer", "minimum": 1, "default": 3, "description": "How deep."}
    assert fields["inner"]["description"] == "The core."


def test_constants_and_tuples_are_reported_in_the_words_of_draft_07(fields):
    assert fields["only"]["enum"] == ["one"]
    assert fields["pair"]["items"] == [{"type": "number"}, {"type": "integer", "maximum": 9}]
    assert fields["pair"]["additionalItems"] is False
    assert fields["pair"]["minItems"] == 2
    assert fields["widths"]["items"] == {"type": "integer", "minimum": 4}


def test_alternatives_of_different_types_become_one_schema(fields):
    assert fields["label"] == {"type": ["string", "integer"], "description": "A name or a number."}


def test_alternatives_that_cannot_be_joined_stay_alternatives(fields):
    assert [sorted(branch) for branch in fields["automatic"]["anyOf"]] == [["enum", "type"], ["type"]]


def test_tagged_tables_are_judged_by_their_tag_alone():
    assert errors(Shaped, {"shape": {"shape": "box", "side": 1}}) == []
    assert errors(Shaped, {"shape": {"shape": "box", "side": "1"}}) == [("shape.side", "type")]
    assert errors(Shaped, {"shape": {"shape": "box", "radius": 1, "side": 1}}) == [("shape", "additionalProperties")]
    assert errors(Shaped, {"shape": {"shape": "bok"}}) == [("shape.shape", "enum")]
    assert errors(Shaped, {"shape": {"shape": "box"}}) == [("shape", "required")]


def test_default_of_a_tag_holds_where_it_is_left_out():
    assert errors(Shaped, {"shape": {"radius": 1}}) == []
    assert errors(Shaped, {"shape": {"side": 1}}) == [("shape", "additionalProperties"), ("shape", "required")]


def test_tagged_tables_offer_the_keys_of_all_for_completion():
    shape = export_schema(Shaped)["properties"]["shape"]
    assert shape["properties"]["shape"]["enum"] == ["disc", "box"]
    assert shape["properties"]["side"] == {"type": "number", "description": "[box] Its width."}
    assert shape["additionalProperties"] is True


def test_tables_within_tables_of_their_kind_come_to_an_end():
    assert errors(Tree, {"name": "a", "below": [{"name": "b", "below": [{"name": "c"}]}]}) == []
    assert errors(Tree, {"name": 1, "below": {}}) == [("below", "type"), ("name", "type")]


def test_whole_value_is_judged_as_the_model_judges_it():
    right = {"sides": 3, "file": "x", "pair": [1, 2], "weights": {"a": 1}, "label": 3, "inner": {"depth": 2}, "automatic": 4}
    assert errors(Everything, right) == []
    wrong = right | {"pair": [1, 10], "label": 0.5, "inner": {"deep": 1}, "weights": {"a": "b"}}
    assert errors(Everything, wrong) == [
        ("inner", "additionalProperties"),
        ("label", "type"),
        ("pair.1", "maximum"),
        ("weights.a", "type"),
    ]

"""A recipe stays data: params that would make code of its text are refused before they see it."""

import sys
from typing import Annotated, Literal

import pytest
from pydantic import Field, JsonValue

from ganforge.build.blueprint import resolve_recipe
from ganforge.cli.app import main
from ganforge.core.errors import PluginError
from ganforge.core.params import NoParams, Params
from ganforge.recipe.reader import read_recipe
from ganforge.registry.component import Kind
from ganforge.registry.params_description import describe_params, iter_fields, non_plain_fields, type_name


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
    assert type_name(annotation) == words or words is None


def test_ranges_in_words():
    assert {one.name: one.range for one in describe_params(Example)} == {
        "exact": "not empty, at most 1 long",
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


def test_tables_are_reported_wherever_they_may_stand_and_once_each():
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


SOURCE = """
from ganforge.plugin import hookimpl

@hookimpl
def ganforge_register_generators(register):
    register("odd", "ganforge.testing.stub_components:LinearGenerator", params="acme_params:Odd", summary="Odd.")
    register("good", "ganforge.testing.stub_components:LinearGenerator", summary="Good.")
"""
PARAMS = """
from collections.abc import Callable
from typing import Any
from pydantic import ImportString
from ganforge.plugin import Params

class Odd(Params):
    layer: {annotation} = None
"""
RECIPE = """
[train]
iterations = 1
[dataset]
use = "moons"
[sampler]
use = "normal"
params = { size = 2 }
[generator]
use = "acme-gan/odd"
params = { layer = "this" }
[discriminator]
use = "mlp"
[[loss]]
use = "hinge"
"""


class Recursive(Params):
    deeper: "Leaf | None" = None
    itself: "Recursive | None" = None


class Leaf(Params):
    size: int = 1


@pytest.fixture
def odd(install, load):
    """A plugin with a params model, named and not imported, that has a field of the given type."""

    def odd(annotation):
        install(source=SOURCE).folder.joinpath("acme_params.py").write_text(PARAMS.replace("{annotation}", annotation))
        return load("acme-gan", "ganforge-vanilla")

    return odd


@pytest.mark.parametrize("annotation", ["Any", "Callable[[int], int] | None", "ImportString | None", "list[ImportString] | None"])
def test_a_model_that_is_not_plain_costs_its_component_only(odd, annotation):
    registry = odd(annotation)

    with pytest.raises(
        PluginError, match=r"^generator 'acme-gan/odd': its params are not plain data: layer \((Any|Callable|Import)"
    ):
        registry.find(Kind.GENERATOR, "odd").load_params()
    assert registry.find(Kind.GENERATOR, "good").load_params()


def test_a_recipe_that_names_code_imports_nothing(odd, tmp_path, monkeypatch):
    registry = odd("ImportString | None")
    tmp_path.joinpath("this.py").write_text("raise SystemExit('imported')\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)

    with pytest.raises(PluginError, match="'acme-gan/odd': its params are not plain data") as caught:
        resolve_recipe(read_recipe(recipe.with_name("recipe.toml")), registry)
    assert "\n" not in caught.value.message
    assert "this" not in sys.modules


def test_the_commands_say_it_in_one_line(odd, tmp_path, capsys):
    odd("Any")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)

    assert main(["check", str(recipe)]) == 3
    error = capsys.readouterr().err
    assert "generator 'acme-gan/odd': its params are not plain data: layer (Any)" in error
    assert "Traceback" not in error
    assert main(["describe", "generator", "acme-gan/odd"]) == 3
    assert main(["describe", "generator", "acme-gan/good"]) == 0
    assert main(["list", "generators"]) == 0


def test_a_model_may_name_what_comes_later_and_itself():
    assert non_plain_fields(Recursive) == ()
    assert [name for name, *_ in iter_fields(Recursive)] == ["deeper", "deeper.size", "itself"]

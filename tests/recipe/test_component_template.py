import math
import tomllib
from typing import Literal, Self

import pytest
from pydantic import Field, model_validator

from ganforge.build.blueprint import resolve_recipe
from ganforge.core.params import NoParams, Params
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import component_template
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.registry.plugin_loader import load_plugins


class Inner(Params):
    depth: int = Field(3, ge=1, le=9)
    """How deep."""
    width: int
    """How wide."""


class SwirlParams(Params):
    sides: int = Field(gt=2)
    """Corners."""
    rate: float = Field(0.5, gt=0, lt=1)
    """How fast
    it turns, \x07 loudly."""
    mode: Literal["in", "out"] = "in"
    """Which way."""
    sizes: tuple[int, ...] = (8, 16)
    """Widths."""
    file: str | None = None
    """Where it lies."""
    limit: float = math.inf
    """How far it goes."""
    inner: Inner = Inner(width=2)
    """The core."""


class OneOfTwo(Params):
    a: int = 0
    """One way."""
    b: int = 0
    """The other."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.a and not self.b:
            raise ValueError("give a or b")
        return self


def component(params, *, kind=Kind.GENERATOR, **facts):
    return Component(kind, "swirl", PluginRef("acme", "acme-gan", "1.0"), "acme:build", params, "Turns noise.", **facts)


def pasted(params, **facts):
    text = component_template(component(params, **facts), "swirl")
    return text, tomllib.loads(text)["generator"]


def test_every_parameter_stands_there_with_its_default_and_meaning():
    text, table = pasted(SwirlParams, check_params={"sides": 5})

    assert table["params"] == {
        "sides": 5,
        "rate": 0.5,
        "mode": "in",
        "sizes": [8, 16],
        "inner": {"depth": 3, "width": 2},
    }
    assert "# How fast it turns, loudly. (float, > 0, < 1)\nrate = 0.5\n" in text
    assert '# Which way. ("in" or "out")\nmode = "in"\n' in text
    assert "# Where it lies. (str)\n# file = … default: not set\n" in text
    assert "# How far it goes. (float)\n# limit = … default: inf\n" in text


def test_what_must_be_given_is_marked_and_has_an_example():
    text, table = pasted(SwirlParams, check_params={"sides": 5, "rate": 0.1})
    assert "# Corners. (int, > 2)\nsides = 5 # required; this is an example\n" in text
    assert table["params"]["rate"] == 0.5, "the check's own value is no default"


def test_without_an_example_the_line_is_left_to_the_author():
    text, table = pasted(SwirlParams)
    assert "# Corners. (int, > 2)\n# sides = … required\n" in text
    assert "sides" not in table["params"]


def test_defaults_that_do_not_agree_by_themselves_give_way_to_the_examples():
    text, table = pasted(OneOfTwo, check_params={"b": 1})
    assert table["params"] == {"a": 0, "b": 1}
    assert "b = 1 # default: 0; this is an example" in text
    assert "example" not in pasted(OneOfTwo, check_params={"b": 0})[0]


def test_keys_of_a_nested_table_are_reported_above_it():
    text, _ = pasted(SwirlParams)
    assert text.splitlines()[-4:] == [
        "# The core. (table)",
        "#   inner.depth: How deep. (int, ≥ 1, ≤ 9); default: 3",
        "#   inner.width: How wide. (int); required",
        "inner = { depth = 3, width = 2 }",
    ]


def test_head_says_what_it_is_and_where_it_comes_from():
    text, table = pasted(NoParams, references=("Swirl 2031,\nhttps://swirl.org",), deprecated="use curl", revision=3)
    assert text.splitlines() == [
        "# Turns noise.",
        "# deprecated: use curl",
        "# acme-gan/swirl@3, acme-gan 1.0",
        "# Swirl 2031, https://swirl.org",
        "[generator]",
        'use = "swirl"',
    ]
    assert table == {"use": "swirl"}


def test_long_descriptions_are_wrapped():
    class Talkative(Params):
        some: int = Field(1, description="word " * 100)

    assert max(map(len, pasted(Talkative)[0].splitlines())) <= 120


COMPONENTS = load_plugins().components()


@pytest.mark.parametrize("one", COMPONENTS, ids=lambda one: f"{one.kind}-{one.name}")
def test_every_installed_component_is_pasted_with_params_that_it_takes(one):
    registry = load_plugins()
    found = tomllib.loads(component_template(one, registry.name_of(one)))[one.kind]
    table = found[0] if isinstance(found, list) else found

    assert registry.find(one.kind, table["use"], usable=False) is not None
    params = validate(one.load_params(), table.get("params", {}))
    assert isinstance(params, one.load_params()), params


def test_whole_recipe_can_be_pasted_together(tmp_path):
    registry = load_plugins()
    wanted = [
        (Kind.DATASET, "moons"),
        (Kind.SAMPLER, "structured"),
        (Kind.GENERATOR, "mlp"),
        (Kind.DISCRIMINATOR, "infogan-mlp"),
        (Kind.LOSS, "non-saturating"),
        (Kind.LOSS, "mutual-information"),
        (Kind.METRIC, "wasserstein"),
    ]
    tables = [component_template(registry.find(kind, name), name) for kind, name in wanted]
    (tmp_path / "recipe.toml").write_text("[train]\niterations = 20\n\n" + "\n\n".join(tables) + "\n")

    blueprint = resolve_recipe(read_recipe(tmp_path / "recipe.toml"), registry)
    assert [(part.component.kind, part.component.name) for part in blueprint.parts] == [(Kind.GAME, "two-player"), *wanted]

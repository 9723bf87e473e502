"""A recipe stays data: params that would make code of its text are refused before they see it."""

import sys

import pytest

from ganforge.build.blueprint import resolve_recipe
from ganforge.cli.app import main
from ganforge.core.errors import PluginError
from ganforge.core.params import Params
from ganforge.recipe.reader import read_recipe
from ganforge.registry.component import Kind
from ganforge.registry.plain_types import fields, unplain

SOURCE = """
from ganforge.plugin import hookimpl

@hookimpl
def ganforge_register_generators(register):
    register("odd", "ganforge.testing.stub_components:build_generator", params="acme_params:Odd", summary="Odd.")
    register("good", "ganforge.testing.stub_components:build_generator", summary="Good.")
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


class Node(Params):
    deeper: "Leaf | None" = None
    itself: "Node | None" = None


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
    assert unplain(Node) == ()
    assert [name for name, _ in fields(Node)] == ["deeper", "deeper.size", "itself"]

"""The schema against right recipes and a corpus of mistakes, as judged by the jsonschema library, taplo, tombi and ``check``."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from ganforge.build.blueprint import resolve_recipe
from ganforge.core.errors import RecipeError
from ganforge.recipe.json_schema import build_schema
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_file import find_lines, format_key
from ganforge.recipe.toml_writer import to_plain, to_toml
from ganforge.registry.plugin_loader import load_plugins
from ganforge.testing import fake_plugin

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*(ROOT / "recipes").rglob("*.toml"), *(ROOT / "plugins").glob("*/recipes/*.toml")])

PARTS = {
    "train": "[train]\niterations = 20\n",
    "dataset": '[dataset]\nuse = "moons"\n',
    "sampler": '[sampler]\nuse = "normal"\nparams = { size = 3 }\n',
    "generator": '[generator]\nuse = "mlp"\n',
    "discriminator": '[discriminator]\nuse = "mlp"\n',
    "loss": '[[loss]]\nuse = "non-saturating"\n',
}


def recipe(head: str = "", **parts: str) -> str:
    """A whole recipe with some of its tables replaced."""
    return head + "".join({**PARTS, **parts}.values())


def extension(text: str) -> str:
    return f'extends = "whole.toml"\n{text}'


def generator(line: str) -> str:
    return recipe(generator=PARTS["generator"] + line + "\n")


RIGHT = {
    "whole": recipe(),
    "full-ids": recipe(
        generator='[generator]\nuse = "ganforge-vanilla/mlp@1"\nparams = { hidden = [8] }\n',
        discriminator='[discriminator]\nuse = "mlp@1"\n',
        dataset='[dataset]\nuse = "ganforge/moons"\n',
    ),
    "schedules": generator(
        'optimizer = { use = "sgd", lr = { schedule = "linear", start = 1, end = 0.1 }, '
        'momentum = { schedule = "cosine", start = 0.5, end = 0.9 } }'
    ),
    "default-optimizer": generator("optimizer = { lr = 1, betas = [0, 0.9] }"),
    "union-of-types": recipe(
        dataset='[dataset]\nuse = "arrays"\nparams = { file = "x.csv", label_column = 3, value_range = [0, 1] }\n'
    ),
    "extends-only": extension('title = "The same"\n'),
    "extends-half-an-optimizer": extension("[generator.optimizer]\nlr = 3e-4\nbetas = [0.5, 0.9]\n"),
    "extends-without-required-params": extension('[sampler]\nuse = "normal"\n'),
    "extends-params-without-use": extension("[discriminator.params]\nhidden = [3]\n"),
    "extends-an-engine-key": extension("[train]\nseed = 3\n"),
}


@dataclass(frozen=True)
class Mistake:
    """A recipe with one thing wrong.

    Attributes:
        text: the recipe.
        key: what is wrong, or missing.
    """

    text: str
    key: tuple[str | int, ...]


MISTAKES = {
    "unknown-table": Mistake(recipe(more="[trian]\nseed = 1\n"), ("trian",)),
    "unknown-top-key": Mistake(recipe('titel = "x"\n'), ("titel",)),
    "unknown-key": Mistake(recipe(train=PARTS["train"] + "epochs = 3\n"), ("train", "epochs")),
    "unknown-component": Mistake(recipe(generator='[generator]\nuse = "mpl"\nparams = { hiden = [8] }\n'), ("generator", "use")),
    "component-of-another-kind": Mistake(recipe(loss='[[loss]]\nuse = "mlp"\n'), ("loss", 0, "use")),
    "unknown-revision": Mistake(recipe(generator='[generator]\nuse = "mlp@7"\n'), ("generator", "use")),
    "wrong-type": Mistake(recipe(train='[train]\niterations = "20"\n'), ("train", "iterations")),
    "wrong-word": Mistake(recipe(train=PARTS["train"] + 'updates = "together"\n'), ("train", "updates")),
    "out-of-range": Mistake(recipe(train="[train]\niterations = 0\n"), ("train", "iterations")),
    "unknown-param": Mistake(generator("params = { hiden = [8] }"), ("generator", "params", "hiden")),
    "param-of-another": Mistake(
        recipe(discriminator=PARTS["discriminator"] + "params = { pieces = 5 }\n"), ("discriminator", "params", "pieces")
    ),
    "params-where-none-are": Mistake(recipe(loss=PARTS["loss"] + "params = { a = 1 }\n"), ("loss", 0, "params", "a")),
    "param-of-wrong-type": Mistake(generator('params = { hidden = "8" }'), ("generator", "params", "hidden")),
    "param-out-of-range": Mistake(generator("params = { slope = 1.5 }"), ("generator", "params", "slope")),
    "item-out-of-range": Mistake(generator("params = { hidden = [8, 0] }"), ("generator", "params", "hidden", 1)),
    "param-of-wrong-word": Mistake(generator('params = { activation = "rleu" }'), ("generator", "params", "activation")),
    "missing-table": Mistake(recipe(sampler=""), ("sampler",)),
    "missing-use": Mistake(recipe(dataset="[dataset]\nstandardise = true\n"), ("dataset", "use")),
    "missing-use-in-a-list": Mistake(recipe(loss=PARTS["loss"] + "[[loss]]\nweight = 1.0\n"), ("loss", 1, "use")),
    "missing-param": Mistake(
        recipe(sampler='[sampler]\nuse = "labelled"\nparams = { low = 0.0 }\n'), ("sampler", "params", "size")
    ),
    "missing-iterations": Mistake(recipe(train="[train]\nseed = 1\n"), ("train", "iterations")),
    "unknown-optimizer": Mistake(generator('optimizer = { use = "adm" }'), ("generator", "optimizer", "use")),
    "key-of-another-optimizer": Mistake(
        generator('optimizer = { use = "adam", momentum = 0.1 }'), ("generator", "optimizer", "momentum")
    ),
    "key-of-another-than-the-default": Mistake(generator("optimizer = { momentum = 0.1 }"), ("generator", "optimizer", "momentum")),
    "beta-out-of-range": Mistake(generator("optimizer = { betas = [0.5, 1.5] }"), ("generator", "optimizer", "betas", 1)),
    "rate-out-of-range": Mistake(generator("optimizer = { lr = -1e-3 }"), ("generator", "optimizer", "lr")),
    "decay-out-of-range": Mistake(recipe(train=PARTS["train"] + "ema_decay = 1.0\n"), ("train", "ema_decay")),
    "rate-of-wrong-type": Mistake(generator('optimizer = { lr = "1e-3" }'), ("generator", "optimizer", "lr")),
    "schedule-with-unknown-key": Mistake(
        generator('optimizer = { lr = { schedule = "linear", start = 1, end = 0, untill = 0.1 } }'),
        ("generator", "optimizer", "lr", "untill"),
    ),
    "schedule-of-unknown-shape": Mistake(
        generator('optimizer = { lr = { schedule = "linaer", start = 1, end = 0.1 } }'),
        ("generator", "optimizer", "lr", "schedule"),
    ),
    "schedule-without-start": Mistake(
        generator('optimizer = { lr = { schedule = "linear", end = 0.1 } }'), ("generator", "optimizer", "lr", "start")
    ),
    "table-for-a-list": Mistake(recipe(loss='[loss]\nuse = "hinge"\n'), ("loss",)),
    "extends-with-unknown-table": Mistake(extension("[genrator]\nlr = 1\n"), ("genrator",)),
    "extends-with-unknown-param": Mistake(extension("[generator.params]\nhiden = [3]\n"), ("generator", "params", "hiden")),
    "extends-with-unknown-optimizer-key": Mistake(
        extension("[generator.optimizer]\nlearning = 3\n"), ("generator", "optimizer", "learning")
    ),
    "extends-with-wrong-type": Mistake(extension('[train]\nseed = "1"\n'), ("train", "seed")),
    "extends-with-a-list-that-is-not-whole": Mistake(extension("[[loss]]\nweight = 3\n"), ("loss", 0, "use")),
}


@pytest.fixture(scope="module")
def schema():
    made, complaints = build_schema(load_plugins())
    assert complaints == ()
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory, schema):
    """All recipes of the corpus, and the schema."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "schema.json").write_text(json.dumps(schema))
    for name, text in RIGHT.items():
        (folder / f"{name}.toml").write_text(text)
    for name, mistake in MISTAKES.items():
        (folder / f"{name}.toml").write_text(mistake.text)
    return folder


def messages(schema, text):
    """The keys that the jsonschema library names."""
    return {key for error in jsonschema.Draft7Validator(schema).iter_errors(tomllib.loads(text)) for key in keys_of(error)}


def keys_of(error):
    at = tuple(error.absolute_path)
    if error.validator == "required":
        return [(*at, name) for name in error.validator_value if name not in error.instance]
    if error.validator == "additionalProperties":
        return [(*at, name) for name in error.instance if name not in error.schema["properties"]]
    return [at]


def test_schema_is_draft_07(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_schema_holds_no_reference_and_nothing_that_a_toml_editor_does_not_know(schema):
    text = json.dumps(schema)
    for word in (
        "$ref",
        "$defs",
        '"const"',
        "prefixItems",
        '"null"',
        'discriminator": {"mapping',
        '"required": []',
        '"title": "Use"',
    ):
        assert word not in text


def test_every_installed_component_can_be_named_in_each_way(schema):
    registry = load_plugins()
    for component in registry.components():
        table = schema["properties"][component.kind]
        use = table.get("items", table)["properties"]["use"]
        names = use["enum"]
        assert use["x-taplo"]["docs"]["enumValues"][names.index(component.id)] == component.summary
        for name in (
            component.name,
            component.id,
            f"{component.name}@{component.revision}",
            f"{component.id}@{component.revision}",
        ):
            assert name in names
            assert registry.find(component.kind, name, usable=False) is component
        assert all("/" not in name and "@" not in name for name in names[: len(names) // 4]), "the usual names come first"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_recipe_is_accepted_as_written_and_as_resolved(schema, path):
    assert messages(schema, path.read_text()) == set()
    assert messages(schema, to_toml(to_plain(resolve_recipe(read_recipe(path), load_plugins()).resolved))) == set()


@pytest.mark.parametrize("name", RIGHT)
def test_what_check_accepts_is_accepted(schema, folder, name):
    assert messages(schema, RIGHT[name]) == set()
    if "arrays" not in RIGHT[name]:  # whose file is not there
        resolve_recipe(read_recipe(folder / f"{name}.toml"), load_plugins())


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_refused_at_its_key_and_nowhere_else(schema, name):
    assert messages(schema, MISTAKES[name].text) == {MISTAKES[name].key}


@pytest.mark.parametrize("name", MISTAKES)
def test_check_refuses_the_same_key(folder, name):
    with pytest.raises(RecipeError) as refused:
        resolve_recipe(read_recipe(folder / f"{name}.toml"), load_plugins())
    assert format_key(MISTAKES[name].key) in [problem.key for problem in refused.value.problems]


def linted(tool, *arguments, folder):
    """What a linter prints, without colours."""
    program = Path(sys.executable).with_name(tool)
    found = str(program) if program.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed here; the test group of pyproject.toml brings it")
    done = subprocess.run(
        [found, "lint", *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


@pytest.fixture(scope="module")
def taplo(folder):
    def lint(*files):
        address = (folder / "schema.json").as_uri()
        return linted("taplo", "--colors", "never", "--no-auto-config", "--schema", address, *files, folder=folder)

    return lint


@pytest.fixture(scope="module")
def tombi(folder):
    (folder / "tombi.toml").write_text('[[schemas]]\npath = "schema.json"\ninclude = ["**/*.toml"]\n')

    def lint(*files):
        return linted("tombi", "--offline", "--error-on-warnings", *files, folder=folder)

    return lint


@pytest.fixture(scope="module")
def copies(folder):
    """The shipped recipes, below the folder whose settings tombi follows."""
    shipped = folder / "shipped"
    for number, path in enumerate(SHIPPED):
        shipped.mkdir(exist_ok=True)
        (shipped / f"{number}-{path.name}").write_bytes(path.read_bytes())
    return sorted(shipped.iterdir())


@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_linters_accept_what_is_right_without_a_warning(request, folder, copies, tool):
    code, out = request.getfixturevalue(tool)(*copies, *(folder / f"{name}.toml" for name in RIGHT))
    assert code == 0, out
    assert "rror" not in out
    assert "arning" not in out


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("tool", ["taplo", "tombi"])
def test_linters_refuse_each_mistake_and_point_at_its_key(request, folder, tool, name):
    code, out = request.getfixturevalue(tool)(folder / f"{name}.toml")
    key, lines = MISTAKES[name].key, find_lines(MISTAKES[name].text)
    parent = next((key[:length] for length in range(len(key), 0, -1) if key[:length] in lines), None)
    line = lines[parent] if parent else 1

    assert code != 0
    assert re.search(rf"{name}\.toml:{line}:", out), out
    if key not in lines or "unexpected" in out or "not allowed" in out:  # what is missing, or should not be there, is named
        assert f"'{key[-1]}'" in out or f'"{key[-1]}"' in out
    if tool == "tombi":
        assert {int(found) for found in re.findall(rf"{name}\.toml:(\d+):", out)} == {line}


BROKEN = """
from ganforge.plugin import hookimpl, Params
from typing import Annotated, Callable
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

class Code(Params):
    call: Callable[[int], int] | None = None

class Odd(Params):
    size: Annotated[int, GetPydanticSchema(lambda source, handler: core_schema.no_info_plain_validator_function(int))] = 1

@hookimpl
def ganforge_register_generators(register):
    register("lost", "acme_gan:build", params="acme_gan:NoSuchParams", summary="Its params are not there.")
    register("code", "acme_gan:build", params="acme_gan:Code", summary="Its params are no data.")
    register("odd", "acme_gan:build", params=Odd, summary="Its params have no schema.")
"""


def test_params_that_are_unknown_stay_unjudged_and_everything_else_is_judged(tmp_path, monkeypatch):
    fake_plugin(tmp_path, source=BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    made, complaints = build_schema(load_plugins())

    assert len(complaints) == 3
    assert all("editors will not validate its params" in complaint for complaint in complaints)
    for name in ("lost", "code", "odd"):
        assert messages(made, recipe(generator=f'[generator]\nuse = "{name}"\nparams = {{ whatever = 1 }}\n')) == set()
    assert messages(made, generator("params = { hiden = [8] }")) == {("generator", "params", "hiden")}

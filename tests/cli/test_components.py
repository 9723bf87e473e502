import json
import re
import tomllib

import pytest

from ganforge.cli.app import main
from ganforge.testing import fake_plugin

PLUGIN = '''
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ganforge.plugin import Params, hookimpl


class Inner(Params):
    depth: int = Field(3, ge=1, le=9)
    """How deep."""


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class SwirlParams(Params):
    """Parameters of the swirl."""

    sides: int = Field(gt=2)
    """Corners."""
    rate: float = Field(0.5, gt=0, lt=1)
    """How fast
    it turns."""
    mode: Literal["in", "out"] = "in"
    """Which way."""
    colour: Colour = Colour.BLUE
    """Its paint."""
    sizes: tuple[Annotated[int, Field(ge=4)], ...] = (8, 16)
    """Widths."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decays."""
    file: Path | None = None
    """Where it lies."""
    weights: dict[str, float] = Field(default_factory=dict)
    """By name."""
    inner: Inner = Inner()
    """The core."""


@hookimpl
def ganforge_register_generators(register):
    register(
        "swirl",
        "acme_gan:build",
        params=SwirlParams,
        summary="Turns noise around.",
        revision=3,
        requires=("labels",),
        provides=("spin",),
        needs=("json",),
        tags=frozenset({"points", "conditional"}),
        references=("Swirl 2031, https://swirl.org", "Curl 2032"),
        deprecated="use curl",
        cost="time n²·d",
    )
    register("mlp", "acme_gan:build", summary="Another mlp.")


@hookimpl
def ganforge_register_losses(register):
    register("bare", "acme_gan:build", summary="Takes nothing.")
    register("needy", "acme_gan:build", summary="Needs much.", needs=("einops_is_not_here",))
'''


@pytest.fixture
def acme(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "acme_gan", raising=False)
    return fake_plugin(tmp_path, source=PLUGIN)


def rows(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_list_shows_kind_name_summary_and_provenance(acme, capsys):
    assert main(["list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Kind", "Name", "What", "it", "is", "From"]
    assert any(
        " ".join(line.split()) == "generator swirl Turns noise around. (deprecated: use curl) acme-gan 1.0" for line in lines
    )
    assert any(line.startswith("loss") and "hinge" in line for line in lines)
    assert not any(line != line.rstrip() for line in lines)


def test_a_name_that_is_taken_is_listed_by_its_full_id(acme, capsys):
    assert main(["list", "generators"]) == 0

    assert ["generator", "acme-gan/mlp", "Another", "mlp.", "acme-gan", "1.0"] in rows(capsys)


def test_a_component_that_lacks_a_module_says_so(acme, capsys):
    assert main(["list", "losses"]) == 0

    assert "Needs much. (unavailable: needs einops_is_not_here)" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["loss", "losses", "LOSS"])
def test_a_kind_in_singular_or_plural(acme, capsys, kind):
    assert main(["list", kind]) == 0
    assert {row[0] for row in rows(capsys)[1:]} == {"loss"}


def test_an_unknown_kind_gets_a_suggestion(capsys):
    assert main(["list", "lozses"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "did you mean 'losses'? kinds: generators, discriminators, encoders, losses" in shown.err


def test_tags_narrow_the_list(acme, capsys):
    assert main(["list", "generators", "--tag", "conditional", "--tag", "points"]) == 0
    assert [row[1] for row in rows(capsys)[1:]] == ["swirl"]


def test_nothing_that_fits_is_reported_on_stderr(capsys):
    assert main(["list", "--tag", "no-such-tag"]) == 0
    assert capsys.readouterr() == ("", "no installed component matches\n")


def test_the_list_as_json(acme, capsys):
    assert main(["list", "generators", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == 1
    swirl = next(component for component in shown["components"] if component["name"] == "swirl")
    assert swirl == {
        "kind": "generator",
        "name": "swirl",
        "use": "swirl",
        "id": "acme-gan/swirl",
        "revision": 3,
        "summary": "Turns noise around.",
        "distribution": "acme-gan",
        "version": "1.0",
        "source": "index",
        "file": str(acme.folder / "acme_gan.py"),
        "requires": ["labels"],
        "provides": ["spin"],
        "needs": ["json"],
        "missing": [],
        "tags": ["conditional", "points"],
        "references": ["Swirl 2031, https://swirl.org", "Curl 2032"],
        "deprecated": "use curl",
        "cost": "time n²·d",
    }


def test_a_description_shows_everything(acme, capsys):
    assert main(["describe", "generator", "swirl"]) == 0

    shown = capsys.readouterr().out
    for text in (
        "generator swirl@3\n  Turns noise around.\n  deprecated: use curl\n",
        "id        acme-gan/swirl@3",
        f"from      acme-gan 1.0 (index; {acme.folder / 'acme_gan.py'})",
        "requires  labels",
        "provides  spin",
        "tags      conditional, points",
        "cost      time n²·d",
        "paper     Swirl 2031, https://swirl.org\n  paper     Curl 2032",
    ):
        assert text in shown
    table = [line.split("  ") for line in shown.splitlines()]
    cells = {row[0]: [cell.strip() for cell in row if cell.strip()] for row in table if row[0]}
    assert cells["sides"] == ["sides", "int", "required", "> 2", "Corners."]
    assert cells["rate"] == ["rate", "float", "0.5", "> 0, < 1", "How fast it turns."]
    assert cells["mode"] == ["mode", '"in" or "out"', '"in"', "Which way."]
    assert cells["colour"] == ["colour", '"red" or "blue"', '"blue"', "Its paint."]
    assert cells["sizes"] == ["sizes", "list of int", "[8, 16]", "each ≥ 4", "Widths."]
    assert cells["betas"] == ["betas", "[float, float]", "[0.5, 0.999]", "Decays."]
    assert cells["file"] == ["file", "path", "–", "Where it lies."]
    assert cells["weights"] == ["weights", "table of float", "{}", "By name."]
    assert cells["inner.depth"] == ["inner.depth", "int", "3", "≥ 1, ≤ 9", "How deep."]


def test_a_component_without_parameters(acme, capsys):
    assert main(["describe", "loss", "bare"]) == 0
    assert "No parameters." in capsys.readouterr().out


def test_what_lacks_a_module_can_still_be_described(acme, capsys):
    assert main(["describe", "loss", "needy"]) == 0
    assert "unavailable: needs einops_is_not_here" in capsys.readouterr().out


def test_the_description_as_json(acme, capsys):
    assert main(["describe", "generators", "acme-gan/swirl@3", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["id"]) == (1, "acme-gan/swirl")
    parameters = {parameter["name"]: parameter for parameter in shown["parameters"]}
    assert parameters["sides"] == {
        "name": "sides",
        "type": "int",
        "default": None,
        "required": True,
        "range": "> 2",
        "description": "Corners.",
        "parent": None,
    }
    assert parameters["sizes"]["default"] == [8, 16]
    assert parameters["inner"]["default"] == {"depth": 3}


def test_the_pasted_table_is_toml(acme, capsys):
    assert main(["describe", "generator", "swirl", "--toml"]) == 0

    text = capsys.readouterr().out
    assert tomllib.loads(text)["generator"]["use"] == "swirl"
    assert "# How fast it turns. (float, > 0, < 1)\nrate = 0.5\n" in text


@pytest.mark.parametrize(("kind", "name"), [("loss", "least-squares"), ("metric", "wasserstein")])
def test_a_pasted_loss_or_metric_is_one_of_several(capsys, kind, name):
    assert main(["describe", kind, name, "--toml"]) == 0

    assert [part["use"] for part in tomllib.loads(capsys.readouterr().out)[kind]] == [name]


def test_two_forms_at_once_are_refused(capsys):
    assert main(["describe", "loss", "hinge", "--toml", "--json"]) == 2
    assert "--toml and --json cannot be combined" in capsys.readouterr().err


def test_an_unknown_component_is_2(capsys):
    assert main(["describe", "loss", "hnige"]) == 2
    assert "did you mean 'hinge'?" in capsys.readouterr().err


def test_kind_and_name_in_the_wrong_order(capsys):
    assert main(["describe", "mlp", "generator"]) == 2
    command = re.search(r"`ganforge (describe .*)`", capsys.readouterr().err)[1]
    assert main(command.split()) == 0

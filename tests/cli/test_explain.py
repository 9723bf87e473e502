import json
from pathlib import Path

import pytest

from ganforge.cli.app import main

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "recipes" / "smoke"
DIGITS = str(SMOKE / "maxout_digits.toml")


def test_every_value_stands_beside_its_origin(capsys):
    assert main(["explain", DIGITS, "--set", "train.seed=4"]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Key Value Origin"
    assert f"train.iterations 20 {SMOKE / 'vanilla_moons.toml'}:5" in lines
    assert f'train.updates "simultaneous" {DIGITS}:5' in lines
    assert "train.seed 4 --set" in lines
    assert "train.discriminator_steps 1 default of [train]" in lines
    assert "generator.params.slope 0.2 default of ganforge-vanilla/mlp@1" in lines
    assert 'metric[0].name "wasserstein" default of ganforge/wasserstein@1' in lines
    assert f'sampler.use "ganforge/normal@1" {SMOKE / "vanilla_moons.toml"}:15' in lines


def test_a_single_value_is_told_with_its_meaning(capsys):
    assert main(["explain", DIGITS, "train.discriminator_steps"]) == 0
    key, origin, meaning = capsys.readouterr().out.splitlines()
    assert (key, origin) == ("train.discriminator_steps = 1", "  default of [train]")
    assert meaning.startswith("  k of Algorithm 1")


def test_a_single_value_that_is_not_set(capsys):
    assert main(["explain", DIGITS, "requires.ganforge"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "requires.ganforge = … not set"


def test_json_holds_file_and_line(capsys):
    assert main(["explain", DIGITS, "generator.optimizer.lr", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["recipe"]) == (1, DIGITS)
    values = {value["key"]: value for value in shown["values"]}
    assert values["generator.optimizer.lr.start"] == {
        "key": "generator.optimizer.lr.start",
        "value": 0.1,
        "origin": f"{DIGITS}:16",
        "file": DIGITS,
        "line": 16,
        "default_of": None,
        "description": "Value at the first iteration.",
    }
    assert values["generator.optimizer.lr.end"]["value"] is None
    assert values["generator.optimizer.lr.end"]["default_of"] == "a schedule"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([DIGITS, "train.sed"], "did you mean 'train.seed'?"),
        ([DIGITS, "--set", "generator.use=mpl"], "did you mean 'mlp'?"),
        (["nowhere.toml"], "no such file"),
    ],
)
def test_wrong_keys_and_recipes_are_2(capsys, arguments, told):
    assert main(["explain", *arguments]) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""

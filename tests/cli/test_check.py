"""``ganforge check`` and ``ganforge explain``: valid recipes in short, wrong ones in full, and no file left behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.testing import fake_plugin

ROOT = Path(__file__).parents[2]
INFOGAN = ROOT / "recipes" / "infogan_moons.toml"

WHOLE = """\
title = "Two moons"
train = { iterations = 20 }
dataset = { use = "moons" }
sampler = { use = "normal", params = { size = 3 } }
generator = { use = "mlp" }
discriminator = { use = "mlp" }
loss = [{ use = "non-saturating" }]
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Checks a recipe given as text, in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def check(text, *arguments):
        recipe = tmp_path / "recipe.toml"
        recipe.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = sorted(tmp_path.iterdir())
        code = main(["check", "recipe.toml", *arguments])
        assert sorted(tmp_path.iterdir()) == before
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return check


def test_a_right_recipe_is_reported_in_short(check):
    code, out, err = check(WHOLE)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Two moons"
    assert any(line.split() == ["generator", "ganforge-vanilla/mlp@1", "0.1.0"] for line in lines)
    assert "data: 2-dimensional points, 2 classes" in lines
    assert "latent: 3-dimensional noise" in lines
    assert lines[-1].startswith("recipe.toml is valid: 6 components")


def test_with_shapes_the_parts_are_built_and_tried(check):
    code, out, err = check(WHOLE, "--shapes")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert any(line.startswith("generator: ") and line.endswith(" parameters") for line in lines)
    assert lines[-1].endswith("built and dry-run")


def test_shapes_as_json(check):
    code, out, _ = check(WHOLE, "--shapes", "--json", "--set", "generator.params={ hidden = [4] }")
    messages = json.loads(out)
    assert code == 0
    assert messages["parameters"]["generator"] == 3 * 4 + 4 + 4 * 2 + 2
    assert messages["shape_warnings"] == []


def test_codes_and_labels_are_reported(check):
    structured = 'sampler={ use = "structured", params = { size = 2, categorical = [2, 3], continuous = 1 } }'
    assert (
        "latent: 2-dimensional noise, categorical codes of 2, 3 values, 1 continuous code" in check(WHOLE, "--set", structured)[1]
    )
    assert (
        "latent: 3-dimensional noise, labels of 2 classes"
        in check(WHOLE, "--set", "sampler.use=labelled", "--set", "sampler.params.size=3")[1]
    )


def test_warnings_go_to_stderr_and_stop_nothing(check):
    text = WHOLE.replace('"normal", params = { size = 3', '"structured", params = { size = 3, categorical = [2]')
    code, out, err = check(text, "--set", "discriminator.use=infogan-mlp")
    assert code == 0
    assert "is valid" in out
    assert "warning: " in err
    assert "no loss trains the head 'code'" in err


def test_json_of_a_right_recipe(check):
    code, out, _ = check(WHOLE, "--json", "--set", "train.iterations=7")
    facts = json.loads(out)
    assert code == 0
    assert (facts["schema"], facts["ok"], facts["recipe"], facts["title"]) == (1, True, "recipe.toml", "Two moons")
    assert (facts["iterations"], facts["problems"], facts["warnings"]) == (7, [], [])
    assert facts["components"][3]["id"] == "ganforge-vanilla/mlp"
    assert len(facts["fingerprint"]) == 64


def test_json_of_a_wrong_recipe(check):
    code, out, err = check(WHOLE.replace("20", '"20"'), "--json", "--set", "loss[0].use=hing")
    facts = json.loads(out)
    assert code == 2
    assert not facts["ok"]
    assert facts["problems"] == [
        {
            "key": "train.iterations",
            "message": "must be an integer, got '20'",
            "file": "recipe.toml",
            "line": 2,
            "hint": "drop the quotes",
        },
        {"key": "loss[0].use", "message": "no loss named 'hing'", "file": None, "line": None, "hint": facts["problems"][1]["hint"]},
    ]
    assert facts["problems"][1]["hint"].startswith("did you mean 'hinge'?")
    assert "2 problems" in err


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("not toml", "not valid TOML"),
        (b"\x00\xff\xfe", "the file is not UTF-8 text"),
        ("x" * 10_000_000, "larger than 1 MB"),
        ("a = " + "[" * 10_000, "nested deeper than 16 levels"),
        ("a." * 10_000 + "a = 1", "nested deeper than 16 levels"),
        (f"a = [{'0, ' * 10_001}]", "a list of more than 10,000 elements"),
        (WHOLE + "epochs = 1\n", "unknown key"),
        (WHOLE + "[pictures]\nevery = nan\n", "must be a finite number"),
        (WHOLE.replace('use = "moons"', 'use = "mons"'), "did you mean 'moons'?"),
        (WHOLE.replace("size = 3", 'size = "3"'), "must be an integer, got '3'"),
        (WHOLE.replace("sampler = ", "# "), "the recipe has no [sampler] table"),
        (WHOLE.replace('"moons"', '"swiss-roll"').replace('"normal"', '"labelled"'), "sampler 'labelled' needs labels"),
        ('extends = "recipe.toml"\n', "in a cycle"),
        ('extends = "../recipe.toml"\n', "must name a file in the recipe's folder"),
        ('extends = "https://example.org/r.toml"\n', "must name a file in the recipe's folder"),
    ],
)
def test_wrong_and_hostile_recipes_end_with_2_and_leave_nothing(check, text, messages):
    code, out, err = check(text)
    assert code == 2
    assert messages in err
    assert out == ""
    assert "Traceback" not in err


def test_all_problems_are_reported_each_with_its_line(check):
    _, _, err = check(WHOLE.replace("20", "0").replace("size", "sise").replace('"mlp"', '"mpl"'))
    where = [line.strip() for line in err.splitlines() if line.startswith("  recipe.toml")]
    assert where == [
        "recipe.toml:2  train.iterations",
        "recipe.toml:4  sampler.params.sise",
        "recipe.toml:4  sampler.params.size",
        "recipe.toml:5  generator.use",
        "recipe.toml:6  discriminator.use",
    ]


def test_a_missing_recipe_and_a_folder(check, tmp_path, capsys):
    assert main(["check", "nowhere.toml"]) == 2
    messages = capsys.readouterr().err
    assert "no such file" in messages
    assert "nowhere.toml" in messages
    assert main(["check", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_a_wrong_override_is_reported_as_one(check):
    code, _, err = check(WHOLE, "--set", "train.iterations")
    assert code == 2
    assert "--set  'train.iterations'\n      missing '='" in err


def test_a_needed_plugin_that_is_broken_ends_with_3(check, tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    fake_plugin(packages, name="acme-gan", source="import einops_is_not_here\n")
    monkeypatch.syspath_prepend(packages)
    code, out, err = check(WHOLE, "--set", "generator.use=acme-gan/unet", "--json")
    assert code == 3
    assert "No module named 'einops_is_not_here'" in err
    assert "einops_is_not_here" in json.loads(out)["problems"][0]["message"]


def test_nothing_heavy_is_imported(tmp_path):
    """What it takes in seconds is measured by benchmarks/startup.py."""
    code = (
        "import sys; from ganforge.cli.app import main; "
        f"code = main(['check', {str(INFOGAN)!r}]); "
        "print(code, sorted({'torch', 'mlflow', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    messages = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ
    )
    assert messages.stdout.splitlines()[-1] == "0 []"
    assert list(tmp_path.iterdir()) == []


SMOKE = ROOT / "recipes" / "smoke"
DIGITS = str(SMOKE / "maxout_digits.toml")


def test_every_value_stands_beside_its_origin(capsys):
    description = [
        "--set",
        'description="""Several lines\nof a text that is far too long for the cell of a table: many words.\n"""',
    ]
    assert main(["explain", DIGITS, "--set", "train.seed=4", *description]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Key Value Origin"
    assert f"train.iterations 20 {SMOKE / 'vanilla_moons.toml'}:5" in lines
    assert f'train.updates "simultaneous" {DIGITS}:5' in lines
    assert "train.seed 4 --set" in lines
    assert 'description "Several lines of a text that is far too long …" --set' in lines
    assert "train.discriminator_steps 1 default of [train]" in lines
    assert "generator.params.slope 0.2 default of ganforge-vanilla/mlp@1" in lines
    assert 'metric[0].name "wasserstein" default of ganforge/wasserstein@1' in lines
    assert f'sampler.use "ganforge/normal@1" {SMOKE / "vanilla_moons.toml"}:15' in lines


def test_a_single_value_is_reported_with_its_meaning(capsys):
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
    ("arguments", "messages"),
    [
        ([DIGITS, "train.sed"], "did you mean 'train.seed'?"),
        ([DIGITS, "--set", "generator.use=mpl"], "did you mean 'mlp'?"),
        (["nowhere.toml"], "no such file"),
    ],
)
def test_wrong_keys_and_recipes_are_2(capsys, arguments, messages):
    assert main(["explain", *arguments]) == 2
    shown = capsys.readouterr()
    assert messages in shown.err
    assert shown.out == ""


def test_a_recipe_that_follows_the_hints_is_valid(tmp_path, capsys):
    recipe = tmp_path / "own.toml"
    recipe.write_text('title = "Mine"\n')
    assert main(["check", str(recipe), "--json"]) == 2
    hints = [problem["hint"] for problem in json.loads(capsys.readouterr().out)["problems"]]
    assert len(hints) == 6

    for hint in hints:
        table, content = re.fullmatch(r"add (\[+\w+\]+) with (.+)", hint).groups()
        recipe.write_text("\n".join([recipe.read_text(), table, *content.split(" and ")]))
    assert main(["check", str(recipe)]) == 0, capsys.readouterr()

"""``ganforge compare``: what it prints, draws and ends with."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from ganforge.cli.app import main
from ganforge.cli.compare import _joint_significance
from ganforge.runs.comparison import GroupTest, MetricComparison

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two recipes, two seeds each; the folder that they lie in, and their names."""
    from ganforge.session.run_plan import Options
    from ganforge.session.training_run import run

    root = tmp_path_factory.mktemp("runs")
    lean = ('tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "train.iterations=2", "metric[0].every=1")
    names = []
    for batch in (16, 32):
        for seed in (0, 1):
            words = (*lean, f"train.batch_size={batch}", f"train.seed={seed}")
            done = run(Options(SMOKE / "gaussian_1d.toml", words, runs_dir=root), Console(file=io.StringIO()))
            names.append(done.folder.name)
    return root, names


def test_tables_show_spread_test_and_recipe_differences_and_curves_are_drawn(runs, tmp_path, capsys):
    root, names = runs
    assert main(["compare", *names, "--runs-dir", str(root), "--out", str(tmp_path / "curves.png")]) == 0
    out, err = capsys.readouterr()
    heading, first, second, *_, keys, difference = out.splitlines()
    assert heading.split()[:7] == ["Metric", "Better", "Runs", "n", "Median", "Least", "Greatest"]
    assert first.split()[:5] == ["wasserstein", "lower", "gaussian_1d", "(batch_size=16)", "2"]
    assert second.rstrip().endswith("too few seeds: p is 0.33 at best")
    assert keys.startswith("Recipe key")
    assert difference.split() == ["train.batch_size", "16", "32"]
    assert "curves written to" in err
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width == 1000
        assert len(set(picture.get_flattened_data() if hasattr(picture, "get_flattened_data") else picture.getdata())) > 50


def test_json_holds_values_tests_and_protocol(runs, capsys):
    root, names = runs
    assert main(["compare", *names, "--runs-dir", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metric = found["metrics"]["wasserstein"]
    assert [group["n"] for group in metric["groups"]] == [2, 2]
    assert metric["protocol"]["generator"] == "ema"
    assert metric["tests"][0]["least_p"] == pytest.approx(1 / 3)
    assert found["recipe_differences"]["train.batch_size"] == {
        "gaussian_1d (batch_size=16)": "16",
        "gaussian_1d (batch_size=32)": "32",
    }


def test_one_recipe_alone_has_spread_and_no_test(runs, capsys):
    root, names = runs
    assert main(["compare", *names[:2], "--runs-dir", str(root)]) == 0
    assert "nothing to test" in capsys.readouterr().err


def test_nothing_to_compare_is_exit_code_2(runs, trained, capsys):
    assert main(["compare", str(trained("gaussian_1d"))]) == 2
    assert "the runs have no metric values" in capsys.readouterr().err
    root, names = runs
    assert main(["compare", *names, "--runs-dir", str(root), "--metric", "modes"]) == 2
    assert "modes is not compared" in capsys.readouterr().err


def test_a_picture_must_be_a_png(runs, capsys):
    root, names = runs
    assert main(["compare", *names, "--runs-dir", str(root), "--out", "curves.jpg"]) == 2
    assert "name a file that ends in .png" in capsys.readouterr().err


@pytest.mark.parametrize(("corrected", "messages"), [(0.03, "w remain"), (0.2, "none remains")])
def test_how_many_tests_were_made_is_reported_where_one_names_a_winner(corrected, messages):
    def one(metric, p, winner, p_of_all):
        trial = GroupTest("b", "a", p, 0.01, p, 1.0, winner, "", p_of_all)
        return MetricComparison(metric, {}, {}, ("training",), (), (trial,), {})

    winner, other = one("w", 0.02, "b", corrected), one("v", 0.5, None, 0.5)
    text = _joint_significance([winner, other])
    assert text.startswith("1 of 2 tests are significant")
    assert text.endswith(f"correction for all 2 (Holm), {messages}")
    assert _joint_significance([other, other]) is None
    assert _joint_significance([winner]) is None


def test_recipe_keys_are_written_as_in_messages_and_early_values_in_words(runs, tmp_path, capsys):
    root, names = runs
    for number, name in enumerate(names[:2]):
        copy = Path(shutil.copytree(next(root.glob(f"*/{name}")), tmp_path / "runs" / "all" / f"copy-{number}"))
        resolved = (copy / "resolved.toml").read_text()
        resolved = resolved.replace("iterations = 2", "iterations = 3").replace("ganforge/non-saturating@1", "ganforge/hinge@1")
        (copy / "resolved.toml").write_text(resolved)
        run = json.loads((copy / "run.json").read_text())
        (copy / "run.json").write_text(json.dumps({**run, "id": f"{number}" * 32, "name": "copy"}))

    folders = [str(path) for path in [*root.glob("*/*"), *(tmp_path / "runs" / "all").glob("*")]]
    main(["compare", *folders])

    shown = capsys.readouterr()
    assert re.search(r"^loss\[0\]\.use +ganforge/", shown.out, re.MULTILINE)
    assert "2 runs with a value from before the end of training" in shown.err

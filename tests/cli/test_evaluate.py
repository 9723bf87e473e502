"""``ganforge evaluate``: what it prints, keeps and ends with."""

from __future__ import annotations

import json
import shutil

import pytest

from ganforge.cli.app import main


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained("gaussian_1d"), tmp_path / "bell")
    return tmp_path / "bell"


def test_a_table_says_value_ideal_floor_and_protocol(folder, capsys):
    assert main(["evaluate", str(folder), "--metric", "wasserstein:order=1", "--metric", "modes", "-n", "40", "--floor"]) == 0
    out, err = capsys.readouterr()
    title, heading, *rows = out.splitlines()
    assert title == "bell at iteration 2"
    assert heading.split() == ["Metric", "Value", "Ideal", "Floor", "Better", "Protocol"]
    assert [row.split()[0] for row in rows] == ["wasserstein", "modes/captured", "modes/high-quality", "modes/reverse-kl"]
    assert rows[0].endswith("40 samples, ema, seed 0, order=1")
    assert rows[1].split()[2:4] == ["1", "1"]
    assert "bell: measuring modes" in err
    assert len((folder / "evaluations.jsonl").read_text().splitlines()) == 1


def test_what_metric_and_parameters_both_say_is_reported_once(folder, capsys):
    assert main(["evaluate", str(folder), "--metric", "mmd", "-n", "40"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mmd ")]
    assert row.count("features") == 1


def test_json_is_one_object_with_protocols_and_failures(folder, capsys):
    words = ["evaluate", str(folder), "--metric", "wasserstein", "--metric", "label-match", "-n", "40", "--seed", "5", "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    (found,) = json.loads(out)["runs"]
    assert (found["run"], found["iteration"], found["seed"], found["weights"]) == ("bell", 2, 5, "ema")
    assert found["values"]["wasserstein"] > 0
    assert found["protocols"]["wasserstein"]["samples"] == 40
    assert "labels" in found["failed"]["label-match"]["error"]
    assert "warning: label-match is not measured" in err


def test_nothing_measured_is_exit_code_2_and_leaves_the_folder_alone(folder, capsys):
    before = sorted(path.name for path in folder.iterdir())
    assert main(["evaluate", str(folder), "--metric", "label-match"]) == 2
    assert main(["evaluate", str(folder)]) == 2
    assert "names no metric" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_run_that_goes_on_is_left_alone(folder, capsys):
    from ganforge.storage.run_folder import RunFolder

    with RunFolder(folder).locked():
        assert main(["evaluate", str(folder), "--metric", "modes"]) == 4
    assert "is in use by" in capsys.readouterr().err


def test_a_sweep_stands_for_its_seeds_and_one_that_cannot_be_measured_stops_no_other_one(trained, tmp_path, capsys):
    for name, identity in (
        ("sweep", {"id": "f" * 32, "kind": "sweep"}),
        ("one", {"parent": "f" * 32}),
        ("two", {"parent": "f" * 32}),
    ):
        folder = tmp_path / "bells" / name
        shutil.copytree(trained("gaussian_1d"), folder)
        (folder / "run.json").write_text(json.dumps({**json.loads((folder / "run.json").read_text()), **identity}))
    shutil.rmtree(tmp_path / "bells" / "one" / "checkpoints")
    assert main(["evaluate", str(tmp_path / "bells" / "sweep"), "--metric", "modes", "-n", "20", "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["run"] for one in json.loads(out)["runs"]] == ["two"]
    assert "one is not measured" in err


@pytest.mark.parametrize("command", [("evaluate",), ("sample", "-n", "2"), ("interpolate",), ("traverse",)])
def test_a_seed_that_no_machine_can_hold_is_refused_in_a_line(folder, command, capsys):
    name, *options = command
    assert main([name, str(folder), *options, "--seed", str(2**64)]) == 2
    err = capsys.readouterr().err
    assert "--seed" in err
    assert str(2**63 - 1) in err
    assert "Traceback" not in err

"""``ganforge runs`` and ``ganforge report``."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import webbrowser

import pytest

from ganforge.cli.app import main
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, Status


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    for created, (experiment, name) in enumerate([("moons", "infogan"), ("ring", "vanilla")], start=1_790_000_000):
        folder = RunFolder.create(root, experiment, name)
        identity = folder.read_json(folder.identity)
        folder.write_json(folder.identity, {**identity, "title": f"About {name}", "seed": 3, "created": float(created)})
        folder.write_status(
            Status(status="finished", iteration=12_000, iterations=12_000, seconds=83.0, metrics={"wasserstein": 0.0671234})
        )
    return root


def test_the_table_says_what_was_run(root, capsys):
    assert main(["runs", "--runs-dir", str(root)]) == 0

    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["Run", "Experiment", "Status", "Iteration", "Metrics", "Started", "Took", "Title"]
    assert [
        word in first for word in ("vanilla-", "ring", "finished", "12,000/12,000", "wasserstein 0.06712", "1:23", "About vanilla")
    ]
    assert "infogan-" in second


def test_the_verdict_has_a_column_where_a_run_was_watched(root, capsys):
    folder = RunFolder.create(root, "moons", "ill")
    folder.write_status(Status(status="finished", health={"verdict": "fail", "findings": []}))

    assert main(["runs", "--runs-dir", str(root)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    column = heading.index("Health")
    assert {line.split()[0].rpartition("-")[0]: line[column : column + 8].split()[0] for line in lines} == {
        "ill": "fail",
        "vanilla": "–",
        "infogan": "–",
    }

    assert main(["runs", "--runs-dir", str(root), "--json"]) == 0
    assert [run["health"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["fail", None, None]


def test_an_experiment_can_be_chosen(root, capsys):
    assert main(["runs", "--runs-dir", str(root), "--experiment", "moons"]) == 0

    out = capsys.readouterr().out
    assert "infogan" in out
    assert "vanilla" not in out


@pytest.mark.parametrize("choice", [[], ["--experiment", "grid"]])
def test_nothing_found_says_what_to_do(root, capsys, choice):
    where = str(root if choice else root / "none")

    assert main(["runs", "--runs-dir", where, *choice]) == 0

    output = capsys.readouterr()
    assert output.out == ""
    assert "ganforge run RECIPE" in output.err
    assert where in output.err


def test_a_misspelt_experiment_gets_a_suggestion(root, capsys):
    assert main(["runs", "--runs-dir", str(root), "--experiment", "moon"]) == 0
    assert "did you mean 'moons'?" in capsys.readouterr().err


def test_json_is_one_object_with_stable_keys(root, capsys):
    assert main(["runs", "--runs-dir", str(root), "--json"]) == 0

    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["schema"] == 1
    assert [run["name"] for run in found["runs"]] == ["vanilla", "infogan"]
    assert list(found["runs"][0]) == [
        "run",
        "name",
        "id",
        "experiment",
        "folder",
        "title",
        "seed",
        "parent",
        "status",
        "iteration",
        "iterations",
        "metrics",
        "started",
        "seconds",
        "health",
        "undelivered",
        "remark",
    ]
    assert found["runs"][0]["metrics"] == {"wasserstein": 0.0671234}


def test_json_of_no_runs_is_an_object_too(tmp_path, capsys):
    assert main(["runs", "--runs-dir", str(tmp_path), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["runs"] == []


def test_json_of_a_metric_that_is_not_finite(root, capsys):
    folder = RunFolder.create(root, "moons", "ill")
    folder.write_status(Status(status="diverged", metrics={"wasserstein": math.nan}))

    assert main(["runs", "--runs-dir", str(root), "--json"]) == 0

    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["runs"][0]["metrics"] == {"wasserstein": None}


def test_what_was_not_delivered_and_what_went_wrong_is_reported_below(root, capsys):
    folder = RunFolder.create(root, "moons", "broken")
    folder.write_status(Status(status="failed", error="ValueError: no"))
    with JournalWriter(folder.journal) as writer:
        writer.record("start", run_id="1", run_name="a", experiment="moons", resolution="full")
        writer.metrics(1, {"loss/a": 1.0})
        writer.record("end", status="FAILED")

    assert main(["runs", "--runs-dir", str(root)]) == 0

    output = capsys.readouterr().err
    assert f"{folder.path.name}: ValueError: no" in output
    assert (
        f"MLflow does not have 1 point, 2 other records of {folder.path.name} yet; send them with `ganforge sync --runs-dir {root}`"
        in output
    )


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("cgan_moons", {"labels": "upper, lower"}),
        ("cgan_digits", {"labels": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"}),
        ("infogan_digits", {"codes": "code 0: 0 to 9, code 1: -1 to 1"}),
        ("vanilla_moons", {}),
    ],
)
def test_one_run_is_shown_with_what_its_generator_takes(trained, capsys, recipe, expected):
    folder = trained(recipe)

    assert main(["runs", str(folder)]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert heading == folder.name
    assert {"status", "iteration", "noise", "samples"} <= set(facts)
    assert {name: fact for name, fact in facts.items() if name in ("labels", "codes")} == expected

    assert main(["runs", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in found["runs"]] == [folder.name]
    assert ", ".join(map(str, found["labels"])) == expected.get("labels", "")
    for label in found["labels"][:3]:  # what is listed can be asked for
        assert main(["sample", str(folder), "-n", "1", "--label", str(label), "--out", str(folder.parent / "a.csv")]) == 0


def test_a_run_that_never_started_and_a_sweep_are_shown_too(root, capsys):
    sweep = RunFolder.create(root, "moons", "gan-seeds")
    sweep.write_json(sweep.identity, {**sweep.read_json(sweep.identity), "kind": "sweep"})
    for _ in range(2):
        seed = RunFolder.create(root, "moons", "gan")
        identity = seed.read_json(seed.identity)
        seed.write_json(seed.identity, {**identity, "parent": sweep.read_identity()["id"]})

    assert main(["runs", "gan-seeds", "--runs-dir", str(root)]) == 0
    assert [line.split()[0].rpartition("-")[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["gan", "gan"]
    assert main(["runs", seed.path.name, "--runs-dir", str(root)]) == 0
    assert "never started" in capsys.readouterr().err
    assert main(["sample", "gan-seeds", "--runs-dir", str(root)]) == 2
    assert "is a sweep over 2 seeds\n  name one of its runs: gan-" in capsys.readouterr().err
    assert main(["run", "--resume", "gan-seeds", "--runs-dir", str(root)]) == 2
    assert "is a sweep over 2 seeds\n  name one of its runs: gan-" in capsys.readouterr().err


ALONE = """
import sys
from ganforge.cli.app import main
sys.modules["mlflow"] = None  # importing it is an error
assert main(["runs", "--runs-dir", sys.argv[1]]) == 0
loaded = {"torch", "numpy", "safetensors", "ganforge_vanilla", "ganforge_cgan", "ganforge_infogan"} & set(sys.modules)
assert not loaded, loaded
"""


def test_neither_torch_nor_mlflow_is_needed(root):
    folder = RunFolder.create(root, "moons", "vanished")
    folder.write_status(Status(status="running", iteration=5, pid=2**22 + 1))
    with JournalWriter(folder.journal) as writer:
        writer.record("start", run_id="1", run_name="a", experiment="moons")
        writer.metrics(1, {"loss/a": 1.0})

    done = subprocess.run([sys.executable, "-W", "error", "-c", ALONE, root], capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stderr
    assert "killed" in done.stdout


@pytest.fixture
def run(trained, tmp_path):
    import shutil

    folder = tmp_path / "runs" / "smoke" / trained("infogan_moons").name
    shutil.copytree(trained("infogan_moons"), folder)
    (folder / "report.html").unlink(missing_ok=True)
    return folder


def test_the_page_goes_into_the_run_folder_and_its_name_is_reported(run, tmp_path, capsys):
    assert main(["report", run.name, "--runs-dir", str(tmp_path / "runs")]) == 0
    assert f"wrote the report on {run.name} to {run / 'report.html'}" in capsys.readouterr().out
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_json_names_the_file(run, tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["report", str(run), "--out", str(target), "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)
    assert messages == {"schema": 1, "run": run.name, "file": str(target), "bytes": target.stat().st_size}
    assert not (run / "report.html").exists()


def test_it_is_opened_on_request(run, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert main(["report", str(run)]) == 0
    assert opened == []
    assert main(["report", str(run), "--open"]) == 0
    assert opened == [(run / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("words", "code", "messages"),
    [
        (["nothing"], 2, "no run matches 'nothing'"),
        (["RUN", "--out", "page.pdf"], 2, "name a file that ends in .html or .htm"),
        (["RUN", "--out", "/proc/page.html"], 5, "with --out"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(run, tmp_path, capsys, words, code, messages):
    words = [str(run) if word == "RUN" else word for word in words]
    assert main(["report", *words, "--runs-dir", str(tmp_path / "none")]) == code
    assert messages in capsys.readouterr().err

"""Commands in folders that cannot be written, without a home, and with a standard output that is full or closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.cli.app import main

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"
LEAN = (
    "--set",
    'tracking.mode="off"',
    "--set",
    "train.iterations=2",
    "--set",
    "metric=[]",
    "--set",
    "pictures.final_figures=false",
)
RECIPE = str(SMOKE / "vanilla_moons.toml")
SEVERAL = """
import contextlib, io, json, sys
from ganforge.cli.app import main
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as messages:
        code = main(arguments)
    print(json.dumps([code, output.getvalue(), messages.getvalue()]))
"""
"""A process that runs several commands and prints the exit code, stdout and stderr of each."""


@pytest.fixture
def project(trained, tmp_path):
    """A folder with two runs, ``one`` and ``two``."""
    for name, recipe in {"one": "cgan_digits", "two": "dcgan_digits"}.items():
        shutil.copytree(trained(recipe), tmp_path / "project" / "runs" / "all" / name)
    return tmp_path / "project"


@pytest.fixture
def run_read_only(project):
    """Runs commands in the project, which is mounted or made read-only, and gives code, stdout and stderr of each."""
    python = [sys.executable, "-c", SEVERAL]
    if os.geteuid() != 0:
        for path in (project, *project.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        prefix = []
    else:  # root may write anywhere but on a read-only mount
        mount = 'mount --bind . . && mount -o remount,ro,bind . && cd "$PWD" && exec "$@"'
        prefix = ["unshare", "--mount", "sh", "-c", mount, "sh"]
        if subprocess.run([*prefix, "true"], cwd=project, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")

    def run_read_only(*commands):
        words = [*prefix, *python, json.dumps(commands)]
        done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=True, timeout=240)
        return [json.loads(line) for line in done.stdout.splitlines()]

    yield run_read_only
    for path in (project, *project.rglob("*")):
        path.chmod(0o755)


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_writes_in_a_read_only_folder_says_where_and_what_to_do(project, tmp_path, run_read_only, monkeypatch, capsys):
    before = files_of(project)
    elsewhere = "choose a folder that you may write in"
    commands = {
        ("run", RECIPE, *LEAN): elsewhere,
        ("run", RECIPE, *LEAN, "--seeds", "2"): elsewhere,
        ("sample", "one"): elsewhere,
        ("sample", "one", "--out", "a.npz"): elsewhere,
        ("sample", "one", "--out", "new/a.csv"): elsewhere,
        ("interpolate", "one"): elsewhere,
        ("traverse", "one", "--out", "a.gif"): elsewhere,
        ("export", "one", "--format", "safetensors"): elsewhere,
        ("export", "one", "--format", "torch-export", "--out", "a.pt2"): elsewhere,
        ("evaluate", "one", "--metric", "wasserstein"): "copy runs/all/one to a folder that you may write in",
        ("report", "one"): elsewhere,
        ("schema", "--out", "schema.json"): elsewhere,
        ("plugins", "new", "acme-gan", "--kinds", "loss"): "choose another folder with --into",
    }

    found = run_read_only(*commands)

    for command, (code, output, messages) in zip(commands, found, strict=True):
        *_, error, remedy = messages.splitlines()
        assert (code, output) == (5, ""), command
        assert error.startswith("error: cannot write "), command
        assert error.endswith(("Read-only file system", "Permission denied")), command
        assert commands[command] in remedy, command
    assert files_of(project) == before

    monkeypatch.chdir(tmp_path)
    shutil.copytree(project / "runs" / "all" / "one", "copied")
    assert main(["evaluate", "copied", "--metric", "wasserstein"]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_what_only_reads_works_in_a_read_only_folder(project, tmp_path, run_read_only):
    commands = [["runs"], ["runs", "one"], ["compare", "one", "two"], ["check", RECIPE], ["explain", RECIPE], ["list", "losses"]]
    commands += [["sample", "one", "--out", str(tmp_path / "a.png")], ["run", RECIPE, *LEAN, "--runs-dir", str(tmp_path / "runs")]]

    found = run_read_only(*commands)

    assert [code for code, *_ in found] == [0, 0, 2, 0, 0, 0, 0, 0]  # 2: nothing can be compared
    assert not [messages for *_, messages in found if "Traceback" in messages]
    assert (tmp_path / "a.png").is_file()


WRITING = {
    ("sample", "one", "--out", "a.npz"): "a.npz",
    ("sample", "one", "--json", "--out", "b.csv"): "b.csv",
    ("interpolate", "one", "--out", "c.png", "--rows", "2", "--steps", "2"): "c.png",
    ("export", "one", "--format", "safetensors", "--out", "d"): "d/ganforge.json",
    ("evaluate", "one", "--metric", "wasserstein"): "runs/all/one/evaluations.jsonl",
    ("report", "one", "--out", "f.html"): "f.html",
    ("run", RECIPE, *LEAN, "--json", "--runs-dir", "g"): "g/smoke/*/metrics.json",
    ("schema", "--out", "h.json"): "h.json",
    ("plugins", "new", "acme-gan", "--kinds", "loss"): "acme-gan/pyproject.toml",
}
"""What commands write before they print their results."""
READING = [
    ["runs"],
    ["runs", "--json"],
    ["runs", "one"],
    ["check", RECIPE, "--shapes"],
    ["explain", RECIPE],
    ["list"],
    ["data", "list"],
]


@pytest.mark.parametrize("command", [*map(list, WRITING), *READING], ids=" ".join)
def test_a_full_output_is_one_error_and_what_was_written_is_whole(project, monkeypatch, capsys, command):
    monkeypatch.chdir(project)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = main(command)

        if command[:2] == ["schema", "--out"]:  # prints nothing else to stdout
            assert code in (0, 5)
        else:
            assert code == 5
            error = "error: cannot write to the standard output: No space left on device"
            assert [line for line in capsys.readouterr().err.splitlines() if "error" in line] == [error]
    if pattern := WRITING.get(tuple(command)):
        assert [path.stat().st_size > 0 for path in project.glob(pattern)] == [True]
        assert list(project.rglob("*.tmp-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("home", ["", "HOME=", "HOME=/proc/nobody"])
def test_a_run_and_its_samples_need_no_home_and_no_output(project, home):
    program = f"env -u HOME {home} '{sys.executable}' -m ganforge"
    lean = " ".join(f"'{word}'" for word in LEAN)
    command = f"{program} run '{RECIPE}' {lean} --json && {program} sample vanilla_moons --out a.png >&-"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=True, timeout=240)

    assert json.loads(done.stdout)["status"] == "finished"
    assert (project / "a.png").is_file()
    assert "atplotlib" not in done.stderr
    assert "Traceback" not in done.stderr

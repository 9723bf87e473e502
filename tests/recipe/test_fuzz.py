"""No text makes reading a recipe do anything but read: no import, no socket, no process, no file, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def fuzz(tmp_path, tmp_path_factory):
    """Run fuzzing.py in a process of its own; gives what it did."""

    def fuzz(examples, *plant):
        script = Path(__file__).with_name("fuzzing.py")
        kept = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path_factory.mktemp("hypothesis"))}
        words = [sys.executable, script, str(examples), *plant]
        return subprocess.run(words, cwd=tmp_path, env=kept, capture_output=True, text=True, check=False)

    return fuzz


def reported(done):
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_only_read(report, examples):
    assert report["bad"] == []
    assert report["judged"] >= examples
    assert report["right"] > 0  # some recipes went all the way
    assert report["failed"] > 0  # and some met a plugin that fails, reported in one sentence


def test_hostile_recipes_are_only_read(fuzz, tmp_path):
    assert_only_read(reported(fuzz(100)), 100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_thousands_of_hostile_recipes_are_only_read(fuzz, tmp_path):
    assert_only_read(reported(fuzz(5_000)), 5_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        ("import", "import wsgiref"),
        ("socket", "socket."),
        ("process", "subprocess.Popen"),
        ("write", "opened to write"),
        ("remove", "os.remove"),
        ("create", "created "),
        ("code", "compile"),
        ("plugin", "blames another plugin: ganforge-vanilla failed"),
    ],
)
def test_what_must_not_happen_is_seen_when_it_does(fuzz, plant, seen):
    report = reported(fuzz(60, plant))
    assert [fault for fault in report["bad"] if fault.startswith(seen)] != []


@pytest.mark.slow
def test_a_traceback_is_seen_when_there_is_one(fuzz):
    done = fuzz(60, "traceback")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr

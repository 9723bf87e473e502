"""No text makes reading a recipe do anything but read: no import, no socket, no process, no file, and no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def fuzz(tmp_path, tmp_path_factory):
    return lambda examples: _fuzz(examples, tmp_path, tmp_path_factory)


def _fuzz(examples, folder, tmp_path_factory):
    script = Path(__file__).with_name("fuzzing.py")
    kept = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path_factory.mktemp("hypothesis"))}
    done = subprocess.run(
        [sys.executable, script, str(examples)], cwd=folder, env=kept, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["bad"] == []
    assert report["judged"] >= examples
    assert list(folder.iterdir()) == []
    return report


def test_hostile_recipes_are_only_read(fuzz):
    fuzz(300)


@pytest.mark.slow
def test_thousands_of_hostile_recipes_are_only_read(fuzz):
    report = fuzz(5_000)
    assert report["right"] > 0

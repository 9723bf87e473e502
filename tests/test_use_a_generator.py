"""The guide for those who use a generator: its commands and code, run in order in a fresh interpreter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.runs.generator_export import FORMATS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "use-a-generator.md").read_text()
BLOCKS = re.findall(r"(<!-- mlflow -->\n)?```(python|sh)\n(.+?)```", PAGE, flags=re.DOTALL)
TRAIN, *REST = [(bool(mark), language, text) for mark, language, text in BLOCKS]

COMMAND = """
from ganforge.cli.app import main
assert main({words!r}) == 0
"""


def messages(text):
    """The words of each command, without ``ganforge``."""
    return [line.split()[1:] for line in text.splitlines()]


def script(blocks, *, more=()):
    """A program that does what the blocks say."""
    parts = []
    for _, language, text in blocks:
        parts += [text] if language == "python" else [COMMAND.format(words=[*words, *more]) for words in messages(text)]
    return "\n".join(parts)


def follow(program, folder, **options):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=folder, capture_output=True, text=True, timeout=500, **options
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def trained(folder, *more):
    for link in ("recipes",):
        (folder / link).symlink_to(ROOT / link)
    follow(script([TRAIN], more=["--set", "train.iterations=2", "--device", "cpu", *more]), folder)


@pytest.mark.slow
def test_what_the_page_says_is_done(tmp_path):
    trained(tmp_path, "--set", 'tracking.mode="off"')
    checks = """
import json
assert values.shape == noise.shape[:1] + (2,) == (64, 2)
assert drawn["codes"].shape == (1000, 1) and drawn["values"].shape == (1000, 2)
assert moon.shape == upper.shape == (200, 2) and calmer.shape == (10, 2)
assert json.loads(metadata["ganforge.json"])["run"].startswith("cgan_moons-")
"""
    output = follow(script([block for block in REST if not block[0]]) + checks, tmp_path)

    assert output.startswith("<generator of infogan_moons-")
    assert output.count("verified in batches of 64 and 1") == 3
    assert {"moons", "moons.onnx", "moons.pt2"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_the_model_is_found_in_mlflow(tmp_path):
    trained(tmp_path)
    checks = "\nassert list(table) == ['x0', 'x1', 'code0'] and len(table) == 64 and set(table.code0) == {1.0}\n"
    follow(script([block for block in REST if block[0]]) + checks, tmp_path)


def test_the_page_shows_every_format():
    assert set(re.findall(r"^\| `([\w-]+)` \| (?:one file|a folder)", PAGE, flags=re.MULTILINE)) == set(FORMATS)
    assert set(re.findall(r"--format ([\w-]+) --out", PAGE)) == set(FORMATS)
    assert [mark for mark, _, _ in REST].count(True) == 1

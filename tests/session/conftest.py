"""Runs of real recipes, shortened, in this process or in one of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

ROOT = Path(__file__).parents[2]
SMOKE = sorted((ROOT / "recipes" / "smoke").glob("*.toml"))


@pytest.fixture
def recipe(tmp_path) -> Callable[..., Path]:
    """A recipe in a folder of its own: small, quick, delivered to nobody; more TOML may be added."""

    def write(extra: str = "", *, iterations: int = 20, mode: str = "off", train: str = "") -> Path:
        path = tmp_path / "small.toml"
        path.write_text(f"""
title = "A small run"
[train]
iterations = {iterations}
batch_size = 16
{train}
[dataset]
use = "moons"
params = {{ samples = 200 }}
standardise = true
[sampler]
use = "normal"
params = {{ size = 4 }}
[generator]
use = "mlp"
params = {{ hidden = [8] }}
[discriminator]
use = "mlp"
params = {{ hidden = [8] }}
[[loss]]
use = "non-saturating"
[pictures]
every = 10
samples = 32
album = false
[tracking]
mode = "{mode}"
{extra}
""")
        return path

    return write


@pytest.fixture
def console() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=100)


@pytest.fixture
def ganforge(tmp_path) -> Callable[..., subprocess.Popen]:
    """Starts ``ganforge …`` in the temporary folder; ``plugins`` is a folder that installed plugins are found in."""
    started = []

    def start(*arguments: str, plugins: Path | None = None, **environment: str) -> subprocess.Popen:
        env = {**os.environ, **environment}
        if plugins is not None:
            env["PYTHONPATH"] = str(plugins)
        process = subprocess.Popen(
            [sys.executable, "-m", "ganforge", *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from ganforge.core.events import State
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "moons", "infogan")


@pytest.fixture
def make_state():
    """Builds a state whose every number follows from ``seed``: scalars, shared and strided memory, all the dtypes in use."""

    def make(seed=0):
        generator = torch.Generator().manual_seed(seed)
        shared = torch.randn(6, generator=generator)
        return State(
            {
                "generator/layers.0.weight": torch.randn(3, 4, generator=generator).t(),
                "generator/layers.0.bias": shared[:3],
                "ema/layers.0.bias": shared[3:],
                "ema/steps": torch.tensor(seed),
                "optimizers/generator/0/exp_avg": torch.randn(2, 2, generator=generator, dtype=torch.float64),
                "optimizers/generator/empty": torch.zeros(0, 3),
                "random/latents": generator.get_state(),
                "random/half": torch.randn(5, generator=generator).to(torch.bfloat16),
                "random/mask": torch.tensor([True, False]),
            },
            {"iteration": seed, "rate": 0.1 * seed, "names": ["a", "ü"], "best": -math.inf, "nested": {"$float": {"n": None}}},
        )

    return make


@pytest.fixture
def assert_same():
    def check(one, other):
        assert dict(one.values) == dict(other.values)
        assert set(one.tensors) == set(other.tensors)
        for name, tensor in one.tensors.items():
            assert torch.equal(tensor, other.tensors[name]), name
            assert tensor.dtype == other.tensors[name].dtype, name

    return check


@pytest.fixture
def python():
    """Runs a script in a process of its own: ``python(code, *arguments, environment…)``."""

    def run(code, *arguments, check=True, **environment):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def forked():
    """Runs a function in a copy of this process, which has torch already; ``forked(work)`` gives the signal that ended it."""

    def run(work):
        with warnings.catch_warnings(action="ignore"):  # Python 3.12 warns of forking beside torch's threads, which sleep here
            child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status))
        assert os.WEXITSTATUS(status) == 0, "the work raised an error"
        return None

    return run

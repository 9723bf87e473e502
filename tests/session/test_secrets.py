"""Secrets of a recipe, planted in every place that takes text, are in nothing that a run writes, sends or prints."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ganforge.cli.app import main

PLUGIN = """
import torch
from ganforge.plugin import BuildContext, DataSpec, MetricInfo, Params, Samples, hookimpl


class Account(Params):
    password: str
    address: str = ""


class Points:
    spec = DataSpec((2,))

    def __init__(self, params, context):
        assert params.password == "canary-param", params.password

    def training(self):
        return Samples(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))

    def held_out(self, count, generator):
        return Samples(torch.randn(count, 2, generator=generator))


class Failing:
    value_info = {"": MetricInfo("a number", "lower")}

    def __init__(self, params, context):
        pass

    def measure(self, evaluation):
        raise RuntimeError("no answer from https://me:canary-error@example.org, with token=canary-error")


@hookimpl
def ganforge_register_datasets(register):
    register("account", Points, params=Account, summary="Points behind a login.")


@hookimpl
def ganforge_register_metrics(register):
    register("failing", Failing, summary="Fails.")
"""

TABLES = '''
title = "Points with token=canary-title"
description = """
From https://me:canary-login@example.org/data, with the key sk-canaryshape4canary.
"""
[train]
iterations = 4
batch_size = 16
[dataset]
use = "account"
params = { password = "canary-param", address = "https://me:canary-address@example.org" }
[sampler]
use = "normal"
params = { size = 4 }
[generator]
use = "mlp"
params = { hidden = [8] }
[discriminator]
use = "mlp"
params = { hidden = [8] }
[[loss]]
use = "non-saturating"
[checkpoints]
every = 2
[pictures]
every = 2
final_figures = false
[tracking]
tags = { api_token = "canary-tag", argv = "--set dataset.params.token=canary-argv" }
'''


@pytest.fixture
def recipe(tmp_path, monkeypatch, empty_store):
    """The recipe and its plugin outside the folder that the run writes into, which is the current one."""
    (tmp_path / "sources").mkdir()
    here = tmp_path / "here"
    here.mkdir()
    empty_store(here)
    monkeypatch.chdir(here)
    (tmp_path / "sources" / "account.py").write_text(PLUGIN)
    (tmp_path / "sources" / "private.toml").write_text(TABLES)
    return tmp_path / "sources" / "private.toml"


def with_canary(folder):
    """Files below a folder that hold a secret; the copies of the plugin, whose code it is, excepted."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "account.py"]
    assert len(files) > 10
    return [str(path.relative_to(folder)) for path in files if b"canary" in path.read_bytes()]


@pytest.mark.filterwarnings("default")
def test_a_run_keeps_sends_and_prints_no_secret(recipe, tmp_path, capsys):
    assert main(["--plugin", str(recipe.with_name("account.py")), "run", str(recipe), "--plain"]) == 0

    assert with_canary(tmp_path / "here") == []
    (folder,) = (tmp_path / "here" / "runs").glob("*/private-*")
    resolved = (folder / "resolved.toml").read_text()
    assert 'password = "***"' in resolved
    assert 'address = "https://example.org"' in resolved
    captured = capsys.readouterr()
    assert "canary" not in captured.out + captured.err


def test_a_run_with_a_secret_resumes_from_its_recipe_or_with_the_secret(recipe, tmp_path, capsys):
    command = ["--plugin", str(recipe.with_name("account.py")), "run"]
    untracked = ("--plain", "--set", 'tracking.mode="off"')
    assert main([*command, str(recipe), *untracked]) == 0
    (folder,) = (tmp_path / "here" / "runs").glob("*/private-*")

    assert main([*command, "--resume", folder.name, *untracked]) == 2
    assert "dataset.params.password" in capsys.readouterr().err
    assert main([*command, "--resume", folder.name, *untracked, "--set", 'dataset.params.password="canary-param"']) == 0
    assert main([*command, str(recipe), "--resume", folder.name, *untracked]) == 0
    assert with_canary(tmp_path / "here") == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_crash_keeps_sends_and_prints_no_secret(recipe, tmp_path, capsys):
    recipe.write_text(TABLES + '[[metric]]\nuse = "failing"\nevery = 2\n')

    assert main(["--plugin", str(recipe.with_name("account.py")), "run", str(recipe), "--plain"]) == 3

    assert with_canary(tmp_path / "here") == []
    captured = capsys.readouterr()
    assert "no answer from https://example.org" in captured.err
    assert "canary" not in captured.out + captured.err


CRASH = """
import sys
from ganforge.cli import app
from ganforge.runs import run_index

def crash(*_):
    raise RuntimeError("https://me:canary@example.org refused")

run_index.list_runs = crash
sys.argv = ["ganforge", "runs"]
sys.exit(app.main())
"""


def test_a_traceback_on_stderr_has_no_secret():
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: https://example.org refused" in done.stderr
    assert "canary" not in done.stdout + done.stderr

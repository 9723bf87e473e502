"""Run folders to look at: the smoke recipes, trained for a few iterations, once for all tests here."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """``trained("cgan_digits")`` → the folder of a run, which no test may change."""
    from ganforge.session.run_plan import Options
    from ganforge.session.training_run import run

    @cache
    def trained(name: str) -> Path:
        lean = ('tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "train.iterations=2", "metric=[]")
        console = Console(file=io.StringIO())
        return run(Options(SMOKE / f"{name}.toml", lean, runs_dir=tmp_path_factory.mktemp("runs")), console).folder

    return trained


@pytest.fixture(scope="session")
def mine():
    """The text of a file that is a plugin: a generator called ``mine``."""
    return """
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator


@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""

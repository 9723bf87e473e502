"""The page at the end of a run: there, recorded for MLflow, left out on request, and no reason for a run to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.report import page
from ganforge.session.run_plan import Options
from ganforge.session.sweep import sweep
from ganforge.session.training_run import run
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"
LEAN = ('tracking.mode="off"', "pictures.gif=false", "pictures.album=false", "train.iterations=2")


def trained(tmp_path, console, *overrides):
    return run(Options(SMOKE / "infogan_moons.toml", (*LEAN, *overrides), runs_dir=tmp_path / "runs"), console)


def recorded(result):
    return [record["path"] for _, record in journal.read(RunFolder(result.folder).journal) if record["kind"] == "file"]


def test_a_finished_run_has_its_page_with_meanings_and_all_of_its_journal(tmp_path, console):
    result = trained(tmp_path, console)

    html = (result.folder / "report.html").read_text("utf-8")
    assert recorded(result)[-1] == "report.html"
    assert "All 2 iterations are done" in html
    assert "equilibrium log 2 = 0.693" in html
    assert "cost of taking real samples for fakes" in html
    assert all(f">{name}</h3>" in html for name in result.metrics)
    assert "ganforge/moons@1" in html


def test_a_run_that_diverged_has_its_page(tmp_path, console):
    result = trained(tmp_path, console, "generator.optimizer.lr=1e30", "train.iterations=50")
    assert result.status == "diverged"
    assert "Diverged at iteration" in (result.folder / "report.html").read_text("utf-8")
    assert "report.html" in recorded(result)


def test_it_is_left_out_on_request(tmp_path, console):
    result = trained(tmp_path, console, "pictures.report=false", "metric=[]")
    assert not (result.folder / "report.html").exists()
    assert "report.html" not in recorded(result)


@pytest.mark.parametrize("error", [StorageError("no space left"), ZeroDivisionError("division by zero"), SystemExit(3)])
def test_a_page_that_cannot_be_written_costs_a_warning(tmp_path, console, monkeypatch, error):
    def refuse(facts):
        raise error

    monkeypatch.setattr(page, "_run_values", lambda facts, target: refuse(facts))
    result = trained(tmp_path, console, "metric=[]")

    assert (result.status, result.exit_code) == ("finished", 0)
    assert "report.html is missing: " in console.file.getvalue()
    assert "report.html" not in recorded(result)


@pytest.mark.slow
def test_a_sweep_has_a_page_over_the_pages_of_its_seeds(tmp_path, console):
    swept = sweep(Options(SMOKE / "infogan_moons.toml", LEAN, runs_dir=tmp_path / "runs"), seeds=2, jobs=1, console=console)

    html = (swept.folder / "report.html").read_text("utf-8")
    assert "2 of 2 seeds: 2 finished." in html
    assert all(f'href="../{result.folder.name}/report.html"' in html for result in swept.seeds)
    assert recorded(swept)[-1] == "report.html"
    assert formatting.number(swept.spread["code-recovery"]["median"]) in html

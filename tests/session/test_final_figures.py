"""Figures and report at the end of a run: which there are, that the journal names them, and that none of them can fail a run."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from ganforge.builtin.datasets import image_folder
from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.report import page
from ganforge.runs import nearest_images
from ganforge.session import final_figures
from ganforge.session.run_plan import Options, assemble, prepare
from ganforge.session.sweep import sweep
from ganforge.session.training_run import run
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"
LEAN = ('tracking.mode="off"', "pictures.gif=false", "train.iterations=2", "metric=[]")
SHORT = ("pictures.final_figures=false", *LEAN[:3])
WALKS = {"interpolation.png", "interpolation.gif"}
VARIED = {"traversal.png", "traversal.gif"}


def trained(name, tmp_path, console, *overrides):
    return run(Options(SMOKE / f"{name}.toml", (*LEAN, *overrides), runs_dir=tmp_path / "runs"), console)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of a recipe, trained once for all tests of this module."""

    @functools.cache
    def finished(name):
        return trained(name, tmp_path_factory.mktemp(name), Console(file=io.StringIO()))

    return finished


@pytest.fixture
def undrawn(tmp_path):
    """A function that builds a recipe, and draws the final figures of the untrained networks; gives the run folder."""

    def undrawn(name, place="run"):
        trainer = assemble(prepare(Options(SMOKE / f"{name}.toml", LEAN)), "cpu")
        folder = RunFolder.create(tmp_path / place, "smoke", name)
        with journal.JournalWriter(folder.journal) as records:
            final_figures.draw_final_figures(trainer, folder, records)
        return folder

    return undrawn


def drawn(result):
    """The final figures in the run folder."""
    return {path.name for path in (result.folder / "pictures").iterdir() if path.name.startswith(("inter", "trav", "neigh"))}


def recorded(result):
    """What the journal names of them: sheets as images with an iteration, animations as files."""
    records = [record for _, record in journal.read(RunFolder(result.folder).journal)]
    images = {(record["key"], record["iteration"], record["path"]) for record in records if record["kind"] == "image"}
    files = {record["path"] for record in records if record["kind"] == "file"}
    return {one for one in images if one[0] not in ("images/samples", "images/real")}, {
        path for path in files if path.endswith(".gif")
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dcgan_digits", WALKS | {"neighbours.png"}),
        ("cgan_digits", WALKS | VARIED | {"neighbours.png"}),
        pytest.param("infogan_moons", WALKS | VARIED, marks=pytest.mark.slow),
        ("gaussian_1d", WALKS),
    ],
)
def test_each_picture_that_applies_is_drawn_and_recorded(finished, name, expected):
    result = finished(name)

    assert result.status == "finished"
    assert drawn(result) == expected
    images, files = recorded(result)
    sheets = {path for path in expected if path.endswith(".png")}
    assert images == {(f"images/{path[:-4]}", 2, f"pictures/{path}") for path in sheets}
    assert files == {f"pictures/{path}" for path in expected - sheets}
    for path in expected:
        with Image.open(result.folder / "pictures" / path) as picture:
            picture.verify()


def test_of_a_streamed_folder_the_figures_search_a_part_and_says_so_and_sample_searches_all(tmp_path, console, monkeypatch):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(40):
        Image.new("L", (8, 8), 6 * number).save(pictures / f"{number}.png")
    monkeypatch.setattr(image_folder, "_SUBSET", 10)
    notes = []
    monkeypatch.setattr(final_figures, "beside_nearest", lambda *_, note: notes.append(note) or b"")

    table = f'dataset={{use="image-folder",params={{folder="{pictures}",grayscale=true,stream=true,held_out=0.25}}}}'
    result = trained("dcgan_digits", tmp_path, console, table)

    assert notes == ["nearest among 10 of 30 training images"]

    searched = []
    monkeypatch.setattr(nearest_images, "beside_nearest", lambda _, training, *__, **___: searched.append(len(training)))
    nearest_images.beside_training_images(Samples(torch.zeros(1, 1, 8, 8)), DataSpec((1, 8, 8)), RunFolder(result.folder))
    assert searched == [30]


def test_it_shows_the_same_again(undrawn):
    first, second = undrawn("cgan_digits", "a"), undrawn("cgan_digits", "b")

    names = sorted(path.name for path in first.pictures.iterdir())
    assert set(names) == WALKS | VARIED | {"neighbours.png"}
    for name in names:
        assert (first.pictures / name).read_bytes() == (second.pictures / name).read_bytes()


def test_a_picture_that_fails_is_missing_with_a_warning_and_the_others_are_there(tmp_path, console, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no yellow left")

    monkeypatch.setattr(final_figures, "beside_nearest", broken)
    result = trained("dcgan_digits", tmp_path, console)

    assert (result.status, result.exit_code) == ("finished", 0)
    assert drawn(result) == WALKS
    assert "neighbours.png is missing: ValueError: no yellow left" in console.file.getvalue()
    assert (result.folder / "model" / "generator.safetensors").exists()


def test_a_part_that_would_end_the_program_costs_its_picture_only(undrawn, monkeypatch, caplog):
    def leaves(*_, **__):
        raise SystemExit(3)

    monkeypatch.setattr(nearest_images, "nearest_neighbours", leaves)
    assert {path.name for path in undrawn("dcgan_digits").pictures.iterdir()} == WALKS
    assert "neighbours.png is missing: it called sys.exit(3)" in caplog.text


def test_a_disk_that_refuses_is_reported_once(undrawn, monkeypatch, caplog):
    def full(path, *_, **__):
        raise StorageError(f"cannot write {path}: No space left on device")

    files = final_figures.atomic_files
    monkeypatch.setattr(files, "write_bytes", _only_for_final_figures(files.write_bytes, full))
    assert not list(undrawn("cgan_digits").pictures.glob("*"))
    assert caplog.text.count("No space left") == 1
    assert "interpolation.png and what follows is missing" in caplog.text


def _only_for_final_figures(real, refusing):
    def write(path, data, **options):
        return (refusing if path.name.startswith(("inter", "trav", "neigh")) else real)(path, data, **options)

    return write


def test_a_run_that_was_stopped_or_diverged_has_none(tmp_path, console):
    result = trained("gaussian_1d", tmp_path, console, "generator.optimizer.lr=1e30", "train.iterations=50")

    assert result.status == "diverged"
    assert drawn(result) == set()
    assert "Diverged at iteration" in (result.folder / "report.html").read_text("utf-8")
    assert "report.html" in recorded_files(result)


def reported(tmp_path, console, *overrides):
    return run(Options(SMOKE / "infogan_moons.toml", (*SHORT, *overrides), runs_dir=tmp_path / "runs"), console)


def recorded_files(result):
    return [record["path"] for _, record in journal.read(RunFolder(result.folder).journal) if record["kind"] == "file"]


def test_a_finished_run_has_its_page_with_meanings_and_all_of_its_journal(tmp_path, console):
    result = reported(tmp_path, console)

    html = (result.folder / "report.html").read_text("utf-8")
    assert recorded_files(result)[-1] == "report.html"
    assert "All 2 iterations are done" in html
    assert "equilibrium log 2 = 0.693" in html
    assert "cost of taking real samples for fakes" in html
    assert all(f">{name}</h3>" in html for name in result.metrics)
    assert "ganforge/moons@1" in html


def test_it_is_left_out_on_request(tmp_path, console):
    result = reported(tmp_path, console, "pictures.report=false", "metric=[]")
    assert not (result.folder / "report.html").exists()
    assert "report.html" not in recorded_files(result)
    assert drawn(result) == set()
    assert recorded(result) == (set(), set())


@pytest.mark.parametrize("error", [StorageError("no space left"), ZeroDivisionError("division by zero"), SystemExit(3)])
def test_a_page_that_cannot_be_written_costs_a_warning(finished, tmp_path, monkeypatch, caplog, error):
    def refuse(facts):
        raise error

    monkeypatch.setattr(page, "_run_values", lambda facts, target: refuse(facts))
    with journal.JournalWriter(tmp_path / "events.jsonl") as records:
        final_figures.write_final_report(RunFolder(finished("gaussian_1d").folder), records)
    assert "report.html is missing: " in caplog.text
    assert [record["kind"] for _, record in journal.read(tmp_path / "events.jsonl")] == []


@pytest.mark.slow
def test_a_sweep_has_a_page_over_the_pages_of_its_seeds(tmp_path, console):
    swept = sweep(Options(SMOKE / "infogan_moons.toml", SHORT, runs_dir=tmp_path / "runs"), seeds=2, jobs=1, console=console)

    html = (swept.folder / "report.html").read_text("utf-8")
    assert "2 of 2 seeds: 2 finished." in html
    assert all(f'href="../{result.folder.name}/report.html"' in html for result in swept.seeds)
    assert recorded_files(swept)[-1] == "report.html"
    assert formatting.number(swept.to_plain()["spread"]["code-recovery"]["median"]) in html

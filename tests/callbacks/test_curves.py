from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ganforge.callbacks import broadcast, picture_writer
from ganforge.callbacks.picture_writer import curves
from ganforge.callbacks.run_recorder import journal
from ganforge.core.events import Stepped
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


@pytest.fixture
def written(monkeypatch):
    """Whether each drawing included the metrics."""
    calls = []
    write = picture_writer._write_curves
    monkeypatch.setattr(
        picture_writer, "_write_curves", lambda *args, metrics: calls.append(metrics) or write(*args, metrics=metrics)
    )
    return calls


def train(folder, stream, clock, *, seconds=0.0):
    """Write journal and curves of a run whose iterations take ``seconds`` each."""

    def timed():
        for event in stream:
            clock.now += seconds if isinstance(event, Stepped) else 0
            yield event

    with JournalWriter(folder.journal) as writer:
        broadcast(timed(), [curves(folder, title="Two moons", clock=clock)], essential=[journal(folder, writer)])


def test_both_files_at_the_end(folder, clock, events):
    train(folder, events(), clock)

    for name in ("losses.png", "metrics.png"):
        with Image.open(folder.pictures / name) as picture:
            assert picture.width == 1000
            assert len(set(picture.convert("L").tobytes())) > 20


def test_at_most_once_a_minute_during_training(folder, clock, events, written):
    train(folder, events(every=10), clock, seconds=1.5)  # 10 evaluations in 150 s

    assert written == [False, False, True]  # after 60 s, after 120 s, and at the end


def test_slow_drawings_are_less_frequent(folder, clock, events, monkeypatch):
    drawn = []

    def draw(*_, metrics):
        drawn.append(metrics)
        clock.now += 6

    monkeypatch.setattr(picture_writer, "_write_curves", draw)
    train(folder, events(every=10, end=1000, iterations=1000), clock, seconds=1.0)
    assert drawn == [False, False, True]  # 600 s apart: 6 s are 1 % of the time


def test_a_resumed_run_shows_its_earlier_part(folder, clock, events):
    train(folder, events(end=50), clock)
    early = np.asarray(Image.open(folder.pictures / "losses.png").convert("RGB"))
    train(folder, events(begin=50), clock)
    resumed = np.asarray(Image.open(folder.pictures / "losses.png").convert("RGB"))
    whole = RunFolder.create(folder.path.parent, "moons", "other")
    train(whole, events(), clock)

    assert not np.array_equal(resumed, early)
    assert np.array_equal(resumed, np.asarray(Image.open(whole.pictures / "losses.png").convert("RGB")))


def test_a_run_without_values_has_no_curves(folder, clock, events):
    started, *_, finished = events()
    train(folder, [started, finished], clock)

    assert not list(folder.pictures.iterdir())


def test_a_damaged_meanings_file_does_not_prevent_curves(folder, clock, events):
    stream = iter(list(events()))

    def damaged():
        for event in stream:
            if isinstance(event, Stepped) and event.iteration == 60:
                folder.value_info.write_bytes(b"{")
            yield event

    with JournalWriter(folder.journal) as writer:
        for event in events():
            if isinstance(event, Stepped):
                writer.metrics(event.iteration, {f"loss/{key}": value for key, value in event.terms.items()})
    folder.value_info.write_bytes(b"{")
    with curves(folder, title="", clock=clock) as handle:
        for event in damaged():
            handle(event)
    assert (folder.pictures / "losses.png").exists()


@pytest.mark.slow
def test_a_disk_that_refuses_causes_one_warning(folder, clock, events, caplog):
    folder.pictures.rmdir()
    folder.pictures.write_text("not a folder")
    train(folder, events(every=10), clock, seconds=10)

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("no curves: cannot write")

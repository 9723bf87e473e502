"""The progress of a sweep, from logs as the seeds' processes write them."""

from __future__ import annotations

import io

import pyte
import pytest
from rich.console import Console

from ganforge.terminal.progress_ui import PlainLines
from ganforge.terminal.run_state import RunHeading
from ganforge.terminal.sweep_progress import SweepProgress, log_file


@pytest.fixture
def write_log(tmp_path, events, clock):
    """Writes the log of a seed that has come to an iteration of 1,000."""

    def write(seed, iteration):
        with log_file(tmp_path, seed).open("w") as log:
            lines = PlainLines(log, RunHeading("Moons", tmp_path, seed), clock)
            with lines.callback() as handle:
                for event in list(events(iterations=1000, end=iteration, every=50))[:-1]:
                    clock.now += 0.1
                    handle(event)

    return write


def progress(tmp_path, clock, **options):
    console = Console(file=io.StringIO(), width=70, height=20, _environ={"TERM": "xterm"}, **options)
    return console, SweepProgress(console, range(3, 6), tmp_path, 1000, clock)


def test_lines_tell_how_far_each_seed_is_and_how_long_the_rest_takes(tmp_path, clock, write_log):
    console, shown = progress(tmp_path, clock)
    with shown.shown():
        shown.update([])
        write_log(4, 500)  # its last line is written at iteration 490 or a little before
        log_file(tmp_path, 5).write_text("importing torch\n")
        shown.update([3])
        shown.update([3])

    first, line = console.file.getvalue().splitlines()
    assert first == f"3 seeds to run; logs in {tmp_path}"
    assert line.startswith("1 of 3 seeds done  4")
    assert "  about 00:5" in line or "  about 01:0" in line
    assert "; seed 4: 4" in line
    assert line.endswith("; seed 5: starting")


def test_a_terminal_has_a_line_for_each_seed_that_runs_and_nothing_remains(tmp_path, clock, write_log):
    screen = pyte.Screen(70, 20)
    stream = pyte.Stream(screen)
    console, shown = progress(tmp_path, clock, force_terminal=True, legacy_windows=False)
    write_log(3, 500)
    with shown.shown():
        shown.update([])
        stream.feed(console.file.getvalue().replace("\n", "\r\n"))
        lines = [line.rstrip() for line in screen.display if line.strip()]
        before = len(console.file.getvalue())

    assert lines[0].startswith("seed 3  4")
    assert lines[0].endswith(" left")  # only whole parts, as many as fit
    assert lines[1].startswith("0 of 3 seeds done  1")
    stream.feed(console.file.getvalue()[before:].replace("\n", "\r\n"))
    assert not any(line.strip() for line in screen.display)


def test_the_time_left_follows_from_the_work_and_not_from_the_start(tmp_path, clock, write_log):
    console, shown = progress(tmp_path, clock, force_terminal=True, legacy_windows=False)
    seen = []
    with shown.shown():
        begun = clock.now = clock.now + 100
        shown.update([])
        for reached in (100, 500):
            write_log(3, reached)
            shown.update([])
            seen.append(console.file.getvalue().rpartition("0 of 3 seeds done  ")[2])

    assert seen[0].startswith("2 %  – left")
    minutes, seconds = map(int, seen[1].partition("about ")[2][:5].split(":"))
    share = int(seen[1].partition(" ")[0]) / 100
    assert 60 * minutes + seconds == pytest.approx((clock.now - begun) * (1 - share) / share, rel=0.05)


def test_a_log_that_is_missing_or_no_text_stops_nothing(tmp_path, clock):
    console, shown = progress(tmp_path, clock)
    log_file(tmp_path, 3).write_bytes(b"\xff\x00" * 5000)
    with shown.shown():
        clock.now += 100
        shown.update([])

    assert "0 of 3 seeds done  0 %  – left; seed 3: starting" in console.file.getvalue()

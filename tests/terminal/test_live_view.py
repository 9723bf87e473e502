"""The live view on a screen that pyte emulates, and in a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyte
import pytest
from rich.console import Console

from ganforge.core.contracts import MetricInfo
from ganforge.core.events import Evaluated, RolledBack, SamplesDrawn, Stepped
from ganforge.terminal.live_view import LiveView, fit_findings, sparkline
from ganforge.terminal.progress_ui import create_ui
from ganforge.terminal.run_state import STOPPING, RunHeading

HEADING = RunHeading("InfoGAN finds the moons", Path("runs/moons/a-1234"), 7)


class Screen:
    """A terminal of pyte's, and a console that writes to it."""

    def __init__(self, width, height, **options):
        self.emulator = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.emulator)
        self.console = Console(
            file=io.StringIO(), force_terminal=True, width=width, height=height, color_system="truecolor", legacy_windows=False,
            _environ={"TERM": "xterm-256color"} | options,
        )  # fmt: skip
        self.raw = ""

    def look(self):
        written, self.console.file = self.console.file.getvalue(), io.StringIO()
        self.raw += written
        self.stream.feed(written.replace("\n", "\r\n"))
        return [line.rstrip() for line in self.emulator.display]

    def resize(self, width, height):
        self.console.width, self.console.height = width, height
        self.emulator.resize(height, width)


def play(screen, events, clock, *, seconds=0.0):
    """Show a whole run; while the clock stands still, only its start and its end are drawn, which spares the slow emulator."""
    live = LiveView(screen.console, HEADING, clock)
    with live.callback() as handle:
        for event in events:
            clock.now += seconds
            handle(event)
    return live


def at(text, lines):
    """The only line that contains ``text``."""
    found = [line for line in lines if text in line]
    assert len(found) == 1, (text, lines)
    return found[0]


def test_the_last_state_stays_on_the_screen(clock, events):
    screen = Screen(120, 40)
    play(screen, events(), clock)
    lines = screen.look()

    assert lines[0] == "InfoGAN finds the moons"
    assert lines[1] == "runs/moons/a-1234"
    assert lines[2] == "seed 7 · cpu · 2-dimensional points, 2 classes · 34,561 parameters"
    assert lines[3].endswith("  100 %  100/100  8.0 it/s  finished in 00:12")
    assert "▅▆▇▇▇█████    1.367       1.386" in at("discriminator  ", lines)  # the mean of the last 48 iterations
    assert "0.005 ↓ better        0    0.005" in at("wasserstein  ", lines)
    at(
        "discriminator total 1.367 (log 4 = 1.386 at equilibrium): cannot tell real from generated (they are alike, or it is",
        lines,
    )
    assert "generator total 0.721 (log 2 = 0.693 at equilibrium): the discriminator is undecided about its samples" in lines
    at("samples at iteration 100", lines)
    at("real · code 0 = 0 · code 0 = 1", lines)
    assert not any("Ctrl-C" in line for line in lines)


def test_a_healthy_run_is_shown_with_its_first_healthy_iteration(clock, events, watched, finding):
    screen = Screen(120, 40)
    play(screen, watched(events(), {20: [finding()], 40: [], 80: []}), clock)

    at("healthy since iteration 40", screen.look())


TROUBLES = (
    ("gradients", "exploding gradient", "fail"),
    ("diversity", "mode collapse", "fail"),
    ("duplicates", "near-duplicates", "warn"),
    ("over-fitting", "discriminator over-fitting", "warn"),
)


def test_findings_are_shown_in_full_if_there_is_room(clock, events, watched, finding):
    screen = Screen(120, 40)
    play(screen, watched(events(), {60: [finding(*trouble) for trouble in TROUBLES]}), clock)
    lines = screen.look()

    for _, trouble, level in TROUBLES:
        found = at(f"{trouble} since iteration 40", lines)
        assert found == f"{level}: {trouble} since iteration 40: samples near 12% of the data only"
        advised = lines[lines.index(found) + 1]
        assert advised == "  what usually helps: several samples judged at once (dataset.params)"
    at("discriminator total 1.367 (log 4 = 1.386 at equilibrium): cannot tell real from generated", lines)
    assert not any("healthy" in line for line in lines)


@pytest.mark.parametrize("width", [20, 25, 30])
def test_a_narrow_view_says_what_helps_against_the_worst_and_counts_the_others(finding, width):
    troubles = [finding(f"check-{number}") for number in range(3)]
    lines = [line.plain for line in fit_findings(troubles, width, 3)]
    assert [line[:10] for line in lines] == ["fail: mode", "  several ", "and 2 more"]
    assert all(line.endswith(" …") for line in lines[:2])  # cut between words


@pytest.mark.parametrize("room", range(1, 30))
def test_findings_keep_to_their_room(finding, room):
    troubles = [finding(f"check-{number}") for number in range(4)]
    assert 1 <= len(fit_findings(troubles, 24, room)) <= max(room, 2)


@pytest.mark.parametrize("size", [(60, 24), (80, 24), (61, 12), (30, 20), (100, 16)])
def test_the_worst_findings_come_first_and_those_left_out_are_counted(clock, events, watched, finding, size):
    screen = Screen(*size)
    live = play(screen, watched(events(), {60: [finding(*trouble) for trouble in TROUBLES]}), clock)
    lines = screen.look()

    assert len(live.frame()) < size[1]
    found = [line for line in lines if line.startswith(("fail: ", "warn: "))]
    assert found[0].startswith("fail: exploding gradient")
    assert any(line.startswith(f"and {len(TROUBLES) - len(found)} more: ") for line in lines) == (len(found) < len(TROUBLES))
    assert all(len(line) <= size[0] for line in lines)


def test_levels_have_colours_of_their_own_and_words_where_there_are_none(clock, events, watched, finding):
    found = {}
    for options in ({}, {"NO_COLOR": "1"}):
        screen = Screen(100, 40, **options)
        looks = {60: [finding(), finding("duplicates", "near-duplicates", "warn")]}
        play(screen, watched(events(), looks), clock)
        lines = screen.look()
        rows = [next(row for row, line in enumerate(lines) if line.startswith(level)) for level in ("fail: ", "warn: ")]
        found[bool(options)] = [screen.emulator.buffer[row][0].fg for row in rows]

    assert found == {False: ["ff0000", "d75f00"], True: ["default", "default"]}


def test_non_finite_terms_are_shown_first(clock, events, watched, finding):
    stream = [
        replace(event, terms={**event.terms, "generator/total": event.terms["generator/total"] * float("inf")})
        if isinstance(event, Stepped)
        else event
        for event in watched(events(), {60: [finding()]})
    ]
    screen = Screen(100, 40)
    play(screen, stream, clock)
    lines = screen.look()

    assert lines.index("generator total is no longer finite") + 1 == lines.index(at("fail: mode collapse", lines))


def test_training_that_was_rolled_back_shows_its_speed_and_its_present_course(clock, events):
    screen = Screen(120, 40)
    live = LiveView(screen.console, HEADING, clock)
    *earlier, _ = events(end=60)
    with live.callback() as handle:
        for event in [
            *earlier,
            RolledBack(40, 60),
            *(event for event in events() if isinstance(event, Stepped) and 40 < event.iteration <= 50),
        ]:
            clock.now += 0.1
            handle(event)
        clock.now += 5
        live.notify("look")
        handle(earlier[-1])
        lines = screen.look()

    assert "it/s" in lines[3]
    assert "– it/s" not in lines[3]


def test_progress_and_time_left_while_it_goes(clock, events):
    screen = Screen(100, 30)
    live = LiveView(screen.console, HEADING, clock)
    with live.callback() as handle:
        for event in events():
            clock.now += 0.1
            handle(event)
            if getattr(event, "iteration", 0) == 50:
                break
        lines = screen.look()

    assert "48 %  48/100  9.4 it/s  00:06 left" in lines[3]
    assert any("Ctrl-C saves and stops" in line for line in lines)


@pytest.mark.parametrize("size", [(60, 24), (60, 60), (78, 24), (80, 24), (100, 30), (200, 60), (61, 12), (30, 8), (10, 3)])
@pytest.mark.parametrize("kind", ["moons", "bell", "images"])
def test_it_fits_every_terminal(clock, events, kind, size):
    screen = Screen(*size)
    live = play(screen, events(kind, end=6, iterations=6, every=3), clock)

    assert len(live.frame()) < size[1]
    screen.look()
    assert all(len(line) <= size[0] for line in screen.emulator.display)
    if size[1] >= 12 and size[0] >= 60:  # nothing was scrolled away
        assert screen.emulator.display[0].startswith("InfoGAN finds the moons")


METRICS = [f"metric-{number}/value" for number in range(12)]


@pytest.mark.parametrize(("size", "count"), [((80, 24), 5), ((78, 24), 3), ((60, 24), 5), ((80, 20), 1), ((120, 40), 12)])
def test_every_metric_is_shown_beside_findings(clock, events, watched, finding, size, count):
    measured = [
        replace(event, values=dict.fromkeys(METRICS[:count], 0.25)) if isinstance(event, Evaluated) else event for event in events()
    ]
    screen = Screen(*size)
    play(screen, watched(measured, {60: [finding(*trouble) for trouble in TROUBLES]}), clock)
    lines = screen.look()

    for key in ["generator ", "discriminator ", *METRICS[:count]]:
        assert any(line.startswith(key) for line in lines), (key, lines)
    assert any(line.startswith("fail: exploding gradient") for line in lines)


def test_metrics_without_room_are_counted(clock, events, watched, finding):
    measured = [
        replace(event, values=dict.fromkeys(METRICS, 0.25)) if isinstance(event, Evaluated) else event for event in events()
    ]
    screen = Screen(80, 24)
    play(screen, watched(measured, {60: [finding(*trouble) for trouble in TROUBLES]}), clock)
    lines = screen.look()

    shown = [line for line in lines if line.startswith("metric-")]
    hidden = 2 + len(METRICS) - len(shown) - sum(line.startswith(("wasserstein", "modes")) for line in lines)
    assert len(shown) >= 3
    assert any(line == f"and {hidden} more" or line.startswith(f"and {hidden} more  ") for line in lines)


@pytest.mark.parametrize("kind", ["moons", "bell", "images"])
def test_no_explanation_is_cut_where_there_is_room(clock, events, watched, finding, kind):
    screen = Screen(200, 60)
    play(screen, watched(events(kind), {60: [finding(*trouble) for trouble in TROUBLES]}), clock)

    assert not any("…" in line for line in screen.look())


def test_what_only_colours_tell_apart_is_one_group_without_them(clock, events):
    screen = Screen(100, 30, NO_COLOR="1")
    play(screen, events(), clock)

    at("real · generated", screen.look())


def test_samples_are_drawn_beside_or_below(clock, events):
    wide, narrow = Screen(80, 24), Screen(60, 40)
    for screen in (wide, narrow):
        play(screen, events(), clock)

    title = at("samples at", wide.look())
    assert title.index("samples") > 46
    assert at("samples at", narrow.look()).startswith("╭─ samples at")


def test_a_legend_without_room_repeats_nothing(clock, events):
    screen = Screen(80, 24)
    play(screen, events("moons"), clock)
    at("real · code 0 = 0 · 1 ─", screen.look())


@pytest.mark.parametrize(
    ("kind", "legend"), [("moons", "real · code 0 = 0 · code 0 = 1"), ("bell", "data · generated · D(x), ½ dotted")]
)
def test_the_drawing_changes_with_the_samples_and_has_a_legend(clock, events, kind, legend):
    drawings = []
    for end in (25, 100):
        screen = Screen(100, 30)
        play(screen, events(kind, end=end), clock)
        lines = screen.look()
        at(legend, lines)
        drawings.append("".join(letter for line in lines for letter in line if 0x2800 < ord(letter) <= 0x28FF))

    assert min(map(len, drawings)) > 40
    assert drawings[0] != drawings[1]


def test_images_are_half_blocks_in_their_own_greys(clock, events):
    screen = Screen(100, 30)
    play(screen, events("images", end=25), clock)
    screen.look()

    cells = [cell for row in screen.emulator.buffer.values() for cell in row.values() if cell.data == "▀"]
    assert len({cell.fg for cell in cells}) > 20


def test_no_color_means_no_colours(clock, events):
    for kind in ("moons", "images"):
        screen = Screen(100, 30, NO_COLOR="1")
        play(screen, events(kind), clock)
        screen.look()
        assert {cell.fg for row in screen.emulator.buffer.values() for cell in row.values()} == {"default"}
        assert {cell.bg for row in screen.emulator.buffer.values() for cell in row.values()} == {"default"}


def test_a_resize_leaves_no_remains(clock, events):
    screen = Screen(120, 40)
    live = LiveView(screen.console, HEADING, clock)
    with live.callback() as handle:
        for event in events():
            if getattr(event, "iteration", 0) == 40:
                screen.look()
                screen.resize(80, 24)
            clock.now += 0.1
            handle(event)
    lines = screen.look()

    assert lines[0] == "InfoGAN finds the moons"
    at("samples at iteration", lines)
    at("InfoGAN", lines)


def test_messages_are_shown_at_the_next_event_and_after_the_end(clock, events):
    screen = Screen(100, 40)
    live = LiveView(screen.console, HEADING, clock)
    stream = events()
    with live.callback() as handle:
        handle(next(stream))
        live.notify("saving \x1b[2J; press Ctrl-C again to stop at once")
        assert not any("saving" in line for line in screen.look())
        handle(next(stream))
        at("saving  [2J; press Ctrl-C again to stop at once", screen.look())
        for event in stream:
            handle(event)
    live.notify("MLflow back after 00:16")

    lines = screen.look()
    assert [line for line in lines if line][-1] == "MLflow back after 00:16"


def test_a_run_that_has_stopped_shows_no_hint_how_to_stop(clock, events):
    screen = Screen(100, 40)
    live = LiveView(screen.console, HEADING, clock)
    first, *rest, last = events()
    with live.callback() as handle:
        handle(first)
        live.notify("warning: something else")
        live.notify(STOPPING)
        for event in rest:
            handle(event)
        at(STOPPING, screen.look())
        handle(last)

    lines = screen.look()
    at("warning: something else", lines)
    assert not any("press Ctrl-C" in line for line in lines)


def test_at_most_four_refreshes_a_second(clock, events):
    screen = Screen(100, 30)
    live = play(screen, events(end=1000, iterations=1000, every=500), clock, seconds=0.01)

    assert 30 <= live.refreshes <= 4 * 10 + 3


def test_slow_refreshes_are_less_frequent(clock, events):
    """Each refresh of 0.1 s may take 1.5 % of the time, so that 100 s see about fifteen."""
    screen = Screen(100, 30)
    live = LiveView(screen.console, HEADING, clock)
    frame = live.frame

    def slow_frame():
        clock.now += 0.1
        return frame()

    live.frame = slow_frame
    with live.callback() as handle:
        for event in events(end=1000, iterations=1000, every=500):
            clock.now += 0.1
            handle(event)

    assert 12 <= live.refreshes <= 20


def test_the_cursor_is_given_back_whatever_happens(clock, events):
    screen = Screen(100, 30)
    live = LiveView(screen.console, HEADING, clock)
    with pytest.raises(KeyboardInterrupt), live.callback() as handle:
        handle(next(events()))
        screen.look()
        assert screen.emulator.cursor.hidden
        raise KeyboardInterrupt
    screen.look()

    assert not screen.emulator.cursor.hidden
    assert screen.emulator.cursor.x == 0


def test_terms_and_scores_that_are_not_finite_are_shown_as_such(clock, events):
    stream = list(events(end=10, every=5))
    stream[-2:-2] = [Evaluated(10, {"wasserstein": float("nan"), "unheard-of": float("inf")}, 0.1)]
    screen = Screen(100, 40)
    play(screen, stream, clock)

    assert "inf" in at("unheard-of", lines := screen.look())
    assert "nan " in at("wasserstein  ", lines)


def test_the_meaning_of_a_metric_is_shown_to_its_last_word(clock, events):
    screen = Screen(120, 40)
    started, *others = events()
    meaning = "share of samples whose code stands for their class, the best matching of codes and classes"
    play(screen, [replace(started, value_info={"recovery": MetricInfo(meaning, "higher", 1.0)}), *others], clock)

    shown = " ".join(line[:66].strip() for line in screen.look())  # the samples stand to the right
    assert f"{meaning}; higher is better" in shown


def test_a_picture_without_a_field_or_finite_samples_is_no_reason_to_fail(clock, events):
    for kind in ("moons", "bell", "images"):
        stream = [
            SamplesDrawn(event.iteration, type(event.fake)(event.fake.values * float("nan"), None, event.fake.latent), None)
            if isinstance(event, SamplesDrawn)
            else event
            for event in events(kind)
        ]
        screen = Screen(100, 30)
        play(screen, stream, clock)
        at("samples at iteration 100", screen.look())


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"), ([2, 2, 2], "▅▅▅"), ([], ""), ([np.nan, 1.0, 0.0], "█▁")],
)
def test_sparklines(values, bars):
    assert sparkline(np.array(values, dtype=np.float64), 8) == bars


def test_one_wild_beginning_does_not_flatten_the_trend():
    values = np.concatenate([[1000.0], np.linspace(1, 0, 119)])

    assert len(set(sparkline(values, 12))) >= 6


def test_the_view_is_live_on_a_terminal_that_can_show_it(tmp_path):
    screen = Screen(100, 30)
    options = {"title": "t", "folder": tmp_path, "seed": 0}
    live = create_ui(screen.console, plain=False, **options)
    assert live.__class__ is LiveView

    for console in (Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})):
        assert create_ui(console, plain=False, **options).__class__ is not LiveView


PROGRAM = """
    import sys, time
    sys.path.insert(0, {folder!r})
    from event_streams import _events
    from rich.console import Console
    from pathlib import Path
    from ganforge.terminal.progress_ui import create_ui

    ui = create_ui(Console(stderr=True), plain=False, title="In a pty", folder=Path("runs/x"), seed=0)
    try:
        with ui.callback() as handle:
            for event in _events(end=5000, iterations=5000, every=100):
                handle(event)
                time.sleep(0.002)
    except KeyboardInterrupt:  # a traceback would be as long as the stack is where the signal strikes, and push the view out
        sys.exit("interrupted")
"""


@pytest.fixture
def in_terminal(tmp_path):
    """Starts the program above in a pseudo-terminal of 100 × 30; gives the process and the terminal's other end."""
    import fcntl
    import struct
    import termios

    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM).format(folder=str(Path(__file__).parents[1])))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(program)], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=os.environ | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    yield process, master
    process.kill()
    process.wait()
    os.close(master)


def read_until(master, stream, emulator, condition, seconds=90.0):
    import select

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux says so when the other end is closed
            return condition(emulator)
        stream.feed(data)
        if not data or condition(emulator):
            return condition(emulator)
    return False


@pytest.mark.slow
def test_ctrl_c_in_a_pseudo_terminal_leaves_a_clean_screen(in_terminal):
    process, master = in_terminal
    emulator = pyte.Screen(100, 30)
    stream = pyte.ByteStream(emulator)

    assert read_until(master, stream, emulator, lambda screen: any("samples at" in line for line in screen.display))
    assert emulator.display[0].startswith("In a pty")
    assert emulator.cursor.hidden

    process.send_signal(signal.SIGINT)
    assert read_until(master, stream, emulator, lambda screen: any("interrupted" in line for line in screen.display))

    assert not emulator.cursor.hidden
    assert any("samples at" in line for line in emulator.display)
    assert process.wait(timeout=60) != 0

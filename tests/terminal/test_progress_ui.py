from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ganforge.core.events import Finished, HealthChecked, RolledBack, Stepped
from ganforge.terminal.progress_ui import PlainLines, create_ui
from ganforge.terminal.run_state import RunHeading


@pytest.fixture
def lines(clock):
    return PlainLines(io.StringIO(), RunHeading("Two \x1b[31mmoons", Path("runs/moons/a-1234"), 7), clock)


def written(lines):
    return lines._file.getvalue().splitlines()


def play(lines, clock, events, seconds=1.0):
    with lines.callback() as handle:
        for event in events:
            clock.now += seconds if isinstance(event, Stepped) else 0
            handle(event)


def test_the_start_is_written_at_once(lines, events):
    with lines.callback() as handle:
        handle(next(events()))

        assert written(lines) == [
            "Two  [31mmoons",
            "run runs/moons/a-1234, seed 7, on cpu",
            "2-dimensional points, 2 classes; 34,561 parameters (generator 17,282, discriminator 17,279)",
            "100 iterations",
        ]


def test_a_progress_line_is_complete_by_itself(lines, clock, events):
    play(lines, clock, events(every=50))

    progress = [line for line in written(lines) if line.startswith("57/100")]
    assert progress == [
        (
            "57/100   57 %  1.0 it/s  00:43 left  discriminator 1.221 (equilibrium 1.386)  generator 0.929 (equilibrium 0.693)"
            "  wasserstein 0.01  modes/captured 4"
        )
    ]


def test_evaluations_have_their_lines(lines, clock, events):
    play(lines, clock, events(every=100, outcome="stopped"))

    assert "evaluation at 100: wasserstein 0.005 (ideal 0), modes/captured 8 (ideal 8) (0.2 s)" in written(lines)


def health_lines(lines):
    return [line for line in written(lines) if line.startswith("health")]


def test_health_has_a_line_when_it_changes_and_not_at_each_look(lines, clock, events, watched, finding):
    looks = {
        10: [],
        20: [finding(level="warn", since=20)],
        30: [finding(level="warn", since=20)],
        40: [finding(level="fail", since=20), finding("duplicates", "near-duplicates", "warn", since=40, key=None)],
        50: [finding(level="fail", since=20)],
        60: [],
        70: [],
    }
    play(lines, clock, watched(events(), looks))

    collapse = "mode collapse since iteration 20: samples near 12% of the data only"
    helps = "what usually helps: several samples judged at once"
    assert health_lines(lines) == [
        f"health at 20: warn: {collapse}; {helps} (dataset.params)",
        f"health at 40: fail: {collapse}; {helps} (dataset.params)",
        f"health at 40: warn: near-duplicates since iteration 40: samples near 12% of the data only; {helps}",
        "health at 50: near-duplicates is over for the check duplicates (it began at iteration 40)",
        "health at 60: mode collapse is over for the check diversity (it began at iteration 20)",
        "health at 60: healthy since iteration 60",
        "health: healthy since iteration 60",
    ]


def test_a_finding_is_written_once_and_what_the_losses_mean_at_the_end(lines, clock, events, watched, finding):
    play(lines, clock, watched(events(), {60: [finding()], 80: [finding()], 100: [finding()]}))

    *_, discriminator, generator = written(lines)
    assert sum("mode collapse" in line for line in written(lines)) == 1
    assert discriminator.startswith("discriminator total 1.367 (log 4 = 1.386 at equilibrium): cannot tell real from generated")
    assert generator.endswith("the discriminator is undecided about its samples")


def test_a_roll_back_is_written_and_progress_continues(lines, clock, events):
    earlier = [event for event in events(iterations=1000) if not isinstance(event, Finished)]
    again = [event for event in earlier if isinstance(event, Stepped) and 20 < event.iteration <= 90]
    play(lines, clock, [*earlier, RolledBack(20, 100), *again])

    found = written(lines)
    assert found.count("rolled back from iteration 100 to 20") == 1
    after = found[found.index("rolled back from iteration 100 to 20") + 1 :]
    assert any(line.startswith("82/1,000") for line in after), after
    assert not any("– it/s" in line for line in after)


def test_what_was_seen_before_a_roll_back_is_neither_gone_nor_known_after_it(lines, clock, finding):
    fail = finding(since=60)
    play(
        lines,
        clock,
        [HealthChecked(100, {}, (fail,)), RolledBack(50, 100), HealthChecked(80, {}, ()), HealthChecked(90, {}, (fail,))],
    )
    found = "\n".join(written(lines))
    assert "no longer" not in found
    assert found.count("fail: mode collapse since iteration 60") == 2


def test_there_are_about_twenty_progress_lines_and_never_two_within_two_seconds(lines, clock, events):
    play(lines, clock, events(every=1000, end=1000, iterations=1000), seconds=0.05)
    quick = [line for line in written(lines) if " it/s" in line]
    assert 15 <= len(quick) <= 20  # 50 s: each 5 % takes 2.5 s

    play(other := PlainLines(io.StringIO(), lines._heading, clock), clock, events(every=1000, end=1000, iterations=1000), 0.005)
    assert len([line for line in written(other) if " it/s" in line]) == 2  # 5 s in all


def test_a_slow_run_has_a_line_each_minute(lines, clock, events):
    play(lines, clock, events(every=1000, end=60, iterations=1_000_000), seconds=10)

    assert len([line for line in written(lines) if "s/it" in line]) == pytest.approx(10, abs=1)


def test_a_run_that_goes_on_says_from_where(lines, events):
    with lines.callback() as handle:
        handle(next(events(begin=60)))

    assert written(lines)[-1] == "from iteration 60 to 100"


def test_messages_come_at_the_next_event_and_at_once_outside(lines, events):
    stream = events()
    lines.notify("before")
    assert written(lines) == ["before"]

    with lines.callback() as handle:
        handle(next(stream))
        lines.notify("saving")
        assert "saving" not in written(lines)
        handle(next(stream))
        assert written(lines)[-1] == "saving"
        lines.notify("left over")

    lines.notify("after \x1b[0m")
    assert written(lines)[-2:] == ["left over", "after  [0m"]


def test_a_log_that_cannot_be_written_stops_nothing(clock, events):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    lines = PlainLines(Full(), RunHeading("", Path(), 0), clock)
    play(lines, clock, events())
    lines.notify("after")


@pytest.mark.parametrize("kind", ["moons", "bell", "images"])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_control_codes_even_on_a_terminal(events, kind, terminal, tmp_path):
    console = Console(file=io.StringIO(), force_terminal=terminal, color_system="truecolor" if terminal else None)
    ui = create_ui(console, plain=terminal, title="Moons", folder=tmp_path, seed=0)

    with ui.callback() as handle:
        for event in events(kind):
            handle(event)
            ui.notify("a message")

    text = console.file.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "evaluation at 100: " in text

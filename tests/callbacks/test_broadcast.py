from __future__ import annotations

from contextlib import contextmanager

import pytest

from ganforge.callbacks import broadcast
from ganforge.core.events import Evaluated, Finished

EVENTS = [Evaluated(1, {"w": 1.0}, 0.0), Evaluated(2, {"w": 0.5}, 0.0), Finished(2, "finished", 0.1)]


@contextmanager
def recorder(log, name="recorder", *, fail_at=None, fail_open=False, fail_close=False):
    if fail_open:
        raise OSError("no screen")

    def handle(event):
        if event.iteration == fail_at:
            raise ValueError("cannot draw")
        log.append((name, event.iteration))

    try:
        yield handle
    finally:
        log.append((name, "closed"))
        if fail_close:
            raise OSError("no screen any more")


def test_every_callback_gets_every_event_in_order_and_the_end_is_returned():
    log = []

    finished = broadcast(EVENTS[:1] + EVENTS[2:], [recorder(log, "a"), recorder(log, "b")])

    assert finished is EVENTS[2]
    assert log == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", "closed"), ("a", "closed")]


def test_essential_callbacks_are_first():
    log = []

    broadcast(EVENTS[:1], [recorder(log, "picture")], essential=[recorder(log, "journal")])

    assert log[:2] == [("journal", 1), ("picture", 1)]


def test_no_end_no_finished():
    assert broadcast(EVENTS[:1], []) is None


def test_a_failing_callback_is_closed_and_disabled_with_one_warning(caplog):
    log = []

    finished = broadcast(EVENTS, [recorder(log, "bad", fail_at=1), recorder(log, "good")])

    assert finished is EVENTS[2]
    assert log == [("bad", "closed"), ("good", 1), ("good", 2), ("good", 2), ("good", "closed")]
    assert caplog.messages == ["the callback 'recorder' failed and is disabled for the rest of the run: ValueError: cannot draw"]


@pytest.mark.parametrize("when", ["fail_open", "fail_close"])
def test_opening_and_closing_may_fail_too(when, caplog):
    log = []

    finished = broadcast(EVENTS, [recorder(log, "bad", **{when: True}), recorder(log, "good")])

    assert finished is EVENTS[2]
    assert [entry for entry in log if entry[0] == "good"] == [("good", 1), ("good", 2), ("good", 2), ("good", "closed")]
    assert len(caplog.messages) == 1
    assert "no screen" in caplog.messages[0]


def test_a_callback_that_fails_again_while_closing_is_reported_once(caplog):
    broadcast(EVENTS, [recorder([], fail_at=1, fail_close=True)])

    assert len(caplog.messages) == 1
    assert "cannot draw" in caplog.messages[0]


def test_an_essential_callback_ends_training_and_all_are_closed():
    log, closed = [], []

    def training():
        try:
            yield from EVENTS
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="cannot draw"):
        broadcast(training(), [recorder(log, "picture")], essential=[recorder(log, "checkpoint", fail_at=2)])

    assert closed == [True]
    assert log == [("checkpoint", 1), ("picture", 1), ("picture", "closed"), ("checkpoint", "closed")]


class Swallower:
    """Claims, as a context manager may, that every error is dealt with."""

    def __enter__(self):
        return [].append

    def __exit__(self, *_):
        return True


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_a_callback_that_may_fail_hides_no_error_of_training(error):
    log = []

    def training():
        yield EVENTS[0]
        raise error

    with pytest.raises(type(error)) as caught:
        broadcast(training(), [Swallower(), recorder(log)])

    assert caught.value is error
    assert log == [("recorder", 1), ("recorder", "closed")]

from __future__ import annotations

import warnings
from contextlib import contextmanager

import pytest

from ganforge.callbacks.dispatch import broadcast
from ganforge.core.events import Evaluated, Finished

EVENTS = [Evaluated(1, {"w": 1.0}, 0.0), Evaluated(2, {"w": 0.5}, 0.0), Finished(2, "finished", 0.1)]


@contextmanager
def scribe(log, name="scribe", *, fail_at=None, fail_open=False, fail_close=False):
    if fail_open:
        raise OSError("no screen")

    def tell(event):
        if event.iteration == fail_at:
            raise ValueError("cannot draw")
        log.append((name, event.iteration))

    try:
        yield tell
    finally:
        log.append((name, "closed"))
        if fail_close:
            raise OSError("no screen any more")


def collected():
    said = []
    return said, said.append


def test_all_hear_all_in_order_and_the_end_is_returned():
    log = []

    finished = broadcast(EVENTS[:1] + EVENTS[2:], [scribe(log, "a"), scribe(log, "b")])

    assert finished is EVENTS[2]
    assert log == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", "closed"), ("a", "closed")]


def test_the_essential_hear_first():
    log = []

    broadcast(EVENTS[:1], [scribe(log, "picture")], essential=[scribe(log, "journal")])

    assert log[:2] == [("journal", 1), ("picture", 1)]


def test_no_end_no_finished():
    assert broadcast(EVENTS[:1], []) is None


def test_a_failing_observer_is_closed_and_left_out_with_one_warning():
    log, (said, warn) = [], collected()

    finished = broadcast(EVENTS, [scribe(log, "bad", fail_at=1), scribe(log, "good")], warn=warn)

    assert finished is EVENTS[2]
    assert log == [("bad", "closed"), ("good", 1), ("good", 2), ("good", 2), ("good", "closed")]
    assert said == ["the observer 'scribe' failed and is left out from here on: ValueError: cannot draw"]


@pytest.mark.parametrize("when", ["fail_open", "fail_close"])
def test_opening_and_closing_may_fail_too(when):
    log, (said, warn) = [], collected()

    finished = broadcast(EVENTS, [scribe(log, "bad", **{when: True}), scribe(log, "good")], warn=warn)

    assert finished is EVENTS[2]
    assert [entry for entry in log if entry[0] == "good"] == [("good", 1), ("good", 2), ("good", 2), ("good", "closed")]
    assert len(said) == 1
    assert "no screen" in said[0]


def test_an_observer_that_fails_again_while_closing_is_reported_once():
    said, warn = collected()

    broadcast(EVENTS, [scribe([], fail_at=1, fail_close=True)], warn=warn)

    assert len(said) == 1
    assert "cannot draw" in said[0]


def test_without_another_place_the_warning_is_a_warning():
    with pytest.warns(RuntimeWarning, match="cannot draw"):
        broadcast(EVENTS, [scribe([], fail_at=2)])


def test_an_essential_observer_ends_training_and_all_are_closed():
    log, closed = [], []

    def training():
        try:
            yield from EVENTS
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="cannot draw"):
        broadcast(training(), [scribe(log, "picture")], essential=[scribe(log, "checkpoint", fail_at=2)])

    assert closed == [True]
    assert log == [("checkpoint", 1), ("picture", 1), ("picture", "closed"), ("checkpoint", "closed")]


class Swallower:
    """Claims, as a context manager may, that every error is dealt with."""

    def __enter__(self):
        return [].append

    def __exit__(self, *_):
        return True


@pytest.mark.parametrize("place", ["observers", "essential"])
@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_no_observer_hides_an_error_of_training(place, error):
    log = []

    def training():
        yield EVENTS[0]
        raise error

    with warnings.catch_warnings(action="error"), pytest.raises(type(error)) as caught:
        broadcast(training(), **{place: [Swallower(), scribe(log)]})

    assert caught.value is error
    assert log == [("scribe", 1), ("scribe", "closed")]

"""Callbacks receive every training event: journal, checkpoints, pictures, progress. Nothing flows back to the training.

A callback is a context manager that returns an event handler, best written as one ``@contextmanager`` function: open,
``yield handler``, close. :func:`broadcast` sends the events to all callbacks and closes them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import TracebackType

from ganforge.core.events import Event, Finished

Handler = Callable[[Event], None]
"""Handles one event."""

Callback = AbstractContextManager[Handler]
"""Opens and closes a handler."""

_log = logging.getLogger(__name__)


def broadcast(
    events: Iterable[Event], callbacks: Iterable[Callback] = (), *, essential: Iterable[Callback] = ()
) -> Finished | None:
    """Send every event to every callback, the essential ones first, each in the order given.

    A callback that raises is closed and skipped from then on, with one logged warning: a failed picture must not end training. An
    error of an essential callback (journal, checkpoints) ends training. A generator of events is closed. Without a last event
    ``Finished``, ``None`` is returned.
    """
    finished = None
    with ExitStack() as stack:
        handlers: list[Handler] = [stack.enter_context(callback) for callback in essential]
        handlers += [stack.enter_context(_optional(callback)) for callback in callbacks]
        if isinstance(events, Generator):
            stack.callback(events.close)

        for event in events:
            for handle in handlers:
                handle(event)
            if isinstance(event, Finished):
                finished = event
    return finished


@contextmanager
def _optional(callback: Callback) -> Iterator[Handler]:
    """The callback until it fails; then it is closed and does nothing any more."""
    handle: Handler | None = None

    def handle_if_open(event: Event) -> None:
        nonlocal handle
        if handle is None:
            return
        try:
            handle(event)
        except Exception as error:  # noqa: BLE001 - the boundary below
            handle = None
            with suppress(Exception):  # a consequence of ``error``, which is reported
                callback.__exit__(type(error), error, error.__traceback__)
            _report(callback, error)

    def close(kind: type[BaseException] | None, cause: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if handle is not None:
                callback.__exit__(kind, cause, trace)
        except Exception as failure:  # noqa: BLE001 - the boundary below
            if failure is not cause:
                _report(callback, failure)

    # Callbacks draw and print with libraries of all kinds; none of their errors is worth a training run.
    try:
        handle = callback.__enter__()
    except Exception as error:  # noqa: BLE001 - the boundary above
        _report(callback, error)
    with ExitStack() as stack:
        stack.push(close)
        yield handle_if_open


def _report(callback: Callback, error: Exception) -> None:
    function = getattr(callback, "gen", None)  # the generator behind a @contextmanager has the function's name
    name = getattr(function, "__name__", type(callback).__name__)
    failure = f"{type(error).__name__}: {error}"
    _log.warning("the callback '%s' failed and is disabled for the rest of the run: %s", name, failure)

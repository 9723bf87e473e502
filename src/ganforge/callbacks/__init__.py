"""Callbacks receive every training event: journal, checkpoints, pictures, progress. Nothing flows back to the training.

A callback is a context manager that returns an event handler, best written as one ``@contextmanager`` function: open,
``yield handler``, close. :func:`broadcast` sends the events to all callbacks and closes them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType
from typing import Self

from ganforge.core.events import Event, Finished

Handler = Callable[[Event], None]
"""Handles one event."""

Callback = AbstractContextManager[Handler]
"""Opens and closes a handler."""

_log = logging.getLogger(__name__)


def broadcast(
    events: Iterable[Event],
    callbacks: Iterable[Callback] = (),
    *,
    essential: Iterable[Callback] = (),
) -> Finished | None:
    """Send every event to every callback, the essential ones first, each in the order given.

    A callback that raises is closed and skipped from then on, with one logged warning: a failed picture must not end training. An
    error of an essential callback (journal, checkpoints) ends training.

    Returns:
        The last event, or ``None`` if the events ended without a ``Finished``. A generator of events is closed.
    """
    finished = None
    with ExitStack() as stack:
        handlers: list[Handler] = [stack.enter_context(callback) for callback in essential]
        handlers += [stack.enter_context(_Optional(callback)) for callback in callbacks]
        if isinstance(events, Generator):
            stack.callback(events.close)

        for event in events:
            for handle in handlers:
                handle(event)
            if isinstance(event, Finished):
                finished = event
    return finished


class _Optional:
    """A callback that is dropped when it fails."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._handle: Handler | None = None

    def __enter__(self) -> Self:
        # Callbacks draw and print with libraries of all kinds; none of their errors is worth a training run.
        try:
            self._handle = self._callback.__enter__()
        except Exception as error:  # noqa: BLE001 - the boundary above
            self._report(error)
        return self

    def __call__(self, event: Event) -> None:
        if self._handle is None:
            return
        try:
            self._handle(event)
        except Exception as error:  # noqa: BLE001 - the boundary above
            self._handle = None
            with suppress(Exception):  # a consequence of ``error``, which is reported
                self._callback.__exit__(type(error), error, error.__traceback__)
            self._report(error)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._handle is None:
            return
        self._handle = None
        try:
            self._callback.__exit__(kind, error, trace)
        except Exception as failure:  # noqa: BLE001 - the boundary above
            if failure is not error:
                self._report(failure)

    def _report(self, error: Exception) -> None:
        function = getattr(self._callback, "gen", None)  # the generator behind a @contextmanager has the function's name
        name = getattr(function, "__name__", type(self._callback).__name__)
        failure = f"{type(error).__name__}: {error}"
        _log.warning("the callback '%s' failed and is disabled for the rest of the run: %s", name, failure)

"""Tell observers about events, and close them all, whatever happens."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType
from typing import Self

from ganforge.core.events import Event, Finished

Tell = Callable[[Event], None]
"""What an observer offers while it is open."""

Observer = AbstractContextManager[Tell]
"""Listens to events; best written as one ``@contextmanager`` function: open, ``yield tell``, close."""

Warn = Callable[[str], None]
"""Where a sentence for the user goes."""


def warn_plainly(message: str) -> None:
    """A Python warning, for those who have no better place."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def broadcast(
    events: Iterable[Event],
    observers: Iterable[Observer] = (),
    *,
    essential: Iterable[Observer] = (),
    warn: Warn = warn_plainly,
) -> Finished | None:
    """Tell every observer about every event, the essential ones first, each in the order given.

    Training is dearer than its pictures: an observer that raises is closed and told nothing more, with one warning. An error of an
    essential observer (journal, checkpoints) ends training. No observer can hide an error of the training itself.

    Args:
        events: what happens; a generator is closed at the end.
        observers: may fail.
        essential: may not; they decide themselves what they survive.
        warn: where the warning goes.

    Returns:
        The last event if training came to its end, ``None`` if the events ended without one.
    """
    finished = None
    with ExitStack() as stack:
        listeners = [stack.enter_context(_Visible(observer)) for observer in essential]
        listeners += [stack.enter_context(_Dispensable(observer, warn)) for observer in observers]
        if isinstance(events, Generator):
            stack.callback(events.close)

        for event in events:
            for tell in listeners:
                tell(event)
            if isinstance(event, Finished):
                finished = event
    return finished


class _Visible:
    """An observer whose errors go through, and which hides none."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __enter__(self) -> Tell:
        return self._observer.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._observer.__exit__(kind, error, trace)


class _Dispensable:
    """An observer that is dropped when it fails."""

    def __init__(self, observer: Observer, warn: Warn) -> None:
        self._observer = observer
        self._warn = warn
        self._tell: Tell | None = None

    def __enter__(self) -> Self:
        # A true boundary: an observer draws and prints with libraries of all kinds, none of which is worth a training run.
        try:
            self._tell = self._observer.__enter__()
        except Exception as error:  # noqa: BLE001 - the boundary above
            self._report(error)
        return self

    def __call__(self, event: Event) -> None:
        if self._tell is None:
            return
        try:
            self._tell(event)
        except Exception as error:  # noqa: BLE001 - the boundary above
            self._tell = None
            self._close(error)
            self._report(error)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._tell is None:
            return
        self._tell = None
        try:
            self._observer.__exit__(kind, error, trace)
        except Exception as failure:  # noqa: BLE001 - the boundary above
            if failure is not error:
                self._report(failure)

    def _close(self, error: Exception) -> None:
        """Let it tidy up; what fails then is a consequence of ``error``, which is reported."""
        with suppress(Exception):
            self._observer.__exit__(type(error), error, error.__traceback__)

    def _report(self, error: Exception) -> None:
        made_by = getattr(self._observer, "gen", None)  # the generator behind a @contextmanager, which has the function's name
        name = getattr(made_by, "__name__", type(self._observer).__name__)
        self._warn(f"the observer '{name}' failed and is left out from here on: {type(error).__name__}: {error}")

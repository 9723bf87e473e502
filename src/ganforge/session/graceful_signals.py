"""Ctrl-C and SIGTERM end a run after its current iteration, with its state saved; a second Ctrl-C ends it at once."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger(__name__)


class StopRequest:
    """Whether a signal has asked the run to stop.

    Attributes:
        signal: the first signal received, or ``None``.
        forward: called with each signal received, as to pass it on to child processes.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.forward: Callable[[signal.Signals], None] = lambda _: None

    def requested(self) -> bool:
        """Whether to stop after this iteration."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The shell's convention: 128 plus the signal's number; 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + int(self.signal or 0)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one requests a stop, a Ctrl-C after it interrupts at once."""
        received = signal.Signals(number)
        if self.signal is not None and received is signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or received
        self.forward(received)
        _log.info("finishing this iteration and saving … press Ctrl-C again to stop at once")


@contextmanager
def graceful_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request to stop; earlier handlers are restored. Has no effect outside the main thread."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

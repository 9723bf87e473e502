"""Ctrl-C and SIGTERM ask politely: the iteration is finished and saved. A second Ctrl-C insists."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopping:
    """Whether somebody asked the run to stop, and how.

    Attributes:
        signal: the first signal received, or ``None``.
        notify: shows a message; set once there is a view to show it in.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.notify: Callable[[str], None] = lambda _: None

    def requested(self) -> bool:
        """Whether to stop after this iteration."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The shell's convention: 128 plus the signal's number; 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + int(self.signal or 0)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler: the first signal asks, a Ctrl-C after it insists."""
        received = signal.Signals(number)
        if self.signal is not None and received is signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or received
        self.notify("finishing this iteration and saving … press Ctrl-C again to stop at once")


@contextmanager
def polite_signals() -> Iterator[Stopping]:
    """Turn SIGINT and SIGTERM into a request; the handlers found are restored. Only a process's main thread can receive signals."""
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.signal(number, stopping.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The logging handler of the terminal: it shows ganforge's log records to the user while a command or a run lasts.

Code below the command line reports through ``logging.getLogger(__name__)``: warnings for what the user should know, info
records for notes. Debug records are not shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganforge.core.redaction import mask_text

Show = Callable[[str], None]


class MessageHandler(logging.Handler):
    """Shows the records of the ``ganforge`` loggers, each as one message; the live view replaces ``note``."""

    def __init__(self, note: Show, warning: Show | None) -> None:
        super().__init__(logging.INFO)
        self._notes: set[str] = set()
        self.note, self.warning = note, warning or (lambda text: self.note(f"warning: {text}"))

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record without secrets; it may come from a signal handler or another thread."""
        text = mask_text(record.getMessage())
        if record.levelno >= logging.WARNING:
            self.warning(text)
        elif text not in self._notes:  # a data set that metrics build once more repeats its notes
            self._notes.add(text)
            self.note(text)


@contextmanager
def show_messages(note: Show, warning: Show | None = None) -> Iterator[MessageHandler]:
    """Show ganforge's log records while the block runs, in place of the handler of an outer block."""
    logger, handler = logging.getLogger("ganforge"), MessageHandler(note, warning)
    handlers, level = logger.handlers, logger.level
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if level == logging.NOTSET else min(level, logging.INFO))
    try:
        yield handler
    finally:
        logger.handlers = handlers
        logger.setLevel(level)

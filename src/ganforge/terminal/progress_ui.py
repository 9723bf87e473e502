"""What a person sees of a training run while it goes: the live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core.events import Event

if TYPE_CHECKING:
    from rich.console import Console

Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Heading:
    """What is known of a run before it starts.

    Attributes:
        title: the recipe's title.
        folder: the run's folder.
        seed: the run's seed.
    """

    title: str
    folder: Path
    seed: int


@dataclass(frozen=True, slots=True)
class View:
    """A run's face.

    Attributes:
        observer: to be told the events; a context manager that gives ``tell``.
        notify: shows a message, such as ``"saving; press Ctrl-C again to stop at once"``. It may be called from a signal handler or
            another thread: while the run goes, the message appears at the next event; before and after it, at once.
    """

    observer: AbstractContextManager[Tell]
    notify: Callable[[str], None]


def view(
    console: Console, *, plain: bool, title: str, folder: Path, seed: int, clock: Callable[[], float] = time.monotonic
) -> View:
    """The live view where ``console`` is a terminal that can show it and ``plain`` is false; else plain lines.

    Args:
        console: where to write; a rich console on stderr, so that stdout stays free for results.
        plain: plain lines even on a terminal.
        title: the recipe's title.
        folder: the run's folder.
        seed: the run's seed.
        clock: seconds, monotonic.
    """
    heading = Heading(title, folder, seed)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        from ganforge.terminal.plain_lines import PlainLines

        lines = PlainLines(console.file, heading, clock)
        return View(lines.observer(), lines.notify)

    from ganforge.terminal.live_view import LiveView

    live = LiveView(console, heading, clock)
    return View(live.observer(), live.notify)

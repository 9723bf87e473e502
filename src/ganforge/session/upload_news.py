"""What the user hears of the delivery to MLflow: one line when it breaks, one when it is back, facts at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ganforge.callbacks.dispatch import Tell
from ganforge.core.events import Event
from ganforge.tracking.supervisor import Summary, Supervisor
from ganforge.tracking.upload_state import ShipperState

_PAUSE = 1.0
"""Seconds between two looks at the shipper's state, which is a small file."""


@contextmanager
def delivery_news(
    supervisor: Supervisor, notify: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Iterator[Tell]:
    """An observer that looks at the delivery now and then, and says when it breaks and when it is back."""
    looked, phase = clock(), "starting"

    def tell(_event: Event) -> None:
        nonlocal looked, phase
        if clock() - looked < _PAUSE:
            return
        looked = clock()
        state = supervisor.state()
        if state.phase != phase and (text := _news(state, phase)):
            notify(text)
        phase = state.phase

    yield tell


def _news(state: ShipperState, before: str) -> str | None:
    match state.phase:
        case "unreachable":
            return f"MLflow is unreachable ({state.message}); records are kept in the run folder"
        case "gone":
            return f"MLflow gets nothing more: {state.message}; records are kept in the run folder"
        case "delivering" if before == "unreachable":
            minutes, seconds = divmod(int(state.outage or 0), 60)
            return f"MLflow is back after {minutes:02}:{seconds:02}; {state.points} points delivered so far"
    return None


def mlflow_facts(summary: Summary, *, wanted: bool = True) -> dict[str, Any]:
    """What ``--json`` says of MLflow; ``wanted`` is whether the recipe has it delivered at all."""
    return {
        "wanted": wanted,
        "tracking_uri": summary.store.shown,
        "run_id": summary.run_id,
        "experiment_id": summary.experiment_id,
        "link": summary.link,
        "points": summary.points,
        "images": summary.images,
        "undelivered": bool(summary.pending),
        "message": summary.message,
    }

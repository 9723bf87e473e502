"""A run measured again, recorded in its folder, and delivered to MLflow where the run itself was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ganforge.core.errors import GanforgeError
from ganforge.runs.evaluation_records import record, recorded
from ganforge.session.upload_news import mlflow_facts
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.resend import sync

if TYPE_CHECKING:
    from ganforge.runs.evaluation import Evaluated, Wish


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that was measured again.

    Attributes:
        evaluated: what came of it.
        mlflow: what MLflow has of it, as in a run's result; ``None`` where the run was never delivered.
        undelivered: why MLflow did not get it, or ``None``.
    """

    evaluated: Evaluated
    mlflow: dict[str, Any] | None = None
    undelivered: str | None = None


def evaluate_and_record(
    folder: RunFolder, wish: Wish, *, tracking_uri: str | None = None, told: Callable[[str], None] = lambda _: None
) -> Recorded:
    """Measure a run again and write down what came of it.

    Args:
        folder: the run's folder.
        wish: what is asked.
        tracking_uri: where to deliver; where the run was delivered unless given.
        told: hears what is measured, before it is.

    Raises:
        RunFolderError: the run goes on, or has no intact checkpoint.
        StorageError: what was measured before cannot be read.
        GanforgeError: it cannot be measured at all.
    """
    from ganforge.runs.evaluation import evaluate

    with folder.locked():
        recorded(folder)  # a file that cannot be continued is told before minutes are spent on measuring
        evaluated = evaluate(folder, wish, told)
        if not evaluated.values:
            return Recorded(evaluated)
        record(evaluated)
    if Ack.load(folder.acknowledged).run_id is None:
        return Recorded(evaluated)
    try:
        summary = sync(folder, tracking_uri)
    except GanforgeError as error:  # the values are safe in the folder: that MLflow lacks them is a remark
        return Recorded(evaluated, undelivered=str(error))
    return Recorded(evaluated, mlflow_facts(summary), summary.message or "not delivered yet" if summary.pending else None)

"""What the delivery of a run needs from the place that it delivers to, and the three ways in which that place can fail."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask_text
from ganforge.tracking.metric_buffer import Point
from ganforge.tracking.run_metadata import StartRecord

_T = TypeVar("_T")

Refusal = tuple[str, str]
"""What was refused, and why."""

_PERMANENT_CODES = {
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "RESOURCE_DOES_NOT_EXIST",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "RESOURCE_ALREADY_EXISTS",
    "NOT_IMPLEMENTED",
}
"""MLflow's error codes for requests that will never succeed. Missing permissions are not among them: someone may grant them."""

_PERMANENT_STATUS = {400, 404, 413, 415, 422}
_PERMANENT_ERRNO = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}


class UnreachableError(Exception):
    """The store cannot accept anything now: retry later."""


class RefusedError(Exception):
    """The store will never accept this record: a retry is useless."""


class RunDeletedError(Exception):
    """The user deleted the run in the store, so there is nowhere to deliver to."""


class Sink(Protocol):
    """The place that a journal is delivered to.

    Every method may be called again after a crash and then changes nothing. Every method may raise :class:`UnreachableError`,
    :class:`RefusedError` or :class:`RunDeletedError`.
    """

    def open_run(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        """Find or create the run and return ``(experiment id, run id)``. ``run_id`` is the acknowledged one."""

    def describe_run(self, start: StartRecord, folder: Path) -> list[Refusal]:
        """Send params, tags, data set and first artifacts, and return what was refused."""

    def log_points(self, points: Sequence[Point]) -> None:
        """Send metrics, all or none."""

    def log_image(self, path: Path, key: str, iteration: int, ms: int) -> None:
        """Send a picture unless it is there."""

    def log_file(self, path: Path, folder: str) -> None:
        """Send a file, without secrets if it is text."""

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""

    def log_model(self, folder: Path, record: dict[str, Any]) -> None:
        """Send the trained generator unless it is there."""

    def set_running(self) -> None:
        """Mark the run as running again."""

    def set_ended(self, status: str, ms: int) -> None:
        """Set the final status: FINISHED, FAILED or KILLED."""


def isolate_refused(items: Sequence[_T], send: Callable[[Sequence[_T]], None]) -> list[tuple[_T, str]]:
    """Send items together; if the store refuses them, halve until each refused item is alone. Returns those, with reasons.

    Raises:
        UnreachableError, RunDeletedError: from ``send``.
    """
    try:
        send(items)
    except RefusedError as refusal:
        if len(items) == 1:
            return [(items[0], str(refusal))]
        middle = len(items) // 2
        return isolate_refused(items[:middle], send) + isolate_refused(items[middle:], send)
    return []


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn every error from MLflow, its store or the network into one of the errors of this module.

    Raises:
        UnreachableError, RefusedError, RunDeletedError: see their docstrings.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (UnreachableError, RefusedError, RunDeletedError):
        raise
    except MlflowException as error:
        raise _from_mlflow(error) from error
    except (OSError, StorageError) as error:  # a full disk; and the errors of requests, which are OSErrors too
        raise _from_system(error) from error
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise RefusedError(mask_text(f"{type(error).__name__}: {error}")) from error
    except Exception as error:
        # Database drivers and cloud storage each have their own errors. None of them may reach the training.
        raise UnreachableError(mask_text(f"{type(error).__name__}: {error}")) from error


def _from_mlflow(error: Exception) -> Exception:
    message = mask_text(str(error))
    if "database schema" in message or "Can't locate revision" in message:
        return UnreachableError(
            f"{message} (another version of MLflow made the store: back it up, then run `mlflow db upgrade URI`)"
        )
    return RefusedError(message) if getattr(error, "error_code", "") in _PERMANENT_CODES else UnreachableError(message)


def _from_system(error: Exception) -> Exception:
    message = mask_text(f"{type(error).__name__}: {error}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    permanent = status in _PERMANENT_STATUS or getattr(error, "errno", None) in _PERMANENT_ERRNO
    return RefusedError(message) if permanent else UnreachableError(message)

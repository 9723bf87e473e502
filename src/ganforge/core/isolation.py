"""Isolation of foreign code, such as plugins and data readers, which may raise anything and print anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from ganforge.core.errors import GanforgeError


class ForeignExitError(Exception):
    """Foreign code raised a ``BaseException`` that is not an ``Exception``, for example by calling ``sys.exit``."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(describe_error(cause))


@contextmanager
def isolated() -> Iterator[None]:
    """Run foreign code that can neither exit the program nor write to stdout, where ``--json`` promises one object.

    Ordinary exceptions and Ctrl-C pass unchanged.

    Raises:
        ForeignExitError: for any other ``BaseException``.
    """
    with redirect_stdout(sys.stderr):
        try:
            yield
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise ForeignExitError(error) from error


def describe_error(error: BaseException, folder: Path | None = None) -> str:
    """An error in one line: its type, the first line of its text, and the innermost file and line in ``folder``."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    try:
        text = str(error).strip().partition("\n")[0]
    except Exception:  # noqa: BLE001 - the text of a foreign error is foreign code, too
        text = ""
    kind = type(error).__name__
    message = text if isinstance(error, GanforgeError | ForeignExitError) else f"{kind}: {text}" if text else kind
    place = None if folder is None or isinstance(error, GanforgeError | SyntaxError) else _place(error, folder)
    return f"{message} ({place})" if place else message


def _place(error: BaseException, folder: Path) -> str | None:
    place = None
    trace = error.__traceback__
    if isinstance(error, ForeignExitError) and error.__cause__ is not None:
        trace = error.__cause__.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place

"""The boundary to strangers' code, which may raise anything and print anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from ganforge.core.errors import GanforgeError


class ForeignExit(Exception):  # noqa: N818 - what it means: somebody else's way out of the program
    """A stranger's code raised what is no :class:`Exception`: ``sys.exit``, ``GeneratorExit``, another library's own."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(describe_error(cause))


@contextmanager
def isolated() -> Iterator[None]:
    """Run a stranger's code: it can neither end the program nor write to stdout, where ``--json`` promises one object.

    Ctrl-C stays what it is.

    Raises:
        Escape: for what is no :class:`Exception` and no Ctrl-C.
    """
    with redirect_stdout(sys.stderr):
        try:
            yield
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise ForeignExit(error) from error


def describe_error(error: BaseException, folder: Path | None = None) -> str:
    """An error in one line: type, first line of its text, and the place in ``folder`` where it was raised, innermost."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    try:
        text = str(error).strip().partition("\n")[0]
    except Exception:  # noqa: BLE001 - even the text of a stranger's error is a stranger's code
        text = ""
    kind = type(error).__name__
    told = text if isinstance(error, GanforgeError | ForeignExit) else f"{kind}: {text}" if text else kind
    place = None if folder is None or isinstance(error, GanforgeError | SyntaxError) else _place(error, folder)
    return f"{told} ({place})" if place else told


def _place(error: BaseException, folder: Path) -> str | None:
    place = None
    trace = error.__traceback__
    if isinstance(error, ForeignExit) and error.__cause__ is not None:
        trace = error.__cause__.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(folder):
            place = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place

"""Errors that the user can fix, and isolation of foreign code, such as plugins and data readers, which may raise anything.

Each error of ganforge says what is wrong, where, and what to do.

::

    GanforgeError                  exit code
    ├── UsageError                 2   invalid command line, unknown run or component
    │   └── RecipeError            2   one or more problems in a recipe
    ├── IncompatiblePartsError     2   components that do not fit each other
    ├── DataError                  2   a data set that cannot be read or used
    │   └── DataMissingError       2   a data set that is not on this computer
    ├── PluginError                3   a required plugin failed
    │   └── PartError              3   a built part of a run failed, or returned something wrong
    ├── TrainingError              1   training cannot continue
    ├── RunFolderError             4   a run folder is in use or has no usable checkpoint
    └── StorageError               5   a file cannot be read or written

Any other exception is a bug in ganforge or a plugin and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb
from typing import ClassVar


class GanforgeError(Exception):
    """Base class of all errors that the user can fix: ``message`` is what is wrong and where, ``remedy`` what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class UsageError(GanforgeError):
    """The command line is invalid or names something that does not exist."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a recipe.

    ``key`` is dotted, such as ``loss[1].use``, or "" for the whole file; ``line`` counts from 1; ``--set`` has no file.
    """

    key: str
    message: str
    file: Path | None = None
    line: int | None = None
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else str(self.file or "")
        head = ": ".join(part for part in (where, self.key, self.message) if part)
        return f"{head}; {self.hint}" if self.hint else head


class RecipeError(UsageError):
    """A recipe with one or more problems, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class IncompatiblePartsError(GanforgeError):
    """Components do not fit each other, such as a conditional network and unlabelled data."""

    exit_code = 2


class DataError(GanforgeError):
    """A data set is missing, damaged or has a wrong form."""

    exit_code = 2


class DataMissingError(DataError):
    """A data set must be prepared first; checks that need it are skipped."""


class PluginError(GanforgeError):
    """A required plugin could not be loaded, or its component could not be built."""

    exit_code = 3


class PartError(PluginError):
    """A part of a run, such as its generator, raised an error or returned what its kind must not.

    ``key`` is its table in the recipe, such as ``loss[1]``, and ``fault`` the message without it.
    """

    def __init__(self, key: str, fault: str, *, remedy: str | None = None) -> None:
        super().__init__(f"{key} {fault}", remedy=remedy)
        self.key, self.fault = key, fault


class TrainingError(GanforgeError):
    """Training cannot continue."""


class RunFolderError(GanforgeError):
    """The run folder is in use by another process or has no usable checkpoint."""

    exit_code = 4


class StorageError(GanforgeError):
    """A file cannot be read or written: full disk, missing permissions, damaged file."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """``"did you mean 'adam'?"`` for the most similar known name, or ``None`` if none is similar or the name is very long.

    Case, and whether words are joined by ``_`` or ``-``, make no difference.
    """
    plain = {_plain(one): one for one in known}
    near = get_close_matches(_plain(name), list(plain), n=1, cutoff=0.6) if len(name) <= 100 else ()
    return f"did you mean '{plain[near[0]]}'?" if near else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")


def unknown_name(message: str, name: str, known: Iterable[str], listed: str) -> UsageError:
    """The error for a name that is not among the known ones: its remedy suggests the most similar one and lists all."""
    hint = did_you_mean(name, known)
    return UsageError(message, remedy=f"{hint} {listed}" if hint else listed)


class ForeignExitError(Exception):
    """Foreign code raised a ``BaseException`` that is not an ``Exception``, for example by calling ``sys.exit``."""


@contextmanager
def isolated() -> Iterator[None]:
    """Run foreign code that can neither exit the program nor write to stdout, where ``--json`` promises one object.

    Ordinary exceptions and Ctrl-C pass unchanged; any other ``BaseException`` becomes a :class:`ForeignExitError`.
    """
    with redirect_stdout(sys.stderr):
        try:
            yield
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise ForeignExitError(describe_error(error)) from error


@contextmanager
def part_errors(key: str) -> Iterator[None]:
    """Raise whatever a part raises as a :class:`PartError`, except Ctrl-C and a lack of memory. It may print."""
    try:
        yield
    except (PartError, KeyboardInterrupt, MemoryError):
        raise
    except GanforgeError as error:
        raise PartError(key, error.message, remedy=error.remedy) from error
    except BaseException as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's own, which this module does not import
            raise
        raise PartError(key, f"fails: {describe_error(error)}") from error


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
    origin = error.__cause__ if isinstance(error, ForeignExitError) and error.__cause__ else error
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(origin.__traceback__)]
    places = [f"{file.name}:{line}" for file, line in frames if file.is_relative_to(folder)]
    return places[-1] if places else None

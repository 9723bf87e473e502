"""The errors that are the user's to mend; each says what is wrong, where, and what to do.

::

    GanforgeError             exit code
    ├── UsageError            2   a wrong command line, an unknown run or component
    │   └── RecipeError       2   one or more problems in a recipe, all at once
    ├── IncompatiblePartsError          2   parts that do not fit each other
    ├── DataError             2   a data set that cannot be read or used
    │   └── DataMissingError       2   a data set that is not on this computer
    ├── PluginError           3   a plugin that is needed failed
    ├── TrainingError         1   training cannot go on
    │   └── DivergedError          1   a loss or weight is no longer finite
    ├── RunFolderError        4   a run folder in use, or without a usable checkpoint
    └── StorageError          5   the disk or folder refused

Anything else that escapes is a bug in ganforge or a plugin and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar


class GanforgeError(Exception):
    """Base of all errors that a user can mend.

    Attributes:
        message: what is wrong, and where.
        remedy: what to do about it, or ``None``.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class UsageError(GanforgeError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a recipe.

    Attributes:
        key: dotted path of the key, such as ``generator.params.hidden`` or ``loss[1].use``; "" for the whole file.
        message: what is wrong with it.
        file: the file it stands in, or ``None`` when it came from ``--set``.
        line: line in that file, from 1, or ``None``.
        hint: a suggestion, or ``None``.
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
    """A recipe with one or more problems.

    Attributes:
        problems: every problem found, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class IncompatiblePartsError(GanforgeError):
    """Two parts that do not fit each other, such as a conditional network on unlabelled data."""

    exit_code = 2


class DataError(GanforgeError):
    """A data set that is missing, broken or of a wrong form."""

    exit_code = 2


class DataMissingError(DataError):
    """A data set that is not on this computer and would first have to be prepared; checks that need it are skipped."""


class PluginError(GanforgeError):
    """A plugin that the command needs could not be loaded, or its component could not be built."""

    exit_code = 3


class TrainingError(GanforgeError):
    """Training cannot go on."""


class DivergedError(TrainingError):
    """A loss term or a weight is no longer finite."""


class RunFolderError(GanforgeError):
    """The run folder is in use by another process, or holds no usable checkpoint."""

    exit_code = 4


class StorageError(GanforgeError):
    """A file could not be written or read: full disk, missing rights, damaged file."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """``"did you mean 'adam'?"`` for the nearest known name, or ``None`` when nothing is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None

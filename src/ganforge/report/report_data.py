"""The contents of a run folder, read for its report. Missing and damaged files are listed on the page and prevent nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ganforge.core.errors import StorageError
from ganforge.figures.run_history import RunHistory, read_history
from ganforge.runs.run_groups import read_evaluations
from ganforge.runs.run_index import IdentifiedRun, current_status, identify
from ganforge.storage import value_info
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.storage.value_info import ValueInfo

_Contents = TypeVar("_Contents")

_MAX_TEXT = 200_000  # largest number of letters of one text on the page


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """The contents of a run folder."""

    run: IdentifiedRun
    title: str
    word: str  # its state, as in `ganforge runs`
    status: Status | None
    remark: str | None  # why it ended
    history: RunHistory
    value_info: ValueInfo
    recipe: str | None
    resolved: str | None  # the recipe with all defaults
    lock: Mapping[str, Any]
    final: Mapping[str, Any]  # its metrics.json
    evaluations: list[dict[str, Any]]  # after training, oldest first
    crash: str | None  # traceback of a failed run
    problems: list[str]  # what could not be read

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep over seeds."""
        return self.run.identity.get("kind") == "sweep"


def read_report_data(folder: RunFolder) -> ReportData:
    """Read everything in a run folder that its page shows."""
    problems: list[str] = []
    run = identify(folder)
    word, status, remark = current_status(folder, run.identity)
    history = read_history(folder)
    if history.read_error:
        problems.append(history.read_error)
    return ReportData(
        run=run,
        title=str(run.identity.get("title") or run.name),
        word=word,
        status=status,
        remark=remark,
        history=history,
        value_info=_read(lambda: value_info.read(folder), ValueInfo(), problems),
        recipe=_read_text(folder.recipe, problems),
        resolved=_read_text(folder.resolved, problems),
        lock=get_table({"lock": _read(lambda: folder.read_json(folder.lock), None, problems)}, "lock"),
        final=get_table({"final": _read(lambda: folder.read_json(folder.metrics), None, problems)}, "final"),
        evaluations=_read(lambda: read_evaluations(folder), [], problems),
        crash=_read_text(folder.path / "crash.txt", problems) if word == "failed" else None,
        problems=problems,
    )


def get_table(found: Any, key: str) -> Mapping[str, Any]:
    """A table within a table; empty if there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def get_tables(found: Any, key: str) -> list[Mapping[str, Any]]:
    """The tables of an array of tables; empty if there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


def _read(read: Callable[[], _Contents], default: _Contents, problems: list[str]) -> _Contents:
    """The contents of a file; ``default`` if it is damaged."""
    try:
        return read()
    except StorageError as error:
        problems.append(error.message)
        return default


def _read_text(path: Path, problems: list[str]) -> str | None:
    """A file's text, truncated if it is very long."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_TEXT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"cannot read {path}: {error.strerror or error}")
        return None
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\n… (truncated; see the file {path.name})"

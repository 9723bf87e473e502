"""The contents of a run folder, read for its report. Missing and damaged files are listed on the page and prevent nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.core.errors import StorageError
from ganforge.figures.run_history import RunHistory, read_history
from ganforge.runs.run_list import current_status
from ganforge.runs.run_lookup import IdentifiedRun, identify
from ganforge.storage import value_info
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status
from ganforge.storage.value_info import ValueInfo

EVALUATIONS = "evaluations.jsonl"
"""The file of evaluations after training."""
MAX_TEXT = 200_000
"""Largest number of letters of one text on the page."""

_MAX_NUMBER = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """The contents of a run folder.

    Attributes:
        run: the folder with the run's names.
        title: title of its recipe, or its name.
        word: its state, as in ``ganforge runs``.
        status: its last status, or ``None``.
        remark: why it ended, or ``None``.
        history: its journal.
        value_info: what its terms and metrics mean.
        specs: sizes and units.
        recipe: the recipe as given; ``None`` if it is missing.
        resolved: the recipe with all defaults.
        lock: components and versions.
        final: its ``metrics.json``.
        evaluations: evaluations after training, oldest first.
        crash: traceback of a failed run.
        problems: what could not be read.
    """

    run: IdentifiedRun
    title: str
    word: str
    status: Status | None
    remark: str | None
    history: RunHistory
    value_info: ValueInfo
    specs: Mapping[str, Any]
    recipe: str | None
    resolved: str | None
    lock: Mapping[str, Any]
    final: Mapping[str, Any]
    evaluations: list[Mapping[str, Any]]
    crash: str | None
    problems: list[str] = field(default_factory=list)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.run.folder

    @property
    def identity(self) -> Mapping[str, Any]:
        """The contents of ``run.json``."""
        return self.run.identity

    @property
    def is_sweep(self) -> bool:
        """Whether it is a sweep over seeds."""
        return self.identity.get("kind") == "sweep"

    @property
    def is_image(self) -> bool:
        """Whether its data are images."""
        shape = get_table(self.specs, "data").get("shape")
        return isinstance(shape, list) and len(shape) == 3  # channels, height, width


def read_report_data(folder: RunFolder) -> ReportData:
    """Read everything in a run folder that its page shows."""
    reader = _Reader(folder)
    run = identify(folder)
    word, status, remark = read_valid_status(run)
    history = read_history(folder)
    try:
        info = value_info.read(folder)
    except StorageError as error:
        info = ValueInfo()
        reader.problems.append(error.message)
    if history.read_error:
        reader.problems.append(history.read_error)
    return ReportData(
        run=run,
        title=str(run.identity.get("title") or run.name),
        word=word,
        status=status,
        remark=remark,
        history=history,
        value_info=info,
        specs=reader.mapping(folder.path / "specs.json"),
        recipe=reader.text(folder.recipe),
        resolved=reader.text(folder.resolved),
        lock=reader.mapping(folder.lock),
        final=reader.mapping(folder.metrics),
        evaluations=reader.lines(folder.path / EVALUATIONS),
        crash=reader.text(folder.path / "crash.txt") if word == "failed" else None,
        problems=reader.problems,
    )


def read_valid_status(run: IdentifiedRun) -> tuple[str, Status | None, str | None]:
    """As :func:`~ganforge.runs.run_list.current_status`, but a status with invalid values counts as damaged."""
    word, status, remark = current_status(run.folder, run.identity)
    if status is not None and not _is_valid(status):
        return "unknown", None, f"{run.folder.status.name} is damaged"
    return word, status, remark


def get_table(found: Any, key: str) -> Mapping[str, Any]:
    """A table within a table; empty if there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def get_tables(found: Any, key: str) -> list[Mapping[str, Any]]:
    """The tables of an array of tables; empty if there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


class _Reader:
    """Reads a folder's files and collects the problems.

    Attributes:
        problems: what could not be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.problems: list[str] = []

    def mapping(self, path: Path) -> Mapping[str, Any]:
        """The table in a JSON file; empty if it is missing or damaged."""
        try:
            found = self._folder.read_json(path)
        except StorageError as error:
            self.problems.append(error.message)
            return {}
        return found if isinstance(found, Mapping) else {}

    def text(self, path: Path) -> str | None:
        """A file's text, truncated if it is very long."""
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_TEXT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems.append(f"cannot read {path}: {error.strerror or error}")
            return None
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n… (truncated; see the file {path.name})"

    def lines(self, path: Path) -> list[Mapping[str, Any]]:
        """The tables in a file of JSON lines, with or without checksums."""
        text, found = self.text(path) or "", []
        for line in text.splitlines():
            try:
                record = json.loads(line[max(line.find("{"), 0) :])
            except ValueError:
                self.problems.append(f"{path.name} contains a line that cannot be read")
                continue
            found += [record] if isinstance(record, Mapping) else []
        return found


def _is_valid(status: Any) -> bool:
    return (
        isinstance(status.status, str)
        and all(isinstance(one, int) and _is_number(one) for one in (status.iteration, status.iterations))
        and all(_is_number(one) for one in (status.seconds, status.heartbeat))
        and all(isinstance(one, str | None) for one in (status.reason, status.error))
        and isinstance(status.metrics, Mapping)
        and all(isinstance(one, float) or _is_number(one) for one in status.metrics.values())
    )


def _is_number(value: Any) -> bool:
    """Whether it is a plausible time or count: neither NaN nor too large for dates and text."""
    return isinstance(value, int | float) and abs(value) < _MAX_NUMBER

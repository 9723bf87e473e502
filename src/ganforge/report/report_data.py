"""What a run folder tells for its page. Whatever is missing or damaged there is said on the page, and keeps nobody from it."""

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
from ganforge.storage import value_info as meaning_file
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status
from ganforge.storage.value_info import ValueInfo

EVALUATIONS = "evaluations.jsonl"
"""What was measured on the run after its training."""
MOST_TEXT = 200_000
"""Letters of one text on the page, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a run folder tells.

    Attributes:
        run: the folder with the run's names.
        title: of its recipe, or its name.
        word: how it stands, as ``ganforge runs`` has it.
        status: its last report, or ``None``.
        remark: why it ended so, or ``None``.
        history: its journal.
        meanings: what its numbers mean.
        specs: sizes and units.
        recipe: as given; ``None`` where it is missing.
        resolved: with every default.
        lock: components and versions.
        final: its ``metrics.json``.
        evaluations: what was measured later, oldest first.
        crash: the traceback of a run that failed.
        troubles: what could not be read.
    """

    run: IdentifiedRun
    title: str
    word: str
    status: Status | None
    remark: str | None
    history: RunHistory
    meanings: ValueInfo
    specs: Mapping[str, Any]
    recipe: str | None
    resolved: str | None
    lock: Mapping[str, Any]
    final: Mapping[str, Any]
    evaluations: list[Mapping[str, Any]]
    crash: str | None
    troubles: list[str] = field(default_factory=list)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return self.run.folder

    @property
    def identity(self) -> Mapping[str, Any]:
        """All of ``run.json``."""
        return self.run.identity

    @property
    def is_sweep(self) -> bool:
        """Whether it is many seeds of one recipe."""
        return self.identity.get("kind") == "sweep"

    @property
    def is_image(self) -> bool:
        """Whether its data are images."""
        shape = table(self.specs, "data").get("shape")
        return isinstance(shape, list) and len(shape) == 3  # channels, height, width

    @property
    def iterations(self) -> int:
        """In all; 0 where nobody knows."""
        return self.status.iterations if self.status else 0


def gather(folder: RunFolder) -> Facts:
    """Read all of a run folder that its page shows."""
    reader = _Reader(folder)
    run = identify(folder)
    word, status, remark = sound_standing(run)
    history = read_history(folder)
    try:
        meanings = meaning_file.read(folder)
    except StorageError as error:
        meanings = ValueInfo()
        reader.troubles.append(error.message)
    if history.trouble:
        reader.troubles.append(history.trouble)
    return Facts(
        run=run,
        title=str(run.identity.get("title") or run.name),
        word=word,
        status=status,
        remark=remark,
        history=history,
        meanings=meanings,
        specs=reader.mapping(folder.path / "specs.json"),
        recipe=reader.text(folder.recipe),
        resolved=reader.text(folder.resolved),
        lock=reader.mapping(folder.lock),
        final=reader.mapping(folder.metrics),
        evaluations=reader.lines(folder.path / EVALUATIONS),
        crash=reader.text(folder.path / "crash.txt") if word == "failed" else None,
        troubles=reader.troubles,
    )


def sound_standing(run: IdentifiedRun) -> tuple[str, Status | None, str | None]:
    """As :func:`~ganforge.runs.run_list.current_status`; a report whose numbers are none is no report."""
    word, status, remark = current_status(run.folder, run.identity)
    if status is not None and not _is_sound(status):
        return "unknown", None, f"{run.folder.status.name} is damaged"
    return word, status, remark


def table(found: Any, key: str) -> Mapping[str, Any]:
    """A table within a table; an empty one where there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def tables(found: Any, key: str) -> list[Mapping[str, Any]]:
    """The tables of an array of tables; none where there is none."""
    inner = found.get(key) if isinstance(found, Mapping) else None
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


class _Reader:
    """Reads a folder's files and keeps what went wrong.

    Attributes:
        troubles: what could not be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.troubles: list[str] = []

    def mapping(self, path: Path) -> Mapping[str, Any]:
        """A JSON file's table; empty where it is missing or damaged."""
        try:
            found = self._folder.read_json(path)
        except StorageError as error:
            self.troubles.append(error.message)
            return {}
        return found if isinstance(found, Mapping) else {}

    def text(self, path: Path) -> str | None:
        """A file's text, cut where it is very long."""
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MOST_TEXT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.troubles.append(f"cannot read {path}: {error.strerror or error}")
            return None
        return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n… (cut here; the file is {path.name})"

    def lines(self, path: Path) -> list[Mapping[str, Any]]:
        """The tables of a file of JSON lines, each with or without a checksum before it."""
        text, found = self.text(path) or "", []
        for line in text.splitlines():
            try:
                record = json.loads(line[max(line.find("{"), 0) :])
            except ValueError:
                self.troubles.append(f"{path.name} holds a line that cannot be read")
                continue
            found += [record] if isinstance(record, Mapping) else []
        return found


def _is_sound(status: Any) -> bool:
    return (
        isinstance(status.status, str)
        and all(isinstance(one, int) and _is_number(one) for one in (status.iteration, status.iterations))
        and all(_is_number(one) for one in (status.seconds, status.heartbeat))
        and all(isinstance(one, str | None) for one in (status.reason, status.error))
        and isinstance(status.metrics, Mapping)
        and all(isinstance(one, float) or _is_number(one) for one in status.metrics.values())
    )


def _is_number(value: Any) -> bool:
    """Whether it is one that a clock or counter may show: neither NaN nor larger than words and dates can say."""
    return isinstance(value, int | float) and abs(value) < _MOST


_MOST = 10**15

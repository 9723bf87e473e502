"""Results of ``ganforge doctor`` and ``ganforge plugins doctor``: one line each, with place and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from ganforge.cli import console

_MARKS = {"ok": ("✓", ""), "note": ("•", ""), "fault": ("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        part: what was checked, such as ``torch``.
        state: ``ok``; ``note`` for information; ``fault`` for something that stops or spoils a run.
        text: what was found.
        remedy: what to do about it, or ``None``.
        where: the file or folder concerned, or ``None``.
    """

    part: str
    state: Literal["ok", "note", "fault"]
    text: str
    remedy: str | None = None
    where: str | None = None


def print_diagnoses(diagnoses: Iterable[Diagnosis], *, as_json: bool) -> int:
    """Print results as they arrive and a last line that counts the faults; return the exit code, 1 if there are faults."""
    results: list[Diagnosis] = []
    for diagnosis in diagnoses:
        results.append(diagnosis)
        if not as_json:
            _print(diagnosis)

    faults = sum(diagnosis.state == "fault" for diagnosis in results)
    if as_json:
        console.json_out({"schema": 1, "faults": faults, "diagnoses": [asdict(diagnosis) for diagnosis in results]})
    else:
        console.say()
        console.say("no problems found" if not faults else f"{faults} fault{'s' if faults > 1 else ''}")
    return 1 if faults else 0


def _print(diagnosis: Diagnosis) -> None:
    mark, style = _MARKS[diagnosis.state]
    console.say(f"{mark} {diagnosis.part:<9} {diagnosis.text}", style=style)
    if diagnosis.where:
        console.say(f"  {'':<9} in {diagnosis.where}", style="dim")
    if diagnosis.remedy:
        console.say(f"  {'':<9} → {diagnosis.remedy}", style="cyan")

"""What the doctors find: one line for each thing, with its place and the remedy, and 1 as exit code when something is broken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from ganforge.cli import console

_MARKS = {"ok": ("✓", ""), "note": ("•", ""), "fault": ("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: what was looked at, such as ``torch``.
        state: ``ok``; ``note`` for something to know; ``fault`` for something that will stop or spoil a run.
        text: what was found.
        remedy: what to do about it, or ``None``.
        where: the file or folder that it is about, or ``None``.
    """

    part: str
    state: Literal["ok", "note", "fault"]
    text: str
    remedy: str | None = None
    where: str | None = None


def tell(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Show findings as they come, and a last line that counts the faults; the exit code."""
    told: list[Finding] = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            _show(finding)

    faults = sum(finding.state == "fault" for finding in told)
    if as_json:
        console.json_out({"schema": 1, "faults": faults, "findings": [asdict(finding) for finding in told]})
    else:
        console.say()
        console.say("all is well" if not faults else f"{faults} fault{'s' if faults > 1 else ''}")
    return 1 if faults else 0


def _show(finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    console.say(f"{mark} {finding.part:<9} {finding.text}", style=style)
    if finding.where:
        console.say(f"  {'':<9} in {finding.where}", style="dim")
    if finding.remedy:
        console.say(f"  {'':<9} → {finding.remedy}", style="cyan")

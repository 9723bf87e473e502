"""``ganforge doctor``: what this computer offers, and a remedy for each fault."""

from __future__ import annotations

from typing import Annotated

import typer

_MARKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "fault": ("✗", "bold red")}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Look at Python, torch, MLflow, plugins, data and disk; say the remedy for each fault, and exit with 1 if there is one."""
    from ganforge.cli import console
    from ganforge.cli.checkup import Finding, examine

    findings: list[Finding] = []
    for finding in examine():
        findings.append(finding)
        if as_json:
            continue
        mark, style = _MARKS[finding.state]
        console.say(f"{mark} {finding.part:<9} {finding.text}", style=style if finding.state == "fault" else "")
        if finding.remedy:
            console.say(f"  {'':<9} → {finding.remedy}", style="cyan")

    faults = sum(finding.state == "fault" for finding in findings)
    if as_json:
        rows = [{"part": one.part, "state": one.state, "text": one.text, "remedy": one.remedy} for one in findings]
        console.json_out({"schema": 1, "faults": faults, "findings": rows})
    else:
        console.say()
        console.say("all is well" if not faults else f"{faults} fault{'s' if faults > 1 else ''}")
    if faults:
        raise typer.Exit(1)

"""``ganforge doctor``: what this computer offers, and a remedy for each fault."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Look at Python, torch, MLflow, plugins, data and disk; say the remedy for each fault, and exit with 1 if there is one."""
    from ganforge.cli import doctor_findings
    from ganforge.cli.doctor_checks import examine

    raise typer.Exit(doctor_findings.tell(examine(), as_json=as_json))

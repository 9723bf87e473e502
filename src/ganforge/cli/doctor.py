"""``ganforge doctor``: what this computer offers, and a remedy for each fault."""

from __future__ import annotations

import typer

from ganforge.cli import doctor_findings, options


def doctor(*, as_json: options.Json = False) -> None:
    """Look at Python, torch, MLflow, plugins, data and disk; say the remedy for each fault, and exit with 1 if there is one."""
    from ganforge.cli.doctor_checks import examine

    raise typer.Exit(doctor_findings.tell(examine(), as_json=as_json))

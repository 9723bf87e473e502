"""Write docs/reference/conformance.md from the kit's own checks: ``python docs/conformance.py``."""

from __future__ import annotations

from pathlib import Path

from ganforge.registry.component import Kind
from ganforge.testing.conformance import all_checks
from ganforge.testing.conformance_checks import Check

PAGE = Path(__file__).resolve().parent / "reference" / "conformance.md"
HEAD = """\
# What the conformance kit checks

Written by `docs/conformance.py` from the checks themselves. `ganforge plugins check` runs every check that fits, on the plugin
and on all that it registers, with the component's `check_params`, on the CPU. Each ends as passed, failed, skipped (with the
reason), or as an expected failure. A check that waits for another one is skipped where that one fails, so that a fault is told
once. Where nothing ran, the check of the plugin fails.

A failure is expected only for a reason, which stands where the component is registered, `expected_failures={"G06": "why"}`, or in
the plugin's tests, `conformance_cases("acme-gan", expected_failures={"G06:swirl": "why"})`. One that passes after all is a failure.
"""
FAMILIES = {
    "P": "The plugin, and what its components say of themselves",
    "G": "Generators",
    "D": "Discriminators",
    "L": "Losses",
    "S": "Samplers",
    "T": "Data sets",
    "M": "Metrics",
    "E": "End to end",
}


def written() -> str:
    """The whole page."""
    checks = all_checks()
    parts = [_table(letter, [one for one in checks if one.id.startswith(letter)]) for letter in FAMILIES]
    return "\n".join([HEAD, *parts])


def _table(letter: str, checks: list[Check]) -> str:
    rows = [f"| {one.id} | {_asked(one)} | {_told(one)} |" for one in checks]
    return "\n".join([f"## {FAMILIES[letter]}", "", "| check | asks | what |", "|---|---|---|", *rows, ""])


def _asked(check: Check) -> str:
    if not check.kinds:
        return "the plugin"
    if check.kinds == frozenset(Kind):
        return "every component"
    return ", ".join(kind.plural for kind in Kind if kind in check.kinds)


def _told(check: Check) -> str:
    details = f" {check.details}" if check.details else ""
    return f"**{check.title}.**{details}".replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(written(), encoding="utf-8")

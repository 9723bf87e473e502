"""Write docs/reference/conformance.md from the kit's own checks: ``python docs/conformance.py``."""

from __future__ import annotations

from pathlib import Path

from ganforge.registry.component import Kind
from ganforge.testing.conformance import Check, all_checks

PAGE = Path(__file__).resolve().parent / "reference" / "conformance.md"
HEAD = """\
# What the conformance kit checks

`docs/conformance.py` writes this page from the checks themselves. `ganforge plugins check` runs every check that applies to the
plugin and to its components, with each component's `check_params`, on the CPU. A check passes, fails, is skipped (with the reason),
or fails as expected. If a check fails, those that depend on it are skipped, so that each fault is reported once. If no check ran,
the command fails.

An expected failure needs a reason. Give it where you register the component, `expected_failures={"G06": "why"}`, or in the plugin's
tests, `conformance_cases("acme-gan", expected_failures={"G06:swirl": "why"})`. If such a check passes, that is a failure.
"""
FAMILIES = {
    "P": "The plugin and the declarations of its components",
    "G": "Generators",
    "D": "Discriminators",
    "L": "Losses",
    "S": "Samplers",
    "T": "Data sets",
    "M": "Metrics",
    "E": "End to end",
    "A": "Games",
}


def written() -> str:
    """The whole page."""
    checks = all_checks()
    parts = [_table(letter, [one for one in checks if one.id.startswith(letter)]) for letter in FAMILIES]
    return "\n".join([HEAD, *parts])


def _table(letter: str, checks: list[Check]) -> str:
    rows = [f"| {one.id} | {_subject(one)} | {_description(one)} |" for one in checks]
    return "\n".join([f"## {FAMILIES[letter]}", "", "| check | applies to | description |", "|---|---|---|", *rows, ""])


def _subject(check: Check) -> str:
    if not check.kinds:
        return "the plugin"
    if check.kinds == frozenset(Kind):
        return "every component"
    return ", ".join(kind.plural for kind in Kind if kind in check.kinds)


def _description(check: Check) -> str:
    details = (check.function.__doc__ or "").strip().partition("\n")[2]
    return " ".join([f"**{check.title}.**", *details.split()]).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(written(), encoding="utf-8")

"""The health watch's findings as tags of the run in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganforge.core.findings import NOT_WATCHED, Finding, advice, headline

VERDICT = "ganforge.health"
AT_FIRST = {VERDICT: NOT_WATCHED}
"""What a run says of itself until somebody has looked."""
NOTHING = "none"
"""What tags say where there is no trouble (any more): MLflow's empty tag looks like a missing one."""


def tags(record: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a journal's record ``health``: the verdict, the troubles' names, the findings in words, and a sweep's counts.

    Findings are a tag of their own and not part of the run's note, which is the user's to edit while the run goes on.

    Raises:
        KeyError, TypeError: the record is not one.
    """
    findings = [Finding.from_plain(plain) for plain in record["findings"]]
    words = "\n".join(f"- {headline(finding)}; {advice(finding)}" for finding in findings)
    told = {
        VERDICT: str(record["verdict"]),
        f"{VERDICT}.trouble": "; ".join(dict.fromkeys(finding.trouble for finding in findings)) or NOTHING,
        f"{VERDICT}.findings": words or NOTHING,
    }
    if "seeds" not in record:
        return told
    return {
        VERDICT: told[VERDICT],
        f"{VERDICT}.seeds": ", ".join(f"{count} {verdict}" for verdict, count in record["seeds"].items()),
    }

"""Findings, as the documentation shows them."""

from __future__ import annotations

import re
from pathlib import Path

from ganforge.core.findings import Finding, advice, headline
from ganforge.health.remedies import REMEDIES

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "look-at-a-run.md"


def test_the_example_in_the_documentation_is_a_finding():
    told, helps = re.search(r"```\n(fail: .*)\n  (what usually helps: .*)\n", PAGE.read_text()).groups()
    remedy = REMEDIES["mode collapse"]
    seen = "all samples are nearly the same: their spread is 1.3% of the data's"
    finding = Finding("collapse", "mode collapse", "fail", seen, 200, 300, remedy.text, remedy.key)
    assert (told, helps) == (headline(finding), advice(finding))

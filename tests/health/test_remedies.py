"""What the watch says, as the documentation shows it."""

from __future__ import annotations

import re
from pathlib import Path

from ganforge.core.findings import Finding, advice, headline
from ganforge.health.remedies import REMEDIES

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "look-at-a-run.md"


def test_the_example_in_the_documentation_is_what_the_watch_says():
    told, helps = re.search(r"```\n(fail: .*)\n  (what usually helps: .*)\n", PAGE.read_text()).groups()
    cure = REMEDIES["mode collapse"]
    seen = "all samples are nearly the same: they spread 1.3% as widely as the data"
    finding = Finding("collapse", "mode collapse", "fail", seen, 200, 300, cure.remedy, cure.key)
    assert (told, helps) == (headline(finding), advice(finding))

from __future__ import annotations

import json
from dataclasses import replace

from ganforge.core.findings import Finding, advice, headline, report

COLLAPSE = Finding("diversity", "mode collapse", "fail", "samples near 12% of the data only", 1200, 1250, "packing", "a.b")
DUPLICATES = replace(COLLAPSE, check="duplicates", problem="near-duplicates", level="warn", key=None)


def test_the_verdict_is_the_worst_level():
    assert report([])["verdict"] == "healthy"
    assert report([DUPLICATES])["verdict"] == "warn"
    assert report([DUPLICATES, COLLAPSE])["verdict"] == "fail"


def test_a_report_survives_json():
    messages = json.loads(json.dumps(report([COLLAPSE, DUPLICATES])))
    assert messages["verdict"] == "fail"
    assert [Finding(**plain) for plain in messages["findings"]] == [COLLAPSE, DUPLICATES]
    assert report([])["verdict"] == "healthy"
    assert report((), conclusive=False) == {"verdict": "not monitored", "findings": []}


def test_findings_in_words():
    assert headline(COLLAPSE) == "fail: mode collapse since iteration 1,200: samples near 12% of the data only"
    assert advice(COLLAPSE) == "what usually helps: packing (a.b)"
    assert advice(DUPLICATES) == "what usually helps: packing"

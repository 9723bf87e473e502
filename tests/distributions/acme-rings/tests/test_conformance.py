"""The plugin keeps ganforge's contracts, and its recipe trains."""

from __future__ import annotations

from pathlib import Path

from ganforge.testing import Case, conformance_cases, trained

RECIPE = Path(__file__).parents[1] / "recipes" / "concentric.toml"


@conformance_cases("acme-rings")
def test_conformance(case: Case) -> None:
    case.run()


def test_the_recipe_trains() -> None:
    assert trained(RECIPE, "train.iterations=20", "metric[0].samples=64").outcome == "finished"

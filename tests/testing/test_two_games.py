"""Games that ganforge does not ship: a critic of latents, and one of samples and latents together."""

from pathlib import Path

from ganforge.testing import check_path

GAMES = Path(__file__).with_name("two_games.py")


def test_games_of_a_third_party_pass_every_check():
    report = check_path(GAMES)
    assert report.ok, str(report)
    assert {outcome.check for outcome in report.outcomes if outcome.subject == "game bigan"} >= {"E01", "A01", "A02", "A03", "A04"}

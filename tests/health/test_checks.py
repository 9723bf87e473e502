"""Each check at values of known meaning: which level, which name."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from ganforge.core.findings import Finding, advice, headline
from ganforge.core.health_config import Health
from ganforge.health import checks
from ganforge.health.checks import REMEDIES, CheckInputs, remedy_for

CHECKS = {check.name: check for check in checks.CHECKS}
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "look-at-a-run.md"
SURE = {"dominance/accuracy": 1.0}
NEAR = {"oscillation/away": 0.1}
VARIED = {"collapse": 0.9, "collapse/precision": 0.9, "collapse/spread": 1.0}


def given(values, levels=None, config=None, **more) -> CheckInputs:
    return CheckInputs(config or Health(), "generator", "discriminator", values, levels or {}, **more)


def remedy(problem, losses=()):
    return remedy_for(problem, losses, generator="generator", critic="discriminator")


def seen(check: str, values: dict[str, float], levels=None):
    sight = CHECKS[check].observe(given(values, levels or {}))
    return sight and (sight.level, sight.problem)


@pytest.mark.parametrize(
    ("check", "values", "expected"),
    [
        ("gradients", {"gradients/generator": 99.0, "gradients/discriminator": 1.0}, None),
        ("gradients", {"gradients/generator": 1.0, "gradients/discriminator": 101.0}, ("warn", "exploding gradients")),
        ("gradients", {"gradients/generator": 1e5}, ("fail", "exploding gradients")),
        ("gradients", {"gradients/generator": math.nan, "gradients/discriminator": 1e9}, ("fail", "non-finite values")),
        ("gradients", {"gradients/generator": 1.0, "gradients/discriminator": math.inf}, ("fail", "non-finite values")),
        ("weights", {"weights/generator": math.nan}, ("fail", "non-finite values")),
        ("weights", {"weights/generator": 1.0, "weights/discriminator": math.nan}, ("fail", "non-finite values")),
        ("finite", {"finite/samples": 1.0}, None),
        ("finite", {"finite/samples": 0.99}, ("fail", "non-finite values")),
        ("weights", {"weights/generator": 10.0, "weights/discriminator": 1e3}, None),
        ("weights", {"weights/generator": 101.0}, ("fail", "divergence")),
        ("dominance", {"dominance": 0.3, **SURE}, None),
        ("dominance", {"dominance": 0.56, **SURE}, ("warn", "discriminator dominance")),
        ("dominance", {"dominance": 0.66, **SURE}, ("fail", "discriminator dominance")),
        ("dominance", {"dominance": 0.66, "dominance/accuracy": 0.97}, ("warn", "discriminator dominance")),
        ("dominance", {"dominance": 0.66, "dominance/accuracy": 0.9}, None),
        ("vanishing", {"vanishing": 0.5}, None),
        ("vanishing", {"vanishing": 0.005, "dominance": 0.02}, None),  # a game that is settled
        ("vanishing", {"vanishing": 0.005, "dominance": 0.4}, ("warn", "vanishing gradient")),
        ("vanishing", {"vanishing": 0.005}, ("warn", "vanishing gradient")),
        ("vanishing", {"vanishing": 1e-4}, ("warn", "vanishing gradient")),
        ("input_gradient", {"input_gradient": 1.9}, None),
        ("input_gradient", {"input_gradient": 6.0}, ("warn", "uneven discriminator")),
        ("input_gradient", {"input_gradient": 0.1}, ("warn", "uneven discriminator")),
        ("input_gradient", {"input_gradient": 0.01}, ("fail", "uneven discriminator")),
        ("input_gradient", {"input_gradient": 0.0}, ("fail", "uneven discriminator")),
        ("collapse", VARIED, None),
        ("collapse", {**VARIED, "collapse": 0.4}, ("warn", "mode collapse")),
        ("collapse", {**VARIED, "collapse": 0.19}, ("fail", "mode collapse")),
        ("collapse", {**VARIED, "collapse": 0.0, "collapse/precision": 0.0}, ("warn", "samples unlike the data")),
        (
            "collapse",
            {"collapse": 0.0, "collapse/precision": 0.0, "collapse/spread": 0.01},
            ("fail", "mode collapse"),
        ),
        ("convergence", {"convergence": 0.3, "convergence/distance": 9.0}, None),
        ("convergence", {"convergence": 0.2, "convergence/distance": 0.1}, ("warn", "convergence failure")),
        ("convergence", {"convergence": 0.14, "convergence/distance": 0.1}, ("fail", "convergence failure")),
        ("duplicates", {"duplicates": 20.0, "duplicates/same": 0.0, "duplicates/usual": 0.0}, None),
        ("duplicates", {"duplicates": 31.0, "duplicates/same": 0.0, "duplicates/usual": 0.0}, ("warn", "duplicates")),
        ("duplicates", {"duplicates": 501.0, "duplicates/same": 0.0, "duplicates/usual": 0.0}, ("fail", "duplicates")),
        ("duplicates", {"duplicates": 99.0, "duplicates/same": 0.1, "duplicates/usual": 0.0}, ("fail", "mode collapse")),
        ("duplicates", {"duplicates": 1.1, "duplicates/same": 0.11, "duplicates/usual": 0.1}, None),
        ("duplicates", {"duplicates": 4.0, "duplicates/same": 0.4, "duplicates/usual": 0.1}, ("fail", "mode collapse")),
        ("separation", {**VARIED, "separation": 0.7}, None),
        ("separation", {**VARIED, "separation": 0.99}, ("warn", "samples unlike the data")),
        ("memorisation", {"memorisation": 0.1}, None),
        ("memorisation", {"memorisation": 1.0}, ("fail", "memorisation")),
        ("overfitting", {"overfitting": 0.2, "dominance/sign": 1.0}, None),
        ("overfitting", {"overfitting": 0.4, "dominance/sign": 1.0}, ("warn", "discriminator over-fitting")),
        ("overfitting", {"overfitting": 0.9, "dominance/sign": 0.2}, None),
        ("overfitting", {"overfitting": 0.9, "dominance/sign": 0.95}, ("fail", "discriminator over-fitting")),
        ("overfitting", {"overfitting": 0.9}, None),
        ("oscillation", {"oscillation": 1.4, **NEAR}, None),
        ("oscillation", {"oscillation": 2.5, **NEAR}, ("warn", "oscillation")),
        ("oscillation", {"oscillation": 6.0, **NEAR}, ("fail", "oscillation")),
        ("oscillation", {"oscillation": 6.0, "oscillation/away": 0.6}, None),  # an average that lags behind a runaway
        ("labels", {"labels": 0.95}, None),
        ("labels", {"labels": 0.02}, ("fail", "labels ignored")),
        ("codes", {"codes": 0.7}, ("warn", "codes ignored")),
        ("codes", {"codes": -0.1}, ("fail", "codes ignored")),
    ],
)
def test_limits_are_those_of_the_table(check, values, expected):
    assert seen(check, values) == expected


@pytest.mark.parametrize("check", CHECKS)
def test_what_was_not_measured_is_no_trouble(check):
    assert seen(check, {}) is None


@pytest.mark.parametrize(("before", "level"), [(0.1, "warn"), (0.17, "fail"), (0.0, "fail"), (0.3, "fail")])
def test_coverage_that_still_rises_counts_one_level_less(before, level):
    now = given({**VARIED, "collapse": 0.18}, previous={"collapse": before})
    assert CHECKS["collapse"].observe(now).level == level
    now = given({**VARIED, "collapse": 0.4}, previous={"collapse": 0.3})
    assert CHECKS["collapse"].observe(now) is None


def test_samples_need_not_be_near_the_data_before_the_last_third():
    values = {"convergence": 0.0, "convergence/distance": 2.0}
    assert CHECKS["convergence"].observe(given(values, progress=0.69)) is None
    assert CHECKS["convergence"].observe(given(values, progress=0.7)).level == "fail"


@pytest.mark.parametrize("frozen", [("generator",), ("discriminator",), ("generator", "discriminator")])
def test_a_network_that_cannot_learn_is_named_with_its_key(frozen):
    values = {"convergence": 0.0, "convergence/distance": 2.0}
    seen = CHECKS["convergence"].observe(given(values, frozen=frozen))
    assert seen.key == f"{frozen[0]}.optimizer.lr"
    assert seen.evidence.endswith(f"; the {' and the '.join(frozen)} cannot learn at a learning rate of 0")


def test_samples_unlike_the_data_are_reported_once():
    unlike = {**VARIED, "collapse": 0.0, "collapse/precision": 0.0}
    assert seen("collapse", unlike, {"convergence": "fail"}) is None
    assert seen("collapse", {**VARIED, "collapse": 0.1}, {"convergence": "fail"}) == ("fail", "mode collapse")


def test_a_gradient_vanishes_where_the_discriminator_dominates():
    assert seen("vanishing", {"vanishing": 1e-4}, {"dominance": "fail"}) == ("fail", "vanishing gradient")


@pytest.mark.parametrize(
    ("check", "around", "between"), [("dominance", 0.55, 0.52), ("oscillation", 2.0, 1.9), ("codes", 0.8, 0.85)]
)
def test_a_value_upon_a_limit_does_not_flicker(check, around, between):
    values = {check: between, "dominance/accuracy": 1.0, **NEAR}
    assert seen(check, values) is None
    assert seen(check, values, {check: "warn"}) == (
        "warn",
        seen(check, {**values, check: 0.56 if check == "dominance" else around * (1.2 if around > 1 else 0.5)})[1],
    )


def test_a_limit_of_a_recipe_counts():
    table = Health.model_validate({"dominance": {"warn": 0.1, "fail": 0.2}})
    sight = CHECKS["dominance"].observe(given(config=table, values={"dominance": 0.25, **SURE}))
    assert sight.level == "fail"


def test_an_exploding_gradient_blames_neither_network_alone():
    found = remedy("exploding gradients")
    assert CHECKS["gradients"].observe(given({"gradients/discriminator": 1e5})).key is found.key is None
    assert {"generator.optimizer.lr", "discriminator.optimizer.lr"} <= set(found.text.replace(";", " ").split())


def test_every_check_has_its_table_and_every_problem_its_remedy():
    tables = set(Health.model_fields) - {"enabled", "on_fail", "every", "sample_checks", "samples", "warmup"}
    assert tables == set(CHECKS) | {"metrics"}
    assert all(one.text for one in REMEDIES.values())


def test_looks_may_take_as_many_samples_as_their_pairs_can_be_compared():
    assert Health.model_validate({"samples": 10_000}).samples == 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"dominance": {"warn": 0.66, "fail": 0.6}},
        {"collapse": {"warn": 0.1}},
        {"nothing": {}},
        {"on_fail": "panic"},
        {"separation": {"fail": 0.99}},
        {"samples": 10_001},
        {"separation": {"warn": 0.5}},
        {"weights": {"warn": -5}},
        {"gradients": {"warn": 0}},
        {"input_gradient": {"warn": 1}},
        {"overfitting": {"warn": -0.1}},
        {"memorisation": {"warn": 0}},
        {"collapse": {"warn": 1.5}},
        {"labels": {"fail": -0.1}},
    ],
)
def test_a_table_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        Health.model_validate(wrong)


def test_no_remedy_recommends_losses_that_the_recipe_uses():
    for problem, losses in (
        ("exploding gradients", ["r1"]),
        ("discriminator dominance", ["r1", "minimax"]),
        ("vanishing gradient", ["non-saturating"]),
        ("discriminator over-fitting", ["r1"]),
        ("uneven discriminator", ["r1", "r2"]),
        ("mode collapse", ["relativistic", "r1", "r2"]),
        ("duplicates", ["relativistic", "r1", "r2"]),
    ):
        found = remedy(problem, losses)
        assert found.text != remedy(problem).text, problem
        assert not re.search(r"such as r1|use losses|use the non-saturating|losses r1", found.text), problem
    assert remedy("mode collapse", ["relativistic"]) == remedy("mode collapse"), "one of three is not all"


def test_the_example_in_the_documentation_is_a_finding():
    messages, helps = re.search(r"```\n(fail: .*)\n  (what usually helps: .*)\n", PAGE.read_text()).groups()
    found = remedy("mode collapse")
    seen = "all samples are nearly the same: their spread is 1.3% of the data's"
    finding = Finding("collapse", "mode collapse", "fail", seen, 200, 300, found.text, found.key)
    assert (messages, helps) == (headline(finding), advice(finding))


def test_remedies_name_the_tables_of_the_game():
    found = remedy_for("discriminator dominance", generator="generator_ab", critic="critic_b")
    assert found.key == "networks.critic_b.optimizer.lr"
    assert remedy_for("divergence", generator="generator_ab", critic=None).key == "networks.generator_ab.optimizer.lr"


@pytest.mark.parametrize(
    "problem", ["mode collapse", "exploding gradients", "convergence failure", "memorisation", "labels ignored"]
)
def test_without_a_critic_no_remedy_speaks_of_one(problem):
    found = remedy_for(problem, generator="generator", critic=None)
    assert not re.search(r"discriminator|penalty|losses|networks\.", f"{found.text} {found.key}")


def test_weights_of_a_critic_may_grow():
    values = {"weights/encoder": 1.0, "weights/critic": 1e4}
    assert CHECKS["weights"].observe(CheckInputs(Health(), "encoder", "critic", values)) is None
    assert CHECKS["weights"].observe(CheckInputs(Health(), "encoder", None, values)).problem == "divergence"

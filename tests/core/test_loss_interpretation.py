"""What losses mean, against divergences computed from densities, and in words that claim no more."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ganforge.builtin import losses as builtin_losses
from ganforge.core.contracts import Divergence, TermInfo
from ganforge.core.loss_interpretation import describe_losses, interpret, measure_progress
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, Samples, Turn

P, Q = np.array([5, 3, 1, 1]), np.array([1, 2, 2, 5])  # how often of ten each of four points is real or generated


def built(name, params=None):
    """The built-in loss of that name."""
    return getattr(builtin_losses, f"build_{name}")(params or NoParams(), None)


def least_squares(**targets):
    return built("least_squares", builtin_losses.LeastSquaresParams(**targets))


LOGISTIC = built("non_saturating").term_info


def best_terms(loss, score):
    """The discriminator's terms for the best scores of the four points; all pairs of samples side by side."""
    real, fake = np.repeat(np.arange(4), P), np.repeat(np.arange(4), Q)
    pairs = np.array([(one, other) for one in real for other in fake])
    samples = [Samples(torch.tensor(pairs[:, side])) for side in (0, 1)]
    critic = lambda asked: DiscriminatorOutput(torch.tensor(score)[asked.values])  # noqa: E731
    return {f"discriminator/{name}": float(value) for name, value in loss.discriminator(Turn(critic, *samples)).values.items()}


def jensen_shannon(p, q):
    middle = (p + q) / 2
    return float((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2


def divergences():
    p, q = P / 10, Q / 10
    ratio, posterior = np.log(p / q), p / (p + q)
    there, back = np.outer(p, q), np.outer(q, p)
    return {
        "logistic": (built("non_saturating"), ratio, jensen_shannon(p, q)),
        "least squares": (least_squares(), posterior, float(((p - q) ** 2 / (p + q)).sum())),
        "shifted squares": (least_squares(a=-1, b=2), 3 * posterior - 1, float(((p - q) ** 2 / (p + q)).sum())),
        "hinge": (built("hinge"), np.sign(p - q), float(np.abs(p - q).sum()) / 2),
        "relativistic": (built("relativistic"), ratio, jensen_shannon(there, back)),
    }


@pytest.mark.parametrize("name", divergences())
def test_the_best_discriminators_loss_is_the_divergence_that_its_reading_names(name):
    loss, score, expected = divergences()[name]
    terms = best_terms(loss, score)
    found = measure_progress("discriminator", terms, loss.term_info)

    assert found.share * found.divergence.greatest == pytest.approx(expected, rel=1e-6)
    assert f"{expected:.3f} of " in interpret("discriminator", terms, loss.term_info)


@pytest.mark.parametrize("name", [name for name in divergences() if name != "relativistic"])
def test_it_is_right_at_least_as_often_as_is_reported(name):
    loss, score, _ = divergences()[name]
    text = interpret("discriminator", best_terms(loss, score), loss.term_info)
    percent = int(text.partition("at least ")[2].partition(" %")[0])
    right = np.maximum(P, Q).sum() / 20  # of the best decision at each point

    assert percent <= 100 * right + 0.5
    if name == "hinge":
        assert percent == round(100 * right)


def test_jensen_shannon_is_half_of_what_the_logistic_loss_lacks_to_log_4():
    for total in (0.3, 1.0, 1.3):
        terms = {"discriminator/real": 0.6 * total, "discriminator/fake": 0.4 * total}
        found = measure_progress("discriminator", terms, LOGISTIC)
        assert found.share * math.log(2) == pytest.approx((math.log(4) - total) / 2)


@pytest.mark.parametrize(
    ("total", "text"),
    [
        (math.log(4), "cannot tell real from generated (they are alike, or it is weak)"),
        (1.37, "cannot tell real from generated (they are alike, or it is weak)"),
        (1.0, "tells real from generated in at least 64 % of cases; Jensen-Shannon divergence 0.193 of log 2"),
        (0.1, "tells real from generated almost without error; Jensen-Shannon divergence 0.643 of log 2"),
        (0.0, "tells real from generated without error; Jensen-Shannon divergence 0.693 of log 2"),
        (1.6, "does worse than guessing"),
        (math.nan, ""),
    ],
)
def test_the_logistic_discriminator_in_words(total, text):
    terms = {"discriminator/real": total / 2, "discriminator/fake": total / 2}
    assert interpret("discriminator", terms, LOGISTIC) == text


def test_the_critic_has_a_gap_and_no_success_rate():
    term_info = built("wasserstein").term_info
    assert interpret("discriminator", {"discriminator/adversarial": -1.23}, term_info) == (
        "critic gap (W₁ up to the critic's slope) 1.230"
    )
    assert interpret("discriminator", {"discriminator/adversarial": 0.5}, term_info) == "scores generated samples above real ones"


@pytest.mark.parametrize(
    ("loss", "undecided", "recognised"),
    [
        (built("non_saturating"), math.log(2), 3.0),
        (built("minimax"), -math.log(2), -0.05),
        (built("relativistic"), 0.7, 2.0),
    ],
)
def test_the_generator_in_words(loss, undecided, recognised):
    def text(value):
        return interpret("generator", {"generator/adversarial": value}, loss.term_info)

    assert text(undecided) == "the discriminator is undecided about its samples"
    assert text(recognised) == "its samples are recognised as generated"
    assert text(2 * undecided - recognised) == "its samples pass for real"


@pytest.mark.parametrize("loss", [built("hinge"), built("wasserstein"), least_squares()])
def test_nothing_is_reported_of_generators_whose_value_does_not_tell(loss):
    assert interpret("generator", {"generator/adversarial": 0.3}, loss.term_info) == ""


def test_nothing_is_reported_where_nothing_is_declared_or_winning_is_worth_nothing():
    assert interpret("discriminator", {"discriminator/a": 0.3}, {"discriminator/a": TermInfo("a", 0.5)}) == ""
    assert interpret("discriminator", {"discriminator/a": 0.3}, {"discriminator/a": TermInfo("a", 0.5, 0.5)}) == ""
    assert interpret("discriminator", {}, LOGISTIC) == ""


def test_penalties_and_terms_of_codes_have_no_part_in_it():
    term_info = {
        **LOGISTIC,
        "discriminator/r1": TermInfo("slope", 0.0),
        "discriminator/codes": TermInfo("codes", 0.0),
        "discriminator/total": TermInfo("", math.log(4)),
    }
    terms = {
        "discriminator/real": math.log(2),
        "discriminator/fake": math.log(2),
        "discriminator/r1": 3.0,
        "discriminator/codes": 2,
    }
    terms["discriminator/total"] = 2.0

    assert describe_losses(term_info, terms) == [
        "discriminator total 2.000 (log 4 = 1.386 at equilibrium): cannot tell real from generated (they are alike, or it is weak)"
    ]


def test_two_adversarial_losses_name_no_divergence():
    term_info = {
        "discriminator/one": TermInfo("", 1.0, 0.0, Divergence("this", 1.0)),
        "discriminator/other": TermInfo("", 1.0, 0.0, Divergence("that", 1.0)),
    }
    text = interpret("discriminator", {"discriminator/one": 0.5, "discriminator/other": 0.5}, term_info)
    assert text == "tells real from generated in at least 75 % of cases"


def test_a_total_that_tells_nothing_has_no_line():
    term_info = {"discriminator/total": TermInfo(""), "generator/total": TermInfo("", 0.25)}
    assert describe_losses(term_info, {"discriminator/total": 1.0, "generator/total": 0.5}) == [
        "generator total 0.500 (0.25 at equilibrium)"
    ]
    assert describe_losses(term_info, {"generator/total": math.inf}) == []

"""Adversarial losses and gradient penalties on logits and critics known by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganforge.plugin import DiscriminatorOutput, Samples, Turn

ADVERSARIAL = ["minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "relativistic"]


N = 6


_DRAW = np.random.default_rng(0)


REAL, FAKE = _DRAW.normal(0.4, 2.0, N), _DRAW.normal(-0.3, 2.0, N)  # logits on both sides of every kink


def sigma(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def bce_real(r: np.ndarray, f: np.ndarray) -> float:
    return float(-np.log(sigma(r)).mean())


def bce_fake(r: np.ndarray, f: np.ndarray) -> float:
    return float(-np.log(1 - sigma(f)).mean())


Form = Callable[[np.ndarray, np.ndarray], Any]


CLOSED: dict[tuple[str, str], dict[str, Form]] = {
    ("minimax", "discriminator"): {"real": bce_real, "fake": bce_fake},
    ("minimax", "generator"): {"adversarial": lambda r, f: np.log(1 - sigma(f)).mean()},
    ("non-saturating", "discriminator"): {"real": bce_real, "fake": bce_fake},
    ("non-saturating", "generator"): {"adversarial": lambda r, f: -np.log(sigma(f)).mean()},
    ("least-squares", "discriminator"): {"real": lambda r, f: ((r - 1) ** 2).mean() / 2, "fake": lambda r, f: (f**2).mean() / 2},
    ("least-squares", "generator"): {"adversarial": lambda r, f: ((f - 1) ** 2).mean() / 2},
    ("hinge", "discriminator"): {
        "real": lambda r, f: np.maximum(0, 1 - r).mean(),
        "fake": lambda r, f: np.maximum(0, 1 + f).mean(),
    },
    ("hinge", "generator"): {"adversarial": lambda r, f: -f.mean()},
    ("wasserstein", "discriminator"): {"adversarial": lambda r, f: f.mean() - r.mean()},
    ("wasserstein", "generator"): {"adversarial": lambda r, f: -f.mean()},
    ("relativistic", "discriminator"): {"adversarial": lambda r, f: -np.log(sigma(r - f)).mean()},
    ("relativistic", "generator"): {"adversarial": lambda r, f: -np.log(sigma(f - r)).mean()},
}


ZERO = np.zeros(N)


GRADIENTS: dict[tuple[str, str], tuple[Form, Form]] = {  # of the total: with respect to the real logits, to the fake ones; times n
    ("minimax", "discriminator"): (lambda r, f: sigma(r) - 1, lambda r, f: sigma(f)),
    ("minimax", "generator"): (lambda r, f: ZERO, lambda r, f: -sigma(f)),
    ("non-saturating", "discriminator"): (lambda r, f: sigma(r) - 1, lambda r, f: sigma(f)),
    ("non-saturating", "generator"): (lambda r, f: ZERO, lambda r, f: sigma(f) - 1),
    ("least-squares", "discriminator"): (lambda r, f: r - 1, lambda r, f: f),
    ("least-squares", "generator"): (lambda r, f: ZERO, lambda r, f: f - 1),
    ("hinge", "discriminator"): (lambda r, f: -1.0 * (r < 1), lambda r, f: 1.0 * (f > -1)),
    ("hinge", "generator"): (lambda r, f: ZERO, lambda r, f: ZERO - 1),
    ("wasserstein", "discriminator"): (lambda r, f: ZERO - 1, lambda r, f: ZERO + 1),
    ("wasserstein", "generator"): (lambda r, f: ZERO, lambda r, f: ZERO - 1),
    ("relativistic", "discriminator"): (lambda r, f: sigma(r - f) - 1, lambda r, f: 1 - sigma(r - f)),
    ("relativistic", "generator"): (lambda r, f: 1 - sigma(f - r), lambda r, f: sigma(f - r) - 1),
}


def spoken(real: np.ndarray, fake: np.ndarray) -> tuple[Callable[[Samples], DiscriminatorOutput], Samples, Samples]:
    """A critic that says the given logits, and the samples to ask it about; the values are the logits."""
    samples = [Samples(torch.tensor(logits, dtype=torch.float64).unsqueeze(1).requires_grad_()) for logits in (real, fake)]
    return lambda asked: DiscriminatorOutput(asked.values.squeeze(1)), samples[0], samples[1]


@pytest.mark.parametrize("side", ["discriminator", "generator"])
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_terms_equal_the_closed_form(name: str, side: str, loss) -> None:
    critic, real, fake = spoken(REAL, FAKE)

    terms = getattr(loss(name), side)(Turn(critic, real, fake))

    expected = {key: form(REAL, FAKE) for key, form in CLOSED[name, side].items()}
    assert {key: value.item() for key, value in terms.values.items()} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("side", ["discriminator", "generator"])
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_gradients_equal_the_analytic_ones(name: str, side: str, loss) -> None:
    critic, real, fake = spoken(REAL, FAKE)

    getattr(loss(name), side)(Turn(critic, real, fake)).total.backward()

    for samples, form in zip((real, fake), GRADIENTS[name, side], strict=True):
        found = np.zeros(N) if samples.values.grad is None else samples.values.grad.squeeze(1).numpy()
        np.testing.assert_allclose(found, form(REAL, FAKE) / N, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_an_undecided_discriminator_gives_the_equilibrium_values(name: str, loss) -> None:
    built = loss(name)
    undecided = 0.5 if name == "least-squares" else 0.0  # (a + b)/2, or a logit that says D = ½
    critic, real, fake = spoken(ZERO + undecided, ZERO + undecided)

    found = {
        f"{side}/{term}": value.item()
        for side in ("discriminator", "generator")
        for term, value in getattr(built, side)(Turn(critic, real, fake)).values.items()
    }

    assert set(found) == set(built.term_info), "every term has a reading, and no reading is without its term"
    known = {key: reading.equilibrium for key, reading in built.term_info.items() if reading.equilibrium is not None}
    assert {key: found[key] for key in known} == pytest.approx(known, rel=1e-12)
    assert any(key.startswith("discriminator/") for key in known)


@pytest.mark.parametrize(
    ("name", "total"), [("minimax", np.log(4)), ("non-saturating", np.log(4)), ("hinge", 2.0), ("relativistic", np.log(2))]
)
def test_the_discriminators_equilibrium_adds_up_to_the_papers_value(name: str, total: float, loss) -> None:
    values = [reading.equilibrium for key, reading in loss(name).term_info.items() if key.startswith("discriminator/")]
    assert sum(values) == pytest.approx(total)


def test_minimax_is_zero_sum(loss) -> None:
    critic, real, fake = spoken(REAL, FAKE)
    built = loss("minimax")
    discriminator, generator = built.discriminator(Turn(critic, real, fake)), built.generator(Turn(critic, real, fake))
    assert generator.values["adversarial"].item() == pytest.approx(-discriminator.values["fake"].item())


def test_least_squares_takes_its_targets(loss) -> None:
    """a = -1, b = 1, c = 0 makes G minimise the Pearson χ² divergence (Mao et al. 2017, equation 8)."""
    critic, real, fake = spoken(REAL, FAKE)
    built = loss("least-squares", a=-1.0, b=1.0, c=0.0)

    assert built.discriminator(Turn(critic, real, fake)).values["fake"].item() == pytest.approx(((FAKE + 1) ** 2).mean() / 2)
    assert built.generator(Turn(critic, real, fake)).values["adversarial"].item() == pytest.approx((FAKE**2).mean() / 2)
    assert [reading.equilibrium for reading in built.term_info.values()] == [0.5, 0.5, 0.0]
    assert "from -1" in built.term_info["discriminator/fake"].label


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_discriminator_that_is_very_sure_gives_finite_terms_and_gradients(name: str, loss) -> None:
    """log σ(l) is -∞ in float32 beyond l = -104; the softplus form is not."""
    samples = [Samples(torch.full((4, 1), logit, requires_grad=True)) for logit in (1e4, -1e4)]

    for side in ("discriminator", "generator"):
        total = getattr(loss(name), side)(Turn(lambda asked: DiscriminatorOutput(asked.values.squeeze(1)), *samples)).total
        gradients = torch.autograd.grad(total, [entry.values for entry in samples], allow_unused=True)
        assert total.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


def test_a_sure_discriminator_starves_minimax_but_not_non_saturating(loss) -> None:
    critic, real, fake = spoken(ZERO + 20, ZERO - 20)
    steepness = {}
    for name in ("minimax", "non-saturating"):
        (gradient,) = torch.autograd.grad(loss(name).generator(Turn(critic, real, fake)).total, fake.values)
        steepness[name] = gradient.abs().sum().item()
    assert steepness["minimax"] < 1e-8
    assert steepness["non-saturating"] == pytest.approx(1.0)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_labels_are_plain_words_and_no_second_order_is_claimed(name: str, loss) -> None:
    built = loss(name)
    assert built.second_order is False
    assert all(len(reading.label) > 20 and reading.label == reading.label.strip() for reading in built.term_info.values())


PENALTIES = {"r1": "r1", "r2": "r2", "gradient-penalty": "gradient-penalty"}


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


REAL_POINTS, FAKE_POINTS = Samples(points(0, 7, 3)), Samples(points(1, 7, 3))


class Quadratic(torch.nn.Module):
    """l(x) = ½ s ‖x‖², whose gradient is s x."""

    def __init__(self, slope: float = 1.5) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(slope, dtype=torch.float64))
        self.asked: list[Samples] = []

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        self.asked.append(samples)
        return DiscriminatorOutput(self.slope * samples.values.flatten(1).square().sum(1) / 2)


def linear(direction: Tensor) -> Callable[[Samples], DiscriminatorOutput]:
    """l(x) = w·x, whose gradient is w everywhere."""
    return lambda samples: DiscriminatorOutput(samples.values.flatten(1) @ direction)


@pytest.mark.parametrize(("name", "where"), [("r1", REAL_POINTS), ("r2", FAKE_POINTS)])
def test_r1_and_r2_are_half_the_mean_squared_slope(name: str, where: Samples, loss) -> None:
    critic = Quadratic()

    terms = loss(name).discriminator(Turn(critic, REAL_POINTS, FAKE_POINTS))

    mean_square = where.values.square().sum(1).mean()
    assert terms.values[name].item() == pytest.approx(1.5**2 * mean_square.item() / 2, rel=1e-12)
    terms.total.backward()
    assert critic.slope.grad.item() == pytest.approx(1.5 * mean_square.item(), rel=1e-12)  # d/ds ½ s² E‖x‖² = s E‖x‖²


@pytest.mark.parametrize("shape", [(5, 2), (5, 1, 3, 3)])
@pytest.mark.parametrize("name", PENALTIES)
def test_slopes_are_each_samples_own_for_points_and_images(name: str, shape: tuple[int, ...], loss) -> None:
    """A linear critic of slope 3 has the same slope everywhere, whatever the batch size."""
    size = points(0, *shape)[0].numel()
    direction = torch.full((size,), 3 / size**0.5, dtype=torch.float64).requires_grad_()

    terms = loss(name).discriminator(Turn(linear(direction), Samples(points(2, *shape)), Samples(points(3, *shape))))

    assert terms.values[name].item() == pytest.approx((3 - 1) ** 2 if name == "gradient-penalty" else 3**2 / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("params", "slope", "expected"),
    [
        ({}, 0.5, 0.25),
        ({}, 2.0, 1.0),
        ({"two_sided": False}, 0.5, 0.0),
        ({"two_sided": False}, 2.0, 1.0),
        ({"target": 0.0}, 2.0, 4.0),
    ],
)
def test_gradient_penalty_has_a_target_and_sides(params: dict, slope: float, expected: float, loss) -> None:
    direction = torch.tensor([0.0, slope, 0.0], dtype=torch.float64, requires_grad=True)
    terms = loss("gradient-penalty", **params).discriminator(Turn(linear(direction), REAL_POINTS, FAKE_POINTS))
    assert terms.total.item() == pytest.approx(expected)


def test_gradient_penalty_stands_between_paired_real_and_fake_with_one_share_each(loss) -> None:
    critic = Quadratic()
    torch.manual_seed(3)
    found = loss("gradient-penalty").discriminator(Turn(critic, REAL_POINTS, FAKE_POINTS)).total.item()

    torch.manual_seed(3)
    share = torch.rand(7, 1, dtype=torch.float64)
    between = share * REAL_POINTS.values + (1 - share) * FAKE_POINTS.values
    torch.testing.assert_close(critic.asked[0].values, between)
    assert found == pytest.approx((1.5 * between.norm(dim=1) - 1).square().mean().item(), rel=1e-12)
    assert share.unique().numel() == 7


def test_gradient_penalty_draws_one_share_per_image(loss) -> None:
    critic = Quadratic()
    real, fake = Samples(torch.ones(4, 2, 3, 3)), Samples(torch.zeros(4, 2, 3, 3))
    loss("gradient-penalty").discriminator(Turn(critic, real, fake))
    shares = critic.asked[0].values.flatten(1)
    assert torch.equal(shares.min(1).values, shares.max(1).values)
    assert shares[:, 0].unique().numel() == 4


def test_a_flat_critic_gives_finite_gradients(loss) -> None:
    """The norm's derivative at 0 must not become NaN in the second backward pass."""
    for name in PENALTIES:
        direction = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        total = loss(name).discriminator(Turn(linear(direction), REAL_POINTS, FAKE_POINTS)).total
        (gradient,) = torch.autograd.grad(total, direction)
        assert gradient.isfinite().all(), name


@pytest.mark.parametrize("name", PENALTIES)
def test_the_generators_turn_is_empty(name: str, loss) -> None:
    assert list(loss(name).generator(Turn(Quadratic(), REAL_POINTS, FAKE_POINTS))) == []


@pytest.mark.parametrize("name", PENALTIES)
def test_the_samples_keep_labels_and_stay_untouched(name: str, loss) -> None:
    labels = torch.arange(7)
    real, fake = Samples(REAL_POINTS.values.clone(), labels), Samples(FAKE_POINTS.values.clone(), labels)
    critic = Quadratic()

    loss(name).discriminator(Turn(critic, real, fake))

    (asked,) = critic.asked
    assert torch.equal(asked.labels, labels)
    assert asked.values.requires_grad
    assert not real.values.requires_grad
    assert not fake.values.requires_grad


def test_no_gradient_reaches_what_made_the_fakes(loss) -> None:
    """In case a caller hands over fakes with their graph: a penalty starts from leaves of its own."""
    made = FAKE_POINTS.values.clone().requires_grad_()
    for name in PENALTIES:
        total = loss(name).discriminator(Turn(Quadratic(), REAL_POINTS, Samples(made * 2))).total
        assert torch.autograd.grad(total, made, allow_unused=True) == (None,)


@pytest.mark.parametrize("name", PENALTIES)
def test_term_info(name: str, loss) -> None:
    built = loss(name)
    assert built.second_order is True
    assert set(built.term_info) == {f"discriminator/{name}"}
    assert built.term_info[f"discriminator/{name}"].equilibrium == (None if name == "gradient-penalty" else 0.0)

"""The penalties on critics whose gradient is known by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ganforge.plugin import DiscriminatorOutput, Samples

PENALTIES = {"r1": "r1", "r2": "r2", "gradient-penalty": "gradient-penalty"}


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


REAL, FAKE = Samples(points(0, 7, 3)), Samples(points(1, 7, 3))


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


@pytest.mark.parametrize(("name", "where"), [("r1", REAL), ("r2", FAKE)])
def test_r1_and_r2_are_half_the_mean_squared_slope(name: str, where: Samples, loss) -> None:
    critic = Quadratic()

    terms = loss(name).discriminator(critic, REAL, FAKE)

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

    terms = loss(name).discriminator(linear(direction), Samples(points(2, *shape)), Samples(points(3, *shape)))

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
    terms = loss("gradient-penalty", **params).discriminator(linear(direction), REAL, FAKE)
    assert terms.total.item() == pytest.approx(expected)


def test_gradient_penalty_stands_between_paired_real_and_fake_with_one_share_each(loss) -> None:
    critic = Quadratic()
    torch.manual_seed(3)
    found = loss("gradient-penalty").discriminator(critic, REAL, FAKE).total.item()

    torch.manual_seed(3)
    share = torch.rand(7, 1, dtype=torch.float64)
    between = share * REAL.values + (1 - share) * FAKE.values
    torch.testing.assert_close(critic.asked[0].values, between)
    assert found == pytest.approx((1.5 * between.norm(dim=1) - 1).square().mean().item(), rel=1e-12)
    assert share.unique().numel() == 7


def test_gradient_penalty_draws_one_share_per_image(loss) -> None:
    critic = Quadratic()
    real, fake = Samples(torch.ones(4, 2, 3, 3)), Samples(torch.zeros(4, 2, 3, 3))
    loss("gradient-penalty").discriminator(critic, real, fake)
    shares = critic.asked[0].values.flatten(1)
    assert torch.equal(shares.min(1).values, shares.max(1).values)
    assert shares[:, 0].unique().numel() == 4


def test_a_flat_critic_gives_finite_gradients(loss) -> None:
    """The norm's derivative at 0 must not become NaN in the second backward pass."""
    for name in PENALTIES:
        direction = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        total = loss(name).discriminator(linear(direction), REAL, FAKE).total
        (gradient,) = torch.autograd.grad(total, direction)
        assert gradient.isfinite().all(), name


@pytest.mark.parametrize("name", PENALTIES)
def test_the_generators_turn_is_empty(name: str, loss) -> None:
    assert list(loss(name).generator(Quadratic(), REAL, FAKE)) == []


@pytest.mark.parametrize("name", PENALTIES)
def test_the_samples_keep_labels_and_stay_untouched(name: str, loss) -> None:
    labels = torch.arange(7)
    real, fake = Samples(REAL.values.clone(), labels), Samples(FAKE.values.clone(), labels)
    critic = Quadratic()

    loss(name).discriminator(critic, real, fake)

    (asked,) = critic.asked
    assert torch.equal(asked.labels, labels)
    assert asked.values.requires_grad
    assert not real.values.requires_grad
    assert not fake.values.requires_grad


def test_no_gradient_reaches_what_made_the_fakes(loss) -> None:
    """In case a caller hands over fakes with their graph: a penalty starts from leaves of its own."""
    made = FAKE.values.clone().requires_grad_()
    for name in PENALTIES:
        total = loss(name).discriminator(Quadratic(), REAL, Samples(made * 2)).total
        assert torch.autograd.grad(total, made, allow_unused=True) == (None,)


@pytest.mark.parametrize("name", PENALTIES)
def test_term_info(name: str, loss) -> None:
    built = loss(name)
    assert built.second_order is True
    assert set(built.term_info) == {f"discriminator/{name}"}
    assert built.term_info[f"discriminator/{name}"].equilibrium == (None if name == "gradient-penalty" else 0.0)

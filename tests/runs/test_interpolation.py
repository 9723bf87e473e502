"""Walks in numbers: lines against their closed form, arcs by their ends, angles and lengths."""

from __future__ import annotations

import math

import pytest
import torch

from ganforge.builtin.samplers import (
    LabelledParams,
    NormalParams,
    StructuredParams,
    UniformParams,
    build_labelled,
    build_normal,
    build_structured,
    build_uniform,
)
from ganforge.core.contracts import SamplerContext
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec
from ganforge.runs.interpolation import default_method, interpolate, interpolate_through, lerp, slerp

SHARES = torch.linspace(0, 1, 9)
DATA = SamplerContext(DataSpec((2,), classes=2))


def noise(rows, width, seed=0, kind=torch.float64):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=kind)


def angles(arc):
    """``(n, s, z)`` → ``(n, s - 1)`` angles between neighbours on the way."""
    unit = arc / arc.norm(dim=-1, keepdim=True)
    one, other = unit[:, :-1], unit[:, 1:]
    return 2 * torch.atan2((one - other).norm(dim=-1), (one + other).norm(dim=-1))


def test_a_line_is_its_closed_form():
    start, end = noise(5, 7), noise(5, 7, 1)

    line = lerp(start, end, SHARES)

    expected = torch.stack([(1 - t) * start + t * end for t in SHARES.double()], dim=1)
    torch.testing.assert_close(line, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("way", [lerp, slerp])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_both_ends_are_exact(way, kind):
    start, end = noise(50, 16, kind=kind), noise(50, 16, 1, kind)

    found = way(start, end, SHARES)

    assert found.dtype == kind
    assert torch.equal(found[:, 0], start)
    assert torch.equal(found[:, -1], end)


def test_an_arc_turns_evenly_and_its_length_changes_evenly():
    start, end = noise(20, 30), 3 * noise(20, 30, 1)

    arc = slerp(start, end, SHARES)

    steps = angles(arc)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(arc.norm(dim=-1), lerp(start.norm(dim=1)[:, None], end.norm(dim=1)[:, None], SHARES)[..., 0])
    whole = torch.arccos(torch.nn.functional.cosine_similarity(start, end))
    torch.testing.assert_close(steps.sum(1), whole)


def test_vectors_of_one_length_follow_shoemakes_formula():
    start, end = noise(10, 4), noise(10, 4, 1)
    end = end / end.norm(dim=1, keepdim=True) * start.norm(dim=1, keepdim=True)
    angle = torch.arccos(torch.nn.functional.cosine_similarity(start, end))[:, None, None]

    along = SHARES.double()[None, :, None]
    expected = (((1 - along) * angle).sin() * start[:, None] + (along * angle).sin() * end[:, None]) / angle.sin()

    torch.testing.assert_close(slerp(start, end, SHARES), expected)


@pytest.mark.parametrize("apart", [1e-3, 1e-8, 1e-12, 1e-15, 0.0])
def test_small_angles_lose_no_digits(apart):
    """An arc cosine is 0 or off by 1e-8 here, and sin(tΩ)/sin(Ω) divides 0 by 0."""
    start = torch.tensor([[2.0, 0.0, 0.0]], dtype=torch.float64)
    end = torch.tensor([[2 * math.cos(apart), 2 * math.sin(apart), 0.0]], dtype=torch.float64)

    arc = slerp(start, end, SHARES)

    expected = torch.stack([torch.cos(apart * SHARES.double()), torch.sin(apart * SHARES.double())], dim=1) * 2
    torch.testing.assert_close(arc[0, :, :2], expected, rtol=1e-9, atol=1e-27 if apart else 1e-300)
    torch.testing.assert_close(arc[0, :, 2], torch.zeros(9, dtype=torch.float64), rtol=0, atol=1e-11 * apart)


@pytest.mark.parametrize("short_of", [1e-3, 1e-6, 1e-10, 0.0])
def test_opposite_vectors_are_joined_by_half_a_circle(short_of):
    start = noise(6, 5)
    start = start / start.norm(dim=1, keepdim=True)
    across = noise(6, 5, 1)
    across = across - (across * start).sum(1, keepdim=True) * start
    across = across / across.norm(dim=1, keepdim=True)
    end = -math.cos(short_of) * start + math.sin(short_of) * across

    arc = slerp(start, end, SHARES)

    torch.testing.assert_close(angles(arc), torch.full((6, 8), (math.pi - short_of) / 8, dtype=torch.float64), rtol=1e-5, atol=0)
    torch.testing.assert_close(arc.norm(dim=-1), torch.ones(6, 9, dtype=torch.float64))
    assert torch.equal(arc, slerp(start, end, SHARES))


def test_where_there_is_no_arc_the_way_is_straight():
    """One dimension has two directions and nothing between; a vector of length 0 has none."""
    one, other = torch.tensor([[2.0], [1.0]]), torch.tensor([[-1.0], [3.0]])
    assert torch.equal(slerp(one, other, SHARES), lerp(one, other, SHARES))

    start, end = torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert torch.equal(slerp(start, end, SHARES), lerp(start, end, SHARES))


def test_normal_noise_is_walked_on_its_sphere_and_bounded_noise_straight():
    structured = {"size": 3, "categorical": (2,), "continuous": 1}
    assert default_method(build_normal(NormalParams(size=3), DATA)) == "spherical"
    assert default_method(build_uniform(UniformParams(size=3), DATA)) == "linear"
    for kind, way in (("normal", "spherical"), ("uniform", "linear")):
        assert default_method(build_structured(StructuredParams(**structured, distribution=kind), DATA)) == way
        assert default_method(build_labelled(LabelledParams(size=3, distribution=kind), DATA)) == way


def test_bounds_hold_and_a_line_stays_inside():
    sampler = build_uniform(UniformParams(size=3, low=-2.0, high=0.5), DATA)
    start, end = (sampler.draw(400, torch.Generator().manual_seed(seed)) for seed in (0, 1))

    walked = interpolate(start, end, 5, "linear").latent.noise

    assert sampler.noise_bounds == (-2.0, 0.5)
    assert -2.0 <= walked.min() < -1.9
    assert 0.4 < walked.max() <= 0.5


@pytest.fixture
def ends():
    def latent(seed):
        draw = torch.Generator().manual_seed(seed)
        codes = Codes(torch.randint(0, 5, (3, 1), generator=draw), torch.rand(3, 2, generator=draw))
        return Latent(torch.randn(3, 4, generator=draw), torch.randint(0, 9, (3,), generator=draw), codes)

    return latent(0), latent(1)


@pytest.mark.parametrize(("how", "way"), [("linear", lerp), ("spherical", slerp)])
def test_labels_and_categorical_codes_stay_along_a_row(ends, how, way):
    start, end = ends
    walk = interpolate(start, end, 4, how, ["a", "b", "c"])

    shares = torch.linspace(0, 1, 4)
    assert (walk.columns, walk.names, len(walk.latent)) == (4, ("a", "b", "c"), 12)
    assert walk.latent.labels.reshape(3, 4).tolist() == [[label] * 4 for label in start.labels.tolist()]
    assert torch.equal(walk.latent.codes.categorical[::4], start.codes.categorical)
    assert torch.equal(walk.latent.codes.categorical[3::4], start.codes.categorical)
    assert torch.equal(walk.latent.codes.continuous.reshape(3, 4, 2), lerp(start.codes.continuous, end.codes.continuous, shares))
    assert torch.equal(walk.latent.noise.reshape(3, 4, 4), way(start.noise, end.noise, shares))


def test_a_walk_of_one_step_is_its_start(ends):
    walk = interpolate(*ends, 1, "spherical")

    assert torch.equal(walk.latent.noise, ends[0].noise)
    assert walk.names == ("", "", "")


@pytest.mark.parametrize("steps", [2, 3, 4, 6, 24, 100])
def test_a_way_through_several_stops_goes_to_the_last_and_waits_nowhere(steps):
    stops = Latent(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]))

    way = interpolate_through(stops, steps, "linear")

    torch.testing.assert_close(way.noise[:, 0], torch.linspace(0, 5, steps))


def test_what_does_not_move_changes_from_stop_to_stop():
    stops = Latent(torch.zeros(3, 1), torch.tensor([4, 7, 2]))

    assert interpolate_through(stops, 6, "spherical").labels.tolist() == [4, 4, 4, 7, 7, 7]

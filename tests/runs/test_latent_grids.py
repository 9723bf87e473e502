"""Interpolations against their closed form; traversals of every built-in sampler; labels and codes set in latents."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import ganforge
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
from ganforge.core.errors import UsageError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.runs.latent_grids import MAX_ROWS, default_method, interpolate, interpolate_through, lerp, slerp, traverse

SHARES = torch.linspace(0, 1, 9)
PLANE = SamplerContext(DataSpec((2,), classes=2))


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
    assert default_method(build_normal(NormalParams(size=3), PLANE)) == "spherical"
    assert default_method(build_uniform(UniformParams(size=3), PLANE)) == "linear"
    for kind, way in (("normal", "spherical"), ("uniform", "linear")):
        assert default_method(build_structured(StructuredParams(**structured, distribution=kind), PLANE)) == way
        assert default_method(build_labelled(LabelledParams(size=3, distribution=kind), PLANE)) == way


def test_bounds_hold_and_a_line_stays_inside():
    sampler = build_uniform(UniformParams(size=3, low=-2.0, high=0.5), PLANE)
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


DATA = DataSpec((1, 4, 4), classes=3)
CONTEXT = SamplerContext(DATA)
STRUCTURED = build_structured(StructuredParams(size=4, categorical=(3, 2), continuous=2, distribution="uniform"), CONTEXT)
LABELLED = build_labelled(LabelledParams(size=4), CONTEXT)
NORMAL = build_normal(NormalParams(size=12), CONTEXT)


def bases(sampler, across=5, down=3):
    return tuple(sampler.draw(count, torch.Generator().manual_seed(count)) for count in (across, down))


def rows(walk, part):
    return part.reshape(len(walk.names), walk.columns, -1)


def test_a_row_for_each_label_with_the_same_noise_in_each_column():
    fixed = bases(LABELLED)
    walk = traverse(*fixed, LABELLED, DATA)

    assert walk.names == ("class 0", "class 1", "class 2")
    assert walk.latent.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert all(torch.equal(row, fixed[0].noise) for row in rows(walk, walk.latent.noise))


def test_classes_have_their_names_even_if_two_are_equal():
    walk = traverse(*bases(LABELLED), LABELLED, DataSpec((2,), classes=3, class_names=("coat", "shoe", "coat")))

    assert walk.names == ("coat", "shoe", "coat")
    assert len(walk.latent) == 15


def test_all_codes_at_once_values_of_the_first_and_a_row_for_each_continuous_one():
    fixed = bases(STRUCTURED)
    walk = traverse(*fixed, STRUCTURED, DATA)

    codes = walk.latent.codes
    assert walk.names == ("code 0 = 0", "code 0 = 1", "code 0 = 2", "code 2", "code 3")
    categorical, continuous = rows(walk, codes.categorical), rows(walk, codes.continuous)
    assert [row[:, 0].tolist() for row in categorical[:3]] == [[0] * 5, [1] * 5, [2] * 5]
    for row in categorical[:3]:  # the other codes and the noise stay
        assert torch.equal(row[:, 1], fixed[0].codes.categorical[:, 1])
    assert torch.equal(continuous[0], fixed[0].codes.continuous)
    sweep = torch.linspace(-1, 1, 5)
    for row, column in ((3, 0), (4, 1)):
        assert torch.equal(continuous[row][:, column], sweep)
        assert (continuous[row][:, 1 - column] == fixed[1].codes.continuous[0, 1 - column]).all()
        assert (rows(walk, walk.latent.noise)[row] == fixed[1].noise[0]).all()


def test_one_categorical_code():
    walk = traverse(*bases(STRUCTURED), STRUCTURED, DATA, code=1)

    assert walk.names == ("code 1 = 0", "code 1 = 1")
    assert rows(walk, walk.latent.codes.categorical)[:, :, 1].tolist() == [[0] * 5, [1] * 5]


def test_one_continuous_code_for_each_value_of_the_first():
    fixed = bases(STRUCTURED)
    walk = traverse(*fixed, STRUCTURED, DATA, code=3)

    assert walk.names == ("code 0 = 0", "code 0 = 1", "code 0 = 2")
    assert rows(walk, walk.latent.codes.categorical)[:, :, 0].tolist() == [[0] * 5, [1] * 5, [2] * 5]
    assert (rows(walk, walk.latent.codes.continuous)[:, :, 1] == torch.linspace(-1, 1, 5)).all()
    assert (walk.latent.noise == fixed[1].noise[0]).all()


def test_without_labels_and_codes_the_noise_is_swept_one_dimension_a_row():
    fixed = bases(NORMAL, down=8)
    walk = traverse(*fixed, NORMAL, DATA)

    assert walk.names == tuple(f"noise {at}" for at in range(8))
    noise = rows(walk, walk.latent.noise)
    for at in range(8):
        torch.testing.assert_close(noise[at, :, at], torch.linspace(-2, 2, 5))
        others = [dimension for dimension in range(12) if dimension != at]
        assert (noise[at][:, others] == fixed[1].noise[0, others]).all()


@pytest.mark.parametrize(("down", "rows"), [(2, 2), (30, 12)])
def test_as_many_dimensions_as_are_asked_for_and_there_are(down, rows):
    assert traverse(*bases(NORMAL, down=down), NORMAL, DATA).names == tuple(f"noise {at}" for at in range(rows))


def test_one_dimension_of_the_noise_from_several_latents():
    fixed = bases(NORMAL)
    walk = traverse(*fixed, NORMAL, DATA, noise=11)

    noise = rows(walk, walk.latent.noise)
    assert walk.names == ("", "", "")
    assert torch.equal(noise[:, 2, :11], fixed[1].noise[:, :11])
    assert (noise[:, :, 11] == torch.linspace(-2, 2, 5)).all()


def test_one_dimension_of_the_noise_for_each_label_or_for_the_label_that_is_held():
    fixed = bases(LABELLED)

    walk = traverse(*fixed, LABELLED, DATA, noise=0)
    assert walk.latent.labels.reshape(3, 5)[:, 0].tolist() == [0, 1, 2]
    assert (walk.latent.noise[:, 1:] == fixed[1].noise[0, 1:]).all()

    held = traverse(*fixed, LABELLED, DATA, noise=0, hold_label=True)
    assert held.names == ("", "", "")
    assert held.latent.labels.reshape(3, 5)[:, 0].tolist() == fixed[1].labels.tolist()


def test_a_sweep_of_bounded_noise_ends_at_its_bounds():
    sampler = build_uniform(UniformParams(size=2, low=0.0, high=1.0), CONTEXT)
    walk = traverse(*bases(sampler), sampler, DATA, noise=1)

    torch.testing.assert_close(rows(walk, walk.latent.noise)[0, :, 1], torch.linspace(0, 1, 5))


def test_moments_that_are_not_declared_are_found():
    class Silent:
        spec = LatentSpec(2)

        def draw(self, count, generator):
            return Latent(torch.randn(count, 2, generator=generator) * torch.tensor([1.0, 5.0]) + 100)

    walk = traverse(*bases(Silent()), Silent(), DATA, noise=1)

    ends = rows(walk, walk.latent.noise)[0, [0, -1], 1]
    torch.testing.assert_close(ends, torch.tensor([90.0, 110.0]), rtol=0, atol=1.0)


def test_a_sweep_of_one_step_stands_in_the_middle():
    walk = traverse(*bases(NORMAL, across=1), NORMAL, DATA, noise=0)

    assert walk.latent.noise[:, 0].tolist() == [0.0] * 3


def test_many_classes_are_cut_off():
    many = DataSpec((2,), classes=1000)
    sampler = build_labelled(LabelledParams(size=2), SamplerContext(many))

    assert len(traverse(*bases(sampler), sampler, many).names) == MAX_ROWS


@pytest.mark.parametrize(
    ("sampler", "asked", "message", "remedy"),
    [
        (
            STRUCTURED,
            {"code": 4},
            "there is no code 4",
            "its codes: code 0: 0 to 2, code 1: 0 to 1, code 2: -1 to 1, code 3: -1 to 1",
        ),
        (STRUCTURED, {"code": -1}, "there is no code -1", "its codes: code 0: 0 to 2"),
        (NORMAL, {"code": 0}, "takes no code", "structured"),
        (NORMAL, {"noise": 12}, "noise has no dimension 12", "from 0 to 11"),
        (NORMAL, {"noise": -1}, "noise has no dimension -1", "from 0 to 11"),
    ],
)
def test_what_a_generator_lacks_is_reported_with_what_it_has(sampler, asked, message, remedy):
    with pytest.raises(UsageError, match=message) as caught:
        traverse(*bases(sampler), sampler, DATA, **asked)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("label", [1.5, math.nan, math.inf, "up", [1, 0], True, 2, -1, np.array([1])])
def test_what_is_no_label_is_refused(bundle, label):
    with pytest.raises(UsageError, match=r"there is no label .*labels: upper, lower"):
        ganforge.load(bundle("cgan_moons")).sample(3, label=label)


@pytest.mark.parametrize("label", [1, 1.0, np.int64(1), torch.tensor(1)])
def test_a_label_is_any_whole_number(bundle, label):
    assert ganforge.load(bundle("cgan_moons")).sample(3, label=label)["labels"].tolist() == ["lower"] * 3


@pytest.mark.parametrize("code", [3, "1", 0.5, {1}])
def test_codes_that_are_no_list_are_refused(bundle, code):
    with pytest.raises(UsageError, match="codes must be a list of numbers"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=code)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", 0.5, 2, [1], True])
def test_what_is_no_value_of_a_categorical_code_is_refused(bundle, value):
    with pytest.raises(UsageError, match=r"code 0 cannot be .*integer from 0 to 1"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=[value])


@pytest.mark.parametrize("value", [math.nan, -math.inf, "1", [0.5], True])
def test_what_is_no_value_of_a_continuous_code_is_refused(bundle, value):
    with pytest.raises(UsageError, match=r"code 1 cannot be .*training draws it from -1 to 1"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=[None, value])


def test_a_continuous_code_may_go_further_than_training_did(bundle):
    drawn = ganforge.load(bundle("infogan_digits")).sample(2, code=[None, -2])
    assert drawn["codes"][:, 1].tolist() == [-2.0] * 2


def test_codes_are_any_list_of_numbers(bundle):
    generator = ganforge.load(bundle("infogan_moons"))

    for code in ([1, -1], (1.0, -1.0), np.array([1.0, -1.0]), [np.int64(1), torch.tensor(-1.0)]):
        assert generator.sample(2, code=code)["codes"].tolist() == [[1.0, -1.0]] * 2

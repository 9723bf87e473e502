"""Labels and codes put into latents, and one input varied while all others are held; of every built-in sampler."""

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
from ganforge.core.records import Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.runs.traversal import MAX_ROWS, Anchors, traverse

DATA = DataSpec((1, 4, 4), classes=3)
CONTEXT = SamplerContext(DATA)
STRUCTURED = build_structured(StructuredParams(size=4, categorical=(3, 2), continuous=2, distribution="uniform"), CONTEXT)
LABELLED = build_labelled(LabelledParams(size=4), CONTEXT)
NORMAL = build_normal(NormalParams(size=12), CONTEXT)


def bases(sampler, across=5, down=3):
    return Anchors(*(sampler.draw(count, torch.Generator().manual_seed(count)) for count in (across, down)))


def rows(walk, part):
    return part.reshape(len(walk.names), walk.columns, -1)


def test_a_row_for_each_label_with_the_same_noise_in_each_column():
    fixed = bases(LABELLED)
    walk = traverse(fixed, LABELLED, DATA)

    assert walk.names == ("class 0", "class 1", "class 2")
    assert walk.latent.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert all(torch.equal(row, fixed.across.noise) for row in rows(walk, walk.latent.noise))


def test_classes_have_their_names_even_if_two_are_equal():
    walk = traverse(bases(LABELLED), LABELLED, DataSpec((2,), classes=3, class_names=("coat", "shoe", "coat")))

    assert walk.names == ("coat", "shoe", "coat")
    assert len(walk.latent) == 15


def test_all_codes_at_once_values_of_the_first_and_a_row_for_each_continuous_one():
    fixed = bases(STRUCTURED)
    walk = traverse(fixed, STRUCTURED, DATA)

    codes = walk.latent.codes
    assert walk.names == ("code 0 = 0", "code 0 = 1", "code 0 = 2", "code 2", "code 3")
    categorical, continuous = rows(walk, codes.categorical), rows(walk, codes.continuous)
    assert [row[:, 0].tolist() for row in categorical[:3]] == [[0] * 5, [1] * 5, [2] * 5]
    for row in categorical[:3]:  # the other codes and the noise stay
        assert torch.equal(row[:, 1], fixed.across.codes.categorical[:, 1])
    assert torch.equal(continuous[0], fixed.across.codes.continuous)
    sweep = torch.linspace(-1, 1, 5)
    for row, column in ((3, 0), (4, 1)):
        assert torch.equal(continuous[row][:, column], sweep)
        assert (continuous[row][:, 1 - column] == fixed.down.codes.continuous[0, 1 - column]).all()
        assert (rows(walk, walk.latent.noise)[row] == fixed.down.noise[0]).all()


def test_one_categorical_code():
    walk = traverse(bases(STRUCTURED), STRUCTURED, DATA, code=1)

    assert walk.names == ("code 1 = 0", "code 1 = 1")
    assert rows(walk, walk.latent.codes.categorical)[:, :, 1].tolist() == [[0] * 5, [1] * 5]


def test_one_continuous_code_for_each_value_of_the_first():
    fixed = bases(STRUCTURED)
    walk = traverse(fixed, STRUCTURED, DATA, code=3)

    assert walk.names == ("code 0 = 0", "code 0 = 1", "code 0 = 2")
    assert rows(walk, walk.latent.codes.categorical)[:, :, 0].tolist() == [[0] * 5, [1] * 5, [2] * 5]
    assert (rows(walk, walk.latent.codes.continuous)[:, :, 1] == torch.linspace(-1, 1, 5)).all()
    assert (walk.latent.noise == fixed.down.noise[0]).all()


def test_without_labels_and_codes_the_noise_is_swept_one_dimension_a_row():
    fixed = bases(NORMAL, down=8)
    walk = traverse(fixed, NORMAL, DATA)

    assert walk.names == tuple(f"noise {at}" for at in range(8))
    noise = rows(walk, walk.latent.noise)
    for at in range(8):
        torch.testing.assert_close(noise[at, :, at], torch.linspace(-2, 2, 5))
        others = [dimension for dimension in range(12) if dimension != at]
        assert (noise[at][:, others] == fixed.down.noise[0, others]).all()


@pytest.mark.parametrize(("down", "rows"), [(2, 2), (30, 12)])
def test_as_many_dimensions_as_are_asked_for_and_there_are(down, rows):
    assert traverse(bases(NORMAL, down=down), NORMAL, DATA).names == tuple(f"noise {at}" for at in range(rows))


def test_one_dimension_of_the_noise_from_several_latents():
    fixed = bases(NORMAL)
    walk = traverse(fixed, NORMAL, DATA, noise=11)

    noise = rows(walk, walk.latent.noise)
    assert walk.names == ("", "", "")
    assert torch.equal(noise[:, 2, :11], fixed.down.noise[:, :11])
    assert (noise[:, :, 11] == torch.linspace(-2, 2, 5)).all()


def test_one_dimension_of_the_noise_for_each_label_or_for_the_label_that_is_held():
    fixed = bases(LABELLED)

    walk = traverse(fixed, LABELLED, DATA, noise=0)
    assert walk.latent.labels.reshape(3, 5)[:, 0].tolist() == [0, 1, 2]
    assert (walk.latent.noise[:, 1:] == fixed.down.noise[0, 1:]).all()

    held = traverse(fixed, LABELLED, DATA, noise=0, hold_label=True)
    assert held.names == ("", "", "")
    assert held.latent.labels.reshape(3, 5)[:, 0].tolist() == fixed.down.labels.tolist()


def test_a_sweep_of_bounded_noise_ends_at_its_bounds():
    sampler = build_uniform(UniformParams(size=2, low=0.0, high=1.0), CONTEXT)
    walk = traverse(bases(sampler), sampler, DATA, noise=1)

    torch.testing.assert_close(rows(walk, walk.latent.noise)[0, :, 1], torch.linspace(0, 1, 5))


def test_moments_that_nobody_promises_are_found():
    class Silent:
        spec = LatentSpec(2)

        def draw(self, count, generator):
            return Latent(torch.randn(count, 2, generator=generator) * torch.tensor([1.0, 5.0]) + 100)

    walk = traverse(bases(Silent()), Silent(), DATA, noise=1)

    ends = rows(walk, walk.latent.noise)[0, [0, -1], 1]
    torch.testing.assert_close(ends, torch.tensor([90.0, 110.0]), rtol=0, atol=1.0)


def test_a_sweep_of_one_step_stands_in_the_middle():
    walk = traverse(bases(NORMAL, across=1), NORMAL, DATA, noise=0)

    assert walk.latent.noise[:, 0].tolist() == [0.0] * 3


def test_many_classes_are_cut_off():
    many = DataSpec((2,), classes=1000)
    sampler = build_labelled(LabelledParams(size=2), SamplerContext(many))

    assert len(traverse(bases(sampler), sampler, many).names) == MAX_ROWS


@pytest.mark.parametrize(
    ("sampler", "asked", "message", "remedy"),
    [
        (
            STRUCTURED,
            {"code": 4},
            "there is no code 4",
            "codes are 0 with 3 values, 1 with 2 values, 2 from -1 to 1, 3 from -1 to 1",
        ),
        (STRUCTURED, {"code": -1}, "there is no code -1", "codes are 0 with"),
        (NORMAL, {"code": 0}, "takes no code", "structured"),
        (NORMAL, {"noise": 12}, "noise has no dimension 12", "from 0 to 11"),
        (NORMAL, {"noise": -1}, "noise has no dimension -1", "from 0 to 11"),
    ],
)
def test_what_a_generator_lacks_is_told_with_what_it_has(sampler, asked, message, remedy):
    with pytest.raises(UsageError, match=message) as caught:
        traverse(bases(sampler), sampler, DATA, **asked)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("label", [1.5, math.nan, math.inf, "1", [1, 0], True, 2, -1, np.array([1])])
def test_what_is_no_label_is_refused(bundle, label):
    with pytest.raises(UsageError, match="labels go from 0 to 1"):
        ganforge.load(bundle("cgan_moons")).sample(3, label=label)


@pytest.mark.parametrize("label", [1, 1.0, np.int64(1), torch.tensor(1)])
def test_a_label_is_any_whole_number(bundle, label):
    assert ganforge.load(bundle("cgan_moons")).sample(3, label=label)["labels"].tolist() == [1] * 3


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

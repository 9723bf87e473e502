"""Specs of data and latents: sizes, normalization, and flat latents."""

import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec, Normalization

finite = st.floats(-1e6, 1e6)
counts = st.integers(0, 5)
mixtures = st.builds(
    GaussianMixture,
    means=st.lists(st.tuples(finite, finite), min_size=1, max_size=3).map(tuple),
    std=st.floats(1e-3, 10),
)
data_specs = st.builds(
    DataSpec,
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    classes=st.none() | st.integers(1, 9),
    class_names=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    class_shares=st.lists(st.floats(0, 1), max_size=2).map(tuple),
    value_range=st.none() | st.tuples(finite, finite),
    density=st.none() | mixtures,
    normalization=st.none() | st.builds(Normalization, offset=st.tuples(finite, finite), scale=st.tuples(finite, finite)),
)
latent_specs = st.builds(
    LatentSpec,
    noise=st.integers(1, 9),
    classes=st.none() | st.integers(1, 9),
    categorical=st.lists(st.integers(2, 9), max_size=3).map(tuple),
    continuous=counts,
)


@given(data_specs)
def test_a_data_spec_survives_json(spec):
    assert TypeAdapter(DataSpec).validate_python(json.loads(json.dumps(asdict(spec)))) == spec


@given(latent_specs)
def test_a_latent_spec_survives_json(spec):
    assert TypeAdapter(LatentSpec).validate_python(json.loads(json.dumps(asdict(spec)))) == spec


def test_sizes_and_forms():
    assert DataSpec((2,)).size == 2
    assert not DataSpec((2,)).is_image
    assert DataSpec((3, 8, 4)).size == 96
    assert DataSpec((3, 8, 4)).is_image


def test_shares_of_modes_are_equal_unless_given():
    assert GaussianMixture(((0.0,), (1.0,)), 0.1).shares == (0.5, 0.5)
    assert GaussianMixture(((0.0,), (1.0,)), 0.1, (0.9, 0.1)).shares == (0.9, 0.1)


def test_normalization_is_applied_feature_by_feature_and_undone():
    spec = DataSpec((2,), normalization=Normalization((1.0, -2.0), (2.0, 0.5)))
    own = torch.tensor([[1.0, -2.0], [3.0, -1.5]])
    assert torch.equal(spec.normalize(own), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert torch.equal(spec.denormalize(spec.normalize(own)), own)
    assert spec.value_range is None


def test_normalization_keeps_the_shape_of_images():
    spec = DataSpec((3, 2, 2), normalization=Normalization(tuple(range(12)), (2.0,) * 12))
    own = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert spec.normalize(own).shape == own.shape
    assert torch.equal(spec.denormalize(spec.normalize(own)), own)
    assert spec.normalize(own)[0].abs().sum() == 0


def test_unscaled_data_is_seen_as_it_is():
    values = torch.randn(3, 2)
    assert DataSpec((2,)).denormalize(values) is values
    assert DataSpec((2,)).normalize(values) is values


def test_a_flat_latent_holds_noise_one_hot_codes_and_continuous_codes():
    spec = LatentSpec(noise=2, classes=7, categorical=(2, 3), continuous=1)
    codes = Codes(torch.tensor([[1, 2], [0, 0]]), torch.tensor([[0.5], [-1.0]]))
    flat = spec.flatten(Latent(torch.tensor([[0.1, 0.2], [0.3, 0.4]]), codes=codes))
    assert spec.width == flat.shape[1] == 8
    expected = [[0.1, 0.2, 0, 1, 0, 0, 1, 0.5], [0.3, 0.4, 1, 0, 1, 0, 0, -1.0]]
    assert torch.equal(flat, torch.tensor(expected))


@given(latent_specs, st.integers(1, 4))
def test_the_width_is_that_of_the_flat_latent(spec, count):
    categorical = [torch.randint(values, (count,)) for values in spec.categorical]
    codes = Codes(
        torch.stack(categorical, dim=1) if categorical else torch.zeros(count, 0, dtype=torch.int64),
        torch.zeros(count, spec.continuous),
    )
    flat = spec.flatten(Latent(torch.zeros(count, spec.noise), codes=codes if spec.has_codes else None))
    assert flat.shape == (count, spec.width)
    assert flat.sum() == count * len(spec.categorical)


def test_plain_noise_is_its_own_flat_latent():
    noise = torch.randn(3, 2)
    assert LatentSpec(noise=2).flatten(Latent(noise)) is noise
    assert not LatentSpec(noise=2).has_codes
    assert LatentSpec(noise=2, continuous=1).has_codes


def test_promised_codes_that_are_missing_are_reported():
    with pytest.raises(IncompatiblePartsError, match="expects codes") as caught:
        LatentSpec(noise=2, categorical=(2,)).flatten(Latent(torch.zeros(1, 2)))
    assert "structured" in caught.value.remedy

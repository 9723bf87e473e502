"""Sizes that follow from params alone, so that a recipe is checked without torch."""

from __future__ import annotations

import math
from itertools import product

from ganforge.builtin.component_params import LabelledParams, NormalParams, StructuredParams, UniformParams
from ganforge.builtin.datasets.dataset_params import (
    DigitsParams,
    GaussianParams,
    GridParams,
    MoonsParams,
    RingParams,
    SwissRollParams,
)
from ganforge.builtin.datasets.split_sizes import training_shares
from ganforge.plugin import DataSpec, GaussianMixture, IncompatiblePartsError, LatentSpec

DIGITS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
"""How often each digit occurs in scikit-learn's 1,797 images."""


def noise_spec(params: NormalParams | UniformParams, _data: DataSpec) -> LatentSpec:
    """Plain noise."""
    return LatentSpec(noise=params.size)


def labelled_spec(params: LabelledParams, data: DataSpec) -> LatentSpec:
    """Noise and the data's classes.

    Raises:
        IncompatiblePartsError: the data has no labels.
    """
    if data.classes is None:
        raise IncompatiblePartsError(
            "sampler 'labelled' draws labels, and the data set has none",
            remedy="change sampler.use to 'normal', or dataset.use to labelled data",
        )
    return LatentSpec(noise=params.size, classes=data.classes)


def structured_spec(params: StructuredParams, _data: DataSpec) -> LatentSpec:
    """Noise and codes."""
    return LatentSpec(noise=params.size, categorical=params.categorical, continuous=params.continuous)


def moons_spec(params: MoonsParams) -> DataSpec:
    """Points in the plane, one class per moon."""
    upper = params.samples // 2
    shares = (upper / params.samples, (params.samples - upper) / params.samples)
    return DataSpec((2,), classes=2, class_names=("upper", "lower"), class_shares=shares)


def gaussian_spec(params: GaussianParams) -> DataSpec:
    """Numbers under one bell."""
    return DataSpec((1,), density=GaussianMixture(((params.mean,),), params.std))


def ring_spec(params: RingParams) -> DataSpec:
    """Modes at the angles 2πk/modes, counter-clockwise from (radius, 0); both ends of the circle are one mode."""
    angles = [2 * math.pi * mode / params.modes for mode in range(params.modes)]
    means = tuple((params.radius * math.cos(angle), params.radius * math.sin(angle)) for angle in angles)
    return _modes_spec(GaussianMixture(means, params.std), labelled=params.labelled)


def grid_spec(params: GridParams) -> DataSpec:
    """Modes on a square grid around the origin, row by row."""
    steps = [(step - (params.side - 1) / 2) * params.spacing for step in range(params.side)]
    return _modes_spec(GaussianMixture(tuple(product(steps, steps)), params.std), labelled=params.labelled)


def swiss_roll_spec(_params: SwissRollParams) -> DataSpec:
    """Points in the plane."""
    return DataSpec((2,))


def digits_spec(params: DigitsParams) -> DataSpec:
    """Small grey images of ten digits."""
    return DataSpec(
        (1, 8, 8),
        classes=10,
        class_names=tuple(map(str, range(10))),
        class_shares=training_shares(DIGITS, params.held_out),
        value_range=(-1.0, 1.0),
    )


def _modes_spec(density: GaussianMixture, *, labelled: bool) -> DataSpec:
    return DataSpec((2,), classes=len(density.means) if labelled else None, density=density)

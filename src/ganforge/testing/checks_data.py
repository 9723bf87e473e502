"""S and T checks: samplers and data sets."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, Dataset, KnownNoiseMoments, Sampler, SampleSource, StreamingDataset
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.registry.component import Kind
from ganforge.testing.component_case import ComponentCase, forbid_network, require_finite, require_random_state_unchanged
from ganforge.testing.conformance import BUILDS, CheckFailedError, NotApplicableError, check, require
from ganforge.train.real_samples import held_out_samples, read_samples, training_samples

_MANY = 200
_BATCHES = (1, 2, 7, _MANY)
_LARGE, _SMALL = 4000, 100
_FAR = 5
"""Allowed deviation of a moment, in standard errors: by chance less than one in a million."""
_TINY = 1e-6
_READS = (*BUILDS, "T04")


@check("S01", Kind.SAMPLER)
def draws_match_spec(subject: ComponentCase) -> None:
    """Latents match the spec in widths, classes and codes, for batches of 1, 2, 7 and 200."""
    sampler: Sampler = subject.build()
    for count in _BATCHES:
        _require_latents(sampler.spec, _draw(sampler, count), count)


@check("S02", Kind.SAMPLER)
def draws_only_from_generator(subject: ComponentCase) -> None:
    """Draws depend only on the given generator, and global random states do not change."""
    sampler: Sampler = subject.build()
    with require_random_state_unchanged("drawing"):
        one, same, other = _draw(sampler, _MANY, seed=1), _draw(sampler, _MANY, seed=1), _draw(sampler, _MANY, seed=2)
    require(_same(one, same), "two draws from equal generators differ: draw from the given generator")
    require(not _same(one, other), "draws from different generators are equal")


@check("S03", Kind.SAMPLER)
def sampler_spec_function_agrees(subject: ComponentCase) -> None:
    """The torch-free spec function agrees with the spec of the built sampler."""
    function = subject.component.load_spec()
    require(function is not None, "it has no spec function, so recipes cannot be checked without torch; pass spec=")
    expected, built = function(subject.params(), subject.data) if function else None, subject.build().spec
    require(expected == built, f"the function returns {expected}, the sampler has {built}")


@check("S04", Kind.SAMPLER)
def noise_has_declared_moments(subject: ComponentCase) -> None:
    """The noise has its declared moments, in large and small batches alike; every class and code value occurs.

    A sampler declares moments by ``noise_moments``. Without it, one large draw and many small draws must agree. With
    ``noise_bounds``, all noise must be within them.
    """
    sampler: Sampler = subject.build()
    large, stream = _draw(sampler, _LARGE), torch.Generator().manual_seed(3)
    small = torch.cat([sampler.draw(_SMALL, stream).noise for _ in range(_LARGE // _SMALL)]).double()
    noise = large.noise.double()
    require(bool((noise.var(0) > 0).all()), "a noise dimension is constant")
    consistent = _has_moments(noise, small.mean(0), small.var(0), _FAR * 2**0.5)
    require(consistent, f"large draws have the noise {_moments(noise)}, small ones {_moments(small)}")
    if isinstance(sampler, KnownNoiseMoments):
        mean, std = sampler.noise_moments
        declared = f"noise_moments is {mean:g} and {std:g} (squared: {std**2:g})"
        require(_has_moments(noise, mean, std**2), f"the noise has {_moments(noise)}, but {declared}")
    if isinstance(sampler, BoundedNoise) and sampler.noise_bounds is not None:
        low, high = sampler.noise_bounds
        inside = low <= float(noise.min()) and float(noise.max()) <= high
        require(inside, f"the noise goes from {noise.min():.3g} to {noise.max():.3g}, but noise_bounds is {low:g} to {high:g}")
    _require_all_values(sampler.spec, large)


@check("T01", Kind.DATASET, after=_READS)
def samples_match_spec(subject: ComponentCase) -> None:
    """Training and held-out samples match the spec in shape, range, classes and class shares."""
    with subject.built_dataset() as dataset:
        for count in (1, 50):
            _held_out(dataset, count)
        _require_shares(dataset.spec, training_samples(dataset))


@check("T02", Kind.DATASET, after=(*_READS, "T01"))
def dataset_is_deterministic(subject: ComponentCase) -> None:
    """A seed always gives the same data set in the same order, and global random states do not change."""
    unchanged = require_random_state_unchanged("building and reading the data")
    with unchanged, subject.built_dataset() as one, subject.built_dataset() as two:
        first, again, second = training_samples(one), training_samples(one), training_samples(two)
        held, held_again = _held_out(one, 20), _held_out(two, 20)
    require(_same(first, again), "training() returns another order when called again")
    require(_same(first, second), "two data sets built with the same seed differ")
    require(_same(held, held_again), "held_out() returns other samples for an equal generator")


@check("T03", Kind.DATASET, after=_READS)
def dataset_spec_function_agrees(subject: ComponentCase) -> None:
    """The torch-free spec function agrees with the spec of the built data set."""
    function = subject.component.load_spec()
    if function is None:
        raise NotApplicableError("it has no spec function")
    with subject.built_dataset() as dataset:
        spec = function(subject.params())
        require(spec == dataset.spec, f"the function returns {spec}, the data set has {dataset.spec}")


@check("T04", Kind.DATASET)
def opens_no_connection(subject: ComponentCase) -> None:
    """Building and reading open no network connection, unless check_params request a download.

    Attempts by any library are detected, even if their errors are swallowed.
    """
    if getattr(subject.params(), "download", False) is True:
        raise NotApplicableError("its check_params request a download")
    with forbid_network(), subject.built_dataset() as dataset:
        dataset.training()
        dataset.held_out(5, torch.Generator())


@check("T05", Kind.DATASET, after=(*_READS, "T01"))
def samples_have_declared_density(subject: ComponentCase) -> None:
    """If the spec has a density, the samples have its mean and variance."""
    with subject.built_dataset() as dataset:
        density = dataset.spec.density
        if density is None:
            raise NotApplicableError("its spec has no density")
        for what, samples in (("training", training_samples(dataset)), ("held-out", _held_out(dataset, _MANY))):
            values = dataset.spec.to_float(samples.values).flatten(1).double()
            shares, means = torch.tensor(density.shares).double(), torch.tensor(density.means).double()
            mean = (shares[:, None] * means).sum(0)
            variance = (shares[:, None] * (means - mean).square()).sum(0) + density.std**2
            known = f"{_rounded(mean)} and {_rounded(variance)}"
            near = _has_moments(values, mean, variance)
            require(near, f"the {what} samples have {_moments(values)}, the density has {known}")


@check("T06", Kind.DATASET, after=(*_READS, "T01"))
def streaming_is_consistent(subject: ComponentCase) -> None:
    """A streaming data set reads the requested rows in order and repeatably, consistent with ``training``."""
    with subject.built_dataset() as dataset:
        if not isinstance(dataset, StreamingDataset):
            raise NotApplicableError("it has no method `streamed`")
        source = dataset.streamed()
        require(isinstance(source, SampleSource), f"streamed() returns a {type(source).__name__} without __len__ and read")
        spec, count, training = dataset.spec, len(source), training_samples(dataset)
        require(count >= len(training), f"streamed() has {count} samples, training() returns {len(training)}")
        rows = [count - 1, 0, count // 2, 0]
        with require_random_state_unchanged("reading from the source"):
            read, again = read_samples(source, spec, rows), read_samples(source, spec, rows)
            single = Samples.concatenate([read_samples(source, spec, [row]) for row in rows])
        require(_same(read, again), "the source returns other samples for the same rows")
        require(_same(read, single), "the source returns rows in another order than requested")
        if count == len(training) <= _MANY:
            same = _same(read_samples(source, spec, list(range(count))), training)
            require(same, "streamed() and training() have different samples")


def _draw(sampler: Sampler, count: int, seed: int = 1) -> Latent:
    latents = sampler.draw(count, torch.Generator().manual_seed(seed))
    if not isinstance(latents, Latent):
        raise CheckFailedError(f"draw returns a {type(latents).__name__}, not a Latent")
    return latents


def _held_out(dataset: Dataset, count: int) -> Samples:
    return held_out_samples(dataset, count, torch.Generator().manual_seed(1))


def _require_latents(spec: LatentSpec, latents: Latent, count: int) -> None:
    shape, expected_shape = tuple(latents.noise.shape), (count, spec.noise)
    require(shape == expected_shape, f"noise is {shape}, but the spec says {expected_shape}")
    require_finite(latents.noise, "the noise")
    _require_classes(latents.labels, spec.classes, count, "labels")

    codes = latents.codes
    require((codes is not None) == spec.has_codes, f"codes are {'drawn' if codes else 'not drawn'}, the spec says otherwise")
    if codes is None:
        return
    expected = (count, len(spec.categorical)), (count, spec.continuous)
    found = tuple(codes.categorical.shape), tuple(codes.continuous.shape)
    require(found == expected, f"codes are {found}, the spec says {expected}")
    for column, values in enumerate(spec.categorical):
        _require_classes(codes.categorical[:, column], values, count, f"categorical code {column}")
    require(bool((codes.continuous.abs() <= 1).all()), "continuous codes are outside [-1, 1]")


def _require_classes(labels: Tensor | None, classes: int | None, count: int, what: str) -> None:
    expected, found = f"{classes} classes" if classes else "none", "none" if labels is None else "some"
    require((classes is None) == (labels is None), f"{what}: the spec says {expected}, but there are {found}")
    if classes is None or labels is None:
        return
    require(tuple(labels.shape) == (count,), f"{what} have shape {tuple(labels.shape)}, not ({count},)")
    require(labels.dtype == torch.int64, f"{what} are {labels.dtype}, not int64")
    least, most = int(labels.min()), int(labels.max())
    require(least >= 0 and most < classes, f"{what} run from {least} to {most}, the spec says {classes} classes")


def _require_shares(spec: DataSpec, training: Samples) -> None:
    if spec.classes is None or training.labels is None:
        return
    counted = torch.bincount(training.labels, minlength=spec.classes) / len(training)
    shares = torch.tensor(spec.class_shares or [1 / spec.classes] * spec.classes)
    require(len(shares) == spec.classes, f"class_shares has {len(shares)} entries for {spec.classes} classes")
    # Tolerance by Bernstein's inequality: exceeded by chance once in 10,000, over all classes.
    chance = math.log(2 * spec.classes / 1e-4)
    allowed = (2 * chance * shares * (1 - shares) / len(training)).sqrt() + chance / (3 * len(training))
    wrong = [index for index in range(spec.classes) if abs(float(counted[index] - shares[index])) > float(allowed[index])]
    require(not wrong, f"class shares are {_rounded(counted)}, the spec says {_rounded(shares)}")


def _rounded(shares: Tensor) -> list[float]:
    return [round(share, 3) for share in shares.tolist()]


def _moments(values: Tensor) -> str:
    return f"mean {_rounded(values.mean(0))} and variance {_rounded(values.var(0))}"


def _has_moments(values: Tensor, mean: Tensor | float, variance: Tensor | float, errors: float = _FAR) -> bool:
    """Whether mean and variance of ``(n, d)`` values are as given, within so many standard errors."""
    squares = (values - values.mean(0)).square()
    right_mean = (values.mean(0) - mean).abs() <= errors * (values.var(0) / len(values)).sqrt() + _TINY
    right_variance = (values.var(0) - variance).abs() <= errors * (squares.var(0) / len(values)).sqrt() + _TINY
    return bool((right_mean & right_variance).all())


def _require_all_values(spec: LatentSpec, latents: Latent) -> None:
    drawn = [("class", spec.classes, latents.labels)]
    if latents.codes is not None:
        columns = zip(spec.categorical, latents.codes.categorical.unbind(1), strict=True)
        drawn += [(f"value of categorical code {index}", values, column) for index, (values, column) in enumerate(columns)]
        still = [index for index, column in enumerate(latents.codes.continuous.unbind(1)) if not bool(column.var() > 0)]
        require(not still, f"constant continuous codes: {', '.join(map(str, still))}")
    for what, values, column in drawn:
        if values is not None and column is not None:
            missing = sorted(set(range(values)) - set(column.tolist()))
            require(not missing, f"{what} {', '.join(map(str, missing))} is never drawn")


def _same(one: object, two: object) -> bool:
    """Whether two records of tensors are equal."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return torch.equal(one, two)
    if is_dataclass(one) and type(one) is type(two):
        return all(_same(getattr(one, part.name), getattr(two, part.name)) for part in fields(one))
    return one is two

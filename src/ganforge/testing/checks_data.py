"""S and T checks: samplers and data sets."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, Dataset, KnownNoiseMoments, Sampler, SampleSource, StreamingDataset
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.registry.component import Kind
from ganforge.testing.check_registry import BUILDS, check
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench, randomness_untouched, require, require_finite
from ganforge.testing.network_guard import offline

_MANY = 200
_BATCHES = (1, 2, 7, _MANY)
_LARGE, _SMALL = 4000, 100
_FAR = 5
"""Standard errors that a moment may lie off: less often than one in a million by chance, and the streams are fixed."""
_TINY = 1e-6
_READS = (*BUILDS, "T04")


@check("S01", Kind.SAMPLER)
def draws_what_it_says(bench: Bench) -> None:
    """Latents are what the spec says: widths, classes and codes, for batches of 1, 2, 7 and 200."""
    sampler = _sampler(bench)
    for count in _BATCHES:
        _require_latents(sampler.spec, _draw(sampler, count), count)


@check("S02", Kind.SAMPLER)
def draws_from_its_stream(bench: Bench) -> None:
    """One stream gives one draw, another stream another, and the global random streams stay still."""
    sampler = _sampler(bench)
    with randomness_untouched("drawing"):
        one, same, other = _draw(sampler, _MANY, seed=1), _draw(sampler, _MANY, seed=1), _draw(sampler, _MANY, seed=2)
    require(_equal(_parts(one), _parts(same)), "two draws from equal streams differ: draw from the given generator")
    require(not _equal(_parts(one), _parts(other)), "draws from different streams are equal")


@check("S03", Kind.SAMPLER)
def sampler_tells_its_spec(bench: Bench) -> None:
    """The torch-free spec function agrees with the spec of the built sampler."""
    function = bench.component.load_spec()
    require(function is not None, "it has no spec function, so that recipes cannot be checked without torch; give spec=")
    told, built = function(bench.params(), bench.data) if function else None, _sampler(bench).spec
    require(told == built, f"the function says {told}, the sampler {built}")


@check("S04", Kind.SAMPLER)
def has_its_moments(bench: Bench) -> None:
    """The noise has the moments that the sampler promises, in large and small batches alike; each class and code value occurs.

    The sampler promises moments by ``noise_moments``. Without it, one large draw and many small draws must agree with each other.
    With ``noise_bounds``, no noise may lie outside of them.
    """
    sampler = _sampler(bench)
    large, stream = _draw(sampler, _LARGE), torch.Generator().manual_seed(3)
    small = torch.cat([sampler.draw(_SMALL, stream).noise for _ in range(_LARGE // _SMALL)]).double()
    noise = large.noise.double()
    (mean, variance), (small_mean, small_variance) = _moments(noise), _moments(small)
    require(bool((variance > 0).all()), "a dimension of the noise never changes")
    for told, one, other, doubt in (
        ("mean", mean, small_mean, _doubt_of_mean(noise)),
        ("variance", variance, small_variance, _doubt_of_variance(noise)),
    ):
        agree = bool(((one - other).abs() <= _FAR * 2**0.5 * doubt).all())
        require(agree, f"the noise of large draws has the {told} {_rounded(one)}, that of small ones {_rounded(other)}")

    if isinstance(sampler, KnownNoiseMoments):
        wanted_mean, wanted_std = sampler.noise_moments
        true_mean = bool(((mean - wanted_mean).abs() <= _FAR * _doubt_of_mean(noise)).all())
        true_std = bool(((variance - wanted_std**2).abs() <= _FAR * _doubt_of_variance(noise)).all())
        found = f"mean {_rounded(mean)} and standard deviation {_rounded(variance.sqrt())}"
        require(true_mean and true_std, f"the noise has {found}, but noise_moments is {wanted_mean:g} and {wanted_std:g}")
    if isinstance(sampler, BoundedNoise) and sampler.noise_bounds is not None:
        low, high = sampler.noise_bounds
        inside = low <= float(noise.min()) and float(noise.max()) <= high
        require(inside, f"the noise goes from {noise.min():.3g} to {noise.max():.3g}, but noise_bounds is {low:g} to {high:g}")
    _require_all_values(sampler.spec, large)


@check("T01", Kind.DATASET, after=_READS)
def holds_what_it_says(bench: Bench) -> None:
    """Training and held-out samples are what the spec says: shape, range, classes and their shares."""
    with _dataset(bench) as dataset:
        spec, training = dataset.spec, dataset.training()
        _require_data(spec, _floats(spec, training), "the training samples")
        for count in (1, 50):
            held = _held_out(dataset, count)
            _require_data(spec, held, "the held-out samples")
            require(len(held) == count, f"held_out({count}) gives {len(held)} samples")
        _require_shares(spec, training)


@check("T02", Kind.DATASET, after=_READS)
def is_the_same_again(bench: Bench) -> None:
    """One seed gives one data set in one order, and the global random streams stay still."""
    with randomness_untouched("building and reading the data"), _dataset(bench) as one, _dataset(bench) as two:
        first, again, second = one.training(), one.training(), two.training()
        held, held_again = _held_out(one, 20), _held_out(two, 20)
    require(_equal(_values(first), _values(again)), "training() gives another order when it is called again")
    require(_equal(_values(first), _values(second)), "two data sets built with one seed differ")
    require(_equal(_values(held), _values(held_again)), "held_out() gives other samples from an equal stream")


@check("T03", Kind.DATASET, after=_READS)
def dataset_tells_its_spec(bench: Bench) -> None:
    """The torch-free spec function agrees with the spec of the built data set."""
    function = bench.component.load_spec()
    if function is None:
        raise NotApplicable("it has no spec function: its sizes do not follow from the params")
    with _dataset(bench) as dataset:
        told = function(bench.params())
        require(told == dataset.spec, f"the function says {told}, the data set {dataset.spec}")


@check("T04", Kind.DATASET)
def needs_no_network(bench: Bench) -> None:
    """Building and reading opens no connection, unless check_params ask for a download.

    Every attempt is seen, by whatever library, and also where its failure is swallowed.
    """
    if getattr(bench.params(), "download", False) is True:
        raise NotApplicable("its check_params ask for a download")
    with offline(), _dataset(bench) as dataset:
        dataset.training()
        _held_out(dataset, 5)


@check("T05", Kind.DATASET, after=_READS)
def has_its_density(bench: Bench) -> None:
    """Where the spec knows the density, the samples have its mean and variance."""
    with _dataset(bench) as dataset:
        density = dataset.spec.density
        if density is None:
            raise NotApplicable("its spec knows no density")
        for what, samples in (("training", dataset.training()), ("held-out", _held_out(dataset, _MANY))):
            values = dataset.spec.to_float(samples.values).flatten(1).double()
            shares, means = torch.tensor(density.shares).double(), torch.tensor(density.means).double()
            mean = (shares[:, None] * means).sum(0)
            variance = (shares[:, None] * (means - mean).square()).sum(0) + density.std**2
            found = _moments(values)
            near = ((found[0] - mean).abs() <= _FAR * _doubt_of_mean(values) + _TINY).all()
            wide = ((found[1] - variance).abs() <= _FAR * _doubt_of_variance(values) + _TINY).all()
            told = f"mean {_rounded(found[0])} and variance {_rounded(found[1])}"
            known = f"{_rounded(mean)} and {_rounded(variance)}"
            require(bool(near) and bool(wide), f"the {what} samples have {told}, the density {known}")


@check("T06", Kind.DATASET, after=_READS)
def streams_what_it_says(bench: Bench) -> None:
    """A data set that streams reads the rows asked for, in their order, the same ones again, and ``training`` holds no others."""
    with _dataset(bench) as dataset:
        if not isinstance(dataset, StreamingDataset):
            raise NotApplicable("it has no method `streamed`: its samples fit into memory")
        source = dataset.streamed()
        require(isinstance(source, SampleSource), f"streamed() gives a {type(source).__name__} without __len__ and read")
        count, training = len(source), dataset.training()
        require(count >= len(training), f"streamed() has {count} samples, training() gives {len(training)}")
        rows = [count - 1, 0, count // 2, 0]
        with randomness_untouched("reading from the source"):
            read, again = source.read(rows), source.read(rows)
            single = Samples.concatenate([source.read([row]) for row in rows])
        _require_data(dataset.spec, _floats(dataset.spec, read), "the samples that the source reads")
        require(len(read) == len(rows), f"the source reads {len(read)} samples for {len(rows)} rows")
        require(_equal(_values(read), _values(again)), "the source reads other samples for the same rows")
        require(
            _equal(_values(read), _values(single)),
            "the source reads rows in another order than they are asked for",
        )
        if count == len(training) <= _MANY:
            require(_equal(_values(source.read(range(count))), _values(training)), "streamed() and training() hold other samples")


def _sampler(bench: Bench) -> Sampler:
    sampler: Sampler = bench.build()
    return sampler


@contextlib.contextmanager
def _dataset(bench: Bench) -> Iterator[Dataset]:
    with bench.built_dataset() as dataset:
        yield dataset


def _draw(sampler: Sampler, count: int, seed: int = 1) -> Latent:
    latents = sampler.draw(count, torch.Generator().manual_seed(seed))
    if not isinstance(latents, Latent):
        raise CheckFailed(f"draw gives a {type(latents).__name__}, not a Latent")
    return latents


def _held_out(dataset: Dataset, count: int) -> Samples:
    return dataset.held_out(count, torch.Generator().manual_seed(1))


def _require_latents(spec: LatentSpec, latents: Latent, count: int) -> None:
    require(
        tuple(latents.noise.shape) == (count, spec.noise),
        f"noise is {tuple(latents.noise.shape)}, the spec says {(count, spec.noise)}",
    )
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
    require(bool((codes.continuous.abs() <= 1).all()), "continuous codes lie outside [-1, 1]")


def _require_data(spec: DataSpec, samples: Samples, what: str) -> None:
    require(isinstance(samples, Samples), f"{what} are a {type(samples).__name__}, not Samples")
    require(len(samples) > 0, f"{what} are empty")
    require(
        tuple(samples.values.shape[1:]) == spec.shape, f"{what} are {tuple(samples.values.shape[1:])}, the spec says {spec.shape}"
    )
    require_finite(samples.values, what)
    require(samples.values.device.type == "cpu", f"{what} are on {samples.values.device}, not on the CPU")
    if spec.value_range is not None:
        low, high = spec.value_range
        least, most = samples.values.min().item(), samples.values.max().item()
        require(low <= least and most <= high, f"{what} lie in [{least:g}, {most:g}], the spec says [{low:g}, {high:g}]")
    _require_classes(samples.labels, spec.classes, len(samples), f"labels of {what}")


def _require_classes(labels: Tensor | None, classes: int | None, count: int, what: str) -> None:
    if classes is None or labels is None:
        said = "none" if classes is None else f"{classes} classes"
        require(
            labels is None and classes is None,
            f"{what}: the spec says {said}, there are {'some' if labels is not None else 'none'}",
        )
        return
    require(tuple(labels.shape) == (count,), f"{what} have shape {tuple(labels.shape)}, not ({count},)")
    require(labels.dtype == torch.int64, f"{what} are {labels.dtype}, not int64")
    least, most = int(labels.min()), int(labels.max())
    require(least >= 0 and most < classes, f"{what} run from {least} to {most}, the spec says {classes} classes")


def _floats(spec: DataSpec, training: Any) -> Any:
    """Training samples as batches hold them: bytes stand for the values of a declared range."""
    packed = isinstance(training, Samples) and training.values.dtype == torch.uint8
    return Samples(spec.to_float(training.values), training.labels) if packed else training


def _require_shares(spec: DataSpec, training: Samples) -> None:
    if spec.classes is None or training.labels is None:
        return
    counted = torch.bincount(training.labels, minlength=spec.classes) / len(training)
    shares = torch.tensor(spec.class_shares or [1 / spec.classes] * spec.classes)
    require(len(shares) == spec.classes, f"class_shares has {len(shares)} entries for {spec.classes} classes")
    # Shares that stand for a draw may miss by what Bernstein's inequality leaves to chance once in 10,000, all classes together.
    chance = math.log(2 * spec.classes / 1e-4)
    allowed = (2 * chance * shares * (1 - shares) / len(training)).sqrt() + chance / (3 * len(training))
    wrong = [index for index in range(spec.classes) if abs(float(counted[index] - shares[index])) > float(allowed[index])]
    require(not wrong, f"class shares are {_rounded(counted)}, the spec says {_rounded(shares)}")


def _rounded(shares: Tensor) -> list[float]:
    return [round(share, 3) for share in shares.tolist()]


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(0), values.var(0)


def _doubt_of_mean(values: Tensor) -> Tensor:
    return (values.var(0) / len(values)).sqrt()


def _doubt_of_variance(values: Tensor) -> Tensor:
    centred = values - values.mean(0)
    return ((centred.pow(4).mean(0) - centred.square().mean(0).square()).clamp_min(0) / len(values)).sqrt()


def _require_all_values(spec: LatentSpec, latents: Latent) -> None:
    drawn = [("class", spec.classes, latents.labels)]
    if latents.codes is not None:
        columns = zip(spec.categorical, latents.codes.categorical.unbind(1), strict=True)
        drawn += [(f"value of categorical code {index}", values, column) for index, (values, column) in enumerate(columns)]
        still = [index for index, column in enumerate(latents.codes.continuous.unbind(1)) if not bool(column.var() > 0)]
        require(not still, f"continuous codes that never change: {', '.join(map(str, still))}")
    for what, values, column in drawn:
        if values is not None and column is not None:
            missing = sorted(set(range(values)) - set(column.tolist()))
            require(not missing, f"{what} {', '.join(map(str, missing))} is never drawn")


def _parts(latents: Latent) -> list[Tensor | None]:
    codes = latents.codes
    return [latents.noise, latents.labels, codes.categorical if codes else None, codes.continuous if codes else None]


def _values(samples: Samples) -> list[Tensor | None]:
    return [samples.values, samples.labels]


def _equal(one: list[Tensor | None], two: list[Tensor | None]) -> bool:
    return all(torch.equal(a, b) if a is not None and b is not None else a is b for a, b in zip(one, two, strict=True))

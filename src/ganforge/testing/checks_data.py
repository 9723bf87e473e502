"""S and T checks: samplers and data sets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from ganforge.core.contracts import Dataset, Sampler
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.hooks.component import Kind
from ganforge.testing.checking import check
from ganforge.testing.outcome import CheckFailed, NotApplicable
from ganforge.testing.workbench import Bench, randomness_untouched, require, require_finite

_MANY = 200
_BATCHES = (1, 2, 7, _MANY)


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


@check("T01", Kind.DATASET)
def holds_what_it_says(bench: Bench) -> None:
    """Training and held-out samples are what the spec says: shape, range, classes and their shares."""
    with _dataset(bench) as dataset:
        spec, training = dataset.spec, dataset.training()
        _require_data(spec, training, "the training samples")
        for count in (1, 50):
            held = _held_out(dataset, count)
            _require_data(spec, held, "the held-out samples")
            require(len(held) == count, f"held_out({count}) gives {len(held)} samples")
        _require_shares(spec, training)


@check("T02", Kind.DATASET)
def is_the_same_again(bench: Bench) -> None:
    """One seed gives one data set in one order, and the global random streams stay still."""
    with randomness_untouched("building and reading the data"), _dataset(bench) as one, _dataset(bench) as two:
        first, again, second = one.training(), one.training(), two.training()
        held, held_again = _held_out(one, 20), _held_out(two, 20)
    require(_equal(_values(first), _values(again)), "training() gives another order when it is called again")
    require(_equal(_values(first), _values(second)), "two data sets built with one seed differ")
    require(_equal(_values(held), _values(held_again)), "held_out() gives other samples from an equal stream")


@check("T03", Kind.DATASET)
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
    """Building and reading opens no connection."""
    with _offline(), _dataset(bench) as dataset:
        dataset.training()
        _held_out(dataset, 5)


def _sampler(bench: Bench) -> Sampler:
    sampler = bench.build()
    if not isinstance(sampler, Sampler):
        raise CheckFailed(f"the factory gives a {type(sampler).__name__} without spec or draw")
    require(isinstance(sampler.spec, LatentSpec), f"its spec is a {type(sampler.spec).__name__}, not a LatentSpec")
    return sampler


@contextlib.contextmanager
def _dataset(bench: Bench) -> Iterator[Dataset]:
    with bench.built_dataset() as dataset:
        if not isinstance(dataset, Dataset):
            raise CheckFailed(f"the factory gives a {type(dataset).__name__} without spec, training or held_out")
        require(isinstance(dataset.spec, DataSpec), f"its spec is a {type(dataset.spec).__name__}, not a DataSpec")
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


def _require_shares(spec: DataSpec, training: Samples) -> None:
    if spec.classes is None or training.labels is None:
        return
    counted = torch.bincount(training.labels, minlength=spec.classes) / len(training)
    shares = torch.tensor(spec.class_shares or [1 / spec.classes] * spec.classes)
    require(len(shares) == spec.classes, f"class_shares has {len(shares)} entries for {spec.classes} classes")
    # Shares that stand for a draw may miss by four standard deviations of that draw.
    allowed = 4 * (shares * (1 - shares) / len(training)).sqrt() + 1e-6
    wrong = [index for index in range(spec.classes) if abs(float(counted[index] - shares[index])) > float(allowed[index])]
    require(not wrong, f"class shares are {_rounded(counted)}, the spec says {_rounded(shares)}")


def _rounded(shares: Tensor) -> list[float]:
    return [round(share, 3) for share in shares.tolist()]


def _parts(latents: Latent) -> list[Tensor | None]:
    codes = latents.codes
    return [latents.noise, latents.labels, codes.categorical if codes else None, codes.continuous if codes else None]


def _values(samples: Samples) -> list[Tensor | None]:
    return [samples.values, samples.labels]


def _equal(one: list[Tensor | None], two: list[Tensor | None]) -> bool:
    return all(torch.equal(a, b) if a is not None and b is not None else a is b for a, b in zip(one, two, strict=True))


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    def refuse(*arguments: Any, **_: Any) -> None:
        raise CheckFailed(f"it opens a connection to {arguments[-1]}; downloads belong to `ganforge data prepare`")

    with mock.patch.object(socket.socket, "connect", refuse), mock.patch.object(socket, "getaddrinfo", refuse):
        yield

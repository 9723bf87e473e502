"""A component under test: specs that meet its requirements, random samples of them, and guards around what it does."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.build.parts import game_spec
from ganforge.core.contracts import BuildContext, Dataset, DatasetContext, EncoderContext, MetricContext, SamplerContext
from ganforge.core.params import NoParams, Params
from ganforge.core.records import Codes, Latent, Samples
from ganforge.core.specs import DataSpec, GaussianMixture, LatentSpec
from ganforge.games.game import GameContext, Objective, WeightedLoss
from ganforge.registry.component import Component, Kind
from ganforge.registry.registry import Registry
from ganforge.storage.run_folder import data_folders
from ganforge.testing import stub_components
from ganforge.testing.conformance import CheckFailedError, Outcome, require
from ganforge.train.modules import give_sizes

_CLASSES = 3
_STUBS: dict[str, Any] = {
    "generator": stub_components.LinearGenerator,
    "discriminator": stub_components.LinearDiscriminator,
    "encoder": stub_components.LinearEncoder,
}
_DENSITY = GaussianMixture(means=((-1.0, 0.0), (1.0, 0.0), (0.0, 1.5)), std=0.1)


@dataclass(frozen=True, slots=True)
class ComponentCase:
    """One component under test, the registry with partners for it, and the outcomes of the checks that have run, by id."""

    component: Component
    registry: Registry
    outcomes: dict[str, Outcome] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name in reports."""
        return f"{self.kind} {self.component.name}"

    @property
    def kind(self) -> Kind:
        """The component's kind."""
        return self.component.kind

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return self.component.missing

    @property
    def folder(self) -> Path | None:
        """Folder of its source, for locations in error messages."""
        source = self.component.source()
        return source and source.parent

    @property
    def partner(self) -> Component | None:
        """The installed discriminator with the heads that a loss reads; ``None`` if it reads no head or none provides them.

        Prefers the loss's own distribution, then the discriminator with the fewest additional requirements.
        """
        if self.kind is not Kind.LOSS or not self.heads:
            return None
        having = [one for one in self.registry.components(Kind.DISCRIMINATOR) if self.heads <= {*one.provides} and not one.missing]
        mine, required = self.component.plugin.distribution, set(self.component.requires)
        return min(having, key=lambda one: (one.plugin.distribution != mine, len(set(one.requires) - required)), default=None)

    @property
    def heads(self) -> frozenset[str]:
        """The discriminator's heads that the component requires, as ``head:NAME``."""
        return frozenset(word for word in self.component.requires if word.startswith("head:"))

    @property
    def words(self) -> frozenset[str]:
        """Requirements of the component, and of its partner if it has one."""
        partner = self.partner
        return frozenset(self.component.requires) | frozenset(partner.requires if partner else ())

    @property
    def data(self) -> DataSpec:
        """Two-dimensional points or small images; with classes or a density if the component requires them."""
        words = self.words
        return DataSpec(
            shape=(1, 32, 32) if "images" in words else (2,),
            classes=_CLASSES if {"labels", "labelled-data"} & words else None,
            value_range=(-1.0, 1.0) if "images" in words else None,
            density=_DENSITY if "density" in words else None,
        )

    @property
    def latent(self) -> LatentSpec:
        """Four noise dimensions; with classes or codes if the component requires them."""
        words = self.words
        return LatentSpec(
            noise=4,
            classes=self.data.classes if "labels" in words else None,
            categorical=(2, 3) if {"codes", "categorical-codes"} & words else (),
            continuous=2 if {"codes", "continuous-codes"} & words else 0,
        )

    @property
    def context(self) -> BuildContext:
        """The build context; for a metric with a random data set to learn from, for an encoder with an output."""
        if self.kind is Kind.METRIC:
            return metric_context(self.data, self.latent)
        if self.kind is Kind.ENCODER:
            return EncoderContext(self.data, self.latent, (5,))
        return BuildContext(self.data, self.latent)

    def params(self) -> Params:
        """The component's params, made from its ``check_params``."""
        return self.component.load_params().model_validate_json(json.dumps(self.component.check_params))

    def build(self, seed: int = 0) -> Any:
        """Build the component as a run with this seed would."""
        if self.kind is Kind.GAME:
            torch.manual_seed(seed)
            return self.component.load_factory()(self.params(), self.game_context())
        return self.build_for(SamplerContext(self.data) if self.kind is Kind.SAMPLER else self.context, seed)

    def game_context(self) -> GameContext:
        """The context of a game, with stub networks and, if it needs losses, the stub loss."""
        spec, sizes = game_spec(self.component, self.params()), BuildContext(self.data, self.latent)
        networks: dict[str, nn.Module] = {}
        for role, one in spec.networks.items():
            networks[role] = _STUBS[one.kind](NoParams(), sizes if one.sizes is None else one.sizes(sizes))
        losses = [WeightedLoss("stub", stub_components.StubLoss())] if spec.needs_loss else []
        return GameContext(spec, networks, Objective(losses, ()), self.data, self.latent)

    def build_for(self, context: BuildContext | SamplerContext, seed: int = 0) -> Any:
        """Build the component for a given context."""
        torch.manual_seed(seed)
        built = self.component.load_factory()(self.params(), context)
        if isinstance(built, nn.Module) and isinstance(context, BuildContext) and self.kind is not Kind.LOSS:
            draws = torch.Generator().manual_seed(1)
            latent = random_latents(context.latent, 2, draws)
            give_sizes(built, latent if self.kind is Kind.GENERATOR else random_samples(context.data, 2, draws, latent))
        return built

    @contextlib.contextmanager
    def built_dataset(self) -> Iterator[Dataset]:
        """The data set, built with temporary folders, and the user's prepared data sets as fallback."""
        with recipe_folder() as folder:
            context = DatasetContext(0, folder, data_folder=folder / "data", fallback_folders=data_folders())
            dataset: Any = self.component.load_factory()(self.params(), context)
            yield dataset

    def latents(self, count: int, seed: int = 1) -> Latent:
        """Random latents of :attr:`latent`."""
        return random_latents(self.latent, count, torch.Generator().manual_seed(seed))

    def samples(self, count: int, seed: int = 2, latent: Latent | None = None) -> Samples:
        """Random samples of :attr:`data`; with the labels of ``latent`` if given."""
        return random_samples(self.data, count, torch.Generator().manual_seed(seed), latent)


def metric_context(data: DataSpec, latent: LatentSpec, real: Samples | None = None) -> MetricContext:
    """The build context of a metric: unusable folders, and ``real`` or random samples as data set."""
    no_folder = Path(os.devnull)
    samples = real or random_samples(data, 200, torch.Generator().manual_seed(11))
    return MetricContext(data, latent, no_folder, no_folder, lambda: FixedDataset(data, samples))


@dataclass(frozen=True, slots=True)
class FixedDataset:
    """A data set of the given samples, which it also holds out."""

    spec: DataSpec
    samples: Samples

    def training(self) -> Samples:
        """All samples."""
        return self.samples

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        """Random samples, with repetitions."""
        return self.samples[torch.randint(len(self.samples), (count,), generator=generator)]


@contextlib.contextmanager
def recipe_folder() -> Iterator[Path]:
    """A temporary folder with ``samples.npz``, a file of labelled points, and ``images``, a folder of small images by class.

    Data sets that read files are checked with such ``check_params`` as ``{"file": "samples.npz"}`` or ``{"folder": "images"}``.
    """
    with tempfile.TemporaryDirectory() as name:
        for file, content in _recipe_files().items():
            path = Path(name, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(name)


@functools.cache
def _recipe_files() -> dict[str, bytes]:
    from PIL import Image

    draw = np.random.default_rng(0)
    files = {"samples.npz": io.BytesIO()}
    np.savez(files["samples.npz"], values=draw.normal(size=(60, 2)).astype("float32"), labels=np.arange(60) % _CLASSES)
    for number in range(40):
        pixels = draw.integers(0, 128, (8, 8, 3), dtype=np.uint8) + np.uint8(127 * (number % 2))
        file = files[f"images/{('dark', 'light')[number % 2]}/{number}.png"] = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
    return {name: file.getvalue() for name, file in files.items()}


def random_latents(spec: LatentSpec, count: int, stream: torch.Generator) -> Latent:
    """Draw ``count`` latents of a spec: normal noise, uniform labels and codes."""
    codes = None
    if spec.has_codes:
        columns = [torch.randint(values, (count,), generator=stream) for values in spec.categorical]
        categorical = torch.stack(columns, dim=1) if columns else torch.zeros(count, 0, dtype=torch.int64)
        codes = Codes(categorical, torch.rand(count, spec.continuous, generator=stream) * 2 - 1)
    noise = torch.randn(count, spec.noise, generator=stream)
    labels = None if spec.classes is None else torch.randint(spec.classes, (count,), generator=stream)
    return Latent(noise, labels, codes)


def random_samples(data: DataSpec, count: int, stream: torch.Generator, latent: Latent | None = None) -> Samples:
    """Draw ``count`` samples of a spec: from its density if any, within its range if any, else normal."""
    values = torch.randn(count, *data.shape, generator=stream)
    if data.density is not None:
        means = torch.tensor(data.density.means)
        values = means[torch.randint(len(means), (count,), generator=stream)] + data.density.std * values
    if data.value_range is not None:
        low, high = data.value_range
        values = low + (high - low) * torch.sigmoid(values)
    labels = latent.labels if latent is not None else None
    if labels is None and data.classes is not None:
        labels = torch.randint(data.classes, (count,), generator=stream)
    return Samples(values, labels, latent)


@contextlib.contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the global random states of torch, numpy and Python on exit."""
    python, numbers = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002 - the global state is saved
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002 - as above


@contextlib.contextmanager
def require_random_state_unchanged(doing: str) -> Iterator[None]:
    """Fail if the block changes the global random state of torch, numpy or Python.

    The states are randomised first, so that a component that seeds them is noticed even if the same seed was set before. They are
    restored afterwards.

    Raises:
        CheckFailedError: names the random state that changed.
    """
    with preserve_random_state():
        torch.seed()
        torch.rand(1)  # one draw after seeding, so that even the same seed is noticed
        np.random.seed(None)  # noqa: NPY002 - the global state is changed on purpose
        random.seed()
        before = _random_state()
        yield
        moved = [name for name, state in _random_state().items() if state != before[name]]
    if moved:
        raise CheckFailedError(f"{doing} changed the global random state of {' and '.join(moved)}")


def _random_state() -> dict[str, object]:
    numbers = np.random.get_state(legacy=True)  # noqa: NPY002 - the legacy global state must not change
    return {"torch": torch.get_rng_state().tolist(), "numpy": repr(numbers), "Python": random.getstate()}


_NETWORK_EVENTS = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
"""Audit events of network access."""
_GUARDED: list[list[CheckFailedError]] = []
"""The refusals of each block of :func:`forbid_network` that is running."""


@functools.cache
def _install_guard() -> None:
    sys.addaudithook(_audit)  # once: it cannot be removed


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _GUARDED or event not in _NETWORK_EVENTS:
        return
    if isinstance(arguments[0], socket.socket):
        if arguments[0].family not in (socket.AF_INET, socket.AF_INET6):  # as libraries use between threads
            return
        arguments = arguments[1:]
    explained = "a data set may download only if its params request it"
    refusal = CheckFailedError(f"it accesses the network ({arguments[0]}); {explained}")
    _GUARDED[-1].append(refusal)
    raise refusal


@contextlib.contextmanager
def forbid_network() -> Iterator[None]:
    """Refuse every connection in the block by any library, and fail at the end even if the refusal was swallowed.

    Raises:
        CheckFailedError: names the first address.
    """
    _install_guard()
    refusals: list[CheckFailedError] = []
    _GUARDED.append(refusals)
    try:
        yield
    finally:
        _GUARDED.pop()
    if refusals:
        raise refusals[0]


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """Compute on one thread, which is faster for networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_finite(values: Tensor, what: str) -> None:
    """Fail the check unless all values are finite floats."""
    require(values.is_floating_point(), f"{what} is {values.dtype}, not a float")
    require(bool(torch.isfinite(values).all()), f"{what} contains values that are not finite")


def without_gradient(parameters: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the parameters that received no gradient."""
    return [name for name, one in parameters if one.requires_grad and (one.grad is None or not bool(one.grad.abs().sum() > 0))]

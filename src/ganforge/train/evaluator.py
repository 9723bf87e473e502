"""Looking at a generator without touching it: metrics, pictures and the discriminator's field."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from ganforge.core.contracts import Dataset, Metric, MetricInfo, Sampler, StreamingDataset, ValidationSplit
from ganforge.core.isolation import describe_error
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec
from ganforge.train.batches import spread_rows
from ganforge.train.distinct_samples import insist_on_distinct
from ganforge.train.module_modes import evaluating
from ganforge.train.random_streams import seeded, stream
from ganforge.train.turns import imagine

_CHUNK = 1000
"""Samples generated at a time, so that a large evaluation of images does not need a large device."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A metric with its name and schedule.

    Attributes:
        name: name in logs.
        metric: the metric.
        every: iterations between measurements.
        samples: generated samples, and as many held-out real ones.
        protocol: all that two of its values must share to be comparable, as plain data, and the seed of the draws.
        optional: whether training goes on without its values where it fails.
    """

    name: str
    metric: Metric
    every: int
    samples: int
    protocol: Mapping[str, object] = field(default_factory=dict)
    optional: bool = False

    @property
    def value_info(self) -> dict[str, MetricInfo]:
        """What each value means, by the key that logs use."""
        return {joined(self.name, key): measure for key, measure in self.metric.value_info.items()}


def joined(name: str, key: str) -> str:
    """``wasserstein`` for a metric's only value, ``modes/captured`` for one of several."""
    return f"{name}/{key}" if key else name


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of measuring.

    Attributes:
        values: by ``"wasserstein"`` or ``"modes/captured"``.
        seconds: what it took.
        missing: optional metrics that failed, by name, and why.
    """

    values: Mapping[str, float]
    seconds: float
    missing: Mapping[str, str] = field(default_factory=dict)


def generate(generator: nn.Module, latent: Latent, data: DataSpec) -> Samples:
    """Samples on the CPU in the data's own units; the generator is left as it was, its statistics and mode included."""
    with evaluating(generator):
        values = torch.cat([imagine(generator, latent[at : at + _CHUNK]).values for at in range(0, len(latent), _CHUNK)])
    return Samples(data.to_own(values), latent.labels, latent).to("cpu")


def judge(discriminator: nn.Module, samples: Samples, data: DataSpec) -> DiscriminatorOutput:
    """The verdict, on the CPU, on samples in the data's own units; the discriminator is left as it was.

    Args:
        discriminator: on any device.
        samples: real or generated ones.
        data: the data as the discriminator sees it.
    """
    device = next(discriminator.parameters()).device
    seen = replace(samples, values=data.from_own(samples.values))
    with evaluating(discriminator):
        verdicts = [discriminator(seen[at : at + _CHUNK].to(device)) for at in range(0, len(seen), _CHUNK)]
    features = [verdict.features for verdict in verdicts if verdict.features is not None]
    return DiscriminatorOutput(
        torch.cat([verdict.logits for verdict in verdicts]).cpu(),
        {name: torch.cat([verdict.heads[name] for verdict in verdicts]).cpu() for name in verdicts[0].heads},
        torch.cat(features).cpu() if features else None,
    )


class Observer:
    """Measures and pictures from random streams of its own, so that looking more often never changes what is trained.

    The held-out samples and the latents are the same at every evaluation of one sample size: curves then move because the generator
    moved.

    Args:
        dataset: where held-out samples come from, in the data's own units.
        data: the data's spec as the networks see it, scaling included.
        sampler: where latents come from.
        metrics: what is measured.
        seed: the run's seed.
        device: where the networks live.
        pictured: samples in each picture.
        left_out: optional metrics that could not be built, by name, and why.
    """

    def __init__(
        self,
        *,
        dataset: Dataset,
        data: DataSpec,
        sampler: Sampler,
        metrics: Sequence[Scheduled],
        seed: int,
        device: torch.device,
        pictured: int = 512,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.left_out = dict(left_out or {})
        self.metrics = tuple(metrics)
        self.value_info = {key: measure for metric in self.metrics for key, measure in metric.value_info.items()}
        self._dataset, self._sampler, self._seed, self._device = dataset, sampler, seed, device
        self._held_out: dict[int, Samples] = {}
        self._examined: Samples | None = None
        with seeded(seed):
            self.real = dataset.held_out(pictured, stream(seed, "pictures", "real"))
            self._latent = sampler.draw(pictured, stream(seed, "pictures", "latent", device=device))
        self._axes = _axes(self.real.values) if sampler.spec.classes is None else None

    def measure(self, generator: nn.Module, discriminator: nn.Module | None, metrics: Sequence[Scheduled]) -> Measured:
        """The values of ``metrics`` for ``generator``, and the seconds they took; without a discriminator there is no critic."""
        began = time.perf_counter()
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        with seeded(self._seed):
            for scheduled in metrics:
                try:
                    insist_on_distinct(scheduled.metric, scheduled.name, self._dataset, scheduled.samples)
                    found = scheduled.metric.measure(self._evaluation(generator, discriminator, scheduled.samples))
                except Exception as error:
                    if not scheduled.optional:
                        raise
                    missing[scheduled.name] = describe_error(error)
                    continue
                values |= {joined(scheduled.name, key): float(value) for key, value in found.items()}
        return Measured(values, time.perf_counter() - began, missing)

    def measure_real(self, metric: Metric, count: int, name: str = "") -> tuple[Mapping[str, float], float]:
        """What a metric says of real samples in the place of generated ones: the perfect generator with so many samples.

        Returns:
            The values, and the share of the second half that is also in the first: a part kept back that is smaller than
            ``2 · count`` gives samples twice, and so values that are too good.

        Raises:
            IncompatiblePartsError: the metric needs distinct samples, and the held-out part is too small for two sets of them.
        """
        insist_on_distinct(metric, name or type(metric).__name__, self._dataset, count, sets=2)
        with seeded(self._seed):
            drawn = self._dataset.held_out(2 * count, stream(self._seed, "evaluation", "floor"))
            real, other = drawn[:count], drawn[count:]
            evaluation = Evaluation(
                real, other, stream(self._seed, "evaluation", "metric"), self._some_training, self._validation()
            )
            values = {key: float(value) for key, value in metric.measure(evaluation).items()}
        return values, _shared(real.values, other.values)

    def probe(self, average: nn.Module, raw: nn.Module, discriminator: nn.Module, count: int) -> tuple[Evaluation, Samples]:
        """What the health watch looks at: ``count`` samples of the average and of the raw generator, from the same latents."""
        with seeded(self._seed):
            latent = self._sampler.draw(count, stream(self._seed, "health", "latent", device=self._device))
            if self._examined is None or len(self._examined) != count:
                self._examined = self._dataset.held_out(count, stream(self._seed, "health", "real"))
            fakes = [generate(network, latent, self.data) for network in (average, raw)]
        evaluation = Evaluation(
            self._examined,
            fakes[0],
            stream(self._seed, "health", "draws"),
            training=self._some_training,
            critic=partial(self._judged, discriminator),
        )
        return evaluation, fakes[1]

    def _judged(self, discriminator: nn.Module, samples: Samples) -> DiscriminatorOutput:
        with seeded(self._seed):
            return judge(discriminator, samples, self.data)

    def training(self) -> Samples:
        """The training samples in the data's own units, perhaps as bytes."""
        return self._dataset.training()

    def training_count(self) -> int | None:
        """How many training samples there are, if :meth:`training` gives but a part of them."""
        if not isinstance(self._dataset, StreamingDataset):
            return None
        return len(self._dataset.streamed())

    def picture(self, generator: nn.Module, discriminator: nn.Module) -> tuple[Samples, LogitGrid | None, str | None]:
        """The fixed latents' samples, and the discriminator's field where the data is one- or two-dimensional and unlabelled.

        The field is an extra: a discriminator that fails on it gives the error, in a line, in its place.
        """
        with seeded(self._seed):
            fake = generate(generator, self._latent, self.data)
            try:
                return fake, self._field(discriminator), None
            except Exception as error:  # noqa: BLE001 - training does not need the field, and need not work in eval mode
                return fake, None, describe_error(error)

    def _evaluation(self, generator: nn.Module, discriminator: nn.Module | None, count: int) -> Evaluation:
        if count not in self._held_out:
            self._held_out[count] = self._dataset.held_out(count, stream(self._seed, "evaluation", "real"))
        latent = self._sampler.draw(count, stream(self._seed, "evaluation", "latent", device=self._device))
        fake = generate(generator, latent, self.data)
        return Evaluation(
            self._held_out[count],
            fake,
            stream(self._seed, "evaluation", "metric"),
            training=self._some_training,
            validation=self._validation(),
            critic=None if discriminator is None else partial(self._judged, discriminator),
        )

    def _some_training(self, most: int) -> Samples:
        training = self._dataset.training()
        some = training[spread_rows(len(training), most)]
        return replace(some, values=self.data.unpacked(some.values))

    def _validation(self) -> Callable[[int], Samples] | None:
        dataset = self._dataset
        if not isinstance(dataset, ValidationSplit) or dataset.validation(1) is None:
            return None

        def validation(most: int) -> Samples:
            found = dataset.validation(most)
            assert found is not None  # noqa: S101 - it gave one a moment ago
            return found

        return validation

    def _field(self, discriminator: nn.Module) -> LogitGrid | None:
        if self._axes is None:
            return None
        points = torch.cartesian_prod(*self._axes).reshape(-1, len(self._axes))  # (m, d)
        with evaluating(discriminator):
            verdict = discriminator(Samples(self.data.from_own(points.to(self._device))))
        return LogitGrid(points, verdict.logits.cpu(), tuple(len(axis) for axis in self._axes))


def _shared(one: Tensor, other: Tensor) -> float:
    """The share of ``other``'s samples that are among those of ``one``."""
    known = {row.tobytes() for row in one.numpy()}
    return sum(row.tobytes() in known for row in other.numpy()) / len(other)


def _axes(real: Tensor) -> tuple[Tensor, ...] | None:
    """Grid axes that hold the real samples ``(n, d)`` with a margin, for d of 1 or 2; else ``None``."""
    if real.ndim != 2 or real.shape[1] > 2:
        return None
    low, high = real.min(0).values, real.max(0).values
    margin = 0.25 * (high - low).clamp_min(1e-6)
    sides = 400 if real.shape[1] == 1 else 64
    return tuple(torch.linspace(float(start), float(end), sides) for start, end in zip(low - margin, high + margin, strict=True))

"""The evaluator: metrics, picture samples and the critic's logit grid, measured without changing what is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganforge.core.contracts import (
    Dataset,
    DistinctRealSamples,
    FiniteHeldOut,
    Metric,
    MetricInfo,
    ReliableSamples,
    Sampler,
    ValidationSplit,
)
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, PluginError, describe_error, isolated
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec, GameSpec
from ganforge.games.checked_calls import discriminate, draw_latents, encode, generate
from ganforge.train.batches import subsample_rows
from ganforge.train.modules import evaluating
from ganforge.train.random_streams import seeded, stream
from ganforge.train.real_samples import held_out_samples, training_samples, validation_samples

Networks = Mapping[str, nn.Module]
"""The networks that are evaluated, by role: the generator, and the critic and encoder where they are available."""

_CHUNK = 1000
"""Samples per forward pass, so that a large evaluation of images fits on a small device."""
_SAMPLES = 2000
"""Samples of a metric, unless the recipe says otherwise."""
_RELIABLE = 100
"""Samples that a metric needs, unless it says otherwise, so that chance does not decide its values."""


@dataclass(frozen=True, slots=True)
class ScheduledMetric:
    """A metric with its name in logs, measured with ``samples`` generated and as many held-out real ones.

    ``protocol`` is everything two of its values must share to be comparable; training continues if an ``optional`` one fails.
    ``remedy`` is what to do if it fails; ``caution`` why its values are unreliable, if they are.
    """

    name: str
    metric: Metric
    every: int
    samples: int
    protocol: Mapping[str, object] = field(default_factory=dict)
    optional: bool = False
    remedy: str | None = None
    caution: str | None = None

    @property
    def value_info(self) -> dict[str, MetricInfo]:
        """What each value means, by its key in logs; the label ends with the caution."""
        suffix = f" (unreliable: {self.caution})" if self.caution else ""
        return {value_key(self.name, key): replace(info, label=info.label + suffix) for key, info in self.metric.value_info.items()}


def sample_count(wanted: int | None, dataset: Dataset) -> int:
    """The number of samples of a metric: as wanted, else 2,000, or all held-out samples if there are fewer."""
    if wanted is not None:
        return wanted
    return max(2, min(_SAMPLES, dataset.held_out_size)) if isinstance(dataset, FiniteHeldOut) else _SAMPLES


def sample_caution(metric: Metric, dataset: Dataset, count: int) -> str | None:
    """Why values of the metric from ``count`` samples are unreliable: the real ones repeat, or there are too few; else ``None``."""
    if isinstance(dataset, FiniteHeldOut) and dataset.held_out_size < count:
        return f"{count:,} samples are compared with only {dataset.held_out_size:,} real ones, which repeat"
    needed = metric.reliable_samples if isinstance(metric, ReliableSamples) else _RELIABLE
    return f"only {count:,} samples, and it needs {needed:,}" if count < needed else None


def value_key(name: str, key: str) -> str:
    """``wasserstein`` for a metric's only value, ``modes/captured`` for one of several."""
    return f"{name}/{key}" if key else name


def draw_samples(generator: nn.Module, latent: Latent, data: DataSpec, role: str) -> Samples:
    """Samples on the CPU in the data's own units, generated in eval mode; modes and buffers stay as they were."""
    with evaluating(generator):
        chunks = [generate(generator, latent[at : at + _CHUNK], data.shape, role) for at in range(0, len(latent), _CHUNK)]
    values = torch.cat([chunk.values for chunk in chunks])
    return Samples(data.denormalize(values), latent.labels, latent).to("cpu")


def require_distinct(metric: Metric, name: str, dataset: Dataset, count: int, *, sets: int = 1) -> None:
    """Refuse ``sets`` times ``count`` real samples if the metric needs distinct ones and fewer are held out.

    A metric that looks at nearest neighbours needs them: a real sample that is drawn twice would be its own neighbour. Data sets
    without a finite held-out part draw fresh samples, which are distinct.
    """
    needs_distinct = isinstance(metric, DistinctRealSamples) and metric.needs_distinct_real
    if not needs_distinct or not isinstance(dataset, FiniteHeldOut) or sets * count <= dataset.held_out_size:
        return
    needed = f"{count:,} are needed" if sets == 1 else f"its floor needs {sets} × {count:,}"
    raise IncompatiblePartsError(
        f"metric '{name}' needs distinct real samples: {dataset.held_out_size:,} are held out, and {needed}",
        remedy=f"set its samples = {dataset.held_out_size // sets} or fewer",
    )


class Evaluator:
    """Evaluates generators with its own random streams, so that evaluating more often never changes the trained weights.

    For one number of samples, the held-out samples and the latents are the same at every evaluation, so that curves move only
    because the generator changed. ``data`` is as the networks see it; ``unavailable`` has the error of each optional metric
    that could not be built.
    """

    def __init__(
        self,
        *,
        game: GameSpec,
        dataset: Dataset,
        data: DataSpec,
        sampler: Sampler,
        metrics: Sequence[ScheduledMetric],
        seed: int,
        device: torch.device,
        picture_samples: int = 512,
        unavailable: Mapping[str, str] | None = None,
    ) -> None:
        self.data, self._game = data, game
        self.unavailable = dict(unavailable or {})
        self.metrics = tuple(metrics)
        self.value_info = {key: info for metric in self.metrics for key, info in metric.value_info.items()}
        self.dataset, self._sampler, self._seed, self._device = dataset, sampler, seed, device
        self._held_out: dict[int, Samples] = {}
        self._health_real: Samples | None = None
        self._training: Samples | None = None  # once a metric or health check needs them
        with seeded(seed):
            self.real = held_out_samples(dataset, picture_samples, stream(seed, "pictures", "real"))
            self._latent = draw_latents(sampler, picture_samples, stream(seed, "pictures", "latent", device=device))
        self._axes = _grid_axes(self.real.values) if sampler.spec.classes is None else None

    def measure(self, networks: Networks, metrics: Sequence[ScheduledMetric]) -> tuple[dict[str, float], dict[str, str]]:
        """Values by ``"wasserstein"`` or ``"modes/captured"``, and the error of each optional metric that failed, by its name."""
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        with seeded(self._seed):
            for scheduled in metrics:
                try:
                    require_distinct(scheduled.metric, scheduled.name, self.dataset, scheduled.samples)
                    evaluation = self._evaluation(networks, scheduled.samples)
                    found = self._measured(scheduled.metric, evaluation)
                except Exception as error:
                    if not scheduled.optional and isinstance(error, GanforgeError):
                        raise
                    if not scheduled.optional:
                        message = f"metric '{scheduled.name}' failed: {describe_error(error)}"
                        raise PluginError(message, remedy=scheduled.remedy) from error
                    missing[scheduled.name] = describe_error(error)
                    continue
                values |= {value_key(scheduled.name, key): value for key, value in found.items()}
        return values, missing

    def measure_real(self, metric: Metric, count: int, name: str = "") -> tuple[Mapping[str, float], float]:
        """The metric's floor: its values when ``count`` further real samples take the place of generated ones.

        The second result is the share of these that are also among the others: with fewer than ``2 · count`` held-out samples some
        are drawn twice, which makes the values too good.
        """
        require_distinct(metric, name or type(metric).__name__, self.dataset, count, sets=2)
        with seeded(self._seed):
            drawn = held_out_samples(self.dataset, 2 * count, stream(self._seed, "evaluation", "floor"))
            real, other = drawn[:count], drawn[count:]
            draws = stream(self._seed, "evaluation", "metric")
            values = self._measured(metric, Evaluation(real, other, draws, self._training_subsample, self._validation()))
        known = {row.tobytes() for row in real.values.numpy()}
        return values, sum(row.tobytes() in known for row in other.values.numpy()) / count

    def _measured(self, metric: Metric, evaluation: Evaluation) -> dict[str, float]:
        """The metric's values, which must be numbers under the keys of its ``value_info``; real samples must stay as they are."""
        real, before = evaluation.real.values, evaluation.real.values.sum()
        with isolated():
            found: Any = metric.measure(evaluation)
        if not torch.equal(real.sum(), before):
            self._held_out.clear()
            raise ValueError("measure changes the real samples in place, which other evaluations use")
        if not isinstance(found, Mapping) or found.keys() != metric.value_info.keys():
            returned = f"the keys {sorted(found)}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
            raise TypeError(f"measure returned {returned}, expected a mapping with the keys {sorted(metric.value_info)}")
        return {key: _number(value, key) for key, value in found.items()}

    def draw_health_samples(self, networks: Networks, raw: nn.Module, count: int) -> tuple[Evaluation, Samples]:
        """For health checks: ``count`` samples as an evaluation, and those of the ``raw`` generator from the same latents."""
        with seeded(self._seed):
            latent = draw_latents(self._sampler, count, stream(self._seed, "health", "latent", device=self._device))
            if self._health_real is None or len(self._health_real) != count:
                self._health_real = held_out_samples(self.dataset, count, stream(self._seed, "health", "real"))
            role = self._game.generator
            fake, other = (draw_samples(network, latent, self.data, role) for network in (networks[role], raw))
        draws = stream(self._seed, "health", "draws")
        return Evaluation(self._health_real, fake, draws, training=self._training_subsample, **self._uses(networks)), other

    def draw_picture(self, networks: Networks) -> tuple[Samples, LogitGrid | None, str | None]:
        """Samples from the fixed latents, and the logit grid for unlabelled one- or two-dimensional data.

        If the critic fails on the grid, the third value is the error.
        """
        role = self._game.generator
        with seeded(self._seed):
            fake = draw_samples(networks[role], self._latent, self.data, role)
            try:
                return fake, self._logit_grid(networks.get(self._game.critic or "")), None
            except Exception as error:  # noqa: BLE001 - training does not need the grid, and need not work in eval mode
                return fake, None, describe_error(error)

    def _evaluation(self, networks: Networks, count: int) -> Evaluation:
        if count not in self._held_out:
            self._held_out[count] = held_out_samples(self.dataset, count, stream(self._seed, "evaluation", "real"))
        latent = draw_latents(self._sampler, count, stream(self._seed, "evaluation", "latent", device=self._device))
        return Evaluation(
            self._held_out[count],
            draw_samples(networks[self._game.generator], latent, self.data, self._game.generator),
            stream(self._seed, "evaluation", "metric"),
            training=self._training_subsample,
            validation=self._validation(),
            **self._uses(networks),
        )

    def _uses(self, networks: Networks) -> dict[str, Any]:
        """What a metric may do with the networks that there are: ``critic``, ``encode`` and ``generate`` of an evaluation."""
        game = self._game
        critic, encoder = (networks.get(role or "") for role in (game.critic, game.encoder))
        return {
            "critic": None if critic is None else partial(self._run_critic, critic),
            "encode": None if encoder is None else partial(self._run_encoder, encoder),
            "generate": partial(self._generate, networks[game.generator]),
        }

    def _generate(self, generator: nn.Module, latent: Latent) -> Samples:
        with seeded(self._seed):
            return draw_samples(generator, latent.to(self._device), self.data, self._game.generator)

    def _run_critic(self, critic: nn.Module, samples: Samples) -> DiscriminatorOutput:
        """The critic's output for samples in the data's own units, in eval mode, on the CPU."""
        with seeded(self._seed), evaluating(critic):
            outputs = [discriminate(critic, chunk, str(self._game.critic)) for chunk in self._chunks(samples)]
        features = [output.features for output in outputs if output.features is not None]
        return DiscriminatorOutput(
            torch.cat([output.logits for output in outputs]).cpu(),
            {name: torch.cat([output.heads[name] for output in outputs]).cpu() for name in outputs[0].heads},
            torch.cat(features).cpu() if features else None,
        )

    def _run_encoder(self, encoder: nn.Module, samples: Samples) -> Tensor:
        """The encoder's output for samples in the data's own units, in eval mode, on the CPU."""
        with seeded(self._seed), evaluating(encoder):
            return torch.cat([encode(encoder, chunk, str(self._game.encoder)) for chunk in self._chunks(samples)]).cpu()

    def _chunks(self, samples: Samples) -> Iterator[Samples]:
        """The samples as networks see them, so many at once."""
        normalized = replace(samples, values=self.data.normalize(samples.values))
        return (normalized[at : at + _CHUNK].to(self._device) for at in range(0, len(samples), _CHUNK))

    def _training_subsample(self, most: int) -> Samples:
        self._training = self._training or training_samples(self.dataset)
        samples = self._training[subsample_rows(len(self._training), most)]
        return replace(samples, values=self.data.to_float(samples.values))

    def _validation(self) -> Callable[[int], Samples] | None:
        dataset = self.dataset
        if not isinstance(dataset, ValidationSplit) or validation_samples(dataset, self.dataset.spec, 1) is None:
            return None
        return cast("Callable[[int], Samples]", partial(validation_samples, dataset, self.dataset.spec))

    def _logit_grid(self, critic: nn.Module | None) -> LogitGrid | None:
        if self._axes is None or critic is None:
            return None
        points = torch.cartesian_prod(*self._axes).reshape(-1, len(self._axes))  # (m, d)
        with evaluating(critic):
            output = discriminate(critic, Samples(self.data.normalize(points.to(self._device))), str(self._game.critic))
        return LogitGrid(points, output.logits.cpu(), tuple(len(axis) for axis in self._axes))


def _number(value: object, key: str) -> float:
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        raise TypeError(f"measure returned a {type(value).__name__} for {key!r}, expected a number")
    return float(value)


def _grid_axes(real: Tensor) -> tuple[Tensor, ...] | None:
    """Grid axes that cover the real samples ``(n, d)`` with a margin, for d of 1 or 2; else ``None``."""
    if real.ndim != 2 or real.shape[1] > 2:
        return None
    low, high = real.min(0).values, real.max(0).values
    margin = 0.25 * (high - low).clamp_min(1e-6)
    sides = 400 if real.shape[1] == 1 else 64
    return tuple(torch.linspace(float(start), float(end), sides) for start, end in zip(low - margin, high + margin, strict=True))

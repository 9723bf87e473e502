"""The contracts of components: what each kind must offer. All are protocols, so a component needs no base class.

A factory ``(params, context) -> component`` builds each component. The contexts below carry what is known only at build time.

Optional abilities are small protocols of their own, such as :class:`BoundedNoise` or :class:`MinimumSamples`. A component has an
ability when it defines the protocol's member; ganforge checks with ``isinstance``. Leave the member out and you do not have it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from ganforge.core.errors import PluginError, describe_error
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class DatasetContext:
    """Build-time information for data sets.

    Attributes:
        seed: a synthetic data set draws its points from it.
        recipe_folder: folder that relative paths in params refer to.
        data_folder: folder of downloaded and prepared data sets (``$GANFORGE_DATA``, else the user's cache).
        fallback_folders: folders to search for prepared data sets that are not in ``data_folder``.
    """

    seed: int
    recipe_folder: Path
    data_folder: Path
    fallback_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplerContext:
    """Build-time information for samplers.

    Attributes:
        data: the data's spec, with the number and the shares of its classes.
    """

    data: DataSpec


@dataclass(frozen=True, slots=True)
class BuildContext:
    """Build-time information for networks and losses.

    Attributes:
        data: shape, classes and range of the data.
        latent: widths of the latents that the sampler draws.
    """

    data: DataSpec
    latent: LatentSpec


@dataclass(frozen=True, slots=True)
class EncoderContext(BuildContext):
    """Build-time information for encoders.

    Attributes:
        output: shape of what the encoder returns for one sample.
    """

    output: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MetricContext(BuildContext):
    """Build-time information for metrics: the sizes, and access to data and a cache for metrics that train or load a model.

    Attributes:
        recipe_folder: folder that relative paths in params refer to.
        cache_folder: where to cache expensive results, in one subfolder per component. It may be missing or read-only.
        dataset: builds the recipe's data set with seed 0, whatever the run's seed, so that a model trained on it is the same for
            all seeds that are compared.
    """

    recipe_folder: Path
    cache_folder: Path
    dataset: Callable[[], Dataset]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The distance between two distributions that the loss of the best discriminator estimates.

    Attributes:
        name: its name in words, such as "Jensen-Shannon divergence".
        greatest: its value for disjoint distributions; ``inf`` if it has no bound.
    """

    name: str
    greatest: float


@dataclass(frozen=True, slots=True)
class TermInfo:
    """What the value of a loss term means.

    Views explain the current value by its position between ``equilibrium`` and ``best``. A term without ``best``, such as a
    penalty, is shown as a number only.

    Attributes:
        label: plain-language description, such as "cost of taking real samples for fakes".
        equilibrium: value at the equilibrium of the game (generated = real distribution), or ``None`` if there is none.
        best: the value in the limit where this player wins: the discriminator classifies every sample correctly with certainty,
            or every generated sample passes for real; ``-inf`` if it falls without bound. ``None`` if unknown, or if more certainty
            costs more, so that the value does not show who is ahead.
        divergence: what the discriminator terms with a ``best`` estimate together, by the fraction of the way from equilibrium to
            best that they have covered; for ``best=-inf``, by the absolute distance from equilibrium.
    """

    label: str
    equilibrium: float | None = None
    best: float | None = None
    divergence: Divergence | None = None


Better = Literal["lower", "higher", "nearer", "none"]
"""Which values of a metric are better: lower ones, higher ones, those nearer to the value of a perfect generator, or none."""
WAYS: tuple[str, ...] = get_args(Better)


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What the value of a metric means.

    Attributes:
        label: plain-language description, with the unit.
        better: which values are better: ``lower``, ``higher``, ``nearer`` (to the floor, else the ideal; one of them is then
            required), or ``none`` for values that are only shown, such as a spread.
        ideal: value of a perfect generator, or ``None`` if it depends on the number of samples.
        symmetric: whether the value stays the same when real and generated samples are swapped, as for a distance.
        floor: mean value of a perfect generator for ``n`` real and ``n`` generated samples, if it is known and not ``ideal``.

    Raises:
        ValueError: ``better`` is an unknown word, or ``nearer`` without ideal and floor.
    """

    label: str
    better: Better
    ideal: float | None = None
    symmetric: bool = False
    floor: Callable[[int], float] | None = None

    def __post_init__(self) -> None:
        if self.better not in WAYS:
            raise ValueError(f"better must be one of {', '.join(WAYS)}, got {self.better!r}")
        if self.better == "nearer" and self.ideal is None and self.floor is None:
            raise ValueError("better='nearer' needs an ideal or a floor")

    def floor_at(self, samples: int | None) -> float | None:
        """The floor for this number of samples, if both are known."""
        if self.floor is None or not samples:
            return None
        try:
            return float(self.floor(samples))
        except Exception as error:
            message = f"the floor of the metric value '{self.label}' fails for {samples} samples: {describe_error(error)}"
            raise PluginError(message, remedy="fix the function that its MetricInfo names") from error

    def to_plain(self, samples: int | None = None) -> dict[str, Any]:
        """A JSON-able dict; for ``nearer`` it includes the floor for this number of samples."""
        floor = self.floor_at(samples) if self.better == "nearer" else None
        plain = {"label": self.label, "better": self.better, "ideal": self.ideal, "symmetric": self.symmetric}
        return plain if floor is None else {**plain, "floor": floor}


def aim(ideal: float | None, floor: float | None) -> float | None:
    """The value that "nearer" refers to: the floor at this number of samples, else the ideal; ``None`` if unknown."""
    return ideal if floor is None else floor


def goal_cost(value: float, better: str, target: float | None = None) -> float:
    """A number that is lower for better values: infinite for non-finite values, NaN if ``better`` ranks none.

    ``target`` is the value that "nearer" refers to.
    """
    if better == "nearer" and target is not None:
        found = abs(value - target)
    elif better in ("lower", "higher"):
        found = value if better == "lower" else -value
    else:
        return math.nan
    return found if math.isfinite(value) else math.inf


def is_ranked(better: str, target: float | None = None) -> bool:
    """Whether one value can be better than another."""
    return not math.isnan(goal_cost(0.0, better, target))


def describe_goal(better: str, target: float | None = None) -> str:
    """``lower is better``; "" for an unknown word."""
    if better == "nearer":
        return f"the nearer to {'that of real samples' if target is None else f'{target:.4g}'}, the better"
    return {"lower": "lower is better", "higher": "higher is better", "none": "neither way is better"}.get(better, "")


class Generator(Protocol):
    """A ``torch.nn.Module`` that maps latents to values; the trainer adds labels and latent to make `Samples`."""

    def __call__(self, latent: Latent) -> Tensor:
        """Values ``(n, *shape)`` in the networks' normalization of the data."""


class Discriminator(Protocol):
    """A ``torch.nn.Module`` that scores samples; it returns logits, never probabilities."""

    def __call__(self, samples: Samples) -> DiscriminatorOutput:
        """Logits ``(n,)`` and the heads that the network declares."""


class Encoder(Protocol):
    """A ``torch.nn.Module`` that maps samples to what a game reads from them, such as the parameters of a posterior."""

    def __call__(self, samples: Samples) -> Tensor:
        """``(n, *context.output)``, without an activation at the end."""


@runtime_checkable
class DataDependentInit(Protocol):
    """Ability of a network: initialise weights from the data, once before training.

    Runs that are resumed, sampled or exported load their weights instead and need no data.
    """

    def init_from_data(self, real: Samples) -> None:
        """Set weights from training samples ``(n, *shape)`` as the networks see them, on the CPU and without gradients.

        You get all training samples up to 40 million numbers, else an even selection. Random draws follow the run's seed.
        """


@runtime_checkable
class Loss(Protocol):
    """Pure arithmetic on network outputs; it never calls backward, steps an optimizer, or changes a module's mode.

    It has a method for each player whose objective it is part of, named as the player, from a :class:`Turn` to :class:`LossTerms`::

        def discriminator(self, turn: Turn) -> LossTerms: ...  # turn.fake.values carries no graph to the generator
        def generator(self, turn: Turn) -> LossTerms: ...  # turn.fake.values carries the graph to the generator

    The losses of a recipe add up. A penalty is a loss with terms for one player only.

    Attributes:
        term_info: the meaning of each term, by names such as ``"discriminator/real"`` or ``"generator/adversarial"``.
        second_order: whether it differentiates through a gradient: the discriminator must then allow double backward, and in its
            turn ``real.values`` and ``fake.values`` are leaves that require gradients.
    """

    term_info: Mapping[str, TermInfo]
    second_order: bool


@runtime_checkable
class LogOddsLoss(Protocol):
    """Ability of a loss: it trains the logits to be log odds of being real, as the original game does.

    Health checks may then convert logits to probabilities.
    """

    logits_are_log_odds: bool


@runtime_checkable
class Sampler(Protocol):
    """Draws latents."""

    @property
    def spec(self) -> LatentSpec:
        """What is drawn: widths and code counts."""

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        """``count`` latents on the generator's device, drawn from ``generator`` and from no other source of randomness."""


@runtime_checkable
class KnownNoiseMoments(Protocol):
    """Ability of a sampler: mean and standard deviation of each dimension of its noise are known; other samplers' are estimated."""

    noise_moments: tuple[float, float]


@runtime_checkable
class BoundedNoise(Protocol):
    """Ability of a sampler: its noise has a smallest and a largest value, or ``None`` if this configuration has no bounds.

    Interpolation between bounded latents is linear and stays in the box. Without bounds it is spherical, as suits normal noise.
    """

    noise_bounds: tuple[float, float] | None


@runtime_checkable
class Dataset(Protocol):
    """Samples that fit into memory, in the data's own units, or in ``spec.value_range`` for images.

    A data set that is too large for memory also has a method ``streamed``, see :class:`StreamingDataset`.
    """

    @property
    def spec(self) -> DataSpec:
        """Shape, classes, range and, for known distributions, the density."""

    def training(self) -> Samples:
        """All training samples, on the CPU, in a fixed order.

        Images may be bytes (uint8) to save three quarters of the memory: 0 and 255 are the ends of ``spec.value_range``, and each
        batch is converted to floats on the device.
        """

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        """``count`` real samples for evaluation, drawn with a CPU generator.

        Fresh draws of a known distribution; else draws from a held-out split, with replacement if it is too small.
        """


@runtime_checkable
class SampleSource(Protocol):
    """Training samples that are read when a batch needs them."""

    def __len__(self) -> int:
        """The number of samples."""

    def read(self, rows: Sequence[int]) -> Samples:
        """The samples of these row numbers, in this order, on the CPU, as bytes or floats.

        The result must depend on the rows alone: worker processes request batches in any order. If a file cannot be read, raise a
        ``DataError`` that names it.
        """


@runtime_checkable
class ParallelSampleSource(Protocol):
    """Ability of a sample source: read many rows on all cores, for use outside of the worker processes."""

    def read_parallel(self, rows: Sequence[int]) -> Samples:
        """The same samples as :meth:`SampleSource.read` gives."""


@runtime_checkable
class StreamingDataset(Protocol):
    """Ability of a data set: its samples need not fit into memory. ``training`` then returns a fixed subset."""

    def streamed(self) -> SampleSource:
        """All training samples, including those of ``training``."""


@runtime_checkable
class ValidationSplit(Protocol):
    """Ability of a data set: a split for choices such as early stopping or a kernel's width."""

    def validation(self, count: int) -> Samples | None:
        """The first ``count`` samples, or all, of a split that is neither training nor held-out; ``None`` if there is none.

        On the CPU, in a fixed order, in the data's own units.
        """


@runtime_checkable
class FiniteHeldOut(Protocol):
    """Ability of a data set: ``held_out`` draws from a finite split of this size and repeats samples beyond it."""

    held_out_size: int


@runtime_checkable
class Metric(Protocol):
    """Compares generated with real samples.

    Attributes:
        value_info: the meaning of each value it returns. A metric with one value uses the key ``""``; with several, logs name
            them ``name/key``, such as ``modes/captured``.
    """

    value_info: Mapping[str, MetricInfo]

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The values, keyed as in ``value_info``."""


@runtime_checkable
class EvaluationProtocol(Protocol):
    """Ability of a metric: state what its values depend on besides its params and the number of samples.

    The protocol is plain data, such as the name of the features and the SHA-256 of their weights. ganforge never compares values
    with different protocols.
    """

    protocol: Mapping[str, object]


@runtime_checkable
class TrainingDataMetric(Protocol):
    """Ability of a metric: it reads ``Evaluation.training`` or ``validation``.

    Its protocol then includes the data set's params that affect only the training samples.
    """

    uses_training_data: bool


@runtime_checkable
class MinimumSamples(Protocol):
    """Ability of a metric: it needs this many real, and as many generated, samples. Recipes with fewer are rejected."""

    min_samples: int


@runtime_checkable
class ReliableSamples(Protocol):
    """Ability of a metric: below this number of samples chance decides its values, which are then marked; without it, below 100."""

    reliable_samples: int


@runtime_checkable
class DistinctRealSamples(Protocol):
    """Ability of a metric: it needs distinct real samples, because a repeated sample would be its own neighbour.

    Recipes that ask for more samples than the data set :class:`holds out <FiniteHeldOut>` are rejected before training.
    """

    needs_distinct_real: bool

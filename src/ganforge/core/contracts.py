"""What each kind of component must be able to do. Protocols only: a component needs no base class of ours.

A factory ``(params, context) -> component`` builds each of them; the contexts below are what only build time knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ganforge.core.metric_goal import WAYS, Better, aim
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, Samples, Terms
from ganforge.core.specs import DataSpec, LatentSpec

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Critic = Callable[[Samples], DiscriminatorOutput]
"""How a loss sees the discriminator: samples in, verdict out. Asked twice about the same samples, it answers from memory."""


@dataclass(frozen=True, slots=True)
class DatasetContext:
    """What a data set is built with.

    Attributes:
        seed: seed of this run's data; a synthetic data set draws its points from it.
        recipe_folder: folder that relative paths in params are meant from.
        data_folder: where downloaded or prepared data sets lie (``$GANFORGE_DATA``, else the user's cache).
        fallback_folders: where to look for prepared ones that are not there.
    """

    seed: int
    recipe_folder: Path
    data_folder: Path
    fallback_folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplerContext:
    """What a sampler is built with: the data's spec, for class counts and shares."""

    data: DataSpec


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What networks and losses are built with: the sizes of data and latent, said once."""

    data: DataSpec
    latent: LatentSpec


@dataclass(frozen=True, slots=True)
class MetricContext(BuildContext):
    """What metrics are built with: the sizes, and what those need that learn or load what they look at.

    Attributes:
        recipe_folder: folder that relative paths in params are meant from.
        cache_folder: where to keep what takes long to make, in folders by the component's name. It may not exist, or refuse.
        dataset: gives the recipe's data set as seed 0 draws it, the same whatever the run's seed, so that what is learnt from it is
            the same for all seeds that are compared.
    """

    recipe_folder: Path
    cache_folder: Path
    dataset: Callable[[], Dataset]


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far two distributions are apart, as the loss of the best discriminator of its kind tells.

    Attributes:
        name: in the field's words, such as "Jensen-Shannon divergence".
        greatest: its value for distributions that share nothing; ``inf`` where it has no bound.
    """

    name: str
    greatest: float


@dataclass(frozen=True, slots=True)
class TermInfo:
    """What the value of a loss term means.

    Between ``equilibrium`` and ``best`` the views say in plain words what the present value means. A term without a ``best``, such
    as a penalty, has no part in that.

    Attributes:
        label: in plain words, such as "cost of taking real samples for fakes".
        equilibrium: its value where the game is settled (generated = real distribution), or ``None`` where there is none.
        best: the value that it comes to where its own player wins for certain: the discriminator is sure and right about all
            samples, or the generator's samples surely pass for real; ``-inf`` where winning has no end. ``None`` where that is
            unknown, or where being surer still costs more, so that the value does not tell who is ahead.
        divergence: what the discriminator's terms that have a ``best`` estimate together, by the share of the way from
            equilibrium to best that they have gone; for ``best=-inf``, by the way itself.
    """

    label: str
    equilibrium: float | None = None
    best: float | None = None
    divergence: Divergence | None = None


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What the value of a metric means.

    Attributes:
        label: in plain words, with the unit.
        better: which way is better: ``lower``, ``higher``; ``nearer`` to what a perfect generator has, the floor or else the ideal,
            one of which must be given; or ``none`` for what is shown and never judged, such as a spread.
        ideal: the value of a perfect generator, or ``None`` where it depends on the sample size.
        symmetric: whether the value stays the same when real and generated samples change places, as a distance does.
        floor: the value that a perfect generator has on average with so many real and as many generated samples, where it is known
            and is not the ideal.
    """

    label: str
    better: Better
    ideal: float | None = None
    symmetric: bool = False
    floor: Callable[[int], float] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be judged.

        Raises:
            ValueError: ``better`` is another word, or ``nearer`` to nothing.
        """
        if self.better not in WAYS:
            raise ValueError(f"better is {self.better!r}, which is none of {', '.join(WAYS)}")
        if self.better == "nearer" and self.ideal is None and self.floor is None:
            raise ValueError("'nearer' needs an ideal or a floor, to which values are near")

    def floor_at(self, samples: int | None) -> float | None:
        """The floor with so many samples, where both are known."""
        return self.floor(samples) if self.floor is not None and samples else None

    def aim_at(self, samples: int | None) -> float | None:
        """What the value is to be near to; ``None`` where another way is better, whose floor may be simulated and dear."""
        return aim(self.ideal, self.floor_at(samples)) if self.better == "nearer" else None

    def to_plain(self, samples: int | None = None) -> dict[str, Any]:
        """JSON-able; with what it is to be near to as its floor, where that depends on this number of samples."""
        floor = self.floor_at(samples) if self.better == "nearer" else None
        told = {"label": self.label, "better": self.better, "ideal": self.ideal, "symmetric": self.symmetric}
        return told if floor is None else {**told, "floor": floor}


class Generator(Protocol):
    """A ``torch.nn.Module`` that turns latents into values; the trainer adds labels and latent to make `Samples`."""

    def __call__(self, latent: Latent) -> Tensor:
        """Values ``(n, *shape)`` as networks see the data."""
        ...


class Discriminator(Protocol):
    """A ``torch.nn.Module`` that judges samples; logits, never probabilities."""

    def __call__(self, samples: Samples) -> DiscriminatorOutput:
        """Logits ``(n,)`` and whatever heads the network declares."""
        ...


@runtime_checkable
class DataDependentInit(Protocol):
    """What a generator or discriminator may do beside: set weights by the data, once before training.

    Weights of a run that is resumed, sampled or exported are loaded, so that it needs no data then.
    """

    def init_from_data(self, real: Samples) -> None:
        """Set weights by training samples ``(n, *shape)`` as networks see them, on the CPU and without gradients.

        They are all of them where that is few enough (40 million numbers), else some of all parts. What is drawn at random
        follows from the run's seed.
        """
        ...


@runtime_checkable
class Loss(Protocol):
    """Pure arithmetic on verdicts; it never calls backward, steps an optimizer, or changes a mode.

    A penalty is a loss that gives no terms (``Terms({})``) for one of the two turns. Losses of one recipe add up.

    One that trains the logits to be log odds of being real, as the original game does, says so by an attribute ``logistic = True``:
    the health watch may then read a probability off them.

    Attributes:
        term_info: for each term, as ``"discriminator/real"`` or ``"generator/adversarial"``, what its value means.
        second_order: whether it differentiates through a gradient: the discriminator must then allow double backward, and in its
            turn ``real.values`` and ``fake.values`` come as leaves that take gradients.
    """

    term_info: Mapping[str, TermInfo]
    second_order: bool

    def discriminator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """What the discriminator descends; ``fake.values`` carries no graph to the generator."""
        ...

    def generator(self, critic: Critic, real: Samples, fake: Samples) -> Terms:
        """What the generator descends; ``fake.values`` carries the graph to the generator."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """Draws latents.

    One that has an attribute ``moments`` promises them: mean and standard deviation of each dimension of its noise. One
    whose attribute ``bounds`` is not ``None`` promises that no noise lies outside of them: walks between two of its latents are
    straight, and so stay inside; those of others bend with the sphere that normal noise lies close to.
    """

    @property
    def spec(self) -> LatentSpec:
        """What is drawn: widths and code counts."""
        ...

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        """``count`` latents on the generator's device, drawn from ``generator`` and from no other source of randomness."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """Samples that fit into memory, in the data's own units, or in ``spec.value_range`` for images.

    One that is too large for memory has a method ``streamed`` besides, as in :class:`StreamingDataset`.
    """

    @property
    def spec(self) -> DataSpec:
        """Shape, classes, range and, for known distributions, the density."""
        ...

    def training(self) -> Samples:
        """All training samples, on the CPU, in a fixed order.

        Images may come as bytes (uint8), which take a quarter of the memory: 0 and 255 stand for the ends of ``spec.value_range``,
        and each batch becomes floats on the device.
        """
        ...

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        """``count`` real samples for evaluation, drawn with a CPU generator.

        Fresh draws of a known distribution; else drawn from a part that is kept back, with replacement where it is too small.
        """
        ...


@runtime_checkable
class SampleSource(Protocol):
    """Training samples that are read when a batch needs them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def read(self, rows: Sequence[int]) -> Samples:
        """The samples of these row numbers, in this order, on the CPU, as bytes or floats.

        What is read depends on the rows alone: worker processes ask for batches in any order. Samples that cannot be read raise a
        ``DataError`` that names the file.
        """
        ...


@runtime_checkable
class StreamingDataset(Protocol):
    """What a data set has besides where its samples need not fit into memory; ``training`` then gives a fixed part of them."""

    def streamed(self) -> SampleSource:
        """All training samples, those of ``training`` among them."""
        ...


@runtime_checkable
class ValidationSplit(Protocol):
    """What a data set has besides where a part is set aside to choose by: early stopping, the width of a window."""

    def validation(self, count: int) -> Samples | None:
        """The first ``count`` samples, or all, of a part that is neither trained on nor held out; ``None`` if this set-up has none.

        On the CPU, in a fixed order, in the data's own units.
        """
        ...


@runtime_checkable
class FiniteHeldOut(Protocol):
    """What a data set has besides where held-out samples are drawn from a part of finite size, and not made afresh."""

    @property
    def held_out_size(self) -> int:
        """How many there are; beyond so many, ``held_out`` gives some of them again."""
        ...


@runtime_checkable
class Metric(Protocol):
    """Compares generated with real samples.

    One that has an attribute ``protocol`` states by it, as plain data, what its values depend on beside its params and the number
    of samples: the features it looks at and their SHA-256, windows, neighbours. Values whose protocols differ are never compared.
    One whose attribute ``sees_training`` is true looks at ``Evaluation.training`` or ``validation`` too: its protocol holds
    parameters of the data set that only training depends on as well.
    One that has an attribute ``least`` needs so many samples; a recipe that gives it fewer is refused before training. One whose
    attribute ``distinct`` is true, as where it looks at neighbours, needs real samples that all differ; a recipe that asks for more
    than the data set has :class:`kept back <FiniteHeldOut>` is refused too.

    Attributes:
        value_info: for each value it returns, what it means. A metric with one value uses the key ``""``; several become
            ``name/key`` in logs, such as ``modes/captured``.
    """

    value_info: Mapping[str, MetricInfo]

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The values, keyed as in ``value_info``."""
        ...

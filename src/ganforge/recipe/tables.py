"""The tables of a recipe. Component parameters stay unchecked here: each component's own model judges them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, model_validator

from ganforge.core.health_config import Health
from ganforge.core.params import Params
from ganforge.core.schedules import Schedule

Scalar = float | Schedule
"""A number, or a table that schedules it."""


def _not_negative(scalar: float | Schedule) -> float | Schedule:
    if min(_ends(scalar)) < 0:
        raise ValueError(f"must not be negative, got {min(_ends(scalar)):g}")
    return scalar


def _decay(scalar: float | Schedule) -> float | Schedule:
    if wrong := [end for end in _ends(scalar) if not 0 <= end < 1]:
        raise ValueError(f"must be at least 0 and below 1, got {wrong[0]:g}")
    return scalar


def _ends(scalar: float | Schedule) -> list[float]:
    """The values between which the number stays."""
    if not isinstance(scalar, Schedule):
        return [scalar]
    return [end for end in (scalar.start, scalar.end, scalar.floor) if end is not None]


# What the validators demand of a plain number is told to the JSON Schema too.
Rate = Annotated[Scalar, AfterValidator(_not_negative), Field(json_schema_extra={"minimum": 0})]
"""A number that is never negative, or its schedule."""
Decay = Annotated[Scalar, AfterValidator(_decay), Field(json_schema_extra={"minimum": 0, "exclusiveMaximum": 1})]
"""A number from 0 to below 1, or its schedule."""
Beta = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ComponentParams = Annotated[dict[str, JsonValue], Field(default_factory=dict, description="The component's own parameters.")]


class Train(Params):
    """How long and in what way the networks learn."""

    iterations: int = Field(ge=1)
    """Generator updates in all."""
    batch_size: int = Field(64, ge=1)
    """Samples in each batch, real and generated alike."""
    seed: int = Field(0, ge=0, lt=2**63)
    """One number from which every stream of randomness follows."""
    discriminator_steps: int = Field(1, ge=1)
    """k of Algorithm 1 (Goodfellow et al. 2014): discriminator updates per generator update."""
    updates: Literal["alternating", "simultaneous"] = "alternating"
    """Whether the generator answers the updated discriminator, or both move from the same point on the same batch."""
    average: Decay = 0.999
    """Decay per iteration of the generator's moving average (EMA), which is what is shown and measured; 0 switches it off."""

    @model_validator(mode="after")
    def _simultaneous_has_one_step(self) -> Self:
        if self.updates == "simultaneous" and self.discriminator_steps != 1:
            raise ValueError(
                'simultaneous updates take one discriminator step; set discriminator_steps = 1 or updates = "alternating"'
            )
        return self


class DatasetTable(Params):
    """The real samples."""

    use: Name
    """Name of a dataset."""
    params: ComponentParams
    standardise: bool = False
    """Whether the networks see each feature with mean 0 and variance 1; metrics, pictures and samples keep the data's own units."""
    workers: int | None = Field(None, ge=0, le=64)
    """Processes that read a streamed data set beside the training, whose result does not depend on their number; unless given, one
    less than there are cores, but eight at most."""


class SamplerTable(Params):
    """The latents."""

    use: Name
    """Name of a sampler."""
    params: ComponentParams


class AdamTable(Params):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019) with decoupled weight decay."""

    use: Literal["adam", "adamw"] = "adam"
    """Name of the optimizer."""
    lr: Rate = 2e-4
    """Learning rate."""
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    """Decay of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay."""


class SgdTable(Params):
    """Stochastic gradient descent with momentum."""

    use: Literal["sgd"]
    """Name of the optimizer."""
    lr: Rate = 0.1
    """Learning rate."""
    momentum: Rate = 0.0
    """Momentum."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay."""


class RmspropTable(Params):
    """RMSprop, as WGAN used it (Arjovsky et al. 2017)."""

    use: Literal["rmsprop"]
    """Name of the optimizer."""
    lr: Rate = 5e-5
    """Learning rate."""
    alpha: float = Field(0.99, ge=0, lt=1)
    """Decay of the running mean of the squared gradient."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay."""


def _optimizer_kind(table: object) -> str:
    use = table.get("use", "adam") if isinstance(table, dict) else getattr(table, "use", "")
    return "adam" if use == "adamw" else str(use)


OptimizerTable = Annotated[
    Annotated[AdamTable, Tag("adam")] | Annotated[SgdTable, Tag("sgd")] | Annotated[RmspropTable, Tag("rmsprop")],
    Discriminator(
        _optimizer_kind, custom_error_type="unknown_optimizer", custom_error_message="use must be one of: adam, adamw, sgd, rmsprop"
    ),
]


class NetworkTable(Params):
    """A generator or discriminator, with the optimizer that moves it."""

    use: Name
    """Name of a generator or discriminator."""
    params: ComponentParams
    optimizer: OptimizerTable = Field(default_factory=AdamTable)
    """What moves the weights."""


class LossTable(Params):
    """One part of the objective; all parts add up."""

    use: Name
    """Name of a loss."""
    params: ComponentParams
    weight: Scalar = 1.0
    """What its terms count."""


class MetricTable(Params):
    """Something to measure, during training and at its end."""

    use: Name
    """Name of a metric."""
    params: ComponentParams
    name: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_\-. ]+$")
    """Name in logs; the component's name unless two tables use one component."""
    every: int | None = Field(None, ge=1)
    """Iterations between measurements; a tenth of the run unless given. It is always measured at the end."""
    samples: int = Field(2000, ge=2)
    """Generated samples, and as many held-out real ones."""
    optional: bool = False
    """Whether training goes on without it where it cannot be measured: a package is missing, or samples are too few."""


class Expectation(Params):
    """A band that the last value of a metric must lie in, for so many seeds: what ``ganforge verify`` tries."""

    metric: str = Field(min_length=1, max_length=200)
    """The metric, as it is called in logs: "wasserstein", or "modes/captured"."""
    min: float | None = None
    """Least value that is in the band."""
    max: float | None = None
    """Greatest value that is in the band."""
    seeds: int = Field(3, ge=1, le=1000)
    """Seeds that are run, from the recipe's on."""
    at_least: int | None = Field(None, ge=1)
    """How many of them must lie in the band; all unless given."""

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("says neither min nor max; give one of them, such as max = 0.1")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min:g}) must not be above max ({self.max:g})")
        if self.at_least is not None and self.at_least > self.seeds:
            raise ValueError(f"at_least ({self.at_least}) must not be more than seeds ({self.seeds})")
        return self


class Pictures(Params):
    """What is drawn during training and after it."""

    every: int | None = Field(None, ge=1)
    """Iterations between pictures; a fortieth of the run unless given. One is always drawn before training and one at its end."""
    samples: int = Field(512, ge=1)
    """Points of a scatter; of images at most 64 are shown, or 100 in rows of their labels or codes."""
    gif: bool = True
    """Whether an animation of the training is made from the pictures."""
    album: bool = True
    """Whether walks through the latent space and the nearest training images are drawn when training is finished."""
    report: bool = True
    """Whether a page about the run, report.html, is written when training ends."""


class Checkpoints(Params):
    """What is saved during training."""

    every: int | None = Field(None, ge=1)
    """Iterations between checkpoints; a tenth of the run unless given. One is always saved at the end and when stopped."""
    keep: int = Field(2, ge=1)
    """How many of the newest are kept."""


class Tracking(Params):
    """How the run is recorded in MLflow. Where the store is, only the command line or the environment may say."""

    experiment: str | None = Field(None, min_length=1, max_length=200)
    """Name of the MLflow experiment and of the folder below the runs folder; the recipe's file name unless given."""
    mode: Literal["process", "inline", "off"] = "process"
    """Whether a process of its own delivers to MLflow, or a thread of this one, or nobody until `ganforge sync`."""
    resolution: Literal["auto", "full"] = "auto"
    """Whether metrics are thinned for MLflow. The journal in the run folder always holds them all."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of your own."""


class Requires(Params):
    """What must be installed. It is only checked; ganforge installs nothing."""

    ganforge: str | None = None
    """Version specifier for ganforge, such as ">=0.1"."""
    plugins: tuple[str, ...] = ()
    """Plugin distributions, each with or without a version specifier."""


class Recipe(Params):
    """One experiment: which components, with which parameters, trained how."""

    title: str | None = Field(None, max_length=500)
    """One line that says what the experiment shows."""
    description: str | None = None
    """More about it, as Markdown."""
    train: Train
    dataset: DatasetTable
    sampler: SamplerTable
    generator: NetworkTable
    discriminator: NetworkTable
    loss: tuple[LossTable, ...] = Field(min_length=1)
    """The parts of the objective."""
    metric: tuple[MetricTable, ...] = ()
    """What is measured."""
    expect: tuple[Expectation, ...] = ()
    """Bands that the metrics reach, tried by ``ganforge verify``."""
    health: Health = Field(default_factory=Health)
    pictures: Pictures = Field(default_factory=Pictures)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    tracking: Tracking = Field(default_factory=Tracking)
    requires: Requires = Field(default_factory=Requires)

"""The tables of a recipe. The parameters of a component are validated later, by the component's own model."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, model_validator

from ganforge.core.health_config import Health
from ganforge.core.params import Params, Schedule
from ganforge.registry.component import Kind

Scalar = float | Schedule
"""A number, or a table with its schedule."""


def _within(scalar: float | Schedule, limit: float) -> float | Schedule:
    """The number, if it is at least 0 and below the limit during the whole run."""
    bounds = (scalar.start, scalar.end, scalar.floor) if isinstance(scalar, Schedule) else (scalar,)
    for bound in bounds:
        if bound is not None and not 0 <= bound < limit:
            raise ValueError(f"must be at least 0{'' if limit == math.inf else f' and below {limit:g}'}, got {bound:g}")
    return scalar


# json_schema_extra repeats for plain numbers what the validators check
Rate = Annotated[Scalar, AfterValidator(partial(_within, limit=math.inf)), Field(json_schema_extra={"minimum": 0})]
"""A non-negative number, or its schedule."""
Decay = Annotated[Scalar, AfterValidator(partial(_within, limit=1)), Field(json_schema_extra={"minimum": 0, "exclusiveMaximum": 1})]
"""A number from 0 to below 1, or its schedule."""
Beta = Annotated[float, Field(ge=0, lt=1)]

SINGLE_KINDS = (Kind.GAME, Kind.DATASET, Kind.SAMPLER)
"""Kinds of which a recipe names exactly one component."""
NETWORK_KINDS = (Kind.GENERATOR, Kind.DISCRIMINATOR, Kind.ENCODER)
"""Kinds of networks. A network's role in the game names its table: ``[generator]``, or ``[networks.generator_ab]``."""
LIST_KINDS = (Kind.LOSS, Kind.METRIC)
"""Kinds of which a recipe holds a list."""


class Train(Params):
    """Length and procedure of the training."""

    iterations: int = Field(ge=1)
    """Number of generator updates."""
    batch_size: int = Field(64, ge=1)
    """Samples per batch, for real and generated batches."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of all random streams."""
    discriminator_steps: int = Field(1, ge=1)
    """k of Algorithm 1 (Goodfellow et al. 2014): discriminator updates per generator update."""
    updates: Literal["alternating", "simultaneous"] = "alternating"
    """Whether the generator trains against the updated discriminator, or both use the same weights and the same batch."""
    ema_decay: Decay = 0.999
    """Decay per iteration of the generator's moving average (EMA), which is used for pictures and metrics; 0 switches it off."""

    threads: int | None = Field(None, ge=1, le=1024)
    """Threads that one training computes with on the CPU; results depend on it slightly. Default: 1 for small networks without
    convolutions and for each of several parallel jobs, else all that torch uses."""

    @model_validator(mode="after")
    def _simultaneous_has_one_step(self) -> Self:
        if self.updates == "simultaneous" and self.discriminator_steps != 1:
            raise ValueError(
                'simultaneous updates allow one discriminator step; set discriminator_steps = 1 or updates = "alternating"'
            )
        return self


class ComponentTable(Params):
    """A component."""

    use: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the component."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """The component's own parameters."""


class DatasetTable(ComponentTable):
    """The real samples."""

    standardise: bool = False
    """Whether networks get each feature with mean 0 and variance 1; metrics, pictures and samples keep the data's units."""
    workers: int | None = Field(None, ge=0, le=64)
    """Worker processes that read a streamed data set; results do not depend on it. Default: the number of cores minus one, at most
    eight."""


class AdamTable(Params):
    """Adam (Kingma & Ba 2015), or AdamW (Loshchilov & Hutter 2019) with decoupled weight decay."""

    use: Literal["adam", "adamw"] = "adam"
    """Name of the optimizer."""
    lr: Rate = 2e-4
    """Learning rate."""
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    """Decay rates of the running means of the gradient and its square."""
    eps: float = Field(1e-8, gt=0)
    """Term added to the denominator for numerical stability."""
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
    Discriminator(_optimizer_kind, custom_error_type="unknown_optimizer", custom_error_message="'adam', 'adamw', 'sgd', 'rmsprop'"),
]


class GameTable(ComponentTable):
    """The game: which networks there are, and from which losses they learn."""

    use: Annotated[str, Field(min_length=1, max_length=200)] = "two-player"
    """Name of the game."""


class NetworkTable(ComponentTable):
    """A network, with its optimizer."""

    optimizer: OptimizerTable = Field(default_factory=AdamTable)
    """Optimizer of the weights."""

    @property
    def is_frozen(self) -> bool:
        """Whether the learning rate is 0 throughout."""
        lr = self.optimizer.lr
        return not (lr.start or lr.end) if isinstance(lr, Schedule) else lr == 0


class LossTable(ComponentTable):
    """One loss; the objective is the weighted sum of all losses."""

    weight: Scalar = 1.0
    """Weight of its terms."""
    every: int = Field(1, ge=1)
    """Computed in every n-th iteration only, with n times its weight (lazy regularisation, Karras et al. 2020)."""


class MetricTable(ComponentTable):
    """A metric, measured during training and at its end."""

    name: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_\-. ]+$")
    """Name in logs. Default: the component's name; needed if two tables use the same component."""
    every: int | None = Field(None, ge=1)
    """Iterations between measurements. Default: a tenth of the run. It is always measured at the end."""
    samples: int | None = Field(None, ge=2)
    """Number of generated samples, and of held-out real samples. Default: 2,000, or all held-out samples if there are fewer."""
    optional: bool = False
    """Whether to train without the metric if it cannot be measured: a package is missing, or there are too few samples."""


class Expectation(Params):
    """A band for the final value of a metric over several seeds, checked by ``ganforge verify``."""

    metric: str = Field(min_length=1, max_length=200)
    """Name of the metric in logs: "wasserstein", or "modes/captured"."""
    min: float | None = None
    """Lowest value in the band."""
    max: float | None = None
    """Highest value in the band."""
    seeds: int = Field(3, ge=1, le=1000)
    """Number of seeds to run, starting with the recipe's."""
    at_least: int | None = Field(None, ge=1)
    """Number of seeds whose value must lie in the band. Default: all."""

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max, such as max = 0.1")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min:g}) must not be above max ({self.max:g})")
        if self.at_least is not None and self.at_least > self.seeds:
            raise ValueError(f"at_least ({self.at_least}) must not be more than seeds ({self.seeds})")
        return self


class Pictures(Params):
    """Pictures drawn during and after training."""

    every: int | None = Field(None, ge=1)
    """Iterations between pictures. Default: a fortieth of the run. One is always drawn before training and one at its end."""
    samples: int = Field(512, ge=1)
    """Points in a scatter plot. Of images at most 64 are shown, or 100 in rows by label or code."""
    gif: bool = True
    """Whether to make an animation of the training from the pictures."""
    final_figures: bool = True
    """Whether to draw latent interpolations and nearest training images after training."""
    report: bool = True
    """Whether to write report.html, a page about the run, when training ends."""


class Checkpoints(Params):
    """Checkpoints saved during training."""

    every: int | None = Field(None, ge=1)
    """Iterations between checkpoints. Default: a tenth of the run. One is always saved at the end and when the run is stopped."""
    keep: int = Field(2, ge=1)
    """Number of newest checkpoints to keep."""


class Tracking(Params):
    """How the run is recorded in MLflow. The address of the store is set on the command line or in the environment only."""

    experiment: str | None = Field(None, min_length=1, max_length=200)
    """Name of the MLflow experiment and of the folder below the runs folder. Default: the recipe's file name."""
    mode: Literal["process", "inline", "off"] = "process"
    """Upload to MLflow from a separate process, from a thread of this process, or only with `ganforge sync`."""
    resolution: Literal["auto", "full"] = "auto"
    """Whether to downsample metrics for MLflow. The journal in the run folder always holds every value."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Additional tags."""


class Requires(Params):
    """Required versions and plugins. They are only checked; ganforge installs nothing."""

    ganforge: str | None = None
    """Version specifier for ganforge, such as ">=0.1"."""
    plugins: tuple[str, ...] = ()
    """Plugin distributions, each with an optional version specifier."""


class Recipe(Params):
    """One experiment: its components, their parameters, and how they are trained."""

    title: str | None = Field(None, max_length=500)
    """What the experiment shows, in one line."""
    description: str | None = None
    """Longer description, as Markdown."""
    train: Train
    game: GameTable = Field(default_factory=GameTable)
    dataset: DatasetTable
    sampler: ComponentTable
    """The latents."""
    generator: NetworkTable | None = None
    discriminator: NetworkTable | None = None
    encoder: NetworkTable | None = None
    networks: dict[str, NetworkTable] = Field(default_factory=dict)
    """Networks with other roles in the game, by role."""
    loss: tuple[LossTable, ...] = ()
    """The losses, whose weighted sum is the objective."""
    metric: tuple[MetricTable, ...] = ()
    """The metrics."""
    expect: tuple[Expectation, ...] = ()
    """Expected bands of metrics, checked by ``ganforge verify``."""
    health: Health = Field(default_factory=Health)
    pictures: Pictures = Field(default_factory=Pictures)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    tracking: Tracking = Field(default_factory=Tracking)
    requires: Requires = Field(default_factory=Requires)

    @property
    def network_tables(self) -> dict[str, NetworkTable]:
        """The tables of all networks by their role."""
        named = {kind.value: getattr(self, kind.value) for kind in NETWORK_KINDS}
        return {role: table for role, table in {**named, **self.networks}.items() if table is not None}

    @property
    def frozen(self) -> tuple[str, ...]:
        """The networks whose learning rate is 0 throughout."""
        return tuple(role for role, table in self.network_tables.items() if table.is_frozen)

"""The recipe's ``[health]`` table: the health checks and their limits."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ganforge.core.params import Params

Size = Annotated[float, Field(gt=0)]
"""Limit of a norm or ratio that grows; 0 would always be crossed."""
Share = Annotated[float, Field(gt=0, le=1)]
"""Limit of a share that grows."""
Remainder = Annotated[float, Field(ge=0, le=1)]
JensenShannon = Annotated[float, Field(gt=0, le=0.6931)]
"""Limit of a Jensen-Shannon divergence, which is at most log 2."""


class CheckSwitch(Params):
    """A check without limits."""

    enabled: bool = True
    """Whether the check runs."""


class WarnLimit(CheckSwitch):
    """A check that only warns."""

    lower_is_worse: ClassVar[bool] = False

    warn: float
    """From this value on the check warns."""


class Limits(WarnLimit):
    """A check that warns, and fails from a worse value on."""

    fail: float
    """From this value on the check fails."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.fail > self.warn) if self.lower_is_worse else (self.fail < self.warn):
            raise ValueError(f"'fail' ({self.fail:g}) must not come before 'warn' ({self.warn:g})")
        return self


class PersistentLimits(Limits):
    """Limits of a value that is checked every few iterations."""

    patience: int = Field(200, ge=1)
    """Iterations that it must last without a break; in runs of fewer than 4,000 iterations a twentieth of the run."""


class GradientLimits(PersistentLimits):
    """Norm of a network's whole gradient (ganhacks, section 10)."""

    warn: Size = 100.0
    fail: Size = 1e4


class WeightLimits(Limits):
    """Norm of all weights of the generator, over its initial value."""

    warn: Size = 20.0
    fail: Size = 100.0


class DominanceLimits(PersistentLimits):
    """(log 4 - L)/2 for the discriminator's log loss L: its estimate of the Jensen-Shannon divergence, at most log 2."""

    warn: JensenShannon = 0.55
    fail: JensenShannon = 0.65
    min_accuracy: float = Field(0.95, ge=0.5, le=1)
    """Share of samples, real and generated, that it must also classify correctly. To fail, it must come four fifths closer to 1."""


class FallingLimits(Limits):
    """Limits of a ratio that falls from 1, the value of a good generator."""

    lower_is_worse: ClassVar[bool] = True

    warn: Remainder = 0.8
    fail: Remainder = 0.1


class VanishingLimits(FallingLimits, PersistentLimits):
    """Norm of the generator's gradient, over its median in the first twentieth of the run."""

    warn: Remainder = 0.01
    fail: Remainder = 0.001


class OverfittingLimits(Limits):
    """How far the discriminator takes held-out samples for fakes: (D(train) - D(held out)) / (D(train) - D(fake)), on logits."""

    warn: Size = 0.35
    fail: Size = 0.5
    min_sign: float = Field(0.3, ge=-1, le=1)
    """Mean sign of its logits on training samples that it must also reach; below, it is so undecided that the ratio is noise."""


class InputGradientLimits(PersistentLimits):
    """The discriminator's input gradient at real samples over that at fakes, or the reverse if that is larger."""

    warn: float = Field(5.0, gt=1)
    fail: float = Field(50.0, gt=1)


class ConvergenceLimits(FallingLimits):
    """How near samples come to the data: precision, or coverage over that of a perfect generator, whichever is larger."""

    warn: Remainder = 0.25
    fail: Remainder = 0.15
    after: float = Field(0.7, ge=0, lt=1)
    """Share of the run after which samples must be near the data."""


class MetricLimit(WarnLimit):
    """Distance of a metric's last value from the ideal that it declares, over the ideal. It only warns."""

    warn: Size = 0.2


class CollapseLimits(FallingLimits):
    """Share of held-out samples that are near generated ones (coverage), over that of a perfect generator."""

    warn: Remainder = 0.5
    fail: Remainder = 0.2


class DuplicateLimits(Limits):
    """Pairs of generated samples as near as one in a thousand pairs of real ones, over their number among real samples.

    At 1,000 all pairs are near; infogan_digits, which is healthy, begins at 97, with ten digits of little variety.
    """

    warn: Size = 30.0
    fail: Size = 500.0


class SeparationLimit(WarnLimit):
    """Share of samples, real and generated, whose nearest neighbour is of the same kind; 0.5 is ideal. It only warns."""

    warn: float = Field(0.9, gt=0.5, le=1)


class MemorisationLimits(Limits):
    """Share of generated samples that are ten times nearer to a training sample than held-out ones are."""

    warn: Share = 0.2
    fail: Share = 0.5


class OscillationLimits(Limits):
    """Distance of the generator's samples to real ones, over that of its EMA's; median of the last five checks."""

    warn: Size = 2.0
    fail: Size = 5.0


class Health(Params):
    """Health checks: which run, how often, their limits, and what a failure does."""

    enabled: bool = True
    """Whether training is monitored."""
    on_fail: Literal["warn", "stop", "roll-back"] = "warn"
    """What a failure does besides being reported: nothing; stop the run with its state saved; or roll back to a state from before
    it and draw other latents from there, at most three times."""
    every: int = Field(10, ge=1)
    """Iterations between checks of training diagnostics; those that need a pass through the discriminator run a tenth as often."""
    sample_checks: int = Field(20, ge=0, le=1000)
    """How often in a run generated samples are checked; 0 for never. In short runs less often, at least 50 iterations apart."""
    samples: int = Field(512, ge=32, le=10_000)
    """Generated samples per check, and as many held-out real ones. At most 10,000, because each is compared with every other: that
    many take most of a minute on the CPU."""
    warmup: float = Field(0.1, ge=0, lt=1)
    """Share of the run without checks of samples, because nothing is learned yet. For training diagnostics half of it."""
    finite: CheckSwitch = Field(default_factory=CheckSwitch)
    """Whether generated samples are finite. A loss or a state that is not finite ends the run in any case."""
    gradients: GradientLimits = Field(default_factory=GradientLimits)
    weights: WeightLimits = Field(default_factory=WeightLimits)
    dominance: DominanceLimits = Field(default_factory=DominanceLimits)
    vanishing: VanishingLimits = Field(default_factory=VanishingLimits)
    overfitting: OverfittingLimits = Field(default_factory=OverfittingLimits)
    input_gradient: InputGradientLimits = Field(default_factory=InputGradientLimits)
    convergence: ConvergenceLimits = Field(default_factory=ConvergenceLimits)
    collapse: CollapseLimits = Field(default_factory=CollapseLimits)
    duplicates: DuplicateLimits = Field(default_factory=DuplicateLimits)
    separation: SeparationLimit = Field(default_factory=SeparationLimit)
    memorisation: MemorisationLimits = Field(default_factory=MemorisationLimits)
    oscillation: OscillationLimits = Field(default_factory=OscillationLimits)
    labels: FallingLimits = Field(default_factory=FallingLimits)
    """How well generated samples match their label, compared with real ones; 0 is chance."""
    codes: FallingLimits = Field(default_factory=FallingLimits)
    """Information on the codes that the code head finds in generated samples, over the codes' entropy."""
    metrics: MetricLimit = Field(default_factory=MetricLimit)

    def sample_interval(self, iterations: int) -> int:
        """Iterations between checks of samples in a run of ``iterations``; a few steps change samples less than chance does."""
        return max(50, iterations // max(1, self.sample_checks))

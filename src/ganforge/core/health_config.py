"""The one table of the health watch: which checks there are, and from which values on they speak; a recipe may change each."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ganforge.core.params import Params

Size = Annotated[float, Field(gt=0)]
"""Limit of a norm or ratio that grows; one of 0 would be crossed always."""
Share = Annotated[float, Field(gt=0, le=1)]
"""Limit of a share that grows."""
Rest = Annotated[float, Field(ge=0, le=1)]
"""Limit of a ratio that falls from the 1 of a good generator: a higher one would be crossed always, and 0 never is."""
Divergence = Annotated[float, Field(gt=0, le=0.6931)]
"""Limit of a Jensen-Shannon divergence, which is log 2 at most."""


class Switch(Params):
    """A check without a limit."""

    on: bool = True
    """Whether the check speaks at all."""


class Warned(Switch):
    """From which value on one check warns."""

    lower_is_worse: ClassVar[bool] = False

    warn: float
    """From this value on something should be looked at."""


class Limits(Warned):
    """From which value on one check warns, and from which it says that training fails."""

    fail: float
    """From this value on training does not do what it should."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if (self.fail > self.warn) if self.lower_is_worse else (self.fail < self.warn):
            raise ValueError(f"'fail' ({self.fail:g}) must not come before 'warn' ({self.warn:g})")
        return self


class Lasting(Limits):
    """Limits of a value that is looked at every few iterations."""

    patience: int = Field(200, ge=1)
    """Iterations without a break that it must last; in runs of fewer than 4,000 iterations a twentieth of them."""


class Finite(Switch):
    """Whether generated samples are numbers. A loss or a state that is none ends the run in any case."""


class Gradients(Lasting):
    """Norm of a network's whole gradient (ganhacks, section 10)."""

    warn: Size = 100.0
    fail: Size = 1e4


class Weights(Limits):
    """Norm of all weights of the generator, over what it was when training began."""

    warn: Size = 20.0
    fail: Size = 100.0


class Dominance(Lasting):
    """(log 4 - L)/2 for the discriminator's log loss L: what it takes the Jensen-Shannon divergence for, log 2 at most."""

    warn: Divergence = 0.55
    fail: Divergence = 0.65
    accuracy: float = Field(0.95, ge=0.5, le=1)
    """Share of samples, real and generated, that it must tell besides; for a failure four fifths of the way from there to 1."""


class Vanishing(Lasting):
    """Norm of the generator's gradient, over its median in the first twentieth of the run."""

    lower_is_worse: ClassVar[bool] = True

    warn: Rest = 0.01
    fail: Rest = 0.001


class Overfitting(Limits):
    """How far the discriminator takes held-out samples for fakes: (D(train) - D(held out)) / (D(train) - D(fake)), on logits."""

    warn: Size = 0.35
    fail: Size = 0.5
    signs: float = Field(0.3, ge=-1, le=1)
    """Mean sign of its logits on training samples that it must reach besides; below, it is so undecided that the share is noise."""


class Slopes(Lasting):
    """Steepness of the discriminator on real samples over that on fakes, or the reverse where that is more."""

    warn: float = Field(5.0, gt=1)
    fail: float = Field(50.0, gt=1)


class Collapse(Limits):
    """Share of held-out samples that generated ones come near to (coverage), over that of a perfect generator."""

    lower_is_worse: ClassVar[bool] = True

    warn: Rest = 0.5
    fail: Rest = 0.2


class Duplicates(Limits):
    """Pairs of generated samples that are as near as one in a thousand pairs of real ones, over their number among real ones.

    At 1,000 all pairs are near; infogan_digits, which is healthy, begins at 97, with ten digits of little variety.
    """

    warn: Size = 30.0
    fail: Size = 500.0


class Separation(Warned):
    """Share of samples, real and generated, whose nearest neighbour is of their own kind; 0.5 is ideal. It only warns."""

    warn: float = Field(0.9, gt=0.5, le=1)


class Memorisation(Limits):
    """Share of generated samples that lie ten times nearer to a training sample than held-out ones do."""

    warn: Share = 0.2
    fail: Share = 0.5


class Oscillation(Limits):
    """Distance of the generator's samples to real ones, over that of its moving average's; median of the last five looks."""

    warn: Size = 2.0
    fail: Size = 5.0


class Labels(Limits):
    """Agreement of generated samples with the label asked for, over that of real ones; 0 is chance."""

    lower_is_worse: ClassVar[bool] = True

    warn: Rest = 0.8
    fail: Rest = 0.1


class CodesRead(Limits):
    """Information on the codes that the reader finds in generated samples, over the codes' entropy."""

    lower_is_worse: ClassVar[bool] = True

    warn: Rest = 0.8
    fail: Rest = 0.1


class Health(Params):
    """The health watch: what it looks at, from when on it speaks, and what happens then."""

    on: bool = True
    """Whether training is watched."""
    on_fail: Literal["warn", "stop", "roll-back"] = "warn"
    """What a failure does besides being told: nothing; end the run, its state saved; or go back to a state from before it and draw
    other latents from there, three times at most."""
    every: int = Field(10, ge=1)
    """Iterations between vital signs; those that cost a pass through the discriminator come a tenth as often."""
    probes: int = Field(20, ge=0, le=1000)
    """How often in a run generated samples are looked at; 0 for never. Less often in a short run: looks are 50 iterations apart."""
    samples: int = Field(512, ge=32, le=10_000)
    """Generated samples for each such look, and as many held-out real ones; 10,000 at most, since each is compared with every
    other: a look at so many takes most of a minute on the CPU, and many more fill its memory."""
    settling: float = Field(0.1, ge=0, lt=1)
    """Share of the run in whose samples nothing is looked for yet, since nothing is learned yet; half of it for vital signs."""
    finite: Finite = Field(default_factory=Finite)
    gradients: Gradients = Field(default_factory=Gradients)
    weights: Weights = Field(default_factory=Weights)
    dominance: Dominance = Field(default_factory=Dominance)
    vanishing: Vanishing = Field(default_factory=Vanishing)
    overfitting: Overfitting = Field(default_factory=Overfitting)
    slopes: Slopes = Field(default_factory=Slopes)
    collapse: Collapse = Field(default_factory=Collapse)
    duplicates: Duplicates = Field(default_factory=Duplicates)
    separation: Separation = Field(default_factory=Separation)
    memorisation: Memorisation = Field(default_factory=Memorisation)
    oscillation: Oscillation = Field(default_factory=Oscillation)
    labels: Labels = Field(default_factory=Labels)
    codes: CodesRead = Field(default_factory=CodesRead)

    def between(self, iterations: int) -> int:
        """Iterations between two looks at samples in a run of so many; a few steps change samples less than chance does."""
        return max(_APART, iterations // max(1, self.probes))


_APART = 50

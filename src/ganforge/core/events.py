"""What the trainer tells: frozen records, one after another. Observers listen; nothing flows back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.core.findings import Finding
from ganforge.core.records import Evaluation, LogitGrid, Samples
from ganforge.core.specs import DataSpec, LatentSpec

if TYPE_CHECKING:
    from torch import Tensor

Outcome = Literal["finished", "stopped", "diverged"]
"""How training ended: all iterations done, asked to stop, or a value no longer finite."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything a trainer needs to go on as if it had never stopped.

    Attributes:
        tensors: by dotted name; the part before the first "/" names the file: ``generator/layers.0.weight``.
        values: the rest, as JSON-able plain data.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Started:
    """Training begins, or goes on.

    Attributes:
        iteration: iterations already done (0 unless resumed).
        iterations: iterations in all.
        device: where the networks live, such as ``cpu`` or ``cuda:0``.
        data: the data's spec.
        latent: the latent's spec.
        parameters: number of trainable parameters by network.
        term_info: what each loss term means, by ``"discriminator/real"``; totals included.
        value_info: what each metric value means, by ``"wasserstein"`` or ``"modes/captured"``.
        real: real samples to show beside generated ones, on the CPU, in the data's own units.
        protocols: how each metric is measured, by its name: all that two values must share to be comparable, and the seed.
    """

    iteration: int
    iterations: int
    device: str
    data: DataSpec
    latent: LatentSpec
    parameters: Mapping[str, int]
    term_info: Mapping[str, TermInfo]
    value_info: Mapping[str, MetricInfo]
    real: Samples
    protocols: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stepped:
    """One iteration is done.

    Attributes:
        iteration: iterations done, from 1.
        terms: every loss term and each turn's ``total``, detached scalars still on the device. Turning one into a float waits for
            the device: do it rarely, and for many at once.
        rates: scheduled numbers in force: ``lr/generator``, ``weight/r1``, ``average``.
        diagnostics: scalars for the health monitor, on the device too, such as ``gradients/generator``; empty in most iterations.
    """

    iteration: int
    terms: Mapping[str, Tensor]
    rates: Mapping[str, float]
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Metrics were measured.

    Attributes:
        iteration: iterations done.
        values: by ``"wasserstein"`` or ``"modes/captured"``.
        seconds: what it took.
        missing: optional metrics that could not be measured, by name, and why.
    """

    iteration: int
    values: Mapping[str, float]
    seconds: float
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthSamples:
    """Samples for the health watch to look at, which alone hears of them.

    Attributes:
        iteration: iterations done.
        evaluation: held-out real samples and those of the average generator, as for metrics.
        raw: those of the generator itself, from the same latents.
    """

    iteration: int
    evaluation: Evaluation
    raw: Samples


@dataclass(frozen=True, slots=True)
class CheckUnavailable:
    """Something that the health watch asks for cannot be measured, and is asked for no more; the watch alone hears of it.

    Attributes:
        iteration: iterations done.
        check: the check that goes without, such as ``slopes``, or ``samples`` for all that look at samples.
        reason: the error, in a line.
    """

    iteration: int
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class HealthChecked:
    """The health watch has looked.

    Attributes:
        iteration: iterations done.
        values: what was measured, by the check's name or ``"check/part"``; logs put ``health/`` before it.
        findings: all troubles that are seen now, the worst first; none of a healthy run.
        judged: whether it may be called healthy where there are none, as it may not while checks still wait.
    """

    iteration: int
    values: Mapping[str, float]
    findings: tuple[Finding, ...]
    judged: bool = True


@dataclass(frozen=True, slots=True)
class SamplesDrawn:
    """Samples from the fixed latents, for pictures.

    Attributes:
        iteration: iterations done.
        fake: on the CPU, in the data's own units, with labels and latent.
        field: the discriminator over the plane or line, for one- and two-dimensional data; else ``None``.
        missing: why there is no field where there should be one: the discriminator failed on it.
    """

    iteration: int
    fake: Samples
    field: LogitGrid | None
    missing: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A state worth keeping; finite throughout.

    Attributes:
        iteration: iterations done.
        state: everything that resuming needs.
    """

    iteration: int
    state: State


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Training went back to an earlier state: what came after it is given up, and its iterations come again.

    Attributes:
        iteration: iterations done in the state from which training goes on.
        reached: iterations that had been done.
    """

    iteration: int
    reached: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Training ended.

    Attributes:
        iteration: iterations done.
        outcome: how it ended.
        seconds: wall time of this process's training, evaluations included.
        reason: in words, for all but ``finished``.
    """

    iteration: int
    outcome: Outcome
    seconds: float
    reason: str | None = None


Event = (
    Started | Stepped | Evaluated | HealthSamples | CheckUnavailable | HealthChecked | SamplesDrawn | Saved | RolledBack | Finished
)

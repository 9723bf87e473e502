"""Events: what the trainer and the health monitor report, as frozen records in order. Callbacks read them; nothing flows back.

In each event, ``iteration`` is the number of iterations done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.core.findings import Finding
from ganforge.core.records import Evaluation, LogitGrid, Samples
from ganforge.core.specs import DataSpec, LatentSpec

if TYPE_CHECKING:
    from torch import Tensor

Outcome = Literal["finished", "stopped", "diverged"]
"""How training ended: all iterations done, stopped earlier, or a value no longer finite."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything a trainer needs to continue as if it had never stopped; ``values`` are JSON data.

    The part of a tensor's name before the first "/" names its file: ``generator/layers.0.weight``.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Started:
    """Training starts or is resumed.

    Attributes:
        iterations: total number of iterations.
        device: the networks' device, such as ``cpu`` or ``cuda:0``.
        parameters: number of trainable parameters by network.
        generator: the network that makes samples.
        critic: the network that tells real from generated samples, or ``None`` if the game has none.
        term_info: what each loss term means, by ``"discriminator/real"``; totals included.
        value_info: what each metric value means, by ``"wasserstein"`` or ``"modes/captured"``.
        real: real samples to show beside generated ones, on the CPU, in the data's own units.
        protocols: how each metric is measured, by its name: everything two values must share to be comparable, and the seed.
    """

    iteration: int
    iterations: int
    device: str
    data: DataSpec
    latent: LatentSpec
    parameters: Mapping[str, int]
    generator: str
    critic: str | None
    term_info: Mapping[str, TermInfo]
    value_info: Mapping[str, MetricInfo]
    real: Samples
    protocols: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def samples(self) -> dict[str, int]:
        """Number of samples of each metric, by its name, as far as its protocol says so."""
        counts = {name: protocol.get("samples") for name, protocol in self.protocols.items()}
        return {name: count for name, count in counts.items() if isinstance(count, int)}


@dataclass(frozen=True, slots=True)
class Stepped:
    """One iteration is done.

    Attributes:
        terms: every loss term and the ``total`` of each network, detached scalars still on the device. Converting one to a float
            waits for the device, so convert rarely, and many at once.
        rates: current values of all schedules: ``lr/generator``, ``weight/r1``, ``ema_decay``.
        diagnostics: scalars for the health monitor, on the device too, such as ``gradients/generator``; empty in most iterations.
    """

    iteration: int
    terms: Mapping[str, Tensor]
    rates: Mapping[str, float]
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Metrics were measured: values by ``"modes/captured"``, and the error of each optional metric that failed by its name."""

    iteration: int
    values: Mapping[str, float]
    seconds: float
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthSamples:
    """Samples for the health monitor: those of an evaluation, and ``raw`` ones of the generator without EMA from the same latents.

    Callbacks do not get this event.
    """

    iteration: int
    evaluation: Evaluation
    raw: Samples


@dataclass(frozen=True, slots=True)
class CheckUnavailable:
    """A health check, or ``samples`` for all checks of samples, cannot be measured and is not tried again.

    Callbacks do not get this event.
    """

    iteration: int
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class HealthChecked:
    """Health checks ran.

    Attributes:
        values: what was measured, by the check's name or ``"check/part"``; logs put ``health/`` before it.
        findings: all current findings, failures first; empty for a healthy run.
        conclusive: whether a run without findings counts as healthy; false during the warm-up of the checks.
    """

    iteration: int
    values: Mapping[str, float]
    findings: tuple[Finding, ...]
    conclusive: bool = True


@dataclass(frozen=True, slots=True)
class SamplesDrawn:
    """Samples from the fixed latents, for pictures.

    Attributes:
        fake: on the CPU, in the data's own units, with labels and latent.
        logit_grid: the discriminator's logits over the plane or line, for one- and two-dimensional data; else ``None``.
        grid_error: the error, if the discriminator failed on the grid.
    """

    iteration: int
    fake: Samples
    logit_grid: LogitGrid | None
    grid_error: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A state to save; all its values are finite."""

    iteration: int
    state: State


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Training went back from iteration ``reached`` to an earlier state; the iterations after it are discarded and repeated."""

    iteration: int
    reached: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Training ended, for a ``reason`` unless it finished, after ``seconds`` of training in this process, evaluations included."""

    iteration: int
    outcome: Outcome
    seconds: float
    reason: str | None = None


Event = (
    Started | Stepped | Evaluated | HealthSamples | CheckUnavailable | HealthChecked | SamplesDrawn | Saved | RolledBack | Finished
)

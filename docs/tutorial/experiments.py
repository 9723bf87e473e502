"""The runs behind the tutorial's figures and tables: shipped recipes, trained in this process by what ``ganforge run`` uses.

No run folder is written. One seed gives the same weights here and there, so the pages' commands show what the figures show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.events import Evaluated, Finished, SamplesDrawn, Started, Stepped
from ganforge.core.records import DiscriminatorOutput, Samples, Turn
from ganforge.core.specs import GaussianMixture
from ganforge.figures.run_history import terms_to_floats
from ganforge.metrics import gaussian_mixture_density
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.train.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"
SEEDS = (0, 1, 2)

LOG4 = math.log(4)

Row = dict[str, float]


@dataclass(slots=True)
class Run:
    """What was seen of one training.

    Attributes:
        trainer: as training left it.
        started: how it began.
        pictures: the pictures, in their order; the losses and metrics below likewise.
        terms: every loss term at every iteration.
        metrics: iteration and values of every evaluation.
        traces: what ``watch`` saw after every iteration.
        seconds: what it took, measuring included.
    """

    trainer: Trainer
    started: Started
    pictures: list[SamplesDrawn] = field(default_factory=list)
    terms: list[Row] = field(default_factory=list)
    metrics: list[tuple[int, Row]] = field(default_factory=list)
    traces: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    def curve(self, metric: str) -> tuple[list[int], list[float]]:
        """Iterations and values of one metric."""
        return [at for at, _ in self.metrics], [values[metric] for _, values in self.metrics]

    def late(self, term: str, share: float = 0.1) -> float:
        """The mean of a loss term over the last part of training."""
        last = self.terms[-max(1, round(share * len(self.terms))) :]
        return sum(row[term] for row in last) / len(last)


def built(recipe: str, *overrides: str) -> Trainer:
    """The trainer of a recipe, named by its path below ``recipes`` without ``.toml``; overrides as for ``--set``."""
    path = RECIPES / f"{recipe}.toml"
    folders = Folders(path.parent, path.parent)
    return build_trainer(resolve_recipe(read_recipe(path, overrides), load_plugins()), device=torch.device("cpu"), folders=folders)


def trained(
    recipe: str,
    *overrides: str,
    until: Callable[[Row], bool] = lambda _: False,
    watch: Callable[[Trainer], Any] | None = None,
) -> Run:
    """Train a recipe, on one thread, until its end or until a metric's values satisfy ``until``."""
    torch.set_num_threads(1)
    trainer = built(recipe, *overrides)
    terms: list[dict[str, Tensor]] = []
    events: Iterator[Any] = trainer.run()
    first = next(events)
    assert isinstance(first, Started)  # noqa: S101 - a trainer's first event
    run = Run(trainer, first)
    for event in events:
        match event:
            case Stepped():
                terms.append(dict(event.terms))
                run.traces += [watch(trainer)] if watch else []
            case Evaluated():
                run.metrics.append((event.iteration, dict(event.values)))
                if until(run.metrics[-1][1]):
                    break
            case SamplesDrawn():
                run.pictures.append(event)
            case Finished():
                run.seconds = event.seconds
    run.terms = terms_to_floats(terms)
    return run


# Page 2: the generator's gradient.


def slope(recipe: str, logits: Tensor) -> Tensor:
    """``(n,)`` derivative of the generator's loss of a recipe by the logit of each of ``(n,)`` fakes, found by autograd.

    The stub discriminator returns a fake's value as its logit, so that any logits can be chosen.
    """
    objective = built(recipe).objective
    values = logits.detach().double()[:, None].requires_grad_()
    fakes = Samples(values)
    terms = objective.terms("generator", Turn(lambda samples: DiscriminatorOutput(samples.values[:, 0]), fakes, fakes))
    (gradient,) = torch.autograd.grad(terms.total, values)
    return len(values) * gradient[:, 0]  # the loss is a mean over fakes


FAR = 1.0
"""A generator has found the bell when its W₂ to it is below this; at first it is about the distance."""


def found_at(recipe: str, distance: float, seed: int) -> int | None:
    """The iteration at which the far bell is found, as far as evaluations tell; ``None`` if it is not within the run."""
    settings = (f"dataset.params.mean={distance}", f"train.seed={seed}", "pictures.every=1_000_000")
    run = trained(recipe, *settings, until=lambda values: values["wasserstein"] < FAR)
    at, values = run.metrics[-1]
    return at if values["wasserstein"] < FAR else None


# Page 3: the best discriminator.


@dataclass(frozen=True, slots=True)
class DiscriminatorCurve:
    """A trained and the best discriminator on a line of ``(m,)`` points.

    Attributes:
        points: the points.
        data: density of the data.
        generated: density of the generator.
        logits: output of the trained discriminator.
        bell: mean and standard deviation of the generator.
    """

    points: Tensor
    data: Tensor
    generated: Tensor
    logits: Tensor
    bell: tuple[float, float]

    @property
    def trained(self) -> Tensor:
        """D(x)."""
        return self.logits.sigmoid()

    @property
    def best(self) -> Tensor:
        """D*(x) = p_data / (p_data + p_g)."""
        return self.data / (self.data + self.generated)

    @property
    def gap(self) -> float:
        """The largest |D - D*| where samples are found at all: where the mean of both densities is at least 0.02."""
        there = (self.data + self.generated) / 2 >= 0.02
        return float((self.trained - self.best).abs()[there].max())

    def value(self, logits: Tensor) -> float:
        """V = E log D(x) + E log(1 - D(G(z))) of a discriminator with these logits, by quadrature."""
        return float(torch.trapezoid(-self.data * softplus(-logits) - self.generated * softplus(logits), self.points))

    @property
    def best_value(self) -> float:
        """V of D*, by quadrature; its logit is log p_data - log p_g."""
        return self.value(self.data.log() - self.generated.log())

    @property
    def divergence(self) -> float:
        """The Jensen-Shannon divergence of both densities in nats, by quadrature, from its definition."""
        middle = (self.data + self.generated) / 2
        halves = [density * (density / middle).log() for density in (self.data, self.generated)]
        return float(torch.trapezoid((halves[0] + halves[1]) / 2, self.points))


def discriminator_curve(trainer: Trainer) -> DiscriminatorCurve:
    """The trained and the best discriminator, for normal data and a generator z ↦ wz + b of normal z."""
    last: Any = trainer.networks["generator"].last
    mean, std = last.bias.item(), abs(last.weight.item())
    data = trainer.evaluator.data.density
    assert data is not None  # noqa: S101 - the recipe's data is a bell
    middles, widest = [data.means[0][0], mean], max(data.std, std)
    points = torch.linspace(min(middles) - 9 * widest, max(middles) + 9 * widest, 20_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        logits = trainer.networks["discriminator"](Samples(points.float())).logits.double()
    generated = GaussianMixture(((mean,),), std)
    densities = [gaussian_mixture_density(points, bell).clamp_min(1e-300) for bell in (data, generated)]
    return DiscriminatorCurve(points[:, 0], densities[0], densities[1], logits, (mean, std))


# Page 7: three troubles.


def whereabouts(trainer: Trainer) -> tuple[float, float, float]:
    """Generator's bias, discriminator's slope, and the average generator's bias: all there is to know of the smallest GAN."""
    networks: Any = trainer.networks
    ema: Any = trainer.generator
    return networks["generator"].last.bias.item(), networks["discriminator"].realness.weight.item(), ema.last.bias.item()


def distance_left(run: Run, column: int) -> float:
    """How far from the data, at 0, the generator (column 0) or its average (2) still strays in the last tenth of a run."""
    return max(abs(trace[column]) for trace in run.traces[-len(run.traces) // 10 :])

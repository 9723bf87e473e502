"""Small real parts to build trainers from, without plugins or recipes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ganforge.builtin.games import two_player_spec
from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.core.events import State
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, LossTerms, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.games.game import GameContext, Objective, WeightedLoss
from ganforge.games.two_player import TwoPlayerGame
from ganforge.train.batches import InMemoryBatches
from ganforge.train.evaluator import Evaluator, ScheduledMetric
from ganforge.train.modules import EMA
from ganforge.train.trainer import TrainConfig, Trainer
from ganforge.train.updates import ScheduledOptimizer

CPU = torch.device("cpu")
TWO_PLAYER = two_player_spec(NoParams())


class Generator(nn.Module):
    """Batch-norm on purpose: its statistics betray every pass in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, latent: Latent) -> torch.Tensor:
        return self.layers(latent.noise)


class Discriminator(nn.Module):
    """Dropout on purpose: it draws from the global generator at every pass in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.calls = 0

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        self.calls += 1
        return DiscriminatorOutput(self.layers(samples.values).squeeze(1))


class NonSaturating:
    second_order = False
    term_info = {
        "discriminator/real": TermInfo("real taken for fake", math.log(2)),
        "discriminator/fake": TermInfo("fake taken for real", math.log(2)),
        "generator/adversarial": TermInfo("fakes found out", math.log(2)),
    }

    def discriminator(self, turn) -> LossTerms:
        return LossTerms(
            {"real": F.softplus(-turn.critic(turn.real).logits).mean(), "fake": F.softplus(turn.critic(turn.fake).logits).mean()}
        )

    def generator(self, turn) -> LossTerms:
        return LossTerms({"adversarial": F.softplus(-turn.critic(turn.fake).logits).mean()})


class Penalty:
    """A loss with one empty side that asks the critic again about the same samples."""

    second_order = False
    term_info = {"discriminator/size": TermInfo("size of the logits")}

    def discriminator(self, turn) -> LossTerms:
        return LossTerms({"size": turn.critic(turn.real).logits.square().mean()})

    def generator(self, _turn) -> LossTerms:
        return LossTerms({})


class Noise:
    spec = LatentSpec(4)

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        return Latent(torch.randn(count, 4, generator=generator, device=generator.device))


class Points:
    spec = DataSpec((2,))

    def training(self) -> Samples:
        return Samples(torch.randn(100, 2, generator=torch.Generator().manual_seed(5)))

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        return Samples(torch.randn(count, 2, generator=generator))


class Mean:
    """Draws from the global generator on purpose, as a careless metric might."""

    value_info = {"": MetricInfo("mean of the generated values", "lower")}

    def measure(self, evaluation: Evaluation) -> dict[str, float]:
        torch.rand(3)
        return {"": float(evaluation.fake.values.mean())}


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    """A function that builds a trainer; keyword options replace fields of its config or add to it."""

    def make(
        *, losses=None, k: int = 1, metric_every: int = 7, lr=1e-2, schedules=None, batch: int = 16, critic=None, **config
    ) -> Trainer:
        torch.manual_seed(config.get("seed", 0))
        generator, discriminator = Generator(), critic or Discriminator()
        objective = Objective(losses or [WeightedLoss("non-saturating", NonSaturating())])
        config = replace(TrainConfig(iterations=20, seed=0, picture_every=5, save_every=10), **config)
        points, noise = Points(), Noise()
        networks = {"generator": generator, "discriminator": discriminator}
        game = TwoPlayerGame(NoParams(), GameContext(TWO_PLAYER, networks, objective, points.spec, noise.spec, k))
        optimizers = {
            role: ScheduledOptimizer(
                torch.optim.Adam(network.parameters(), lr, betas=(0.5, 0.99)), (schedules or {}) if role == "generator" else {}
            )
            for role, network in networks.items()
        }
        evaluator = Evaluator(
            game=TWO_PLAYER,
            dataset=points,
            data=points.spec,
            sampler=noise,
            metrics=[ScheduledMetric("mean", Mean(), metric_every, 64)],
            seed=config.seed,
            device=CPU,
            picture_samples=32,
        )
        return Trainer(
            config=config,
            game=game,
            optimizers=optimizers,
            averages={"generator": EMA(generator)},
            batches=InMemoryBatches(points.training(), points.spec, size=batch, seed=config.seed, device=CPU),
            sampler=noise,
            evaluator=evaluator,
            device=CPU,
        )

    return make


@pytest.fixture
def frozen_copy() -> Callable[[State], State]:
    """A state as a checkpoint would hold it: copies, not live tensors."""

    def copy(state: State) -> State:
        return State({key: value.clone() for key, value in state.tensors.items()}, dict(state.values))

    return copy


@pytest.fixture
def parts():
    """The classes above, for tests that need one alone."""

    class Parts:
        pass

    Parts.spec = TWO_PLAYER
    for part in (Generator, Discriminator, NonSaturating, Penalty, Noise, Points, Mean):
        setattr(Parts, part.__name__, part)
    return Parts

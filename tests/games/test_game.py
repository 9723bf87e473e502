"""A game that is not shipped: several players, lazy ones, clipping, networks of other roles, and state of its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganforge.core.records import LossTerms, Step
from ganforge.core.specs import GameSpec, NetworkRole
from ganforge.games.game import Game, GameContext, Objective, Player
from ganforge.train.batches import InMemoryBatches
from ganforge.train.evaluator import Evaluator
from ganforge.train.modules import EMA
from ganforge.train.trainer import TrainConfig, Trainer
from ganforge.train.updates import ScheduledOptimizer

CPU = torch.device("cpu")
SPEC = GameSpec(
    networks={"maker": NetworkRole("generator"), "judge": NetworkRole("discriminator"), "reader": NetworkRole("encoder")},
    players={"judge": ("judge",), "lazy": ("judge",), "makers": ("maker", "reader")},
    generator="maker",
    critic="judge",
    averaged=("reader",),
    needs_loss=False,
)


class Reader(nn.Linear):
    def forward(self, samples):
        return super().forward(samples.values)


class Games(Game):
    """A judge that is clipped, a lazy penalty on it, and two networks that learn together; it counts its iterations in a buffer."""

    def __init__(self, context):
        super().__init__(context)
        self.register_buffer("count", torch.zeros(()))
        self.played = []
        self.players = (
            Player("judge", ("judge",), self.judge, steps=2, after=self.clip),
            Player("lazy", ("judge",), self.lazy, every=4),
            Player("makers", ("maker", "reader"), self.makers),
        )

    def prepare(self, step):
        self.count += 1

    def judge(self, batch, step):
        self.played.append(("judge", step.iteration))
        fake = self.generate(batch.latent, (2,), "maker")
        critic = self.critic("judge")
        return LossTerms({"gap": critic(fake).logits.mean() - critic(batch.real).logits.mean()})

    def lazy(self, batch, step):
        self.played.append(("lazy", step.iteration))
        return LossTerms({"size": self.critic("judge")(batch.real).logits.square().mean()})

    def makers(self, batch, step):
        self.played.append(("makers", step.iteration))
        fake = self.generate(batch.latent, (2,), "maker")
        read = self.networks["reader"](fake)
        return LossTerms({"score": -self.critic("judge")(fake).logits.mean(), "code": (read - batch.latent.noise).square().mean()})

    def clip(self):
        for weight in self.networks["judge"].parameters():
            weight.clamp_(-0.125, 0.125)


@pytest.fixture
def make(parts):
    def make(iterations=9, **config):
        torch.manual_seed(0)
        networks = {"maker": parts.Generator(), "judge": parts.Discriminator(), "reader": Reader(2, 4)}
        points, noise = parts.Points(), parts.Noise()
        game = Games(GameContext(SPEC, networks, Objective([], ()), points.spec, noise.spec))
        return Trainer(
            config=TrainConfig(iterations=iterations, seed=0, picture_every=100, save_every=3, ema_decay=0.5, **config),
            game=game,
            optimizers={role: ScheduledOptimizer(torch.optim.Adam(one.parameters(), 1e-2)) for role, one in networks.items()},
            averages={role: EMA(networks[role]) for role in SPEC.all_averaged},
            batches=InMemoryBatches(points.training(), points.spec, size=8, seed=0, device=CPU),
            sampler=noise,
            evaluator=Evaluator(
                game=SPEC, dataset=points, data=points.spec, sampler=noise, metrics=(), seed=0, device=CPU, picture_samples=8
            ),
            device=CPU,
        )

    return make


def weights(trainer):
    return {role: [one.detach().clone() for one in network.parameters()] for role, network in trainer.networks.items()}


def test_only_the_networks_of_a_player_move(make):
    trainer = make()
    for update in trainer.updates:
        before = weights(trainer)
        update.backward(trainer.next_batch(), Step(0, 9))
        update.step()
        moved = {role for role, now in weights(trainer).items() if not all(map(torch.equal, now, before[role]))}
        assert moved == set(update.player.networks)


def test_steps_and_every_are_kept_and_each_update_has_a_batch_of_its_own(make):
    trainer = make()
    list(trainer.run())
    played = trainer.game.played
    assert played[:4] == [("judge", 0), ("judge", 0), ("lazy", 0), ("makers", 0)]
    assert [at for name, at in played if name == "lazy"] == [0, 4, 8]
    assert sum(name == "judge" for name, _ in played) == 18
    assert trainer._batch_index == len(played) == 18 + 3 + 9


def test_a_lazy_player_counts_as_often_as_it_is_left_out(make):
    trainer = make()
    judge = trainer.networks["judge"].eval()
    batch = trainer.next_batch()
    lazy = next(update for update in trainer.updates if update.player.name == "lazy")
    values = lazy.backward(batch, Step(0, 9))
    found = [one.grad.clone() for one in judge.parameters()]
    judge.zero_grad()
    (4 * judge(batch.real).logits.square().mean()).backward()
    for one, other in zip(found, judge.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)
    torch.testing.assert_close(values["lazy/total"], judge(batch.real).logits.square().mean().detach())


def test_weights_are_clipped_after_each_update(make):
    trainer = make()
    trainer.updates[0].backward(trainer.next_batch(), Step(0, 9))
    trainer.updates[0].step()
    assert all(float(one.detach().abs().max()) <= 0.125 for one in trainer.networks["judge"].parameters())


def test_a_resumed_game_equals_one_that_never_stopped(make, frozen_copy):
    whole, first = make(), make()
    list(whole.run())
    list(first.start())
    for _ in range(5):
        list(first.advance())
    state = frozen_copy(first.state())
    second = make()
    second.restore(state)
    list(second.start())
    while not second.done:
        list(second.advance())
    after = second.state().tensors
    assert after["game/count"] == 9
    assert {name.split("/")[1] for name in after if name.startswith("ema/")} == {"maker", "reader"}
    assert [name for name, value in whole.state().tensors.items() if not torch.equal(after[name], value)] == []


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"generator": "nobody"}, "no network 'nobody'"),
        ({"critic": "nobody"}, "no network 'nobody'"),
        ({"players": {"makers": ("maker", "reader")}}, "no player trains 'judge'"),
        ({"players": {"a b": ("maker", "reader", "judge")}}, "'a b' is not a Python identifier"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(change, messages):
    given = {"networks": SPEC.networks, "players": SPEC.players, "generator": "maker", "critic": "judge", **change}
    with pytest.raises(ValueError, match=messages):
        GameSpec(**given)

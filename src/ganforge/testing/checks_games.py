"""A checks: games, trained with stub networks and installed losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganforge.core.events import State
from ganforge.core.records import Step
from ganforge.registry.component import Kind
from ganforge.testing.checks_training import built_trainer
from ganforge.testing.component_case import ComponentCase, recipe_folder
from ganforge.testing.conformance import check, require
from ganforge.train.trainer import Trainer

_ITERATIONS, _MIDDLE = 6, 3
_TRAINED = ("E01",)


@contextmanager
def _trainer(subject: ComponentCase) -> Iterator[Trainer]:
    with recipe_folder() as folder:
        trainer = built_trainer(subject, folder)
        list(trainer.start())
        yield trainer


def _advanced(trainer: Trainer, to: int) -> Trainer:
    while trainer.iteration < to:
        list(trainer.advance())
    return trainer


def _different(one: State, other: State) -> list[str]:
    return sorted(name for name, value in one.tensors.items() if not torch.equal(value, other.tensors[name]))


@check("A01", Kind.GAME, after=_TRAINED)
def only_own_networks_move(subject: ComponentCase) -> None:
    """In a player's turn, only the networks that it trains change."""
    with _trainer(subject) as trainer:
        for update in trainer.updates:
            before = {name: weight.detach().clone() for name, weight in trainer.game.named_parameters()}
            update.backward(trainer.next_batch(), Step(0, _ITERATIONS))
            update.step()
            own = set(map(id, trainer.game.parameters_of(update.player)))
            moved = (
                name for name, one in trainer.game.named_parameters() if not torch.equal(one, before[name]) and id(one) not in own
            )
            name = next(moved, None)
            require(name is None, f"in the turn of '{update.player.name}', which does not train it, '{name}' changes")


@check("A02", Kind.GAME, after=_TRAINED)
def every_parameter_is_trained(subject: ComponentCase) -> None:
    """Every parameter belongs to a network or loss that a player trains; the game itself has buffers only."""
    with _trainer(subject) as trainer:
        trained = {id(weight) for optimizer in trainer.optimizers.values() for weight in optimizer.parameters}
        left = [name for name, one in trainer.game.named_parameters() if one.requires_grad and id(one) not in trained]
    require(not left, f"no player trains {', '.join(left)}; make it a buffer, or part of a network")


@check("A03", Kind.GAME, after=_TRAINED)
def a_seed_repeats(subject: ComponentCase) -> None:
    """The same seed gives the same weights."""
    with _trainer(subject) as one:
        first = _advanced(one, _ITERATIONS).state()
    with _trainer(subject) as other:
        different = _different(first, _advanced(other, _ITERATIONS).state())
    require(not different, f"two runs of one seed differ in {', '.join(different[:3])}; draw random numbers with torch's functions")


@check("A04", Kind.GAME, after=("E01", "A03"))
def a_resumed_run_equals_one_that_never_stopped(subject: ComponentCase) -> None:
    """Training that is resumed from a checkpoint gives the same weights as training that never stopped."""
    with _trainer(subject) as trainer:
        state = _advanced(trainer, _MIDDLE).state()
        kept = State({name: value.clone() for name, value in state.tensors.items()}, dict(state.values))
        whole = _advanced(trainer, _ITERATIONS).state()
    with recipe_folder() as folder:
        resumed = built_trainer(subject, folder)
        resumed.restore(kept)
        list(resumed.start())
        different = _different(whole, _advanced(resumed, _ITERATIONS).state())
    require(not different, f"a resumed run differs in {', '.join(different[:3])}; keep what changes in buffers (register_buffer)")

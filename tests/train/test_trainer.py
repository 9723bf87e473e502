"""What the trainer promises: who moves when, one seed one result, resume equals never having stopped."""

from __future__ import annotations

import math

import pytest
import torch

from ganforge.core.errors import PluginError, RunFolderError
from ganforge.core.events import Evaluated, Finished, RolledBack, SamplesDrawn, Saved, Started, State, Stepped
from ganforge.core.params import Schedule
from ganforge.core.records import Step
from ganforge.games.game import WeightedLoss


def weights(trainer) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in trainer.state().tensors.items() if not key.startswith("random")}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    different = [key for key in expected if not torch.equal(found[key], expected[key])]
    assert not different


def test_events_come_in_order(make_trainer):
    events = list(make_trainer(iterations=10, picture_every=5, save_every=10, metric_every=5).run())
    names = [type(event).__name__ for event in events]
    steps = ["Stepped"] * 4
    look = ["Evaluated", "SamplesDrawn"]
    assert names == ["Started", "SamplesDrawn", *steps, "Stepped", *look, *steps, "Stepped", "Saved", *look, "Finished"]
    assert [event.iteration for event in events if isinstance(event, Stepped)] == list(range(1, 11))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.outcome == "finished"


def test_started_tells_what_the_run_is(make_trainer):
    started = next(iter(make_trainer().run()))
    assert isinstance(started, Started)
    assert started.parameters == {"generator": 4 * 8 + 8 + 16 + 8 * 2 + 2, "discriminator": 2 * 8 + 8 + 8 + 1}
    assert started.term_info["discriminator/total"].equilibrium == pytest.approx(math.log(4))
    assert set(started.value_info) == {"mean"}
    assert started.real.values.shape == (32, 2)


@pytest.mark.parametrize("k", [1, 3])
def test_each_turn_leaves_the_other_network_bit_equal(make_trainer, k):
    trainer = make_trainer(k=k)
    for update in trainer.updates:
        moved = update.player.name
        still = "generator" if moved == "discriminator" else "discriminator"
        before = {key: value.clone() for key, value in trainer.networks[still].named_parameters()}
        gradients = {key: value.grad for key, value in trainer.networks[still].named_parameters()}
        moving = {key: value.clone() for key, value in trainer.networks[moved].named_parameters()}
        update.backward(trainer.next_batch(), Step(0, 20))
        update.step()
        after = dict(trainer.networks[still].named_parameters())
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert all(after[key].grad is gradients[key] for key in before)
        assert all(not torch.equal(moving[key], value) for key, value in trainer.networks[moved].named_parameters())
        assert all(parameter.requires_grad for network in trainer.networks.values() for parameter in network.parameters())


def test_a_parameter_frozen_by_its_author_stays_frozen(make_trainer):
    trainer = make_trainer(iterations=3)
    frozen = trainer.networks["discriminator"].layers[0].weight.requires_grad_(False)
    before = frozen.clone()
    list(trainer.run())
    assert torch.equal(frozen, before)
    assert not frozen.requires_grad


def test_k_discriminator_steps_are_taken(make_trainer):
    trainer = make_trainer(k=3, iterations=4, metric_every=100, picture_every=100)
    trainer.step()
    steps = {role: int(next(iter(one.optimizer.state.values()))["step"]) for role, one in trainer.optimizers.items()}
    assert steps == {"discriminator": 3, "generator": 1}


def test_simultaneous_updates_share_the_point_and_the_draw(make_trainer):
    """Both gradients at the old weights: the generator's step must not depend on the discriminator's learning rate."""

    def generator_after(lr: float, updates: str):
        trainer = make_trainer(updates=updates)
        trainer.optimizers["discriminator"].optimizer.param_groups[0]["lr"] = lr
        torch.manual_seed(0)
        trainer.step()
        return trainer.networks["generator"].layers[0].weight.detach()

    assert torch.equal(generator_after(1e-2, "simultaneous"), generator_after(1.0, "simultaneous"))
    assert not torch.equal(generator_after(1e-2, "alternating"), generator_after(1.0, "alternating"))


def test_simultaneous_turns_take_one_draw(make_trainer):
    trainer = make_trainer(updates="simultaneous")
    for _ in range(3):
        trainer.step()
    assert trainer._batch_index == 3
    trainer = make_trainer(k=2)
    for _ in range(3):
        trainer.step()
    assert trainer._batch_index == 9


def test_one_seed_repeats_bit_equal_and_another_differs(make_trainer):
    first, again, other = make_trainer(seed=3), make_trainer(seed=3), make_trainer(seed=4)
    for trainer in (first, again, other):
        list(trainer.run())
    assert_equal(weights(again), weights(first))
    assert not torch.equal(weights(other)["generator/layers.0.weight"], weights(first)["generator/layers.0.weight"])


def test_looking_more_often_never_changes_the_weights(make_trainer):
    rarely, often = make_trainer(metric_every=20, picture_every=20), make_trainer(metric_every=1, picture_every=1, save_every=1)
    list(rarely.run())
    list(often.run())
    assert_equal(weights(often), weights(rarely))


def test_looking_leaves_state_bit_equal(make_trainer):
    trainer = make_trainer()
    trainer.step()
    before = {key: value.clone() for key, value in trainer.state().tensors.items()}
    trainer.evaluator.measure(trainer.evaluated_networks, trainer.evaluator.metrics)
    trainer.evaluator.measure(trainer.networks, trainer.evaluator.metrics)
    trainer.evaluator.draw_picture(trainer.networks)
    assert_equal(dict(trainer.state().tensors), before)
    assert trainer.networks["generator"].training
    assert trainer.networks["generator"].layers[1].training
    assert not trainer.generator.training


def test_a_discriminator_that_fails_in_eval_mode_costs_the_pictures_field_alone(make_trainer):
    trainer, whole = make_trainer(), make_trainer()

    def refuse(network: torch.nn.Module, _arguments: object) -> None:
        if not network.training:
            raise RuntimeError("no statistics yet")

    trainer.evaluator.metrics = ()
    trainer.networks["discriminator"].register_forward_pre_hook(refuse)
    pictures = [event for event in trainer.run() if isinstance(event, SamplesDrawn)]
    assert {(picture.logit_grid, picture.grid_error) for picture in pictures} == {
        (None, "discriminator fails: RuntimeError: no statistics yet")
    }
    assert [len(picture.fake) for picture in pictures] == [
        len(event.fake)
        for event in whole.run()
        if isinstance(event, SamplesDrawn) and event.logit_grid is not None and event.grid_error is None
    ]
    assert trainer.networks["discriminator"].training
    assert_equal(weights(trainer), weights(whole))


@pytest.mark.parametrize("stop_at", [1, 6, 10, 13, 19])
def test_resume_equals_never_having_stopped(make_trainer, frozen_copy, stop_at):
    options = {"seed": 1, "ema_decay": Schedule(schedule="linear", start=0.5, end=0.99), "k": 2, "batch": 33}
    whole = make_trainer(**options)
    events = list(whole.run())

    broken = make_trainer(**options)
    first = []
    first += broken.start()
    while broken.iteration < stop_at:
        first += broken.advance()
    state = frozen_copy(broken.save().state)
    finished = broken.finish("asked to stop")
    assert finished == Finished(stop_at, "stopped", finished.seconds, "asked to stop")

    torch.rand(17)  # the process that resumes stands elsewhere in its global streams
    resumed = make_trainer(**options)
    resumed.restore(state)
    second = list(resumed.run())

    assert_equal(dict(resumed.state().tensors), dict(whole.state().tensors))
    assert not any(isinstance(event, SamplesDrawn) and event.iteration == 0 for event in second)

    def messages(events, kind):
        return [(event.iteration, getattr(event, "values", None)) for event in events if isinstance(event, kind)]

    assert messages(first, Evaluated) + messages(second, Evaluated) == messages(events, Evaluated)
    losses = [float(event.terms["generator/total"]) for event in events if isinstance(event, Stepped)]
    pieces = [float(event.terms["generator/total"]) for event in first + second if isinstance(event, Stepped)]
    assert pieces == losses


@pytest.mark.parametrize("lost", ["random/latents", "random/torch", "optimizers", "generator/layers.0.weight"])
def test_a_state_that_lacks_a_part_is_refused(make_trainer, frozen_copy, lost):
    trainer = make_trainer()
    trainer.step()
    state = frozen_copy(trainer.state())
    crippled = State(
        {key: value for key, value in state.tensors.items() if key != lost},
        {key: value for key, value in state.values.items() if key != lost},
    )
    with pytest.raises(RunFolderError, match="checkpoint"):
        make_trainer().restore(crippled)


@pytest.mark.parametrize(
    "disturbed", ["random/torch", "random/latents", "optimizers/generator/0/exp_avg", "ema/generator/layers.0.weight"]
)
def test_every_stored_part_matters(make_trainer, frozen_copy, disturbed):
    """A part whose loss changes nothing would mean that it is not restored at all."""
    trainer = make_trainer()
    for _ in range(5):
        trainer.step()
    state = frozen_copy(trainer.state())
    for _ in range(5):
        trainer.step()
    expected = weights(trainer)

    if disturbed.startswith("random"):
        state.tensors[disturbed].copy_(torch.Generator().manual_seed(99).get_state())
    else:
        state.tensors[disturbed].add_(1.0)
    other = make_trainer()
    other.restore(state)
    for _ in range(5):
        other.step()
    assert any(not torch.equal(value, expected[key]) for key, value in weights(other).items())


def test_divergence_is_reported_and_nothing_is_saved(make_trainer):
    trainer = make_trainer(iterations=30, save_every=1)
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, Stepped) and event.iteration == 4:
            with torch.no_grad():
                trainer.networks["generator"].layers[0].weight.fill_(math.nan)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.outcome == "diverged"
    assert finished.iteration in (4, 5)
    assert "nan" in finished.reason or "not finite" in finished.reason
    assert max(event.iteration for event in events if isinstance(event, Saved)) == 3


def test_weights_gone_wrong_without_a_loss_showing_it_are_never_saved(make_trainer):
    trainer = make_trainer(iterations=2, save_every=1)
    with torch.no_grad():
        trainer.generator.layers[0].weight.fill_(math.inf)
    events = list(trainer.run())
    assert not any(isinstance(event, Saved) for event in events)
    assert events[-1].outcome == "diverged"
    assert "ema/generator/layers.0.weight" in events[-1].reason


def test_schedules_reach_learning_rate_loss_weight_and_average(make_trainer, parts):
    line = Schedule(schedule="linear", start=1.0, end=0.0)
    trainer = make_trainer(
        iterations=4,
        losses=[WeightedLoss("non-saturating", parts.NonSaturating()), WeightedLoss("size", parts.Penalty(), line)],
        schedules={"lr": line},
        ema_decay=line,
    )
    rates = [event.rates for event in trainer.run() if isinstance(event, Stepped)]
    assert rates == [{"weight/size": v, "lr/generator": v, "ema_decay": v} for v in (1.0, 0.75, 0.5, 0.25)]
    assert trainer.optimizers["generator"].optimizer.param_groups[0]["lr"] == 0.25


def test_average_off_is_the_latest_generator(make_trainer):
    trainer = make_trainer(ema_decay=0.0)
    for _ in range(3):
        trainer.step()
    generator, average = trainer.networks["generator"].state_dict(), trainer.generator.state_dict()
    assert all(torch.equal(average[key], value) for key, value in generator.items())


def test_going_back_restores_the_weights_and_draws_other_latents(make_trainer, frozen_copy):
    trainer = make_trainer()
    for _ in range(5):
        trainer.step()
    state = frozen_copy(trainer.state())
    ahead = [float(trainer.step().terms["generator/total"]) for _ in range(3)]
    went = []
    for _ in range(2):
        trainer.roll_back(frozen_copy(state))
        assert trainer.iteration == 5
        assert all(
            torch.equal(value, state.tensors[f"generator/{key}"])
            for key, value in trainer.networks["generator"].state_dict().items()
        )
        went.append([float(trainer.step().terms["generator/total"]) for _ in range(3)])
    assert len({*map(tuple, went), tuple(ahead)}) == 3
    assert trainer.rollbacks == trainer.state().values["rollbacks"] == 2


def test_a_rollback_makes_a_diverged_trainer_go_on(make_trainer, frozen_copy):
    trainer = make_trainer(iterations=4, save_every=1)
    first = frozen_copy(trainer.state())
    list(trainer.start())
    list(trainer.advance())
    with torch.no_grad():
        trainer.generator.layers[0].weight.fill_(math.inf)
    assert trainer.save() is None
    assert trainer.done
    assert trainer.divergence == "ema/generator/layers.0.weight is not finite at iteration 1"
    assert trainer.finish().outcome == "diverged"

    assert trainer.roll_back(first) == RolledBack(0, 1)
    assert trainer.divergence is None
    while not trainer.done:
        list(trainer.advance())
    assert trainer.finish().outcome == "finished"
    assert (trainer.iteration, trainer.iterations_run, trainer.rollbacks) == (4, 5, 1)


def test_a_picture_that_fails_costs_nothing_of_what_was_trained(make_trainer):
    trainer = make_trainer(iterations=10, picture_every=3, save_every=10)

    def refuse(network, _arguments):
        if trainer.iteration == 6:
            raise RuntimeError("no statistics yet")

    trainer.generator.register_forward_pre_hook(refuse)
    events = []
    with pytest.raises(PluginError, match="generator fails: RuntimeError: no statistics yet"):
        for event in trainer.run():
            events.append(event)  # noqa: PERF402 - those before the error are wanted

    (saved,) = (event for event in events if isinstance(event, Saved))
    assert saved.iteration == 6
    resumed = make_trainer(iterations=10, picture_every=3, save_every=10)
    resumed.restore(saved.state)
    assert not resumed.evaluated  # so that the run begins with what was missed

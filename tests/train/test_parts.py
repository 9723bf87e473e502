"""The engine's small parts: batches, average, objective, seeding, context managers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.records import Samples, Terms
from ganforge.core.schedules import Schedule
from ganforge.core.specs import DataSpec
from ganforge.train.batches import Batches
from ganforge.train.ema import Average
from ganforge.train.module_modes import evaluating, frozen
from ganforge.train.objective import Objective, Weighted, remembering
from ganforge.train.random_streams import derive, global_state, restore_globally, seed_globally, seeded, stream

CPU = torch.device("cpu")


def batches(count: int, size: int, seed: int = 0) -> Batches:
    values = torch.arange(count, dtype=torch.float32)[:, None]
    return Batches(Samples(values, torch.arange(count)), DataSpec((1,)), size=size, seed=seed, device=CPU)


@pytest.mark.parametrize(("count", "size"), [(10, 3), (10, 10), (3, 10), (7, 1)])
def test_batches_are_one_endless_shuffled_sequence(count, size):
    made = batches(count, size)
    wanted = 6 * count
    sequence = torch.cat([made[index].labels for index in range(wanted // size + 1)])[:wanted]
    epochs = sequence.reshape(-1, count)
    assert all(sorted(epoch.tolist()) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1


def test_a_batch_depends_on_its_index_alone():
    forward, jumped = batches(11, 4), batches(11, 4)
    for index in range(9):
        forward[index]
    assert torch.equal(forward[9].labels, jumped[9].labels)
    assert torch.equal(forward[2].labels, batches(11, 4)[2].labels)
    assert not torch.equal(
        torch.cat([batches(11, 4)[i].labels for i in range(5)]), torch.cat([batches(11, 4, 1)[i].labels for i in range(5)])
    )


def test_values_and_labels_stay_together():
    batch = batches(11, 4)[2]
    assert torch.equal(batch.values[:, 0].long(), batch.labels)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (-0.3, 0.7)])
def test_bytes_stay_bytes_and_become_floats_batch_by_batch(low, high):
    values = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    made = Batches(Samples(values), DataSpec((1, 1, 1), value_range=(low, high)), size=256, seed=0, device=CPU)
    batch = made[0].values.flatten().sort().values

    assert made.samples.values.dtype == torch.uint8
    assert batch.dtype == torch.float32
    assert batch[0] == torch.tensor(low)
    assert batch[-1] == torch.tensor(high)
    torch.testing.assert_close(batch, torch.linspace(low, high, 256))


def test_bytes_without_a_range_are_refused():
    made = Batches(Samples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)), DataSpec((1, 2, 2)), size=2, seed=0, device=CPU)
    with pytest.raises(IncompatiblePartsError, match="declares none"):
        made[0]


def test_average_equals_the_hand_computed_one():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network)
    expected = [parameter.detach().clone() for parameter in network.parameters()]
    for step in range(5):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(8, 2))
        decay = 0.5 + 0.1 * step
        average.update(decay)
        expected = [decay * old + (1 - decay) * new.detach() for old, new in zip(expected, network.parameters(), strict=True)]
    for found, value in zip(average.network.parameters(), expected, strict=True):
        torch.testing.assert_close(found, value)
    assert all(torch.equal(a, b) for a, b in zip(average.network.buffers(), network.buffers(), strict=True))
    assert not any(parameter.requires_grad for parameter in average.network.parameters())


def test_derived_seeds_differ_by_name_and_by_seed():
    seeds = {derive(seed, *names) for seed in (0, 1) for names in (("a",), ("b",), ("a", 1), ("a", 11), ())}
    assert len(seeds) == 10
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert torch.equal(torch.rand(3, generator=stream(1, "x")), torch.rand(3, generator=stream(1, "x")))


def test_seeded_leaves_every_global_stream_where_it_was():
    seed_globally(1)
    before = global_state()
    with seeded(7):
        inside = (torch.rand(1).item(), np.random.rand(), random.random())
    with seeded(7):
        assert inside == (torch.rand(1).item(), np.random.rand(), random.random())
    after = global_state()
    assert before[1] == after[1]
    assert all(torch.equal(before[0][key], after[0][key]) for key in before[0])


def test_the_global_state_is_restored_even_between_a_pair_of_normals():
    seed_globally(3)
    np.random.randn()
    random.gauss(0, 1)
    state = global_state()
    drawn = (torch.randn(1).item(), np.random.randn(), random.gauss(0, 1), random.random())
    seed_globally(4)
    restore_globally(*state)
    assert drawn == (torch.randn(1).item(), np.random.randn(), random.gauss(0, 1), random.random())


def test_frozen_restores_what_it_found():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    with pytest.raises(KeyError), frozen(layer.parameters()):
        assert not layer.weight.requires_grad
        raise KeyError
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_evaluating_restores_each_submodule():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    network[2].eval()
    with pytest.raises(KeyError), evaluating(network):
        assert not torch.is_grad_enabled()
        assert not network[1].training
        raise KeyError
    assert [module.training for module in network] == [True, True, False]
    assert torch.is_grad_enabled()


def test_the_critic_answers_twice_about_the_same_samples_from_memory(parts):
    discriminator = parts.Discriminator()
    critic = remembering(discriminator)
    one, other = Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2))
    assert critic(one) is critic(one)
    assert critic(other) is not critic(one)
    assert discriminator.calls == 2


def test_losses_add_up_weighted(parts):
    objective = Objective([Weighted("ns", parts.NonSaturating()), Weighted("size", parts.Penalty(), 0.25)])
    critic, real, fake = remembering(parts.Discriminator()), Samples(torch.randn(4, 2)), Samples(torch.randn(4, 2))
    terms = objective.terms("discriminator", critic, real, fake, objective.weights(0, 1))
    values = terms.values
    torch.testing.assert_close(terms.total, values["real"] + values["fake"] + 0.25 * values["size"])
    assert list(objective.terms("generator", critic, real, fake, [1.0, 0.25])) == ["adversarial"]


def test_two_losses_with_one_term_are_refused_before_training(parts):
    with pytest.raises(IncompatiblePartsError, match="two losses give the discriminator a term named 'real'"):
        Objective([Weighted("a", parts.NonSaturating()), Weighted("b", parts.NonSaturating())])
    with pytest.raises(IncompatiblePartsError, match="two losses have a term named 'real'"):
        Terms({"real": torch.zeros(())}) + Terms({"real": torch.zeros(())})


def test_a_network_that_no_loss_teaches_is_refused(parts):
    with pytest.raises(IncompatiblePartsError, match="no loss teaches the generator"):
        Objective([Weighted("size", parts.Penalty())])


def test_the_totals_equilibrium_needs_every_terms(parts):
    assert Objective([Weighted("ns", parts.NonSaturating(), 2.0)]).term_info["generator/total"].equilibrium == pytest.approx(
        2 * 0.693147, rel=1e-5
    )
    with_penalty = Objective([Weighted("ns", parts.NonSaturating()), Weighted("size", parts.Penalty())])
    assert with_penalty.term_info["discriminator/total"].equilibrium is None
    moving = Schedule(schedule="linear", start=1, end=2)
    assert Objective([Weighted("ns", parts.NonSaturating(), moving)]).term_info["generator/total"].equilibrium is None

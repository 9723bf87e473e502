"""Modules: the EMA, and context managers that restore what they found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganforge.train.modules import EMA, copied, evaluating
from ganforge.train.updates import frozen


def test_average_equals_the_hand_computed_one():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = EMA(network)
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


def test_the_average_has_the_buffers_that_the_network_has_now():
    class Assigning(nn.Module):
        """Keeps a statistic by assignment, as many modules do, and another one that grows."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.register_buffer("mean", torch.zeros(()))
            self.register_buffer("seen", torch.zeros(0))

        def forward(self, values):
            self.mean = 0.9 * self.mean + 0.5
            self.seen = torch.cat([self.seen, self.mean[None]])
            return self.layer(values)

    network = nn.Sequential(Assigning(), nn.BatchNorm1d(2))
    average = EMA(network)
    for _ in range(3):
        network(torch.randn(8, 2))
        average.update(0.5)

    assert network[0].mean > 1
    assert len(network[0].seen) == 3
    present = network.state_dict()
    for name, buffer in average.network.named_buffers():
        assert torch.equal(buffer, present[name]), name
        assert buffer is not present[name]
    average.network[0].mean.zero_()
    assert network[0].mean > 1


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


class Stateful(nn.Module):
    """A module with counts among its weights, and extra state."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.count = nn.Parameter(torch.zeros((), dtype=torch.int64), requires_grad=False)
        self.is_used = nn.Parameter(torch.zeros((), dtype=torch.bool), requires_grad=False)
        self.steps = 0

    def get_extra_state(self):
        return torch.tensor(self.steps)

    def set_extra_state(self, state):
        self.steps = int(state)


def test_the_average_has_the_counts_and_the_extra_state_that_the_network_has_now():
    network = nn.Sequential(Stateful())
    ema = EMA(network)
    with torch.no_grad():
        network[0].weight += 1
        network[0].count += 3
        network[0].is_used.fill_(True)
    network[0].steps = 5

    ema.update(0.5)

    average = ema.network[0]
    assert average.weight.tolist() == [0.5, 0.5]
    assert (int(average.count), bool(average.is_used), average.steps) == (3, True, 5)


class Watched(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer, self.seen = nn.Linear(2, 2), {}
        if kind == "method":
            self.layer.register_forward_hook(self.see)
        elif kind == "closure":
            self.layer.register_forward_hook(lambda layer, given, values: self.seen.update(last=values))
        elif kind == "default":
            self.layer.register_forward_hook(lambda layer, given, values, seen=self.seen: seen.update(last=values))
        elif kind == "attribute":
            layer = self.layer
            self.apply_layer = lambda values: layer(values)

    def see(self, layer, given, values):
        self.seen["last"] = values


@pytest.mark.parametrize(("kind", "is_shared"), [("method", False), ("closure", True), ("default", True), ("attribute", True)])
def test_a_copy_that_would_use_the_network_itself_is_refused(kind, is_shared):
    if is_shared:
        with pytest.raises(TypeError, match="refers to the network itself; use a method instead"):
            copied(Watched(kind))
        return
    network = Watched(kind)
    other = copied(network)
    other.layer(torch.zeros(1, 2))
    assert "last" in other.seen
    assert "last" not in network.seen

"""Modules: the EMA, and context managers that restore what they found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganforge.games.two_player import frozen
from ganforge.train.modules import EMA, evaluating


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

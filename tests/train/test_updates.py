"""Optimizers that do not import torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ganforge.train.updates import eager

KINDS = [
    (torch.optim.Adam, {"lr": 1e-2, "betas": (0.5, 0.9), "fused": True}),
    (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 0.1, "fused": True}),
    (torch.optim.SGD, {"lr": 1e-2, "momentum": 0.5, "fused": True}),
    (torch.optim.RMSprop, {"lr": 1e-3, "alpha": 0.9}),
]


def trained(kind, options, steps=5):
    network = torch.nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 10)
    optimizer = kind(network.parameters(), **options)
    for step in range(steps):
        optimizer.zero_grad()
        network(torch.full((4, 3), float(step))).pow(2).sum().backward()
        optimizer.step()
    return network, optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
class TestEager:
    def test_steps_as_torch_does(self, kind, options):
        theirs, torchs = trained(kind, options)
        ours, eagers = trained(eager(kind), options)
        assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))
        assert torchs.state_dict()["param_groups"] == eagers.state_dict()["param_groups"]

    def test_state_goes_from_one_to_the_other(self, kind, options):
        network, before = trained(kind, options)
        after = eager(kind)(network.parameters(), **options)
        after.load_state_dict(before.state_dict())
        assert after.state_dict()["state"].keys() == before.state_dict()["state"].keys()

    def test_is_one_class_and_a_child(self, kind, options):
        assert eager(kind) is eager(kind)
        assert issubclass(eager(kind), kind)
        assert type(trained(eager(kind), options)[1]).__name__ == kind.__name__

    def test_leaves_no_gradient_tape(self, kind, options):
        network, optimizer = trained(eager(kind), options)
        assert not any(
            value.requires_grad for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)
        )
        assert all(parameter.is_leaf for parameter in network.parameters())

    def test_step_hooks_are_called(self, kind, options):
        network, optimizer = trained(eager(kind), options)
        called = []
        optimizer.register_step_post_hook(lambda *arguments: called.append(arguments[0]))
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        assert called == [optimizer]


def test_compiler_is_not_imported():
    code = """
import sys, torch
from ganforge.train.updates import eager
for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
    network = torch.nn.Linear(3, 2)
    optimizer = eager(kind)(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
"""
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert started.stdout.split() == ["False"]

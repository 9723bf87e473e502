"""Random streams: independent by name, and global states that come back."""

from __future__ import annotations

import random

import numpy as np
import torch

from ganforge.train.random_streams import derive, global_state, restore_global_state, seed_globally, seeded, stream


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
    restore_global_state(*state)
    assert drawn == (torch.randn(1).item(), np.random.randn(), random.gauss(0, 1), random.random())


def test_seeded_puts_back_what_a_part_changes_in_torch():
    with seeded(1):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()

"""Batches: one endless order, from memory or read by workers, none of which outlives its use."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from ganforge.core.errors import DataError, IncompatiblePartsError, TrainingError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.train.batches import InMemoryBatches, StreamedBatches

CPU = torch.device("cpu")
COUNT = 23
SPEC = DataSpec((1, 2, 2), classes=COUNT, value_range=(-1.0, 1.0))
VALUES = torch.arange(COUNT * 4, dtype=torch.uint8).reshape(COUNT, 1, 2, 2)
LABELS = torch.arange(COUNT)


def batches(count: int, size: int, seed: int = 0) -> InMemoryBatches:
    values = torch.arange(count, dtype=torch.float32)[:, None]
    return InMemoryBatches(Samples(values, torch.arange(count)), DataSpec((1,)), size=size, seed=seed, device=CPU)


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
    made = InMemoryBatches(Samples(values), DataSpec((1, 1, 1), value_range=(low, high)), size=256, seed=0, device=CPU)
    batch = made[0].values.flatten().sort().values

    assert made.samples.values.dtype == torch.uint8
    assert batch.dtype == torch.float32
    assert batch[0] == torch.tensor(low)
    assert batch[-1] == torch.tensor(high)
    torch.testing.assert_close(batch, torch.linspace(low, high, 256))


def test_bytes_without_a_range_are_refused():
    made = InMemoryBatches(Samples(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)), DataSpec((1, 2, 2)), size=2, seed=0, device=CPU)
    with pytest.raises(IncompatiblePartsError, match="no value range"):
        made[0]


class Rows:
    """Rows of a tensor, with what may go wrong: ``bad`` cannot be read, ``deadly`` ends the process."""

    def __init__(self, *, labels=True, bad=None, deadly=None):
        self.labels, self.bad, self.deadly = labels, bad, deadly

    def __len__(self):
        return COUNT

    def read(self, rows):
        if self.bad in rows:
            raise DataError(f"row {self.bad} is gone", remedy="bring it back")
        if self.deadly in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = list(rows)
        return Samples(VALUES[rows], LABELS[rows] if self.labels else None)


def streamed(source=None, *, size=5, seed=3, workers=0):
    return StreamedBatches(source or Rows(), SPEC, size=size, seed=seed, device=CPU, workers=workers)


def inside(*, size=5, seed=3):
    return InMemoryBatches(Samples(VALUES, LABELS), SPEC, size=size, seed=seed, device=CPU)


def same(one, other):
    return torch.equal(one.values, other.values) and torch.equal(one.labels, other.labels)


def children():
    return {process.pid for process in multiprocessing.active_children()}


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("size", [5, 60])
def test_batches_are_those_of_memory(workers, size):
    made, wanted = streamed(size=size, workers=workers), inside(size=size)
    with made.prefetching():
        assert len(children()) == workers
        assert all(same(made[index], wanted[index]) for index in range(12))
    assert not children()


@pytest.mark.parametrize("workers", [0, 2])
def test_any_batch_may_be_the_next(workers):
    made, wanted = streamed(workers=workers), inside()
    with made.prefetching():
        assert all(same(made[index], wanted[index]) for index in (7, 8, 2, 2, 40, 0))


def test_outside_of_reading_there_are_no_workers():
    made = streamed(workers=2)
    assert same(made[4], inside()[4])
    with made.prefetching():
        assert same(made[4], inside()[4])
    with made.prefetching():
        assert same(made[5], inside()[5])
    assert same(made[6], inside()[6])
    assert not children()


def test_data_without_labels():
    unlabelled = DataSpec(SPEC.shape, value_range=SPEC.value_range)
    made = StreamedBatches(Rows(labels=False), unlabelled, size=5, seed=3, device=CPU, workers=1)
    with made.prefetching():
        assert made[0].labels is None


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_random_stream_is_not_touched(workers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    made = streamed(workers=workers)
    with made.prefetching():
        made[0], made[9]
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_source_raises_arrives_as_it_was_raised(workers):
    wanted = inside()
    at = next(index for index in range(9) if 7 in wanted[index].labels.tolist())
    made = streamed(Rows(bad=7), workers=workers)
    with pytest.raises(DataError, match="row 7 is gone") as caught, made.prefetching():
        for index in range(at + 1):
            assert same(made[index], wanted[index]), "batches before it are as they should be"
    assert caught.value.remedy == "bring it back"
    assert index == at
    assert not children()


def test_a_worker_that_is_killed_is_reported():
    made = streamed(Rows(deadly=7), workers=2)
    with pytest.raises(TrainingError, match="was killed") as caught, made.prefetching():
        for index in range(9):
            made[index]
    assert "dataset.workers" in caught.value.remedy
    assert not children()


def test_workers_end_however_the_block_is_left():
    with pytest.raises(KeyboardInterrupt), streamed(workers=2).prefetching():
        assert len(children()) == 2
        raise KeyboardInterrupt
    assert not children()


def test_ctrl_c_reaches_the_group_and_ends_no_worker():
    made, wanted = streamed(workers=2), inside()
    with made.prefetching():
        for pid in children():
            os.kill(pid, signal.SIGINT)
        assert all(same(made[index], wanted[index]) for index in range(9))


def test_the_number_of_workers_follows_the_cores():
    assert 1 <= streamed(workers=None).workers <= 8


def test_few_samples_tell_what_the_data_is():
    assert same(streamed().head(10), Samples(VALUES[:10], LABELS[:10]))
    assert same(inside().head(10), Samples(VALUES[:10], LABELS[:10]))
    assert len(streamed().head(10_000)) == COUNT


@pytest.mark.parametrize(("most", "taken"), [(100, list(range(COUNT))), (4, [0, 5, 11, 17])])
def test_some_are_taken_evenly_from_all(most, taken):
    assert same(streamed().subsample(most), inside().subsample(most))
    assert inside().subsample(most).labels.tolist() == taken


ORPHANS = """
import multiprocessing, os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_batches
made = test_batches.streamed(workers=2)
with made.prefetching():
    made[0]
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_parent_that_is_killed():
    words = [sys.executable, "-c", textwrap.dedent(ORPHANS), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    pids = [Path("/proc", pid) for pid in done.stdout.split()]
    assert (done.returncode, len(pids)) == (-signal.SIGKILL, 2), done.stderr
    deadline = time.monotonic() + 20
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def alive(process):
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False

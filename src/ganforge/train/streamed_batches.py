"""Endless batches of data that need not fit into memory: worker processes read them ahead, in the order that memory would have.

The workers are processes and no threads, since a source may be anybody's Python, which would hold the lock that training needs.
They come from a pool of the standard library rather than from torch's ``DataLoader``: what a worker raises arrives here as it was
raised, samples do not pass through /dev/shm, which is small in containers, and nothing is drawn from torch's global random stream.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from ganforge.core.contracts import SampleSource
from ganforge.core.errors import TrainingError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.train.batches import Order, spread_rows

if sys.platform == "linux":
    from multiprocessing.context import ForkContext as Context
    from multiprocessing.context import ForkProcess as Process
else:
    from multiprocessing.context import SpawnContext as Context
    from multiprocessing.context import SpawnProcess as Process

_Arrays = tuple[NDArray[Any], NDArray[Any] | None]

_AHEAD = 2
"""Batches that wait or are read for each worker."""
_FEW = 256
"""Samples that are read where some are wanted to tell the data by."""
_MOST_WORKERS = 8


class StreamedBatches:
    """The batches that :class:`~ganforge.train.batches.Batches` would make of a source's samples, read when they are needed.

    Workers live within :meth:`reading` only; outside of it, or without any, batches are read where they are asked for.

    Args:
        source: what reads the samples.
        data: what the data set says of itself; it tells what bytes stand for.
        size: samples per batch; it may exceed those of the source.
        seed: seed of the order.
        device: where batches are made.
        workers: processes that read ahead; unless given, one less than there are cores, but one at least and eight at most.
    """

    def __init__(
        self, source: SampleSource, data: DataSpec, *, size: int, seed: int, device: torch.device, workers: int | None = None
    ) -> None:
        self.size = size
        self.workers = _spare_cores() if workers is None else workers
        self._source, self._data, self._device = source, data, device
        self._order = Order(len(source), seed)
        self._pool: ProcessPoolExecutor | None = None
        self._ahead: deque[Future[_Arrays]] = deque()
        self._next = 0

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self._source)

    def __getitem__(self, index: int) -> Samples:
        """The ``index``-th batch: ``(size, *shape)`` floats.

        Raises:
            DataError: samples that can no longer be read.
            TrainingError: a worker died.
        """
        samples = self._source.read(self._rows(index)) if self._pool is None else self._taken(self._pool, index)
        moved = self._moved(samples)
        return replace(moved, values=self._data.unpacked(moved.values))

    def beginning(self, count: int) -> Samples:
        """At most ``count`` training samples, always the same; few, since they must be read."""
        return self._source.read(list(range(min(count, _FEW, len(self)))))

    def spread(self, most: int) -> Samples:
        """At most ``most`` training samples, evenly taken from the whole: floats on the CPU, as networks see them."""
        read = self._source.read(spread_rows(len(self), most).tolist())
        return Samples(self._data.unpacked(read.values), read.labels)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let workers read ahead; they end with the block, whichever way it is left.

        They are forked where that can be done, so best before files are locked and other processes started.
        """
        if not self.workers or self._pool is not None:
            yield
            return
        with _pool(self._source, self.workers) as self._pool:
            try:
                with suppress(BrokenProcessPool):  # it is told with the first batch
                    self._read_ahead(self._pool)
                yield
            finally:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
                self._ahead.clear()

    def _taken(self, pool: ProcessPoolExecutor, index: int) -> Samples:
        if index != self._next:  # a run that was resumed
            while self._ahead:
                self._ahead.popleft().cancel()
            self._next = index
        try:
            self._read_ahead(pool)
            values, labels = self._ahead[0].result()
            self._ahead.popleft()
            self._next += 1
            self._read_ahead(pool)
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process that reads the data was killed, perhaps for want of memory",
                remedy="lower dataset.workers (0 reads without processes) and go on with --resume",
            ) from error
        return Samples(torch.from_numpy(values), None if labels is None else torch.from_numpy(labels))

    def _read_ahead(self, pool: ProcessPoolExecutor) -> None:
        while len(self._ahead) < _AHEAD * self.workers:
            self._ahead.append(pool.submit(_read, self._rows(self._next + len(self._ahead))))

    def _rows(self, index: int) -> list[int]:
        rows: list[int] = self._order.rows(index * self.size, self.size).tolist()
        return rows

    def _moved(self, samples: Samples) -> Samples:
        """On the device; from pinned memory the copy overlaps with the device's work."""
        pinned = samples.pin_memory() if self._device.type == "cuda" else samples
        return pinned.to(self._device, non_blocking=True)


def _spare_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(_MOST_WORKERS, max(1, cores - 1))


class _Worker(Process):
    """A process that ends when its pool says so, although it takes no notice of SIGTERM."""

    def terminate(self) -> None:
        self.kill()


class _Workers(Context):
    """Where the pool takes its processes from."""

    Process = _Worker


@contextmanager
def _pool(source: SampleSource, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that have begun.

    Forked ones begin at once and need not import or unpickle the source, which may come from a file of the user's. A fork of a
    process with threads is warned of by Python, for fear of locks that they hold; workers read files and take none of those.
    """
    with ProcessPoolExecutor(workers, mp_context=_Workers(), initializer=_begin, initargs=(source,)) as pool:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # no worker meets a Ctrl-C before it knows how to
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                pool.submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield pool


# What follows runs in the workers.

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_mine: list[SampleSource] = []


def _begin(source: SampleSource) -> None:
    """Leave it to the parent to stop, and end when it does.

    Terminals and service managers signal the whole group of processes, and the parent still wants batches to finish its iteration.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # a plugin that prints must not spoil --json
    torch.set_num_threads(1)
    _mine[:] = [source]


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(0)


def _read(rows: list[int]) -> _Arrays:
    """Samples as arrays, which are copied through the pipe; tensors would take shared memory."""
    samples = _mine[0].read(rows)
    return samples.values.numpy(), None if samples.labels is None else samples.labels.numpy()

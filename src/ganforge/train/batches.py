"""Endless batches of training data, from memory or streamed by worker processes, in an order that depends only on (seed, epoch).

The workers are processes rather than threads, because a source may be any Python code, which would hold the lock that training
needs. They come from the standard library's pool rather than torch's ``DataLoader``: an error in a worker arrives here unchanged,
samples do not pass through /dev/shm, which is small in containers, and nothing draws from torch's global random state.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.core.contracts import SampleSource
from ganforge.core.errors import TrainingError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.train.random_streams import stream
from ganforge.train.real_samples import read_samples

if sys.platform == "linux":
    from multiprocessing.context import ForkContext as Context
    from multiprocessing.context import ForkProcess as Process
else:
    from multiprocessing.context import SpawnContext as Context
    from multiprocessing.context import SpawnProcess as Process

_Arrays = tuple[NDArray[Any], NDArray[Any] | None]

_BATCHES_AHEAD = 2
"""Batches read ahead per worker."""
_MAX_WORKERS = 8


class Batches(ABC):
    """Batch t of the endless sequence "epoch 0 shuffled, epoch 1 shuffled, …", cut into equal pieces.

    Every sample is used, and a batch may span two epochs. Because a batch depends on t alone, a checkpoint needs no data cursor.

    ``count`` are the samples in an epoch, ``size`` those of a batch, which may be more; ``device`` is that of the row numbers.
    """

    _max_head = sys.maxsize

    def __init__(self, count: int, data: DataSpec, *, size: int, seed: int, device: torch.device) -> None:
        self.size = size
        self._count, self._data, self._seed, self._device = count, data, seed, device
        self._epochs: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self._count

    def __getitem__(self, index: int) -> Samples:
        """The ``index``-th batch: ``(size, *shape)`` floats."""
        return self._as_floats(self._batch(index))

    def head(self, count: int) -> Samples:
        """The first ``count`` training samples, or all; at most 256 where they must be read."""
        return self._take(torch.arange(min(count, self._max_head, len(self))))

    def subsample(self, most: int) -> Samples:
        """At most ``most`` evenly spaced training samples: floats on the CPU, as networks see them."""
        return self._as_floats(self._take(subsample_rows(len(self), most)).to("cpu"))

    @contextmanager
    def prefetching(self) -> Iterator[None]:
        """Read ahead within the block, where samples must be read."""
        yield

    def _batch(self, index: int) -> Samples:
        return self._take(self._rows(index))

    @abstractmethod
    def _take(self, rows: Tensor) -> Samples: ...

    def _as_floats(self, samples: Samples) -> Samples:
        return replace(samples, values=self._data.to_float(samples.values))

    def _rows(self, index: int) -> Tensor:
        """The row numbers of the ``index``-th batch."""
        missing = self.size
        epoch, offset = divmod(index * self.size, self._count)
        pieces: list[Tensor] = []
        while missing:
            piece = self._epoch(epoch)[offset : offset + missing]
            pieces.append(piece)
            missing -= len(piece)
            epoch, offset = epoch + 1, 0
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {known: order for known, order in self._epochs.items() if known == epoch - 1}
            order = torch.randperm(self._count, generator=stream(self._seed, "order", epoch))
            self._epochs[epoch] = order.to(self._device)
        return self._epochs[epoch]


def subsample_rows(count: int, most: int) -> Tensor:
    """At most ``most`` of ``count`` row numbers, evenly spaced."""
    taken = min(count, most)
    return torch.arange(taken) * count // taken


class InMemoryBatches(Batches):
    """Batches of samples ``(N, *shape)``, floats or bytes, which are moved to the device once, unchanged."""

    def __init__(self, samples: Samples, data: DataSpec, *, size: int, seed: int, device: torch.device) -> None:
        super().__init__(len(samples), data, size=size, seed=seed, device=device)
        self.samples = samples.to(device)

    def _take(self, rows: Tensor) -> Samples:
        return self.samples[rows]


class StreamedBatches(Batches):
    """The same batches of a source's samples, read when they are needed and moved to the device.

    Workers run only within :meth:`prefetching`. Outside of it, or with 0 workers, this process reads each batch itself. By default
    there is one worker less than there are cores, at least 1 and at most 8.
    """

    _max_head = 256

    def __init__(
        self, source: SampleSource, data: DataSpec, *, size: int, seed: int, device: torch.device, workers: int | None = None
    ) -> None:
        super().__init__(len(source), data, size=size, seed=seed, device=torch.device("cpu"))
        cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        self.workers = min(_MAX_WORKERS, max(1, cores - 1)) if workers is None else workers
        self._source, self._target = source, device
        self._pool: ProcessPoolExecutor | None = None
        self._queue: deque[Future[_Arrays]] = deque()
        self._next = 0

    def _take(self, rows: Tensor) -> Samples:
        return read_samples(self._source, self._data, rows.tolist())

    def _batch(self, index: int) -> Samples:
        """The samples on the device; from pinned memory the copy overlaps with the device's work."""
        samples = super()._batch(index) if self._pool is None else self._read_queued(self._pool, index)
        return (samples.pin_memory() if self._target.type == "cuda" else samples).to(self._target, non_blocking=True)

    @contextmanager
    def prefetching(self) -> Iterator[None]:
        """Let workers read ahead; they end with the block.

        Where possible they are forked, so enter the block before files are locked and other processes started.
        """
        if not self.workers or self._pool is not None:
            yield
            return
        with _pool(self._source, self._data, self.workers) as self._pool:
            try:
                with suppress(BrokenProcessPool):  # reading the first batch reports it
                    self._read_ahead(self._pool)
                yield
            finally:
                self._pool.shutdown(cancel_futures=True)
                self._pool = None
                self._queue.clear()

    def _read_queued(self, pool: ProcessPoolExecutor, index: int) -> Samples:
        if index != self._next:  # a run that was resumed
            while self._queue:
                self._queue.popleft().cancel()
            self._next = index
        try:
            self._read_ahead(pool)
            values, labels = self._queue[0].result()
            self._queue.popleft()
            self._next += 1
            self._read_ahead(pool)
        except BrokenProcessPool as error:
            raise TrainingError(
                "a data worker process was killed, perhaps because memory ran out",
                remedy="lower dataset.workers (0 reads without worker processes) and continue with --resume",
            ) from error
        return Samples(torch.from_numpy(values), None if labels is None else torch.from_numpy(labels))

    def _read_ahead(self, pool: ProcessPoolExecutor) -> None:
        while len(self._queue) < _BATCHES_AHEAD * self.workers:
            self._queue.append(pool.submit(_read, self._rows(self._next + len(self._queue)).tolist()))


class _Worker(Process):
    """A process that its pool can end although it ignores SIGTERM."""

    def terminate(self) -> None:
        self.kill()


class _WorkerContext(Context):
    """The multiprocessing context whose processes are :class:`_Worker`."""

    Process = _Worker


@contextmanager
def _pool(source: SampleSource, data: DataSpec, workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers have started.

    Forked workers start at once and neither import nor unpickle the source, which may come from a user's file. Python warns about
    forking a process with threads, because of locks that they may hold; the workers only read files and take none of those locks.
    """
    with ProcessPoolExecutor(workers, mp_context=_WorkerContext(), initializer=_start_worker, initargs=(source, data)) as pool:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # no Ctrl-C before the worker ignores it
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                pool.submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield pool


# The rest runs in the workers.

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_worker_source: list[tuple[SampleSource, DataSpec]] = []


def _start_worker(source: SampleSource, data: DataSpec) -> None:
    """Ignore signals, and end when the parent ends.

    Terminals and service managers signal the whole process group, while the parent still needs batches to finish its iteration.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # a plugin that prints must not spoil --json
    torch.set_num_threads(1)
    _worker_source[:] = [(source, data)]


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(0)


def _read(rows: list[int]) -> _Arrays:
    """Samples as arrays, which are copied through the pipe; tensors would need shared memory."""
    samples = read_samples(*_worker_source[0], rows)
    return samples.values.numpy(), None if samples.labels is None else samples.labels.numpy()

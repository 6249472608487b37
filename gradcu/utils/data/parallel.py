"""A pass over a data set whose batches are made by worker processes.

Each worker has a connection of its own: tasks (which samples) go out, batches come back. Tasks are dealt in turn, and
at most `prefetch_factor` per worker are under way, so messages never fill a connection, and no side blocks the other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from ...multiprocessing import channel, reductions as reductions
from . import worker
from .pin import pin_memory

if TYPE_CHECKING:
    from .dataloader import DataLoader

_MOST_UNDER_WAY = 16  # tasks per worker, of whatever `prefetch_factor`: small messages of these fit any connection


class ParallelIterator:
    """The batches of a `DataLoader` with workers. They are stopped at the end, and when the iterator is dropped."""

    def __init__(self, loader: DataLoader, base_seed: int) -> None:
        self._loader = loader
        self._limit = loader.num_workers * min(loader.prefetch_factor or 2, _MOST_UNDER_WAY)
        context: Any = loader.multiprocessing_context or multiprocessing
        if isinstance(context, str):
            context = multiprocessing.get_context(context)
        self._processes: list[Any] = []
        self._connections: list[Any] = []
        self._stop = weakref.finalize(self, _stop, os.getpid(), self._processes, self._connections)
        for i in range(loader.num_workers):
            ours, theirs = context.Pipe()
            inherited = ours if context.get_start_method() == "fork" else None
            info = worker.WorkerInfo(i, loader.num_workers, base_seed + i, loader.dataset)
            how = loader._auto_collation, loader.collate_fn, loader.drop_last, loader.worker_init_fn
            process = context.Process(target=worker.run, args=(theirs, inherited, info, *how), daemon=True)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)
        self._sent = 0  # how many tasks were given out, in all passes
        self._begin()

    def _begin(self) -> None:
        self._tasks = iter(self._loader._index_sampler)
        self._first = self._next = self._sent  # the first task of this pass; the one whose result is due
        self._under_way: dict[int, int] = {}  # which worker has a task
        self._results: dict[int, Any] = {}
        self._turns = deque(range(len(self._processes)))  # the workers that have more samples, the next one first
        self._fill()

    @property
    def alive(self) -> bool:
        """Whether the workers have not been stopped."""
        return self._stop.alive

    def restart(self) -> None:
        """Begin another pass with the same workers."""
        for i in range(len(self._processes)):
            self._send(i, (-1, worker.Reset))
        self._begin()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        while self._under_way or self._results:
            task = self._due()
            if task is None:
                self._receive()
                continue
            result = self._results.pop(task)
            self._next += self._loader.in_order
            self._fill()
            if isinstance(result, worker.Failure):
                result.reraise()
            if not isinstance(result, worker.Ended):
                return pin_memory(result) if self._loader._pins else result
        if not self._loader.persistent_workers:
            self._stop()
        raise StopIteration

    def _due(self) -> int | None:
        """The task whose result is to be given next, if it is here."""
        if not self._loader.in_order:
            return next(iter(self._results), None)
        return self._next if self._next in self._results else None

    def _fill(self) -> None:
        """Give out tasks, in turn, to the workers that have more samples."""
        while self._turns and len(self._under_way) + len(self._results) < self._limit:
            try:
                numbers = next(self._tasks)
            except StopIteration:
                return
            i = self._turns[0]
            self._turns.rotate(-1)
            self._under_way[self._sent] = i
            self._send(i, (self._sent, numbers))
            self._sent += 1

    def _send(self, i: int, message: Any) -> None:
        try:
            channel.send(self._connections[i], message)
        except (BrokenPipeError, ConnectionResetError):
            self._lost(i)

    def _receive(self) -> None:
        """Wait for a result: for the one that is due, or for any if their order does not matter."""
        candidates = [self._under_way[self._next]] if self._loader.in_order else {*self._under_way.values()}
        deadline = time.monotonic() + self._loader.timeout if self._loader.timeout else None
        try:
            while not (ready := wait([self._connections[i] for i in candidates], self._patience(deadline))):
                for i in candidates:
                    if not self._processes[i].is_alive():
                        self._lost(i)
                if deadline is not None and time.monotonic() >= deadline:
                    for i in candidates:
                        self._processes[i].terminate()  # there is no use in waiting on
                    raise RuntimeError(f"DataLoader timed out after {self._loader.timeout} seconds")
            i = self._connections.index(ready[0])
            try:
                task, result = channel.receive(self._connections[i])
            except (EOFError, ConnectionResetError):
                self._lost(i)
        except BaseException:  # half a message may have been read
            self._stop()
            raise
        if task < self._first:  # of a pass that was broken off
            return
        del self._under_way[task]
        self._results[task] = result
        if isinstance(result, worker.Ended) and i in self._turns:
            self._turns.remove(i)

    def _patience(self, deadline: float | None) -> float:
        return worker.CHECK if deadline is None else min(worker.CHECK, max(deadline - time.monotonic(), 0))

    def _lost(self, i: int) -> Any:
        process = self._processes[i]
        process.join(worker.CHECK)
        pid, code = process.pid, process.exitcode
        self._stop()
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        raise RuntimeError(f"DataLoader worker (pid(s) {pid}) exited unexpectedly, {how}")


def _stop(owner: int, processes: list[Any], connections: list[Any]) -> None:
    """Tell the workers to end, and end those that do not in time. (A forked copy of the iterator has no say.)"""
    if os.getpid() != owner:
        return
    for connection in connections:
        with contextlib.suppress(OSError):
            channel.send(connection, None)
        connection.close()
    deadline = time.monotonic() + worker.CHECK
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
        for end in (process.terminate, process.kill):
            if process.is_alive():
                end()
                process.join(1)
        with contextlib.suppress(ValueError):
            process.close()

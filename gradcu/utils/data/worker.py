"""What runs in a worker process of a `DataLoader`."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...backends import native
from ...multiprocessing import channel
from ...random import manual_seed
from .fetch import Exhausted, fetcher

CHECK = 5.0  # seconds after which a process that waits for another looks if that is still alive


@dataclass(frozen=True)
class WorkerInfo:
    """Which worker this process is: `id` of `num_workers`, its `seed`, and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker of a DataLoader this process is; None in the main process."""
    return _info


class Reset:
    """Asks a worker to begin another pass over the data."""


class Ended:
    """Says that a worker's iterable data set has no more samples."""


class Failure:
    """An exception in a worker, with its traceback as text: tracebacks themselves do not travel."""

    def __init__(self, where: str) -> None:
        kind, error, trace = sys.exc_info()
        self.kind: Any = kind
        self.text = "".join(traceback.format_exception(kind, error, trace))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raise an exception of the same class, if it takes a message, else RuntimeError."""
        text: Any = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            text = _Verbatim(text)
        try:
            error = self.kind(text)
        except Exception:
            raise RuntimeError(text) from None
        raise error


class _Verbatim(str):
    """A message that KeyError shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def run(
    connection: Any,
    inherited: Any,
    info: WorkerInfo,
    batches: bool,
    collate_fn: Callable,
    drop_last: bool,
    init_fn: Callable | None,
) -> None:
    """Fetch what is asked for through the connection, until None is or it is closed.

    `inherited` is the main process's end of it, which a forked process has, too: the connection would not be closed as
    long as that is open here.
    """
    global _info
    _info = info
    if inherited is not None:
        inherited.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the main process closes the connection
    where = f"in DataLoader worker process {info.id}"
    parent = os.getppid()
    failure = fetch = None
    try:
        native.set_num_threads(1)
        _seed(info)
        if init_fn is not None:
            init_fn(info.id)
    except Exception:
        failure = Failure(where)
    while True:
        try:
            while not connection.poll(CHECK):
                if os.getppid() != parent:
                    return
            message = channel.receive(connection)
        except (EOFError, OSError):
            return
        if message is None:
            return
        task, numbers = message
        result: Any
        try:
            if numbers is Reset:
                fetch = None
                continue
            if failure is None:
                fetch = fetch or fetcher(info.dataset, batches, collate_fn, drop_last)
            result = failure or fetch(numbers)  # type: ignore[misc]
        except Exhausted:
            result = Ended()
        except Exception:
            result = Failure(where)
        try:
            try:
                channel.send(connection, (task, result))
            except (BrokenPipeError, ConnectionResetError):
                return
            except Exception:  # it cannot be pickled
                channel.send(connection, (task, Failure(where)))
        except OSError:
            return
        del result


def _seed(info: WorkerInfo) -> None:
    """Seed Python's, NumPy's and gradcu's generators, each worker's in its own way."""
    random.seed(info.seed)
    manual_seed(info.seed)
    np.random.seed(np.random.SeedSequence((info.seed - info.id, info.id)).generate_state(4))

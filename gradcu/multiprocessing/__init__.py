"""Python's `multiprocessing`, with tensors that processes share instead of copying them.

A tensor sent through a `Queue` or a `Pipe`, or passed to a `Process`, moves to shared memory, and what one process
writes into it the others see. Its gradient stays behind. The sender must live
until the tensor has been received. (On Windows, and on CUDA devices, tensors are copied.)
"""

import multiprocessing
from multiprocessing import *  # noqa: F403

from . import reductions as reductions
from .spawn import (
    ProcessContext as ProcessContext,
    ProcessExitedException as ProcessExitedException,
    ProcessRaisedException as ProcessRaisedException,
    spawn as spawn,
    start_processes as start_processes,
)

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


def get_all_sharing_strategies() -> set[str]:
    """The ways to share memory: by descriptors of files without a name."""
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """The way that is used."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose the way: there is one, which leaves nothing behind. Raises AssertionError for others."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(
            f"invalid sharing strategy {new_strategy!r}, expected one of {get_all_sharing_strategies()}"
        )

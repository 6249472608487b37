"""Memory that several processes see: files without a name, which the system frees with the last process that has them.

Nothing of it can be left behind, not even by a process that is killed, and nobody has to keep track of it.
"""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

#: whether such memory can be handed to other processes: by descriptors, which Windows has not
available = hasattr(os, "pwrite")


class Mapping(mmap.mmap):
    """Shared memory, mapped into this process; freed here with the last array over it."""


class SharedMemory(Mapping):
    """Shared memory with its descriptor, so that it can be handed on."""

    fd: int

    def __new__(cls, size: int, fd: int | None = None) -> SharedMemory:
        fd = nameless_file() if fd is None else os.dup(fd)
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        self = super().__new__(cls, fd, size)
        self.fd = fd
        return self

    def __del__(self, close: Any = os.close) -> None:
        if hasattr(self, "fd"):
            close(self.fd)


def nameless_file() -> int:
    """The descriptor of an empty file in memory (on Linux), which other processes that get it can map."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("gradcu")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def mapping_of(array: Any) -> Mapping | None:
    """The shared memory that an array lies in, if any."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = getattr(base, "obj", base)  # of a memoryview
    return base if isinstance(base, Mapping) else None


def copy_of(array: Any) -> Any:
    """A copy in shared memory, whose dimensions lie in the same order."""
    strides = np.empty_like(array).strides
    copy: Any = np.ndarray(array.shape, array.dtype, SharedMemory(array.nbytes), 0, strides)
    copy[...] = array
    return copy

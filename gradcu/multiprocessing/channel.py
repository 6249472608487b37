"""Messages between two processes, quicker than a queue: arrays in shared memory, the rest as a pickle beside them.

The sender writes all arrays of a message, one after another, into one file in memory and sends its descriptor; the
receiver maps that and builds its arrays right over it. Nothing is copied twice, and the memory is freed with the last
array, or with the processes.
"""

from __future__ import annotations

import io
import itertools
import mmap
import os
import pickle
import socket
import struct
import weakref
from typing import Any

import numpy as np

from ..backends import shared
from ..dtypes import dtype
from ..tensor import Tensor, fill

_INLINE = 4096  # bytes up to which a message is sent as it is: a page is the least that can be mapped
_ALIGNMENT = 64
_MOST_MAPPINGS = 256  # each holds a descriptor; a receiver that keeps more of them gets copies from then on

_mappings: weakref.WeakSet = weakref.WeakSet()


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        if obj.requires_grad and obj.grad_fn is not None:
            raise RuntimeError(
                "a tensor that requires grad and is no leaf cannot go to another process, since its graph stays here: "
                "send x.detach()"
            )
        if obj.is_cuda:
            return obj.__reduce_ex__(5)
        a: Any = np.ascontiguousarray(obj._array).reshape(-1).view(np.uint8)  # of a view, what it shows
        place = obj._array.shape, obj.dtype
        return _rebuild, (type(obj), pickle.PickleBuffer(a), *place, obj._rg, obj.__dict__)


def _rebuild(kind: type, data: Any, shape: tuple, dtype: dtype, requires_grad: bool, attributes: dict) -> Tensor:
    t = fill(object.__new__(kind), np.ndarray(shape, dtype.numpy, data), None, requires_grad)
    t.__dict__.update(attributes)
    return t


def send(connection: Any, obj: Any) -> None:
    """Send an object. What cannot be pickled raises before anything is sent."""
    stream, buffers = io.BytesIO(), []  # type: ignore[var-annotated]
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(obj)
    parts = [stream.getbuffer(), *(b.raw() for b in buffers)]
    sizes = [part.nbytes for part in parts]
    shares = shared.available and sum(sizes) > _INLINE
    header = struct.pack(f"<?I{len(sizes)}Q", shares, len(sizes), *sizes)
    if not shares:
        connection.send_bytes(header + b"".join(parts))
        return
    fd = shared.nameless_file()
    try:
        for part, start in zip(parts, _starts(sizes)):
            written = 0
            while written < part.nbytes:
                written += os.pwrite(fd, part[written:], start + written)
        connection.send_bytes(header)
        with _socket_of(connection) as channel:
            socket.send_fds(channel, [b"."], [fd])
    finally:
        os.close(fd)


def receive(connection: Any) -> Any:
    """The next object. Raises EOFError when the other side is gone."""
    message = connection.recv_bytes()
    shares, count = struct.unpack_from("<?I", message)
    sizes = struct.unpack_from(f"<{count}Q", message, 5)
    if shares:
        starts = _starts(sizes)
        with _socket_of(connection) as channel:
            _, fds, _, _ = socket.recv_fds(channel, 1, 1)
        if not fds:
            raise EOFError
        memory: Any = _mapped(fds[0], starts[-1] + sizes[-1])
    else:
        start = 5 + 8 * count
        memory, starts = bytearray(message), [*itertools.accumulate(sizes, initial=start)][:-1]
    view = memoryview(memory)
    content, *buffers = (view[start : start + size] for start, size in zip(starts, sizes))
    return pickle.loads(content, buffers=buffers)


def _starts(sizes: Any) -> list[int]:
    """Where parts of these sizes begin, each at a multiple of 64 bytes."""
    aligned = (-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes)
    return [*itertools.accumulate(aligned, initial=0)][:-1]


def _socket_of(connection: Any) -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(connection.fileno()))


def _mapped(fd: int, size: int) -> Any:
    """The memory of a descriptor, which is closed."""
    try:
        memory = shared.Mapping(fd, size, mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
    finally:
        os.close(fd)
    if len(_mappings) >= _MOST_MAPPINGS:
        return bytearray(memory)
    _mappings.add(memory)
    return memory

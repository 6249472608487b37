"""How tensors go to other processes: as the descriptor of the memory that they lie in."""

from __future__ import annotations

import os
from multiprocessing import reduction
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from ..backends import shared
from ..nn.parameter import Buffer, Parameter
from ..ops.interchange import share_memory_
from ..tensor import Tensor, fill


def _reduce(t: Tensor) -> tuple:
    if t.requires_grad and t.grad_fn is not None:
        raise RuntimeError(
            "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support "
            "crossing process boundaries.  If you just want to transfer the data, call detach() on the tensor before "
            "serializing (e.g., putting it on the queue)."
        )
    if t.is_cuda or not t.numel() or not shared.available:
        return t.__reduce_ex__(2)
    if not hasattr(shared.mapping_of(share_memory_(t)._array), "fd"):
        t._array = shared.copy_of(t._array)
    a = t._array
    memory: Any = shared.mapping_of(a)
    offset = a.ctypes.data - np.frombuffer(memory, np.uint8).ctypes.data
    place = a.shape, t.dtype, offset, a.strides
    return _rebuild, (type(t), reduction.DupFd(memory.fd), len(memory), place, t._rg, t.__dict__)


def _rebuild(kind: type, handle: Any, size: int, place: tuple, requires_grad: bool, attributes: dict) -> Tensor:
    shape, dtype, offset, strides = place
    fd = handle.detach()
    try:
        memory = shared.SharedMemory(size, fd)
    finally:
        os.close(fd)
    t = fill(object.__new__(kind), np.ndarray(shape, dtype.numpy, memory, offset, strides), None, requires_grad)
    t.__dict__.update(attributes)
    return t


for _kind in (Tensor, Parameter, Buffer):
    ForkingPickler.register(_kind, _reduce)

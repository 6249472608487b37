"""Steps of optimizers, norms and scaling over many tensors at once: `kernels/optim.cu`.

Lists are of contiguous arrays of one floating-point dtype and one device, corresponding ones of one shape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import FLOATS, THREADS, instance, wide

Arrays = Sequence[Any]
Numbers = Sequence[float]
CHUNK = 16 * THREADS  # elements of a block, as in kernels/optim.cu


def suits(*lists: Arrays) -> bool:
    """Whether the arrays are as these kernels need them."""
    first = lists[0][0]
    return first.dtype.name in FLOATS and all(
        a.dtype == first.dtype and a.flags.c_contiguous and a.device == first.device and a.shape == like.shape
        for arrays in lists
        for a, like in zip(arrays, lists[0], strict=True)
    )


def _launch(
    xp: Any, function: str, types: Sequence[Any], lists: Sequence[Arrays], *args: Any, by_tensor: bool = False
) -> None:
    """Launch a kernel on a table of tensors, with a block for each CHUNK elements of a tensor, or for each tensor."""
    first = lists[0][0]
    addresses = tuple(a.data.ptr for arrays in lists for a in arrays)
    several = 16 // first.itemsize
    table, blocks, aligned = _table(xp, first.device.id, tuple(a.size for a in lists[0]), addresses)
    count = len(lists[0])
    grid = count if by_tensor else blocks
    if grid:
        name = instance(function, *types, *([] if by_tensor else [str(several if aligned else 1)]))
        xp.kernel("optim", name)((grid,), (THREADS,), (table, np.int64(count), *args))


@functools.lru_cache(
    256
)  # addresses stay the same from step to step, as far as the pool of memory gives the same blocks
def _table(xp: Any, device: int, sizes: tuple[int, ...], addresses: tuple[int, ...]) -> tuple[Any, int, bool]:
    """The table of tensors on the device, the number of blocks, and whether all begin at multiples of 16 bytes."""
    first = np.cumsum([0, *(-(-n // CHUNK) for n in sizes)])
    table = xp.asarray(np.concatenate((first, sizes, addresses)).astype(np.int64))
    return table, int(first[-1]), all(at % 16 == 0 for at in addresses)


def sgd(
    xp: Any, params: Arrays, grads: Arrays, buffers: Arrays | None, fresh: Numbers, lr: float, momentum: float,
    decay: float, sign: float, nesterov: bool,
) -> None:  # fmt: skip
    """One step of SGD, in place; a buffer becomes momentum * buffer + fresh * gradient, by its own `fresh`."""
    lists = (params, grads) if buffers is None else (params, grads, buffers)
    each = xp.asarray([fresh], dtype="float64")
    settings = map(float, (lr, momentum if buffers is not None else 0, decay, sign))
    _launch(xp, "sgd", [params[0].dtype], lists, each, *settings, nesterov)


def adam(
    xp: Any, params: Arrays, grads: Arrays, means: Arrays, squares: Arrays, greatest: Arrays | None, scale: Numbers,
    eps: Numbers, beta1: float, beta2: float, decay: float, shrink: float, sign: float,
) -> None:  # fmt: skip
    """One step of Adam, in place; `greatest` is for amsgrad. Each parameter has its own `scale` and `eps`."""
    lists = [params, grads, means, squares, *([] if greatest is None else [greatest])]
    each = xp.asarray([scale, eps], dtype="float64")
    settings = map(float, (beta1, beta2, decay, shrink, sign))
    _launch(xp, "adam", [params[0].dtype], lists, each, *settings, greatest is not None)


_NORMS = {1.0: "absolute", 2.0: "square", math.inf: "greatest"}


def norms(xp: Any, arrays: Arrays, order: float = 2.0) -> Any:
    """A vector of the norms of arrays, of order 1, 2 or infinity; None for other orders and arrays.

    Those of half precision are in float32.
    """
    by, dtype = _NORMS.get(float(order)), arrays[0].dtype
    if by is None or not _lies_well(xp, arrays):
        return None
    blocks = xp.empty(sum(-(-a.size // CHUNK) for a in arrays), dtype=wide(dtype))
    found = xp.empty(len(arrays), dtype=wide(dtype))
    _launch(xp, "block_norms", [by, dtype], [arrays], blocks)
    _launch(xp, "tensor_norms", [by, dtype], [arrays], blocks, found, by_tensor=True)
    return xp.sqrt(found) if by == "square" else found


def rescale(xp: Any, arrays: Arrays, factor: Any) -> bool:
    """Multiply arrays, all different, in place by a number on the device if that is less than 1 (or NaN).

    False where the kernel is not for them.
    """
    dtype = arrays[0].dtype
    if not _lies_well(xp, arrays) or len({a.data.ptr for a in arrays}) < len(arrays):
        return False
    _launch(xp, "rescale", [dtype], [arrays], xp.asarray(factor, dtype=wide(dtype)))
    return True


def _lies_well(xp: Any, arrays: Arrays) -> bool:
    """Whether the arrays are of CUDA devices' own kind, and as these kernels need them."""
    return all(type(a) is xp.ndarray for a in arrays) and suits(arrays)


class Together:
    """The parameters of a group and their gradients, and the step `name` (adam, sgd) that takes them in one launch.

    False if some array, of the `slots` of the state too, is none for it.
    """

    def __init__(self, xp: Any, name: str, state: Any, params: Sequence[Any], slots: Sequence[str]) -> None:
        steps: dict[str, Callable] = {"adam": adam, "sgd": sgd}
        self.xp, self.step = xp, steps[name]
        self.params, self.grads = [p._array for p in params], [p._grad._array for p in params]
        held = ([s[slot]._array if slot in (s := state.get(p, ())) else p._array for p in params] for slot in slots)
        self._suits = len(set(map(id, params))) == len(params) and suits(self.params, self.grads, *held)

    def __bool__(self) -> bool:
        return self._suits

    def run(self, slots: dict[str, Any], each: Sequence[Numbers], *numbers: Any) -> None:
        """Take the step: arrays of the state by name (or None), numbers of each parameter, and of all."""
        with self.params[0].device:
            self.step(self.xp, self.params, self.grads, *slots.values(), *each, *numbers)

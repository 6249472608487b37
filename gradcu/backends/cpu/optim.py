"""Steps of optimizers, and the clipping of gradients, over many tensors in one pass."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from .. import compiler, cpu

adam, sgd = cpu.Loop("optim", "adam"), cpu.Loop("optim", "sgd")
_norms, _scale = cpu.Loop("optim", "norms"), cpu.Loop("optim", "scale")


class Addresses:
    """Where arrays lie, as C++ takes it; kept for as long as they are the same arrays."""

    def __init__(self) -> None:
        self._arrays: list[Any] = []
        self._found: Any = None

    def of(self, arrays: list[Any], like: Sequence[Any]) -> Any:
        """The addresses; None unless the arrays are in one piece, of the shapes of `like` and all of its dtype."""
        if len(arrays) != len(self._arrays) or not all(map(operator.is_, arrays, self._arrays)):
            self._arrays, self._found = arrays, addresses(arrays, like)
        return self._found


def addresses(arrays: Sequence[Any], like: Sequence[Any]) -> Any:
    """As `Addresses.of`, of arrays that are not kept."""
    dtype = like[0].dtype
    for a, b in zip(arrays, like):
        if type(a) is not np.ndarray or a.dtype is not dtype or a.shape != b.shape or not a.flags.carray:
            return None
    return np.fromiter(map(compiler.data, arrays), np.uintp, len(arrays))


def starts(params: Sequence[Any]) -> Any:
    """How many elements there are before each array, and in all."""
    return np.array([0, *accumulate(p.size for p in params)], np.intp)


def worth(loop: cpu.Loop, params: Sequence[Any]) -> bool:
    """Whether arrays are of a dtype and together of a size for which the kernel is worth it, and it can be had."""
    dtype = params[0].dtype if params else None
    return cpu.suitable(dtype) and sum(p.size for p in params) >= cpu.SMALL and loop.function(dtype) is not None


def norms(xp: Any, arrays: Sequence[Any], order: float) -> Any:
    """The norm of each array; None where the kernel is not for them, or for orders other than 2."""
    found = addresses(arrays, arrays) if order == 2 and worth(_norms, arrays) else None
    if found is None:
        return None
    offsets, out = starts(arrays), np.empty(len(arrays), arrays[0].dtype)
    _norms(out.dtype, int(offsets[-1]), found, offsets, out, len(arrays))
    return out


def rescale(xp: Any, arrays: Sequence[Any], factor: Any) -> bool:
    """Multiply the arrays, all different, in place by a 0-d array; False where the kernel is not for them."""
    found = addresses(arrays, arrays) if worth(_scale, arrays) else None
    if found is None or len(set(found.tolist())) < len(arrays):
        return False
    offsets = starts(arrays)
    _scale(arrays[0].dtype, int(offsets[-1]), found, offsets, len(arrays), float(factor))
    return True

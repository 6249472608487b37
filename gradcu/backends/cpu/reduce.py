"""Sums, means, extremes, and where they are."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..axes import Shape, numbered, reduced, split
from . import Loop, suitable

_LANES, _SHORT = 256, 32  # as in kernels/cpu/reduce.cpp
_PIECE = 65_536  # elements of a task, where there would be few others
_INT64 = np.dtype(np.int64)


@functools.lru_cache(1024)
def _plan(shape: Shape, axis: Any, keepdims: bool, turned: bool) -> tuple[Any, ...] | None:
    """(outer, n, inner), into how many parts n is cut, and the shape of the result, of an array that is `turned` round.

    None if the axes do not lie side by side.
    """
    axes = numbered(len(shape), axis)
    if turned:
        shape, axes = shape[::-1], tuple(len(shape) - 1 - d for d in reversed(axes))
    sizes = split(shape, axes)
    if sizes is None:
        return None
    outer, n, inner = sizes
    parts = -(-n * min(inner, _LANES) // _PIECE) if outer * inner < 16 * _LANES else 1
    return sizes, parts, reduced(shape, axes, keepdims)


def _along(name: str, parts_in: Any = None, mean: bool = False, place: bool = False) -> Any:
    """A function `(x, axis, keepdims)`, which gives None where the array is not for it.

    Results of parts are kept in the dtype `parts_in`; `place`: the result is a position.
    """
    loop = Loop("reduce", name)

    def function(x: Any, axis: Any, keepdims: bool) -> Any:
        dtype, flags = x.dtype, x.flags
        turned = not flags.c_contiguous
        if not suitable(dtype) or not flags.aligned or (turned and not flags.f_contiguous):
            return None
        plan = _plan(x.shape, axis, keepdims, turned)
        if plan is None:
            return None
        sizes, parts, shape = plan
        n, inner = sizes[1:]
        out = np.empty(shape, _INT64 if place else dtype)
        if place:
            # NumPy is fast at long rows, and positions are counted in as many bits as a number has
            done = (inner > 1 or n < _SHORT) and n < 1 << 31 and loop(dtype, x.size, x, out, *sizes)
        else:
            memory = np.empty(sizes[0] * parts * inner, parts_in or dtype) if parts > 1 else None
            done = loop(dtype, x.size, x, out, memory, *sizes, parts, float(n) if mean else 1.0)
        if not done:
            return None
        return (out.T if turned else out) if shape else out[()]

    return function


total, mean = _along("total", np.float64), _along("total", np.float64, mean=True)
largest, smallest = _along("largest"), _along("smallest")
first_largest, first_smallest = _along("first_largest", place=True), _along("first_smallest", place=True)

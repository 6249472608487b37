"""Windows of an input and their columns: `kernels/windows.cu`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import instance, per_element

Dims = tuple[int, ...]

_STRUCT = np.dtype([(name, np.int32, 3) for name in ("size", "out", "kernel", "stride", "padding", "dilation")])


@functools.lru_cache(256)
def windows(size: Dims, out: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    """The struct `Windows`, in which dimensions that are not there have one element; all tuples have one length."""

    def three(numbers: Dims, missing: int) -> list[int]:
        return [missing] * (3 - len(numbers)) + list(numbers)

    return np.array(
        (three(size, 1), three(out, 1), three(kernel, 1), three(stride, 1), three(padding, 0), three(dilation, 1)),
        dtype=_STRUCT,
    )[()]


def columns(xp: Any, x: Any, seen: Any, rows_first: bool = False) -> Any:
    """What windows see of x (N, C, ...): (N, C * kernel elements, positions), or with the first two axes swapped."""
    x = xp.ascontiguousarray(x)
    n, channels = x.shape[:2]
    rows, positions = channels * int(np.prod(seen["kernel"])), int(np.prod(seen["out"]))
    shape = (rows, n, positions) if rows_first else (n, rows, positions)
    result = xp.empty(shape, dtype=x.dtype)
    name = instance("im2col", x.dtype)
    per_element(xp, "windows", name, result.size, x, result, seen, n, channels, rows_first, result.size)
    return result


def folded(xp: Any, x: Any, size: Dims, seen: Any) -> Any:
    """The adjoint of `columns`: (N, C * kernel elements, positions) added up to (N, C, *size)."""
    x = xp.ascontiguousarray(x)
    n, channels = x.shape[0], x.shape[1] // int(np.prod(seen["kernel"]))
    result = xp.empty((n, channels, *size), dtype=x.dtype)
    name = instance("col2im", x.dtype)
    per_element(xp, "windows", name, result.size, x, result, seen, n, channels, False, result.size)
    return result

"""Pooling, unfold and fold: `kernels/windows.cu`."""

from __future__ import annotations

import math
from typing import Any

from . import floats_only, instance, per_element
from .windows import Dims, columns, folded, windows


def _code_dtype(xp: Any, kernel: Dims) -> Any:
    return xp.dtype("uint8" if math.prod(kernel) < 256 else "int32")


@floats_only
def max_pool(xp: Any, x: Any, out: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> tuple[Any, Any]:
    """The largest element of each window, and its code."""
    d = len(kernel)
    x, shape = xp.ascontiguousarray(x), (*x.shape[:-d], *out)
    best, code = xp.empty(shape, dtype=x.dtype), xp.empty(shape, dtype=_code_dtype(xp, kernel))
    seen = windows(x.shape[-d:], out, kernel, stride, padding, dilation)
    per_element(xp, "windows", instance("max_pool", x.dtype, code.dtype), best.size, x, best, code, seen, best.size)
    return best, code


@floats_only
def pool_scatter(
    xp: Any, x: Any, code: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims
) -> Any:
    """The values of windows at the elements to which their codes lead, added up."""
    d = len(kernel)
    x, code = xp.ascontiguousarray(x), xp.ascontiguousarray(code, dtype=_code_dtype(xp, kernel))
    result = xp.empty((*x.shape[:-d], *size), dtype=x.dtype)
    seen = windows(size, x.shape[-d:], kernel, stride, padding, dilation)
    name = instance("pool_scatter", x.dtype, code.dtype)
    per_element(xp, "windows", name, result.size, x, code, result, seen, result.size)
    return result


@floats_only
def pool_gather(xp: Any, x: Any, code: Any, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    """Of each window the element to which its code leads."""
    d = len(kernel)
    x, code = xp.ascontiguousarray(x), xp.ascontiguousarray(code, dtype=_code_dtype(xp, kernel))
    result = xp.empty(code.shape, dtype=x.dtype)
    seen = windows(x.shape[-d:], code.shape[-d:], kernel, stride, padding, dilation)
    name = instance("pool_gather", x.dtype, code.dtype)
    per_element(xp, "windows", name, result.size, x, code, result, seen, result.size)
    return result


@floats_only
def window_sum(xp: Any, x: Any, out: Dims, kernel: Dims, stride: Dims, padding: Dims) -> Any:
    """The sum of each window."""
    d = len(kernel)
    x = xp.ascontiguousarray(x)
    result = xp.empty((*x.shape[:-d], *out), dtype=x.dtype)
    seen = windows(x.shape[-d:], out, kernel, stride, padding, (1,) * d)
    per_element(xp, "windows", instance("window_sum", x.dtype), result.size, x, result, seen, result.size)
    return result


@floats_only
def window_spread(xp: Any, x: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims) -> Any:
    """At each element the sum of the values of the windows that see it."""
    d = len(kernel)
    x = xp.ascontiguousarray(x)
    result = xp.empty((*x.shape[:-d], *size), dtype=x.dtype)
    seen = windows(size, x.shape[-d:], kernel, stride, padding, (1,) * d)
    per_element(xp, "windows", instance("window_spread", x.dtype), result.size, x, result, seen, result.size)
    return result


def _positions(size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Dims:
    """How many windows there are in each dimension, with padding on both sides."""
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )


@floats_only
def unfold(xp: Any, x: Any, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    """(N, C, ...) to columns (N, C * kernel elements, positions)."""
    size = x.shape[2:]
    out = _positions(size, kernel, stride, padding, dilation)
    return columns(xp, x, windows(size, out, kernel, stride, padding, dilation))


@floats_only
def fold(xp: Any, x: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    """Columns (N, C * kernel elements, positions) added up to (N, C, *size)."""
    size = tuple(size)
    out = _positions(size, kernel, stride, padding, dilation)
    assert math.prod(out) == x.shape[2]
    return folded(xp, x, size, windows(size, out, kernel, stride, padding, dilation))

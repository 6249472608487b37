"""Convolutions: columns of windows (`kernels/windows.cu`), multiplied by cuBLAS.

The products of a whole batch are one call. Half precision is multiplied on tensor cores and added up in float32.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

from . import floats_only
from .windows import Dims, columns, folded, windows

Pairs = tuple[tuple[int, int], ...]

COLUMNS = 1 << 28  # bytes of columns that are made at a time


@functools.lru_cache(256)
def _seen(size: Dims, kernel: Dims, stride: Dims, padding: Pairs, dilation: Dims) -> tuple[Dims, Any, bool]:
    """The number of positions in each dimension, what windows see, and whether that is the input as it is."""
    out = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )
    plain = math.prod(kernel) == 1 and out == size and not any(map(any, padding))
    return out, windows(size, out, kernel, stride, tuple(p[0] for p in padding), dilation), plain


def _parts(n: int, bytes_of_one: int) -> Iterator[slice]:
    """Slices of a batch, each with as many samples as their columns may take."""
    step = max(1, COLUMNS // max(1, bytes_of_one))
    return (slice(i, min(i + step, n)) for i in range(0, n, step))


def _rows(w: Any, groups: int) -> Any:
    """The weight as a matrix of each group: (groups, output channels, input channels * kernel elements)."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def _by_group(x: Any, groups: int) -> Any:
    """(N, C, ...) as (N, groups, C of a group, all the rest); (N, 1, C, all the rest) for one group."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def _suit(x: Any, w: Any) -> bool:
    return bool(w.size) and x.dtype == w.dtype and w.ndim <= 5


@floats_only
def forward(xp: Any, x: Any, w: Any, b: Any, stride: Dims, padding: Pairs, dilation: Dims, groups: int) -> Any:
    """out[n] = w @ columns(x[n]) + b, of each group."""
    out, seen, plain = _seen(x.shape[2:], w.shape[2:], stride, padding, dilation)
    if not _suit(x, w) or min(out) < 1:
        return None
    n, positions = x.shape[0], math.prod(out)
    rows = _rows(w, groups)
    result = xp.empty((n, w.shape[0], *out), dtype=x.dtype)
    for part in _parts(n, x.shape[1] * math.prod(w.shape[2:]) * positions * x.itemsize):
        unrolled = _by_group(x[part] if plain else columns(xp, x[part], seen), groups)
        result[part] = xp.matmul(rows, unrolled).reshape(-1, w.shape[0], *out)
    if b is not None:
        result += b.reshape(-1, *(1,) * len(out))
    return result


@floats_only
def input_adjoint(
    xp: Any, x: Any, w: Any, size: Dims, stride: Dims, padding: Pairs, dilation: Dims, groups: int
) -> Any:
    """The columns w^T @ x[n] folded, of each group, where x is like the convolution's result."""
    if not _suit(x, w):
        return None
    _, seen, plain = _seen(tuple(size), w.shape[2:], stride, padding, dilation)
    n, channels = x.shape[0], w.shape[1] * groups
    rows = xp.matrix_transpose(_rows(w, groups))
    result = xp.empty((n, channels, *size), dtype=x.dtype)
    for part in _parts(n, channels * math.prod(w.shape[2:]) * math.prod(x.shape[2:]) * x.itemsize):
        unrolled = xp.matmul(rows, _by_group(xp.ascontiguousarray(x[part]), groups))
        unrolled = unrolled.reshape(unrolled.shape[0], -1, unrolled.shape[-1])
        result[part] = unrolled.reshape(result[part].shape) if plain else folded(xp, unrolled, size, seen)
    return result


@floats_only
def weight_adjoint(
    xp: Any, x: Any, y: Any, kernel: Dims, stride: Dims, padding: Pairs, dilation: Dims, groups: int
) -> Any:
    """The sum over samples of y[n] @ columns(x[n])^T, of each group, where y is like the convolution's result."""
    if not y.size or x.dtype != y.dtype or len(kernel) > 3:
        return None
    _, seen, _ = _seen(x.shape[2:], tuple(kernel), stride, padding, dilation)
    (n, channels), count = x.shape[:2], math.prod(kernel)
    total: Any = None
    for part in _parts(n, channels * count * math.prod(y.shape[2:]) * x.itemsize):
        unrolled = columns(xp, x[part], seen, rows_first=True).reshape(groups, channels // groups * count, -1)
        values = xp.ascontiguousarray(y[part].swapaxes(0, 1)).reshape(groups, y.shape[1] // groups, -1)
        product = xp.matmul(values, xp.matrix_transpose(unrolled))
        total = product if total is None else total + product
    return total.reshape(y.shape[1], channels // groups, *kernel)

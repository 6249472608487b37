"""Convolutions of stride 1."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import Loop, contiguous

_convolve, _convolve_weight = Loop("conv", "convolve"), Loop("conv", "convolve_weight")
Pairs = tuple[tuple[int, int], ...]


@functools.lru_cache(256)
def _shape(
    n: int, channels: int, outputs: int, groups: int, size: Sequence[int], kernel: Sequence[int], padding: Pairs,
    dilation: Sequence[int],
) -> Any:  # fmt: skip
    """The `Shape` of kernels/cpu/conv.cpp; None where the kernel would be no better than products of matrices."""
    padded = [m + sum(p) for m, p in zip(size, padding)]
    out = [m - d * (k - 1) for m, k, d in zip(padded, kernel, dilation)]
    if math.prod(kernel) == 1 or math.prod(padded[1:]) > 1.5 * math.prod(out[1:]) or min(out) < 1 or not n:
        return None
    if min(p[0] for p in padding) < 0 or min(p[1] for p in padding) < 0:
        return None
    found = [n, channels, outputs, groups]
    for values, usual in ((size, 1), (kernel, 1), ([p[0] for p in padding], 0), (padded, 1), (out, 1), (dilation, 1)):
        found += [usual] * (3 - len(values)) + list(values)
    return np.array(found, np.intp), tuple(out)


def _work(n: int, outputs: int, out: Sequence[int], w: Any) -> int:
    """About how many elements of a simple loop take as long."""
    return n * math.prod(out) * w.size // 8


def forward(x: Any, w: Any, b: Any, stride: Any, padding: Pairs, dilation: Any, groups: int) -> Any:
    """The convolution, and what is added to each channel of the result."""
    dtype = x.dtype
    if any(s != 1 for s in stride):
        return None
    found = _shape(x.shape[0], w.shape[1], w.shape[0] // groups, groups, x.shape[2:], w.shape[2:], padding, dilation)
    x, w = contiguous(x, dtype), contiguous(w, dtype)
    b = b if b is None else contiguous(b, dtype)
    if found is None or w is None:
        return None
    shape, size = found
    out = np.empty((x.shape[0], w.shape[0], *size), dtype)
    return out if _convolve(dtype, _work(x.shape[0], w.shape[0], size, w), x, w, b, out, shape) else None


def input_adjoint(
    x: Any, w: Any, size: tuple[int, ...], stride: Any, padding: Pairs, dilation: Any, groups: int
) -> Any:
    """The convolution with the weight turned round, and padding such that the result has the given size."""
    outputs, channels, *kernel = w.shape
    turned = w.reshape(groups, outputs // groups, channels, *kernel).swapaxes(1, 2)
    turned = np.flip(turned, tuple(range(3, turned.ndim))).reshape(groups * channels, outputs // groups, *kernel)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    around = tuple((r - p[0], r - p[1]) for r, p in zip(reach, padding))
    if tuple(m + sum(p) - r for m, p, r in zip(x.shape[2:], around, reach)) != tuple(size):
        return None
    return forward(x, turned, None, stride, around, dilation, groups)


def weight_adjoint(
    x: Any, y: Any, kernel: tuple[int, ...], stride: Any, padding: Pairs, dilation: Any, groups: int
) -> Any:
    """The gradient of the weight, where `y` is that of the result."""
    dtype = x.dtype
    if any(s != 1 for s in stride):
        return None
    n, channels, outputs = x.shape[0], x.shape[1] // groups, y.shape[1] // groups
    found = _shape(n, channels, outputs, groups, x.shape[2:], tuple(kernel), padding, dilation)
    x, y = contiguous(x, dtype), contiguous(y, dtype)
    if found is None or y is None:
        return None
    shape, size = found
    out = np.empty((y.shape[1], channels, *kernel), dtype)
    return out if _convolve_weight(dtype, _work(n, y.shape[1], size, out), x, y, out, shape) else None

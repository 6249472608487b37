"""Softmax and its logarithm: `kernels/softmax.cu`."""

from __future__ import annotations

import math
from typing import Any

from . import floats_only, instance, pack, per_line


def _by_line(xp: Any, function: str, axis: int, *arrays: Any) -> Any:
    """What a kernel makes of lines along an axis of arrays of one shape and dtype."""
    x = arrays[0]
    arrays = tuple(xp.ascontiguousarray(a) for a in arrays)
    result = xp.empty(x.shape, dtype=x.dtype)
    n, inner = x.shape[axis], math.prod(x.shape[axis % x.ndim + 1 :])
    lines, width = x.size // n, pack(n, *arrays, result) if inner == 1 else 1
    name = instance(function, x.dtype, str(width))
    per_line(xp, "softmax", name, lines, n // width, inner == 1, *arrays, result, lines, n, inner)
    return result


@floats_only
def softmax(xp: Any, x: Any, axis: int) -> Any:
    """exp(x) / sum of exp(x) along the axis."""
    return _by_line(xp, "softmax", axis, x)


@floats_only
def log_softmax(xp: Any, x: Any, axis: int) -> Any:
    """The logarithm of `softmax`."""
    return _by_line(xp, "log_softmax", axis, x)


@floats_only
def softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    """The gradient of x, from that of `out = softmax(x)`."""
    return _by_line(xp, "softmax_x", axis, g, out)


@floats_only
def log_softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    """The gradient of x, from that of `out = log_softmax(x)`."""
    return _by_line(xp, "log_softmax_x", axis, g, out)

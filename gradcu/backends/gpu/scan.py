"""Running sums, products and extremes, and linear recurrences: `kernels/scan.cu`."""

from __future__ import annotations

import math
from typing import Any

from . import FLOATS, THREADS, cut, floats_only, instance, per_element, per_line

_EACH = 4  # elements of a thread, in kernels/scan.cu
_PARTS = 256  # at most so many of a line


def _scan(xp: Any, operation: str, axis: int, reverse: bool, x: Any, b: Any = None, result: Any = None) -> Any:
    """What `operation` makes of lines along the axis; `result` is the dtype, if it is not that of x."""
    x = xp.ascontiguousarray(x)
    y = xp.empty(x.shape, dtype=result or x.dtype)
    axis %= x.ndim
    n, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    lines, along = x.size // n, inner == 1
    blocks, least = (lines, 4 * THREADS * _EACH) if along else (-(-lines // THREADS), 64)
    length, parts = cut(n, blocks, least, _PARTS)
    totals = xp.empty(16 * lines * parts if parts > 1 else 0, dtype="uint8")  # the largest value has 16 bytes
    name = instance("scan", operation, x.dtype)
    for combine in (True, False) if parts > 1 else (False,):
        args = x, b, y, totals, combine, lines, n, inner, length, parts, reverse
        if along:
            per_line(xp, "scan", name, lines * parts, -(-length // _EACH), True, *args)
        else:
            per_element(xp, "scan", name, lines * parts, *args)
    return y


def _over_axis(operation: str, integers: bool) -> Any:
    """A function `(xp, x, axis, reverse)`, which gives None for arrays that the formula is for."""

    def function(xp: Any, x: Any, axis: int, reverse: bool = False) -> Any:
        name = x.dtype.name
        if not x.size or not x.ndim or not (name in FLOATS or (integers and name == "int64")):
            return None
        return _scan(xp, operation, axis, reverse, x)

    return function


running_sum, running_product = _over_axis("sums", True), _over_axis("products", True)
running_logsumexp = _over_axis("log_sums", False)


@floats_only
def recurrence(xp: Any, a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """y[k] = b[k] + a[k] y[k-1] along the axis, or y[k+1] with `reverse`."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return None
    return _scan(xp, "recurrences", axis, reverse, a, xp.ascontiguousarray(b))


def running_place(xp: Any, x: Any, axis: int, extreme: str) -> Any:
    """The last place of the extreme ("maximum", "minimum") of the elements up to each; int64."""
    if not x.size or not x.ndim or x.dtype.name not in (*FLOATS, "int64"):
        return None
    return _scan(xp, {"maximum": "largest", "minimum": "smallest"}[extreme], axis, False, x, result="int64")

"""Sums, means, extremes, and where they are: `kernels/reduce.cu`."""

from __future__ import annotations

import math
from typing import Any

from ..axes import numbered, reduced, split
from . import FLOATS, THREADS, WARP, cut, instance, per_line, wide

_EACH = 16  # the least elements that a thread should have
_DTYPES = (*FLOATS, "int32", "int64")


def _arranged(xp: Any, x: Any, axes: tuple[int, ...]) -> tuple[Any, tuple[int, ...], bool]:
    """The array in one piece, the axes, and whether it is `x` turned round, which may save a copy."""
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        return x.T, tuple(x.ndim - 1 - d for d in reversed(axes)), True
    return xp.ascontiguousarray(x), axes, False


def _parts(lines: int, n: int, along: bool) -> tuple[int, int]:
    """How many elements a team reduces, and how many such parts there are of a line."""
    return cut(n, lines, _EACH * THREADS) if along else cut(n, -(-lines // WARP), _EACH * THREADS // WARP)


def _groups(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The axes in groups that can each be reduced at once, the last ones first."""
    groups: list[tuple[int, ...]] = []
    for d in reversed(axes):
        if groups and split(shape, (d, *groups[-1])) is not None:
            groups[-1] = (d, *groups[-1])
        else:
            groups.append((d,))
    return groups


def _reduction(by: str, mean: bool = False) -> Any:
    """A function `(xp, x, axis, keepdims)`, which gives None for arrays that CuPy is to reduce."""

    def step(xp: Any, x: Any, outer: int, n: int, inner: int, last: Any) -> Any:
        """One reduction along (outer, n, inner); `last` is the dtype of the result and the divisor, if it ends here."""
        lines = outer * inner
        length, parts = _parts(lines, n, inner == 1)
        whole = parts == 1
        to, divisor = last if last and whole else (xp.dtype(wide(x.dtype)) if x.dtype.name in FLOATS else x.dtype, 1)
        if by != "add":
            to = x.dtype  # extremes are no longer numbers than what they are among
        y = xp.empty(lines * parts, dtype=to)
        name = instance("reduction", by, x.dtype, to)
        args = x, y, lines, n, inner, length, parts, float(divisor)
        per_line(xp, "reduce", name, lines * parts, length, inner == 1, *args)
        return y if whole else step(xp, y, outer, parts, inner, last)

    def function(xp: Any, x: Any, axis: Any, keepdims: bool) -> Any:
        dtype = x.dtype
        if not x.size or not x.ndim or dtype.name not in _DTYPES or (by == "add" and dtype.name == "int32"):
            return None
        axes = numbered(x.ndim, axis)
        if not axes:
            return None
        shape, count = reduced(x.shape, axes, keepdims), math.prod(x.shape[d] for d in axes) if mean else 1
        x, axes, turned = _arranged(xp, x, axes)
        left = x.shape
        for i, group in enumerate(groups := _groups(left, axes)):
            last = (dtype, count) if i == len(groups) - 1 else None
            x = step(xp, x, *split(left, group), last)  # type: ignore[misc, call-arg]
            left = reduced(left, group, True)
        return x.reshape(shape[::-1]).T if turned else x.reshape(shape)

    return function


total, mean = _reduction("add"), _reduction("add", mean=True)
largest, smallest = _reduction("maximum"), _reduction("minimum")


def _place(by: str) -> Any:
    def step(xp: Any, x: Any, among: Any, outer: int, n: int, inner: int, whole: int) -> Any:
        lines = outer * inner
        length, parts = _parts(lines, n, inner == 1)
        y = xp.empty(lines * parts, dtype="int64")
        args = x, among, y, lines, n, inner, length, parts, whole
        per_line(xp, "reduce", instance("place", by, x.dtype), lines * parts, length, inner == 1, *args)
        return y if parts == 1 else step(xp, x, y, outer, parts, inner, whole)

    def function(xp: Any, x: Any, axis: Any, keepdims: bool) -> Any:
        if not x.size or not x.ndim or x.dtype.name not in _DTYPES:
            return None
        axes = numbered(x.ndim, axis)
        shape = reduced(x.shape, axes, keepdims)
        turned = False
        if len(axes) == 1:
            x, axes, turned = _arranged(xp, x, axes)
        else:
            x = xp.ascontiguousarray(x)  # places count in the order of indices
        outer, n, inner = split(x.shape, axes)  # type: ignore[misc]
        y = step(xp, x, None, outer, n, inner, n)
        return y.reshape(shape[::-1]).T if turned else y.reshape(shape)

    return function


first_largest, first_smallest = _place("maximum"), _place("minimum")

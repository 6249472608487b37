"""Arrays as reductions along axes see them: by rows and columns of memory."""

from __future__ import annotations

import math
from typing import Any

Shape = tuple[int, ...]


def numbered(ndim: int, axis: Any) -> Shape:
    """The axes as a sorted tuple, counted from the front; None is all of them. Raises IndexError."""
    if axis is None:
        return tuple(range(ndim))
    found = sorted((a + ndim if a < 0 else a) for a in ((axis,) if isinstance(axis, int) else axis))
    if found and not 0 <= found[0] <= found[-1] < ndim:
        raise IndexError(f"axes {axis} are out of bounds for an array of {ndim} dimensions")
    return tuple(found)


def reduced(shape: Shape, axes: Shape, keepdims: bool) -> Shape:
    """The shape of what a reduction along numbered axes gives."""
    if keepdims:
        return tuple(1 if d in axes else n for d, n in enumerate(shape))
    return tuple(n for d, n in enumerate(shape) if d not in axes)


def split(shape: Shape, axes: Shape) -> tuple[int, int, int] | None:
    """The shape as (outer, n, inner), of which a reduction along numbered axes reduces the middle one.

    None if there are others between those axes.
    """
    if not axes:
        return None
    first, end = axes[0], axes[-1] + 1
    if any(shape[d] != 1 for d in range(first, end) if d not in axes):
        return None
    return math.prod(shape[:first]), math.prod(shape[first:end]), math.prod(shape[end:])

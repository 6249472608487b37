"""Adding at repeated indices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import SMALL, Loop, contiguous, suitable

_add_at = Loop("scatter", "add_at")
_int64 = np.dtype(np.int64)


def add_at(x: Any, index: Any, values: Any) -> bool:
    """x[..., index] += values in place, where `index` is integers at one axis after full slices; False if it is not.

    Nothing is done where an index is out of range: NumPy says so.
    """
    *slices, places = index if isinstance(index, tuple) else (index,)
    if not suitable(x.dtype) or not x.flags.carray or any(type(s) is not slice or s != slice(None) for s in slices):
        return False
    axis = len(slices)
    places = contiguous(places, _int64)
    if places is None or max(x.size, places.size) < SMALL or not places.size or axis >= x.ndim:
        return False
    n = x.shape[axis]
    if places.min() < -n or places.max() >= n:
        return False
    lead, rest = x.shape[:axis], x.shape[axis + 1 :]
    y = contiguous(np.broadcast_to(np.asarray(values, x.dtype), (*lead, *places.shape, *rest)), x.dtype)
    sizes = math.prod(lead), n, places.size, math.prod(rest)
    return _add_at(x.dtype, y.size, x, places, y, *sizes)

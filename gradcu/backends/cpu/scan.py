"""Running sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import Loop, contiguous

_running_sum = Loop("scan", "running_sum")


def running_sum(x: Any, axis: int, reverse: bool) -> Any:
    """The sums up to each element, or with `reverse` from each element on."""
    shape, dtype = x.shape, x.dtype
    axis %= len(shape)
    out = np.empty(shape, dtype)
    sizes = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]), -1 if reverse else 1
    return out if _running_sum(dtype, x.size, contiguous(x, dtype), out, *sizes) else None

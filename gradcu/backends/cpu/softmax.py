"""Softmax, its logarithm, and their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import Loop, contiguous


def _over_axis(name: str) -> Any:
    """A function `(arrays..., axis) -> array` of the same shape."""
    loop = Loop("softmax", name)

    def function(*args: Any) -> Any:
        *arrays, axis = args
        first = arrays[0]
        shape, dtype = first.shape, first.dtype
        given = [contiguous(a, dtype) for a in arrays]
        if any(a is None or a.shape != shape for a in given):
            return None
        axis %= len(shape)
        out = np.empty(shape, dtype)
        sizes = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        return out if loop(dtype, out.size, *given, out, *sizes) else None

    return function


softmax, log_softmax = _over_axis("softmax"), _over_axis("log_softmax")
softmax_x, log_softmax_x = _over_axis("softmax_x"), _over_axis("log_softmax_x")

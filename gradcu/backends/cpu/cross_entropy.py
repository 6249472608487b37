"""Cross-entropy of logits with classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import Loop, contiguous

_forward, _backward = Loop("cross_entropy", "cross_entropy"), Loop("cross_entropy", "cross_entropy_x")
_int64 = np.dtype(np.int64)


def cross_entropy(x: Any, classes: Any, shares: Any, total: bool) -> Any:
    """The loss of each position by its share, (N, ...) or added up."""
    outer, n, *inner = x.shape
    given = contiguous(x, x.dtype), contiguous(classes, _int64)
    if given[1] is None or shares.dtype is not x.dtype:
        return None
    loss = np.empty((outer, 1, *inner), x.dtype)
    if not _forward(x.dtype, x.size, *given, loss, outer, n, math.prod(inner)):
        return None
    loss *= shares
    return loss.sum() if total else loss[:, 0]


def cross_entropy_x(g: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    """The gradient of the logits."""
    outer, n, *inner = x.shape
    finite = np.where(shares == shares, shares, 0)
    each = (g if total else g[:, None]) * finite
    given = contiguous(x, x.dtype), contiguous(classes, _int64), contiguous(each, x.dtype)
    if given[1] is None or given[2] is None:
        return None
    out = np.empty(x.shape, x.dtype)
    return out if _backward(x.dtype, x.size, *given, out, outer, n, math.prod(inner)) else None

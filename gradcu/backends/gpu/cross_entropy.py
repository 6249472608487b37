"""Cross-entropy of logits and classes: `kernels/cross_entropy.cu`."""

from __future__ import annotations

import math
from typing import Any

from . import floats_only, instance, pack, per_line, wide


def _launch(xp: Any, function: str, x: Any, dx: Any, *args: Any) -> None:
    """Launch a kernel with a team of threads for each position of logits (N, C, ...); dx is their gradient, or None."""
    count, apart = x.shape[1], math.prod(x.shape[2:])
    lines, width = x.size // count, pack(count, x, dx) if apart == 1 else 1
    name = instance(function, x.dtype, str(width))
    sizes = lines, count, apart
    per_line(xp, "cross_entropy", name, lines, count // width, apart == 1, *args[:-1], *sizes, *args[-1])


def _contiguous(xp: Any, x: Any, classes: Any, shares: Any) -> tuple[Any, Any, Any]:
    dtype = x.dtype
    return xp.ascontiguousarray(x), xp.ascontiguousarray(classes, dtype="int64"), xp.ascontiguousarray(shares, dtype)


@floats_only
def cross_entropy(xp: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    """Of logits (N, C, ...) and classes (N, ...) with shares (N, 1, ...): the losses (N, ...), or their sum."""
    x, classes, shares = _contiguous(xp, x, classes, shares)
    losses = xp.empty(classes.shape, dtype=wide(x.dtype))
    _launch(xp, "cross_entropy", x, None, x, classes, shares, losses, ())
    return (xp.sum(losses) if total else losses).astype(x.dtype, copy=False)


def cross_entropy_x(xp: Any, g: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    """The gradient of the logits, from that of the losses (N, ...), or of their sum (a 0-d array)."""
    if not x.size:
        return None
    x, classes, shares = _contiguous(xp, x, classes, shares)
    g, dx = xp.ascontiguousarray(g, dtype=x.dtype), xp.empty(x.shape, dtype=x.dtype)
    _launch(xp, "cross_entropy_x", x, dx, g, x, classes, shares, dx, (total,))
    return dx

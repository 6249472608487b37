"""Cross-entropy of logits and classes: `kernels/cross_entropy.cu`."""

from __future__ import annotations

import math
from typing import Any

from . import floats_only, instance, per_element, per_line, wide


def _sizes(x: Any) -> tuple[int, int, int]:
    """Lines, classes, and how far the logits of a line are apart."""
    count = x.shape[1]
    return x.size // count, count, math.prod(x.shape[2:])


@floats_only
def logit_loss(xp: Any, x: Any, classes: Any, shares: Any) -> tuple[Any, Any]:
    """Of logits (N, C, ...) and classes (N, ...) with their shares: the losses (N, ...), and log(sum(exp(x))) (N, ...).

    Both are float32 for half precision.
    """
    x, classes = xp.ascontiguousarray(x), xp.ascontiguousarray(classes, dtype="int64")
    shares = xp.ascontiguousarray(shares, dtype=x.dtype)
    lines, count, apart = _sizes(x)
    losses, log_sums = (xp.empty(classes.shape, dtype=wide(x.dtype)) for _ in range(2))
    per_line(
        xp, "cross_entropy", instance("cross_entropy", x.dtype), lines, count, apart == 1,
        x, classes, shares, losses, log_sums, lines, count, apart,
    )  # fmt: skip
    return losses, log_sums


def logit_loss_backward(xp: Any, g: Any, x: Any, classes: Any, shares: Any, log_sums: Any) -> Any:
    """The gradient of the logits, from that of the losses (N, ...) or of their sum (a 0-d array)."""
    x, classes = xp.ascontiguousarray(x), xp.ascontiguousarray(classes, dtype="int64")
    g, shares = (xp.ascontiguousarray(a, dtype=x.dtype) for a in (g, shares))
    dx = xp.empty(x.shape, dtype=x.dtype)
    one = g.size == 1
    per_element(
        xp, "cross_entropy", instance("cross_entropy_backward", x.dtype), x.size,
        g, x, classes, shares, log_sums, dx, *_sizes(x), one,
    )  # fmt: skip
    return dx

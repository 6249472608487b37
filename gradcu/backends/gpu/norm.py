"""Normalisation: `kernels/norm.cu`."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

from . import floats_only, instance, per_line, wide

Dims = tuple[int, ...]


class Layout(NamedTuple):
    """Where in memory lines and their weights lie, as `kernels/norm.cu` describes it."""

    lines: int
    n: int
    length: int
    step: int
    groups: int
    per: int


@functools.lru_cache(256)
def layout(shape: Dims, axes: Dims, affine: Dims) -> Layout | None:
    """The layout of a contiguous array that is normalised over `axes`, with weights that broadcast as `affine`.

    None if that is neither over the last axes nor over all but the second, as batch norm has it, or if weights do not
    belong to axes around the first of those that are normalised.
    """
    ndim, lead = len(shape), len(shape) - len(axes)
    weighted = [i for i, n in enumerate(affine) if n != 1] or [lead]
    first, last = weighted[0], weighted[-1]
    if axes == tuple(range(lead, ndim)):
        n = math.prod(shape[lead:])
        if affine[first : last + 1] not in (shape[first : last + 1], (1,)) or first > lead or last < lead - 1:
            return None
        per = math.prod(affine[lead : last + 1])
        return Layout(math.prod(shape[:lead]), n, n, 0, math.prod(affine[first:lead]), per)
    if axes == (0, *range(2, ndim)) and affine in ((1, *shape[1:2], *(1,) * (ndim - 2)), (1,) * ndim):
        length = math.prod(shape[2:])
        return Layout(shape[1], shape[0] * length, length, shape[1] * length, affine[1], 1)
    return None


@floats_only
def standardize(
    xp: Any, x: Any, w: Any, b: Any, axes: Dims, affine: Dims, eps: float, center: bool
) -> tuple[Any, Any, Any] | None:
    """(x - mean) * scale * w + b with the mean and the reciprocal deviation over `axes`, and those two.

    Mean and scale are float32 for half precision; without `center` the mean is zero.
    """
    own = layout(x.shape, axes, affine)
    if own is None:
        return None
    x, w, b = (None if a is None else xp.ascontiguousarray(a, dtype=x.dtype) for a in (x, w, b))
    out = xp.empty(x.shape, dtype=x.dtype)
    kept = tuple(1 if i in axes else m for i, m in enumerate(x.shape))
    mean, scale = (xp.empty(kept, dtype=wide(x.dtype)) for _ in range(2))
    per_line(
        xp, "norm", instance("standardize", x.dtype), own.lines, own.n, own.length > 1,
        x, w, b, out, mean, scale, *own, float(eps), center,
    )  # fmt: skip
    return out, mean, scale


def vjp(
    xp: Any, g: Any, needs: Any, x: Any, w: Any, b_shape: Any, axes: Dims, affine: Dims, center: bool, rest: Any
) -> tuple[Any, Any, Any] | None:
    """The gradients of x, w and b as far as `needs` says so, where only the result of `standardize` has one."""
    out_grad, *others = g
    own = layout(x.shape, axes, affine)
    if own is None or out_grad is None or any(o is not None for o in others) or not x.size:
        return None
    out_grad, x, w = (None if a is None else xp.ascontiguousarray(a, dtype=x.dtype) for a in (out_grad, x, w))
    dx = xp.empty(x.shape, dtype=x.dtype) if needs[0] else None
    dw = xp.empty(w.shape, dtype=x.dtype) if needs[1] else None
    db = xp.empty(b_shape, dtype=x.dtype) if needs[2] else None
    if dx is not None:
        per_line(
            xp, "norm", instance("standardize_x", x.dtype), own.lines, own.n, own.length > 1,
            out_grad, x, w, *rest, dx, *own, center,
        )  # fmt: skip
    if dw is not None or db is not None:
        each = own.n // own.per
        per_line(
            xp, "norm", instance("standardize_weights", x.dtype), own.groups * own.per, own.lines // own.groups * each,
            each > 1 and own.length > 1, out_grad, x, *rest, dw, db, *own,
        )  # fmt: skip
    return dx, dw, db

"""Normalisation: `kernels/norm.cu`."""

from __future__ import annotations

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


def layout(shape: Dims, axes: Dims, affine: Dims) -> Layout | None:
    """The layout of a contiguous array to be normalised over `axes`, with weights that broadcast as `affine`.

    None if it is neither over the last axes nor over all but one. Axes of length 1 do not count.
    """
    sizes, over, weighted = list(shape), [i in axes for i in range(len(shape))], [n != 1 for n in affine]
    lines = math.prod(m for m, o in zip(sizes, over) if not o)
    n = math.prod(m for m, o in zip(sizes, over) if o)
    kept = [i for i, o in enumerate(over) if not o and sizes[i] > 1]
    inside = [i for i, o in enumerate(over) if o and sizes[i] > 1]
    own = [i for i, w in enumerate(weighted) if w]
    if own != list(range(own[0], own[-1] + 1)) if own else False:
        return None
    if not kept or not inside or kept[-1] < inside[0]:
        length, step = n, 0
    elif len(kept) == 1:
        axis = kept[0]
        length = math.prod(sizes[axis + 1 :])
        step = sizes[axis] * length
    else:
        return None
    per = math.prod(sizes[i] for i in own if over[i])
    groups = math.prod(sizes[i] for i in own if not over[i])
    return Layout(lines, n, length, step, groups, per)


@floats_only
def normalize(
    xp: Any, x: Any, w: Any, b: Any, axes: Dims, affine: Dims, eps: float, center: bool
) -> tuple[Any, Any, Any]:
    """(x - mean) * scale * w + b with the mean and the reciprocal deviation over `axes`, and those two.

    Mean and scale are float32 for half precision; without `center` the mean is zero.
    """
    own = layout(x.shape, axes, affine)
    assert own is not None
    x, w, b = (None if a is None else xp.ascontiguousarray(a, dtype=x.dtype) for a in (x, w, b))
    out = xp.empty(x.shape, dtype=x.dtype)
    kept = tuple(1 if i in axes else m for i, m in enumerate(x.shape))
    mean, scale = (xp.empty(kept, dtype=wide(x.dtype)) for _ in range(2))
    per_line(
        xp, "norm", instance("normalize", x.dtype), own.lines, own.n, own.length > 1,
        x, w, b, out, mean, scale, *own, float(eps), center,
    )  # fmt: skip
    return out, mean, scale


@floats_only
def normalize_backward(
    xp: Any, g: Any, needs: Any, x: Any, w: Any, axes: Dims, affine: Dims, center: bool, mean: Any, scale: Any
) -> tuple[Any, Any, Any]:
    """The gradients of x, w and b as far as `needs` says so, from that of the result of `normalize`."""
    own = layout(x.shape, axes, affine)
    assert own is not None
    g, x, w = (None if a is None else xp.ascontiguousarray(a, dtype=x.dtype) for a in (g, x, w))
    dx = xp.empty(x.shape, dtype=x.dtype) if needs[0] else None
    dw, db = (xp.empty(own.groups * own.per, dtype=x.dtype) if need else None for need in needs[1:])
    if dx is not None:
        per_line(
            xp, "norm", instance("normalize_backward", x.dtype), own.lines, own.n, own.length > 1,
            g, x, w, mean, scale, dx, *own, center,
        )  # fmt: skip
    if dw is not None or db is not None:
        each = own.n // own.per
        per_line(
            xp, "norm", instance("normalize_parameters", x.dtype), own.groups * own.per, own.lines // own.groups * each,
            each > 1 and own.length > 1, g, x, mean, scale, dw, db, *own,
        )  # fmt: skip
    return dx, dw, db

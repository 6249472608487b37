"""Normalisation: `kernels/norm.cu`."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

from ..axes import reduced
from . import floats_only, instance, pack, per_element, per_line, wide

Dims = tuple[int, ...]


class Layout(NamedTuple):
    """Where in memory lines and their weights lie, as `kernels/norm.cu` describes it."""

    lines: int
    n: int
    length: int
    step: int
    groups: int
    per: int
    each: int

    def pack(self, *arrays: Any) -> int:
        """How many elements a thread takes at a time."""
        return pack(math.gcd(self.length, self.each if self.each > 1 else self.per), *arrays)


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
        return Layout(math.prod(shape[:lead]), n, n, 0, math.prod(affine[first:lead]), per, n // per)
    if axes == (0, *range(2, ndim)) and affine in ((1, *shape[1:2], *(1,) * (ndim - 2)), (1,) * ndim):
        length = math.prod(shape[2:])
        n = shape[0] * length
        return Layout(shape[1], n, length, shape[1] * length, affine[1], 1, n)
    return None


PART = 4096  # elements of a weight that one team adds up, side by side in memory; of others a sixteenth
MOST_PARTS = 1024


def _parameters(xp: Any, x: Any, *given: Any) -> tuple[Any, ...]:
    """Contiguous weights (or None) of one dtype: that of x, or the one it is computed in."""
    dtypes = {a.dtype for a in given if a is not None}
    dtype = x.dtype if dtypes <= {x.dtype} else wide(x.dtype)
    return *(None if a is None else xp.ascontiguousarray(a, dtype=dtype) for a in given), xp.dtype(dtype)


@floats_only
def standardize(
    xp: Any, x: Any, w: Any, b: Any, axes: Dims, affine: Dims, eps: float, center: bool
) -> tuple[Any, Any, Any] | None:
    """(x - mean) * scale * w + b with mean and scale = 1 / sqrt(variance + eps) over `axes`, and those two.

    Mean and scale are float32 for half precision; without `center` the mean is zero.
    """
    own = layout(x.shape, axes, affine)
    if own is None:
        return None
    x = xp.ascontiguousarray(x)
    w, b, parameters = _parameters(xp, x, w, b)
    out = xp.empty(x.shape, dtype=x.dtype)
    kept = reduced(x.shape, axes, True)
    mean, scale = (xp.empty(kept, dtype=wide(x.dtype)) for _ in range(2))
    width = own.pack(x, w, b)
    per_line(
        xp, "norm", instance("standardize", x.dtype, parameters, str(width)), own.lines, own.n // width,
        own.length > 1, x, w, b, out, mean, scale, *own, float(eps), center,
    )  # fmt: skip
    return out, mean, scale


def vjp(
    xp: Any, g: Any, needs: Any, x: Any, w: Any, b_shape: Any, x_dtype: Any, w_dtype: Any, b_dtype: Any, axes: Dims,
    affine: Dims, center: bool, rest: Any,
) -> tuple[Any, Any, Any] | None:  # fmt: skip
    """The gradients of x, w and b as far as `needs` says so, where only the result of `standardize` has one."""
    out_grad, *others = g
    own = layout(x.shape, axes, affine) if x.size else None
    if own is None or out_grad is None or any(o is not None for o in others):
        return None
    out_grad, x = (xp.ascontiguousarray(a, dtype=x_dtype) for a in (out_grad, x))
    w, parameters = _parameters(xp, x, w)
    dx = dw = db = None
    if needs[0]:
        dx = xp.empty(x.shape, dtype=x_dtype)
        width = own.pack(out_grad, x, w, dx)
        per_line(
            xp, "norm", instance("standardize_x", x_dtype, parameters, str(width)), own.lines, own.n // width,
            own.length > 1, out_grad, x, w, *rest, dx, *own, center,
        )  # fmt: skip
    if needs[1] or needs[2]:
        dtypes = {d for d, needed in ((w_dtype, needs[1]), (b_dtype, needs[2])) if needed}
        dw, db = _weights(xp, out_grad, x, rest, own, dtypes.pop() if len(dtypes) == 1 else wide(x_dtype), needs)
        dw = None if dw is None else dw.astype(w_dtype, copy=False)
        db = None if db is None else db.astype(b_dtype, copy=False).reshape(b_shape)
    return dx, dw, db


def _weights(xp: Any, g: Any, x: Any, rest: Any, own: Layout, dtype: Any, needs: Any) -> Any:
    """The gradients of weight and bias in a dtype, in parts that are added up in the one that is computed in."""
    count, total = own.groups * own.per, own.lines // own.groups * own.each
    along = own.each > 1 and own.length > 1
    part = PART if along else PART // 16
    part *= -(-total // (part * MOST_PARTS))
    parts = -(-total // part)
    made = xp.dtype(dtype if parts == 1 else wide(x.dtype))
    dw, db = (xp.empty((parts, count), dtype=made) if needed else None for needed in needs[1:])
    width = own.pack(g, x) if along else 1
    per_line(
        xp, "norm", instance("standardize_weights", x.dtype, made, str(width)), count, min(total, part) // width, along,
        g, x, *rest, dw, db, *own, part, parts=parts,
    )  # fmt: skip
    return [None if a is None else a.reshape(count) if parts == 1 else xp.sum(a, axis=0) for a in (dw, db)]


@floats_only
def rescale(xp: Any, x: Any, w: Any, b: Any, affine: Dims) -> Any:
    """x w + b, with one element of w and b for each channel."""
    if w.dtype.name != wide(x.dtype) or b.dtype != w.dtype:
        return None
    x, w, b = (xp.ascontiguousarray(a) for a in (x, w, b))
    out, length = xp.empty(x.shape, dtype=x.dtype), math.prod(x.shape[2:])
    width = pack(length, x, out)
    function = instance("scale_channels", x.dtype, str(width))
    per_element(xp, "norm", function, x.size // width, x, w, b, out, x.size, x.shape[1], length)
    return out

"""Normalisation of layers, groups, instances and batches, and its gradients."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..axes import reduced
from . import Loop, contiguous

_group, _group_backward = Loop("norm", "group_forward"), Loop("norm", "group_backward")
_batch, _batch_backward = Loop("norm", "batch_forward"), Loop("norm", "batch_backward")
_rescale = Loop("norm", "rescale")


@functools.lru_cache(256)
def _sizes(shape: tuple[int, ...], axes: tuple[int, ...], affine: tuple[int, ...]) -> tuple[int, ...] | None:
    """(n, groups, depth, size) or (n, channels, size), as the kernels call them; None for another layout."""
    ndim = len(shape)
    if not math.prod(shape):
        return None
    if axes == (0, *range(2, ndim)) and affine == (1, *shape[1:2], *(1,) * (ndim - 2)):
        return shape[0], shape[1], math.prod(shape[2:])
    lead = ndim - len(axes)
    if axes != tuple(range(lead, ndim)):
        return None
    with_weights = [i for i, n in enumerate(affine) if n != 1]
    if not with_weights:
        return None
    first, last = with_weights[0], with_weights[-1]
    if affine[first : last + 1] != shape[first : last + 1] or first > lead or last < lead - 1:
        return None
    groups, depth = math.prod(shape[first:lead]), math.prod(shape[lead : last + 1])
    return math.prod(shape[:first]), groups, depth, math.prod(shape[max(last + 1, lead) :])


@functools.lru_cache(64)
def _full(n: int, dtype: Any, value: float) -> Any:
    return np.full(n, value, dtype)


def _statistics(x: Any, axes: tuple[int, ...]) -> Any:
    return np.empty(reduced(x.shape, axes, True), x.dtype)


def standardize(
    x: Any, w: Any, b: Any, axes: tuple[int, ...], affine: tuple[int, ...], eps: float, center: bool
) -> Any:
    """The result, the mean, and the reciprocal standard deviation."""
    dtype, sizes = x.dtype, _sizes(x.shape, axes, affine)
    if sizes is None:
        return None
    channels = math.prod(affine)
    x = contiguous(x, dtype)
    w = _full(channels, dtype, 1) if w is None else contiguous(w, dtype)
    b = _full(channels, dtype, 0) if b is None else contiguous(b, dtype)
    if w is None or b is None:
        return None
    out, mean, scale = np.empty(x.shape, dtype), _statistics(x, axes), _statistics(x, axes)
    if len(sizes) == 3:
        done = _batch(dtype, x.size, x, w, b, out, mean, scale, *sizes, float(eps))
    else:
        done = _group(dtype, x.size, x, w, b, out, mean, scale, *sizes, float(eps), int(center))
    return (out, mean, scale) if done else None


def vjp(
    g: Any, needs: Any, x: Any, w: Any, b_shape: Any, x_dtype: Any, w_dtype: Any, b_dtype: Any, axes: tuple[int, ...],
    affine: tuple[int, ...], center: bool, rest: Any,
) -> Any:  # fmt: skip
    """The gradients of x, w and b, where only the result has one."""
    dtype, sizes = x.dtype, _sizes(x.shape, axes, affine)
    if sizes is None or g[1] is not None or g[2] is not None:
        return None
    w_given = _full(math.prod(affine), dtype, 1) if w is None else w
    given = [contiguous(a, dtype) for a in (g[0], x, w_given, *rest)]
    if any(a is None for a in given):
        return None
    x_grad = np.empty(x.shape, dtype) if needs[0] else None
    w_grad = np.empty(w.shape, dtype) if needs[1] else None
    b_grad = np.empty(b_shape, dtype) if needs[2] else None
    if len(sizes) == 3:
        done = _batch_backward(dtype, x.size, *given, x_grad, w_grad, b_grad, *sizes)
    else:
        done = _group_backward(dtype, x.size, *given, x_grad, w_grad, b_grad, *sizes, int(center))
    return (x_grad, w_grad, b_grad) if done else None


def rescale(x: Any, w: Any, b: Any, affine: tuple[int, ...]) -> Any:
    """x w + b, with one element of w and b for each channel."""
    dtype = x.dtype
    given = [contiguous(a, dtype) for a in (x, w, b)]
    if any(a is None for a in given):
        return None
    out = np.empty(x.shape, dtype)
    sizes = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    return out if _rescale(dtype, x.size, *given, out, *sizes) else None

"""What values there are, how often, and where they belong: unique, searchsorted, histograms. Nothing has a gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import backends, dtypes
from ..return_types import named
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose
from .pointwise import is_number
from .reduce import tensor_or_raise

# --- unique ---


def _uniques(input: Tensor, dim: int | None, inverse: bool, counts: bool, name: str, in_order: bool) -> Any:
    """Runs of equal slices, of the sorted ones unless `in_order`; alone or as a tuple, as asked."""
    a = tensor_or_raise(input, name)
    if a.dtype.kind == "c":
        raise NotImplementedError(f"\"{name}\" not implemented for '{input.dtype.type_name}'")
    xp = backends.namespaces[type(a)]
    if dim is not None and not a.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if dim is None:
        rows, shape = a.reshape(-1, 1), a.shape
    else:
        axis = wrap_dim(dim, a.ndim)
        moved = xp.moveaxis(a, axis, 0)
        if not moved.size and any(n == 0 for n in moved.shape[1:]):
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
        rows, shape = moved.reshape(moved.shape[0], math.prod(moved.shape[1:])), moved.shape[:1]
    n = rows.shape[0]
    order = xp.arange(n)
    if not in_order:
        key = rows.astype("float32") if rows.dtype.kind == "V" else rows
        order = xp.lexsort(xp.flip(key, 1).T) if rows.shape[1] > 1 else xp.argsort(key[:, 0], kind="stable")
    ordered = rows[order]
    new = xp.ones(n, dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    first = xp.nonzero(new)[0]
    values = ordered[first]
    if dim is None:
        values = values.reshape(-1)
    else:
        values = xp.moveaxis(values.reshape((len(first), *moved.shape[1:])), 0, axis)
    results = [from_array(xp.copy(values))]
    if inverse:
        where = xp.empty(n, dtype="int64")
        where[order] = xp.cumsum(new) - 1
        results.append(from_array(where.reshape(shape)))
    if counts:
        ends = xp.concatenate([first[1:], xp.full((1,), n, dtype=first.dtype)]) if n else first
        results.append(from_array((ends - first).astype("int64")))
    return results[0] if len(results) == 1 else tuple(results)


@expose()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements (or, with `dim`, slices), sorted; each NaN is one of its own.

    With `return_inverse` also where each element of `input` is among them, with `return_counts` how often each occurs.

    >>> unique(tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    return _uniques(input, dim, return_inverse, return_counts, "unique", False)


@expose()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """`unique` in which only neighbours are compared: the first of each run of equal ones, in their order."""
    return _uniques(input, dim, return_inverse, return_counts, "unique_consecutive", True)


# --- places in a sorted sequence ---


def _search(
    sequence: Tensor,
    values: Any,
    out_int32: bool,
    right: bool,
    side: str | None,
    sorter: Tensor | None,
    name: str,
) -> Tensor:
    tensor_or_raise(sequence, name)
    boundaries, xp = sequence._array, backends.namespaces[type(sequence._array)]
    if not isinstance(values, Tensor):
        values = from_array(xp.asarray(values, dtype=sequence.dtype.numpy if isinstance(values, int) else None))
        number = True
    else:
        number = False
        if values.dtype is not sequence.dtype:
            raise RuntimeError(
                f"{name}(): boundary tensor and input value tensor should have same dtype, but got boundary tensor "
                f"dtype {sequence.dtype.type_name} and input value tensor dtype {values.dtype.type_name}"
            )
        if values.device != sequence.device:
            raise RuntimeError(
                f"{name}(): boundaries and input value tensors should have same device type, but got boundaries "
                f"tensor device type {sequence.device} and input value tensor device type {values.device}"
            )
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"{name}(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(f"{name}(): side and right can't be set to opposites, got side of left while right was True")
    v = values._array
    xp = backends.innermost(xp, type(v))
    if not boundaries.ndim:
        raise RuntimeError(
            f"{name}(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries "
            f"tensor dim({boundaries.ndim}) and input value's dim({v.ndim}) numel({v.size})"
        )
    if boundaries.ndim > 1 and (number or v.ndim != boundaries.ndim or v.shape[:-1] != boundaries.shape[:-1]):
        raise RuntimeError(
            f"{name}(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(boundaries.shape)} and input value "
            f"tensor {list(v.shape)}"
        )
    if sorter is not None:
        if sorter.shape != sequence.shape:
            raise RuntimeError(
                f"{name}(): boundary and sorter must have the same size, but got boundary tensor "
                f"{list(boundaries.shape)} and got sorter tensor {list(sorter.shape)}"
            )
        if sorter.dtype is not dtypes.int64:
            raise RuntimeError(
                f"{name}(): sorter must be a tensor of long dtype but got dtype {sorter.dtype.type_name}"
            )
        at = sorter._array
        if at.size and (int(at.min()) < 0 or int(at.max()) >= boundaries.shape[-1]):
            raise RuntimeError(f"{name}(): sorter index out of range")
        boundaries = xp.take_along_axis(boundaries, at, -1)
    which = "right" if right or side == "right" else "left"
    if boundaries.ndim == 1:
        found = xp.searchsorted(boundaries, v, which)
    else:  # each row has a search of its own
        low, n = xp.zeros(v.shape, dtype="int64"), boundaries.shape[-1]
        high = low + n
        for _ in range(n.bit_length()):
            middle = (low + high) // 2
            here = xp.take_along_axis(boundaries, xp.minimum(middle, n - 1), -1)
            beyond = (low < high) & ((here <= v) if which == "right" else (here < v))
            low, high = xp.where(beyond, middle + 1, low), xp.where(beyond, high, middle)
        found = low
    return from_array(xp.asarray(found).astype("int32" if out_int32 else "int64"))


@expose(method=False, out="same")
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where `input`, put into the sorted last dimension, keeps it sorted: before equal elements, after them if `right`.

    The sequence is one for all, or one for each row of `input`. `sorter` is the order that sorts it, if it is not.

    >>> searchsorted(tensor([1, 3, 5]), tensor([3, 6]))
    tensor([1, 3])
    """
    return _search(sorted_sequence, input, out_int32, right, side, sorter, "gradcu.searchsorted")


@expose(method=False, out="same")
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between `boundaries`, a sorted vector, that each element falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return _search(boundaries, input, out_int32, right, None, None, "gradcu.searchsorted")


@expose(method=False, out="same")
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is among `test_elements` (not among them, with `invert`)."""
    given = [t for t in (elements, test_elements) if isinstance(t, Tensor)]
    if not given:
        raise TypeError("isin() takes at least one tensor")
    for t in (elements, test_elements):
        if not isinstance(t, Tensor) and not is_number(t):
            raise TypeError(f"isin(): arguments must be Tensors or Numbers, not {type(t).__name__}")
    xp = backends.namespaces[type(given[0]._array)]
    a, b = (t._array if isinstance(t, Tensor) else xp.asarray(t) for t in (elements, test_elements))
    for t in given:
        if t.dtype is dtypes.bool or t.dtype.is_complex:
            raise RuntimeError(f"Unsupported input type encountered for isin(): {t.dtype.type_name}")
    return from_array(xp.asarray(xp.isin(a, b, assume_unique=assume_unique, invert=invert)))


# --- counts ---


@expose()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, ... occurs in a vector of integers, or the sum of its `weights`; int64, float64.

    Raises RuntimeError for negative numbers, other dtypes and shapes.
    """
    a = tensor_or_raise(input, "bincount")
    if a.dtype.kind not in "iu":
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{input.dtype.type_name}'")
    if a.ndim != 1 or (a.size and int(backends.elements(a).min()) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and (weights.ndim != 1 or weights.shape != input.shape):
        raise RuntimeError("weights should be 1-d and have the same length as input")
    xp = backends.namespaces[type(a)]
    if not a.size:
        return from_array(xp.zeros(minlength, dtype="int64"))
    w = None if weights is None else weights._array.astype("float64")
    counts = xp.bincount(a.astype("int64"), w, minlength)
    if weights is not None and weights.dtype is dtypes.float32:
        counts = counts.astype("float32")
    return from_array(counts)


@expose(out="same")
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal parts of [min, max] (of all elements' range if both are 0).

    What lies outside, and NaN, is not counted; the last part has its right end. The dtype is that of `input`.
    """
    a = tensor_or_raise(input, "histc")
    if a.dtype.kind in "biuc":
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{input.dtype.type_name}'")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    xp = backends.namespaces[type(a)]
    low, high = _limits(a, min, max, "histc", 1)
    counts = _counts(xp, a.reshape(-1), xp.linspace(low, high, bins + 1), None)
    return from_array(counts.astype(a.dtype))


def _limits(a: Any, low: float, high: float, name: str, margin: float) -> tuple[float, float]:
    if low == high and a.size:
        low, high = float(a.min()), float(a.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")
    return (low - margin, high + margin) if low == high else (low, high)


def _counts(xp: Any, values: Any, edges: Any, weights: Any) -> Any:
    """Of a vector, between rising edges; the last part has its right end."""
    n = len(edges) - 1
    inside = (values >= edges[0]) & (values <= edges[-1])
    at = xp.minimum(xp.searchsorted(edges, values[inside], "right") - 1, n - 1)
    return xp.bincount(at, None if weights is None else weights[inside].astype("float64"), n)


@expose()
def histogram(
    input: Tensor,
    bins: Any = 100,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """(hist, bin_edges): how much, counted or by `weight`, falls into each bin, as a named tuple.

    `bins` is a number of equal parts of `range` (of all elements' unless given), or the rising edges themselves.
    With `density` the integral of the histogram is 1. Raises RuntimeError unless the dtype is floating.
    """
    hist, edges = _histogram(input.reshape(-1, 1), [bins], range, weight, density, "histogram")
    return named("histogram", "hist bin_edges")(hist, edges[0])


@expose(method=False)
def histogramdd(
    input: Tensor,
    bins: Any,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """(hist, bin_edges) of points, the rows of `input`, in as many dimensions as it has columns, as a named tuple.

    `bins` is a number of parts for all dimensions or one each, or a list of rising edges; `range` holds the ends of
    each dimension in turn.
    """
    a = tensor_or_raise(input, "histogramdd")
    if a.ndim < 2:
        raise RuntimeError(f"histogramdd: input tensor should have at least 2 dimensions, but got {a.ndim}")
    points = input.reshape(-1, a.shape[-1])
    each = [bins] * a.shape[-1] if isinstance(bins, int) else list(bins)
    if len(each) != a.shape[-1]:
        raise RuntimeError(
            f"histogramdd: Expected {a.shape[-1]} sequences of bin edges for a {a.shape[-1]}-dimensional histogram but "
            f"got {len(each)}"
        )
    return named("histogramdd", "hist bin_edges")(*_histogram(points, each, range, weight, density, "histogramdd"))


def _histogram(
    points: Tensor, bins: list[Any], range: Any, weight: Tensor | None, density: bool, name: str
) -> tuple[Tensor, tuple[Tensor, ...]]:
    a = points._array
    if a.dtype.kind != "f" or a.itemsize == 2:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{points.dtype.type_name}'")
    xp = backends.namespaces[type(a)]
    if weight is not None and weight.dtype is not points.dtype:
        raise RuntimeError(
            f"{name}: if weight tensor is provided, input tensor and weight tensor should have the same dtype"
        )
    w = None if weight is None else weight._array.reshape(-1)
    if w is not None and len(w) != len(a):
        raise RuntimeError(f"{name}: if weight tensor is provided it should have the same shape as the input tensor")
    edges, lengths = [], []
    flat: Any = 0
    inside: Any = True
    for d, b in enumerate(bins):
        column = a[:, d]
        if isinstance(b, Tensor):
            if b.ndim != 1 or not b.numel():
                raise RuntimeError(f"{name}(): bins tensor should have one dimension and at least one element")
            if b.dtype is not points.dtype:
                raise RuntimeError(f"{name}(): input tensor and bins tensors should have the same dtype")
            e = b._array
        else:
            if b <= 0:
                raise RuntimeError(f"{name}(): bins must be > 0, but got {b} for dimension {d}")
            low, high = (0.0, 0.0) if range is None else range[2 * d : 2 * d + 2]
            if range is not None and low > high:
                raise RuntimeError(
                    f"{name}(): min should not exceed max, but got min {low} max {high} for dimension {d}"
                )
            if not a.size and range is None:
                low, high = 0.0, 1.0
            e = xp.linspace(*_limits(column, low, high, name, 0.5), b + 1).astype(a.dtype)
        edges.append(from_array(e))
        n = len(e) - 1
        inside = inside & (column >= e[0]) & (column <= e[-1])
        flat = flat * n + xp.clip(xp.searchsorted(e, column, "right") - 1, 0, n - 1)
        lengths.append(n)
    counts = xp.bincount(flat[inside], None if w is None else w[inside].astype("float64"), math.prod(lengths))
    hist = counts.reshape(lengths).astype(a.dtype)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / xp.diff(e._array).reshape((-1,) + (1,) * (len(lengths) - d - 1))
    return from_array(hist), tuple(edges)

"""Order: sort, topk, kthvalue, median, mode, quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions
from .gather import gather_, positions
from .reduce import tensor_or_raise

# --- elements picked by index: how all of these are differentiated ---


def _pick(xp: Any, x: Any, indices: Any, axis: int, keepdims: bool) -> Any:
    if not x.shape:
        return xp.copy(x)
    if keepdims:
        return gather_.forward(xp, x, indices, axis)
    return xp.squeeze(gather_.forward(xp, x, xp.expand_dims(indices, axis), axis), axis)


def _unpick(xp: Any, g: Any, indices: Any, x_shape: tuple, axis: int, keepdims: bool, back: str) -> Any:
    if not x_shape:
        return g
    if not keepdims:
        g, indices = xp.expand_dims(g, axis), xp.expand_dims(indices, axis)
    return getattr(xp, back)(g, indices, axis, x_shape)


def _place_along(xp: Any, y: Any, index: Any, axis: int, shape: tuple) -> Any:
    z = xp.zeros(shape, dtype=y.dtype)
    z.reshape(-1)[positions(xp, index, shape, axis)] = y
    return z


place_along = Primitive(
    "place_along",
    _place_along,
    {"y": lambda xp, g, index, axis: xp.gather(g, index, axis)},
    inputs=2,
    kind="linear",
    samples=lambda make: [(make(2, 2), from_array(backends.host.asarray([[0, 2], [1, 0]])), 0, (3, 2))],
)


def selection(name: str, node: str, repeated: bool = False) -> Primitive:
    """A primitive `(x, indices, axis, keepdims)`: of x, what `indices` name along an axis; each has its node's name.

    An index may occur twice only if `repeated` says so.
    """
    back = "spread_along" if repeated else "place_along"
    return Primitive(
        name,
        _pick,
        {"x": lambda xp, g, indices, x_shape, axis, keepdims: _unpick(xp, g, indices, x_shape, axis, keepdims, back)},
        inputs=2,
        kind="linear",
        node=node,
        samples=lambda make: [
            (make(3, 2), from_array(backends.host.asarray([[0, 1], [2, 2]])), 0, True),
            (make(0, 2), from_array(backends.host.zeros((0, 2), dtype="int64")), 0, True),
            (make(2, 3), from_array(backends.host.asarray([2, 0])), 1, False),
            (make(), from_array(backends.host.asarray(0)), 0, False),
        ],
    )


sorted_ = selection("sorted", "SortBackward0")
topk_ = selection("topk", "TopkBackward0")
kth = selection("kthvalue", "KthvalueBackward0")
median_at = selection("median_at", "MedianBackward1")
nanmedian_at = selection("nanmedian_at", "NanmedianBackward1")
mode_ = selection("mode", "ModeBackward0")


def _ordered(input: Tensor, name: str, *, boolean: bool = True) -> Any:
    """The raw array, of a dtype that can be sorted."""
    a = tensor_or_raise(input, name)
    if a.dtype.kind == "c" or (a.dtype.kind == "b" and not boolean):
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{input.dtype.type_name}'")
    return a


def _argsort(xp: Any, a: Any, axis: int, descending: bool = False) -> Any:
    """Where the elements of sorted `a` are; equal ones keep their order, NaN is the largest."""
    if not a.ndim:
        return xp.zeros((), dtype="int64")
    if a.dtype.kind == "V":
        a = a.astype("float32")  # bfloat16 does not sort NaN to the end
    if not descending:
        return xp.argsort(a, axis=axis, kind="stable")
    turn = (slice(None),) * axis + (slice(None, None, -1),)
    return a.shape[axis] - 1 - xp.argsort(a[turn], axis=axis, kind="stable")[turn]


@expose(out="same")
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices) sorted along `dim`, as a named tuple. Sorting is always stable; NaN counts as the largest.

    >>> sort(tensor([3.0, 1.0, 2.0])).indices
    tensor([1, 2, 0])
    """
    if tensor_or_raise(input, "sort").dtype.kind == "c":
        raise RuntimeError("Sort does not support complex dtypes on CPU")
    axis = wrap_dim(dim, input._array.ndim)
    index = argsort(input, axis, descending)
    return named("sort", "values indices")(sorted_.record((input, index), (axis, True)), index)


@expose()
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the elements sorted along `dim` are; int64."""
    a = tensor_or_raise(input, "argsort")
    if a.dtype.kind == "c":
        raise RuntimeError("Sort does not support complex dtypes on CPU")
    return from_array(_argsort(backends.namespaces[type(a)], a, wrap_dim(dim, a.ndim), descending))


@expose(out="same")
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


@expose(out="same")
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest, or smallest, along `dim`, in order, as a named tuple.

    Raises RuntimeError if there are fewer than k.
    """
    a = _ordered(input, "topk")
    if a.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    axis, xp = wrap_dim(dim, a.ndim), backends.namespaces[type(a)]
    n = a.shape[axis] if a.ndim else 1
    if not 0 <= k <= n:
        raise RuntimeError("selected index k out of range")
    if not a.ndim:
        index = xp.zeros((), dtype="int64")
    else:
        first = (slice(None),) * axis + (slice(0, k),)
        if 0 < k < n // 8 and a.dtype.kind != "V":  # in a few passes to the k, then sort these
            last = (slice(None),) * axis + (slice(n - k, None),)
            found = xp.argpartition(a, n - k if largest else k - 1, axis=axis)[last if largest else first]
            inner = _argsort(xp, gather_.forward(xp, a, found, axis), axis, largest)
            index = gather_.forward(xp, found, inner, axis)
        else:
            index = xp.copy(_argsort(xp, a, axis, largest)[first])
    at = from_array(index)
    return named("topk", "values indices")(topk_.record((input, at), (axis, True)), at)


def _at_rank(p: Primitive, name: str, input: Tensor, index: Any, axis: int, keepdim: bool) -> Any:
    """(values, indices) where `index`, with the axis kept, says."""
    if not keepdim and index.ndim:
        index = index.reshape(index.shape[:axis] + index.shape[axis + 1 :])
    at = from_array(index)
    return named(name, "values indices")(p.record((input, at), (axis, keepdim)), at)


@expose(out="same apart")
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest along `dim`, as a named tuple. Raises RuntimeError if there are fewer."""
    a = _ordered(input, "kthvalue", boolean=False)
    axis, xp = wrap_dim(dim, a.ndim), backends.namespaces[type(a)]
    if a.ndim and not a.shape[axis]:
        raise IndexError(f"kthvalue(): Expected reduction dim {axis} to have non-zero size.")
    if not 1 <= k <= (a.shape[axis] if a.ndim else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(axis))
    index = _argsort(xp, a, axis)
    if a.ndim:
        index = xp.copy(index[(slice(None),) * axis + (slice(k - 1, k),)])
    return _at_rank(kth, "kthvalue", input, index, axis, keepdim)


# --- medians ---


def _median(name: str, p: Primitive, p_all: Primitive, ignore_nan: bool, doc: str) -> None:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        a = _ordered(input, "median", boolean=False)
        xp = backends.namespaces[type(a)]
        if dim is None:
            if not a.size:
                nothing = math.nan if a.dtype.kind in "fV" else backends.host.iinfo(a.dtype).min
                return from_array(xp.full((), nothing, dtype=a.dtype))
            index = xp.reshape(_median_index(xp, a.reshape(-1), 0, ignore_nan), ())
            return p_all.record((input, from_array(index)), ())
        axis = wrap_dim(dim, a.ndim)
        if a.ndim and not a.shape[axis]:
            raise IndexError(f"median(): Expected reduction dim {axis} to have non-zero size.")
        return _at_rank(p, name, input, _median_index(xp, a, axis, ignore_nan), axis, keepdim)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    expose(out="same")(function)


def _median_index(xp: Any, a: Any, axis: int, ignore_nan: bool) -> Any:
    """Where the lower median is, with the axis kept: NaN if there is one, unless these are ignored."""
    if not a.ndim:
        return xp.zeros((), dtype="int64")
    order, n = _argsort(xp, a, axis), a.shape[axis]
    if a.dtype.kind in "iu":
        return xp.copy(order[(slice(None),) * axis + (slice((n - 1) // 2, (n + 1) // 2),)])
    missing = xp.sum((a != a).astype("int64"), axis=axis, keepdims=True)
    rank = xp.maximum((n - missing - 1) // 2, 0)
    if not ignore_nan:
        rank = xp.where(missing > 0, n - missing, rank)  # the first NaN
    return gather_.forward(xp, order, rank, axis)


def _pick_flat(name: str, node: str) -> Primitive:
    """A primitive `(x, index)`: the element of flattened x at a 0-d index."""
    return Primitive(
        name,
        lambda xp, x, index: xp.reshape(x, (-1,))[index],
        {
            "x": lambda xp, g, index, x_shape: xp.reshape(
                xp.spread_along(xp.reshape(g, (1,)), xp.reshape(index, (1,)), 0, (math.prod(x_shape),)), x_shape
            )
        },
        inputs=2,
        kind="linear",
        node=node,
        samples=lambda make: [
            (make(2, 3), from_array(backends.host.asarray(4))),
            (make(), from_array(backends.host.asarray(0))),
        ],
    )


_median(
    "median",
    median_at,
    _pick_flat("median_all", "MedianBackward0"),
    False,
    """The median of all elements; with `dim`, (values, indices) over it as a named tuple. Of two middle ones the lower.

    NaN if there is one. Raises IndexError for a dimension of no elements.
    """,
)
_median(
    "nanmedian",
    nanmedian_at,
    _pick_flat("nanmedian_all", "NanmedianBackward0"),
    True,
    "`median` of the elements that are not NaN.",
)


@expose(out="same")
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent element along `dim`, the smallest of several, and where its last is."""
    a = _ordered(input, "mode")
    axis, xp = wrap_dim(dim, a.ndim), backends.namespaces[type(a)]
    if not a.ndim:
        return _at_rank(mode_, "mode", input, xp.zeros((), dtype="int64"), axis, keepdim)
    n = a.shape[axis]
    if not n:
        raise IndexError(f"mode(): Expected reduction dim {axis} to have non-zero size.")
    order = xp.moveaxis(_argsort(xp, a, axis), axis, -1)
    values = xp.take_along_axis(xp.moveaxis(a, axis, -1), order, -1)
    place = xp.arange(n)
    begins = xp.where(
        xp.concatenate([values[..., :1] == values[..., :1], values[..., 1:] != values[..., :-1]], -1), place, 0
    )
    since = place - (xp.maximum.accumulate(begins, -1) if xp is backends.host else _running_maximum(xp, begins))
    index = xp.take_along_axis(order, xp.argmax(since, axis=-1)[..., None], -1)
    return _at_rank(mode_, "mode", input, xp.moveaxis(index, -1, axis), axis, keepdim)


def _running_maximum(xp: Any, x: Any) -> Any:
    """Along the last axis, by doubling, where the library has no `accumulate`."""
    x, step = xp.copy(x), 1
    while step < x.shape[-1]:
        x[..., step:] = xp.maximum(x[..., step:], x[..., :-step])
        step *= 2
    return x


# --- quantiles ---

_RANKS: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda xp, r: xp.floor(r),
    "lower": lambda xp, r: xp.floor(r),
    "higher": lambda xp, r: xp.ceil(r),
    "midpoint": lambda xp, r: xp.floor(r),
    "nearest": lambda xp, r: xp.round(r),
}


def _quantile(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, name: str, ignore_nan: bool
) -> Any:
    a = tensor_or_raise(input, name)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    xp = backends.namespaces[type(a)]
    if isinstance(q, Tensor):
        if q.ndim > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
        if q.dtype is not input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
        if q.device != input.device:
            raise RuntimeError(f"{name}() q tensor must be on the same device as the input tensor")
        at = q._array
    else:
        at = xp.asarray(q, dtype=a.dtype)
    fractions = backends.elements(at)
    if not bool((fractions >= 0).all() & (fractions <= 1).all()):
        kind = "values must be" if isinstance(q, Tensor) else "must be"
        raise RuntimeError(
            f"{name}() q {kind} in the range [0, 1]" + ("" if isinstance(q, Tensor) else f" but got {q}")
        )
    if interpolation not in _RANKS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not a.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    axis = None if dim is None else wrap_dim(dim, a.ndim)
    x: Any = input
    x = x.reshape(-1) if axis is None or not a.ndim else x.movedim(axis, -1)
    x = sort(x, -1).values
    n, raw = x._array.shape[-1], x._array
    there = xp.sum((raw == raw).astype("int64"), axis=-1, keepdims=True)
    last = xp.maximum(there - 1, 0).astype(a.dtype)
    rank = at.reshape(-1) * last
    exact: Any = q.reshape(-1) * from_array(last) if isinstance(q, Tensor) else from_array(rank)
    if not ignore_nan:
        rank = xp.where(there < n, n - 1, rank).astype(a.dtype)  # a NaN, which is last
    low = _RANKS[interpolation](xp, rank)
    result = gather_.record((x, from_array(low.astype("int64"))), (x.ndim - 1,))
    if interpolation in ("linear", "midpoint"):
        high = gather_.record((x, from_array(xp.ceil(rank).astype("int64"))), (x.ndim - 1,))
        weight = exact - from_array(low) if interpolation == "linear" else 0.5
        result = functions["lerp"](result, high, weight)
    if axis is None:
        result = result.reshape((-1,) + ((1,) * a.ndim if keepdim else ()))
    else:
        result = result.movedim(-1, 0)
        if keepdim and a.ndim:
            result = result.unsqueeze(axis + 1)
        elif not a.ndim:
            result = result.reshape(-1)
    return result if at.ndim else result.squeeze(0)


@expose(out="same")
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The quantiles `q` (a number or a vector, in [0, 1]) of all elements or over `dim`; NaN if there is one.

    A vector `q` gives the first dimension of the result. `interpolation` between two elements: "linear", "lower",
    "higher", "midpoint" or "nearest". Raises RuntimeError unless the dtype is float32 or float64.

    >>> quantile(tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    """
    return _quantile(input, q, dim, keepdim, interpolation, "quantile", False)


@expose(out="same")
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where there are none."""
    return _quantile(input, q, dim, keepdim, interpolation, "quantile", True)

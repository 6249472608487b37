"""Running sums, products and extremes along a dimension, differences, and the trapezoidal rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, dtypes
from ..backends.cpu import compiled
from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions
from .reduce import accumulated, tensor_or_raise
from .sort import selection


def _along(axis: int, part: slice) -> tuple:
    """The index that takes `part` along an axis."""
    return (slice(None),) * axis + (part,)


def _backwards(x: Any, axis: int) -> Any:
    return x[_along(axis, slice(None, None, -1))]


# --- what running operations and their derivatives are made of ---


def _shift(xp: Any, x: Any, axis: int, by: int, fill: float) -> Any:
    result = xp.full(x.shape, fill, dtype=x.dtype)
    to, back = _along(axis, slice(by, None)), _along(axis, slice(None, -by))
    if by < 0:
        to, back = _along(axis, slice(None, by)), _along(axis, slice(-by, None))
    result[to] = x[back]
    return result


shift = Primitive(
    "shift",
    _shift,
    {"x": lambda xp, g, axis, by: xp.shift(g, axis, -by, 0)},
    samples=lambda make: [(make(2, 3), 1, 1, 1), (make(3, 2), 0, -1, 0), (make(1), 0, 1, 0)],
)
"""x moved along an axis by a number of places; what comes in is `fill`."""


@compiled("scan")
def _recurrence(xp: Any, a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """Doubling (Hillis and Steele, Data parallel algorithms, 1986): after step k elements hold their last 2^k terms."""
    a, y = xp.moveaxis(xp.copy(a), axis, 0), xp.moveaxis(xp.copy(b), axis, 0)
    if reverse:
        a, y = a[::-1], y[::-1]
    step = 1
    while step < len(y):
        y[step:] += a[step:] * y[:-step]
        a[step:] = a[step:] * a[:-step]
        step *= 2
    return xp.moveaxis(y[::-1] if reverse else y, 0, axis)


def _recurrence_vjp(xp: Any, g: Any, needs: tuple, a: Any, out: Any, axis: int, reverse: bool) -> tuple:
    by = -1 if reverse else 1
    total = xp.recurrence(xp.shift(a, axis, -by, 0), g, axis, not reverse)
    return total * xp.shift(out, axis, by, 0) if needs[0] else None, total


recurrence = Primitive(
    "recurrence",
    _recurrence,
    _recurrence_vjp,
    inputs=2,
    samples=lambda make: [
        (make(2, 5), make(2, 5), 1, False),
        (make(3, 2), make(3, 2), 0, True),
        (make(1), make(1), 0, False),
    ],
)
"""y[k] = b[k] + a[k] y[k-1] along an axis, or y[k+1] with `reverse`; its derivatives are recurrences, too."""


def _running(xp: Any, x: Any, axis: int, reverse: bool, function: Callable) -> Any:
    """`function` (a cumulative one of NumPy's) from one end or the other; half precision in float32."""
    d = x.dtype
    if d.itemsize == 2 and d.kind in "fV":
        return _running(xp, x.astype("float32"), axis, reverse, function).astype(d)
    if not x.ndim:
        return xp.copy(x)
    return _backwards(function(_backwards(x, axis), axis=axis), axis) if reverse else function(x, axis=axis)


def _samples(make: Any) -> list[tuple]:
    return [(make(2, 3), 1, False), (make(3, 2), 0, True), (make(), 0, False), (make(0, 2), 0, False)]


@compiled("scan")
def _running_sum(xp: Any, x: Any, axis: int, reverse: bool) -> Any:
    return _running(xp, x, axis, reverse, xp.cumsum)


running_sum = Primitive(
    "running_sum",
    _running_sum,
    {"x": lambda xp, g, axis, reverse: xp.running_sum(g, axis, not reverse)},
    kind="linear",
    node="CumsumBackward0",
    samples=_samples,
)


def _running_product_x(xp: Any, g: Any, x: Any, out: Any, axis: int, reverse: bool) -> Any:
    """d/dx[k] = (product before k) * (g[k] + x[k+1] (g[k+1] + x[k+2] (...))): no division, so zeros are no matter."""
    if not x.shape:
        return g
    by = -1 if reverse else 1
    return xp.shift(out, axis, by, 1) * xp.recurrence(xp.shift(x, axis, -by, 0), g, axis, not reverse)


@compiled("scan")
def _running_product(xp: Any, x: Any, axis: int, reverse: bool = False) -> Any:
    return _running(xp, x, axis, reverse, xp.cumprod)


running_product = Primitive(
    "running_product",
    _running_product,
    {"x": _running_product_x},
    node="CumprodBackward0",
    samples=_samples,
)


def _by_doubling(xp: Any, x: Any, axis: int, combine: Callable) -> Any:
    y = xp.moveaxis(xp.copy(x), axis, 0)
    step = 1
    while step < len(y):
        y[step:] = combine(y[step:], y[:-step])
        step *= 2
    return xp.moveaxis(y, 0, axis)


def _logaddexp(xp: Any, x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)) of complex numbers."""
    top = xp.maximum(x.real, y.real)
    top = xp.where(xp.isfinite(top), top, 0)
    return xp.log(xp.exp(x - top) + xp.exp(y - top)) + top


@compiled("scan")
def _running_logsumexp(xp: Any, x: Any, axis: int) -> Any:
    if not x.ndim:
        return xp.copy(x)
    if x.dtype.kind == "c":
        return _by_doubling(xp, x, axis, lambda a, b: _logaddexp(xp, a, b))
    if xp is backends.host:
        return _running(xp, x, axis, False, xp.logaddexp.accumulate)
    return _by_doubling(xp, x, axis, xp.logaddexp)


def _running_logsumexp_x(xp: Any, g: Any, x: Any, out: Any, axis: int) -> Any:
    """exp(x[k] - out[k]) * (g[k] + exp(out[k] - out[k+1]) (g[k+1] + ...)); no exponent is positive."""
    if not x.shape:
        return g
    out = xp.where(out == -math.inf, -1e30, out)
    later = xp.exp(out - xp.shift(out, axis, -1, math.inf))
    return xp.exp(x - out) * xp.recurrence(later, g, axis, True)


running_logsumexp = Primitive(
    "running_logsumexp",
    _running_logsumexp,
    {"x": _running_logsumexp_x},
    node="LogcumsumexpBackward0",
    samples=lambda make: [(make(2, 3), 1), (make(3, 2), 0), (make(), 0), (make(0, 2), 0)],
)


# --- the public functions ---


@expose(inplace=True, out=True)
def cumsum(input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """Running sums along `dim`; integers and booleans in int64.

    >>> cumsum(tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    tensor_or_raise(input, "cumsum")
    x = accumulated(input, dtype)
    return running_sum.record((x,), (wrap_dim(dim, x._array.ndim), False)).to(x.dtype)


@expose(inplace=True, out=True)
def cumprod(input: Tensor, dim: int, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """Running products along `dim`; integers and booleans in int64. Zeros have the right gradient, too."""
    tensor_or_raise(input, "cumprod")
    x = accumulated(input, dtype)
    return running_product.record((x,), (wrap_dim(dim, x._array.ndim), False)).to(x.dtype)


@expose(out="same")
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """Logarithms of running sums of exponentials along `dim`, which do not overflow. Raises for integers."""
    if tensor_or_raise(input, "logcumsumexp").dtype.kind in "biu":
        raise NotImplementedError(f"\"logcumsumexp_out_cpu\" not implemented for '{input.dtype.type_name}'")
    return running_logsumexp.record((input,), (wrap_dim(dim, input._array.ndim),))


def _running_extreme(name: str, ufunc: str, doc: str) -> None:
    picked = selection(name, f"{name.capitalize()}Backward0", repeated=True)

    def function(input: Tensor, dim: int) -> Any:
        a = tensor_or_raise(input, name)
        if a.dtype.kind == "c":
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{input.dtype.type_name}'")
        axis, xp = wrap_dim(dim, a.ndim), backends.namespaces[type(a)]
        at = from_array(_running_place(xp, a, axis, ufunc) if a.size and a.ndim else xp.zeros(a.shape, dtype="int64"))
        return named(name, "values indices")(picked.record((input, at), (axis, True)), at)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    expose(out="same")(function)


@compiled("scan")
def _running_place(xp: Any, x: Any, axis: int, extreme: str) -> Any:
    """The last place of the extreme ("maximum", "minimum") of the elements up to each; int64."""
    so_far = _accumulate(xp, x, axis, getattr(xp, extreme))
    place = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - axis - 1))
    return _accumulate(xp, xp.where((x == so_far) | (x != x), place, 0), axis, xp.maximum)


def _accumulate(xp: Any, x: Any, axis: int, ufunc: Any) -> Any:
    return ufunc.accumulate(x, axis) if xp is backends.host else _by_doubling(xp, x, axis, ufunc)


_running_extreme("cummax", "maximum", "Running maxima along `dim`, and where the last of each is: (values, indices).")
_running_extreme("cummin", "minimum", "Running minima along `dim`, and where the last of each is: (values, indices).")


@expose(out=True)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The n-th differences of neighbours along `dim`, after `prepend` and `append` were put to the ends.

    >>> diff(tensor([1, 4, 9]))
    tensor([3, 5])
    """
    a = tensor_or_raise(input, "diff")
    if not a.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = wrap_dim(dim, a.ndim)
    parts = [p for p in (prepend, input, append) if p is not None]
    for p in parts:
        if p.ndim != a.ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        if any(p.shape[d] != a.shape[d] for d in range(a.ndim) if d != axis):
            raise RuntimeError(
                "diff expects the shape of tensor to prepend or append to match that of input except along the "
                "differencing dimension"
            )
    if not n:
        return functions["clone"](input)
    x: Any = input if len(parts) == 1 else functions["cat"](parts, axis)
    for _ in range(min(n, x.shape[axis])):
        later, earlier = x[_along(axis, slice(1, None))], x[_along(axis, slice(None, -1))]
        x = later ^ earlier if x.dtype is dtypes.bool else later - earlier
    return x


@expose(method=False)
def gradient(
    input: Tensor, *, spacing: Any = None, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Estimates of the derivatives of the sampled function `input` along each of `dim`, by central differences.

    `spacing`: the distance of samples (1), one for each dimension, or tensors of their coordinates. `edge_order`: the
    order of the one-sided differences at both ends, 1 or 2. Raises RuntimeError for sizes that do not fit.

    >>> gradient(tensor([1.0, 2.0, 4.0]))
    (tensor([1.0000, 1.5000, 2.0000]),)
    """
    ndim = tensor_or_raise(input, "gradient").ndim
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = range(ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = [wrap_dim(d, ndim) for d in dims]
    if len(set(axes)) != len(axes):
        raise RuntimeError("gradient(): dim appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    each = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or a list of length {len(axes)} but got a "
            f"list of length {len(each)}"
        )
    return tuple(_derivative(input, axis, step, edge_order) for axis, step in zip(axes, each, strict=True))


def _derivative(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    n = f.shape[axis]
    if n < edge_order + 1:
        raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    if isinstance(spacing, Tensor):
        if tuple(spacing.shape) != (n,):
            raise RuntimeError(
                "torch.gradient expected each tensor to be 1-dimensional and to match the dimension in size"
            )
        h: Any = spacing.diff().reshape(-1, *(1,) * (f.ndim - axis - 1))
        before, after = h[:-1], h[1:]
        first, last = h[:2], h[-2:].flip(0)
    else:
        before = after = spacing
        first = last = (spacing, spacing)

    def at(start: int, stop: int | None) -> Any:
        return f[_along(axis, slice(start, stop))]

    if isinstance(spacing, Tensor):
        here, there = after / (before * (before + after)), before / (after * (before + after))
        inner = there * at(2, None) - here * at(0, -2) + (here - there) * at(1, -1)
    else:
        inner = (at(2, None) - at(0, -2)) / (2 * spacing)

    def end(f0: Any, f1: Any, f2: Any, h: Any) -> Any:
        if edge_order == 1:
            return (f1 - f0) / h[0]
        a, b = h[0], h[1]
        return -(2 * a + b) / (a * (a + b)) * f0 + (a + b) / (a * b) * f1 - a / (b * (a + b)) * f2

    left = end(at(0, 1), at(1, 2), at(2, 3), first)
    right = -end(at(n - 1, n), at(n - 2, n - 1), at(n - 3, n - 2), last)
    return functions["cat"]((left, inner, right), axis)


# --- the trapezoidal rule ---


def _trapezoids(y: Tensor, x: Any, dx: Any, dim: int, name: str) -> Any:
    """The areas between neighbours along `dim`."""
    if tensor_or_raise(y, name).dtype.kind == "b":
        raise RuntimeError(f"{name}: received a bool input for `y`, but bool is not supported")
    axis = wrap_dim(dim, y.ndim)
    v: Any = y
    if x is not None:
        if x.dtype is dtypes.bool:
            raise RuntimeError(f"{name}: received a bool input for `x`, but bool is not supported")
        if x.ndim == 1 and y.ndim:
            if x.shape[0] != y.shape[axis]:
                raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
            dx = (x[1:] - x[:-1]).reshape((-1,) + (1,) * (y.ndim - axis - 1))
        else:
            wide = (1,) * (y.ndim - x.ndim)
            x = x.reshape(wide + tuple(x.shape)) if wide else x
            dx = x[_along(axis, slice(1, None))] - x[_along(axis, slice(None, -1))]
    elif isinstance(dx, (bool, complex)):
        kind = "bool" if isinstance(dx, bool) else "complex"
        raise RuntimeError(f"{name}: Currently, we only support dx as a real number, not {kind}")
    return (v[_along(axis, slice(1, None))] + v[_along(axis, slice(None, -1))]) * dx / 2.0


@expose("trapz", method=False)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by the trapezoidal rule, at the points `x` or at steps of `dx`.

    >>> trapezoid(tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)
    """
    return _trapezoids(y, x, dx, dim, "trapezoid").sum(dim)


@expose(method=False)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The running integral of `y` along `dim` by the trapezoidal rule, from the second point on."""
    return _trapezoids(y, x, dx, dim, "cumulative_trapezoid").cumsum(dim)

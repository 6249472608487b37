"""Rules for the functions that formulas call, by kind. A rule gets the namespace of the arrays as `xp`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import host, namespaces
from .arrays import SHARED, Batched, aligned, stacked
from .indexing import combine_at, put, take

# --- of single elements, and of single matrices ---

#: functions that are no ufuncs, but of single elements
POINTWISE = frozenset("where nan_to_num conj real imag angle isfinite round fix isclose i0 sinc".split())

#: functions of `xp.linalg` that broadcast: how many dimensions of each operand one matrix has
MATRICES: dict[str, tuple[int, ...]] = {"solve": (2, 2)}
MATRICES |= dict.fromkeys("inv det slogdet cholesky qr svd eigh eigvalsh eig eigvals pinv matrix_power".split(), (2,))

#: operations whose forward formulas broadcast likewise, and are left to the library below
WHOLE = {"permute_rows": (2, 1), "cofactors": (2,), "matrix_exp": (2,), "eig": (2,)}


def pointwise_rule(name: str, xp: Any, *operands: Any, out: Any = None, **attributes: Any) -> Any:
    """A function of single elements; `out` must be an array of this vmap, which can hold the result."""
    if out is None:
        return stacked(getattr(xp.below(operands), name), (0,), *operands, **attributes)
    made = pointwise_rule(name, xp, *operands)
    if type(out) is not xp.kind or (out.whole and not made.whole):
        raise RuntimeError(SHARED)
    out[...] = made
    return out


def clip(xp: Any, x: Any, low: Any = None, high: Any = None, **attributes: Any) -> Any:
    return pointwise_rule("clip", xp, x, low, high, **attributes)


# --- along axes ---

ALONG = (
    "sum mean max min prod any all var std flip squeeze cumsum cumprod argmax argmin sort argsort count_nonzero "
    "median logsumexp diff argpartition partition"
).split()
_ONE_AXIS = frozenset("cumsum cumprod argmax argmin sort argsort".split())


def along(name: str, xp: Any, x: Any, axis: Any = None, *args: Any, **attributes: Any) -> Any:
    """A function along axes: all of an example's if none are named."""
    if type(x) is not xp.kind:
        return getattr(namespaces[type(x)], name)(x, axis, *args, **attributes)
    if axis is None and not x.whole:
        axis = tuple(range(x.ndim))
        if name in _ONE_AXIS:
            x, axis = x.reshape(-1), 0
    elif isinstance(axis, int) and not x.whole and not -x.ndim <= axis < x.ndim:
        raise IndexError(f"axis {axis} is out of bounds for an array of dimension {x.ndim}")
    return x.__class__(getattr(x.below, name)(x.array, x.axis(axis), *args, **attributes), x.whole)


def fourier(name: str, xp: Any, x: Any, *args: Any, axis: int = -1, axes: Any = None, **attributes: Any) -> Any:
    """A function of `xp.fft`."""
    where = {"axis": x.axis(axis)} if axes is None else {"axes": x.axis(axes)}
    return xp.kind(getattr(x.below.fft, name)(x.array, *args, **where, **attributes), x.whole)


def cross(xp: Any, x: Any, y: Any, axis: int = -1) -> Any:
    axis = axis if axis < 0 else axis - max(x.ndim, y.ndim)
    return stacked(xp.below((x, y)).cross, (0,), x, y, axis=axis)


def of_diagonal(name: str, xp: Any, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return xp.kind(getattr(x.below, name)(x.array, offset, x.axis(axis1), x.axis(axis2)), x.whole)


def triangular(name: str, xp: Any, x: Any, *args: Any) -> Any:
    x = xp.own(x)
    return xp.kind(getattr(x.below, name)(x.array, *args), x.whole)


# --- products ---


def matmul(xp: Any, x: Any, y: Any) -> Any:
    """Products of matrices and vectors. Examples times one matrix are one product."""
    x, y = xp.own(x), xp.own(y)
    below, a, b = xp.below((x, y)), x.array, y.array
    if y.whole and (y.ndim <= 2 or x.whole):
        return xp.kind(below.matmul(a, b), x.whole)
    if x.whole and x.ndim == 2 and y.ndim == 1:
        return xp.kind(below.matmul(b, a.swapaxes(-1, -2)))
    if x.ndim == 1:
        x = x[None, :]
        return matmul(xp, x, y)[..., 0, :] if y.ndim > 1 else matmul(xp, x, y)[..., 0]
    if y.ndim == 1:
        return matmul(xp, x, y[:, None])[..., 0]
    return stacked(below.matmul, (2, 2), x, y)


def dot(xp: Any, x: Any, y: Any) -> Any:
    if max(x.ndim, y.ndim) > 2:
        raise NotImplementedError("dot of arrays of a vmap with more than two dimensions")
    return matmul(xp, x, y)


def convolve(name: str, xp: Any, x: Any, y: Any, *attributes: Any) -> Any:
    """A convolution, or one of its adjoints.

    Examples of images are a longer batch of them if the weights are the same for all. Else they are groups of channels.
    """
    x, y, bias = xp.own(x), xp.own(y), []
    if name == "convolution":
        bias, attributes = [None if b is None else xp.own(b) for b in attributes[:1]], attributes[1:]
    function, groups = getattr(xp.below((x, y, bias)), name), attributes[-1]
    if not x.whole and name != "convolution_weight" and all(v is None or v.whole for v in (y, *bias)):
        size, n = x.array.shape[:2]
        given = [None if b is None else b.array for b in bias]
        made = function(x.array.reshape((size * n, *x.array.shape[2:])), y.array, *given, *attributes)
        return xp.kind(made.reshape((size, n, *made.shape[1:])))
    if all(v is None or v.whole for v in (x, y, *bias)):
        given = [None if b is None else b.array for b in bias]
        return xp.kind(function(x.array, y.array, *given, *attributes), True)
    size = xp.examples

    def channels(v: Any, axis: int) -> Any:
        """All examples beside each other along an axis of one."""
        a = v.below.broadcast_to(v.array, (size, *v.shape)) if v.whole else v.array
        a = namespaces[type(a)].moveaxis(a, 0, axis)
        return a.reshape((*a.shape[:axis], size * a.shape[axis + 1], *a.shape[axis + 2 :]))

    given = [None if b is None else channels(b, 0) for b in bias]
    weights = name == "convolution_weight"
    if name == "convolution" and x.whole and groups == 1:  # all weights see the same images
        made = function(x.array, channels(y, 0), *given, *attributes)
    else:
        made = function(channels(x, 1), channels(y, 1 if weights else 0), *given, *attributes[:-1], size * groups)
    if weights:
        return xp.kind(made.reshape((size, -1, *made.shape[1:])))
    made = made.reshape((made.shape[0], size, -1, *made.shape[2:]))
    return xp.kind(namespaces[type(made)].moveaxis(made, 1, 0))


# --- shapes ---


def reshape(xp: Any, x: Any, shape: Any) -> Any:
    if type(x) is not xp.kind:
        return x.reshape(shape)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if x.whole:
        return xp.kind(x.array.reshape(shape), True)
    if -1 in shape:
        known = -math.prod(shape)
        shape = tuple((x.size // known if known else 0) if n == -1 else n for n in shape)
    return xp.kind(x.array.reshape(x.array.shape[:1] + shape))


def permute_dims(xp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    if x.whole:
        return xp.kind(x.array.transpose(axes), True)
    return xp.kind(x.array.transpose((0, *(a % x.ndim + 1 for a in axes))))


def broadcast_to(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) is not xp.kind:
        return namespaces[type(x)].broadcast_to(x, shape)
    a, missing = x.array, len(shape) - x.ndim
    if x.whole:
        return xp.kind(x.below.broadcast_to(a, shape), True)
    if missing > 0:
        a = a.reshape(a.shape[:1] + (1,) * missing + a.shape[1:])
    return xp.kind(x.below.broadcast_to(a, a.shape[:1] + tuple(shape)))


def expand_dims(xp: Any, x: Any, axis: Any) -> Any:
    x = xp.own(x)
    return xp.kind(x.below.expand_dims(x.array, x.axis(axis)), x.whole)


def moveaxis(xp: Any, x: Any, source: Any, destination: Any) -> Any:
    x = xp.own(x)
    return xp.kind(x.below.moveaxis(x.array, x.axis(source), x.axis(destination)), x.whole)


def roll(xp: Any, x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return roll(xp, x.reshape(-1), shift, 0).reshape(x.shape)
    return xp.kind(x.below.roll(x.array, shift, x.axis(axis)), x.whole)


def tile(xp: Any, x: Any, reps: tuple[int, ...]) -> Any:
    if x.whole:
        return xp.kind(x.below.tile(x.array, reps), True)
    missing = max(0, len(reps) - x.ndim)
    a = x.array.reshape(x.array.shape[:1] + (1,) * missing + x.shape)
    return xp.kind(x.below.tile(a, (1, *(1,) * (x.ndim - len(reps)), *reps)))


def with_strides(xp: Any, x: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view with these lengths and strides, in bytes."""
    if not x.whole:
        shape, strides = (len(x.array), *shape), (x.array.strides[0], *strides)
    return xp.kind(x.below.with_strides(x.array, shape, strides), x.whole)


def _joined(xp: Any, values: Sequence[Any]) -> tuple[list[Any], bool]:
    """Arrays below, all with an axis of examples if one has it."""
    own = [xp.own(v) for v in values]
    size = next((len(v.array) for v in own if not v.whole), None)
    if size is None:
        return [v.array for v in own], False
    return [v.below.broadcast_to(v.array, (size, *v.shape)) if v.whole else v.array for v in own], True


def concat(xp: Any, values: Sequence[Any], axis: int = 0, **attributes: Any) -> Any:
    arrays, batched = _joined(xp, values)
    made = xp.below(values).concatenate(arrays, axis=axis + (batched and axis >= 0), **attributes)
    return xp.kind(made, not batched)


def stack(xp: Any, values: Sequence[Any], axis: int = 0) -> Any:
    arrays, batched = _joined(xp, values)
    return xp.kind(xp.below(values).stack(arrays, axis=axis + (batched and axis >= 0)), not batched)


# --- by index ---


def take_along_axis(xp: Any, x: Any, indices: Any, axis: int) -> Any:
    arrays, batched = _joined(xp, (x, indices))
    made = xp.below((x, indices)).take_along_axis(*arrays, axis=axis + (batched and axis >= 0))
    return xp.kind(made, not batched)


def put_along_axis(xp: Any, x: Any, indices: Any, values: Any, axis: int) -> None:
    if type(x) is not xp.kind or x.whole:
        raise RuntimeError(SHARED)
    (_, places), _ = _joined(xp, (x, indices))
    x.below.put_along_axis(x.array, places, aligned(xp.kind, (x, values))[0][1], x.axis(axis))


def take_along(xp: Any, x: Any, index: Any, axis: int | None = None) -> Any:
    """`np.take`: slices by their numbers."""
    x, index = xp.own(x), xp.own(index)
    if axis is None:
        x, axis = x.reshape(-1), 0
    if index.whole:
        return xp.kind(x.below.take(x.array, index.array, axis=x.axis(axis)), x.whole)
    return take(x, (*(slice(None),) * (axis % x.ndim), index))


def searchsorted(xp: Any, x: Any, values: Any, side: str = "left") -> Any:
    x, values = xp.own(x), xp.own(values)
    if x.whole:
        return xp.kind(x.below.searchsorted(x.array, values.array, side=side), values.whole)
    return xp.each(lambda below: below.searchsorted, x, values, side=side)


# --- new arrays ---


def made(name: str, xp: Any, shape: Any, *args: Any, **attributes: Any) -> Any:
    """New arrays: one for each example, since a formula makes them to write to."""
    if xp.examples is None:
        return getattr(host, name)(shape, *args, **attributes)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return xp.kind(getattr(xp.library, name)((xp.examples, *shape), *args, **attributes))


def like(name: str, xp: Any, x: Any, *args: Any, **attributes: Any) -> Any:
    """An array like another, one for each example."""
    x = xp.own(x)
    made = getattr(x.below, name)(x.array, *args, **attributes)
    if not x.whole or xp.examples is None:
        return xp.kind(made, x.whole)
    return xp.kind(xp.library.copy(xp.library.broadcast_to(made, (xp.examples, *made.shape))))


def for_each(xp: Any, x: Any, made: Any) -> Any:
    """An array copied for each example that `x` has, of this vmap and those around it."""
    if not x.whole:
        library = namespaces[type(made)]
        made = library.copy(library.broadcast_to(made, (len(x.array), *made.shape)))
    if x.below.depth:
        made = x.below.for_each(x.array, made)
    return made if x.whole else xp.kind(made)


def asarray(xp: Any, x: Any, dtype: Any = None) -> Any:
    if isinstance(x, Batched):
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)
    return xp.library.asarray(x, dtype=dtype)


def array(xp: Any, x: Any, *args: Any, **attributes: Any) -> Any:
    """A copy, one for all examples if `x` is that."""
    x = xp.own(x)
    return xp.kind(x.below.array(x.array, *args, **attributes), x.whole)


def seed(xp: Any, x: Any) -> Any:
    return xp.kind(x.below.seed(x.array if x.whole else x.array[0, ...]), True)


# --- other ---


def result_type(xp: Any, *values: Any) -> Any:
    return host.result_type(*(v.dtype if isinstance(v, Batched) else v for v in values))


def iadd(xp: Any, x: Any, y: Any) -> Any:
    x += y
    return x


def is_view(xp: Any, result: Any, x: Any) -> bool:
    """Whether one is a view of the other: neither is if it is an outer vmap's."""
    return type(result) is type(x) and x.below.is_view(result.array, x.array)


def view_of_memory(xp: Any, x: Any, target: tuple, source: tuple) -> Any:
    """Views of the memory of each example, from its first element on, as `target` (size, stride, offset) says."""
    (shape, strides, offset), below, memory = target, x.below, x.below.memory(x.array)
    offset += (below.data_ptr(x.array) - below.data_ptr(memory)) // x.itemsize
    if not x.whole:
        shape, strides = (len(x.array), *shape), (x.array.strides[0] // x.itemsize, *strides)
    return xp.kind(below.strided(memory, shape, strides, offset, x.dtype), x.whole)


def of_memory(name: str, xp: Any, x: Any) -> Any:
    return getattr(x.below, name)(x.array)


#: operations whose forward formula is not run, but this instead
OPERATIONS: dict[str, Callable] = {
    **{name: functools.partial(convolve, name) for name in ("convolution", "convolution_input", "convolution_weight")},
    "as_strided": view_of_memory,
}
RULES: dict[str, Callable] = {
    **{name: functools.partial(pointwise_rule, name) for name in POINTWISE},
    **{name: functools.partial(along, name) for name in ALONG},
    **{name: functools.partial(made, name) for name in ("zeros", "ones", "empty", "full")},
    **{name: functools.partial(like, name) for name in ("zeros_like", "ones_like", "empty_like", "full_like", "copy")},
    **{name: functools.partial(triangular, name) for name in ("triu", "tril", "ascontiguousarray")},
    **{name: functools.partial(of_diagonal, name) for name in ("diagonal", "trace")},
    **OPERATIONS,
    **{name: functools.partial(of_memory, name) for name in ("device_of", "data_ptr", "memory")},
    **{f.__name__: f for f in (
        cross, matmul, dot, reshape, permute_dims, broadcast_to, expand_dims, moveaxis, roll, tile, with_strides,
        concat, stack, take_along_axis, put_along_axis, combine_at, searchsorted, for_each, asarray, array, seed,
        result_type, iadd, is_view, clip,
    )},
    "concatenate": concat,
    "take": take_along,
    "take_at": lambda xp, x, index: take(x, index),
    "put_at": lambda xp, x, index, value: put(x, index, value),
    "swapaxes": lambda xp, x, axis1, axis2: x.swapaxes(axis1, axis2),
    "matrix_transpose": lambda xp, x: x.swapaxes(-1, -2),
    "astype": lambda xp, x, dtype, copy=True: x.astype(dtype, copy=copy),
    "to_host": lambda xp, x: x,
    "special": lambda xp, name: lambda *operands: stacked(xp.below(operands).special(name), (0,), *operands),
}  # fmt: skip

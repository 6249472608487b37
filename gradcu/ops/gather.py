"""Along one dimension by an index tensor: gather, scatter, index_select, index_add and their kin."""

from __future__ import annotations

import math
from typing import Any

from .. import backends
from ..dtypes import int64
from ..graph.op import Primitive
from ..tensor import Tensor, from_array, wrap_dim
from .convert import to
from .expose import expose
from .index import same_device
from .shape import broadcast_shapes, unbroadcast


def positions(xp: Any, index: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Where the elements that `index` names along `axis` lie in an array of this shape, flattened."""
    found, stride = 0, 1
    for d in reversed(range(len(shape))):
        if d == axis:
            found = found + index * stride
        elif index.shape[d] > 1:
            found = found + xp.arange(0, index.shape[d] * stride, stride).reshape((-1,) + (1,) * (len(shape) - d - 1))
        stride *= shape[d]
    return xp.broadcast_to(found, index.shape)


def _gather(xp: Any, x: Any, index: Any, axis: int) -> Any:
    return x.reshape(-1)[positions(xp, index, x.shape, axis)]


def _spread(xp: Any, y: Any, index: Any, axis: int, shape: tuple) -> Any:
    return _scatter_add(xp, xp.zeros(shape, dtype=y.dtype), index, y, axis)


def _scatter(xp: Any, x: Any, index: Any, y: Any, axis: int) -> Any:
    z = xp.copy(x)
    z.reshape(-1)[positions(xp, index, x.shape, axis)] = y
    return z


def _scatter_add(xp: Any, x: Any, index: Any, y: Any, axis: int) -> Any:
    z = xp.copy(x)
    xp.combine_at(z.reshape(-1), positions(xp, index, x.shape, axis).reshape(-1), y.reshape(-1))
    return z


def _numbers(*rows: Any) -> Any:
    """An index for tests."""
    return from_array(backends.host.asarray(rows, dtype="int64"))


gather_ = Primitive(
    "gather",
    _gather,
    {"x": lambda xp, g, index, axis, x_shape: xp.spread_along(g, index, axis, x_shape)},
    inputs=2,
    kind="linear",
    node="GatherBackward0",
    samples=lambda make: [(make(3, 2), _numbers([0, 2], [0, 1]), 0), (make(2, 3), _numbers([0, 0, 1]), 1)],
)
spread_along = Primitive(
    "spread_along",
    _spread,
    {"y": lambda xp, g, index, axis: xp.gather(g, index, axis)},
    inputs=2,
    kind="linear",
    samples=lambda make: [(make(2, 2), _numbers([0, 2], [0, 1]), 0, (3, 2))],
)
scatter_ = Primitive(
    "scatter",
    _scatter,
    {
        "x": lambda xp, g, index, axis: xp.scatter_number(g, index, axis, 0),
        "y": lambda xp, g, index, axis: xp.gather(g, index, axis),
    },
    inputs=3,
    kind="linear",
    node="ScatterBackward0",
    samples=lambda make: [(make(3, 2), _numbers([0, 2]), make(1, 2), 0)],
)
scatter_number = Primitive(
    "scatter_number",
    lambda xp, x, index, axis, value: _scatter(xp, x, index, value, axis),
    {"x": lambda xp, g, index, axis: xp.scatter_number(g, index, axis, 0)},
    inputs=2,
    node="ScatterBackward1",
    samples=lambda make: [(make(3, 2), _numbers([0, 2]), 0, 2.5)],
)
scatter_add_ = Primitive(
    "scatter_add",
    _scatter_add,
    {"x": lambda xp, g: g, "y": lambda xp, g, index, axis: xp.gather(g, index, axis)},
    inputs=3,
    kind="linear",
    node="ScatterAddBackward0",
    samples=lambda make: [(make(3, 2), _numbers([0, 2], [0, 1]), make(2, 2), 0)],
)


# --- reductions by index ---

_REDUCTIONS = {"sum": "add", "mean": "add", "prod": "multiply", "amax": "maximum", "amin": "minimum"}


def _count(xp: Any, g: Any, index: Any, axis: int, include_self: bool) -> Any:
    """How many values went into each element of a mean."""
    ones = xp.zeros_like(g) + 1
    return xp.scatter_add(
        ones if include_self else xp.scatter_number(ones, index, axis, 0), index, xp.gather(ones, index, axis), axis
    )


def _reduce(xp: Any, x: Any, index: Any, y: Any, axis: int, reduce: str, include_self: bool) -> Any:
    z = xp.copy(x)
    flat, where, values = z.reshape(-1), positions(xp, index, x.shape, axis).reshape(-1), y.reshape(-1)
    if not include_self:  # extremes may start from any of the values, sums and products from their neutral element
        flat[where] = values if reduce in ("amax", "amin") else int(reduce == "prod")
    xp.combine_at(flat, where, values, _REDUCTIONS[reduce])
    if reduce == "mean":
        count = _count(xp, z, index, axis, include_self)
        count[count == 0] = 1
        return z // count if z.dtype.kind in "biu" else z / count
    return z


def _shares(xp: Any, g: Any, x: Any, x_dtype: Any, index: Any, y: Any, out: Any, axis: int, include_self: bool) -> Any:
    """Gradients of extremes: the values that are the extreme share it."""
    from_x = xp.astype(xp.equal(x, out), x_dtype)
    if not include_self:
        from_x = xp.scatter_number(from_x, index, axis, 0)
    from_y = xp.astype(xp.equal(y, xp.gather(out, index, axis)), x_dtype)
    among = xp.scatter_add(from_x, index, from_y, axis)
    g = g / xp.where(xp.equal(among, 0), 1, among)
    return g, from_x, from_y


def _reduce_x(
    xp: Any, g: Any, x: Any, x_dtype: Any, index: Any, y: Any, out: Any, axis: int, reduce: str, include_self: bool
) -> Any:
    if reduce in ("amax", "amin"):
        g, from_x, _ = _shares(xp, g, x, x_dtype, index, y, out, axis, include_self)
        return g * from_x
    if reduce == "prod":
        g = g * xp.scatter_reduce(xp.zeros_like(x) + 1, index, y, axis, "prod", True)
    elif reduce == "mean":
        g = g / _at_least_one(xp, _count(xp, g, index, axis, include_self))
    return g if include_self else xp.scatter_number(g, index, axis, 0)


def _at_least_one(xp: Any, count: Any) -> Any:
    return xp.where(xp.equal(count, 0), 1, count)


def _reduce_y(
    xp: Any, g: Any, x: Any, x_dtype: Any, index: Any, y: Any, out: Any, axis: int, reduce: str, include_self: bool
) -> Any:
    if reduce in ("amax", "amin"):
        g, _, from_y = _shares(xp, g, x, x_dtype, index, y, out, axis, include_self)
        return xp.gather(g, index, axis) * from_y
    if reduce == "prod":
        # the product of the others: all over y, or, if y is the only zero, of x and what is not zero
        zero_y = xp.equal(y, 0)
        rest = xp.scatter_reduce(x, index, xp.where(zero_y, 1, y), axis, "prod", include_self)
        zeros = xp.scatter_add(xp.zeros_like(g), index, xp.astype(zero_y, x_dtype), axis)
        alone = xp.gather(xp.where(xp.equal(zeros, 1), g * rest, 0), index, axis)
        return xp.where(zero_y, alone, xp.gather(g * out, index, axis) / xp.where(zero_y, 1, y))
    if reduce == "mean":
        g = g / _at_least_one(xp, _count(xp, g, index, axis, include_self))
    return xp.gather(g, index, axis)


scatter_reduce_ = Primitive(
    "scatter_reduce",
    _reduce,
    {"x": _reduce_x, "y": _reduce_y},
    inputs=3,
    node="ScatterReduceBackward0",
    samples=lambda make: [
        (make(3, 2), _numbers([0, 2], [0, 1]), make(2, 2), 0, reduce, include_self)
        for reduce in _REDUCTIONS
        for include_self in (True, False)
    ],
)


def _checked(name: str, input: Tensor, dim: int, index: Tensor, src: Any = None) -> tuple:
    """Input, axis, index and source as the primitives take them: with dimensions, the source of the shape of the index.

    Raises RuntimeError where dtypes, dimensions, sizes or devices do not fit, or an index is out of range.
    """
    axis = wrap_dim(dim, input._array.ndim)
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' (position 2) must be Tensor, not {type(index).__name__}")
    if index._array.size and (index._array.dtype.kind != "i" or index._array.dtype.itemsize < 4):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    same_device(name, input, index, *([src] if isinstance(src, Tensor) else []))
    one = [t.reshape(1) if not t._array.ndim else t for t in (input, index)]
    x, i = one
    own, wanted = x._array.shape, i._array.shape
    if len(own) != len(wanted) and i._array.size:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as {'input' if src is None else 'self'} tensor"
        )
    if isinstance(src, Tensor) and i._array.size and (src._array.ndim or 1) != len(wanted):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    if i._array.size:
        for d, (m, n) in enumerate(zip(own, wanted, strict=True)):
            if d != axis and n > m:
                raise RuntimeError(
                    f"Size does not match at dimension {d} expected index {list(wanted)} to be no larger than self "
                    f"{list(own)} apart from dimension {axis}"
                )
    in_range(i, own[axis])
    if isinstance(src, Tensor):
        if src.dtype is not input.dtype:
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
        y = src if src._array.ndim else src.reshape(1)
        given = y._array.shape
        if given != wanted and i._array.size:
            if any(n > m for m, n in zip(given, wanted, strict=True)):
                raise RuntimeError(
                    f"Expected index {list(wanted)} to be no larger than self {list(own)} apart from dimension "
                    f"{axis} and "
                    f"to be no larger size than src {list(given)}"
                )
            y = y[tuple(slice(0, n) for n in wanted)]
        src = y
    return x, axis, i, src


def in_range(index: Tensor, length: int, error: type[Exception] = RuntimeError) -> None:
    """Raise if an index is not in [0, length). Only on the CPU: on a device it would wait for the result."""
    a = index._array
    if type(a) is backends.host.ndarray and a.size and (a.min() < 0 or a.max() >= length):
        wrong = a.min() if a.min() < 0 else a.max()
        raise error(f"index {wrong} is out of bounds for dimension 0 with size {length}")


def _shaped(result: Tensor, like: Tensor) -> Tensor:
    return result if like._array.ndim else result.reshape(())


@expose(out="same apart")
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements that `index` names along `dim`: out[i][j] = input[index[i][j]][j] for dim 0. Of the index's shape.

    Raises RuntimeError if the index is no integer tensor, does not fit the input or is out of range.
    """
    x, axis, i, _ = _checked("gather", input, dim, index)
    if not i._array.size:
        return x.reshape(-1)[:0].reshape(i._array.shape)
    return _shaped(gather_.record((x, i), (axis,)), index)


@expose(out="same", inplace=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """`input` with the elements of `src`, a tensor or a number, where `index` names them along `dim`.

    reduce "add" or "multiply" combines instead of replacing. Raises RuntimeError for what does not fit or is out of
    range.
    """
    src = value if src is None else src
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        if not isinstance(src, Tensor):
            src = input.new_full(index.shape, src)
        return scatter_reduce(input, dim, index, src, "sum" if reduce == "add" else "prod")
    x, axis, i, y = _checked("scatter", input, dim, index, src)
    if not i._array.size:
        return input.clone()
    if isinstance(y, Tensor):
        return _shaped(scatter_.record((x, i, y), (axis,)), input)
    return _shaped(scatter_number.record((x, i), (axis, y)), input)


@expose(out="same", inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` plus the elements of `src` where `index` names them along `dim`; those for one element all count."""
    x, axis, i, y = _checked("scatter_add", input, dim, index, src)
    if not i._array.size:
        return input.clone()
    return _shaped(scatter_add_.record((x, i, y), (axis,)), input)


@expose(out="same", inplace=True)
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """The elements of `src` reduced into `input` where `index` names them along `dim`: sum, prod, mean, amax or amin.

    With include_self=False the elements of `input` that are named take no part. Raises RuntimeError as `scatter`.
    """
    if reduce not in _REDUCTIONS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    x, axis, i, y = _checked("scatter_reduce", input, dim, index, src)
    if not i._array.size:
        return input.clone()
    if reduce == "sum" and include_self:
        return _shaped(scatter_add_.record((x, i, y), (axis,)), input)
    return _shaped(scatter_reduce_.record((x, i, y), (axis, reduce, include_self)), input)


@expose(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements that `indices` name along `dim`, other dimensions broadcast; of the flattened input without dim."""
    if indices.dtype.category != 1:
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype}")
    same_device("torch.take_along_dim()", input, indices)
    if dim is None:
        return gather(input.reshape(-1), 0, to(indices.reshape(-1), dtype=int64))
    if input._array.ndim != indices._array.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input._array.ndim} dimensions for input, and {indices._array.ndim} dimensions for indices"
        )
    axis = wrap_dim(dim, input._array.ndim)
    own, wanted = list(input._array.shape), list(indices._array.shape)
    own[axis : axis + 1], wanted[axis : axis + 1] = [1], [1]
    common = list(broadcast_shapes(own, wanted))
    if not common:
        return gather(input, 0, indices)
    length, count = input._array.shape[axis], indices._array.shape[axis]
    if indices._array.size and bool((backends.elements(indices._array) < 0).any()):
        indices = from_array(indices._array % length)
    x = input.expand(*common[:axis], length, *common[axis + 1 :])
    i = indices.expand(*common[:axis], count, *common[axis + 1 :])
    return gather(x, axis, i)


# --- whole slices by index ---


def _at(index: Any, axis: int) -> tuple:
    return (*(slice(None),) * axis, index)


def _index_add(xp: Any, x: Any, index: Any, y: Any, axis: int) -> Any:
    z = xp.copy(x)
    xp.combine_at(z, _at(index, axis), y)
    return z


def _index_copy(xp: Any, x: Any, index: Any, y: Any, axis: int) -> Any:
    z = xp.copy(x)
    z[_at(index, axis)] = y
    return z


index_select_ = Primitive(
    "index_select",
    lambda xp, x, index, axis: xp.take(x, index, axis=axis),
    {"x": lambda xp, g, index, axis, x_shape: xp.index_spread(g, index, axis, x_shape)},
    inputs=2,
    kind="linear",
    node="IndexSelectBackward0",
    samples=lambda make: [(make(3, 2), _numbers(0, 2, 0), 0), (make(2, 3), _numbers(1), 1)],
)
index_spread = Primitive(
    "index_spread",
    lambda xp, y, index, axis, shape: _index_add(xp, xp.zeros(shape, dtype=y.dtype), index, y, axis),
    {"y": lambda xp, g, index, axis: xp.index_select(g, index, axis)},
    inputs=2,
    kind="linear",
    samples=lambda make: [(make(3, 2), _numbers(0, 2, 0), 0, (3, 2))],
)
index_add_ = Primitive(
    "index_add",
    _index_add,
    {"x": lambda xp, g: g, "y": lambda xp, g, index, axis, y_shape: _slices(xp, g, index, axis, y_shape)},
    inputs=3,
    kind="linear",
    node="IndexAddBackward0",
    samples=lambda make: [(make(3, 2), _numbers(0, 2, 0), make(3, 2), 0)],
)
index_copy_ = Primitive(
    "index_copy",
    _index_copy,
    {
        "x": lambda xp, g, index, axis: xp.index_fill(g, index, axis, 0),
        "y": lambda xp, g, index, axis, y_shape: _slices(xp, g, index, axis, y_shape),
    },
    inputs=3,
    kind="linear",
    node="IndexCopyBackward0",
    samples=lambda make: [(make(3, 2), _numbers(0, 2), make(2, 2), 0)],
)
index_fill_ = Primitive(
    "index_fill",
    lambda xp, x, index, axis, value: _index_copy(xp, x, index, value, axis),
    {"x": lambda xp, g, index, axis: xp.index_fill(g, index, axis, 0)},
    inputs=2,
    node="IndexFillBackward0",
    samples=lambda make: [(make(3, 2), _numbers(0, 2), 0, 2.5)],
)


def _slices(xp: Any, g: Any, index: Any, axis: int, shape: tuple) -> Any:
    return unbroadcast(xp, xp.index_select(g, index, axis), shape)


def _vector(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor | None = None) -> tuple:
    """Input, axis, index and source of whole slices. Raises as PyTorch where they do not fit."""
    axis = wrap_dim(dim, input._array.ndim)
    d = index._array.dtype
    if d.kind != "i" or d.itemsize < 4:
        kinds = "int64" if name in ("index_copy_", "index_fill_") else "int32/int64"
        error: type[Exception] = IndexError if name == "index_fill_" else RuntimeError
        raise error(f"{name}(): Expected dtype {kinds} for index")
    if index._array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, but got dim: {index._array.ndim}")
    same_device(name, input, index, *([] if source is None else [source]))
    i = index if index._array.ndim else index.reshape(1)
    x = input if input._array.ndim else input.reshape(1)
    length, count = x._array.shape[axis], i._array.size
    if name == "index_fill_" and type(i._array) is backends.host.ndarray and count and i._array.min() < 0:
        i = from_array(i._array % length if i._array.min() >= -length else i._array)
    in_range(i, length, RuntimeError if name == "index_add_" else IndexError)
    if source is not None:
        if source.dtype is not input.dtype:
            raise RuntimeError(
                f"{name}(): self ({input.dtype.type_name}) and source ({source.dtype.type_name}) must have the same "
                "scalar type"
            )
        if not source._array.ndim:
            source = source.reshape((1,) * x._array.ndim)
        own, given = list(x._array.shape), list(source._array.shape)
        if name == "index_add_" and own[:axis] + own[axis + 1 :] != given[:axis] + given[axis + 1 :]:
            raise RuntimeError(
                "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
                f"{own} source.shape = {given}"
            )
        if len(own) != len(given):
            raise (IndexError if name == "index_copy_" else RuntimeError)(
                f"{name}(): When source and destination are not scalars, their dimensionality must match. Source "
                f"dimensionality ({len(given)}), destination dimensionality ({len(own)})"
            )
        if given[axis] != count:
            raise IndexError(
                f"{name}(): Number of indices ({count}) should be equal to source.size(dim): ({given[axis]}), "
                f"for dim: {dim}"
            )
        if own[:axis] + own[axis + 1 :] != given[:axis] + given[axis + 1 :]:
            raise RuntimeError(
                f"{name}(): Source/destination tensor must have same slice shapes. Destination slice shape: {own} at "
                f"dimension {axis} and source slice shape: {given} at dimension {axis}."
            )
    return x, axis, i, source


@expose(out="same apart")
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that the vector `index` names, as a copy.

    Raises IndexError for an index that is no vector or out of range.
    """
    x, axis, i, _ = _vector("index_select", input, dim, index)
    return _shaped(index_select_.record((x, i), (axis,)), input)


@expose(out="same", inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` plus alpha times the slices of `source` at the places that `index` names along `dim`."""
    x, axis, i, y = _vector("index_add_", input, dim, index, source)
    return _shaped(index_add_.record((x, i, y if alpha == 1 else y * alpha), (axis,)), input)


@expose(out="same", inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with the slices of `source` at the places that `index` names along `dim`."""
    x, axis, i, y = _vector("index_copy_", input, dim, index, source)
    return _shaped(index_copy_.record((x, i, y), (axis,)), input)


@expose(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with a number, or a 0-d tensor, in all slices that `index` names along `dim`."""
    x, axis, i, _ = _vector("index_fill_", input, dim, index)
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        xp = backends.namespaces[type(x._array)]
        mask = xp.zeros((x._array.shape[axis],) + (1,) * (x._array.ndim - axis - 1), dtype=bool)
        mask[i._array] = True
        return _shaped(x.masked_fill(from_array(mask), value), input)
    if isinstance(value, complex) and not input.dtype.is_complex:
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not supported")
    return _shaped(index_fill_.record((x, i), (axis, value)), input)


@expose(out="same", inplace=True)
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """The slices of `source` reduced into those that `index` names along `dim`: prod, mean, amax or amin."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    x, axis, i, y = _vector("index_reduce_", input, dim, index, source)
    shape = [1] * x._array.ndim
    shape[axis] = -1
    i = i.view(shape).expand(y._array.shape)
    if not math.prod(y._array.shape):
        return input.clone()
    return _shaped(scatter_reduce_.record((x, i, y), (axis, reduce, include_self)), input)


@expose(function=False, method=False, into="nn.functional")
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A last dimension of `num_classes` zeros (one more than the largest class, if -1), with a 1 at each class.

    Raises RuntimeError unless the classes are int64, not negative and less than `num_classes`.
    """
    a = tensor._array
    if tensor.dtype is not int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, but got {tensor.dtype}")
    if not a.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    values = backends.elements(a)
    if values.size and int(values.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(a.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif values.size and int(values.max()) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return from_array((a[..., None] == backends.namespaces[type(a)].arange(num_classes)).astype("int64"))

"""Reductions over dimensions: sums, products, means, logsumexp, truth, vector norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import backends, dtypes
from ..graph.engine import sum_to
from ..graph.op import Primitive
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions

Dims = int | Sequence[int] | None


def spread(xp: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """The gradient of a sum: `g` repeated along the axes that were summed over."""
    return xp.broadcast_to(kept(xp, g, axis, keepdims), shape)


def kept(xp: Any, g: Any, axis: Any, keepdims: bool) -> Any:
    """A result, or its gradient, with the reduced axes as axes of length one."""
    return g if keepdims or axis is None else xp.expand_dims(g, axis)


def reduced_count(shape: tuple[int, ...], axis: Any) -> int:
    """The number of elements that make one element of a reduction's result."""
    if axis is None:
        return math.prod(shape)
    return shape[axis] if isinstance(axis, int) else math.prod(shape[d] for d in axis)


def over_axes(make: Any) -> list[tuple]:
    """Samples for a reduction: (x, axis, keepdims)."""
    return [
        (make(2, 3), 1, False),
        (make(2, 3, 2), (0, 2), True),
        (make(3, 2), None, False),
        (make(2, 2), None, True),
        (make(), None, False),
    ]


def axes(input: Tensor, dim: Dims) -> tuple[int, ...] | int | None:
    """`dim` as an axis or axes counted from the front; None and () are all. Raises on repeats and out of range."""
    if dim is None:
        return None
    ndim = input._array.ndim
    if isinstance(dim, int):
        d = wrap_dim(dim, ndim)
        return d if ndim else None
    found = tuple(wrap_dim(d, ndim) for d in dim)
    if len(set(found)) != len(found):
        raise RuntimeError(
            f"dim {next(d for d in found if found.count(d) > 1)} appears multiple times in the list of dims"
        )
    return (found or None) if ndim else None


def tensor_or_raise(input: Any, name: str) -> Any:
    """The raw array of `input`. Raises TypeError, naming the function, if it is no tensor."""
    try:
        return input._array
    except AttributeError:
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}") from None


# --- sums ---

sum_ = Primitive(
    "sum",
    lambda xp, x, axis=None, keepdims=False: xp.sum(x, axis=axis, keepdims=keepdims),
    {"x": lambda xp, g, x_shape, axis, keepdims: spread(xp, g, x_shape, axis, keepdims)},
    kind="linear",
    node="SumBackward1",
    samples=over_axes,
)
sum_all = Primitive(
    "sum_all",
    lambda xp, x: xp.sum(x),
    {"x": lambda xp, g, x_shape: xp.broadcast_to(g, x_shape)},
    kind="linear",
    node="SumBackward0",
    samples=lambda make: [(make(2, 3),), (make(),), (make(0),)],
)


def accumulated(input: Tensor, dtype: dtypes.dtype | None) -> Tensor:
    """`input` in the dtype in which sums are made: as asked, int64 for integers and booleans."""
    if dtype is None and input._array.dtype.kind in "biu":
        dtype = dtypes.int64
    return input if dtype is None or dtype is input.dtype else input.to(dtype)


@expose(out=True)
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The sum of all elements, or over `dim`. Integers and booleans are summed in int64.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if dtype is not None or tensor_or_raise(input, "sum").dtype.kind in "biu":
        input = accumulated(input, dtype)
        if input.dtype.category == 1:  # NumPy adds up in int64
            return sum_.record((input,), (axes(input, dim), keepdim)).to(input.dtype)
    if dim is None and not keepdim:
        return sum_all.record((input,))
    return sum_.record((input,), (axes(input, dim), keepdim))


@expose(function=False)
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Summed over the dimensions along which `size` would be broadcast to this shape.

    Raises RuntimeError if it would not.
    """
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    own = input._array.shape
    lead = len(own) - len(shape)
    if lead < 0 or not all(n in (1, m) for n, m in zip(shape, own[lead:], strict=True)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(own)}}}.")
    return input if shape == own else sum_to(input, shape, _recorded)


class _recorded:
    """What `sum_to` needs, recorded."""

    sum = staticmethod(lambda x, axis: sum_.record((x,), (axis, False)) if axis else x)
    reshape = staticmethod(lambda x, shape: x.reshape(shape))


@expose(out=True)
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """`sum` with NaN counted as zero. Raises RuntimeError for complex tensors."""
    return sum(_without_nan(input), dim, keepdim, dtype=dtype)


def _without_nan(input: Tensor) -> Any:
    if input._array.dtype.kind in "biu":
        return input
    if input.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    return functions["where"](functions["isnan"](input), 0, input)


# --- means ---

mean_ = Primitive(
    "mean",
    lambda xp, x, axis=None, keepdims=False: xp.mean(x, axis=axis, keepdims=keepdims),
    {
        "x": lambda xp, g, x_shape, axis, keepdims: spread(
            xp, g / (reduced_count(x_shape, axis) or math.nan), x_shape, axis, keepdims
        )
    },
    kind="linear",
    node="MeanBackward1",
    samples=over_axes,
)
mean_all = Primitive(
    "mean_all",
    lambda xp, x: xp.mean(x),
    {"x": lambda xp, g, x_shape: xp.broadcast_to(g / (math.prod(x_shape) or math.nan), x_shape)},
    kind="linear",
    node="MeanBackward0",
    samples=lambda make: [(make(2, 3),), (make(),)],
)


@expose(out=True)
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The mean of all elements, or over `dim`. Raises RuntimeError for integers and booleans unless dtype is floating.

    >>> mean(tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([1.5000, 3.5000])
    """
    if dtype is not None or tensor_or_raise(input, "mean").dtype.kind in "biu":
        wanted, which = (input.dtype, "Input") if dtype is None else (dtype, "Optional")
        if wanted.category < 2:
            raise RuntimeError(
                f"mean(): could not infer output dtype. {which} dtype must be either a floating point or complex "
                f"dtype. Got: {wanted.type_name}"
            )
        input = accumulated(input, wanted)
    if dim is None and not keepdim:
        return mean_all.record((input,))
    return mean_.record((input,), (axes(input, dim), keepdim))


@expose(out=True)
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """`mean` of the elements that are not NaN; NaN where there are none. Raises RuntimeError for integers."""
    if input.dtype.category < 2:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.type_name}"
        )
    there: Any = functions["logical_not"](functions["isnan"](input))
    return sum(_without_nan(input), dim, keepdim, dtype=dtype) / sum(there, dim, keepdim)


# --- products ---


def _prod_x(xp: Any, g: Any, x: Any, axis: int | None, keepdims: bool) -> Any:
    """The product of the others, from running products from both ends: right where elements are zero, too."""
    shape, along = tuple(x.shape), axis or 0
    if axis is None:
        x = xp.reshape(x, (-1,))
    before = xp.shift(xp.running_product(x, along, False), along, 1, 1)
    after = xp.shift(xp.running_product(x, along, True), along, -1, 1)
    return kept(xp, g, axis, keepdims) * xp.reshape(before * after, shape)


prod_ = Primitive(
    "prod",
    lambda xp, x, axis=None, keepdims=False: xp.prod(x, axis=axis, keepdims=keepdims),
    {"x": _prod_x},
    node="ProdBackward1",
    samples=lambda make: [(make(2, 3), 1, False), (make(3, 2), 0, True), (make(4), None, False), (make(), None, False)],
)
prod_all = Primitive(
    "prod_all",
    lambda xp, x: xp.prod(x),
    {"x": lambda xp, g, x: _prod_x(xp, g, x, None, False)},
    node="ProdBackward0",
    samples=lambda make: [(make(2, 2),), (make(),)],
)


@expose(out=True)
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
    """The product of all elements, or over `dim`. Integers and booleans are multiplied in int64.

    The gradient is right where elements are zero, too.
    """
    tensor_or_raise(input, "prod")
    if isinstance(dim, (tuple, list)):
        raise TypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}")
    x = accumulated(input, dtype)
    if dim is None and not keepdim:
        return prod_all.record((x,)).to(x.dtype)
    return prod_.record((x,), (axes(x, dim), keepdim)).to(x.dtype)


# --- logsumexp ---


def _logsumexp(xp: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    if not x.size:
        return xp.log(xp.sum(x, axis=axis, keepdims=keepdims))
    top = xp.max(x.real, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    result = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else xp.reshape(result, xp.sum(top, axis=axis).shape)


logsumexp_ = Primitive(
    "logsumexp",
    _logsumexp,
    {
        "x": lambda xp, g, x, out, axis, keepdims: (
            kept(xp, g, axis, keepdims) * xp.exp(x - kept(xp, out, axis, keepdims))
        )
    },
    samples=over_axes,
)


@expose("special.logsumexp", out=True)
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials over `dim`, which does not overflow."""
    if input.dtype.category < 2:
        input = input.to(dtypes.get_default_dtype())
    return logsumexp_.record((input,), (axes(input, dim), keepdim))


# --- truth ---


def _truth(name: str, doc: str) -> Any:
    def function(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        a = tensor_or_raise(input, name)
        xp = backends.namespaces[type(a)]
        over = () if dim == () else axes(input, dim)  # as in PyTorch, () is no dimension here, though all in `sum`
        result = xp.asarray(getattr(xp, name)(a != 0, axis=over, keepdims=keepdim))
        # as in PyTorch, uint8 stays what it was before there were booleans
        return from_array(result.astype("uint8") if a.dtype == "uint8" else result)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return expose(out=True)(function)


_truth("any", "Whether any element is not zero, of all or over `dim`; bool, but uint8 for uint8.")
_truth("all", "Whether every element is not zero, of all or over `dim`; bool, but uint8 for uint8.")


@expose()
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not zero, of all or over `dim`; int64."""
    a = tensor_or_raise(input, "count_nonzero")
    xp = backends.namespaces[type(a)]
    return from_array(xp.asarray(xp.sum((a != 0).astype("int64"), axis=axes(input, dim))))


@expose(out=True)
def hash_tensor(input: Tensor, dim: Dims = (), keepdim: bool = False, mode: int = 0) -> Tensor:
    """A hash of all elements, or over `dim`; uint64: the exclusive or of their bits as float64 or int64.

    Raises RuntimeError for another `mode` than 0 and for no elements, IndexError for a `dim` of none,
    NotImplementedError for complex and unsigned 64-bit numbers.

    >>> hash_tensor(tensor([1, 2, 4]))
    tensor(7, dtype=gradcu.uint64)
    """
    a = tensor_or_raise(input, "hash_tensor")
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if a.dtype.kind == "c" or (a.dtype.kind == "u" and a.itemsize > 1):
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{input.dtype.type_name}'")
    axis = axes(input, dim)
    over = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if axis is None and not a.size:
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
            "with the 'dim' argument."
        )
    for d in over:
        if not a.shape[d]:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    xp = backends.namespaces[type(a)]
    bits = a.astype("float64" if a.dtype.kind in "fV" else "int64").view("uint64")
    rest = [d for d in range(a.ndim) if d not in over]
    bits = bits.transpose((*over, *rest)).reshape(math.prod(a.shape[d] for d in over), *(a.shape[d] for d in rest))
    while len(bits) > 1:  # not every library can reduce by `^`
        half = len(bits) // 2
        bits = xp.concat((bits[:half] ^ bits[half : 2 * half], bits[2 * half :]))
    return from_array(
        bits.reshape([1 if d in over else n for d, n in enumerate(a.shape)] if keepdim else bits.shape[1:])
    )


# --- norms ---


def _norm(xp: Any, x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    d, half = x.dtype, x.itemsize == 2
    size = xp.abs(x.astype("float32") if half else x)
    if ord == 2:
        result = xp.sqrt(xp.sum(size * size, axis=axis, keepdims=keepdims))
    elif math.isinf(ord):
        result = (xp.max if ord > 0 else xp.min)(size, axis=axis, keepdims=keepdims)
    elif ord == 0:
        result = xp.sum((size != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    elif ord == 1:
        result = xp.sum(size, axis=axis, keepdims=keepdims)
    else:
        result = xp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    return result.astype(d) if half else result


def _norm_x(xp: Any, g: Any, x: Any, out: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    """PyTorch's subgradients: zero at the origin; ties of the largest share equally."""
    g, out = kept(xp, g, axis, keepdims), kept(xp, out, axis, keepdims)
    if ord == 0:
        return xp.zeros_like(x)
    if ord == 1:
        return g * xp.sgn(x)
    if ord == 2:
        return xp.where(out == 0, 0, x / xp.where(out == 0, 1, out) * g)
    size = xp.abs(x)
    if math.isinf(ord):
        top = xp.where((size == out) | (size != size), xp.zeros_like(size) + 1, 0)
        return xp.sgn(x) * top * (g / xp.sum(top, axis=axis, keepdims=True))
    zero = (out == 0) if ord > 1 else (size == 0)
    slope = xp.where(size == 0, 0, xp.where(size == 0, 1, size) ** (ord - 1))
    return xp.where(zero, 0, xp.sgn(x) * slope * (g / xp.where(out == 0, 1, out) ** (ord - 1)))


vector_norm_ = Primitive(
    "vector_norm",
    _norm,
    {"x": _norm_x},
    node="LinalgVectorNormBackward0",
    holomorphic=False,
    domain=(0.2, 3.0),
    samples=lambda make: [
        (make(2, 3), ord, axis, keepdims)
        for ord, axis, keepdims in (
            (2, 1, False), (2, None, False), (1, 0, True), (3.5, 1, False), (0.5, (0, 1), True), (math.inf, 1, False),
            (-1, None, False), (-math.inf, 0, False), (0, 1, False),
        )
    ],
)  # fmt: skip


@expose(function=False, method=False, into="linalg", out="same")
def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None
) -> Tensor:
    """The `ord`-norm of all elements as one vector, or over `dim`: sum(|x|^ord)^(1/ord).

    inf and -inf are the largest and the smallest magnitude, 0 counts what is not zero. Raises RuntimeError for
    integers.
    """
    tensor_or_raise(x, "linalg_vector_norm")
    if x.dtype.category < 2:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype.type_name}"
        )
    if dtype is not None:
        if dtype.is_complex != x.dtype.is_complex or dtype.category < 2:
            kind = "complex" if x.dtype.is_complex else "floating point"
            raise RuntimeError(
                f"linalg.vector_norm: dtype should be {kind} if the inputs are {kind}. Got {dtype.type_name}"
            )
        if dtypes.promote_types(dtype, x.dtype) is not dtype:
            raise RuntimeError(
                f"linalg.vector_norm: the dtype of the input ({x.dtype.type_name}) should be convertible "
                f"without narrowing to the specified dtype ({dtype.type_name})"
            )
        x = x.to(dtype)
    over = axes(x, dim)
    if (ord < 0 or ord == math.inf) and not x._array.size:
        shape = x._array.shape
        what = f"the {'inf' if math.isinf(ord) else ord} norm"
        if over is None:
            raise RuntimeError(
                f"linalg.vector_norm cannot compute {what} on an empty tensor because the operation does not have an "
                "identity"
            )
        for d in (over,) if isinstance(over, int) else over:
            if not shape[d]:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute {what} on the dimension {d} because this dimension is empty "
                    "and the operation does not have an identity"
                )
    return vector_norm_.record((x,), (ord, over, keepdim))


@expose(out=True)
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The `p`-norm of `input - other`, broadcast, as one vector."""
    return vector_norm(input - other, p)

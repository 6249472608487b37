"""Views that rearrange: reshape, permute, expand, squeeze and their kin. They share memory with their input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph.engine import sum_to
from ..graph.errors import broadcast_error
from ..graph.op import Primitive
from ..tensor import Size, Tensor, from_array, version_of, wrap_dim
from .expose import expose

reshape_ = Primitive(
    "reshape",
    lambda xp, x, shape: xp.reshape(x, shape),
    {"x": lambda xp, g, x_shape: xp.reshape(g, x_shape)},
    kind="linear",
    node="ViewBackward0",
    view="maybe",
    samples=lambda make: [(make(2, 3), (3, 2)), (make(), (1, 1)), (make(0, 2), (2, 0)), (make(4), (2, 2))],
)
permute_dims = Primitive(
    "permute_dims",
    lambda xp, x, axes: xp.permute_dims(x, axes),
    {"x": lambda xp, g, axes: xp.permute_dims(g, inverse_permutation(axes))},
    kind="linear",
    node="PermuteBackward0",
    saved={"axes": "dims"},
    view=True,
    samples=lambda make: [(make(2, 3), (1, 0)), (make(2, 3, 1), (2, 0, 1)), (make(), ()), (make(0, 2), (1, 0))],
)
swapaxes = Primitive(
    "swapaxes",
    lambda xp, x, axis1, axis2: x.swapaxes(axis1, axis2),
    {"x": lambda xp, g, axis1, axis2: xp.swapaxes(g, axis1, axis2)},
    kind="linear",
    node="TransposeBackward0",
    saved={"axis1": "dim0", "axis2": "dim1"},
    view=True,
    samples=lambda make: [(make(2, 3), 0, 1), (make(2, 1, 3), 2, 0), (make(0, 2), 0, 1)],
)
matrix_transpose = Primitive(
    "matrix_transpose",
    lambda xp, x: xp.matrix_transpose(x),
    {"x": lambda xp, g: xp.matrix_transpose(g)},
    kind="linear",
    node="TBackward0",
    view=True,
    samples=lambda make: [(make(2, 3),), (make(2, 1, 3),), (make(0, 2),)],
)


def _broadcast(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    view = xp.broadcast_to(x, shape)
    if view.size == x.size and view.size:
        return xp.reshape(x, shape)  # nothing is repeated: the view may be written to
    return view


broadcast_to_ = Primitive(
    "broadcast_to",
    _broadcast,
    {"x": lambda xp, g, x_shape: unbroadcast(xp, g, x_shape)},
    kind="linear",
    node="ExpandBackward0",
    view=True,
    samples=lambda make: [(make(2, 1), (2, 3)), (make(3), (2, 3)), (make(), (2,)), (make(1, 0), (2, 0))],
)
expand_dims = Primitive(
    "expand_dims",
    lambda xp, x, axis: xp.expand_dims(x, axis),
    {"x": lambda xp, g, axis: xp.squeeze(g, axis)},
    kind="linear",
    node="UnsqueezeBackward0",
    view=True,
    samples=lambda make: [(make(2, 3), 1), (make(), 0), (make(2), (0, 2)), (make(0, 2), -1)],
)
squeeze_all, squeeze_, squeeze_several = (
    Primitive(
        name,
        lambda xp, x, axis: xp.squeeze(x, axis),
        {"x": lambda xp, g, x_shape: xp.reshape(g, x_shape)},
        kind="linear",
        node=node,
        view=True,
        samples=lambda make: [(make(2, 1, 3), (1,)), (make(1, 2, 1), (0, 2)), (make(2, 3), ()), (make(), ())],
    )
    for name, node in (
        ("squeeze_all", "SqueezeBackward0"),
        ("squeeze", "SqueezeBackward1"),
        ("squeeze_several", "SqueezeBackward2"),
    )
)


def inverse_permutation(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `axes`."""
    back = [0] * len(axes)
    for i, axis in enumerate(axes):
        back[axis] = i
    return tuple(back)


def unbroadcast(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` down to a shape that was broadcast to its own."""
    return g if tuple(g.shape) == tuple(shape) else sum_to(g, shape, xp)


def as_shape(sizes: Any) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence of them."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    if any(type(n) is not int for n in sizes):
        for n in sizes:
            if not hasattr(n, "__index__") or isinstance(n, bool):
                raise TypeError(f"shape must be a tuple of ints, but got {type(n).__name__}")
        sizes = [n.__index__() for n in sizes]
    return tuple(sizes)


def infer_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """A shape in which one -1 stands for what is left. Raises RuntimeError if it cannot hold `numel` elements."""
    unknown = [i for i, n in enumerate(shape) if n == -1]
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    known = math.prod(n for n in shape if n != -1)
    if not unknown:
        if known != numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return shape
    if not known and not numel:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension "
            "size -1 can "
            "be any value and is ambiguous"
        )
    if not known or numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if n == -1 else n for n in shape)


@expose()
def reshape(input: Tensor, *sizes: Any, shape: Sequence[int] | None = None) -> Tensor:
    """The same elements in another shape: a view where the strides allow it, else a copy. One length may be -1.

    >>> arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if shape is None and not sizes:
        raise TypeError("reshape() missing 1 required positional argument: 'shape'")
    a = input._array
    return reshape_.record((input,), (infer_shape(as_shape(sizes if shape is None else (shape,)), a.size),))


@expose(function=False)
def view(input: Tensor, *shape: Any, size: Sequence[int] | None = None, dtype: dtypes.dtype | None = None) -> Tensor:
    """The same memory in another shape, or read as another dtype.

    Raises RuntimeError if no strides give that shape; `reshape` copies then.
    """
    if dtype is not None or (shape and isinstance(shape[0], dtypes.dtype)):
        return _view_as_dtype(input, dtype or shape[0])
    if size is not None:
        shape = (size,)
    elif not shape:
        raise TypeError("view(): expected a shape or a dtype")
    a = input._array
    wanted = infer_shape(as_shape(shape), a.size)
    result = reshape_.record((input,), (wanted,))
    if result._view is None and result._counter is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return result


def _view_as_dtype(x: Tensor, dtype: dtypes.dtype) -> Tensor:
    """The same bytes as elements of another dtype: no gradient goes through."""
    a, size = x._array, dtype.itemsize
    if size != a.itemsize:
        if not a.ndim:
            raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)")
        if a.shape[-1] * a.itemsize % size:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {size // a.itemsize} to view {x.dtype} as {dtype} "
                "(different element "
                f"sizes), but got {a.shape[-1]}"
            )
        if a.strides[-1] != a.itemsize:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {x.dtype} as {dtype} (different element sizes), but got "
                f"{x.stride(-1)}"
            )
    result = from_array(a.view(dtype.numpy))
    result._counter = version_of(x)
    return result


@expose()
def permute(input: Tensor, *order: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The dimensions in another order. Raises RuntimeError unless `dims` names each once."""
    axes = as_shape(order if dims is None else (dims,))
    ndim = input._array.ndim
    if len(axes) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(axes)}"
        )
    axes = tuple(wrap_dim(d, ndim) for d in axes)
    if len(set(axes)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permute_dims.record((input,), (axes,))


@expose("swapaxes", "swapdims", inplace=False)
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    ndim = input._array.ndim
    dim0, dim1 = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    return swapaxes.record((input,), (dim0, dim1)) if ndim else reshape_.record((input,), ((),))


@expose()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors are returned as they are."""
    if input._array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D")
    return matrix_transpose.record((input,)) if input._array.ndim == 2 else reshape_.record((input,), (input.shape,))


@expose(function=False)
def expand(input: Tensor, *sizes: Any, size: Sequence[int] | None = None) -> Tensor:
    """Dimensions of length one repeated without copying; -1 keeps a length.

    Raises RuntimeError where a length is neither one nor the wanted one.
    """
    shape = as_shape(sizes if size is None else (size,))
    own = input._array.shape
    if len(shape) < len(own):
        raise RuntimeError(
            f"expand({input.dtype}{list(own)}, size={list(shape)}): the number of sizes provided ({len(shape)}) "
            "must be "
            f"greater or equal to the number of dimensions in the tensor ({len(own)})"
        )
    lead = len(shape) - len(own)
    full = []
    for i, n in enumerate(shape):
        m = own[i - lead] if i >= lead else None
        if n == -1:
            if m is None:
                raise RuntimeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )
            n = m
        elif n < 0:
            raise RuntimeError(f"The expanded size of the tensor ({n}) isn't allowed")
        elif m is not None and m not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({m}) at non-singleton dimension "
                f"{i}.  Target sizes: {list(shape)}.  Tensor sizes: {list(own)}"
            )
        full.append(n)
    return broadcast_to_.record((input,), (tuple(full),))


@expose()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of length one inserted at `dim`."""
    return expand_dims.record((input,), (wrap_dim(dim, input._array.ndim + 1),))


@expose()
def squeeze(input: Tensor, *dims: Any, dim: int | Sequence[int] | None = None) -> Tensor:
    """Without dimensions of length one: all, or those named."""
    a = input._array
    if dims:
        dim = dims[0] if len(dims) == 1 else dims
    if dim is None:
        return squeeze_all.record((input,), (tuple(i for i, n in enumerate(a.shape) if n == 1),))
    named, primitive = ([dim], squeeze_) if isinstance(dim, int) else (dim, squeeze_several)
    axes = tuple(d for d in (wrap_dim(d, a.ndim) for d in named) if a.ndim and a.shape[d] == 1)
    return primitive.record((input,), (axes,))


@expose()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions from `start_dim` to `end_dim` made into one."""
    shape = input._array.shape
    if not shape:
        return input.reshape(1)
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if start == end:
        return input
    return reshape_.record((input,), (shape[:start] + (math.prod(shape[start : end + 1]),) + shape[end + 1 :],))


# --- broadcasting ---


@expose(method=False)
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which shapes broadcast. Raises RuntimeError if they do not.

    >>> broadcast_shapes((2, 1), (3,))
    gradcu.Size([2, 3])
    """
    found = [(n,) if isinstance(n, int) else tuple(n) for n in shapes]
    for shape in found:
        if any(n < 0 for n in shape):
            raise RuntimeError(f"Trying to create tensor with negative dimension ({min(shape)}): ({min(shape)})")
    result: list[int] = []
    for axis in range(1, max(map(len, found), default=0) + 1):
        lengths = {shape[-axis] for shape in found if len(shape) >= axis} - {1}
        if len(lengths) > 1:
            raise RuntimeError(
                "Shape mismatch: objects cannot be broadcast to a single shape: "
                + ", ".join(str(list(shape)) for shape in found)
            )
        result.insert(0, lengths.pop() if lengths else 1)
    return Size(result)


@expose(method=False)
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape. Raises RuntimeError if there is none."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shapes = [t._array.shape for t in tensors]
    if any(s != shapes[0] for s in shapes):
        mismatch = broadcast_error(shapes)
        if mismatch is not None:
            raise mismatch
        shape = broadcast_shapes(*shapes)
        return tuple(t if t._array.shape == shape else expand(t, shape) for t in tensors)
    return tuple(tensors)


@expose()
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """The tensor expanded to `size` without copying."""
    return expand(input, tuple(size))


@expose(function=False)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor expanded to the shape of `other`."""
    return expand(input, other._array.shape)


@expose(function=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view in the shape of `other`."""
    return view(input, other._array.shape)


@expose(function=False)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of `other`."""
    return reshape(input, other._array.shape)


@expose()
def ravel(input: Tensor) -> Tensor:
    """All elements as a vector: a view of a contiguous tensor, else a copy."""
    return reshape_.record((input,), ((input._array.size,),))


@expose()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension made into several, of which one length may be -1. Raises RuntimeError if they do not fit."""
    if not isinstance(sizes, (tuple, list)):
        raise TypeError(f"unflatten(): argument 'sizes' (position 2) must be tuple of ints, not {type(sizes).__name__}")
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    shape = input._array.shape
    axis = wrap_dim(dim, len(shape))
    length = shape[axis]
    known = math.prod(n for n in sizes if n != -1)
    unknown = sum(1 for n in sizes if n == -1)
    if unknown > 1:
        raise RuntimeError("only one dimension can be inferred")
    if (unknown and (not known or length % known)) or (not unknown and known != length):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} ({length}) in "
            "the input "
            "tensor"
        )
    full = tuple(length // known if n == -1 else n for n in sizes)
    return reshape_.record((input,), ((*shape[:axis], *full, *shape[axis + 1 :]),))


# --- orders of dimensions ---


@expose("moveaxis")
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places, the rest in their order."""
    ndim = input._array.ndim
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({sources} dims) should contain the same "
            "number of dims "
            f"as destination ({targets} dims)"
        )
    sources, targets = [wrap_dim(d, ndim) for d in sources], [wrap_dim(d, ndim) for d in targets]
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if not ndim:
        return view(input, ())
    order = [d for d in range(ndim) if d not in sources]
    for target, d in sorted(zip(targets, sources, strict=True)):
        order.insert(target, d)
    return permute_dims.record((input,), (tuple(order),))


def _reversed(self: Tensor) -> Tensor:
    """The dimensions in reverse order."""
    return permute_dims.record((self,), (tuple(range(self._array.ndim))[::-1],))


def _matrix(self: Tensor, name: str) -> Tensor:
    ndim = self._array.ndim
    if ndim < 2:
        raise RuntimeError(f"tensor.{name} is only supported on matrices or batches of matrices. Got {ndim}-D tensor.")
    return swapaxes.record((self,), (ndim - 2, ndim - 1))


def _hermitian(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix. Raises RuntimeError for tensors that are neither 2-d nor 0-d."""
    if self._array.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self._array.ndim}-D tensor.")
    transposed = _matrix(self, "H") if self._array.ndim else self
    return transposed.conj() if self.is_complex() else transposed


@expose()
def adjoint(input: Tensor) -> Tensor:
    """The conjugate transposes of matrices. Raises RuntimeError below two dimensions."""
    if input._array.ndim < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input._array.ndim}-D tensor."
        )
    transposed = _matrix(input, "adjoint()")
    return transposed.conj() if input.is_complex() else transposed


def _property(name: str, function: Any) -> None:
    setattr(Tensor, name, property(function, doc=function.__doc__))


_property("T", _reversed)
_property("H", _hermitian)
_property("mT", lambda self: _matrix(self, "mT"))
_property("mH", adjoint)

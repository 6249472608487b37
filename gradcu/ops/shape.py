"""Views that rearrange: reshape, permute, expand, squeeze and their kin. They share memory with their input."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from .. import backends, dtypes
from ..graph.engine import sum_to
from ..graph.errors import broadcast_error
from ..graph.modes import state
from ..graph.op import Primitive
from ..graph.views import changed, check_inplace
from ..tensor import Size, Tensor, edge_of, from_array, wrap_dim
from .expose import expose

reshape_ = Primitive(
    "reshape",
    lambda xp, x, shape: xp.reshape(x, shape),
    {"x": lambda xp, g, x_shape: xp.reshape(g, x_shape)},
    kind="linear",
    node="ViewBackward0",
    view="maybe",
)
permute_dims = Primitive(
    "permute_dims",
    lambda xp, x, axes: xp.permute_dims(x, axes),
    {"x": lambda xp, g, axes: xp.permute_dims(g, inverse_permutation(axes))},
    kind="linear",
    node="PermuteBackward0",
    view=True,
)
swapaxes = Primitive(
    "swapaxes",
    lambda xp, x, axis1, axis2: x.swapaxes(axis1, axis2),
    {"x": lambda xp, g, axis1, axis2: xp.swapaxes(g, axis1, axis2)},
    kind="linear",
    node="TransposeBackward0",
    view=True,
)
matrix_transpose = Primitive(
    "matrix_transpose",
    lambda xp, x: xp.matrix_transpose(x),
    {"x": lambda xp, g: xp.matrix_transpose(g)},
    kind="linear",
    node="TBackward0",
    view=True,
)
broadcast_to_ = Primitive(
    "broadcast_to",
    lambda xp, x, shape: xp.broadcast_to(x, shape),
    {"x": lambda xp, g, x_shape: unbroadcast(xp, g, x_shape)},
    kind="linear",
    node="ExpandBackward0",
    view=True,
)
expand_dims = Primitive(
    "expand_dims",
    lambda xp, x, axis: xp.expand_dims(x, axis),
    {"x": lambda xp, g, axis: xp.squeeze(g, axis)},
    kind="linear",
    node="UnsqueezeBackward0",
    view=True,
)
squeeze_ = Primitive(
    "squeeze",
    lambda xp, x, axis: xp.squeeze(x, axis),
    {"x": lambda xp, g, x_shape: xp.reshape(g, x_shape)},
    kind="linear",
    node="SqueezeBackward1",
    view=True,
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
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can "
            "be any value and is ambiguous"
        )
    if not known or numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if n == -1 else n for n in shape)


@expose()
def reshape(input: Tensor, *shape: Any) -> Tensor:  # noqa: A002
    """The same elements in another shape: a view where the strides allow it, else a copy. One length may be -1.

    >>> arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    a = input._array
    return reshape_.record((input,), (infer_shape(as_shape(shape), a.size),))


@expose(function=False)
def view(input: Tensor, *shape: Any, dtype: dtypes.dtype | None = None) -> Tensor:  # noqa: A002
    """The same memory in another shape, or read as another dtype.

    Raises RuntimeError if no strides give that shape; `reshape` copies then.
    """
    if dtype is not None or (shape and isinstance(shape[0], dtypes.dtype)):
        return view_dtype.record((input,), ((dtype or shape[0]).numpy,))
    a = input._array
    wanted = infer_shape(as_shape(shape), a.size)
    result = reshape_.record((input,), (wanted,))
    if result._view is None and result._counter is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return result


view_dtype = Primitive("view_dtype", lambda xp, x, dtype: x.view(dtype), view=True, node="ViewBackward1")


@expose()
def permute(input: Tensor, *dims: Any) -> Tensor:  # noqa: A002
    """The dimensions in another order. Raises RuntimeError unless `dims` names each once."""
    axes = as_shape(dims)
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
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:  # noqa: A002
    """Two dimensions exchanged."""
    ndim = input._array.ndim
    dim0, dim1 = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    return swapaxes.record((input,), (dim0, dim1)) if ndim else reshape_.record((input,), ((),))


@expose()
def t(input: Tensor) -> Tensor:  # noqa: A002
    """The transpose of a matrix; vectors and 0-d tensors are returned as they are."""
    if input._array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D")
    return matrix_transpose.record((input,)) if input._array.ndim == 2 else reshape_.record((input,), (input.shape,))


@expose(function=False)
def expand(input: Tensor, *sizes: Any) -> Tensor:  # noqa: A002
    """Dimensions of length one repeated without copying; -1 keeps a length.

    Raises RuntimeError where a length is neither one nor the wanted one.
    """
    shape = as_shape(sizes)
    own = input._array.shape
    if len(shape) < len(own):
        raise RuntimeError(
            f"expand({input.dtype}{list(own)}, size={list(shape)}): the number of sizes provided ({len(shape)}) must be "
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
def unsqueeze(input: Tensor, dim: int) -> Tensor:  # noqa: A002
    """A dimension of length one inserted at `dim`."""
    return expand_dims.record((input,), (wrap_dim(dim, input._array.ndim + 1),))


@expose()
def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:  # noqa: A002
    """Without dimensions of length one: all, or those named."""
    a = input._array
    if dim is None:
        axes = tuple(i for i, n in enumerate(a.shape) if n == 1)
    else:
        named = [dim] if isinstance(dim, int) else dim
        axes = tuple(d for d in (wrap_dim(d, a.ndim) for d in named) if a.ndim and a.shape[d] == 1)
    return squeeze_.record((input,), (axes,))


@expose()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:  # noqa: A002
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
def broadcast_to(input: Tensor, size: Any) -> Tensor:  # noqa: A002
    """The tensor expanded to `size` without copying."""
    return expand(input, tuple(size))


@expose(function=False)
def expand_as(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """The tensor expanded to the shape of `other`."""
    return expand(input, other._array.shape)


@expose(function=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """A view in the shape of `other`."""
    return view(input, other._array.shape)


@expose(function=False)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """The same elements in the shape of `other`."""
    return reshape(input, other._array.shape)


@expose()
def ravel(input: Tensor) -> Tensor:  # noqa: A002
    """All elements as a vector: a view of a contiguous tensor, else a copy."""
    return reshape_.record((input,), ((input._array.size,),))


@expose()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:  # noqa: A002
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
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} ({length}) in the input "
            "tensor"
        )
    full = tuple(length // known if n == -1 else n for n in sizes)
    return reshape_.record((input,), ((*shape[:axis], *full, *shape[axis + 1 :]),))


# --- orders of dimensions ---


@expose("moveaxis")
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:  # noqa: A002
    """Dimensions moved to other places, the rest in their order."""
    ndim = input._array.ndim
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({sources} dims) should contain the same number of dims "
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
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got {ndim}-D tensor."
        )
    return swapaxes.record((self,), (ndim - 2, ndim - 1))


def _hermitian(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix. Raises RuntimeError for tensors of another number of dimensions than 2, 0."""
    if self._array.ndim not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {self._array.ndim}-D tensor."
        )
    transposed = _matrix(self, "H") if self._array.ndim else self
    return transposed.conj() if self.is_complex() else transposed  # type: ignore[attr-defined]


@expose()
def adjoint(input: Tensor) -> Tensor:  # noqa: A002
    """The conjugate transposes of matrices. Raises RuntimeError below two dimensions."""
    if input._array.ndim < 2:
        raise RuntimeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input._array.ndim}-D tensor."
        )
    transposed = _matrix(input, "adjoint()")
    return transposed.conj() if input.is_complex() else transposed  # type: ignore[attr-defined]


def _property(name: str, function: Any) -> None:
    setattr(Tensor, name, property(function, doc=function.__doc__))


_property("T", _reversed)
_property("H", _hermitian)
_property("mT", lambda self: _matrix(self, "mT"))
_property("mH", adjoint)


# --- parts ---


@expose()
def select(input: Tensor, dim: int, index: int) -> Tensor:  # noqa: A002
    """The slice at `index` along `dim`, without that dimension; a view. Raises IndexError out of range."""
    if not input._array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = wrap_dim(dim, input._array.ndim)
    index = operator.index(index)
    length = input._array.shape[axis]
    if not -length <= index < length:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input._array.shape)} at dimension {dim}"
        )
    return input[(slice(None),) * axis + (index,)]


@expose()
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:  # noqa: A002
    """`length` slices from `start` along `dim`; a view. Raises RuntimeError or IndexError out of range."""
    if not input._array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor) and (start._array.ndim or start._array.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    axis, first = wrap_dim(dim, input._array.ndim), operator.index(start)
    n = input._array.shape[axis]
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [-{n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return input[(slice(None),) * axis + (slice(first, first + length),)]


diagonal_ = Primitive(
    "diagonal_view",
    lambda xp, x, offset, axis1, axis2: _diagonal(xp, x, offset, axis1, axis2),
    {"x": lambda xp, g, offset, axis1, axis2, x_shape: xp.diagonal_place(g, offset, axis1, axis2, x_shape)},
    kind="linear",
    node="DiagonalBackward0",
    view=True,
    samples=lambda make: [(make(3, 4), 0, 0, 1), (make(2, 3, 4), -1, 2, 0), (make(2, 3), 5, 0, 1)],
)
diagonal_place = Primitive(
    "diagonal_place",
    lambda xp, x, offset, axis1, axis2, shape: _diagonal_place(xp, x, offset, axis1, axis2, shape),
    {"x": lambda xp, g, offset, axis1, axis2: xp.diagonal_view(g, offset, axis1, axis2)},
    kind="linear",
    node="DiagEmbedBackward0",
    samples=lambda make: [(make(3), 0, 0, 1, (3, 4)), (make(2, 2), -1, 0, 2, (3, 2, 3))],
)


def _diagonal(xp: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """NumPy's own diagonal is read-only, this view is not."""
    rows, columns = x.shape[axis1], x.shape[axis2]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start: list[Any] = [slice(None)] * x.ndim
    start[axis1], start[axis2] = slice(max(-offset, 0), None), slice(max(offset, 0), None)
    corner = x[tuple(start)]
    rest = [d for d in range(x.ndim) if d not in (axis1, axis2)]
    shape = (*(x.shape[d] for d in rest), n)
    strides = (*(x.strides[d] for d in rest), x.strides[axis1] + x.strides[axis2])
    return xp.lib.stride_tricks.as_strided(corner, shape, strides)


def _diagonal_place(xp: Any, x: Any, offset: int, axis1: int, axis2: int, shape: tuple) -> Any:
    z = xp.zeros(shape, dtype=x.dtype)
    _diagonal(xp, z, offset, axis1, axis2)[...] = x
    return z


def _two_axes(name: str, ndim: int, dim1: int, dim2: int) -> tuple[int, int]:
    axis1, axis2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if axis1 == axis2:
        raise RuntimeError(f"{name} dimensions cannot be identical {dim1}, {dim2}")
    return axis1, axis2


@expose()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:  # noqa: A002
    """The diagonal of two dimensions as the last one; a view. Raises RuntimeError if the dimensions are the same."""
    axis1, axis2 = _two_axes("diagonal", input._array.ndim, dim1, dim2)
    return diagonal_.record((input,), (offset, axis1, axis2))


@expose()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: A002
    """Matrices with the last dimension as their diagonal, in the dimensions `dim1` and `dim2` of the result."""
    shape = input._array.shape
    if not shape:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got -2)")
    axis1, axis2 = _two_axes("diagonal", len(shape) + 1, dim1, dim2)
    n = shape[-1] + abs(offset)
    full = list(shape[:-1])
    for axis in sorted((axis1, axis2)):
        full.insert(axis, n)
    return diagonal_place.record((input,), (offset, axis1, axis2, tuple(full)))


@expose(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:  # noqa: A002
    """The matrix with a vector as its diagonal, or the diagonal of a matrix, as a copy.

    Raises RuntimeError for other numbers of dimensions.
    """
    if input._array.ndim == 1:
        return diag_embed(input, diagonal)
    if input._array.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    return diagonal_.record((input,), (diagonal, 0, 1)).clone()


@expose()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:  # noqa: A002
    """The matrix with all elements of the input as its diagonal."""
    return diag_embed(ravel(input), offset)


# --- memory ---

as_strided_ = Primitive(
    "as_strided",
    lambda xp, x, size, stride, offset, start: xp.strided(xp.memory(x), size, stride, offset, x.dtype),
    {
        "x": lambda xp, g, x_shape, size, stride, offset, start: xp.as_strided_place(
            g, x_shape, size, stride, offset - start
        )
    },
    kind="linear",
    node="AsStridedBackward0",
    view=True,
)
as_strided_take = Primitive(
    "as_strided_take",
    lambda xp, x, size, stride, offset: xp.strided(xp.copy(x).reshape(-1), size, stride, offset),
    {"x": lambda xp, g, x_shape, size, stride, offset: xp.as_strided_place(g, x_shape, size, stride, offset)},
    kind="linear",
    samples=lambda make: [(make(3, 4), (2, 2), (4, 1), 1), (make(5), (3, 2), (1, 1), 0)],
)
as_strided_place = Primitive(
    "as_strided_place",
    lambda xp, x, shape, size, stride, offset: _strided_place(xp, x, shape, size, stride, offset),
    {"x": lambda xp, g, size, stride, offset: xp.as_strided_take(g, size, stride, offset)},
    kind="linear",
    samples=lambda make: [(make(2, 2), (3, 4), (2, 2), (4, 1), 1), (make(3, 2), (5,), (3, 2), (1, 1), 0)],
)


def _strided_place(xp: Any, x: Any, shape: tuple, size: tuple, stride: tuple, offset: int) -> Any:
    """The sum over the elements of the strided view that lie at one place of a contiguous array."""
    z = xp.zeros(math.prod(shape), dtype=x.dtype)
    places = offset
    for axis, (n, step) in enumerate(zip(size, stride, strict=True)):
        places = places + xp.arange(n).reshape((-1,) + (1,) * (len(size) - axis - 1)) * step
    xp.add.at(z, xp.broadcast_to(xp.asarray(places), size).reshape(-1), x.reshape(-1))
    return z.reshape(shape)


@expose()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:  # noqa: A002
    """A view of the memory with these lengths and strides, in elements.

    Gradients are those of a contiguous input. Raises RuntimeError where it would reach beyond the memory.
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(n < 0 for n in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    a = input._array
    needed = offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else 0
    there = backends.namespaces[type(a)].memory(a).nbytes // a.itemsize
    if needed > there:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {a.itemsize} "
            f"requiring a storage size of {needed * a.itemsize} are out of bounds for storage of size {there * a.itemsize}"
        )
    return as_strided_.record((input,), (size, stride, offset, input.storage_offset()))


windows = Primitive(
    "windows",
    lambda xp, x, axis, size, step: _windows(xp, x, axis, size, step),
    {"x": lambda xp, g, x_shape, axis, size, step: xp.windows_sum(g, x_shape, axis, size, step)},
    kind="linear",
    node="UnfoldBackward0",
    view=True,
    samples=lambda make: [(make(5, 2), 0, 3, 1), (make(2, 7), 1, 2, 3), (make(4), 0, 4, 1)],
)
windows_sum = Primitive(
    "windows_sum",
    lambda xp, x, shape, axis, size, step: _windows_sum(xp, x, shape, axis, size, step),
    {"x": lambda xp, g, axis, size, step: xp.windows(g, axis, size, step)},
    kind="linear",
    samples=lambda make: [(make(3, 2, 3), (5, 2), 0, 3, 1), (make(2, 2), (5,), 0, 2, 3)],
)


def _windows(xp: Any, x: Any, axis: int, size: int, step: int) -> Any:
    if not x.ndim:
        return x.reshape(1)[:size]
    shape, strides = list(x.shape), list(x.strides)
    shape[axis], strides[axis] = (shape[axis] - size) // step + 1, strides[axis] * step
    return xp.lib.stride_tricks.as_strided(x, (*shape, size), (*strides, x.strides[axis]))


def _windows_sum(xp: Any, x: Any, shape: tuple, axis: int, size: int, step: int) -> Any:
    if not shape:
        return x.sum().reshape(())
    z = xp.zeros(shape, dtype=x.dtype)
    lead, count = (slice(None),) * axis, x.shape[axis]
    for i in range(size):  # windows overlap, their elements of one number do not
        z[(*lead, slice(i, i + (count - 1) * step + 1, step))] += x[..., i]
    return z


@expose(function=False)
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:  # noqa: A002
    """All windows of `size` elements, `step` apart, along a dimension, as a new last dimension; a view.

    Raises RuntimeError if the window is longer than the dimension or the step not positive.
    """
    axis = wrap_dim(dimension, input._array.ndim)
    length = input._array.shape[axis] if input._array.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return windows.record((input,), (axis, size, step))


# --- in place ---


def _view_in_place(function: Any, name: str) -> None:
    """The method that gives a tensor itself the shape that `function` would give a view of it."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_inplace(self)
        edge = edge_of(self) if state.grad else None
        new = function(from_array(self._array, edge, edge is not None), *args, **kwargs)
        if self._view is not None and new._view is not None:
            self._view.steps += new._view.steps
        self._array = new._array
        changed(self, name)
        if self._view is None and new._node is not None:
            self._node, self._rg = new._node, True
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{function.__name__}`: changes the tensor's own shape and returns it."
    setattr(Tensor, name, method)


for _f, _name in (
    (squeeze, "squeeze_"),
    (unsqueeze, "unsqueeze_"),
    (transpose, "transpose_"),
    (transpose, "swapaxes_"),
    (transpose, "swapdims_"),
    (t, "t_"),
    (as_strided, "as_strided_"),
):
    _view_in_place(_f, _name)


@expose(function=False)
def resize_(input: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:  # noqa: A002
    """Give the tensor another shape, with new memory where there is too little; new elements are not initialised.

    Raises RuntimeError for tensors that require grad.
    """
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = as_shape(sizes)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    a, count = input._array, math.prod(shape)
    xp = backends.namespaces[type(a)]
    if count <= a.size and a.flags.c_contiguous:
        input._array = a.reshape(-1)[:count].reshape(shape)
    else:
        new = xp.zeros(count, dtype=a.dtype)
        new[: min(a.size, count)] = a.reshape(-1)[:count]
        input._array = new.reshape(shape)
    return input


@expose()
def resize_as_(input: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:  # noqa: A002
    """Give the tensor the shape of `other`, as `resize_`."""
    return resize_(input, other._array.shape)


@expose(function=False)
def set_(input: Tensor, source: Tensor | None = None) -> Tensor:  # noqa: A002
    """Make the tensor one of the memory and shape of `source`, or empty."""
    if source is None:
        input._array = backends.namespaces[type(input._array)].zeros((0,), dtype=input._array.dtype)
        return input
    if source.dtype is not input.dtype:
        raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {input.dtype}")
    input._array = source._array
    return input


# --- copies in place of views ---


def _copying(function: Any, name: str) -> Any:
    def copy(input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        result = function(input, *args, **kwargs)
        return tuple(r.clone() for r in result) if isinstance(result, tuple) else result.clone()

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"As `{function.__name__}`, but a copy."
    return expose(method=False, out=True)(copy)


for _f in (
    expand, permute, squeeze, unsqueeze, transpose, t, diagonal, select, as_strided, unfold, view,
):  # fmt: skip
    _copying(_f, f"{_f.__name__}_copy")
detach_copy = _copying(Tensor.detach, "detach_copy")
alias_copy = _copying(lambda input: input, "alias_copy")  # noqa: A006
narrow_copy = expose(out=True, name="narrow_copy")(_copying(narrow, "narrow_copy"))

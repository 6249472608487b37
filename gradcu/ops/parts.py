"""Views of parts (select, narrow, diagonal, unfold) and of memory (as_strided), changes of shape in place, and the
functions that copy where others give views.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from .. import backends
from ..graph.modes import state
from ..graph.node import Node, make
from ..graph.op import Primitive
from ..graph.views import change, changed, check_inplace, followed
from ..tensor import Tensor, edge_of, from_array, wrap_dim
from .expose import expose
from .shape import as_shape, expand, permute, ravel, squeeze, t, transpose, unsqueeze, view


@expose()
def select(input: Tensor, dim: int, index: int) -> Tensor:
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
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
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
    saved={"axis1": "dim1", "axis2": "dim2"},
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
    return xp.with_strides(corner, shape, strides)


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
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions as the last one; a view. Raises RuntimeError if the dimensions are the same."""
    axis1, axis2 = _two_axes("diagonal", input._array.ndim, dim1, dim2)
    return diagonal_.record((input,), (offset, axis1, axis2))


@expose()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
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


@expose(out="same")
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrix with a vector as its diagonal, or the diagonal of a matrix, as a copy.

    Raises RuntimeError for other numbers of dimensions.
    """
    if input._array.ndim == 1:
        return diag_embed(input, diagonal)
    if input._array.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    return diagonal_.record((input,), (diagonal, 0, 1)).clone()


@expose()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements of the input as its diagonal."""
    return diag_embed(ravel(input), offset)


# --- memory ---

as_strided_ = Primitive(
    "as_strided",
    lambda xp, x, target, source: xp.strided(xp.memory(x), *target, x.dtype),
    {"x": lambda xp, g, target, source: _shared(xp, xp.restride(g, source, target), source)},
    kind="linear",
    node="AsStridedBackward0",
    view="memory",
    samples=lambda make: [(make(), ((1, 1), (1, 1), 0), ((), (), 0))],
)
restride = Primitive(
    "restride",
    lambda xp, x, target, source: _restride(xp, x, target, source),
    {"x": lambda xp, g, target, source: xp.restride(g, source, target)},
    kind="linear",
    samples=lambda make: [
        (make(2, 2), ((3, 4), (4, 1), 0), ((2, 2), (4, 1), 1)),
        (make(5), ((3, 2), (1, 1), 0), ((5,), (1,), 0)),
    ],
)


lay_out = Primitive(
    "lay_out",
    lambda xp, x, layout: _lay_out(xp, x, layout),
    {"x": lambda xp, g: g},
    kind="linear",
    samples=lambda make: [(make(2, 3), None), (make(2, 3), ((1, 2), 4))],
)


def _lay_out(xp: Any, x: Any, layout: tuple[tuple[int, ...], int] | None) -> Any:
    """A copy with these strides and this offset in its memory, or a contiguous one."""
    if layout is None:
        return xp.copy(x)
    strides, offset = tuple(map(abs, layout[0])), layout[1]
    z = xp.strided(xp.empty(_reach(x.shape, strides, offset), dtype=x.dtype), x.shape, strides, offset)
    z[...] = x
    return z


def _shared(xp: Any, g: Any, source: tuple) -> Any:
    """The gradient of what lies `source` in memory: elements that share a place share what came to that place."""
    steps = sorted((step, n) for n, step in zip(*source[:2], strict=True) if n > 1)
    reach = 0
    for step, n in steps:
        if step <= reach:
            return g / xp.restride(xp.zeros_like(g) + 1, source, source)
        reach += step * (n - 1)
    return g


def _restride(xp: Any, x: Any, target: tuple, source: tuple) -> Any:
    """Zeros to which `x` is added at the places of `source` (size, stride, offset), seen at those of `target`."""
    z = xp.zeros(max(_reach(*target), _reach(*source)), dtype=x.dtype)
    size, strides, places = *source[:2], source[2]
    for axis, (n, step) in enumerate(zip(size, strides, strict=True)):
        places = places + xp.arange(n).reshape((-1,) + (1,) * (len(size) - axis - 1)) * step
    xp.combine_at(z, xp.broadcast_to(xp.asarray(places), size).reshape(-1), x.reshape(-1))
    return xp.copy(xp.strided(z, *target))


def _reach(size: tuple, strides: tuple, offset: int) -> int:
    """How much memory an array needs, in elements."""
    return offset + 1 + sum((n - 1) * s for n, s in zip(size, strides, strict=True)) if all(size) else 0


@expose()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view of the memory with these lengths and strides, in elements.

    Raises RuntimeError where it would reach beyond the memory.
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
    needed = _reach(size, stride, offset)
    there = backends.namespaces[type(a)].memory(a).nbytes // a.itemsize
    if needed > there:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{a.itemsize} "
            f"requiring a storage size of {needed * a.itemsize} are out of bounds for storage of size "
            f"{there * a.itemsize}"
        )
    source = (a.shape, input.stride(), input.storage_offset())
    return as_strided_.record((input,), ((size, stride, offset), source))


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
    return xp.with_strides(x, (*shape, size), (*strides, x.strides[axis]))


def _windows_sum(xp: Any, x: Any, shape: tuple, axis: int, size: int, step: int) -> Any:
    if not shape:
        return x.sum().reshape(())
    z = xp.zeros(shape, dtype=x.dtype)
    lead, count = (slice(None),) * axis, x.shape[axis]
    for i in range(size):  # windows overlap, their elements of one number do not
        z[(*lead, slice(i, i + (count - 1) * step + 1, step))] += x[..., i]
    return z


@expose(function=False)
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
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


def view_in_place(function: Any, name: str) -> None:
    """The method that gives a tensor itself the shape that `function` would give a view of it."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_inplace(self)
        edge = edge_of(self) if state.grad else None
        new = function(from_array(self._array, edge, edge is not None), *args, **kwargs)
        if self._view is not None and new._view is not None:
            self._view.steps = followed(self, self._view, *new._view.steps[0])
        self._array = new._array
        changed(self, name)
        if self._view is None and new._node is not None:
            self._node, self._rg = new._node, True
        return self

    functools.update_wrapper(method, function)
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
    view_in_place(_f, _name)


@expose(function=False)
def resize_(input: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Give the tensor another shape, with new memory where there is too little; new elements are not initialised.

    Raises RuntimeError for tensors that require grad.
    """
    if input.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = as_shape(sizes)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    a, count = input._array, math.prod(shape)
    if shape == a.shape:
        return input
    check_inplace(input)
    xp = backends.namespaces[type(a)]
    if count <= a.size and a.flags.c_contiguous:
        input._array = a.reshape(-1)[:count].reshape(shape)
    else:
        new = xp.zeros(count, dtype=a.dtype)
        new[: min(a.size, count)] = a.reshape(-1)[:count]
        input._array = new.reshape(shape)
    changed(input, "resize_")
    return input


@expose()
def resize_as_(input: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:
    """Give the tensor the shape of `other`, as `resize_`."""
    return resize_(input, other._array.shape)


@expose(function=False)
def set_(input: Tensor, source: Tensor | None = None) -> Tensor:
    """Make the tensor one of the memory and shape of `source`, or empty.

    It is no view of its old base any more. If either requires grad, so does the result, and backward through it raises
    RuntimeError. Raises RuntimeError for another dtype, and for leaves that require grad.
    """
    edges = [edge_of(t) for t in (input, source) if t is not None] if state.grad else []
    recorded = any(edge is not None for edge in edges)
    check_inplace(input, recorded=recorded)
    if source is None:
        new = backends.namespaces[type(input._array)].zeros((0,), dtype=input._array.dtype)
    else:
        if source.dtype is not input.dtype:
            raise RuntimeError(f"Could not set tensor of type {source.dtype} to a tensor of type {input.dtype}")
        new = source._array
    input._array, input._view = new, None
    change(input, make(_SetBackward, tuple(edges), ()) if recorded else None, "set_")
    return input


class _SetBackward(Node):
    """The history of a tensor that `set_` put around other memory."""

    __slots__ = ()

    @staticmethod
    def raw(node: Node, g: Any, xp: Any) -> Any:
        raise RuntimeError("derivative for aten::set_ is not implemented")

    raw0 = recorded = raw


# --- copies in place of views ---


def copying(function: Any, name: str = "", method: bool = False) -> Any:
    """The function `name` that gives copies where `function` gives views."""
    name = name or f"{function.__name__}_copy"

    def copy(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        result = function(input, *args, **kwargs)
        return tuple(r.clone() for r in result) if isinstance(result, tuple) else result.clone()

    functools.update_wrapper(copy, function)
    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"As `{name.removesuffix('_copy')}`, but a copy."
    return expose(method=method, out=True)(copy)


for _f in (
    expand,
    permute,
    squeeze,
    unsqueeze,
    transpose,
    t,
    diagonal,
    select,
    as_strided,
    unfold,
    view,
    Tensor.detach,
):
    copying(_f)
copying(lambda input: input, "alias_copy")
copying(narrow, method=True)

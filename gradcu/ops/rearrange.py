"""Copies in another order or number: flip, roll, repeat, triangles; and one part of a tensor replaced by another."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from .. import backends, devices, dtypes
from ..graph.op import Primitive
from ..layouts import contiguous_format
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose
from .gather import index_select_
from .shape import as_shape

flip_ = Primitive(
    "flip",
    lambda xp, x, axis: xp.copy(xp.flip(x, axis)),
    {"x": lambda xp, g, axis: xp.flip(g, axis)},
    kind="linear",
    node="FlipBackward0",
    saved={"axis": "dims"},
    samples=lambda make: [(make(2, 3), (0,)), (make(2, 3), (0, 1)), (make(0, 2), (1,))],
)
roll_ = Primitive(
    "roll",
    lambda xp, x, shift, axis: xp.roll(x, shift, axis),
    {"x": lambda xp, g, shift, axis: xp.roll(g, -shift if isinstance(shift, int) else tuple(-s for s in shift), axis)},
    kind="linear",
    node="RollBackward0",
    saved={"shift": "shifts", "axis": "dims"},
    samples=lambda make: [(make(2, 3), (1, -2), (0, 1)), (make(4), 3, 0), (make(2, 3), 2, None)],
)
tril_, triu_ = (
    Primitive(
        name,
        forward,
        {"x": vjp},
        kind="linear",
        node=f"{name.capitalize()}Backward0",
        saved={"k": "diagonal"},
        samples=samples,
    )
    for name, forward, vjp, samples in (
        (
            "tril",
            lambda xp, x, k: xp.tril(x, k),
            lambda xp, g, k: xp.tril(g, k),
            lambda make: [(make(3, 3), 0), (make(2, 3, 4), -1), (make(2, 3), 1)],
        ),
        (
            "triu",
            lambda xp, x, k: xp.triu(x, k),
            lambda xp, g, k: xp.triu(g, k),
            lambda make: [(make(3, 3), 0), (make(2, 3, 4), -1), (make(2, 3), 1)],
        ),
    )
)


def _untile(xp: Any, g: Any, x_shape: tuple, reps: tuple) -> Any:
    """The sum over all repetitions."""
    lead = len(reps) - len(x_shape)
    shape = [n for r, m in zip(reps, (1,) * lead + tuple(x_shape)) for n in (r, m)]
    return xp.reshape(xp.sum(xp.reshape(g, tuple(shape)), axis=tuple(range(0, 2 * len(reps), 2))), x_shape)


tile_ = Primitive(
    "tile",
    lambda xp, x, reps: xp.tile(x, reps) if reps else xp.copy(x),
    {"x": _untile},
    kind="linear",
    node="RepeatBackward0",
    saved={"reps": "repeats"},
    samples=lambda make: [(make(2, 3), (2, 1)), (make(3), (2, 2)), (make(), (2,)), (make(2), (0,))],
)


@expose()
def flip(input: Tensor, *axes: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The elements in reverse order along `dims`, as a copy. Raises RuntimeError for repeated dimensions."""
    axes = tuple(wrap_dim(d, input._array.ndim) for d in as_shape(axes if dims is None else (dims,)))
    if len(set(axes)) != len(axes):
        twice = next(d for d in axes if axes.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return flip_.record((input,), (axes if input._array.ndim else (),))


@expose()
def fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order. Raises RuntimeError below two dimensions."""
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip_.record((input,), ((1,),))


@expose()
def flipud(input: Tensor) -> Tensor:
    """Rows in reverse order. Raises RuntimeError for 0-d tensors."""
    if input._array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip_.record((input,), ((0,),))


@expose()
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Tensor:
    """The elements moved on by `shifts` along `dims`, those that fall off re-entering; flattened without dims.

    >>> roll(arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    along = (dims,) if isinstance(dims, int) else tuple(dims)
    if not steps:
        raise RuntimeError("`shifts` required")
    if not along and len(steps) == 1:
        return roll_.record((input,), (steps[0], None))
    if len(steps) != len(along):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(along)}")
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return roll_.record((input,), (steps, tuple(wrap_dim(d, input._array.ndim) for d in along)))


@expose()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k quarters from the first towards the second of `dims`."""
    ndim = input._array.ndim
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == ndim:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    for i, d in enumerate(dims):
        if not -ndim <= d < ndim:
            raise RuntimeError(f"Rotation dim{i} out of range, dim{i} = {d}")
    first, second = (wrap_dim(d, ndim) for d in dims)
    match k % 4:
        case 1:
            return flip(input, (second,)).transpose(first, second)
        case 2:
            return flip(input, (first, second))
        case 3:
            return flip(input, (first,)).transpose(first, second)
    return input.clone()


@expose(inplace=True, out="same")
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrices with zeros above the diagonal of this number. Raises RuntimeError below two dimensions."""
    if input._array.ndim < 2:
        raise RuntimeError("tril: input tensor must have at least 2 dimensions")
    return tril_.record((input,), (diagonal,))


@expose(inplace=True, out="same")
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The matrices with zeros below the diagonal of this number. Raises RuntimeError below two dimensions."""
    if input._array.ndim < 2:
        raise RuntimeError("triu: input tensor must have at least 2 dimensions")
    return triu_.record((input,), (diagonal,))


def _triangle(name: str, where: str) -> Any:
    def function(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: dtypes.dtype = dtypes.int64,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        for what, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{what} must be non-negative, got{n}")
        xp = backends.for_device(devices.resolve(device))
        return from_array(xp.stack(getattr(xp, name)(row, offset, col)).astype(dtype.numpy))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The indices of a matrix {where} a diagonal, itself included: rows first, then columns."
    return expose(method=False)(function)


tril_indices, triu_indices = _triangle("tril_indices", "below"), _triangle("triu_indices", "above")


@expose(function=False)
def repeat(input: Tensor, *times: Any, repeats: Sequence[int] | None = None) -> Tensor:
    """The tensor put side by side with itself so many times along each dimension; further ones come in front.

    Raises RuntimeError if there are fewer numbers than dimensions, or one is negative.
    """
    reps = as_shape(times if repeats is None else (repeats,))
    if len(reps) < input._array.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in reps):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(reps)}: {list(reps)}")
    return tile_.record((input,), (reps,))


@expose()
def tile(input: Tensor, *times: Any, dims: Sequence[int] | None = None) -> Tensor:
    """As `repeat`, with as many ones in front as there are too few numbers."""
    reps = as_shape(times if dims is None else (dims,))
    return repeat(input, (1,) * (input._array.ndim - len(reps)) + reps)


@expose()
def repeat_interleave(
    input: Tensor,
    repeats: int | Tensor | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each slice along `dim` (each element, without dim) repeated so many times in place.

    With one tensor alone, the indices repeated as often as it says.

    >>> repeat_interleave(tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        repeats, input, dim = input, from_array(_range(input)), 0
    if dim is None:
        input, dim = input.reshape(-1), 0
    scalar = not input._array.ndim
    x = input.reshape(1) if scalar else input
    axis = wrap_dim(dim, x._array.ndim)
    shape = x._array.shape
    if isinstance(repeats, Tensor):
        counts = repeats._array
        if counts.dtype.kind != "i" or counts.dtype.itemsize < 4:
            raise RuntimeError("repeats has to be Long or Int tensor")
        if counts.ndim > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if counts.size == 1:
            repeats = int(counts.reshape(()))
        elif counts.size != shape[axis]:
            raise RuntimeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and "
                f"input.size({dim}) = {shape[axis]}"
            )
        elif (counts < 0).any():
            raise RuntimeError("repeats can not be negative")
        else:
            index = backends.host.repeat(backends.host.arange(shape[axis]), backends.to_host(counts))
            return index_select_.record((x, from_array(index).to(x.device)), (axis,))
    if repeats < 0:
        raise RuntimeError(f"Repeats must be non-negative, got {repeats}")
    wide = x.unsqueeze(axis + 1).expand(*shape[: axis + 1], repeats, *shape[axis + 1 :])
    return wide.clone(memory_format=contiguous_format).reshape(*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :])


def _range(t: Tensor) -> Any:
    return backends.namespaces[type(t._array)].arange(t._array.size)


@expose(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in an array of this shape, of positions in the flattened array, one tensor per dimension.

    Raises TypeError unless positions are integers and the shape is a number or numbers, ValueError for negative ones.
    """
    if not isinstance(indices, Tensor) or indices.dtype.category != 1:
        what = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
        raise TypeError(f"expected 'indices' to be an integer tensor, but got {what}")
    if not isinstance(shape, (int, tuple, list)):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape).__name__}")
    lengths = (shape,) if isinstance(shape, int) else tuple(operator.index(n) for n in shape)
    if any(n < 0 for n in lengths):
        raise ValueError(f"'shape' cannot have negative values, but got {lengths}")
    found, rest = [], indices._array
    for n in reversed(lengths):
        found.append(from_array(rest % n))
        rest = rest // n
    return tuple(reversed(found))


# --- one part replaced ---


def _with_part(input: Tensor, src: Tensor, part: Any, name: str) -> Tensor:
    result = input.clone()
    target = part(result)
    if src._array.shape != target._array.shape:
        raise RuntimeError(
            f"{name}: expected src to have a size equal to the slice of self. src size = "
            f"{list(src._array.shape)}, slice "
            f"size = {list(target._array.shape)}"
        )
    target.copy_(src)
    return result


@expose()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy in which the slice at `index` along `dim` is `src`. Raises RuntimeError for a src of another shape."""
    return _with_part(input, src, lambda x: x.select(dim, index), "select_scatter")


@expose()
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy in which the slices `start:end:step` along `dim` are those of `src`."""
    lead = (slice(None),) * wrap_dim(dim, input._array.ndim)
    return _with_part(input, src, lambda x: x[(*lead, slice(start, end, step))], "slice_scatter")


@expose()
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy in which the diagonal of two dimensions is `src`."""
    return _with_part(input, src, lambda x: x.diagonal(offset, dim1, dim2), "diagonal_scatter")


@expose()
def as_strided_scatter(
    input: Tensor,
    src: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:
    """A copy in which what `as_strided` would show is `src`."""
    return _with_part(input, src, lambda x: x.as_strided(size, stride, storage_offset or 0), "as_strided_scatter")

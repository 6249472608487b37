"""Joining tensors, and taking them apart: cat, stack, split, chunk, unbind and their kin.

The parts of a tensor are views, made by one node, whose backward is one concatenation.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph.modes import state
from ..graph.op import Primitive
from ..graph.views import mark_view
from ..tensor import Tensor, wrap_dim
from .expose import expose
from .index import getitem
from .parts import copying

_ALL = slice(None)


def _cut(xp: Any, g: Any, needs: Any, xs_shape: Any, axis: int) -> tuple:
    """The gradients of what was concatenated: the parts of `g`."""
    lead, start, parts = (_ALL,) * (axis % g.ndim), 0, []
    for shape in xs_shape:
        stop = start + shape[axis]
        parts.append(xp.getitem(g, (*lead, slice(start, stop))))
        start = stop
    return tuple(parts)


concat = Primitive(
    "concat",
    lambda xp, xs, axis: xp.concat(xs, axis),
    _cut,
    kind="linear",
    node="CatBackward0",
    variadic=True,
    samples=lambda make: [([make(2, 3), make(1, 3)], 0), ([make(2, 1), make(2, 3), make(2, 0)], -1), ([make(3)], 0)],
)


def _stacked(xp: Any, xs: Any, axis: int) -> Any:
    """Concatenation along the next axis gives the same elements in the same order; it costs one call."""
    shape = xs[0].shape
    axis %= len(shape) + 1
    if axis == len(shape):
        xs = [x[..., None] for x in xs]
    return xp.concat(xs, axis).reshape((*shape[:axis], len(xs), *shape[axis:]))


stack_ = Primitive(
    "stack",
    _stacked,
    lambda xp, g, needs, xs_shape, axis: tuple(
        xp.getitem(g, (*(_ALL,) * (axis % g.ndim), i, ...)) for i in range(len(xs_shape))
    ),
    kind="linear",
    node="StackBackward0",
    variadic=True,
    samples=lambda make: [([make(2, 3), make(2, 3)], 0), ([make(2, 3), make(2, 3)], -1), ([make(), make()], 0)],
)


def _assembled(xp: Any, xs: Any, shape: tuple, indices: tuple) -> Any:
    z = xp.zeros(shape, dtype=xs[0].dtype)
    for x, index in zip(xs, indices, strict=True):
        z[index] = x
    return z


assemble = Primitive(
    "assemble",
    _assembled,
    lambda xp, g, needs, indices: tuple(xp.getitem(g, index) for index in indices),
    kind="linear",
    variadic=True,
    samples=lambda make: [
        ([make(2), make(2)], (3, 2), ((0, ...), (2, ...))),
        ([make(2, 1)], (2, 3), ((_ALL, slice(1, 2)),)),
    ],
)


def _rejoin(join: str) -> Any:
    """The gradient of a tensor that was taken apart; parts that were not used have none."""

    def x(xp: Any, g: Any, x_shape: Any, indices: tuple, axis: int) -> Any:
        there = [i for i, one in enumerate(g) if one is not None]
        if len(there) == len(g):
            return getattr(xp, join)(g, axis)
        return xp.assemble([g[i] for i in there], x_shape, tuple(indices[i] for i in there))

    return {"x": x}


def _one(i: int) -> slice:
    return slice(i, i + 1)


split_, split_sizes, unsafe_split_, unsafe_split_sizes, unbind_ = (
    Primitive(
        name,
        lambda xp, x, indices, axis: [x[index] for index in indices],
        _rejoin(join),
        kind="linear",
        node=node,
        outputs=0,
        samples=lambda make, step=step: [
            (make(4, 3), tuple((slice(None), step(i)) for i in range(3)), 1),
            (make(2), (step(0), step(1)), 0),
        ],
    )
    for name, node, join, step in (
        ("split", "SplitBackward0", "concat", _one),
        ("split_sizes", "SplitWithSizesBackward0", "concat", _one),
        ("unsafe_split", "UnsafeSplitBackward0", "concat", _one),
        ("unsafe_split_sizes", "UnsafeSplitWithSizesBackward0", "concat", _one),
        ("unbind", "UnbindBackward0", "stack", int),
    )
)


def _apart(primitive: Primitive, x: Tensor, indices: tuple, axis: int, views: bool = True) -> tuple[Tensor, ...]:
    """The parts of `x` at `indices`, as views that may not be changed in place where gradients are recorded."""
    if len(indices) < 2:
        parts = tuple(getitem.record((x,), (index,)) for index in indices)
        if views and parts and parts[0]._view is not None:
            parts[0]._view.kind = parts[0]._view.kind or "multi"
        return parts
    parts = primitive.record((x,), (indices, axis))
    if views:
        kind = "multi" if state.grad else ""
        for part, index in zip(parts, indices, strict=True):
            mark_view(part, x, getitem, (index,), kind)
    return parts


# --- joining ---


def _tensors(tensors: Any, name: str) -> tuple[Tensor, ...]:
    """The operands of a join. Raises TypeError for what is no sequence of tensors."""
    if not isinstance(tensors, (tuple, list)):
        if isinstance(tensors, Tensor):
            raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
        tensors = tuple(tensors)
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
    return tensors


def _promoted(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    first = tensors[0]._array.dtype
    if all(t._array.dtype is first or t._array.dtype == first for t in tensors):
        return tensors
    common = functools.reduce(dtypes.promote_types, (t.dtype for t in tensors))
    return [t.to(common) for t in tensors]


@expose("concat", "concatenate", method=False, out="apart")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors joined along `dim`, in their common dtype; their other lengths must agree.

    Raises RuntimeError for an empty list and for shapes that do not fit.

    >>> cat([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """
    tensors = _tensors(tensors, "cat")
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    shape = tensors[0]._array.shape
    for t in tensors:
        if t._array.shape != shape:
            tensors = _joinable(tensors, dim)
            shape = tensors[0]._array.shape
            break
    if not shape:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    axis = wrap_dim(dim, len(shape))
    return concat.record((_promoted(tensors),), (axis,))


def _joinable(tensors: Sequence[Tensor], dim: int) -> Sequence[Tensor]:
    """Those that have a part in the result: empty vectors fit to everything, as they always did in PyTorch."""
    kept = [t for t in tensors if t._array.shape != (0,)] or tensors[:1]
    shape = kept[0]._array.shape
    axis = wrap_dim(dim, len(shape))
    for i, t in enumerate(tensors):
        own = t._array.shape
        if not own:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if own == (0,):
            continue
        if len(own) != len(shape):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(shape)} and {len(own)}")
        for d, (m, n) in enumerate(zip(shape, own, strict=True)):
            if d != axis and m != n:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {m} but got size {n} for "
                    f"tensor number {i} in the list."
                )
    if len(kept) < len(tensors):
        common = functools.reduce(dtypes.promote_types, (t.dtype for t in tensors))
        kept = [t.to(common) for t in kept]
    return kept


@expose(method=False, out="apart")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension.

    Raises RuntimeError for an empty list and for different shapes.
    """
    tensors = _tensors(tensors, "stack")
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0]._array.shape
    for i, t in enumerate(tensors):
        if t._array.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(t._array.shape)} at entry {i}"
            )
    return stack_.record((_promoted(tensors),), (wrap_dim(dim, len(shape) + 1),))


@expose(method=False, out=True)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: joined along the second dimension, vectors along the first."""
    tensors = [atleast(t, 1) for t in _nonempty(tensors, "hstack")]
    return cat(tensors, 0 if tensors[0]._array.ndim == 1 else 1)


@expose("row_stack", method=False, out=True)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other: joined along the first dimension, vectors as rows."""
    return cat([atleast(t, 2) for t in _nonempty(tensors, "vstack")], 0)


@expose(method=False, out=True)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors joined along the third dimension."""
    return cat([atleast(t, 3) for t in _nonempty(tensors, "dstack")], 2)


@expose(method=False, out=True)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors as columns."""
    tensors = _nonempty(tensors, "column_stack")
    return cat([t.reshape(-1, 1) if t._array.ndim < 2 else t for t in tensors], 1)


def _nonempty(tensors: Any, name: str) -> tuple[Tensor, ...]:
    tensors = _tensors(tensors, name)
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return tensors


def atleast(t: Tensor, ndim: int) -> Tensor:
    """`t` with at least so many dimensions, as `atleast_1d` and its kin add them."""
    shape = t._array.shape
    if len(shape) >= ndim:
        return t
    if not shape:
        return t.reshape((1,) * ndim)
    if len(shape) == 1 and ndim > 1:
        t = t.unsqueeze(0)
    return t.unsqueeze(-1) if ndim == 3 else t


for _n in (1, 2, 3):

    def _atleast(*tensors: Any, n: int = _n) -> Any:
        name, one = f"atleast_{n}d", len(tensors) == 1
        if one and isinstance(tensors[0], (tuple, list)):
            tensors, one = tuple(tensors[0]), False
        done = tuple(atleast(t, n) for t in _tensors(tensors, name))
        return done[0] if one else done

    _atleast.__name__ = _atleast.__qualname__ = f"atleast_{_n}d"
    _atleast.__doc__ = f"Each tensor with at least {_n} dimensions; a view, or the tensor itself."
    expose(method=False)(_atleast)


# --- taking apart ---


def _ranges(ends: Sequence[int], axis: int) -> tuple:
    """Basic indices of the parts of a dimension that end at `ends`."""
    lead = (_ALL,) * axis
    return tuple((*lead, slice(a, b)) for a, b in zip((0, *ends), ends))


def _sized(
    x: Tensor, sizes: Sequence[int], dim: int, name: str, primitive: Primitive = split_sizes, views: bool = True
) -> tuple[Tensor, ...]:
    if not x._array.ndim:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")
    axis = wrap_dim(dim, x._array.ndim)
    length = x._array.shape[axis]
    if any(n < 0 for n in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(sizes)}"
        )
    if sum(sizes) != length:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
            f"{axis}), "
            f"but got split_sizes={list(sizes)}"
        )
    return _apart(primitive, x, _ranges(tuple(itertools.accumulate(sizes)), axis), axis, views)


def _equal(
    x: Tensor, size: int, dim: int, name: str, primitive: Primitive = split_, views: bool = True
) -> tuple[Tensor, ...]:
    if not x._array.ndim:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")
    axis = wrap_dim(dim, x._array.ndim)
    length = x._array.shape[axis]
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and length:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {length}")
    ends = [*range(size, length, size), length] if length else [0]
    return _apart(primitive, x, _ranges(ends, axis), axis, views)


@expose()
def split(tensor: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: of `split_size` each (the last may be smaller), or of the sizes listed.

    Raises RuntimeError if the sizes do not add up to the length.
    """
    if isinstance(split_size, int):
        return _equal(tensor, split_size, dim, "split")
    return _sized(tensor, split_size, dim, "split")


@expose()
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of the sizes listed along `dim`."""
    return _sized(input, split_sizes, dim, "split_with_sizes")


@expose()
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As `split`, but the parts are no views to autograd: changing them in place goes unnoticed by the input."""
    return _equal(input, split_size, dim, "unsafe_split", unsafe_split_, False)


@expose()
def unsafe_split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """As `split_with_sizes`, but the parts are no views to autograd."""
    return _sized(input, split_sizes, dim, "unsafe_split_with_sizes", unsafe_split_sizes, False)


def _chunk_size(x: Tensor, chunks: int, dim: int, name: str) -> tuple[int, int]:
    if not x._array.ndim:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"{name} expects `chunks` to be greater than 0, got: {chunks}")
    length = x._array.shape[wrap_dim(dim, x._array.ndim)]
    return length, -(-length // chunks)


@expose()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts along `dim`, of one size but for the last."""
    length, size = _chunk_size(input, chunks, dim, "chunk")
    return _equal(input, size, dim, "chunk") if length else _sized(input, [0] * chunks, dim, "chunk")


@expose()
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """As `chunk`, but the parts are no views to autograd."""
    length, size = _chunk_size(input, chunks, dim, "unsafe_chunk")
    if not length:
        return unsafe_split_with_sizes(input, [0] * chunks, dim)
    return unsafe_split(input, size, dim)


@expose()
def tensor_split(
    input: Tensor,
    indices_or_sections: int | Sequence[int] | Tensor | None = None,
    dim: int = 0,
    *,
    sections: int | None = None,
    indices: Sequence[int] | None = None,
) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: so many, of nearly one size; or cut before each of the indices.

    >>> tensor_split(arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if indices_or_sections is None:
        indices_or_sections = indices if sections is None else sections
    if not input._array.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    axis = wrap_dim(dim, input._array.ndim)
    length = input._array.shape[axis]
    if isinstance(indices_or_sections, Tensor):
        given = indices_or_sections
        if given.device.type != "cpu":
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be on cpu, but it's on " + str(given.device)
            )
        if given.dtype is not dtypes.int64:
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {given.dtype}"
            )
        if given._array.ndim > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional "
                "tensor, but "
                f"got a tensor with {given._array.ndim} dims"
            )
        indices_or_sections = given.tolist()
    if isinstance(indices_or_sections, int):
        n = indices_or_sections
        if n <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {n}")
        small, larger = divmod(length, n)
        ends = tuple(itertools.accumulate(small + (i < larger) for i in range(n)))
        found = _ranges(ends, axis)
    else:
        cuts = [*indices_or_sections, None]  # type: ignore[misc]
        found = tuple((*(_ALL,) * axis, slice(a, b)) for a, b in zip([0, *cuts], cuts))
    return tuple(getitem.record((input,), (index,)) for index in found)


def _split_along(name: str, ndim: int, dim: int) -> Any:
    def function(input: Tensor, indices_or_sections: Any = None, *, sections: Any = None, indices: Any = None) -> Any:
        if indices_or_sections is None:
            indices_or_sections = indices if sections is None else sections
        if input._array.ndim < ndim:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {ndim} dimension, but got a tensor "
                f"with {input._array.ndim} dimensions!"
            )
        if not isinstance(indices_or_sections, (int, tuple, list, Tensor)):
            raise TypeError(
                f"{name}() received an invalid combination of arguments. Expected int or tuple of ints, got "
                f"{type(indices_or_sections).__name__}"
            )
        along = 0 if input._array.ndim == 1 else dim
        if isinstance(indices_or_sections, int):
            length = input._array.shape[along]
            if indices_or_sections <= 0 or length % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {along}, but the size of the dimension "
                    f"{length} is not "
                    f"divisible by the split_size {indices_or_sections}!"
                )
        return tensor_split(input, indices_or_sections, along)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Views of parts along dimension {dim}, in equal sections or cut before the indices."
    return expose()(function)


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 2, 0), _split_along("dsplit", 3, 2)


@expose()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along `dim`, without it."""
    if not input._array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = wrap_dim(dim, input._array.ndim)
    lead = (_ALL,) * axis
    return _apart(unbind_, input, tuple((*lead, i, ...) for i in range(input._array.shape[axis])), axis)


for _f in (split, split_with_sizes, unbind):
    copying(_f)


# --- combining ---


@expose(method=False)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For vectors the coordinates of the grid that they span, as one expanded view each.

    indexing "ij" (default) numbers rows first, "xy" columns. Raises RuntimeError for matrices.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    tensors = _tensors(tensors, "meshgrid")
    for t in tensors:
        if t._array.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {list(t._array.shape)}"
            )
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
        if t.device != tensors[0].device:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same device")
    shape = tuple(t._array.size for t in tensors)
    grids: list[Any] = []
    for i, t in enumerate(tensors):
        lengths = [1] * len(shape)
        lengths[i] = shape[i]
        grids.append(t.view(lengths).expand(shape))
    if indexing == "xy" and len(tensors) > 1:
        grids = [g.transpose(0, 1) for g in grids]
    return tuple(grids)


@expose(method=False)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, as rows. Raises RuntimeError for matrices."""
    for t in _tensors(tensors, "cartesian_prod"):
        if t._array.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t._array.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([g.flatten() for g in grids], 1)


@expose()
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose `r` elements of a vector, in order, as rows. Raises RuntimeError for a matrix."""
    if input._array.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._array.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = list(choose(range(input._array.size), r))
    if not r:
        return input[[]]
    return stack([input[[c[i] for c in chosen]] for i in range(r)], 1)


@expose(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices along its diagonal, and zeros elsewhere; vectors count as rows.

    Raises RuntimeError for tensors of more than two dimensions.
    """
    tensors = _tensors(tensors, "block_diag")
    for i, t in enumerate(tensors):
        if t._array.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{i} has {t._array.ndim} dimensions"
            )
    matrices = _promoted([atleast(t, 2) for t in tensors])
    indices, row, column = [], 0, 0
    for m in matrices:
        h, w = m._array.shape
        indices.append((slice(row, row + h), slice(column, column + w)))
        row, column = row + h, column + w
    return assemble.record((matrices,), ((row, column), tuple(indices)))

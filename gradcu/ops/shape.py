"""Views that rearrange: reshape, permute, expand, squeeze and their kin. They share memory with their input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph.op import Primitive
from ..tensor import Tensor, wrap_dim
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
    from ..graph.engine import sum_to

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


Tensor.T = property(lambda self: permute_dims.record((self,), (tuple(range(self._array.ndim))[::-1],)))  # type: ignore[attr-defined]
Tensor.mT = property(lambda self: matrix_transpose.record((self,)))  # type: ignore[attr-defined]

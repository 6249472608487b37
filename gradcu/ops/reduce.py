"""Reductions over dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..graph.op import Primitive
from ..tensor import Tensor, wrap_dim
from .expose import expose


def spread(xp: Any, g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """The gradient of a sum: `g` repeated along the axes that were summed over."""
    if axis is not None and not keepdims:
        g = xp.expand_dims(g, axis)
    return xp.broadcast_to(g, shape)


sum_ = Primitive(
    "sum",
    lambda xp, x, axis=None, keepdims=False: xp.sum(x, axis=axis, keepdims=keepdims),
    {"x": lambda xp, g, x_shape, axis, keepdims: spread(xp, g, x_shape, axis, keepdims)},
    kind="linear",
    node="SumBackward0",
)


def axes(input: Tensor, dim: int | Sequence[int] | None) -> tuple[int, ...] | int | None:  # noqa: A002
    """`dim` as an axis or axes counted from the front; None and () are all. Raises on repeats and out of range."""
    if dim is None:
        return None
    ndim = input._array.ndim
    if isinstance(dim, int):
        d = wrap_dim(dim, ndim)
        return d if ndim else None
    found = tuple(wrap_dim(d, ndim) for d in dim)
    if len(set(found)) != len(found):
        raise RuntimeError(f"dim {next(d for d in found if found.count(d) > 1)} appears multiple times in the list of dims")
    return (found or None) if ndim else None


def accumulated(input: Tensor, dtype: dtypes.dtype | None) -> Tensor:  # noqa: A002
    """`input` in the dtype in which sums are made: as asked, int64 for integers and booleans."""
    if dtype is None and input._array.dtype.kind in "biu":
        dtype = dtypes.int64
    return input if dtype is None or dtype is input.dtype else input.to(dtype)  # type: ignore[attr-defined]


@expose(out=True)
def sum(  # noqa: A001
    input: Tensor,  # noqa: A002
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """The sum of all elements, or over `dim`. Integers and booleans are summed in int64.

    >>> sum(tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    x = accumulated(input, dtype)
    return sum_.record((x,), (None if dim is None else axes(x, dim), keepdim))

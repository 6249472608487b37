"""Elements by a mask or by their position: masked_select, masked_scatter, take, put, nonzero and their kin."""

from __future__ import annotations

from typing import Any

from .. import backends
from ..tensor import Tensor, from_array
from .expose import expose
from .index import Index, getitem_indexed, masked_select_, put_indexed, same_device
from .reduce import tensor_or_raise
from .shape import broadcast_tensors


@expose(out="same apart")
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask, broadcast, holds, as a vector. Raises RuntimeError unless it is boolean."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, but got {mask.dtype}")
    same_device("masked_select", input, mask)
    input, mask = broadcast_tensors(input, mask)
    if not input._array.ndim:
        input, mask = input.reshape(1), mask.reshape(1)
    return masked_select_.record((input,), (Index([mask]),))


@expose(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, in order, where the mask holds; mask and input are broadcast.

    Raises RuntimeError unless the mask is boolean, the dtypes agree and there are elements enough.
    """
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if input.dtype is not source.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}"
        )
    same_device("masked_scatter", input, mask, source)
    input, mask = broadcast_tensors(input, mask)
    count = int(mask._array.sum())
    if source._array.size < count:
        raise RuntimeError(
            f"masked_scatter_: expected self and source to have enough elements: {count} are masked, source has "
            f"{source._array.size}"
        )
    shape = input._array.shape
    if not shape:
        input, mask = input.reshape(1), mask.reshape(1)
    values = source.reshape(-1)[:count]
    result = put_indexed.record((input, values), (Index([mask]), False))
    return result if shape else result.reshape(())


def _flat_index(input: Tensor, index: Tensor, name: str) -> Tensor:
    if index._array.dtype.kind != "i" or index._array.dtype.itemsize != 8:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {index.dtype}")
    same_device(name, input, index)
    if index._array.size and not input._array.size:
        raise IndexError(f"{name}(): tried to take from an empty tensor")
    return index


@expose(out="same apart")
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions in the flattened input, in the shape of `index`. Raises IndexError out of range."""
    index = _flat_index(input, index, "take")
    try:
        return getitem_indexed.record((input.reshape(-1),), (Index([index]),))
    except IndexError as error:
        raise IndexError(f"out of range: {error}") from None


@expose(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with the elements of `source` at positions in the flattened input; with accumulate they are added.

    Raises IndexError out of range, RuntimeError for other dtypes or numbers of elements.
    """
    index = _flat_index(input, index, "put_")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {input.dtype} and "
            f"source.dtype = {source.dtype}"
        )
    if source._array.size != index._array.size:
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._array.size}, index.numel() = {index._array.size}"
        )
    flat, values = input.reshape(-1), source.reshape(index.shape)
    try:
        result = put_indexed.record((flat, values), (Index([index]), accumulate))
    except IndexError as error:
        raise IndexError(f"out of range: {error}") from None
    return result.reshape(input.shape)


@expose(out="same")
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero: a row for each, or with as_tuple one tensor per dimension.

    >>> nonzero(tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    a = tensor_or_raise(input, "nonzero")
    xp = backends.namespaces[type(a)]
    found = xp.nonzero(a if a.ndim else a.reshape(1))
    if as_tuple:
        return tuple(from_array(i) for i in found)
    return from_array(xp.stack(found, axis=1) if a.ndim else found[0][:, None][:, :0])


@expose()
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """As `nonzero`, with exactly `size` rows: the first ones, or filled up with `fill_value`."""
    found = nonzero(input)._array[:size]
    result = backends.namespaces[type(found)].full((size, found.shape[1]), fill_value, dtype=found.dtype)
    result[: len(found)] = found
    return from_array(result)


@expose()
def argwhere(input: Tensor) -> Tensor:
    """The indices of elements that are not zero, a row for each."""
    return nonzero(input)

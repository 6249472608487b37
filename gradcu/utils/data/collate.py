"""From samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from ... import backends, dtypes
from ...ops.data import as_tensor, tensor
from ...tensor import Tensor, from_array


def default_collate(batch: Any) -> Any:
    """A list of samples as one batch: tensors, arrays and numbers stacked, in the tuples, lists and dicts they came in.

    Strings stay a list. Raises TypeError for other types, RuntimeError for sequences of different lengths.

    >>> default_collate([(1.0, "a"), (2.0, "b")])
    [tensor([1., 2.], dtype=gradcu.float64), ('a', 'b')]
    """
    first = batch[0]
    kind = type(first)
    host = backends.host
    if isinstance(first, Tensor):
        return _stack(batch)
    if isinstance(first, (host.ndarray, host.generic)) and first.dtype.kind not in "USO":
        return _stack([as_tensor(sample) for sample in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return like(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*map(default_collate, zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return parts if isinstance(first, tuple) else like(first, parts)
    what = first.dtype if isinstance(first, host.ndarray) else kind
    raise TypeError(f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {what}")


def default_convert(data: Any) -> Any:
    """Arrays as tensors, in the tuples, lists and dicts they came in; all else as it is."""
    host = backends.host
    if isinstance(data, (host.ndarray, host.generic)) and data.dtype.kind not in "USO":
        return as_tensor(data)
    if isinstance(data, Mapping):
        return like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return like(data, [default_convert(value) for value in data])
    return data


def like(original: Any, values: Any) -> Any:
    """`values` in a copy of their original container, or as they are where that cannot be made."""
    try:
        if isinstance(original, MutableMapping):
            copied: Any = copy.copy(original)
            copied.update(values)
            return copied
        if isinstance(original, MutableSequence):
            copied = copy.copy(original)
            for i, value in enumerate(values):
                copied[i] = value
            return copied
        return type(original)(values)
    except TypeError:
        return values


def _stack(samples: Sequence[Tensor]) -> Tensor:
    """The samples along a new first dimension. Raises RuntimeError for shapes that differ."""
    arrays = [t._array for t in samples]
    shape = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and {list(a.shape)} at "
                f"entry {i}"
            )
    if any(t.requires_grad for t in samples):
        from ...ops import functions

        return functions["stack"](list(samples))
    return from_array(backends.namespaces[type(arrays[0])].stack(arrays))

"""Elements by index: `x[index]`, `x[index] = value`, and adding at an index."""

from __future__ import annotations

from typing import Any

from .. import namespaces
from .arrays import SHARED, Batched, aligned, highest


def is_tensor(entry: Any) -> bool:
    """Whether an entry of an index is an array, and not a number, a slice, None or `...`."""
    return hasattr(entry, "ndim")


def take(x: Batched, index: tuple) -> Any:
    """`x[index]`. Tensors of integers are one for all examples, or one for each."""
    kind = highest((x, *index))
    if kind is None or (type(x) is kind and not any(map(is_tensor, index))):
        return type(x)(x.array[index if x.whole else (slice(None), *index)], x.whole)
    if type(x) is not kind:
        x = kind(x, True)
    if x.whole and all(i.whole for i in index if type(i) is kind):
        return kind(x.array[tuple(i.array if type(i) is kind else i for i in index)], True)
    if x.whole:
        entries = _entries(kind, x, index)
        return kind(x.array[tuple(aligned(kind, entries)[0])])
    return kind(x.array[_below(kind, x, index)])


def put(x: Batched, index: tuple, value: Any) -> None:
    """`x[index] = value`."""
    kind, several = type(x), [v for v in (value, *index) if isinstance(v, Batched)]
    if highest((x, *several)) is not kind or (x.whole and not all(v.whole for v in several)):
        raise RuntimeError(SHARED)
    if x.whole:
        x.array[tuple(i.array if type(i) is kind else i for i in index)] = value.array if type(value) is kind else value
    elif not any(map(is_tensor, index)):
        part = kind(x.array[(slice(None), *index)])
        part.array[...] = aligned(kind, (part, value))[0][1]
    elif any(type(i) is kind and not i.whole and i.dtype.kind == "b" for i in index):
        _put_masked(x, index, value)
    else:
        places = _below(kind, x, index)
        x.array[places] = _fitting(x, places, value)


def combine_at(xp: Any, x: Any, index: Any, values: Any, by: str = "add") -> None:
    """`x[index] = by(x[index], values)`, once for each time that an element is meant."""
    kind = xp.kind
    if type(x) is not kind or x.whole:
        raise RuntimeError(SHARED)
    places = _below(kind, x, index if isinstance(index, tuple) else (index,))
    namespaces[type(x.array)].combine_at(x.array, places, _fitting(x, places, values), by)


def _fitting(x: Batched, places: tuple, value: Any) -> Any:
    """What is to be written at places of `x`, with dimensions of length one where an example of it has none."""
    if type(value) is not type(x) or value.whole:
        return value.array if type(value) is type(x) else value
    arrays = [p for p in places if is_tensor(p)]
    rank = max(p.ndim for p in arrays) + x.array.ndim - len(places) - 1
    return value.array.reshape(value.array.shape[:1] + (1,) * (rank - value.ndim) + value.shape)


def _put_masked(x: Batched, index: tuple, value: Any) -> None:
    """One value where a mask of each example is true."""
    if len(index) != 1 or (is_tensor(value) and value.ndim):
        raise RuntimeError("vmap: how many values a mask takes depends on the examples: use where")
    mask, below = index[0], namespaces[type(x.array)]
    wide = mask.array.reshape(mask.array.shape + (1,) * (x.ndim - mask.ndim))
    x.array[...] = below.where(wide, aligned(type(x), (x, value))[0][1], x.array)


def _below(kind: type[Batched], x: Batched, index: tuple) -> tuple:
    """The index for the array below: the result has the examples first, and each is what an example's index gives."""
    entries = _entries(kind, x, index)
    rank = max(e.ndim for e in entries)
    rows = namespaces[type(x.array)].arange(len(x.array)).reshape((-1,) + (1,) * rank)
    return (rows, *aligned(kind, entries)[0])


def _entries(kind: type[Batched], x: Batched, index: tuple) -> list[Any]:
    """An index of tensors alone, up to the last in it: they broadcast to the shape of the result.

    Raises RuntimeError for a mask of each example.
    """
    arange = namespaces[type(x.array)].arange
    entries: list[Any] = []  # each a number, a tensor or a slice for one dimension, or None
    for i in index:
        if is_tensor(i) and i.dtype.kind == "b":
            if type(i) is kind and not i.whole:
                raise RuntimeError("vmap: the shape of what a mask takes depends on the values of the examples")
            mask = i.array if type(i) is kind else i
            entries += namespaces[type(mask)].nonzero(mask)
        else:
            entries.append(i)
    if any(e is Ellipsis for e in entries):
        at = next(p for p, e in enumerate(entries) if e is Ellipsis)
        used = sum(e is not None and e is not Ellipsis for e in entries)
        entries[at : at + 1] = [slice(None)] * (x.ndim - used)
    places = [p for p, e in enumerate(entries) if is_tensor(e) or isinstance(e, int)]
    first, last = places[0], places[-1]
    lead = first if last - first < len(places) else 0  # dimensions before theirs, which come first if they are apart
    rest = [p for p in range(last + 1) if p not in places]
    rank = max(e.ndim for e in entries if is_tensor(e))
    found, axis = [], 0
    for p, e in enumerate(entries[: last + 1]):
        if p in places:
            e = arange(e, e + 1).reshape(()) if isinstance(e, int) else e
            found.append(e.reshape((1,) * (lead + rank - e.ndim) + e.shape + (1,) * (len(rest) - lead)))
        elif e is not None:
            at = rest.index(p) if p < lead else rank + rest.index(p)
            found.append(arange(*e.indices(x.shape[axis])).reshape((-1,) + (1,) * (rank + len(rest) - at - 1)))
        axis += e is not None
    return found

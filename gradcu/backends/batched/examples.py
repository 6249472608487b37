"""What has no rule: a function of the library below, example by example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import arrays, namespaces
from .arrays import Batched, tuple_of


def within(values: Any) -> list[Any]:
    """The arrays among values, and in lists of them."""
    found: list[Any] = []
    for v in values:
        kind = type(v)
        if kind in arrays:
            found.append(v)
        elif kind is list or kind is tuple:
            found += within(v)
        elif hasattr(kind, "examples"):
            found += v.examples()
    return found


def size_of(kind: type[Batched], values: Sequence[Any]) -> int | None:
    """How many examples there are in arrays; None if they are one for all."""
    return next((len(v.array) for v in values if type(v) is kind and not v.whole), None)


def example(value: Any, kind: type[Batched], i: int) -> Any:
    """The value for one example."""
    if type(value) is kind:
        return value.array if value.whole else value.array[i, ...]
    if isinstance(value, (list, tuple)):
        return type(value)(example(v, kind, i) for v in value)
    return value.example(lambda v: example(v, kind, i)) if hasattr(type(value), "examples") else value


def assembled(kind: type[Batched], results: list[Any]) -> Any:
    """The results of all examples as one. Raises RuntimeError if their shapes differ."""
    first = results[0]
    if isinstance(first, (list, tuple)):
        parts = [assembled(kind, list(several)) for several in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if not hasattr(first, "astype"):  # no array
        return first
    if any(r.shape != first.shape for r in results):
        raise RuntimeError("vmap: the shape of a result depends on the values of the examples")
    return kind(namespaces[type(first)].stack(results))


def each(function: Callable, kind: type[Batched], size: int | None, args: Sequence[Any], attributes: Any) -> Any:
    """The function example by example; once, if all arguments are the same for all.

    Raises RuntimeError if there are no examples: what the result would be like is not known then.
    """
    if size == 0:
        raise RuntimeError("vmap: this operation cannot be applied to a batch of size 0")
    made = [
        function(*(example(a, kind, i) for a in args), **{n: example(a, kind, i) for n, a in attributes.items()})
        for i in range(1 if size is None else size)
    ]
    if size is not None:
        return assembled(kind, made)
    return tuple_of(made[0], lambda m: kind(m, True) if hasattr(m, "astype") else m)

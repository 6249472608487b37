"""In-place forms: the operation is computed aside, written over the tensor's memory, and its history replaces the old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..tensor import Tensor, edge_of, from_array
from .modes import state
from .views import change, check_inplace


def inplace(function: Callable, name: str) -> Callable:
    """The method `name` that does in place what `function(input, ...)` does."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_inplace(self)
        edge = edge_of(self) if state.grad else None
        old = from_array(self._array, edge, edge is not None)
        return assign(self, old, function(old, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{function.__name__}`: changes the tensor and returns it."
    return method


def assign(t: Tensor, old: Tensor, new: Tensor, name: str) -> Tensor:
    """Write `new`, computed from the stand-in `old`, over `t`.

    Raises RuntimeError if the shape or the kind of dtype would have to change.
    """
    a, result = t._array, new._array
    if result.shape != a.shape:
        raise RuntimeError(
            f"{name}: output with shape {list(a.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    if result.dtype != a.dtype:
        if not dtypes.can_cast(new.dtype, t.dtype):
            raise RuntimeError(f"{name}: result type {new.dtype} can't be cast to the desired output type {t.dtype}")
        new = new.to(t.dtype)  # type: ignore[attr-defined]
    node = new._node
    if node is not None and any(s is old for s in getattr(node, "saved", ())):
        old._array = backends.namespaces[type(a)].copy(a)  # what backward needs is about to be overwritten
    try:
        a[...] = new._array
    except ValueError:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            f"Please clone() the tensor before performing the operation ({name})."
        ) from None
    change(t, node, name)
    return t

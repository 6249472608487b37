"""`gradcu.overrides`: `__torch_function__` by hand. Operations of gradcu itself do not look for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .tensor import Tensor

__all__ = ["handle_torch_function", "has_torch_function", "is_tensor_like"]


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor or has `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument's class has `__torch_function__`."""
    return any(hasattr(type(a), "__torch_function__") for a in relevant_args)


def handle_torch_function(public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """What the first `__torch_function__` of the arguments' classes, subclasses first, makes of the call.

    Raises TypeError if all of them return NotImplemented.
    """
    found: list[Any] = []
    for a in relevant_args:
        if hasattr(type(a), "__torch_function__") and type(a) not in map(type, found):
            place = next((i for i, f in enumerate(found) if issubclass(type(a), type(f))), len(found))
            found.insert(place, a)
    types = tuple(map(type, found))
    for a in found:
        result = a.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    raise TypeError(
        f"no implementation found for '{public_api.__module__}.{public_api.__name__}' on types that implement "
        f"__torch_function__: {list(types)}"
    )

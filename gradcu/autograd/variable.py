"""`gradcu.autograd.variable`: what a tensor that takes part in the graph was called before every tensor could."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

__all__ = ["Variable"]


class _Variables(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)


class Variable(metaclass=_Variables):
    """The old name of a tensor: `Variable(data)` is `data` outside of the graph; all tensors are its instances.

    Raises TypeError for what is no tensor, RuntimeError for a dtype that cannot require a gradient.

    >>> isinstance(gradcu.ones(2), Variable)
    True
    """

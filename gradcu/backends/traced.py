"""Symbols as arrays: the namespace for tensors around them, so that a function of tensors leaves an expression behind.

A function that is called on such tensors computes nothing, but for each operation its expression, and for a backward
through them the expressions of the gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import devices
from ..expr import NotPointwise, Symbol, Trace

ndarray = Symbol
depth = 0  # of no vmap


def _trace(args: tuple) -> Trace:
    found = next((a for a in args if isinstance(a, Symbol)), None)
    if found is None:
        raise NotPointwise("it makes a tensor of its own: give it as an argument")
    return found.trace


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def function(*args: Any, **attributes: Any) -> Any:
        return getattr(_trace(args), name)(*args, **attributes)

    return function


def fused(kernel: Any, values: Any) -> None:
    """Symbols are computed with one by one."""


def guarded(formula: Callable, op: Any = None) -> Callable:
    """A formula, or what an elementwise operation is as a part of an expression if this is its forward."""
    if op is not None and formula is op.forward and op.kind == "elementwise":
        return lambda xp, *args: _trace(args).apply(op, *args)
    return formula


def device_of(x: Symbol) -> devices.device:
    return devices.cpu


def same(x: Symbol, *args: Any, **attributes: Any) -> Symbol:
    """Of what copies, broadcasts or conjugates: an element stays what it is."""
    return x


array = asarray = copy = conj = broadcast_to = same


def iadd(x: Symbol, y: Symbol) -> Symbol:
    return x.trace.make("add", x, y)


def is_view(result: Symbol, x: Symbol) -> bool:
    return False

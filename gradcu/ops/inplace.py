"""In-place forms: the operation is computed aside and written over the memory, and its history replaces the old."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..autograd.forward import tangent_of, write_tangent
from ..graph.errors import overlapping
from ..graph.modes import state
from ..graph.node import Node, Output, sequence
from ..graph.saved import local
from ..graph.version import InferenceVersion
from ..graph.views import change, check_inplace, replay_array
from ..tensor import Tensor, edge_of, from_array, version_of

_ndarray = backends.host.ndarray
short: Any = _ndarray  # as in `pointwise`
_f32, _f64 = dtypes.float32.numpy, dtypes.float64.numpy


def inplace(function: Callable, name: str) -> Callable:
    """The method `name` that does in place what `function(input, ...)` does."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not kwargs and overwrite(self, function, args, name):
            return self
        check_inplace(self)
        edge = edge_of(self) if state.grad else None
        array = self._array
        if local.hooks:  # they are given what is about to be overwritten
            array = backends.namespaces[type(array)].copy(array)
        old = from_array(array, edge, edge is not None)
        reference = weakref.ref(old)
        if tangent_of(self) is not None:
            old = self._view.tangent.give_to(old)
        since = next(sequence)
        new = function(old, *args, **kwargs)
        del old
        return assign(self, reference(), new, name, since)

    method.__name__ = method.__qualname__ = name
    method.__wrapped__ = function  # type: ignore[attr-defined]  # for `inspect.signature`
    method.__doc__ = f"In-place form of `{function.__name__}`: changes the tensor and returns it."
    return method


def inplace_operator(method: Any) -> Callable:
    """The operator (`-=`, ...) of an in-place form, short where nothing is recorded: scripts update weights with it."""
    ufunc, name = method.__wrapped__.ufunc, method.__name__

    def operator(self: Tensor, other: Any) -> Any:
        a, counter = self._array, self._counter
        if state.grad or counter is None or self._view is not None or type(counter) is InferenceVersion:
            return method(self, other)
        b: Any = getattr(other, "_array", None)
        dtype = a.dtype
        if type(b) is not short or b.dtype is not dtype or (dtype is not _f32 and dtype is not _f64):
            return method(self, other)
        if other._view is not None or type(a) is not short:
            return method(self, other)
        try:
            ufunc(a, b, out=a)
        except ValueError:
            return method(self, other)
        counter.value += 1
        counter.changed_by = name
        return self

    operator.__name__ = operator.__qualname__ = name
    operator.__doc__ = method.__doc__
    return operator


def overwrite(t: Tensor, function: Callable, args: tuple, name: str) -> bool:
    """Where nothing is recorded or converted, let the array library write over the memory itself; whether it could."""
    a, counter = t._array, t._counter
    dtype = a.dtype
    ufunc = getattr(function, "ufunc", None)
    if ufunc is None or type(a) is not short or (dtype is not _f32 and dtype is not _f64):
        return False
    recording = state.grad
    if (recording and t.requires_grad) or type(counter) is InferenceVersion or tangent_of(t) is not None:
        return False
    operands = []
    for other in args:
        if type(other) is not float and type(other) is not int:
            if (
                not isinstance(other, Tensor)
                or (recording and edge_of(other) is not None)
                or tangent_of(other) is not None
            ):
                return False
            other = other._array
            if type(other) is not _ndarray or other.dtype is not dtype:
                return False
        operands.append(other)
    try:
        ufunc(a, *operands, out=a)
    except ValueError:  # a shape that does not fit, or memory that is shared: the slow way says it in PyTorch's words
        return False
    if counter is None:
        counter = version_of(t)
    counter.value += 1
    counter.changed_by = name
    return True


def assign(t: Tensor, saved: Tensor | None, new: Tensor, name: str, since: int) -> Tensor:
    """Write `new` over `t`; `saved` is the stand-in for `t` it was computed from, if backward needs that.

    since: the sequence number before that.

    Raises RuntimeError if the shape or the kind of dtype would have to change.
    """
    a, result = t._array, new._array
    if result.shape != a.shape:
        raise RuntimeError(
            f"{name}: output with shape {list(a.shape)} doesn't match the broadcast shape {list(result.shape)}"
        )
    if result.dtype != a.dtype:
        if not dtypes.can_cast(new.dtype, t.dtype):
            raise RuntimeError(
                f"{name}: result type {new.dtype.type_name} can't be cast to the desired output type "
                f"{t.dtype.type_name}"
            )
        new = new.to(t.dtype)
    node = new._node
    if node is not None and t._view is not None:
        check_inplace(t, recorded=True)
    if saved is not None:
        xp = backends.namespaces[type(a)]
        saved._array = xp.copy(a)  # what backward needs is about to be overwritten
        if saved._counter is not None:
            _move_views(saved, node, since, xp)
    try:
        if type(a) is not _ndarray and any(not step and n > 1 for step, n in zip(a.strides, a.shape)):
            raise ValueError("repeated elements")  # NumPy's arrays of these are read-only, others are not
        a[...] = new._array
    except ValueError:
        raise overlapping(name) from None
    change(t, node, name)
    write_tangent(t, new)
    return t


def _move_views(saved: Tensor, node: Any, since: int, xp: Any) -> None:
    """Let the views of `saved` that nodes recorded `since` have saved look at its new memory."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        node = node.node if type(node) is Output else node
        if isinstance(node, Node) and node.order < since and node not in seen:
            seen.add(node)
            waiting += node.edges
            for value in node.saved if type(node.saved) is tuple else ():
                if isinstance(value, Tensor) and value._view is not None and value._view.base is saved:
                    value._array = replay_array(xp, saved._array, value._view.steps)

"""`out=`: a result is computed aside and written into a tensor that the caller gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from .. import backends, dtypes
from ..autograd.forward import tangent_of
from ..graph.errors import overlapping
from ..graph.modes import state
from ..tensor import Tensor


def write_out(result: Any, out: Tensor, name: str, inputs: Iterable[Any] = (), rule: str = "") -> Tensor:
    """Put the result of `name(*inputs)` into `out`, which takes its shape.

    rule: with "same" in it the dtype of `out` must be the result's, else one that it promotes to; with "apart" in it
        `out` may share no memory with an input, else it may be one; with "any shape" in it, none is warned of.
    Raises TypeError if `out` is no tensor, RuntimeError if its dtype, device or memory does not fit or a gradient would
    be lost.
    """
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if tangent_of(result) is not None:
        raise NotImplementedError(
            f"Trying to use forward AD with {name}_out that does not support it because it is an out= function"
        )
    if state.grad and (out.requires_grad or result.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    if out.device != result.device:
        raise RuntimeError(f"Expected out tensor to have device {result.device}, but got {out.device} instead")
    if "same" in rule and out.dtype is not result.dtype:
        raise RuntimeError(
            f"Expected out tensor to have dtype {result.dtype.c_name}, but got {out.dtype.c_name} instead"
        )
    if not dtypes.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {result.dtype.type_name} can't be cast to the desired output type {out.dtype.type_name}"
        )
    a = out._array
    if any(n > 1 and not step for n, step in zip(a.shape, a.strides)):
        raise overlapping(name)
    for t in _tensors(inputs):
        if _overlap(t._array, a) and ("apart" in rule or not _coincide(t._array, a)):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                f"memory location. Please clone() the tensor before performing the operation ({name})."
            )
    if a.shape != result._array.shape:
        if a.size and "any shape" not in rule:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(a.shape)}, which does not "
                f"match the required output shape {list(result._array.shape)}. This behavior is deprecated. You can "
                "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
                stacklevel=3,
            )
        a = out._array = backends.namespaces[type(result._array)].empty(result._array.shape, dtype=a.dtype)
    a[...] = result._array
    if out._counter is not None:
        out._counter.value += 1
    return out


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among values and lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _overlap(a: Any, b: Any) -> bool:
    """Whether two arrays share memory, as far as that is told by where they begin and end: not with gaps in them."""
    if a is b or type(a) is not type(b) or not (a.flags.forc and b.flags.forc):
        return a is b
    return backends.namespaces[type(a)].may_share_memory(a, b)


def _coincide(a: Any, b: Any) -> bool:
    """Whether two arrays that overlap are the same memory, element by element."""
    same = backends.namespaces[type(a)].data_ptr
    return same(a) == same(b) and a.shape == b.shape and a.strides == b.strides

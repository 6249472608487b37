"""Softmax and its kin, each as one operation that does not overflow."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..backends.cpu import compiled
from ..graph.op import Primitive
from ..tensor import Tensor, wrap_dim
from .expose import expose, functions
from .reduce import tensor_or_raise


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    """x less its maximum, in a new array."""
    return xp.subtract(x, xp.max(x, axis=axis, keepdims=True))


@compiled("softmax", lines=True)
def _softmax(xp: Any, x: Any, axis: int) -> Any:
    if not x.ndim or not x.size:
        return xp.ones_like(x)
    if x.itemsize == 2:
        return _softmax(xp, x.astype("float32"), axis).astype(x.dtype)
    z = _shifted(xp, x, axis)
    xp.exp(z, out=z)
    z /= xp.sum(z, axis=axis, keepdims=True)
    return z


@compiled("softmax", lines=True)
def _log_softmax(xp: Any, x: Any, axis: int) -> Any:
    if not x.ndim or not x.size:
        return xp.zeros_like(x)
    if x.itemsize == 2:
        return _log_softmax(xp, x.astype("float32"), axis).astype(x.dtype)
    z = _shifted(xp, x, axis)
    z -= xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))
    return z


@compiled("softmax", lines=True)
def _softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    if not out.shape:
        return xp.zeros_like(g)
    weighted = g * out
    return weighted - out * xp.sum(weighted, axis=axis, keepdims=True)


@compiled("softmax", lines=True)
def _log_softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    if not out.shape:
        return xp.zeros_like(g)
    return g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True)


def _samples(make: Any) -> list[tuple]:
    return [(make(2, 3), 1), (make(3, 2), 0), (make(2, 3, 2), 1), (make(), 0), (make(0, 3), 1)]


softmax_ = Primitive("softmax", _softmax, {"x": _softmax_x}, samples=_samples)
log_softmax_ = Primitive("log_softmax", _log_softmax, {"x": _log_softmax_x}, samples=_samples)


def _apply(p: Primitive, input: Tensor, dim: int, dtype: dtypes.dtype | None) -> Any:
    a = tensor_or_raise(input, p.name)
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
        a = input._array
    axis = wrap_dim(dim, a.ndim)
    if a.dtype.kind in "biuc":
        last = "lastdim_" if axis == a.ndim - 1 else ""
        raise NotImplementedError(f"\"{p.name}_{last}kernel_impl\" not implemented for '{input.dtype.type_name}'")
    return p.record((input,), (axis,))


@expose("special.softmax", out="same")
def softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """exp(input) / sum of exp(input) over `dim`, computed in `dtype` if one is given. Raises for integers.

    >>> softmax(tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return _apply(softmax_, input, dim, dtype)


@expose("special.log_softmax", out="same")
def log_softmax(input: Tensor, dim: int, dtype: dtypes.dtype | None = None) -> Tensor:
    """The logarithm of `softmax`, exact where that is zero. Raises for integers."""
    return _apply(log_softmax_, input, dim, dtype)


def _legacy_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension that was meant before it had to be said."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _functional(name: str, compute: Callable[[Tensor, int, Any], Tensor], doc: str) -> None:
    def function(
        input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: dtypes.dtype | None = None
    ) -> Tensor:
        if dim is None:
            dim = _legacy_dim(name, tensor_or_raise(input, name).ndim, _stacklevel)
        return compute(input, dim, dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + " Without `dim`, 0 or 1 is chosen with a warning."
    expose(f"nn.functional.{name}", function=False, method=False)(function)


_functional("softmax", softmax, "exp(input) / sum of exp(input) over `dim`.")
_functional("log_softmax", log_softmax, "The logarithm of `softmax` over `dim`.")


@expose(into="nn.functional", function=False, method=False)
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Samples from the relaxed distribution of a class drawn with softmax(logits) (Jang et al., Maddison et al. 2017).

    The lower the temperature `tau`, the nearer are samples to one-hot; with `hard` they are that, with the gradients of
    the soft ones.
    """
    noise = -functions["empty_like"](logits).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    one_hot = functions["zeros_like"](soft).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
    return one_hot - soft.detach() + soft


_functional("softmin", lambda x, dim, dtype: softmax(-x, dim, dtype), "`softmax` of `-input` over `dim`.")

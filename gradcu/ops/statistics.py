"""Variance, covariance, correlation."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose, functions
from .reduce import Dims, axes, kept, mean, reduced_count, tensor_or_raise


def _var(xp: Any, x: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    d = x.dtype
    if d.itemsize == 2:
        return _var(xp, x.astype("float32"), axis, correction, keepdims).astype(d)
    n = reduced_count(x.shape, axis)
    off = x - xp.mean(x, axis=axis, keepdims=True)
    if d.kind == "c":
        off = xp.abs(off)
    off *= off
    return xp.sum(off, axis=axis, keepdims=keepdims) / max(n - correction, 0)


def _per_degree(shape: tuple, axis: Any, correction: float) -> float:
    degrees = reduced_count(shape, axis) - correction
    return 1 / degrees if degrees else math.inf


def _var_x(xp: Any, g: Any, x: Any, x_shape: tuple, axis: Any, correction: float, keepdims: bool) -> Any:
    g = kept(xp, g, axis, keepdims) * (2 * _per_degree(x_shape, axis, correction))
    return g * (x - xp.mean(x, axis=axis, keepdims=True))


def _std_x(xp: Any, g: Any, x: Any, x_shape: tuple, out: Any, axis: Any, correction: float, keepdims: bool) -> Any:
    """Zero where the deviation is."""
    g = xp.where(out == 0, 0, g / xp.where(out == 0, 1, out))
    g = kept(xp, g, axis, keepdims) * _per_degree(x_shape, axis, correction)
    return g * (x - xp.mean(x, axis=axis, keepdims=True))


def _samples(make: Any) -> list[tuple]:
    return [
        (make(2, 3), 1, 1, False),
        (make(2, 3, 2), (0, 2), 0, True),
        (make(3, 2), None, 1, False),
        (make(3), 0, 0.5, True),
    ]


var_ = Primitive("var", _var, {"x": _var_x}, holomorphic=False, samples=_samples)
std_ = Primitive(
    "std",
    lambda xp, x, axis, correction, keepdims: xp.sqrt(_var(xp, x, axis, correction, keepdims)),
    {"x": _std_x},
    holomorphic=False,
    samples=_samples,
)


def _moments_of(
    input: Tensor, name: str, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> tuple:
    """The arguments of `var`, in any of its forms, as attributes of the primitive."""
    a = tensor_or_raise(input, name)
    if a.dtype.kind in "biu":
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    elif unbiased is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: both unbiased and correction")
    over = axes(input, dim)
    if a.size and reduced_count(a.shape, over) <= correction:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
            "(input numel divided by output numel).",
            stacklevel=3,
        )
    return over, correction, keepdim


def _spread_measure(p: Primitive, what: str) -> tuple[Any, Any]:
    name = p.name

    def function(
        input: Tensor,
        dim: Dims = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Tensor:
        return p.record((input,), _moments_of(input, name, dim, unbiased, keepdim, correction))

    def with_mean(
        input: Tensor,
        dim: Dims = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        over, correction, keepdim = _moments_of(input, f"{name}_mean", dim, unbiased, keepdim, correction)
        return p.record((input,), (over, correction, keepdim)), mean(input, over, keepdim)

    function.__name__ = function.__qualname__ = name
    with_mean.__name__ = with_mean.__qualname__ = f"{name}_mean"
    function.__doc__ = f"""The {what} of all elements or over `dim`, with the count less `correction` as the divisor.

    `unbiased=False` is correction 0. The dtype is real. Raises RuntimeError for integers and booleans; warns where the
    divisor is not positive.

    >>> {name}(tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    with_mean.__doc__ = f"(`{name}`, `mean`) of all elements or over `dim`."
    return expose(out=True)(function), expose(method=False, out=True)(with_mean)


var, var_mean = _spread_measure(var_, "variance")
std, std_mean = _spread_measure(std_, "standard deviation")


@expose()
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of variables (rows) over observations (columns); a number for one variable.

    `fweights` are the (integer) times that an observation was made, `aweights` its (floating) importance; both are
    vectors. The divisor is the count less `correction`. Raises RuntimeError for weights of another shape or kind.
    """
    a = tensor_or_raise(input, "cov")
    if a.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {a.ndim} dimensions"
        )
    if a.dtype.kind == "b":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x: Any = input.reshape(1, -1) if a.ndim < 2 else input
    count = x.shape[1]
    for name, given, integer in (("fweights", fweights, True), ("aweights", aweights, False)):
        if given is None:
            continue
        if given.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with {given.ndim} dimensions"
            )
        if (given.dtype.category == 1) != integer or given.dtype.category not in (1, 2):
            kind = "integral" if integer else "floating point"
            raise RuntimeError(
                f"cov(): expected {name} to have {kind} dtype but got {name} with {given.dtype.type_name} dtype"
            )
        if given.numel() != count:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got "
                f"{given.numel()} != {count}"
            )
        if count and bool((given._array < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
    w: Any = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    total: Any = count
    if w is not None:
        w = w.reshape(-1)
        total = w.sum()
        if count and not bool(total != 0):
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    weighted = x if w is None else x * w
    x = x - weighted.sum(1, keepdim=True) / total
    if w is not None and aweights is not None and correction:
        factor = total - correction * ((w * aweights).sum() / total)
    else:
        factor = total - correction
    positive = factor > 0 if isinstance(factor, int) else bool(factor > 0)
    if not positive:
        warnings.warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of observations.",
            stacklevel=2,
        )
        factor = 0
    right = (x if w is None else x * w).mT
    result = x.matmul(right.conj() if x.dtype.is_complex else right) / factor
    return result.reshape(()) if a.ndim < 2 else result.squeeze() if result.numel() == 1 else result


@expose()
def corrcoef(input: Tensor) -> Tensor:
    """The correlation matrix of variables (rows) over observations (columns), in [-1, 1]; 1 for one variable."""
    a = tensor_or_raise(input, "corrcoef")
    if a.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {a.ndim} dimensions"
        )
    c: Any = cov(input)
    if not c.ndim:
        return c / c
    d = c.diagonal()
    d = (functions["real"](d) if d.dtype.is_complex else d).sqrt()
    c = c / d.reshape(-1, 1) / d.reshape(1, -1)
    if c.dtype.is_complex:
        return functions["complex"](functions["real"](c).clamp(-1, 1), functions["imag"](c).clamp(-1, 1))
    return c.clamp(-1, 1)

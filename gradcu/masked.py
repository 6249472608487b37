"""`gradcu.masked`: reductions and normalisations of the elements that a boolean mask marks as valid.

The functions take `mask=`, True where an element counts, of a shape that broadcasts to the input's; without one all do.
Elements that do not count are replaced by what leaves the result as it is (0 for a sum, -inf for a maximum), so where
none counts the result is that value, or NaN for a mean; normalisations leave values of no meaning in their places.

>>> masked.mean(tensor([1.0, 2.0, 100.0]), mask=tensor([True, True, False]))
tensor(1.5000)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradcu

from .dtypes import dtype as _dtype
from .tensor import Tensor

Dims = int | Sequence[int] | None

__all__ = """amax amin argmax argmin cumprod cumsum log_softmax logaddexp logsumexp mean median norm normalize prod
    softmax softmin std sum var""".split()


def _valid(input: Tensor, mask: Tensor) -> Tensor:
    """The mask in the shape of the input. Raises IndexError if it has more dimensions."""
    if mask.ndim > input.ndim:
        raise IndexError(
            f"expected a mask that broadcasts to the input, but it has {mask.ndim} dimensions, the input {input.ndim}"
        )
    return mask.to(gradcu.bool).expand(input.shape)


def _filled(input: Tensor, mask: Tensor | None, value: float) -> Tensor:
    """`input` with `value`, for integers the nearest of their range, where the mask does not hold."""
    if mask is None:
        return input
    if not input.dtype.is_floating_point and not input.dtype.is_complex and math.isinf(value):
        range_ = gradcu.iinfo(input.dtype)
        value = range_.max if value > 0 else range_.min
    return gradcu.where(_valid(input, mask), input, gradcu.tensor(value, dtype=input.dtype, device=input.device))


def _dims(input: Tensor, dim: Dims) -> tuple[int, ...]:
    """The dimensions, all for None or (), counted from the front."""
    if dim is None or dim == ():
        return tuple(range(input.ndim))
    rank, found = max(input.ndim, 1), []
    for d in (dim,) if isinstance(dim, int) else dim:
        if not -rank <= d < rank:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {d})")
        if d % rank in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        found.append(d % rank)
    return tuple(sorted(found))


def _summed_dtype(input: Tensor) -> _dtype:
    """What sums are made in unless the caller says: integers and booleans in int64."""
    return input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else gradcu.int64


def sum(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The sum over `dim`; of integers int64, unless `dtype` is given."""
    return gradcu.sum(_filled(input, mask, 0), _dims(input, dim), keepdim, dtype=dtype or _summed_dtype(input))


def prod(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The product over `dim`, one or several; of integers int64, unless `dtype` is given."""
    result = _filled(input, mask, 1).to(dtype or _summed_dtype(input))
    for d in reversed(_dims(input, dim)):
        result = gradcu.prod(result, d, keepdim)
    return result


def cumsum(input: Tensor, dim: int, *, dtype: _dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The running sum along `dim`, in the dtype of the input unless `dtype` is given."""
    return gradcu.cumsum(_filled(input, mask, 0), _dims(input, dim)[0], dtype=dtype or input.dtype)


def cumprod(input: Tensor, dim: int, *, dtype: _dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The running product along `dim`, in the dtype of the input unless `dtype` is given."""
    return gradcu.cumprod(_filled(input, mask, 1), _dims(input, dim)[0], dtype=dtype or input.dtype)


def amax(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The largest element over `dim`."""
    return gradcu.amax(_filled(input, mask, -math.inf), _dims(input, dim), keepdim).to(dtype or input.dtype)


def amin(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The smallest element over `dim`."""
    return gradcu.amin(_filled(input, mask, math.inf), _dims(input, dim), keepdim).to(dtype or input.dtype)


def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the largest element is, as PyTorch has it in the dtype of the input unless `dtype` is given."""
    return gradcu.argmax(_filled(input, mask, -math.inf), dim, keepdim).to(dtype or input.dtype)


def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Where the smallest element is, as PyTorch has it in the dtype of the input unless `dtype` is given."""
    return gradcu.argmin(_filled(input, mask, math.inf), dim, keepdim).to(dtype or input.dtype)


def _count(input: Tensor, dim: Dims, keepdim: bool, mask: Tensor | None) -> Any:
    """How many elements count, over `dim`."""
    if mask is None:
        return math.prod(input.shape[d] for d in _dims(input, dim)) if input.ndim else 1
    return gradcu.sum(_valid(input, mask), _dims(input, dim), keepdim)


def mean(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The mean over `dim`. Raises ValueError unless its dtype, the input's if `dtype` is not given, is floating."""
    dtype = dtype or input.dtype
    if not dtype.is_floating_point and not dtype.is_complex:
        raise ValueError(f"mean(): the dtype must be a floating point or complex one. Got: {dtype}")
    return sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask) / _count(input, dim, keepdim, mask)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """The median along `dim`, of an even count the lower one. Raises ValueError for integers of which none counts."""
    floating = input.dtype.is_floating_point
    wide = input if floating else input.to(gradcu.float32)
    result = gradcu.nanmedian(_filled(wide, mask, math.nan), _dims(input, dim)[0], keepdim).values
    if floating:
        return result
    if gradcu.isnan(result).any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return result.to(dtype or input.dtype)


def norm(
    input: Tensor,
    ord: float = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector norm over `dim`."""
    filled = _filled(input, mask, math.inf if ord == -math.inf else 0)
    return gradcu.linalg.vector_norm(filled, ord, _dims(input, dim), keepdim, dtype=dtype or input.dtype)


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The variance over `dim`, with the count less `correction` (1; 0 for unbiased=False) as the divisor."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if dtype is None:
        dtype = input.dtype if input.dtype.is_floating_point or input.dtype.is_complex else gradcu.float32
    off = input - sum(input, dim, keepdim=True, dtype=dtype, mask=mask) / _count(input, dim, True, mask)
    total = sum(off * off.conj(), dim, keepdim=keepdim, dtype=dtype, mask=mask)
    divisor = _count(input, dim, keepdim, mask) - correction
    return (total / (divisor.clamp(min=0) if isinstance(divisor, Tensor) else max(divisor, 0))).to(dtype)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The standard deviation over `dim`: the root of `var`."""
    return gradcu.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask))


def softmax(input: Tensor, dim: int, *, dtype: _dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """Softmax along `dim`: 0 where the mask does not hold, NaN where it holds nowhere."""
    return gradcu.softmax(_filled(input, mask, -math.inf), _dims(input, dim)[0], dtype=dtype or input.dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: _dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """The logarithm of `softmax`."""
    return gradcu.log_softmax(_filled(input, mask, -math.inf), _dims(input, dim)[0], dtype=dtype or input.dtype)


def softmin(input: Tensor, dim: int, *, dtype: _dtype | None = None, mask: Tensor | None = None) -> Tensor:
    """`softmax` of the negative."""
    filled = _filled(input, mask, math.inf)
    return gradcu.nn.functional.softmin(filled, _dims(input, dim)[0], dtype=dtype or input.dtype)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: _dtype | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """`input` divided by its `norm` along `dim`, or by `eps` if that is larger."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / gradcu.maximum(length, length.new_full([], eps))


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: _dtype | None = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """`log(exp(input) + exp(other))`, each with a mask of its own."""
    x, y = _filled(input, input_mask, -math.inf), _filled(other, other_mask, -math.inf)
    return gradcu.logaddexp(x, y).to(dtype or input.dtype)


def logsumexp(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: _dtype | None = None, mask: Tensor | None = None
) -> Tensor:
    """`log(sum(exp(input)))` over `dim`."""
    return gradcu.logsumexp(_filled(input, mask, -math.inf), _dims(input, dim), keepdim).to(dtype or input.dtype)

"""Operations that take each element from one of several tensors: where, maximum, clamp and their kin."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..tensor import Tensor
from .arithmetic import operator
from .expose import expose
from .pointwise import Elementwise


class Masked(Elementwise):
    """An operation whose first operand is a mask: it takes no part in the promotion of the others."""

    def prepare(self, args: Any) -> list[Any]:
        return [args[0], *super().prepare(args[1:])]


where_ = Masked(
    "where",
    lambda xp, condition, x, y: xp.where(condition, x, y),
    None,
    lambda xp, g, condition: xp.where(condition, g, 0),
    lambda xp, g, condition: xp.where(condition, 0, g),
    operands=3,
    samples=lambda make: [(make(2, 3) > 0, make(2, 3), make(3)), (make() > 0, make(), make(2))],
)
masked_fill_ = Masked(
    "masked_fill",
    lambda xp, mask, x, y: xp.where(mask, y, x),
    None,
    lambda xp, g, mask: xp.where(mask, 0, g),
    lambda xp, g, mask: xp.where(mask, g, 0),
    operands=3,
    samples=lambda make: [(make(2, 3) > 0, make(2, 3), make()), (make(3) > 0, make(2, 3), 1.5)],
    node={0: "MaskedFillBackward1", 4: "MaskedFillBackward0"},
)


@expose(out="same")
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` holds, else `other`, broadcast and promoted; either may be a number.

    With the condition alone, the tuple of indices at which it holds. Raises RuntimeError unless it is boolean (uint8 is
    taken as such).

    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0)
    tensor([1., 0.])
    """
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(condition).__name__}")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition._array.dtype.kind != "b":
        if condition._array.dtype.itemsize != 1 or condition._array.dtype.kind != "u":
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition.dtype.type_name}"
            )
        condition = condition.to(dtypes.bool)
    return where_.apply((condition, input, other))


@expose(function=False, name="where")
def where_method(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """`input` where `condition` holds, else `other`."""
    return where(condition, input, other)


@expose(inplace=True, out=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`value`, a number or a 0-d tensor, where `mask` holds, else `input`; `mask` is broadcast.

    Raises RuntimeError unless the mask is boolean and the value fits the dtype of `input`, which is that of the result.
    """
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.ndim} dimension(s)."
            )
        if value.dtype is not input.dtype:
            _fits(value.dtype.is_complex, input)
            value = value.to(input.dtype)
    else:
        _fits(isinstance(value, complex), input)
        if isinstance(value, float) and input.dtype.category < 2:
            value = int(value)
    return masked_fill_.apply((mask, input, value))


def _fits(complex_: bool, input: Tensor) -> None:
    if complex_ and not input.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")


# --- the larger and the smaller ---


def _larger(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """`g` where x is larger than y, or one of them is NaN; half of it where they are equal."""
    return xp.where(x == y, g / 2, xp.where(x < y, 0, g))


maximum_ = Elementwise(
    "maximum",
    "maximum",
    lambda xp, g, x, y: _larger(xp, g, x, y),
    lambda xp, g, x, y: _larger(xp, g, y, x),
    kinds="bif",
)
minimum_ = Elementwise(
    "minimum",
    "minimum",
    lambda xp, g, x, y: _larger(xp, g, y, x),
    lambda xp, g, x, y: _larger(xp, g, x, y),
    kinds="bif",
)
fmax_ = Elementwise(
    "fmax",
    "fmax",
    lambda xp, g, x, y: xp.where((x >= y) | (y != y), g, 0),
    lambda xp, g, x, y: xp.where((x >= y) | (y != y), 0, g),
    kinds="bif",
)
fmin_ = Elementwise(
    "fmin",
    "fmin",
    lambda xp, g, x, y: xp.where((x <= y) | (y != y), g, 0),
    lambda xp, g, x, y: xp.where((x <= y) | (y != y), 0, g),
    kinds="bif",
)

for _p, _doc in (
    (maximum_, "The larger of two elements; NaN if one of them is."),
    (minimum_, "The smaller of two elements; NaN if one of them is."),
    (fmax_, "The larger of two elements; if one is NaN, the other."),
    (fmin_, "The smaller of two elements; if one is NaN, the other."),
):
    expose(name=_p.name)(operator(_p, _p.name, _doc + " Raises RuntimeError for complex tensors.", numbers=""))


# --- limits ---


def _clip(xp: Any, x: Any, low: Any, high: Any) -> Any:
    if low is not None:
        x = xp.maximum(x, low)
    return x if high is None else xp.minimum(x, high)


def _within(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    """`g` where low <= x <= high."""
    if low is None:
        return xp.where(x <= high, g, 0)
    return xp.where(x >= low if high is None else (x >= low) & (x <= high), g, 0)


def _clip_low(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    return xp.where(x < low if high is None else (x < low) & (low < high), g, 0)


def _clip_high(xp: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    return xp.where(x > high if low is None else (x > high) | (high < low), g, 0)


clip_ = Elementwise(
    "clip",
    _clip,
    _within,
    _clip_low,
    _clip_high,
    node={0: "ClampBackward0", 6: "ClampBackward1"},
    saved={"low": "min", "high": "max"},
    operands=3,
    kinds="bif",
)


@expose("clip", inplace=True, out="same")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limited to [min, max], which are numbers, tensors or None for no limit; `max` where min > max.

    Raises RuntimeError if both are None, and for complex tensors.

    >>> clamp(tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("gradcu.clamp: At least one of 'min' or 'max' must not be None")
    return _clamped(input, min, max, "clamp")


def _clamped(input: Tensor, low: Any, high: Any, name: str) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return clip_.apply((input, low, high))


@expose(inplace=True, out="same")
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """At least `min`, a number or a tensor."""
    return _clamped(input, min, None, "clamp_min")


@expose(inplace=True, out="same")
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """At most `max`, a number or a tensor."""
    return _clamped(input, None, max, "clamp_max")


nan_to_num_ = Elementwise(
    "nan_to_num",
    lambda xp, x, nan=0.0, posinf=None, neginf=None: xp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    lambda xp, g, x: xp.where(xp.isfinite(x), g, 0),
)


@expose(inplace=True, out=True)
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """NaN as `nan` (0), infinities as `posinf` and `neginf` (the largest and smallest numbers of the dtype)."""
    if input.dtype is dtypes.bfloat16:  # which is computed in float32
        top = dtypes.finfo(dtypes.bfloat16).max
        posinf, neginf = top if posinf is None else posinf, -top if neginf is None else neginf
    return nan_to_num_.apply((input,), (0.0 if nan is None else nan, posinf, neginf))

"""Comparisons, tests of elements, and the logic of booleans and bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..tensor import Tensor
from .arithmetic import operator
from .elementwise import public
from .expose import expose
from .inplace import inplace
from .pointwise import Elementwise

# --- comparisons ---


def _apart(compare: Callable) -> Callable:
    """`compare` for its in-place form: the result, though not of booleans, has no gradient for what it replaces."""

    @functools.wraps(compare)
    def function(input: Tensor, other: Any) -> Tensor:
        result = compare(input, other)
        return input.clone().zero_() + result if input.requires_grad else result

    return function


for _name, _function, _alias, _kinds, _doc in (
    ("eq", "equal", "", "bifc", "Whether elements are equal."),
    ("ne", "not_equal", "not_equal", "bifc", "Whether elements differ."),
    ("lt", "less", "less", "bif", "Whether `input < other`."),
    ("le", "less_equal", "less_equal", "bif", "Whether `input <= other`."),
    ("gt", "greater", "greater", "bif", "Whether `input > other`."),
    ("ge", "greater_equal", "greater_equal", "bif", "Whether `input >= other`."),
):
    _p = Elementwise(_function, _function, result="bool", kinds=_kinds, operands=2)
    if _kinds == "bif":
        _doc += " Raises RuntimeError for complex numbers, which have no order."
    _f = expose(*filter(None, [_alias]))(operator(_p, _name, _doc))
    for _own in filter(None, [_name, _alias]):
        setattr(Tensor, f"{_own}_", inplace(_apart(_f), f"{_own}_"))
    setattr(Tensor, f"__{_name}__", _p.binary())


@expose()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    if not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    return input._array.shape == other._array.shape and bool((input == other)._array.all())


@expose()
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """Whether `abs(input - other) <= atol + rtol * abs(other)`, or both are equal (or NaN, with `equal_nan`).

    Raises RuntimeError if the dtypes differ or a tolerance is negative.
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"isclose(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.type_name} did not match {other.dtype.type_name}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    x, y = input.detach(), other.detach()
    close = x == y
    if equal_nan and x.dtype.category > 1:
        close = close | ((x != x) & (y != y))
    if x.dtype.category < 2:
        if not rtol and not atol:
            return close
        x, y = x.to(dtypes.float64), y.to(dtypes.float64)
    distance = abs(x - y)
    return close | ((distance <= atol + rtol * abs(y)) & isfinite(distance))


@expose()
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements are close: see `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


@expose()
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero. Raises RuntimeError if there is not exactly one."""
    return bool(input)


# --- what kind of number ---

isnan_ = Elementwise("isnan", lambda xp, x: x != x, result="bool")
isinf_ = Elementwise("isinf", lambda xp, x: xp.isinf(x), result="bool")
isfinite_ = Elementwise("isfinite", lambda xp, x: xp.isfinite(x), result="bool")
isposinf_ = Elementwise("isposinf", lambda xp, x: x == float("inf"), result="bool", kinds="bif")
isneginf_ = Elementwise("isneginf", lambda xp, x: x == -float("inf"), result="bool", kinds="bif")
isreal_ = Elementwise("isreal", lambda xp, x: xp.imag(x) == 0, result="bool")

for _p, _doc in (
    (isnan_, "Whether elements are NaN."),
    (isinf_, "Whether elements are infinite."),
    (isposinf_, "Whether elements are positive infinity. Raises RuntimeError for complex numbers."),
    (isneginf_, "Whether elements are negative infinity. Raises RuntimeError for complex numbers."),
    (isreal_, "Whether elements have no imaginary part."),
):
    public(_p, _doc, inplace=False)
isfinite = public(isfinite_, "Whether elements are neither infinite nor NaN.", inplace=False)

# --- logic ---

logical_not_ = Elementwise("logical_not", "logical_not", result="bool")
public(logical_not_, "Whether elements are zero.")
for _name, _doc in (
    ("logical_and", "Whether both elements are not zero."),
    ("logical_or", "Whether one or both elements are not zero."),
    ("logical_xor", "Whether one of the elements, and not both, is not zero."),
):
    _p = Elementwise(_name, _name, result="bool", operands=2)
    expose(inplace=True)(operator(_p, _name, _doc, numbers=""))


def _shift(xp: Any, x: Any, y: Any, function: Any) -> Any:
    """Shifts by more bits than there are leave nothing but the sign, as PyTorch has it."""
    d = x.dtype if hasattr(x, "dtype") else y.dtype
    bits = d.itemsize * 8
    inside = (y >= 0) & (y < bits)
    if function is xp.left_shift:
        return xp.where(inside, function(x, xp.where(inside, y, 0)), 0).astype(d)
    return function(x, xp.where(inside, y, bits - 1)).astype(d)


bitwise_invert = Elementwise("bitwise_invert", lambda xp, x: xp.bitwise_invert(x), result="same", kinds="bi")
bitwise_left_shift = Elementwise(
    "bitwise_left_shift", lambda xp, x, y: _shift(xp, x, y, xp.left_shift), kinds="i", operands=2
)
bitwise_right_shift = Elementwise(
    "bitwise_right_shift", lambda xp, x, y: _shift(xp, x, y, xp.right_shift), kinds="i", operands=2
)
public(bitwise_invert, "All bits inverted; booleans negated.", name="bitwise_not")


def _invert(self: Tensor) -> Tensor:
    if self.dtype.category > 1:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return self.bitwise_not()


setattr(Tensor, "__invert__", _invert)  # noqa: B010

for _name, _dunder, _p, _doc in (
    ("bitwise_and", "and", Elementwise("bitwise_and", "bitwise_and", kinds="bi", operands=2), "The bits set in both."),
    ("bitwise_or", "or", Elementwise("bitwise_or", "bitwise_or", kinds="bi", operands=2), "The bits set in either."),
    (
        "bitwise_xor",
        "xor",
        Elementwise("bitwise_xor", "bitwise_xor", kinds="bi", operands=2),
        "The bits set in one of the two.",
    ),
    ("bitwise_left_shift", "lshift", bitwise_left_shift, "`input * 2 ** other`: bits moved up."),
    ("bitwise_right_shift", "rshift", bitwise_right_shift, "`input / 2 ** other` rounded down: bits moved down."),
):
    _doc += " Raises RuntimeError for floating and complex dtypes."
    expose(inplace=True)(operator(_p, _name, _doc, numbers="either"))
    setattr(Tensor, f"__{_dunder}__", _p.binary())
    setattr(Tensor, f"__r{_dunder}__", _p.reflected())
    setattr(Tensor, f"__i{_dunder}__", getattr(Tensor, f"{_name}_"))

"""Operations that take each element from one of several tensors: where, maximum, clamp and their kin."""

from __future__ import annotations

from typing import Any

from ..graph.elementwise import Elementwise, is_number, write_out
from ..graph.op import Primitive
from ..tensor import Tensor
from .arithmetic import operator
from .expose import expose


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
)
masked_fill_ = Masked(
    "masked_fill",
    lambda xp, mask, x, y: xp.where(mask, y, x),
    None,
    lambda xp, g, mask: xp.where(mask, 0, g),
    lambda xp, g, mask: xp.where(mask, g, 0),
    operands=3,
    node={0: "MaskedFillBackward1", 4: "MaskedFillBackward0"},
)


@expose(out=True)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:  # noqa: A002
    """`input` where `condition` holds, else `other`, broadcast and promoted; either may be a number.

    With the condition alone, the tuple of indices at which it holds. Raises RuntimeError unless it is boolean (uint8 is
    taken as such).

    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0)
    tensor([1., 0.])
    """
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(condition).__name__}")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)  # type: ignore[attr-defined]
    if condition._array.dtype.kind != "b":
        if condition._array.dtype.itemsize != 1 or condition._array.dtype.kind != "u":
            raise RuntimeError(
                f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}"
            )
        condition = condition.bool()  # type: ignore[attr-defined]
    return where_.apply((condition, input, other))


@expose(function=False, name="where")
def where_method(input: Tensor, condition: Tensor, other: Any) -> Tensor:  # noqa: A002
    """`input` where `condition` holds, else `other`."""
    return where(condition, input, other)


@expose(inplace=True, out=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:  # noqa: A002
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
            value = value.to(input.dtype)  # type: ignore[attr-defined]
    elif isinstance(value, complex) and not input.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow")
    elif isinstance(value, float) and input.dtype.category < 2:
        value = int(value)
    return masked_fill_.apply((mask, input, value))


# --- the larger and the smaller ---

maximum_ = Elementwise(
    "maximum",
    "maximum",
    lambda xp, g, x, y: xp.where(x == y, g / 2, xp.where(x > y, g, 0)),
    lambda xp, g, x, y: xp.where(x == y, g / 2, xp.where(x < y, g, 0)),
)
minimum_ = Elementwise(
    "minimum",
    "minimum",
    lambda xp, g, x, y: xp.where(x == y, g / 2, xp.where(x < y, g, 0)),
    lambda xp, g, x, y: xp.where(x == y, g / 2, xp.where(x > y, g, 0)),
)
fmax_ = Elementwise(
    "fmax",
    "fmax",
    lambda xp, g, x, y: xp.where((x >= y) | xp.isnan(y), g, 0),
    lambda xp, g, x, y: xp.where((x >= y) | xp.isnan(y), 0, g),
)
fmin_ = Elementwise(
    "fmin",
    "fmin",
    lambda xp, g, x, y: xp.where((x <= y) | xp.isnan(y), g, 0),
    lambda xp, g, x, y: xp.where((x <= y) | xp.isnan(y), 0, g),
)

for _p, _doc in (
    (maximum_, "The larger of two elements; NaN if one of them is."),
    (minimum_, "The smaller of two elements; NaN if one of them is."),
    (fmax_, "The larger of two elements; if one is NaN, the other."),
    (fmin_, "The smaller of two elements; if one is NaN, the other."),
):
    _doc += " Raises RuntimeError for complex tensors."
    _function = operator(_p, _p.name, _doc, numbers=False)
    expose(name=_p.name)(_real_only(_function))

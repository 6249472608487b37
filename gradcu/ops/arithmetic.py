"""Arithmetic: the operators `+ - * / // % **` and what is made of them."""

from __future__ import annotations

import cmath
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..graph.errors import wrong_argument
from ..layouts import strided
from ..tensor import Tensor
from .expose import expose
from .inplace import inplace_operator
from .out import write_out
from .pointwise import Elementwise, is_number


def operator(p: Elementwise, name: str, doc: str, *, numbers: str = "right") -> Callable:
    """The public function of a binary operation; `numbers` says which operand may be a Python number.

    "" is none, "right" the second, "either" one of the two.
    """
    fast, apply = p.binary(), p.apply

    def function(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
        if isinstance(input, Tensor):
            result = fast(input, other) if numbers or isinstance(other, Tensor) else NotImplemented
        elif numbers == "either" and is_number(input):
            result = apply((input, other)) if isinstance(other, Tensor) else NotImplemented
        else:
            raise wrong_argument(name, "input", 1, input)
        if result is NotImplemented:
            sparse = isinstance(input, Tensor) and input.layout is not strided
            raise wrong_argument(name, "input", 1, input) if sparse else wrong_argument(name, "other", 2, other)
        return result if out is None else write_out(result, out, name, (input, other))

    function.ufunc = p.ufunc  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def underivable(name: str) -> Callable:
    """The formula of what PyTorch does not differentiate: it raises RuntimeError when backward gets there."""

    def vjp(xp: Any, g: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    vjp.raises = True  # type: ignore[attr-defined]  # the sweep of the tests asks for no gradient here
    return vjp


def zero(xp: Any, g: Any) -> Any:
    """The gradient of operations that are constant almost everywhere."""
    return xp.zeros_like(g)


# --- sums and products ---

add_ = Elementwise("add", "add", lambda xp, g: g, lambda xp, g: g, node="AddBackward0", constants={"alpha": 1})


def _no_difference(*operands: Any) -> None:
    """Raise RuntimeError for booleans, which cannot be subtracted."""
    booleans = [(isinstance(t, Tensor) and t.dtype is dtypes.bool) or isinstance(t, bool) for t in operands]
    if all(booleans):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    if any(booleans):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )


class _Subtract(Elementwise):
    def prepare(self, args: Any) -> Any:
        _no_difference(*args)
        return super().prepare(args)


subtract = _Subtract(
    "subtract",
    "subtract",
    lambda xp, g: g,
    lambda xp, g: -g,
    node={0: "SubBackward0", 1: "RsubBackward1"},
    constants={"alpha": 1},
)
multiply = Elementwise("multiply", "multiply", lambda xp, g, y: g * y, lambda xp, g, x: g * x, node="MulBackward0")
divide = Elementwise(
    "divide",
    "divide",
    lambda xp, g, y: g / y,
    lambda xp, g, y, out: -g * (out / y),
    node={0: "DivBackward0", 1: "MulBackward0"},
    result="float",
    domain=((-3.0, 3.0), (0.5, 3.0)),
)
negative = Elementwise("negative", "negative", lambda xp, g: -g, node="NegBackward0")

_add, _sub, _mul, _div = add_.binary(), subtract.binary(), multiply.binary(), divide.binary()
_function_add, _function_sub, _function_div = (
    operator(p, name, "", numbers="either") for p, name in ((add_, "add"), (subtract, "sub"), (divide, "div"))
)

mul = expose("multiply", inplace=True)(
    operator(
        multiply, "mul", "`input * other`, broadcast and promoted; for booleans, whether both hold.", numbers="either"
    )
)


def _scaled(other: Any, alpha: Any, input: Any) -> Any:
    """`alpha * other` for add and sub, refused where PyTorch refuses it."""
    operands = [t for t in (input, other) if isinstance(t, Tensor)]
    category = max(t.dtype.category if isinstance(t, Tensor) else dtypes.of_scalar(t).category for t in (input, other))
    if isinstance(alpha, bool) and category:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and category < 2:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, complex) and not any(t.dtype.is_complex for t in operands):
        raise RuntimeError("For non-complex input tensors, argument alpha must not be a complex number.")
    return other * alpha


@expose(inplace=True)
def add(input: Tensor, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input + alpha * other`, broadcast and promoted; for booleans, whether one of the two holds.

    Raises RuntimeError if `alpha` is of a higher kind (boolean, integer, floating, complex) than the operands.

    >>> add(tensor([1.0, 2.0]), 10, alpha=2)
    tensor([21., 22.])
    """
    if alpha != 1 or alpha is True:
        other = _scaled(other, alpha, input)
    return _function_add(input, other, out=out)


@expose("subtract", inplace=True)
def sub(input: Tensor, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input - alpha * other`, broadcast and promoted.

    Raises RuntimeError for booleans, which have no difference, and for an `alpha` of a higher kind than the operands.
    """
    if alpha != 1:
        other = _scaled(other, alpha, input)
    return _function_sub(input, other, out=out)


@expose(function=True, method=False)
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`, broadcast and promoted. Raises RuntimeError for booleans."""
    if not isinstance(input, Tensor):
        raise TypeError(f"rsub(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return subtract.apply((other, _scaled(input, alpha, other) if alpha != 1 else input))


# --- division and what is left of it ---


def _checked(xp: Any, x: Any, y: Any) -> None:
    """Raise RuntimeError where integers are divided by zero (on the CPU: the device does not tell)."""
    integers = (x if is_number(y) else y).dtype.kind in "biu"
    if integers and xp is backends.host and not xp.all(y):
        raise RuntimeError("ZeroDivisionError")


def _floor_divide(xp: Any, x: Any, y: Any) -> Any:
    _checked(xp, x, y)
    return xp.floor_divide(x, y)


def _trunc_divide(xp: Any, x: Any, y: Any) -> Any:
    _checked(xp, x, y)
    down = xp.floor_divide(x, y)
    if down.dtype.kind in "biu":
        return down + ((down < 0) & (down * y != x))
    return xp.trunc(x / y)


def _remainder(xp: Any, x: Any, y: Any) -> Any:
    _checked(xp, x, y)
    return xp.remainder(x, y)


def _fmod(xp: Any, x: Any, y: Any) -> Any:
    _checked(xp, x, y)
    return xp.fmod(x, y)


floor_divide_ = Elementwise(
    "floor_divide",
    _floor_divide,
    underivable("floor_divide"),
    underivable("floor_divide"),
    node="NotImplemented",
    kinds="if",
    domain=((-3.0, 3.0), (0.5, 3.0)),
)
divide_down = Elementwise(
    "divide_down",
    _floor_divide,
    zero,
    zero,
    node={0: "DivBackward2", 2: "DivBackward3"},
    kinds="if",
    domain=((0.1, 0.4), (0.5, 0.9)),
)
divide_truncated = Elementwise(
    "divide_truncated",
    _trunc_divide,
    zero,
    zero,
    node={0: "DivBackward2", 2: "DivBackward3"},
    kinds="if",
    domain=((0.1, 0.4), (0.5, 0.9)),
)
remainder_ = Elementwise(
    "remainder",
    _remainder,
    lambda xp, g: g,
    lambda xp, g, x, y: -g * xp.floor(x / y),
    node={0: "RemainderBackward1", 1: "NotImplemented", 2: "RemainderBackward0"},
    kinds="if",
    domain=((1.1, 1.9), (0.6, 0.9)),
)
fmod_ = Elementwise(
    "fmod",
    _fmod,
    lambda xp, g: g,
    lambda xp, g, x, y: -g * xp.trunc(x / y),
    node={0: "FmodBackward1", 2: "FmodBackward0"},
    kinds="if",
    domain=((1.1, 1.9), (0.6, 0.9)),
)


@expose("divide", inplace=True)
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """`input / other`; rounded towards zero with rounding_mode "trunc", down with "floor".

    Without rounding integers are divided in the default dtype. Raises RuntimeError for another rounding_mode, and where
    rounded integers are divided by zero.

    >>> div(tensor([-7, 7]), 2, rounding_mode="floor")
    tensor([-4,  3])
    """
    if rounding_mode is None:
        return _function_div(input, other, out=out)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    result = (divide_down if rounding_mode == "floor" else divide_truncated).apply((input, other))
    return result if out is None else write_out(result, out, "div", (input, other))


true_divide = expose(inplace=True)(
    operator(
        divide,
        "true_divide",
        "`input / other`, broadcast and promoted; integers give the default dtype.",
        numbers="either",
    )
)
floor_divide = expose(inplace=True)(
    operator(
        floor_divide_,
        "floor_divide",
        "`input / other` rounded down, as Python's `//`. Raises RuntimeError where integers are divided by zero.",
        numbers="either",
    )
)
remainder = expose(inplace=True)(
    operator(
        remainder_,
        "remainder",
        "What is left of `input / other` rounded down: it has the sign of `other`, as Python's `%`.\n\n"
        "    Raises RuntimeError where integers are divided by zero.",
        numbers="either",
    )
)
fmod = expose(inplace=True)(
    operator(
        fmod_,
        "fmod",
        "What is left of `input / other` rounded towards zero: it has the sign of `input`, as C's fmod.\n\n"
        "    Raises RuntimeError where integers are divided by zero.",
    )
)

# --- powers ---


def _pow(xp: Any, x: Any, y: Any) -> Any:
    if is_number(y):
        if y == 2:
            return x * x
        if y == 3:
            return x * x * x
    elif y.dtype.kind == "i":  # as PyTorch: 0 where the result is no integer
        ones = xp.where(y % 2 == 0, abs(x), x)
        return xp.where(y >= 0, x ** xp.maximum(y, 0), ones * (abs(x) == 1)).astype(y.dtype)
    return x**y


def _pow_x(xp: Any, g: Any, x: Any, y: Any) -> Any:
    if is_number(y):
        if y == 0:
            return xp.zeros_like(g)
        return g * (x + x) if y == 2 else g * (y * x ** (y - 1))
    # where the exponent is 0 the gradient is, whatever x is
    return xp.where(y == 0, 0, g * (y * x ** (xp.where(y == 0, 1, y) - 1)))


def _pow_y(xp: Any, g: Any, x: Any, y: Any, out: Any) -> Any:
    if is_number(x):
        if x == 0:
            return xp.where(y >= 0, 0, g * -out)
        logarithm = cmath.log(x)
        return g * (out * (logarithm if isinstance(x, complex) else logarithm.real if x > 0 else float("nan")))
    at_zero = (x == 0) & (xp.real(y) >= 0)
    return xp.where(at_zero, 0, g * (out * xp.log(xp.where(at_zero, 1, x))))


class Power(Elementwise):
    """`pow`, which integers have no negative one of."""

    def prepare(self, args: Any) -> Any:
        operands = super().prepare(args)
        if is_number(args[1]) and operands[0]._array.dtype.kind in "biu" and args[1] < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return operands


power = Power(
    "pow",
    _pow,
    _pow_x,
    _pow_y,
    node={0: "PowBackward1", 1: "PowBackward2", 2: "PowBackward0"},
    saved={"y": "exponent"},
    kinds="ifc",
    domain=((0.3, 3.0), (-2.0, 2.0)),
)
square_ = Elementwise(
    "square", "square", lambda xp, g, x: g * (2 * x), node="PowBackward0", kinds="ifc", constants={"exponent": 2}
)
sqrt = Elementwise("sqrt", "sqrt", lambda xp, g, out: g / (2 * out), result="float", domain=(0.1, 3.0))
rsqrt = Elementwise(
    "rsqrt",
    lambda xp, x: 1 / xp.sqrt(x),
    lambda xp, g, out: g * (-0.5 * (out * out * out)),
    result="float",
    domain=(0.2, 3.0),
)
reciprocal = Elementwise(
    "reciprocal", lambda xp, x: 1 / x, lambda xp, g, out: -g * (out * out), result="float", domain=(0.3, 3.0)
)
for _p in (sqrt, rsqrt, reciprocal):
    expose(inplace=True, name=_p.name)(_p.unary())
expose(inplace=True, name="square")(square_.unary())

_function_pow = operator(power, "pow", "", numbers="either")


@expose(inplace=True)
def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input ** exponent`, either of which may be a number; broadcast and promoted.

    Raises RuntimeError if integers are taken to a negative integer as a number; as a tensor it gives 0.

    >>> pow(tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    return _function_pow(input, exponent, out=out)


@expose(inplace=True, out=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent` in float64, or complex128 if one of them is complex."""
    operands = [input, exponent]
    if not any(isinstance(t, Tensor) for t in operands):
        raise TypeError("float_power(): one of input and exponent must be Tensor")
    complex_ = any(t.dtype.is_complex if isinstance(t, Tensor) else isinstance(t, complex) for t in operands)
    wide = dtypes.complex128 if complex_ else dtypes.float64
    x, y = (t.to(wide) if isinstance(t, Tensor) else wide.numpy.type(t) for t in operands)
    return power.apply((x, y))


# --- several at once ---


def _lerp(xp: Any, x: Any, y: Any, weight: Any) -> Any:
    """From the nearer end, so that both ends are met exactly."""
    distance = y - x
    if is_number(weight):
        return x + weight * distance if abs(weight) < 0.5 else y - distance * (1 - weight)
    return xp.where(abs(weight) < 0.5, x + weight * distance, y - distance * (1 - weight))


lerp_ = Elementwise(
    "lerp",
    _lerp,
    lambda xp, g, weight: g * (1 - weight),
    lambda xp, g, weight: g * weight,
    lambda xp, g, x, y: g * (y - x),
    node={0: "LerpBackward1", 4: "LerpBackward0"},
    operands=3,
)
addcmul_ = Elementwise(
    "addcmul",
    lambda xp, x, y, z, value=1: x + (y * z if value == 1 else value * y * z),
    lambda xp, g: g,
    lambda xp, g, z, value: g * (value * z),
    lambda xp, g, y, value: g * (value * y),
    saved={"y": "tensor1", "z": "tensor2"},
    operands=3,
)
addcdiv_ = Elementwise(
    "addcdiv",
    lambda xp, x, y, z, value=1: x + (y / z if value == 1 else value * y / z),
    lambda xp, g: g,
    lambda xp, g, z, value: g * (value / z),
    lambda xp, g, y, z, value: -g * (value * y / (z * z)),
    saved={"y": "tensor1", "z": "tensor2"},
    operands=3,
    domain=((-3.0, 3.0), (-3.0, 3.0), (0.5, 3.0)),
)


@expose(inplace=True, out=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`; `weight` is a number or a tensor.

    Raises RuntimeError unless all tensors have one dtype.
    """
    for name, t in (("end", end), ("weight", weight)):
        if isinstance(t, Tensor) and t.dtype is not input.dtype:
            raise RuntimeError(f"expected dtype {input.dtype} for `{name}` but got dtype {t.dtype}")
    return lerp_.apply((input, end, weight))


@expose(inplace=True, out=True)
def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`. Raises RuntimeError if `value` is floating and the tensors are integers."""
    operands = addcmul_.prepare((input, tensor1, tensor2))
    if isinstance(value, float) and not value.is_integer() and operands[0].dtype.category < 2:
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    return addcmul_.record(operands, (value,))


@expose(inplace=True, out=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`. Raises RuntimeError if both tensors are integers."""
    if tensor1.dtype.category < 2 and tensor2.dtype.category < 2:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: write (input + value * gradcu.trunc(tensor1 / "
            "tensor2)).to(input.dtype), or input + value * tensor1 / tensor2."
        )
    return addcdiv_.apply((input, tensor1, tensor2), (value,))


@expose(inplace=True, out=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """`input * 2 ** other`, of two tensors."""
    for position, t in enumerate((input, other), 1):
        if not isinstance(t, Tensor):
            raise TypeError(f"ldexp(): argument {position} must be Tensor, not {type(t).__name__}")
    if other.dtype.category < 2:
        other = other.to(input.dtype if input.dtype.category > 1 else dtypes.get_default_dtype())
    return _mul(input, power.apply((2.0, other)))


gcd_ = Elementwise("gcd", "gcd", operands=2, kinds="i")
lcm_ = Elementwise("lcm", "lcm", operands=2, kinds="i")


expose(inplace=True, name="gcd")(
    operator(gcd_, "gcd", "The greatest common divisor. Raises RuntimeError unless both are integers.", numbers="")
)
expose(inplace=True, name="lcm")(
    operator(lcm_, "lcm", "The least common multiple. Raises RuntimeError unless both are integers.", numbers="")
)

# --- signs ---


@expose(inplace=False)
def positive(input: Tensor) -> Tensor:
    """The tensor itself. Raises RuntimeError for booleans."""
    if input.dtype is dtypes.bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


_neg = negative.unary()


@expose("negative", inplace=True)
def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`-input`. Raises RuntimeError for booleans."""
    if isinstance(input, Tensor) and input._array.dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )
    return _neg(input, out=out)


# --- Python's operators ---


for _f, _p in ((add, add_), (sub, subtract), (div, divide)):
    _f.ufunc = _p.ufunc  # type: ignore[attr-defined]  # in-place forms write with it
_OPERATORS: dict[str, Callable] = {
    "add": _add, "radd": _add, "sub": _sub, "rsub": subtract.reflected(), "mul": _mul, "rmul": _mul,
    "truediv": _div, "div": _div, "rtruediv": divide.reflected(), "rdiv": divide.reflected(), "neg": neg,
    "pos": positive,
}  # fmt: skip
for _n, _p in (("floordiv", floor_divide_), ("mod", remainder_), ("pow", power)):
    _OPERATORS |= {_n: _p.binary(), f"r{_n}": _p.reflected()}
for _n, _f in _OPERATORS.items():
    setattr(Tensor, f"__{_n}__", _f)
for _n, _m in {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow",
}.items():  # fmt: skip
    _change = getattr(Tensor, f"{_m}_")
    setattr(Tensor, f"__i{_n}__", inplace_operator(_change) if _m in ("add", "sub", "mul", "div") else _change)

"""Functions of one number, applied to every element: exponentials, logarithms, angles, rounding, signs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor
from .arithmetic import operator, underivable, zero
from .expose import expose
from .out import write_out
from .pointwise import Elementwise


def public(p: Elementwise, doc: str, *aliases: str, inplace: bool = True, name: str = "", **places: Any) -> Callable:
    """Make `p` public as a function, a method and in place."""
    function = p.unary()
    function.__doc__ = doc
    return expose(*aliases, inplace=inplace, name=name or p.name, **places)(function)


# --- exponentials and logarithms ---

exp = Elementwise("exp", "exp", lambda xp, g, out: g * out, result="float")
exp2 = Elementwise("exp2", "exp2", lambda xp, g, out: g * (out * math.log(2)), result="float")
expm1 = Elementwise("expm1", "expm1", lambda xp, g, out: g * (out + 1), result="float")
log = Elementwise("log", "log", lambda xp, g, x: g / x, result="float", domain=(0.1, 3.0))
log2 = Elementwise("log2", "log2", lambda xp, g, x: g / (x * math.log(2)), result="float", domain=(0.1, 3.0))
log10 = Elementwise("log10", "log10", lambda xp, g, x: g / (x * math.log(10)), result="float", domain=(0.1, 3.0))
log1p = Elementwise(
    "log1p", "log1p", lambda xp, g, x: g / (x + 1), node="Log1PBackward0", result="float", domain=(-0.9, 3.0)
)
sigmoid = Elementwise(
    "sigmoid", lambda xp, x: 1 / (1 + xp.exp(-x)), lambda xp, g, out: g * ((1 - out) * out), result="float"
)

public(exp, "e to the power of `input`.")
public(exp2, "2 to the power of `input`.", "special.exp2")
public(expm1, "`exp(input) - 1`, precise near 0.", "special.expm1")
public(log, "The natural logarithm.")
public(log2, "The logarithm to base 2.")
public(log10, "The logarithm to base 10.")
public(log1p, "`log(1 + input)`, precise near 0.", "special.log1p")
public(sigmoid, "`1 / (1 + exp(-input))`.", "special.expit", "nn.functional.sigmoid")

# --- angles ---

sin = Elementwise("sin", "sin", lambda xp, g, x: g * xp.cos(x), result="float")
cos = Elementwise("cos", "cos", lambda xp, g, x: -g * xp.sin(x), result="float")
tan = Elementwise("tan", "tan", lambda xp, g, out: g * (1 + out * out), result="float", domain=(-1.4, 1.4))
asin = Elementwise("asin", "asin", lambda xp, g, x: g / xp.sqrt(1 - x * x), result="float", domain=(-0.9, 0.9))
acos = Elementwise("acos", "acos", lambda xp, g, x: -g / xp.sqrt(1 - x * x), result="float", domain=(-0.9, 0.9))
atan = Elementwise("atan", "atan", lambda xp, g, x: g / (1 + x * x), result="float")
sinh = Elementwise("sinh", "sinh", lambda xp, g, x: g * xp.cosh(x), result="float")
cosh = Elementwise("cosh", "cosh", lambda xp, g, x: g * xp.sinh(x), result="float")
tanh = Elementwise("tanh", "tanh", lambda xp, g, out: g - g * out * out, result="float")
asinh = Elementwise("asinh", "asinh", lambda xp, g, x: g / xp.sqrt(x * x + 1), result="float")
acosh = Elementwise(
    "acosh", "acosh", lambda xp, g, x: g / (xp.sqrt(x - 1) * xp.sqrt(x + 1)), result="float", domain=(1.2, 3.0)
)
atanh = Elementwise("atanh", "atanh", lambda xp, g, x: g / (1 - x * x), result="float", domain=(-0.9, 0.9))
deg2rad = Elementwise(
    "deg2rad",
    lambda xp, x: x * (math.pi / 180),
    lambda xp, g: g * (math.pi / 180),
    node="Deg2RadBackward0",
    result="float",
)
rad2deg = Elementwise(
    "rad2deg",
    lambda xp, x: x * (180 / math.pi),
    lambda xp, g: g * (180 / math.pi),
    node="Rad2DegBackward0",
    result="float",
)

public(sin, "The sine of an angle in radians.")
public(cos, "The cosine of an angle in radians.")
public(tan, "The tangent of an angle in radians.")
public(asin, "The angle in [-pi/2, pi/2] with this sine; NaN outside of [-1, 1].", "arcsin")
public(acos, "The angle in [0, pi] with this cosine; NaN outside of [-1, 1].", "arccos")
public(atan, "The angle in [-pi/2, pi/2] with this tangent.", "arctan")
public(sinh, "The hyperbolic sine.")
public(cosh, "The hyperbolic cosine.")
public(tanh, "The hyperbolic tangent.", "nn.functional.tanh")
public(asinh, "The number with this hyperbolic sine.", "arcsinh")
public(acosh, "The number >= 0 with this hyperbolic cosine; NaN below 1.", "arccosh")
public(atanh, "The number with this hyperbolic tangent; NaN outside of [-1, 1].", "arctanh")
public(deg2rad, "Degrees to radians.")
public(rad2deg, "Radians to degrees.")


def _sinc(xp: Any, x: Any) -> Any:
    angle = math.pi * xp.where(x == 0, 1, x)
    return xp.where(x == 0, 1, xp.sin(angle) / angle)


def _sinc_x(xp: Any, g: Any, x: Any) -> Any:
    angle = math.pi * xp.where(x == 0, 1, x)
    return xp.where(x == 0, 0, g * (math.pi * (xp.cos(angle) - xp.sin(angle) / angle) / angle))


sinc = Elementwise("sinc", _sinc, _sinc_x, result="float", domain=(0.1, 3.0))
public(sinc, "`sin(pi * input) / (pi * input)`, which is 1 at 0.", "special.sinc")

# --- rounding ---

floor = Elementwise("floor", "floor", zero, kinds="if", domain=(0.1, 0.9))
ceil = Elementwise("ceil", "ceil", zero, kinds="if", domain=(0.1, 0.9))
trunc = Elementwise("trunc", "trunc", zero, kinds="if", domain=(0.1, 0.9))
frac = Elementwise("frac", lambda xp, x: x - xp.trunc(x), lambda xp, g: g, kinds="f", domain=(0.1, 0.9))
round_ = Elementwise("round", lambda xp, x: xp.round(x), zero, kinds="if", domain=(0.6, 0.9))
round_decimals = Elementwise(
    "round_decimals", lambda xp, x, decimals=1: xp.round(x, decimals), zero, node="RoundBackward1", kinds="f",
    domain=(0.6, 0.9),
)  # fmt: skip

public(floor, "Rounded down.")
public(ceil, "Rounded up.")
public(trunc, "Rounded towards zero.", "fix")
public(frac, "What follows the decimal point: `input - trunc(input)`.")

_round = round_.unary()


@expose("special.round", inplace=True)
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Rounded to the nearest number with that many decimals (to tens for -1, ...), the even one if there are two.

    Raises RuntimeError for decimals of integers.
    """
    if decimals == 0:
        return _round(input, out=out)
    result = round_decimals.apply((input,), (decimals,))
    return result if out is None else write_out(result, out, "round", (input,))


# --- signs ---


def _sign(xp: Any, x: Any) -> Any:
    if x.dtype.kind == "b":
        return x
    s = xp.sign(x)
    return s if s.dtype.kind in "iu" else xp.where(x == x, s, 0)  # 0 for NaN


def _sgn_x(xp: Any, g: Any, x: Any, out: Any, x_dtype: Any) -> Any:
    """Of z / |z|: what turns the angle is left of g, divided by the length."""
    if x_dtype.kind != "c":
        return xp.zeros_like(g)
    length = xp.where(x == 0, 1, abs(x))
    return xp.where(x == 0, 0, (g - xp.real(g * xp.conj(out)) * out) / length)


absolute = Elementwise("abs", "abs", lambda xp, g, x: g * xp.sgn(x), holomorphic=False, kinds="ifc")
sign_ = Elementwise("sign", _sign, zero, kinds="bif", domain=(0.1, 3.0))
sgn = Elementwise("sgn", _sign, _sgn_x, holomorphic=False, domain=(0.1, 3.0))
signbit = Elementwise(
    "signbit", lambda xp, x: xp.signbit(x) if x.dtype.kind not in "bu" else x < 0, result="bool", kinds="bif"
)
public(absolute, "The distance from zero; real for complex numbers.", "absolute")
public(sgn, "`input / abs(input)`, and 0 for 0: the sign, or the direction of a complex number.")
public(sign_, "-1, 0 or 1. Raises RuntimeError for complex numbers, for which there is `sgn`.")
public(signbit, "Whether the sign is set, that of -0.0 too. Raises RuntimeError for complex numbers.", inplace=False)
setattr(Tensor, "__abs__", Tensor.abs)  # noqa: B010

# --- of two numbers ---


def _part(xp: Any, g: Any, x: Any, y: Any) -> Any:
    """`g * y / (x * x + y * y)`, and 0 at the origin."""
    length = x * x + y * y
    return g * (y / xp.where(length == 0, 1, length))


hypot = Elementwise(
    "hypot",
    "hypot",
    lambda xp, g, x, out: g * (x / out),
    lambda xp, g, y, out: g * (y / out),
    kinds="f",
    domain=(0.2, 3.0),
)
atan2 = Elementwise(
    "atan2",
    "atan2",
    lambda xp, g, x, y: _part(xp, g, x, y),
    lambda xp, g, x, y: -_part(xp, g, y, x),
    result="float",
    kinds="bif",
    domain=(0.2, 3.0),
)
copysign = Elementwise(
    "copysign",
    lambda xp, x, y: xp.copysign(x, y),
    lambda xp, g, x, out: g * (xp.sgn(x) * xp.sgn(out)),
    zero,
    node={0: "CopysignBackward0", 2: "CopysignBackward1"},
    result="float",
    kinds="bif",
    domain=(0.2, 3.0),
)
nextafter = Elementwise(
    "nextafter",
    "nextafter",
    lambda xp, g, x, y: xp.where(x == y, 0, g),
    zero,
    kinds="f",
    domain=((-3.0, -1.0), (1.1, 3.0)),
)
heaviside_ = Elementwise(
    "heaviside",
    lambda xp, x, y: xp.where(x == 0, y, xp.astype(x > 0, y.dtype)),
    underivable("heaviside"),
    underivable("heaviside"),
    node="NotImplemented",
    kinds="bif",
)


def _logaddexp(xp: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind != "c":
        return xp.logaddexp(x, y)
    first = x.real >= y.real
    high, low = xp.where(first, x, y), xp.where(first, y, x)
    return high + xp.log1p(xp.exp(low - high))


logaddexp = Elementwise(
    "logaddexp",
    _logaddexp,
    lambda xp, g, x, out: g * xp.exp(x - out),
    lambda xp, g, y, out: g * xp.exp(y - out),
    kinds="fc",
)
logaddexp2 = Elementwise(
    "logaddexp2",
    "logaddexp2",
    lambda xp, g, x, out: g * xp.exp2(x - out),
    lambda xp, g, y, out: g * xp.exp2(y - out),
    node="Logaddexp2Backward0",
    kinds="f",
)

expose(inplace=True)(
    operator(
        hypot,
        "hypot",
        "`sqrt(input ** 2 + other ** 2)` without overflow. Raises RuntimeError for integers.",
        numbers="",
    )
)
expose("arctan2", inplace=True)(
    operator(atan2, "atan2", "The angle, in [-pi, pi], of the point (x=other, y=input) to the x axis.", numbers="")
)
expose(inplace=True)(operator(copysign, "copysign", "The magnitude of `input` with the sign of `other`."))
expose(inplace=True)(
    operator(nextafter, "nextafter", "The next floating number after `input` towards `other`.", numbers="")
)
expose()(operator(logaddexp, "logaddexp", "`log(exp(input) + exp(other))` without overflow.", numbers=""))
expose()(operator(logaddexp2, "logaddexp2", "`log2(2 ** input + 2 ** other)` without overflow.", numbers=""))


@expose(inplace=True, out=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """The step: 0 for negative elements, 1 for positive ones, `values` where `input` is 0.

    Raises RuntimeError for complex tensors and for different dtypes.
    """
    if not isinstance(values, Tensor):
        raise TypeError(f"heaviside(): argument 'values' (position 2) must be Tensor, not {type(values).__name__}")
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return heaviside_.apply((input, values))


frexp_ = Primitive(
    "frexp",
    lambda xp, x: xp.frexp(x),
    {"x": lambda xp, g, out, x_dtype: g / 2.0 ** xp.astype(out[1], x_dtype)},
    outputs=2,
    differentiable=(0,),
    samples=lambda make: [(make(2, 3),), (make(),)],
    domain=(0.6, 0.9),
)


@expose()
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissa, in [0.5, 1) but for sign, and int32 exponent: `input == mantissa * 2 ** exponent`.

    Raises RuntimeError for integers and complex numbers.
    """
    if not input.is_floating_point():
        raise RuntimeError("gradcu.frexp() only supports floating-point dtypes")
    results = frexp_.record((input,))
    if out is not None:
        results = [write_out(r, o, "frexp") for r, o in zip(results, out)]
    return named("frexp", "mantissa exponent")(*results)

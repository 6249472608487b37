"""Activation functions, as `gradcu.nn.functional` has them."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor, wrap_dim
from .elementwise import sigmoid
from .expose import FUNCTIONS_IN_PLACE, expose, functions, namespaces
from .inplace import inplace as make_inplace
from .pointwise import Elementwise


class Activation(Elementwise):
    """An elementwise operation of floating numbers, with settings (its attributes) and an in-place form."""

    def __init__(self, name: str, *formulas: Any, **more: Any) -> None:
        super().__init__(name, *formulas, **({"kinds": "f"} | more))
        self.fast = self.unary()
        self.change = make_inplace(self.fast, f"{name}_")

    def run(self, input: Tensor, inplace: bool, *settings: Any) -> Tensor:
        return self.change(input, *settings) if inplace else self.fast(input, *settings)


functional = expose(function=False, method=False, into="nn.functional")

# --- pieces of lines ---

relu_ = Activation(
    "relu", lambda xp, x: xp.maximum(x, 0), lambda xp, g, out: xp.where(out <= 0, 0, g), kinds="if", domain=(0.1, 3.0)
)
leaky_relu_ = Activation(
    "leaky_relu",
    lambda xp, x, slope=0.01: xp.maximum(x, slope * x) if 0 <= slope <= 1 else xp.where(x > 0, x, slope * x),
    lambda xp, g, x, slope: xp.where(x > 0, g, g * slope),
    saved={"slope": "negative_slope"},
)
hardtanh_ = Activation(
    "hardtanh",
    lambda xp, x, low=-1.0, high=1.0: xp.minimum(xp.maximum(x, low), high),
    lambda xp, g, x, low, high: xp.where((x <= low) | (x >= high), 0, g),
    saved={"low": "min_val", "high": "max_val"},
    kinds="if",
)
threshold_ = Activation(
    "threshold",
    lambda xp, x, threshold=0.0, value=0.0: xp.where(x <= threshold, value, x),
    lambda xp, g, x, threshold: xp.where(x <= threshold, 0, g),
    kinds="if",
)
hardshrink_ = Activation(
    "hardshrink",
    lambda xp, x, limit=0.5: xp.where((x >= -limit) & (x <= limit), 0, x),
    lambda xp, g, x, limit: xp.where((x >= -limit) & (x <= limit), 0, g),
    saved={"limit": "lambd"},
)
softshrink_ = Activation(
    "softshrink",
    lambda xp, x, limit=0.5: x - xp.minimum(xp.maximum(x, -limit), limit),
    lambda xp, g, x, limit: xp.where((x >= -limit) & (x <= limit), 0, g),
    saved={"limit": "lambd"},
)
hardsigmoid_ = Activation(
    "hardsigmoid",
    lambda xp, x: xp.minimum(xp.maximum(x + 3, 0), 6) / 6,
    lambda xp, g, x: xp.where((x > -3) & (x < 3), g / 6, 0),
)
hardswish_ = Activation(
    "hardswish",
    lambda xp, x: x * xp.minimum(xp.maximum(x + 3, 0), 6) / 6,
    lambda xp, g, x: xp.where(x <= -3, 0, xp.where(x < 3, g * (x / 3 + 0.5), g)),
)


@expose(into="nn.functional")
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(input, 0)`; NaN stays. Raises RuntimeError for booleans and complex numbers."""
    return relu_.run(input, inplace)


setattr(Tensor, "relu_", relu_.change)  # noqa: B010


@functional
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`min(max(input, 0), 6)`."""
    return hardtanh_.run(input, inplace, 0, 6)


@functional
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input`, times `negative_slope` where it is negative."""
    return leaky_relu_.run(input, inplace, negative_slope)


@functional
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Limited to [min_val, max_val]; no gradient on the limits. Raises ValueError if min_val > max_val."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input._array.dtype.kind in "iu":
        min_val, max_val = int(min_val), int(max_val)
    return hardtanh_.run(input, inplace, min_val, max_val)


@expose(method=False, into="nn.functional")
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`value` where `input` is not above `threshold`."""
    return threshold_.run(input, inplace, threshold, value)


@expose(into="nn.functional")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where `-lambd <= input <= lambd`."""
    return hardshrink_.fast(input, lambd)


@functional
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Moved towards zero by `lambd`, and 0 where that would change the sign. Raises RuntimeError if it is negative."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd:g}.")
    return softshrink_.fast(input, lambd)


@functional
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`input / 6 + 1 / 2`, limited to [0, 1]."""
    return hardsigmoid_.run(input, inplace)


@functional
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * hardsigmoid(input)` (Howard et al., 2019)."""
    return hardswish_.run(input, inplace)


prelu_ = Elementwise(
    "prelu",
    lambda xp, x, weight: xp.where(x > 0, x, weight * x),
    lambda xp, g, x, weight: xp.where(x > 0, g, g * weight),
    lambda xp, g, x: xp.where(x > 0, 0, g * x),
    node="PreluKernelBackward0",
    kinds="f",
)


@expose(into="nn.functional")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`input`, times `weight` where it is negative: one weight, or one for each channel (dimension 1).

    Raises RuntimeError if the number of weights does not fit.
    """
    if not isinstance(weight, Tensor):
        raise TypeError(f"prelu(): argument 'weight' (position 2) must be Tensor, not {type(weight).__name__}")
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    count = weight.numel()
    if count != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input._array.shape[1] if input.ndim > 1 else 1
        if count != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. "
                f"Found parameter numbers = {count} and channel size = {channels}."
            )
    if input.ndim > 1 or weight.ndim > input.ndim:
        weight = weight.reshape((count, *(1,) * (input.ndim - 2)) if input.ndim > 1 else ())
    return prelu_.apply((input, weight))


@expose(method=False, into="nn.functional")
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`input`, where it is negative times a slope drawn from [lower, upper]; times their mean outside of training."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu_.run(input, inplace, (lower + upper) / 2)
    return _rrelu_in_place(input, lower, upper) if inplace else _rrelu(input, lower, upper)


def _rrelu(input: Tensor, lower: float, upper: float) -> Tensor:
    return prelu_.apply((input, input.detach().clone().uniform_(lower, upper)))


_rrelu_in_place = make_inplace(_rrelu, "rrelu_")

# --- exponentials ---


def _elu(xp: Any, x: Any, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Any:
    return xp.where(x > 0, x if scale == 1 else scale * x, (alpha * scale) * xp.expm1(inner * xp.minimum(x, 0)))


def _elu_x(xp: Any, g: Any, x: Any, alpha: float, scale: float, inner: float) -> Any:
    below = xp.exp(inner * xp.where(x <= 0, x, 0))
    return g * xp.where(x <= 0, (alpha * scale * inner) * below, scale)


elu_ = Activation("elu", _elu, _elu_x, saved={"inner": "input_scale"})
celu_ = Activation("celu", _elu, _elu_x)
silu_ = Activation(
    "silu",
    lambda xp, x: x / (1 + xp.exp(-x)),
    lambda xp, g, x: (lambda s: g * (s * (1 + x * (1 - s))))(xp.sigmoid(x)),
    kinds="fc",
)
logsigmoid_ = Activation(
    "logsigmoid",
    lambda xp, x: xp.minimum(x, 0) - xp.log1p(xp.exp(-abs(x))),
    lambda xp, g, x: g * xp.sigmoid(-x),
    node="LogSigmoidBackward0",
)
softplus_ = Activation(
    "softplus",
    lambda xp, x, beta=1.0, limit=20.0: xp.where(
        x * beta > limit, x, xp.log1p(xp.exp(xp.minimum(x * beta, limit))) / beta
    ),
    lambda xp, g, x, beta, limit: xp.where(x * beta > limit, g, g * xp.sigmoid(x * beta)),
    saved={"limit": "threshold"},
)


def _mish_x(xp: Any, g: Any, x: Any) -> Any:
    t = xp.tanh(xp.logaddexp(x, 0))
    return g * (t + x * xp.sigmoid(x) * (1 - t * t))


mish_ = Activation("mish", lambda xp, x: x * xp.tanh(xp.logaddexp(x, 0)), _mish_x)
softsign_ = Activation(
    "softsign",
    lambda xp, x: x / (1 + abs(x)),
    lambda xp, g, x: g / xp.square(1 + abs(x)),
    node="DivBackward0",
    kinds="bifc",
    result="float",
)
tanhshrink_ = Activation(
    "tanhshrink",
    lambda xp, x: x - xp.tanh(x),
    lambda xp, g, x: g * xp.square(xp.tanh(x)),
    node="SubBackward0",
    kinds="bifc",
    result="float",
)


@functional
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input`, and `alpha * (exp(input) - 1)` where it is negative (Clevert et al., 2015)."""
    return elu_.run(input, inplace, alpha, 1.0, 1.0)


@expose(method=False, into="nn.functional")
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`scale * elu(input, alpha)` with the constants of Klambauer et al., 2017, which keep mean 0 and variance 1."""
    return elu_.run(input, inplace, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


@expose(method=False, into="nn.functional")
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input`, and `alpha * (exp(input / alpha) - 1)` where it is negative (Barron, 2017).

    Raises RuntimeError if alpha is 0.
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return celu_.run(input, inplace, alpha, 1.0, 1.0 / alpha)


@functional
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * sigmoid(input)`, also called swish (Hendrycks and Gimpel, 2016)."""
    return silu_.run(input, inplace)


@functional
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input * tanh(softplus(input))` (Misra, 2019)."""
    return mish_.run(input, inplace)


@functional
def logsigmoid(input: Tensor) -> Tensor:
    """`log(sigmoid(input))` without overflow."""
    return logsigmoid_.fast(input)


@functional
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """`log(1 + exp(beta * input)) / beta`, and `input` itself where `beta * input > threshold`."""
    return softplus_.fast(input, beta, threshold)


@functional
def softsign(input: Tensor) -> Tensor:
    """`input / (1 + abs(input))`."""
    return input / (1 + input.abs()) if input.is_complex() else softsign_.fast(input)


@functional
def tanhshrink(input: Tensor) -> Tensor:
    """`input - tanh(input)`."""
    return tanhshrink_.fast(input)


@functional
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim`, times the sigmoid of the second (Dauphin et al., 2016).

    Raises RuntimeError if the length is odd or `input` is 0-d.
    """
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = wrap_dim(dim, input.ndim)
    length = input._array.shape[axis]
    if length % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {length}")
    before = (slice(None),) * axis
    return input[(*before, slice(length // 2))] * sigmoid(input[(*before, slice(length // 2, None))])


# --- with the normal distribution ---

_TANH = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _gelu_x(xp: Any, g: Any, x: Any) -> Any:
    cdf = 0.5 * (1 + xp.erf(x * math.sqrt(0.5)))
    return g * (cdf + x * (xp.exp(-0.5 * (x * x)) * (1 / math.sqrt(2 * math.pi))))


def _gelu_tanh_x(xp: Any, g: Any, x: Any) -> Any:
    square = x * x
    t = xp.tanh(_TANH * (x * (1 + _CUBIC * square)))
    return g * (0.5 * (1 + t) + (0.5 * _TANH) * (x * (1 - t * t)) * (1 + (3 * _CUBIC) * square))


gelu_ = Activation(
    "gelu",
    lambda xp, x: 0.5 * x * (1 + xp.erf(x * math.sqrt(0.5))),
    _gelu_x,
    constants={"approximate": "none"},
)
gelu_tanh = Activation(
    "gelu_tanh",
    lambda xp, x: 0.5 * x * (1 + xp.tanh(_TANH * (x * (1 + _CUBIC * (x * x))))),
    _gelu_tanh_x,
    node="GeluBackward0",
    constants={"approximate": "tanh"},
)


@functional
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`input` times the probability that a standard normal is less (Hendrycks and Gimpel, 2016).

    `approximate="tanh"` uses their formula with tanh. Raises RuntimeError for another `approximate`.
    """
    if approximate == "none":
        return gelu_.fast(input)
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    return gelu_tanh.fast(input)


for _function in (relu, elu, hardtanh, leaky_relu, selu, celu, rrelu, threshold):
    _name = f"{_function.__name__}_"
    namespaces["nn.functional"][_name] = make_inplace(_function, _name)
    if _name in FUNCTIONS_IN_PLACE:
        functions[_name] = namespaces["nn.functional"][_name]

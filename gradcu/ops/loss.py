"""Losses of pairs of elements, a prediction and its target: squares, absolute values, likelihoods."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..graph.modes import state
from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose, functions

# --- reductions ---


def check_reduction(reduction: str) -> None:
    """Raises ValueError unless it is "none", "mean" or "sum"."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def legacy(size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3) -> str:
    """The reduction that the two arguments of old, if given, stand for."""
    if size_average is None and reduce is None:
        return reduction
    found = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.",
        stacklevel=stacklevel,
    )
    return found


def checked(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """`legacy`'s reduction. Raises ValueError if there is no such."""
    reduction = legacy(size_average, reduce, reduction, 4)
    check_reduction(reduction)
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss itself, its mean or its sum."""
    check_reduction(reduction)
    return loss if reduction == "none" else getattr(loss, reduction)()


# --- element by element ---


def _over(shape: tuple[int, ...]) -> float:
    """One over the number of elements; of none, NaN, as the mean of nothing is."""
    n = math.prod(shape)
    return 1 / n if n else math.nan


def _pointwise(name: str, node: str, value: Callable, slope: Callable, slope_y: Callable | None = None) -> Primitive:
    """A loss of pairs of elements with its reduction: `value(xp, x, y, scale)`, and its derivatives by x and y.

    The derivative by y is minus that by x unless given.
    """

    def forward(xp: Any, x: Any, y: Any, reduction: str, scale: float) -> Any:
        loss = value(xp, x, y, scale)
        if reduction == "none":
            return loss
        total = xp.sum(loss)
        return total if reduction == "sum" else total * total.dtype.type(_over(loss.shape))

    def by(derivative: Callable, sign: int) -> Callable:
        def vjp(xp: Any, g: Any, x: Any, y: Any, reduction: str, scale: float) -> Any:
            share = sign * _over(x.shape) if reduction == "mean" else sign
            return (g * share) * derivative(xp, x, y, scale)

        return vjp

    return Primitive(
        name,
        forward,
        {"x": by(slope, 1), "y": by(slope, -1) if slope_y is None else by(slope_y, 1)},
        inputs=2,
        node=node,
        saved={"y": "target"},
        domain=(0.1, 0.9),
        samples=lambda make: [(make(2, 3), make(2, 3), r, 0.3) for r in ("mean", "sum", "none")],
    )


mse = _pointwise(
    "mse_loss",
    "MseLossBackward0",
    lambda xp, x, y, scale: xp.square(x - y),
    lambda xp, x, y, scale: 2 * (x - y),
)
huber = _pointwise(
    "huber_loss",
    "HuberLossBackward0",
    lambda xp, x, y, scale: xp.where(
        xp.abs(x - y) <= scale, 0.5 * xp.square(x - y), scale * (xp.abs(x - y) - 0.5 * scale)
    ),
    lambda xp, x, y, scale: xp.clip(x - y, -scale, scale),
)
smooth_l1 = _pointwise(
    "smooth_l1_loss",
    "SmoothL1LossBackward0",
    lambda xp, x, y, scale: xp.where(
        xp.abs(x - y) < scale, 0.5 / scale * xp.square(x - y), xp.abs(x - y) - 0.5 * scale
    ),
    lambda xp, x, y, scale: xp.clip((x - y) / scale, -1, 1),
)
bce = _pointwise(
    "binary_cross_entropy",
    "BinaryCrossEntropyBackward0",
    lambda xp, x, y, scale: (y - 1) * xp.maximum(xp.log1p(-x), -100) - y * xp.maximum(xp.log(x), -100),
    lambda xp, x, y, scale: (x - y) / xp.maximum((1 - x) * x, 1e-12),
    lambda xp, x, y, scale: xp.maximum(xp.log1p(-x), -100) - xp.maximum(xp.log(x), -100),
)
bce_with_logits = _pointwise(
    "binary_cross_entropy_with_logits",
    "BinaryCrossEntropyWithLogitsBackward0",
    lambda xp, x, y, scale: (1 - y) * x + xp.maximum(-x, 0) + xp.log1p(xp.exp(-xp.abs(x))),
    lambda xp, x, y, scale: xp.sigmoid(x) - y,
    lambda xp, x, y, scale: -x,
)


def operands(name: str, input: Tensor, target: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
    """The tensors in their common dtype and shape. Warns, as PyTorch does, if shapes had to be broadcast."""
    given = (input, target, *more)
    for t in given:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): expected a Tensor, not {type(t).__name__}")
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )
    if any(t._array.shape != input._array.shape for t in given):
        given = tuple(functions["broadcast_tensors"](*given))
    if state.autocast:
        given = tuple(t.float() if t.dtype.is_floating_point and t.dtype.itemsize == 2 else t for t in given)
    if any(t.dtype is not given[0].dtype for t in given):
        common = dtypes.promote([(0 if t.ndim else 1, t.dtype) for t in given])
        given = tuple(t.to(common) for t in given)
    return given


def _weighted(
    p: Primitive, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, scale: float
) -> Tensor:
    """A pointwise loss; weights multiply each element, and the mean is over them."""
    check_reduction(reduction)
    x, y = operands(p.name, input, target)
    if not x.is_floating_point():
        raise NotImplementedError(f"\"{p.name}\" not implemented for '{x.dtype.type_name}'")
    if x.dtype.itemsize == 2:  # half precision is computed in float32
        return _weighted(p, x.float(), y.float(), weight, reduction, scale).to(x.dtype)
    if weight is None:
        return p.record((x, y), (reduction, scale))
    loss = p.record((x, y), ("none", scale))
    return reduced(loss * weight, reduction) if p is bce or p is bce_with_logits else _mean_by(weight, loss, reduction)


def _mean_by(weight: Tensor, loss: Tensor, reduction: str) -> Tensor:
    """The loss times the weights, reduced; the mean is that over the weights."""
    loss = loss * weight
    return loss.sum() / weight.expand_as(loss).sum() if reduction == "mean" else reduced(loss, reduction)


@expose(into="nn.functional", function=False, method=False)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The square of input - target: its mean, its sum, or each.

    >>> mse_loss(tensor([1.0, 2.0]), tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    return _weighted(mse, input, target, weight, legacy(size_average, reduce, reduction), 0.0)


@expose(into="nn.functional", function=False, method=False)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute value of input - target: its mean, its sum, or each."""
    reduction = checked(size_average, reduce, reduction)
    x, y = operands("l1_loss", input, target)
    loss = (x - y).abs()
    return reduced(loss, reduction) if weight is None else _mean_by(weight, loss, reduction)


@expose(into="nn.functional", function=False, method=False)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d^2 / (2 beta) for distances below `beta`, |d| - beta / 2 above. Raises RuntimeError for negative `beta`."""
    reduction = legacy(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return _weighted(smooth_l1, input, target, None, reduction, beta)


@expose(into="nn.functional", function=False, method=False)
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d^2 / 2 for distances up to `delta`, delta (|d| - delta / 2) above. Raises RuntimeError unless delta > 0."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return _weighted(huber, input, target, weight, reduction, delta)


@expose(into="nn.functional", function=False, method=False)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) of probabilities x, the logarithms no less than -100.

    Raises ValueError for other shapes, RuntimeError for probabilities outside of [0, 1].
    """
    reduction = legacy(size_average, reduce, reduction)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    x = input._array
    if backends.namespaces[type(x)] is backends.host and x.size and not (x.min() >= 0 and x.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    if target.dtype is not input.dtype:
        raise RuntimeError(f"Found dtype {target.dtype.type_name} but expected {input.dtype.type_name}")
    y = target._array
    if backends.namespaces[type(y)] is backends.host and y.size and not (y.min() >= 0 and y.max() <= 1):
        raise RuntimeError("all elements of target should be between 0 and 1")
    return _weighted(bce, input, target, weight, reduction, 0.0)


@expose(method=False, into="nn.functional")
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), without its overflow; `pos_weight` multiplies the part of target 1.

    Raises ValueError unless the target has the shape of the input.
    """
    reduction = checked(size_average, reduce, reduction)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if pos_weight is None:
        return _weighted(bce_with_logits, input, target, weight, reduction, 0.0)
    x, y = operands("binary_cross_entropy_with_logits", input, target)
    below = bce_with_logits.record((x, functions["ones_like"](x)), ("none", 0.0))  # -log(sigmoid(x))
    loss = (1 - y) * x + (1 + (pos_weight - 1) * y) * below
    return reduced(loss if weight is None else loss * weight, reduction)


@expose(into="nn.functional", function=False, method=False)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target (log target - input): the divergence from log-probabilities `input`.

    `reduction="batchmean"` divides the sum by the first dimension, as mathematics has it.
    """
    reduction = legacy(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the "
            "same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = functions["xlogy"](target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    return reduced(loss, reduction)


@expose(into="nn.functional", method=False)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-likelihood of counts under Poisson rates exp(input), or `input` if not `log_input`.

    `full` adds Stirling's term for counts above one.
    """
    reduction = checked(size_average, reduce, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


@expose(into="nn.functional", function=False, method=False)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-likelihood of the target under a normal distribution with mean `input` and variance `var`.

    Variances below `eps` count as `eps`, without a gradient. Raises ValueError for negative ones and other shapes.
    """
    if isinstance(var, Tensor):
        variance = var
    else:
        variance = var * functions["ones_like"](input)
    if bool((backends.elements(variance._array) < 0).any()):
        raise ValueError("var has negative entry/entries")
    own, given = tuple(input.shape), tuple(variance.shape)
    if given != own:
        if given == own[:-1]:
            variance = variance.unsqueeze(-1)
        elif len(own) != len(given) or sum(a != b for a, b in zip(own, given)) != 1 or 1 not in given:
            raise ValueError("var is of incorrect size")
    check_reduction(reduction)
    # Limited in value alone: the gradient is that of the variance as given.
    limited = variance + (variance.detach().clamp(min=eps) - variance.detach())
    loss = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)

"""Losses: cross-entropy, likelihoods, and distances of a prediction from its target.

Cross-entropy takes logits and is one primitive, which keeps log-probabilities: a softmax of which the logarithm is
taken would overflow, and the gradient needs no more than they give.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .expose import expose, functions

# --- reductions ---


def check_reduction(reduction: str) -> None:
    """Raises ValueError unless it is "none", "mean" or "sum"."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def legacy(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the two arguments of old, if given, stand for."""
    if size_average is None and reduce is None:
        return reduction
    found = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.", stacklevel=3
    )
    return found


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss itself, its mean or its sum."""
    check_reduction(reduction)
    return loss if reduction == "none" else getattr(loss, reduction)()


# --- classes ---


def _classes(*values: Any) -> Tensor:
    return from_array(backends.host.array(values))


def _class_samples(make: Any) -> list[tuple]:
    return [
        (make(3, 2), _classes(1, 0, 1), make(3, 1).detach(), True),
        (make(1, 3, 2), _classes([2, 0]), make(1, 1, 2).detach(), False),
    ]


def _put_class(xp: Any, x: Any, target: Any, count: int) -> Any:
    spread = xp.zeros((x.shape[0], count, *x.shape[2:]), dtype=x.dtype)
    if x.ndim == 2:
        spread[xp.arange(x.shape[0]), target] = x[:, 0]
    else:
        xp.put_along_axis(spread, xp.expand_dims(target, 1), x, axis=1)
    return spread


def _take_class(xp: Any, x: Any, target: Any) -> Any:
    if x.ndim == 2:
        return x[xp.arange(x.shape[0]), target][:, None]
    return xp.take_along_axis(x, xp.expand_dims(target, 1), axis=1)


put_class = Primitive(
    "put_class",
    _put_class,
    {"x": lambda xp, g, target: xp.take_class(g, target)},
    inputs=2,
    node="NllLossBackwardBackward0",
    samples=lambda make: [(make(3, 1), _classes(1, 0, 1), 2), (make(1, 1, 2), _classes([2, 0]), 3)],
)
take_class = Primitive(
    "take_class",
    _take_class,
    {"x": lambda xp, g, x_shape, target: xp.put_class(g, target, x_shape[1])},
    inputs=2,
    samples=lambda make: [(make(3, 2), _classes(1, 0, 1)), (make(1, 3, 2), _classes([2, 0]))],
)


def _picked(xp: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    """Minus the log-probabilities x of classes by their shares, (N, ...) or added up."""
    loss = xp.take_class(x, classes) * shares
    return -xp.sum(loss) if total else -loss[:, 0]


def _cross_entropy(xp: Any, x: Any, classes: Any, shares: Any, total: bool) -> tuple[Any, Any]:
    logp = x - xp.max(x, axis=1, keepdims=True)
    logp -= xp.log(xp.sum(xp.exp(logp), axis=1, keepdims=True))
    return _picked(xp, logp, classes, shares, total), logp


def _vjp_cross_entropy(
    xp: Any, g: Any, needs: Any, x_shape: Any, classes: Any, shares: Any, total: bool, rest: Any
) -> tuple[Any, ...]:
    g_loss, g_logp = g
    p = xp.exp(rest[0])
    x_grad: Any = None
    if needs[0] and g_loss is not None:
        each = (g_loss if total else xp.expand_dims(g_loss, 1)) * shares
        x_grad = p * each - xp.put_class(each, classes, x_shape[1])
    if needs[0] and g_logp is not None:
        more = g_logp - p * xp.sum(g_logp, axis=1, keepdims=True)
        x_grad = more if x_grad is None else x_grad + more
    share_grad = None
    if needs[2] and g_loss is not None:
        share_grad = -xp.take_class(rest[0], classes) * (g_loss if total else xp.expand_dims(g_loss, 1))
    return x_grad, None, share_grad


cross_entropy_ = Primitive(
    "cross_entropy",
    _cross_entropy,
    _vjp_cross_entropy,
    inputs=3,
    outputs=2,
    node="NllLossBackward0",
    samples=_class_samples,
)
nll = Primitive(
    "nll",
    _picked,
    {
        "x": lambda xp, g, x_shape, classes, shares, total: xp.put_class(
            -(g if total else xp.expand_dims(g, 1)) * shares, classes, x_shape[1]
        ),
        "shares": lambda xp, g, x, classes, total: -xp.take_class(x, classes) * (g if total else xp.expand_dims(g, 1)),
    },
    inputs=3,
    node="NllLossBackward0",
    samples=_class_samples,
)


def _class_shares(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Input as (N, C, ...), the class of each target (0 where it is ignored), and its part in the loss as (N, 1, ...).

    Raises RuntimeError or ValueError where shapes do not fit, IndexError for a class that is not there.
    """
    x, t = input._array, target._array
    if not x.ndim:
        raise ValueError(f"Expected 1 or more dimensions (got {x.ndim})")
    if x.ndim == 1:
        if t.ndim:
            raise ValueError(f"Expected input batch_size (1) to match target batch_size ({t.shape[0]}).")
        x, t = x[None], t[None]
        input = input.unsqueeze(0)  # type: ignore[attr-defined]
    if x.shape[0] != t.shape[0]:
        raise ValueError(f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({t.shape[0]}).")
    if x.shape[2:] != t.shape[1:]:
        expected = [x.shape[0], *x.shape[2:]]
        raise RuntimeError(f"Expected target size {expected}, got {list(t.shape)}")
    if t.dtype.kind not in "iu" or t.itemsize not in (1, 8):
        raise RuntimeError(f"expected scalar type Long but found {target.dtype}")
    count = x.shape[1]
    if weight is not None and tuple(weight.shape) != (count,):
        raise RuntimeError(
            "weight tensor should be defined either for all "
            f"{count} classes or no classes but got weight tensor of shape: {list(weight.shape)}"
        )
    xp = backends.namespaces[type(x)]
    valid = t != ignore_index
    classes = t * valid
    if xp is backends.host and t.size and not (int(classes.min()) >= 0 and int(classes.max()) < count):
        wrong = next(int(c) for c in classes.flat if not 0 <= c < count)
        raise IndexError(f"Target {wrong} is out of bounds.")
    shares = valid.astype(x.dtype) if weight is None else weight._array[classes] * valid
    if reduction == "mean":
        shares = shares / xp.sum(shares)
    return input, from_array(classes), from_array(shares[:, None])


@expose(into="nn.functional", function=False, method=False)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability `input` (N, C, ...) of the classes `target` (N, ...), weighted by class.

    The mean is weighted, too. Targets equal to `ignore_index` do not count. Raises ValueError or RuntimeError where
    shapes do not fit, IndexError for a class that is not there.
    """
    reduction = legacy(size_average, reduce, reduction)
    check_reduction(reduction)
    x, classes, shares = _class_shares("nll_loss", input, target, weight, ignore_index, reduction)
    loss = nll.record((x, classes, shares), (reduction != "none",))
    return loss.squeeze(0) if x is not input and reduction == "none" else loss


@expose(into="nn.functional", function=False, method=False)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus the log-probability that logits (N, C, ...) give to classes (N, ...), or to probabilities (N, C, ...).

    `label_smoothing` mixes the target with the uniform distribution. Targets equal to `ignore_index` do not count, and
    the mean is weighted by class. Raises as `nll_loss`.

    >>> cross_entropy(tensor([[2.0, 0.0]]), tensor([0]))
    tensor(0.1269)
    """
    reduction = legacy(size_average, reduce, reduction)
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target._array.dtype.kind == "f" and input._array.shape == target._array.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    x, classes, shares = _class_shares("cross_entropy", input, target, weight, ignore_index, reduction)
    single = x is not input
    if not label_smoothing:
        loss = cross_entropy_.record((x, classes, shares), (reduction != "none",))[0]
        return loss.squeeze(0) if single and reduction == "none" else loss
    logp = functions["log_softmax"](x, 1)
    loss = nll.record((logp, classes, shares), (reduction != "none",))
    valid = (target != ignore_index).to(x.dtype)
    smooth = logp if weight is None else logp * weight.reshape(-1, *(1,) * (x.ndim - 2))
    smooth = -smooth.sum(1) * valid / x.shape[1]
    if reduction == "mean":
        # The denominator is that of the other part: the weights of the targets.
        smooth = smooth.sum() / (valid if weight is None else weight[classes] * valid).sum()
    elif reduction == "sum":
        smooth = smooth.sum()
    loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    return loss.squeeze(0) if single and reduction == "none" else loss


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Cross-entropy with a distribution over the classes as target."""
    axis = min(1, input.ndim - 1)
    count = input.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / count
    loss = functions["log_softmax"](input, axis) * target
    if weight is not None:
        loss = loss * weight.reshape(-1, *(1,) * (input.ndim - 1 - axis))
    if reduction == "mean":
        return -loss.sum() / max(1, input.numel() // count)
    return -(loss.sum() if reduction == "sum" else loss.sum(axis))


@expose(into="nn.functional", function=False, method=False)
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy` of the logits input @ linear_weight^T + linear_bias.

    input: (N, D) or (D). linear_weight: (C, ..., D), which gives logits (N, C, ...). `options` is accepted: the logits
    are made at once whatever it says. Raises RuntimeError where shapes do not fit, and for `ignore_index` beside
    probabilities.
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"linear_cross_entropy: expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(
            f"linear_cross_entropy: expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}"
        )
    classes = tuple(linear_weight.shape[:-1])
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "linear_cross_entropy: expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if len(classes) > 1 and input.ndim == 1:
        raise RuntimeError(
            f"linear_cross_entropy: K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            "requires "
            f"batched input, (N, {input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )
    if ignore_index is not None and target.dtype.is_floating_point:
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target contains probabilities")
    if linear_bias is not None and tuple(linear_bias.shape) not in (classes, classes[:1]):
        raise RuntimeError(
            f"linear_cross_entropy: expected linear_bias shape {classes}, got {tuple(linear_bias.shape)}"
        )
    rows = linear_weight.reshape(-1, linear_weight.shape[-1])  # type: ignore[attr-defined]
    logits = (input @ rows.mT).reshape(*input.shape[:-1], *classes)
    if linear_bias is not None:
        logits = logits + linear_bias.reshape(*linear_bias.shape, *(1,) * (len(classes) - linear_bias.ndim))  # type: ignore[attr-defined]
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


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
            "likely "
            "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )
    if any(t._array.shape != input._array.shape for t in given):
        given = tuple(functions["broadcast_tensors"](*given))
    if any(t.dtype is not input.dtype for t in given):
        common = dtypes.promote([(0 if t.ndim else 1, t.dtype) for t in given])
        given = tuple(t.to(common) for t in given)  # type: ignore[attr-defined]
    return given


def _weighted(
    p: Primitive, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, scale: float
) -> Tensor:
    """A pointwise loss; weights multiply each element, and the mean is over them."""
    check_reduction(reduction)
    x, y = operands(p.name, input, target)
    if weight is None:
        return p.record((x, y), (reduction, scale))
    loss = p.record((x, y), ("none", scale)) * weight
    if reduction == "mean" and p is not bce and p is not bce_with_logits:
        return loss.sum() / weight.expand_as(loss).sum()  # type: ignore[attr-defined]
    return reduced(loss, reduction)


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
    reduction = legacy(size_average, reduce, reduction)
    check_reduction(reduction)
    x, y = operands("l1_loss", input, target)
    loss = (x - y).abs()
    if weight is None:
        return reduced(loss, reduction)
    loss = loss * weight
    return loss.sum() / weight.expand_as(loss).sum() if reduction == "mean" else reduced(loss, reduction)  # type: ignore[attr-defined]


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
    reduction = legacy(size_average, reduce, reduction)
    check_reduction(reduction)
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
        loss = target.exp() * (target - input)  # type: ignore[attr-defined]
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
    reduction = legacy(size_average, reduce, reduction)
    check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()  # type: ignore[attr-defined]
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()  # type: ignore[attr-defined]
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
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * functions["ones_like"](input)
    elif bool((var < 0).any()):  # type: ignore[operator, attr-defined]
        raise ValueError("var has negative entry/entries")
    if tuple(var.shape) != tuple(input.shape):
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not (
            input.ndim == var.ndim and sum(a != b for a, b in zip(input.shape, var.shape)) == 1 and 1 in var.shape
        ):
            raise ValueError("var is of incorrect size")
    check_reduction(reduction)
    # Limited in value alone: the gradient is that of the variance as given.
    limited = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)

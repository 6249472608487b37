"""Cross-entropy and the likelihood of classes.

Cross-entropy takes logits and is one primitive: a softmax of which the logarithm is taken would overflow. It keeps the
logits alone, and the backward makes probabilities of them again: memory takes longer than arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

from .. import backends
from ..backends.cpu import compiled
from ..backends.parts import in_parts
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .expose import expose, functions
from .loss import checked


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


def _finite(xp: Any, shares: Any) -> Any:
    """`shares` with 0 for 0 / 0: where every target is ignored the mean is NaN, and yet has no gradient."""
    return xp.where(shares == shares, shares, 0)


@compiled("cross_entropy")
def _cross_entropy(xp: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    return _picked(xp, xp.log_softmax(x, 1), classes, shares, total)


@compiled("cross_entropy", by=1)
def _cross_entropy_x(xp: Any, g: Any, x: Any, classes: Any, shares: Any, total: bool) -> Any:
    each = (g if total else xp.expand_dims(g, 1)) * _finite(xp, shares)

    def compute(x: Any, each: Any, classes: Any) -> list[Any]:
        return [xp.softmax(x, 1) * each - xp.put_class(each, classes[:, 0], x.shape[1])]

    return in_parts(compute, (1,), (x, each, classes[:, None]))[0]


cross_entropy_ = Primitive(
    "cross_entropy",
    _cross_entropy,
    {
        "x": _cross_entropy_x,
        "shares": lambda xp, g, x, classes, total: (
            -xp.take_class(xp.log_softmax(x, 1), classes) * (g if total else xp.expand_dims(g, 1))
        ),
    },
    inputs=3,
    node="NllLossBackward0",
    samples=_class_samples,
)
nll = Primitive(
    "nll",
    _picked,
    {
        "x": lambda xp, g, x_shape, classes, shares, total: xp.put_class(
            -(g if total else xp.expand_dims(g, 1)) * _finite(xp, shares), classes, x_shape[1]
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
    if input.dtype.category < 2:
        raise NotImplementedError(f"\"{name}\" not implemented for '{input.dtype.type_name}'")
    if not x.ndim:
        raise ValueError(f"Expected 1 or more dimensions (got {x.ndim})")
    if x.ndim == 1:
        if t.ndim:
            raise ValueError(f"Expected input batch_size (1) to match target batch_size ({t.shape[0]}).")
        x, t = x[None], t[None]
        input = input.unsqueeze(0)
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
        wide = shares.astype("float32") if shares.itemsize == 2 else shares  # half precision counts to 65,504
        shares = (wide / xp.sum(wide)).astype(shares.dtype, copy=False)
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
    reduction = checked(size_average, reduce, reduction)
    x, classes, shares = _class_shares("nll_loss", input, target, weight, ignore_index, reduction)
    loss = nll.record((x, classes, shares), (reduction != "none",))
    if reduction == "mean" and not target.numel():
        loss = loss * math.nan
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
    reduction = checked(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.is_floating_point() and input._array.shape == target._array.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    x, classes, shares = _class_shares("cross_entropy", input, target, weight, ignore_index, reduction)
    single = x is not input
    if not label_smoothing:
        loss = cross_entropy_.record((x, classes, shares), (reduction != "none",))
        if reduction == "mean" and not target.numel():
            loss = loss * math.nan
        return loss.squeeze(0) if single and reduction == "none" else loss
    logp = functions["log_softmax"](x, 1)
    loss = nll.record((logp, classes, shares), (reduction != "none",))
    valid = (target != ignore_index).to(x.dtype)
    smooth = logp if weight is None else logp * weight.reshape(-1, *(1,) * (x.ndim - 2))
    smooth = -smooth.sum(1) * valid / x.shape[1]
    if reduction == "mean":
        # The denominator is that of the other part: the weights of the targets.
        total = (valid if weight is None else weight[classes] * valid).sum()
        smooth = smooth.sum() * functions["where"](total == 0, 0, 1 / total)
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
    rows = linear_weight.reshape(-1, linear_weight.shape[-1])
    logits = (input @ rows.mT).reshape(*input.shape[:-1], *classes)
    if linear_bias is not None:
        logits = logits + linear_bias.reshape(*linear_bias.shape, *(1,) * (len(classes) - linear_bias.ndim))
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )

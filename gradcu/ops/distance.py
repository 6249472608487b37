"""Distances and angles between vectors, and the losses made of them: margins, triplets, hinges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import backends
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions, namespaces
from .loss import check_reduction, checked, reduced


@expose(into="nn.functional", method=False)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`, broadcast."""
    x1, x2 = functions["broadcast_tensors"](x1, x2)
    if not x1.dtype.is_floating_point or x1.dtype is not x2.dtype:
        common = functions["result_type"](x1, x2)
        if not common.is_floating_point:
            raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {common}")
        x1, x2 = x1.to(common), x2.to(common)
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    length = functions["norm"](x, 2, dim, True)
    return x / length.clamp(min=eps)


@expose(into="nn.functional", function=False, method=False)
def normalize(
    input: Tensor,
    p: float = 2.0,
    dim: Any = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """input / max(its p-norm along `dim`, eps)."""
    length = functions["norm"](input, p, dim, True).clamp(min=eps)
    return functions["div"](input, length.expand_as(input), out=out)


@expose(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along `dim` scaled down to a `p`-norm of `maxnorm` where it is longer.

    Raises RuntimeError for fewer than two dimensions, and unless p > 0 and maxnorm >= 0.
    """
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    own = wrap_dim(dim, input.ndim)
    length = namespaces["linalg"]["vector_norm"](input, p, tuple(d for d in range(input.ndim) if d != own), True)
    return input * functions["where"](length > maxnorm, maxnorm / (length + 1e-7), 1)


@expose(into="nn.functional", method=False)
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return functions["norm"](x1 - x2 + eps, p, -1, keepdim)


def _p_distance(d: Tensor, p: float) -> Tensor:
    """The p-norm of differences along the last dimension, with gradient zero where they are all zero."""
    if p == 0:
        return (d != 0).to(d.dtype).sum(-1) + d.sum(-1) * 0
    if p == 1:
        return d.abs().sum(-1)
    if math.isinf(p):
        return d.abs().amax(-1)
    return functions["norm"](d, p, -1)


@expose(method=False)
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The p-norm of the difference of each row of x1 (..., P, M) from each of x2 (..., R, M): (..., P, R).

    Large Euclidean problems go through a matrix product unless `compute_mode` forbids it. Raises RuntimeError for
    columns that differ and for negative p.
    """
    for i, x in enumerate((x1, x2), start=1):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{i} got: {x.ndim}D")
        if not x.dtype.is_floating_point:
            raise RuntimeError(f"cdist only supports floating-point dtypes, X{i} got: {x.dtype}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    large = compute_mode == modes[0] and (x1.shape[-2] > 25 or x2.shape[-2] > 25)
    if p == 2 and (large or compute_mode == modes[1]):
        squares = x1.square().sum(-1, keepdim=True) + x2.square().sum(-1).unsqueeze(-2) - 2 * (x1 @ x2.mT)
        # The root has no derivative at zero; PyTorch gives zero there.
        apart = squares > 0
        return functions["where"](apart, squares.where(apart, 1.0).sqrt(), 0.0)
    return _p_distance(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


@expose(into="nn.functional", method=False)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows of (N, M): (N (N - 1) / 2). Raises RuntimeError otherwise."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    xp = backends.namespaces[type(input._array)]
    first, second = (from_array(i) for i in xp.triu_indices(input.shape[0], 1))
    return _p_distance(input.index_select(0, first) - input.index_select(0, second), p)


@expose(into="nn.functional", method=False)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) for target 1, max(0, cos(x1, x2) - margin) for target -1.

    Raises RuntimeError unless inputs are (N, D) and the target (N), or (D) and 0-d.
    """
    reduction = checked(size_average, reduce, reduction)
    if target.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    dot = (input1 * input2).sum(-1)
    lengths = ((input1 * input1).sum(-1) + 1e-12) * ((input2 * input2).sum(-1) + 1e-12)
    cosine = dot / lengths.sqrt()
    zero = functions["zeros_like"](cosine)
    loss = functions["where"](target == 1, 1 - cosine, zero)
    return reduced(loss + functions["where"](target == -1, (cosine - margin).clamp(min=0), zero), reduction)


@expose(into="nn.functional", method=False)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target (x1 - x2) + margin): which of two is to be ranked higher. Raises RuntimeError for other shapes."""
    reduction = checked(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@expose(into="nn.functional", method=False)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x for target 1, max(0, margin - x) for target -1."""
    reduction = checked(size_average, reduce, reduction)
    zero = functions["zeros_like"](input)
    loss = functions["where"](target == 1, zero, (margin - input).clamp(min=0))
    return reduced(loss + functions["where"](target == -1, zero, input), reduction)


@expose(into="nn.functional", function=False, method=False)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    reduction = checked(size_average, reduce, reduction)
    return reduced(functions["logaddexp"](-target * input, functions["zeros_like"](input * target)), reduction)


@expose(into="nn.functional", function=False, method=False)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy with logits of many labels, averaged over the last dimension, which is the classes'."""
    reduction = checked(size_average, reduce, reduction)
    zero = functions["zeros_like"](input)
    loss = target * functions["logaddexp"](-input, zero) + (1 - target) * functions["logaddexp"](input, zero)
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.shape[-1], reduction)


def _rows(name: str, input: Tensor, target: Tensor, per_row: int) -> Tensor:
    """The input as (N, C). Raises RuntimeError unless the target has `per_row` dimensions less."""
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise RuntimeError(
            f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    expected = tuple(input.shape)[: input.ndim - per_row] if per_row else tuple(input.shape)
    if tuple(target.shape) != expected and not (input.ndim == 1 and tuple(target.shape) in ((), (1,))):
        raise RuntimeError(f"inconsistent target size, expected {list(expected)} but got {list(target.shape)}")
    return input.reshape(-1, input.shape[-1] if input.ndim else 1)


@expose(into="nn.functional", function=False, method=False)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the other classes of max(0, margin - x[target] + x)^p. Raises ValueError for p other than 1 and 2."""
    reduction = checked(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    x = _rows("multi_margin_loss", input, target, 1)
    t = target.reshape(-1, 1)
    violation = (margin - x.gather(1, t) + x).clamp(min=0) ** p
    if weight is not None:
        violation = violation * weight[t]
    others = functions["ones_like"](x).scatter(1, t, 0.0)
    loss = (violation * others).sum(1) / x.shape[1]
    return reduced(loss if input.ndim > 1 else loss.squeeze(0), reduction)


@expose(into="nn.functional", function=False, method=False)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over pairs of a target class and another of max(0, 1 - (x[target] - x[other])).

    Each row of the target lists classes, up to the first -1. Raises RuntimeError for other shapes.
    """
    reduction = checked(size_average, reduce, reduction)
    x = _rows("multilabel_margin_loss", input, target, 0)
    t = target.reshape(x.shape)
    listed = (t < 0).to(t.dtype).cumsum(1) == 0
    t = t.clamp(min=0)
    xp = backends.namespaces[type(x._array)]
    is_target = xp.zeros(x._array.shape, dtype=bool)
    rows = xp.broadcast_to(xp.arange(x.shape[0])[:, None], x._array.shape)
    chosen = listed._array
    is_target[rows[chosen], t._array[chosen]] = True
    gap = (1 - x.gather(1, t).unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    counted = from_array((chosen[:, :, None] & ~is_target[:, None, :]).astype(x._array.dtype))
    loss = (gap * counted).sum((1, 2)) / x.shape[1]
    return reduced(loss if input.ndim > 1 else loss.squeeze(0), reduction)


@expose(into="nn.functional", method=False)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin) with p-norms along the last dimension.

    `swap` takes |positive - negative| where it is smaller. Raises ValueError unless margin > 0, RuntimeError for
    different numbers of dimensions.
    """
    reduction = checked(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    return _triplet(lambda a, b: pairwise_distance(a, b, p, eps), anchor, positive, negative, margin, swap, reduction)


def _triplet(
    distance: Callable, anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, swap: bool, reduction: str
) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = functions["minimum"](far, distance(positive, negative))
    return reduced((near - far + margin).clamp(min=0), reduction)


@expose(into="nn.functional", function=False, method=False)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own; `pairwise_distance` if none is given."""
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    return _triplet(distance_function or pairwise_distance, anchor, positive, negative, margin, swap, reduction)

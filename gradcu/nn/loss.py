"""Losses. Each has `reduction`: "mean" (the default), "sum" or "none"."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..dtypes import dtype
from ..ops.loss import legacy
from ..tensor import Tensor
from . import functional as F
from .linear import Linear
from .module import Module


class _Loss(Module):
    """What losses share: `settings` names the attributes that are passed on to the function by name."""

    function: str
    settings: tuple[str, ...] = ()
    reduction: str

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        **settings: Any,
    ) -> None:
        super().__init__()
        self.reduction = legacy(size_average, reduce, reduction, 4)
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self._call(input, target)

    def _call(self, *inputs: Tensor) -> Tensor:
        settings = {name: getattr(self, name) for name in self.settings}
        return getattr(F, self.function)(*inputs, **settings, reduction=self.reduction)


class _WeightedLoss(_Loss):
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        **settings: Any,
    ) -> None:
        super().__init__(size_average, reduce, reduction, **settings)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """|input - target|."""

    function = "l1_loss"

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)


class MSELoss(_Loss):
    """(input - target)²."""

    function = "mse_loss"

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)


class SmoothL1Loss(_Loss):
    """|d| - beta / 2 where |d| >= beta, else d² / (2 beta), d = input - target: Girshick, 2015."""

    function, settings = "smooth_l1_loss", ("beta",)

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction, beta=beta)


class HuberLoss(_Loss):
    """delta (|d| - delta / 2) where |d| >= delta, else d² / 2, d = input - target."""

    function, settings = "huber_loss", ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(None, None, reduction, delta=delta)


class BCELoss(_WeightedLoss):
    """Binary cross entropy of probabilities: -(t log(p) + (1 - t) log(1 - p))."""

    function, settings = "binary_cross_entropy", ("weight",)

    def __init__(
        self, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross entropy of logits; `pos_weight` weighs positive targets."""

    function, settings = "binary_cross_entropy_with_logits", ("weight", "pos_weight")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)


class NLLLoss(_WeightedLoss):
    """Log probabilities (N, C, *) and classes (N, *) -> minus the log probability of the class."""

    function, settings = "nll_loss", ("weight", "ignore_index")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction, ignore_index=ignore_index)


class NLLLoss2d(NLLLoss):
    """`NLLLoss` under its former name, with a FutureWarning."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("NLLLoss2d is deprecated: NLLLoss does the same", FutureWarning, stacklevel=2)
        super().__init__(*args, **kwargs)


class CrossEntropyLoss(_WeightedLoss):
    """Logits (N, C, *) and classes (N, *), or probabilities (N, C, *) -> cross entropy.

    >>> CrossEntropyLoss()(tensor([[0.0, 0.0]]), tensor([1]))
    tensor(0.6931)
    """

    function, settings = "cross_entropy", ("weight", "ignore_index", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        settings = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
        super().__init__(weight, size_average, reduce, reduction, **settings)


class KLDivLoss(_Loss):
    """target (log(target) - input), the input being log probabilities; `log_target`: the target too."""

    function, settings = "kl_div", ("log_target",)

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
    ) -> None:
        super().__init__(size_average, reduce, reduction, log_target=log_target)


class PoissonNLLLoss(_Loss):
    """exp(input) - target · input, or with `log_input=False` input - target · log(input + eps)."""

    function, settings = "poisson_nll_loss", ("log_input", "full", "eps")

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction, log_input=log_input, full=full, eps=eps)


class GaussianNLLLoss(_Loss):
    """(log(var) + (input - target)² / var) / 2, the variance at least eps."""

    function, settings = "gaussian_nll_loss", ("full", "eps")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction, full=full, eps=eps)

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:  # type: ignore[override]
        return self._call(input, target, var)  # type: ignore[arg-type]


class HingeEmbeddingLoss(_Loss):
    """input where the target is 1, max(0, margin - input) where it is -1."""

    function, settings = "hinge_embedding_loss", ("margin",)

    def __init__(
        self, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target · input)), targets 1 and -1."""

    function = "soft_margin_loss"

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)


class MultiLabelMarginLoss(_Loss):
    """Hinge loss of several classes per sample (N, C), whose numbers fill the target up to the first -1."""

    function = "multilabel_margin_loss"

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> None:
        super().__init__(size_average, reduce, reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross entropy of logits (N, C), averaged over the classes."""

    function, settings = "multilabel_soft_margin_loss", ("weight",)

    def __init__(
        self, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)


class MultiMarginLoss(_WeightedLoss):
    """Scores (N, C) and classes (N,) -> the mean over classes of max(0, margin - right + other)^p."""

    function, settings = "multi_margin_loss", ("p", "margin", "weight")

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead")
        super().__init__(weight, size_average, reduce, reduction, p=p, margin=margin)


class MarginRankingLoss(_Loss):
    """max(0, -target (input1 - input2) + margin), targets 1 and -1."""

    function, settings = "margin_ranking_loss", ("margin",)

    def __init__(
        self, margin: float = 0.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction, margin=margin)

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return self._call(input1, input2, target)


class CosineEmbeddingLoss(MarginRankingLoss):
    """1 - cos(input1, input2) where the target is 1, max(0, cos(input1, input2) - margin) where it is -1."""

    function = "cosine_embedding_loss"


class TripletMarginLoss(_Loss):
    """max(0, |anchor - positive|_p - |anchor - negative|_p + margin): Balntas et al., 2016."""

    function, settings = "triplet_margin_loss", ("margin", "p", "eps", "swap")

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        super().__init__(size_average, reduce, reduction, margin=margin, p=p, eps=eps, swap=swap)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return self._call(anchor, positive, negative)


class TripletMarginWithDistanceLoss(_Loss):
    """The triplet margin loss with any distance of two tensors (N, D) -> (N,)."""

    function, settings = "triplet_margin_with_distance_loss", ("distance_function", "margin", "swap")

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        if margin <= 0:
            raise ValueError(
                f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead"
            )
        super().__init__(None, None, reduction, distance_function=distance_function, margin=margin, swap=swap)

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return self._call(anchor, positive, negative)


class CTCLoss(_Loss):
    """Connectionist temporal classification of log probabilities (T, N, C): Graves et al., 2006."""

    function, settings = "ctc_loss", ("blank", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(None, None, reduction, blank=blank, zero_infinity=zero_infinity)

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:  # type: ignore[override]
        return self._call(log_probs, targets, input_lengths, target_lengths)


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch may cut the logits into parts to save memory. Accepted and kept: the result does not depend on it."""

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: dtype | None = None


class LinearCrossEntropyLoss(_Loss):
    """A linear layer and the cross entropy of its logits in one: (N, in_features) and classes (N,) -> loss.

    out_features: further dimensions of the logits, (N, num_classes, *out_features).
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__(None, None, reduction)
        self.in_features, self.num_classes, self.out_features = in_features, num_classes, tuple(out_features)
        self.linear = Linear(in_features, num_classes * math.prod(out_features), bias, device, dtype)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        logits, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*logits, self.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(logits),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )

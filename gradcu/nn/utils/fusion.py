"""A linear layer or convolution and the batch normalization after it as one layer, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from ...ops.creation import ones_like, zeros_like
from ...tensor import Tensor
from ..parameter import Parameter


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does what `bn` does to its result, too; `transpose` for transposed convolutions.

    Raises AssertionError in training mode and for a normalization without running statistics.
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does what `bn` does to its result, too.

    Raises AssertionError in training mode, for a normalization without running statistics, and for other sizes.
    """
    _check(linear, bn)
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def _check(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of the convolution that `fuse_conv_bn_eval` makes."""
    channels = [1] * conv_w.dim()
    channels[1 if transpose else 0] = -1
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, channels)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of the linear layer that `fuse_linear_bn_eval` makes."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _fused(
    w: Tensor,
    b: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    channels: list[int],
) -> tuple[Parameter, Parameter]:
    """(w x + b - mean) scale + bn_b, where scale = bn_w / sqrt(var + eps), as one weight and one bias."""
    scale = (ones_like(mean) if bn_w is None else bn_w) * (var + eps).rsqrt()
    shift = (zeros_like(mean) if b is None else b) - mean
    bias = shift * scale + (zeros_like(mean) if bn_b is None else bn_b)
    fused_w = (w * scale.reshape(channels)).detach().to(w.dtype)
    fused_b = bias.detach().to(w.dtype if b is None else b.dtype)
    return Parameter(fused_w, w.requires_grad), Parameter(fused_b, b is not None and b.requires_grad)

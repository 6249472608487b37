"""`gradcu.nn.grad`: the gradients of convolutions by their inputs and weights, as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ops.conv import Ints, _padding, convolution_input, convolution_weight, numbers
from ..tensor import Tensor

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _by_input(d: int) -> Callable[..., Tensor]:
    def conv_input(
        input_size: Sequence[int],
        weight: Tensor,
        grad_output: Tensor,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        stride, dilation = numbers(stride, d, "stride"), numbers(dilation, d, "dilation")
        pairs = _padding(padding, weight.shape[2:], stride, dilation)
        size = tuple(input_size[2:])
        return convolution_input.record((grad_output, weight), (size, stride, pairs, dilation, groups))

    conv_input.__name__ = conv_input.__qualname__ = f"conv{d}d_input"
    conv_input.__doc__ = f"The gradient of `conv{d}d` by its input, which has `input_size`, from that of its result."
    return conv_input


def _by_weight(d: int) -> Callable[..., Tensor]:
    def conv_weight(
        input: Tensor,
        weight_size: Sequence[int],
        grad_output: Tensor,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        stride, dilation = numbers(stride, d, "stride"), numbers(dilation, d, "dilation")
        size = tuple(weight_size[2:])
        pairs = _padding(padding, size, stride, dilation)
        return convolution_weight.record((input, grad_output), (size, stride, pairs, dilation, groups))

    conv_weight.__name__ = conv_weight.__qualname__ = f"conv{d}d_weight"
    conv_weight.__doc__ = f"The gradient of `conv{d}d` by its weight, of `weight_size`, from that of its result."
    return conv_weight


conv1d_input, conv2d_input, conv3d_input = map(_by_input, (1, 2, 3))
conv1d_weight, conv2d_weight, conv3d_weight = map(_by_weight, (1, 2, 3))

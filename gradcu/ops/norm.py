"""Normalisation: of layers, batches, groups, instances, by the root mean square, and across neighbouring channels.

All but the last are one formula over different axes: subtract the mean, divide by the standard deviation, scale and
shift. One primitive computes it, with the mean and the reciprocal deviation as further results, as PyTorch's native
functions have them; three names make PyTorch's nodes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import backends, dtypes
from ..backends.axes import reduced
from ..backends.cpu import compiled
from ..backends.parts import in_parts
from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose, functions
from .pool import window_sum

Dims = tuple[int, ...]


_float32 = dtypes.float32.numpy


def _wide(xp: Any, x: Any) -> Any:
    """x, or in float32 what is of half precision."""
    return xp.astype(x, _float32) if x is not None and x.itemsize == 2 else x


def _narrow(xp: Any, x: Any, dtype: Any) -> Any:
    """What was computed of `_wide` values, in the dtype that they had."""
    return xp.astype(x, dtype) if x is not None and x.itemsize != dtype.itemsize else x


@compiled("norm")
def _standardize(
    xp: Any, x: Any, w: Any, b: Any, axes: Dims, affine: Dims, eps: float, center: bool
) -> tuple[Any, Any, Any]:
    if x.itemsize == 2:
        out, *statistics = _standardize(xp, *(_wide(xp, a) for a in (x, w, b)), axes, affine, eps, center)
        return _narrow(xp, out, x.dtype), *statistics
    over = _share(x, axes)
    w, b = (None if p is None else p.reshape(affine) for p in (w, b))

    def compute(x: Any, w: Any, b: Any) -> tuple[Any, Any, Any]:
        if center:
            mean = xp.sum(x, axis=axes, keepdims=True)
            mean *= over
            out = x - mean
        else:
            mean, out = xp.zeros(reduced(x.shape, axes, True), dtype=x.dtype), x.copy()
        scale = xp.sum(xp.square(out), axis=axes, keepdims=True)
        scale *= over
        scale += eps
        scale = 1 / xp.sqrt(scale)
        out *= scale if w is None else scale * w
        if b is not None:
            out += b
        return out, mean, scale

    return in_parts(compute, axes, (x, w, b))


def _share(x: Any, axes: Dims) -> float:
    """The part of one element in a mean over axes."""
    return 1 / max(1, math.prod(x.shape[i] for i in axes))


@compiled("norm")
def _vjp(
    xp: Any, g: Any, needs: Any, x: Any, w: Any, b_shape: Any, x_dtype: Any, w_dtype: Any, b_dtype: Any, axes: Dims,
    affine: Dims, center: bool, rest: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    if x_dtype.itemsize == 2:
        g, (x, w) = [_wide(xp, a) for a in g], (_wide(xp, a) for a in (x, w))
        grads = _vjp(xp, g, needs, x, w, b_shape, *[_float32] * 3, axes, affine, center, rest)
        return tuple(_narrow(xp, a, d) for a, d in zip(grads, (x_dtype, w_dtype, b_dtype)))
    (g_out, g_mean, g_scale), (mean, scale) = g, rest
    over = _share(x, axes)
    x_grad = w_grad = b_grad = None
    if g_out is not None:
        kept = tuple(i for i, n in enumerate(affine) if n == 1)

        def compute(x: Any, g: Any, w: Any, mean: Any, scale: Any) -> tuple[Any, Any, Any]:
            normal = (x - mean if center else x) * scale
            x_grad = w_grad = b_grad = product = None
            if needs[1]:
                product = g * normal
                w_grad = xp.sum(product, axis=kept, keepdims=True)
            if needs[2]:
                b_grad = xp.sum(g, axis=kept, keepdims=True)
            if needs[0]:
                if w is not None:
                    g, product = g * w, None if product is None else product * w
                product = g * normal if product is None else product
                back = normal * (xp.sum(product, axis=axes, keepdims=True) * over)
                if center:
                    back = back + xp.sum(g, axis=axes, keepdims=True) * over
                x_grad = (g - back) * scale
            return x_grad, w_grad, b_grad

        arrays = x, g_out, None if w is None else xp.reshape(w, affine), mean, scale
        x_grad, w_grad, b_grad = in_parts(compute, axes, arrays, {1: kept, 2: kept})
        w_grad = None if w_grad is None else xp.reshape(w_grad, w.shape)
        b_grad = None if b_grad is None else xp.reshape(b_grad, b_shape)
    # Graphs of higher order reach the statistics, and so do users of the native functions.
    if needs[0] and g_scale is not None:
        more = (x - mean if center else x) * (g_scale * scale * scale * scale * -over)
        x_grad = more if x_grad is None else x_grad + more
    if needs[0] and g_mean is not None and center:
        more = xp.broadcast_to(g_mean * over, x.shape)
        x_grad = more if x_grad is None else x_grad + more
    return x_grad, w_grad, b_grad


def _primitive(name: str, node: str) -> Primitive:
    return Primitive(
        name,
        _standardize,
        _vjp,
        inputs=3,
        outputs=3,
        node=node,
        samples=lambda make: [
            (make(4, 3), make(3), make(3), (1,), (1, 3), 1e-5, True),
            (make(2, 3, 4), make(3), make(3), (0, 2), (1, 3, 1), 0.1, True),
            (make(4, 3), make(3), make(3), (1,), (1, 3), 0.1, False),
        ],
    )


layer_normal = _primitive("layer_normal", "NativeLayerNormBackward0")
batch_normal = _primitive("batch_normal", "NativeBatchNormBackward0")
group_normal = _primitive("group_normal", "NativeGroupNormBackward0")
rms_normal = _primitive("rms_normal", "FusedRmsNormBackward0")


@compiled("norm")
def _rescale(xp: Any, x: Any, w: Any, b: Any, affine: Dims) -> Any:
    """Each channel by a factor, and shifted: normalisation by statistics that are known."""
    return _narrow(xp, _wide(xp, x) * w.reshape(affine) + b.reshape(affine), x.dtype)


def _over_channels(xp: Any, x: Any, affine: Dims) -> Any:
    return xp.sum(x, axis=tuple(i for i, n in enumerate(affine) if i != 1))


rescale = Primitive(
    "rescale",
    _rescale,
    {
        "x": lambda xp, g, w, affine, x_dtype: _narrow(xp, _wide(xp, g) * xp.reshape(w, affine), x_dtype),
        "w": lambda xp, g, x, affine: _over_channels(xp, _wide(xp, g) * _wide(xp, x), affine),
        "b": lambda xp, g, affine: _over_channels(xp, _wide(xp, g), affine),
    },
    inputs=3,
    node="NativeBatchNormBackward0",
    samples=lambda make: [
        (make(2, 3, 4), make(3), make(3), (1, 3, 1)),
        (make(4, 3), make(3), make(3), (1, 3)),
    ],
)


def _check_dtypes(input: Tensor, *parameters: Tensor | None) -> None:
    """Raise RuntimeError unless all have one dtype, or half precision meets parameters in float32."""
    for t in parameters:
        if t is not None and t.dtype is not input.dtype and (input.dtype.itemsize != 2 or t.dtype.itemsize != 4):
            raise RuntimeError(f"mixed dtype: all inputs must share same datatype, not {input.dtype} and {t.dtype}.")


def _normalized_axes(
    name: str,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None,
    bias: Tensor | None,
) -> tuple[Dims, Dims]:
    """The axes to normalise, and the shape in which weight and bias broadcast."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    given = tuple(input.shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != shape:
            raise RuntimeError(
                f"Expected {what} to be of same shape as normalized_shape, but got {what} of shape {list(t.shape)} and "
                f"normalized_shape = {list(shape)}"
            )
    if len(given) < len(shape) or given[len(given) - len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but "
            "got "
            f"input of size{list(given)}"
        )
    lead = len(given) - len(shape)
    return tuple(range(lead, len(given))), (1,) * lead + shape


@expose(method=False)
def native_layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, the mean, and the reciprocal standard deviation."""
    axes, affine = _normalized_axes("layer_norm", input, normalized_shape, weight, bias)
    if input.dtype.category < 2:
        raise NotImplementedError(f"\"LayerNormKernelImpl\" not implemented for '{input.dtype.type_name}'")
    _check_dtypes(input, weight, bias)
    out, mean, scale = layer_normal.record((input, weight, bias), (axes, affine, eps, True))
    return out, mean.detach(), scale.detach()


@expose(method=False, into="nn.functional")
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, `normalized_shape` (Ba et al. 2016).

    Raises RuntimeError unless the input ends in that shape and weight and bias have it.
    """
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


@expose(method=False, into="nn.functional")
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang, Sennrich 2019); `eps` None: the dtype's own.

    Raises RuntimeError unless the input ends in `normalized_shape` and the weight has it.
    """
    axes, affine = _normalized_axes("rms_norm", input, normalized_shape, weight, None)
    if eps is None:
        computed = _float32 if input.dtype.itemsize == 2 else input._array.real.dtype
        eps = float(backends.host.finfo(computed).eps)
    if input.dtype.is_complex:
        out = input * (input.square().mean(axes, keepdim=True) + eps).rsqrt()
        return out if weight is None else out * weight
    return rms_normal.record((input, weight, None), (axes, affine, eps, False))[0]


def _update(running: Tensor | None, value: Any, momentum: float) -> None:
    """Move a running statistic towards a new value, in place."""
    if running is None:
        return
    if backends.namespaces[type(value)].depth > backends.namespaces[type(running._array)].depth:
        raise RuntimeError(
            "Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in "
            "place, were not batched.\nIf you are using a module and do not need eval mode, please set "
            "`track_running_stats` to be False, or patch it with `func.replace_all_batch_norm_modules_`."
        )
    running._array[...] = running._array * (1 - momentum) + momentum * value.reshape(running._array.shape)
    if running._counter is not None:
        running._counter.value += 1


def _check_channels(channels: int, **tensors: Tensor | None) -> None:
    for what, t in tensors.items():
        if t is not None and t.numel() != channels:
            raise RuntimeError(f"{what} should contain {channels} elements not {t.numel()}")


@expose(method=False)
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`batch_norm`, the mean and the reciprocal standard deviation of the batch (empty outside of training)."""
    if input.ndim < 2 and input.numel():
        raise RuntimeError(f"batch_norm: expected at least 2 dimensions, but got an input of size {list(input.shape)}")
    channels = input._array.shape[1] if input.ndim > 1 else 0
    _check_channels(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    _check_dtypes(input, weight, bias, running_mean, running_var)
    affine = (1, channels, *(1,) * (input.ndim - 2))
    statistics = dtypes.float32 if input.dtype.itemsize == 2 else input.dtype
    if input.ndim < 2:
        return functions["clone"](input), *(input.to(statistics, copy=True) for _ in range(2))
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        scale = 1 / (running_var.to(statistics) + eps).sqrt()
        if weight is not None:
            scale = scale * weight
        shift = -running_mean.to(statistics) * scale
        out = rescale.record((input, scale, shift if bias is None else shift + bias), (affine,))
        empty = functions["empty"](0, dtype=statistics, device=input.device)
        return out, empty, empty
    axes = (0, *range(2, input.ndim))
    out, mean, scale = batch_normal.record((input, weight, bias), (axes, affine, eps, True))
    if input.numel():
        n = input.numel() // channels
        _update(running_mean, mean._array, momentum)
        _update(running_var, (1 / scale._array**2 - eps) * (n / max(1, n - 1)), momentum)
    return out, *(t.detach().reshape(channels) for t in (mean, scale))


@expose(method=False)
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """`nn.functional.batch_norm` with the arguments of the native function."""
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


def _functional_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of (N, C, ...) normalised over all the rest (Ioffe, Szegedy 2015).

    In training the statistics are the batch's, and the running ones move towards them in place; else those are used.
    Raises ValueError for one value per channel in training, RuntimeError where shapes do not fit.
    """
    if training and input.ndim >= 2 and input.numel() == input.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)[0]


expose(function=False, method=False, into="nn.functional", name="batch_norm")(_functional_batch_norm)


@expose(method=False)
def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm` of an input of N * C * HxW elements, the means, and the reciprocal deviations, (N, groups)."""
    if C % group:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={group}"
        )
    for what, t in (("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (C,):
            raise RuntimeError(
                f"Expected {what} to be a vector of size equal to the number of channels in input, but got {what} of "
                f"shape {list(t.shape)} and input of shape {list(input.shape)}"
            )
    x, affine = input.reshape(N, group, C // group, HxW), (1, group, C // group, 1)
    out, mean, scale = group_normal.record((x, weight, bias), ((2, 3), affine, eps, True))
    return out.reshape(input.shape), *(t.reshape(N, group) for t in (mean, scale))


@expose(method=False, into="nn.functional")
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The channels of each sample of (N, C, ...) normalised in groups (Wu, He 2018).

    Raises RuntimeError unless the groups divide the channels and weight and bias are (C,).
    """
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    n, channels, *size = input._array.shape
    if n * channels // num_groups * math.prod(size) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{[n * channels // num_groups, num_groups, *size]}"
        )
    return native_group_norm(input, weight, bias, n, channels, math.prod(size), num_groups, eps)[0]


@expose(method=False, into="nn.functional")
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample of (N, C, ...) normalised by itself, or by the running statistics.

    Raises ValueError for a single value per channel.
    """
    _, channels, *size = input._array.shape
    if not use_input_stats:
        return native_batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)[0]
    if math.prod(size) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    _check_channels(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    axes, affine = tuple(range(2, input.ndim)), (1, channels, *(1,) * len(size))
    out, mean, scale = batch_normal.record((input, weight, bias), (axes, affine, eps, True))
    _update(running_mean, mean._array.mean(axis=0), momentum)
    if running_var is not None:
        count = math.prod(size)
        _update(running_var, ((1 / scale._array**2 - eps) * (count / max(1, count - 1))).mean(axis=0), momentum)
    return out


@expose(function=False, method=False, into="nn.functional")
def local_response_norm(
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Tensor:
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta, of (N, C, ...) (Krizhevsky et al. 2012).

    Raises ValueError for fewer than three dimensions.
    """
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    n, channels, *rest = input._array.shape
    squares = (input * input).reshape(n, channels, math.prod(rest))
    total = window_sum.record((squares,), ((channels, math.prod(rest)), (size, 1), (1, 1), (size // 2, 0)))
    return input / (total.reshape(input.shape) * (alpha / size) + k) ** beta

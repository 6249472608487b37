"""Pooling: maxima, averages and norms of windows; unfold and fold.

Maxima are found one dimension at a time. Which element of its window each maximum is goes into a small integer, the
code (elements counted row by row); the backward needs nothing else. Sums of windows and their adjoint, and unfold and
fold, are each other's derivatives.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from .. import backends
from ..backends.cpu import compiled
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .conv import Ints, out_size, window_cuts
from .expose import expose, functions

Dims = tuple[int, ...]


def _padded(xp: Any, x: Any, out: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims, value: Any) -> Any:
    """x with `value` around it, as far as windows reach; x itself if they reach no further."""
    d = len(kernel)
    reach = [(n - 1) * s + di * (k - 1) + 1 for n, s, k, di in zip(out, stride, kernel, dilation)]
    size = x.shape[-d:]
    if not any(padding) and all(r <= n for r, n in zip(reach, size)):
        return x
    full = xp.full((*x.shape[:-d], *(max(n + p, r) for n, p, r in zip(size, padding, reach))), value, dtype=x.dtype)
    full[(..., *(slice(p, p + n) for p, n in zip(padding, size)))] = x
    return full


def _lowest(xp: Any, dtype: Any) -> Any:
    return xp.iinfo(dtype).min if dtype.kind in "iu" else -math.inf


def _either(mask: Any, x: Any, y: Any) -> Any:
    """x where the mask is true and y elsewhere, of integers: bits, because `where` is ten times as slow in NumPy."""
    return y ^ ((x ^ y) & -mask.astype(y.dtype))


@compiled("pool")
def _max_pool(xp: Any, x: Any, out: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> tuple[Any, Any]:
    best = _padded(xp, x, out, kernel, stride, padding, dilation, _lowest(xp, x.dtype))
    small = xp.dtype("uint8" if math.prod(kernel) < 256 else "int32")
    code: Any = None
    weight = 1  # of this dimension's part in the code
    for axis in reversed(range(len(kernel))):
        steps = window_cuts(kernel[axis : axis + 1], out[axis : axis + 1], stride[axis:], dilation[axis:])
        values, inner = best, code
        for i, (step,) in enumerate(steps):
            cut = (..., step, *(slice(None),) * (len(kernel) - 1 - axis))
            seen = values[cut]
            if i == 0:
                best, code = seen, None if inner is None else inner[cut]
                continue
            larger = ~(best >= seen)  # the first maximum, but a later NaN
            best = xp.maximum(best, seen)
            if inner is not None:
                code = _either(larger, inner[cut] + small.type(i * weight), code)
            elif code is None:
                code = larger.astype(small)
            else:
                code = _either(larger, small.type(i), code)
        weight *= kernel[axis]
    if code is None:
        code = xp.zeros(best.shape, dtype=small)
    return xp.ascontiguousarray(best) if best.base is not None else best, code


@compiled("pool")
def _pool_scatter(
    xp: Any, x: Any, code: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims
) -> Any:
    d = len(kernel)
    out = x.shape[-d:]
    reach = [(n - 1) * s + di * (k - 1) + 1 for n, s, k, di in zip(out, stride, kernel, dilation)]
    full = tuple(max(n + p, r) for n, p, r in zip(size, padding, reach))
    apart = all(s >= di * (k - 1) + 1 for s, k, di in zip(stride, kernel, dilation))
    if apart and stride == kernel and full == tuple(n * s for n, s in zip(out, stride)):
        spread = xp.empty((*x.shape[:-d], *full), dtype=x.dtype)
    else:
        spread = xp.zeros((*x.shape[:-d], *full), dtype=x.dtype)
    for i, cut in enumerate(window_cuts(kernel, out, stride, dilation)):
        part = xp.where(code == i, x, 0)
        if apart:
            spread[(..., *cut)] = part
        else:
            spread[(..., *cut)] += part
    return spread if full == tuple(size) else spread[(..., *(slice(p, p + n) for p, n in zip(padding, size)))]


@compiled("pool")
def _pool_gather(xp: Any, x: Any, code: Any, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    out = code.shape[-len(kernel) :]
    x = _padded(xp, x, out, kernel, stride, padding, dilation, 0)
    found = xp.zeros(code.shape, dtype=x.dtype)
    for i, cut in enumerate(window_cuts(kernel, out, stride, dilation)):
        found += xp.where(code == i, x[(..., *cut)], 0)
    return found


def _codes(values: Any) -> Tensor:
    return from_array(backends.host.array(values, dtype="uint8"))


max_pool_ = Primitive(
    "max_pool",
    _max_pool,
    {
        "x": lambda xp, g, rest, x_shape, kernel, stride, padding, dilation: xp.pool_scatter(
            g, rest[0], tuple(x_shape[-len(kernel) :]), kernel, stride, padding, dilation
        )
    },
    outputs=2,
    differentiable=(0,),
    node="MaxPool2DWithIndicesBackward0",
    samples=lambda make: [
        (make(2, 3, 4, 6), (2, 3), (2, 2), (2, 2), (0, 0), (1, 1)),
        (make(1, 2, 7), (4,), (3,), (2,), (1,), (1,)),
        (make(2, 1, 5, 5), (2, 2), (2, 2), (2, 3), (0, 0), (2, 1)),
    ],
)
pool_scatter = Primitive(
    "pool_scatter",
    _pool_scatter,
    {
        "x": lambda xp, g, code, kernel, stride, padding, dilation: xp.pool_gather(
            g, code, kernel, stride, padding, dilation
        )
    },
    inputs=2,
    node="MaxPool2DWithIndicesBackwardBackward0",
    samples=lambda make: [
        (make(1, 2, 2), _codes([[[0, 3], [2, 1]]]), (4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
        (make(2, 3), _codes([[0, 2, 1], [2, 2, 0]]), (5,), (3,), (2,), (1,), (1,)),
    ],
)
pool_gather = Primitive(
    "pool_gather",
    _pool_gather,
    {
        "x": lambda xp, g, x_shape, code, kernel, stride, padding, dilation: xp.pool_scatter(
            g, code, tuple(x_shape[-len(kernel) :]), kernel, stride, padding, dilation
        )
    },
    inputs=2,
    samples=lambda make: [
        (make(1, 4, 4), _codes([[[0, 3], [2, 1]]]), (2, 2), (2, 2), (0, 0), (1, 1)),
        (make(2, 5), _codes([[0, 2, 1], [2, 2, 0]]), (3,), (2,), (1,), (1,)),
    ],
)


@compiled("pool")
def _window_sum(xp: Any, x: Any, out: Dims, kernel: Dims, stride: Dims, padding: Dims) -> Any:
    ones = (1,) * len(kernel)
    x = _padded(xp, x, out, kernel, stride, padding, ones, 0)
    for axis in reversed(range(len(kernel))):
        rest = (slice(None),) * (len(kernel) - 1 - axis)
        cuts = window_cuts(kernel[axis : axis + 1], out[axis : axis + 1], stride[axis:], ones)
        x = functools.reduce(operator.add, (x[(..., cut, *rest)] for (cut,) in cuts))
    return xp.ascontiguousarray(x) if x.base is not None else x


@compiled("pool")
def _window_spread(xp: Any, x: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims) -> Any:
    d = len(kernel)
    out = x.shape[-d:]
    full = tuple(max(n + p, (m - 1) * s + k) for n, p, m, s, k in zip(size, padding, out, stride, kernel))
    spread = xp.zeros((*x.shape[:-d], *full), dtype=x.dtype)
    for cut in window_cuts(kernel, out, stride, (1,) * d):
        spread[(..., *cut)] += x
    return spread if full == tuple(size) else spread[(..., *(slice(p, p + n) for p, n in zip(padding, size)))]


window_sum = Primitive(
    "window_sum",
    _window_sum,
    {
        "x": lambda xp, g, x_shape, kernel, stride, padding: xp.window_spread(
            g, tuple(x_shape[-len(kernel) :]), kernel, stride, padding
        )
    },
    kind="linear",
    node="AvgPool2DBackward0",
    samples=lambda make: [
        (make(2, 3, 4, 6), (2, 3), (2, 2), (2, 2), (0, 0)),
        (make(1, 2, 7), (4,), (3,), (2,), (1,)),
    ],
)
window_spread = Primitive(
    "window_spread",
    _window_spread,
    {
        "x": lambda xp, g, x_shape, kernel, stride, padding: xp.window_sum(
            g, tuple(x_shape[-len(kernel) :]), kernel, stride, padding
        )
    },
    kind="linear",
    node="AvgPool2DBackwardBackward0",
    samples=lambda make: [(make(2, 3, 2, 2), (4, 6), (2, 3), (2, 2), (0, 0)), (make(1, 2, 3), (7,), (3,), (2,), (1,))],
)


@compiled("pool")
def _unfold(xp: Any, x: Any, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    n, channels, *size = x.shape
    out = out_size(size, kernel, stride, tuple((p, p) for p in padding), dilation)
    x = _padded(xp, x, out, kernel, stride, padding, dilation, 0)
    columns = xp.empty((n, channels, math.prod(kernel), *out), dtype=x.dtype)
    for i, cut in enumerate(window_cuts(kernel, out, stride, dilation)):
        columns[:, :, i] = x[(..., *cut)]
    return columns.reshape(n, channels * math.prod(kernel), math.prod(out))


@compiled("pool")
def _fold(xp: Any, x: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    n, count = x.shape[0], math.prod(kernel)
    out = out_size(size, kernel, stride, tuple((p, p) for p in padding), dilation)
    columns = x.reshape(n, x.shape[1] // count, count, *out)
    full = tuple(m + 2 * p for m, p in zip(size, padding))
    folded = xp.zeros((n, columns.shape[1], *full), dtype=x.dtype)
    for i, cut in enumerate(window_cuts(kernel, out, stride, dilation)):
        folded[(..., *cut)] += columns[:, :, i]
    return folded[(..., *(slice(p, p + m) for p, m in zip(padding, size)))] if any(padding) else folded


im2col = Primitive(
    "im2col",
    _unfold,
    {
        "x": lambda xp, g, x_shape, kernel, stride, padding, dilation: xp.col2im(
            g, tuple(x_shape[2:]), kernel, stride, padding, dilation
        )
    },
    kind="linear",
    node="Im2ColBackward0",
    samples=lambda make: [(make(2, 2, 4, 5), (2, 3), (1, 2), (1, 0), (2, 1))],
)
col2im = Primitive(
    "col2im",
    _fold,
    {"x": lambda xp, g, kernel, stride, padding, dilation: xp.im2col(g, kernel, stride, padding, dilation)},
    kind="linear",
    node="Col2ImBackward0",
    samples=lambda make: [(make(2, 12, 8), (4, 5), (2, 3), (1, 2), (1, 0), (2, 1))],
)


def numbers(name: str, value: Ints | None, count: int, what: str, default: Dims = ()) -> Dims:
    """One number for each dimension. Raises RuntimeError if `value` has another count of them."""
    if value is None or (not isinstance(value, int) and not len(value) and default):
        return default
    found = (value,) * count if isinstance(value, int) else tuple(int(v) for v in value)
    if len(found) == 1:
        found *= count
    if len(found) != count:
        words = {1: "one int", 2: "two ints", 3: "three ints"}[count]
        raise RuntimeError(f"{name}: {what} must either be a single int, or a tuple of {words}")
    return found


def pool_size(size: Sequence[int], kernel: Dims, stride: Dims, padding: Dims, dilation: Dims, ceil: bool) -> Dims:
    """The number of windows in each dimension; with `ceil` one that starts inside but ends outside counts."""
    found = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
        m = (n + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil else 0)) // s + 1
        found.append(m - 1 if ceil and (m - 1) * s >= n + p else m)
    return tuple(found)


def _checked(
    name: str, d: int, x: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, dilation: Ints, ceil: bool
) -> tuple[Tensor, Dims, Dims, Dims, Dims, Dims]:
    """The input with a batch dimension, the size of the result, and numbers for each dimension."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    kernel = numbers(name, kernel_size, d, "kernel_size")
    strides = numbers(name, stride, d, "stride", kernel)
    pads, dilations = numbers(name, padding, d, "padding"), numbers(name, dilation, d, "dilation")
    if min(strides) <= 0 or min(kernel) <= 0:
        raise RuntimeError(
            "stride should not be zero"
            if not min(min(strides), min(kernel))
            else f"{name}: stride and kernel size must be positive"
        )
    if min(dilations) <= 0:
        raise RuntimeError(f"dilation should be greater than zero, but got dilation: {list(dilations)}")
    shape = x._array.shape
    if x.ndim not in (d + 1, d + 2) or 0 in shape[x.ndim - d - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {d + 1}D or {d + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got:{list(shape)}"
        )
    for p, k, di in zip(pads, kernel, dilations):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (di * (k - 1) + 1) // 2:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={di}"
            )
    out = pool_size(shape[-d:], kernel, strides, pads, dilations, ceil)
    if min(out) < 1:
        inside, outside = ("x".join(map(str, (shape[-d - 1], *size))) for size in (shape[-d:], out))
        raise RuntimeError(
            f"Given input size: ({inside}). Calculated output size: ({outside}). Output size is too small"
        )
    return x, out, kernel, strides, pads, dilations


def flat_indices(xp: Any, code: Any, size: Dims, kernel: Dims, stride: Dims, padding: Dims, dilation: Dims) -> Any:
    """The positions of maxima in the flattened spatial dimensions, from their codes."""
    d = len(kernel)
    total: Any = 0
    rest = code.astype("int64")
    for axis in reversed(range(d)):
        part, rest = rest % kernel[axis], rest // kernel[axis]
        start = xp.arange(code.shape[axis - d]) * stride[axis] - padding[axis]
        position = start.reshape(-1, *(1,) * (d - 1 - axis)) + part * dilation[axis]
        total = total + position * math.prod(size[axis + 1 :])
    return total


def _max_pool_public(d: int) -> None:
    name = f"max_pool{d}d"

    def with_indices(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = True,
    ) -> tuple[Tensor, Tensor]:
        x, out, *window = _checked(name, d, input, kernel_size, stride, padding, dilation, ceil_mode)
        best, code = max_pool_.record((x,), (out, *window))
        xp = backends.namespaces[type(code._array)]
        return best, from_array(flat_indices(xp, code._array, x._array.shape[-d:], *window))

    def pool(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if return_indices:
            return with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        x, out, *window = _checked(name, d, input, kernel_size, stride, padding, dilation, ceil_mode)
        return max_pool_.record((x,), (out, *window))[0]

    pool.__doc__ = (
        f"The largest element of each window of the last {d} dimensions of (N, C, ...) or (C, ...).\n\n"
        "With `return_indices` also where it is, in the flattened spatial dimensions. `ceil_mode` counts windows that "
        "end outside. Raises RuntimeError for shapes and windows that do not fit."
    )
    with_indices.__doc__ = f"`{name}` with `return_indices`."
    for f, n in ((pool, name), (with_indices, f"{name}_with_indices")):
        f.__name__ = f.__qualname__ = n
        expose(into="nn.functional", method=False)(f)


for _d in (1, 2, 3):
    _max_pool_public(_d)


def _scaled(total: Tensor, factors: list[Any]) -> Tensor:
    """`total` by a factor for each position, the outer product of those of its dimensions."""
    scale = functools.reduce(lambda a, b: a[..., None] * b, factors)
    xp = backends.namespaces[type(total._array)]
    if total._array.dtype.kind in "iu":
        return from_array((total._array * xp.asarray(scale)).astype(total._array.dtype))
    return total * from_array(xp.asarray(scale, dtype=total._array.dtype))


def _average(
    name: str,
    d: int,
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    x, out, kernel, stride_, pads, _ = _checked(name, d, x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    total = window_sum.record((x,), (out, kernel, stride_, pads))
    size = x._array.shape[-d:]
    whole = all((m - 1) * s + k <= n + 2 * p for m, s, k, n, p in zip(out, stride_, kernel, size, pads))
    if divisor_override or (whole and (count_include_pad or not any(pads))):
        divisor = divisor_override or math.prod(kernel)
        if total._array.dtype.kind in "iu":
            return functions["div"](total, divisor, rounding_mode="trunc")
        return total * (1 / divisor)
    host = backends.host
    factors = []
    for m, s, k, n, p in zip(out, stride_, kernel, size, pads):
        start = host.arange(m) * s - p
        end = host.minimum(start + k, n + p)
        counts = end - start if count_include_pad else host.minimum(end, n) - host.maximum(start, 0)
        factors.append(1.0 / counts)
    return _scaled(total, factors)


@expose(into="nn.functional", method=False)
def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of the last dimension of (N, C, L) or (C, L). Raises RuntimeError as `max_pool1d`."""
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def _avg_pool_public(d: int) -> None:
    def pool(
        input: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        return _average(name, d, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)

    name = pool.__name__ = pool.__qualname__ = f"avg_pool{d}d"
    pool.__doc__ = (
        f"The mean of each window of the last {d} dimensions of (N, C, ...) or (C, ...).\n\nPadding counts as zeros "
        "unless `count_include_pad=False`; `divisor_override` replaces the count. Raises RuntimeError as `max_pool`."
    )
    expose(into="nn.functional", function=False, method=False)(pool)


_avg_pool_public(2)
_avg_pool_public(3)


def _lp_pool_public(d: int) -> None:
    def pool(
        input: Tensor,
        norm_type: float,
        kernel_size: Ints,
        stride: Ints | None = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        kernel = numbers(pool.__name__, kernel_size, d, "kernel_size")
        mean = _average(pool.__name__, d, input**norm_type, kernel, stride, 0, ceil_mode, True, None)
        return (mean * math.prod(kernel)) ** (1.0 / norm_type)

    pool.__name__ = pool.__qualname__ = f"lp_pool{d}d"
    pool.__doc__ = f"The `norm_type`-norm (sum of x^p)^(1/p) of each window of the last {d} dimensions."
    expose(into="nn.functional", function=False, method=False)(pool)


for _d in (1, 2, 3):
    _lp_pool_public(_d)


@expose(into="nn.functional", function=False, method=False)
def unfold(
    input: Tensor,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """The windows of (N, C, H, W) as columns: (N, C * elements of the kernel, number of windows).

    Raises RuntimeError if no window fits.
    """
    kernel, dil, pads, steps = _four("unfold", kernel_size, dilation, padding, stride)
    if input.ndim not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(input.shape)}"
        )
    size = tuple(input.shape[-2:])
    out = out_size(size, kernel, steps, tuple((p, p) for p in pads), dil)
    if min(out) < 1:
        raise RuntimeError(
            f"Given input with spatial size {size}, kernel_size={kernel}, dilation={dil}, padding={pads}, calculated "
            f"shape of the array of sliding blocks as {out}, but its components must be at least one."
        )
    x = input if input.ndim == 4 else input.unsqueeze(0)
    found = im2col.record((x,), (kernel, steps, pads, dil))
    return found if x is input else found.squeeze(0)


def _four(name: str, *values: Ints) -> tuple[Dims, ...]:
    found = tuple(numbers(name, v, 2, w) for v, w in zip(values, ("kernel_size", "dilation", "padding", "stride")))
    for v, what, least in zip(found, ("kernel size", "dilation", "padding", "stride"), (1, 1, 0, 1)):
        if min(v) < least:
            raise RuntimeError(f"{what} should be {'greater than zero' if least else 'non-negative'}, but got {v}")
    return found


@expose(into="nn.functional", function=False, method=False)
def fold(
    input: Tensor,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Tensor:
    """The adjoint of `unfold`: columns added up into (N, C, *output_size). Raises RuntimeError if counts do not fit."""
    kernel, dil, pads, steps = _four("fold", kernel_size, dilation, padding, stride)
    size = numbers("fold", output_size, 2, "output_size")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    if input.shape[-2] % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)="
            f"{input.shape[-2]} and kernel_size={kernel}."
        )
    out = out_size(size, kernel, steps, tuple((p, p) for p in pads), dil)
    if input.shape[-1] != math.prod(out) or min(out) < 1:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dil}, padding={pads}, stride={steps}, expected "
            "size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{' * '.join(map(str, out))} = "
            f"{math.prod(out)}, but got input.size(2)={input.shape[-1]}."
        )
    x = input if input.ndim == 3 else input.unsqueeze(0)
    found = col2im.record((x,), (size, kernel, steps, pads, dil))
    return found if x is input else found.squeeze(0)

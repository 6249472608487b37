"""Convolutions of one, two and three dimensions, and their transposes.

Three primitives, each of which is the derivative of the others: the convolution, its adjoint in the input (which is the
transposed convolution), and its adjoint in the weight. All three unroll windows into columns, a few samples at a time,
and leave the arithmetic to matrix products; the columns live in scratch memory that is used again and again, because
fresh pages cost as much as the arithmetic.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .. import backends
from ..backends.cpu import compiled
from ..graph.modes import state
from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose, namespaces

Ints = int | Sequence[int]
Pairs = tuple[tuple[int, int], ...]

#: bytes of columns that are made at a time: they should stay in the cache
CHUNK = 1 << 21

_kept = threading.local()


def scratch(xp: Any, slot: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uninitialised memory, which the next call with the same `slot` in this thread uses again."""
    if xp is not backends.host:
        return xp.empty(shape, dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    held = _kept.__dict__.get(slot)
    if held is None or held.size < size:
        held = xp.empty(size, dtype="uint8")
        if size <= 8 * CHUNK:
            setattr(_kept, slot, held)
    return held[:size].view(dtype).reshape(shape)


def window_cuts(
    kernel: Sequence[int], out: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Iterator[tuple[slice, ...]]:
    """For each element of the kernel, the slices of the spatial dimensions that it sees, one element per position."""
    for at in itertools.product(*map(range, kernel)):
        yield tuple(slice(d * i, d * i + (n - 1) * s + 1, s) for i, n, s, d in zip(at, out, stride, dilation))


class Windows:
    """Where the windows of a convolution lie in an input of the given size.

    With stride 1 the windows of neighbouring positions lie one element apart. Rows are then unrolled at the length that
    they have with padding, which makes of each kernel element one long run of memory, and the few results that belong
    to no position are dropped.
    """

    def __init__(self, size: Sequence[int], kernel: Sequence[int], stride: Any, padding: Pairs, dilation: Any) -> None:
        self.padded = tuple(n + sum(p) for n, p in zip(size, padding))
        self.out = out_size(size, kernel, stride, padding, dilation)
        self.flat = all(s == 1 for s in stride) and math.prod(self.padded[1:]) <= 1.5 * math.prod(self.out[1:])
        self.grid = self.out[:1] + self.padded[1:] if self.flat else self.out
        self.count, self.length, self.volume = math.prod(kernel), math.prod(self.grid), math.prod(self.padded)
        steps = [math.prod(self.padded[i + 1 :]) for i in range(len(size))]
        reach = [[d * i * step for i in range(k)] for k, d, step in zip(kernel, dilation, steps)]
        self.offsets = [sum(at) for at in itertools.product(*reach)]
        self.cuts = list(window_cuts(kernel, self.out, stride, dilation))
        self.inside = tuple(slice(p[0], p[0] + n) for p, n in zip(padding, size))
        #: windows of one element each, side by side: the convolution is a product of matrices as it is
        self.plain = self.count == 1 and self.out == tuple(size) == self.padded
        self.kept = (slice(None), slice(None), *(slice(0, n) for n in self.out))

    def chunks(self, n: int, channels: int, dtype: Any) -> Iterator[slice]:
        """Slices of the batch, each small enough for its columns to stay in the cache."""
        step = max(1, min(n, CHUNK // max(1, channels * self.count * self.length * dtype.itemsize)))
        return (slice(i, min(i + step, n)) for i in range(0, n, step))

    def padded_zeros(self, xp: Any, channels: int, n: int, dtype: Any) -> Any:
        """Memory for n samples with padding, channels first; the last windows reach a little beyond the last sample."""
        buffer = scratch(xp, "padded", (channels, n * self.volume + self.offsets[-1]), dtype)
        buffer.fill(0)
        return buffer

    def interior(self, buffer: Any, n: int) -> Any:
        """The input in a padded buffer, as (channels, n, *size)."""
        whole = buffer[:, : n * self.volume].reshape(buffer.shape[0], n, *self.padded)
        return whole[(slice(None), slice(None), *self.inside)]

    def views(self, buffer: Any, n: int) -> Iterator[Any]:
        """For each element of the kernel what it sees, as (channels, n, length) or (channels, n, *grid)."""
        channels = buffer.shape[0]
        if self.flat:
            for o in self.offsets:
                yield buffer[:, o : o + n * self.volume].reshape(channels, n, self.volume)[:, :, : self.length]
        else:
            whole = buffer[:, : n * self.volume].reshape(channels, n, *self.padded)
            for cut in self.cuts:
                yield whole[(slice(None), slice(None), *cut)]

    def columns(self, xp: Any, x: Any, groups: int, dtype: Any) -> Any:
        """What each position sees: (groups, channels of a group * kernel elements, n * length)."""
        n, channels = x.shape[:2]
        buffer = self.padded_zeros(xp, channels, n, dtype)
        self.interior(buffer, n)[...] = x.swapaxes(0, 1)
        columns = scratch(xp, "columns", (channels, self.count, n, self.length), dtype)
        for i, seen in enumerate(self.views(buffer, n)):
            columns[:, i].reshape(seen.shape)[...] = seen
        return columns.reshape(groups, channels // groups * self.count, n * self.length)

    def folded(self, xp: Any, columns: Any, n: int, channels: int) -> Any:
        """The adjoint of `columns`: what positions have for what they see, added up: (n, channels, *size)."""
        buffer = self.padded_zeros(xp, channels, n, columns.dtype)
        columns = columns.reshape(channels, self.count, n, self.length)
        for i, seen in enumerate(self.views(buffer, n)):
            seen += columns[:, i].reshape(seen.shape)
        return self.interior(buffer, n).swapaxes(0, 1)

    def on_grid(self, xp: Any, g: Any, groups: int, dtype: Any) -> Any:
        """Values at positions as (groups, channels of a group, n * length), zero where the grid has no position."""
        n, channels = g.shape[:2]
        spread = scratch(xp, "spread", (channels, n, *self.grid), dtype)
        if self.flat:
            spread.fill(0)
        spread[self.kept] = g.swapaxes(0, 1)
        return spread.reshape(groups, channels // groups, n * self.length)


def out_size(size: Any, kernel: Any, stride: Any, padding: Pairs, dilation: Any) -> tuple[int, ...]:
    """The number of positions in each dimension."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )


windows = functools.lru_cache(256)(Windows)


def _computed(xp: Any, x: Any, w: Any) -> Any:
    """The dtype of the arithmetic: that of the operands, but float32 for half precision."""
    common = xp.result_type(x.dtype, w.dtype)
    return xp.dtype("float32") if common.itemsize == 2 and common.kind in "fV" else common


def _product(xp: Any, slot: str, x: Any, y: Any) -> Any:
    """x @ y by groups; of one group in scratch memory."""
    if x.shape[0] > 1:
        return x * y if x.shape[2] == 1 else xp.matmul(x, y)
    result = scratch(xp, slot, (x.shape[1], y.shape[2]), x.dtype)
    return xp.dot(x[0], y[0], out=result)


@compiled("conv")
def _forward(xp: Any, x: Any, w: Any, b: Any, stride: Any, padding: Pairs, dilation: Any, groups: int) -> Any:
    n, channels, *size = x.shape
    found = windows(tuple(size), w.shape[2:], stride, padding, dilation)
    dtype = _computed(xp, x, w)
    w_rows = w.reshape(groups, w.shape[0] // groups, w.shape[1] * found.count).astype(dtype, copy=False)
    shape = (n, w.shape[0], *found.out)
    b = None if b is None else b.reshape(-1, *(1 for _ in size))
    if found.plain and groups == 1:
        out = xp.matmul(w_rows[0], x.reshape(n, channels, found.length).astype(dtype, copy=False)).reshape(shape)
        if b is not None:
            out += b
        return out.astype(x.dtype, copy=False)
    out = xp.empty(shape, dtype=x.dtype)
    for part in found.chunks(n, channels, dtype):
        product = _product(xp, "product", w_rows, found.columns(xp, x[part], groups, dtype))
        product = product.reshape(w.shape[0], -1, *found.grid)[found.kept].swapaxes(0, 1)
        if b is None:
            out[part] = product
        else:
            xp.add(product, b, out=out[part], casting="same_kind")
    return out


@compiled("conv")
def _input_adjoint(
    xp: Any, x: Any, w: Any, size: tuple[int, ...], stride: Any, padding: Pairs, dilation: Any, groups: int
) -> Any:
    n, channels = x.shape[0], w.shape[1] * groups
    around = [(d * (k - 1) - p[0], d * (k - 1) - p[1]) for k, p, d in zip(w.shape[2:], padding, dilation)]
    if w.shape[0] == groups > 1 and all(s == 1 for s in stride) and min(map(min, around)) >= 0:
        # One channel each way: columns of it would be added up one by one, a convolution has a product for that.
        turned = xp.copy(xp.flip(w.reshape(channels, 1, *w.shape[2:]), axis=tuple(range(2, w.ndim))))
        return _forward(xp, x, turned, None, stride, tuple(around), dilation, groups)
    found = windows(tuple(size), w.shape[2:], stride, padding, dilation)
    dtype = _computed(xp, x, w)
    w_columns = (
        w.reshape(groups, w.shape[0] // groups, w.shape[1] * found.count).swapaxes(1, 2).astype(dtype, copy=False)
    )
    shape = (n, channels, *size)
    if found.plain and groups == 1:
        out = xp.matmul(w_columns[0], x.reshape(n, x.shape[1], found.length).astype(dtype, copy=False)).reshape(shape)
        return out.astype(x.dtype, copy=False)
    out = xp.empty(shape, dtype=x.dtype)
    for part in found.chunks(n, channels, dtype):
        columns = _product(xp, "columns", w_columns, found.on_grid(xp, x[part], groups, dtype))
        out[part] = found.folded(xp, columns, part.stop - part.start, channels)
    return out


@compiled("conv")
def _weight_adjoint(
    xp: Any, x: Any, y: Any, kernel: tuple[int, ...], stride: Any, padding: Pairs, dilation: Any, groups: int
) -> Any:
    n, channels, *size = x.shape
    found = windows(tuple(size), tuple(kernel), stride, padding, dilation)
    dtype = _computed(xp, x, y)
    total: Any = 0
    for part in found.chunks(n, channels, dtype):
        columns = found.columns(xp, x[part], groups, dtype)
        total = total + xp.matmul(found.on_grid(xp, y[part], groups, dtype), columns.swapaxes(1, 2))
    shape = (y.shape[1], channels // groups, *kernel)
    return total.reshape(shape).astype(x.dtype, copy=False) if n else xp.zeros(shape, dtype=x.dtype)


def _samples(result: str) -> Any:
    """Test cases: one dimension and two; strides, padding, dilation, groups."""

    def samples(make: Any) -> list[tuple]:
        one, two = (1,), (1, 1)
        cases = [
            ((2, 2, 6), (3, 2, 3), one, ((1, 1),), one, 1),
            ((1, 4, 5, 4), (2, 2, 2, 3), (2, 1), ((0, 1), (1, 1)), two, 2),
            ((2, 1, 7, 5), (2, 1, 3, 2), two, ((0, 0), (0, 0)), (2, 1), 1),
        ]
        found = []
        for x, w, stride, padding, dilation, groups in cases:
            y = (x[0], w[0], *out_size(x[2:], w[2:], stride, padding, dilation))
            args = {
                "out": (make(*x), make(*w), make(w[0])),
                "input": (make(*y), make(*w), x[2:]),
                "weight": (make(*x), make(*y), w[2:]),
            }[result]
            found.append((*args, stride, padding, dilation, groups))
        return found

    return samples


convolution = Primitive(
    "convolution",
    _forward,
    {
        "x": lambda xp, g, x_shape, w, stride, padding, dilation, groups: xp.convolution_input(
            g, w, tuple(x_shape[2:]), stride, padding, dilation, groups
        ),
        "w": lambda xp, g, x, w_shape, stride, padding, dilation, groups: xp.convolution_weight(
            x, g, tuple(w_shape[2:]), stride, padding, dilation, groups
        ),
        "b": lambda xp, g: xp.sum(g, axis=(0, *range(2, g.ndim))),
    },
    inputs=3,
    saved={"x": "input", "w": "weight"},
    samples=_samples("out"),
)
convolution_input = Primitive(
    "convolution_input",
    _input_adjoint,
    {
        "x": lambda xp, g, w, stride, padding, dilation, groups: xp.convolution(
            g, w, None, stride, padding, dilation, groups
        ),
        "w": lambda xp, g, x, w_shape, stride, padding, dilation, groups: xp.convolution_weight(
            g, x, tuple(w_shape[2:]), stride, padding, dilation, groups
        ),
    },
    inputs=2,
    node="ConvolutionBackward0",
    saved={"x": "input", "w": "weight"},
    samples=_samples("input"),
)
convolution_weight = Primitive(
    "convolution_weight",
    _weight_adjoint,
    {
        "x": lambda xp, g, x_shape, y, stride, padding, dilation, groups: xp.convolution_input(
            y, g, tuple(x_shape[2:]), stride, padding, dilation, groups
        ),
        "y": lambda xp, g, x, stride, padding, dilation, groups: xp.convolution(
            x, g, None, stride, padding, dilation, groups
        ),
    },
    inputs=2,
    node="ConvolutionBackwardBackward0",
    samples=_samples("weight"),
)


def numbers(value: Ints, count: int, what: str) -> tuple[int, ...]:
    """One number for each dimension. Raises RuntimeError if `value` has another count of them."""
    if isinstance(value, int):
        return (value,) * count
    if isinstance(value, str):
        raise TypeError(f"convolution: {what} must be an int or a tuple of {count} ints, not {value!r}")
    value = tuple(int(v) for v in value)
    if len(value) == 1:
        return value * count
    if len(value) != count:
        raise RuntimeError(
            f"expected {what} to be a single integer value or a list of {count} values to match the convolution "
            f"dimensions, but got {what}={list(value)}"
        )
    return value


def _check(name: str, d: int, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    for what, t in (("input", input), ("weight", weight)):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(t).__name__}")
    if input.ndim not in (d + 1, d + 2):
        raise RuntimeError(
            f"Expected {d + 1}D (unbatched) or {d + 2}D (batched) input to {name}, but got input of size: "
            f"{list(input.shape)}"
        )
    if weight.ndim != d + 2:
        raise RuntimeError(f"{name}: expected a weight of {d + 2} dimensions, but got one of size {list(weight.shape)}")
    if input.dtype is not weight.dtype and not state.autocast:
        raise RuntimeError(f"expected scalar type {_scalar(input)} but found {_scalar(weight)}")
    if bias is not None and bias.dtype is not input.dtype and not state.autocast:
        raise RuntimeError(
            f"Input type ({_scalar(input).lower()}) and bias type ({_scalar(bias).lower()}) should be the same"
        )


def _scalar(t: Tensor) -> str:
    names = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "float16": "Half"}
    names |= {"float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}
    short = str(t.dtype).rpartition(".")[2]
    return names.get(short, short.capitalize() if short != "bfloat16" else "BFloat16")


def _check_positive(stride: Sequence[int], dilation: Sequence[int], groups: int, weight: Tensor) -> None:
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError("non-positive dilation is not supported")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            "size "
            f"[{list(weight.shape)}] instead"
        )


def _check_bias(bias: Tensor | None, weight: Tensor, channels: int, transposed: str = "") -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"Given {transposed}weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {channels} "
            f"elements, but got bias of size {list(bias.shape)} instead"
        )


def _padding(padding: str | Ints, kernel: Sequence[int], stride: Any, dilation: Any) -> Pairs:
    """What is added before and after each dimension."""
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if padding != "same":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        spans = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((n // 2, n - n // 2) for n in spans)
    padding = numbers(padding, len(kernel), "padding")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    return tuple((p, p) for p in padding)


def _convolve(
    name: str,
    d: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: str | Ints,
    dilation: Ints,
    groups: int,
) -> Tensor:
    _check(name, d, input, weight, bias)
    stride, dilation = numbers(stride, d, "stride"), numbers(dilation, d, "dilation")
    _check_positive(stride, dilation, groups, weight)
    kernel = weight._array.shape[2:]
    pairs = _padding(padding, kernel, stride, dilation)
    x = input if input.ndim == d + 2 else input.unsqueeze(0)
    _, channels, *size = x._array.shape
    if channels != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{weight.shape[1] * groups} channels, but got {channels} channels instead"
        )
    _check_bias(bias, weight, weight.shape[0])
    padded = [m + sum(p) for m, p in zip(size, pairs)]
    if any(m < dil * (k - 1) + 1 for m, k, dil in zip(padded, kernel, dilation)) or 0 in kernel:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel size: "
            f"({' x '.join(map(str, kernel))}). Kernel size can't be greater than actual input size"
        )
    out = convolution.record((x, weight, bias), (stride, pairs, dilation, groups))
    return out if x is input else out.squeeze(0)


def _convolve_transposed(
    name: str,
    d: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    _check(name, d, input, weight, bias)
    stride, dilation = numbers(stride, d, "stride"), numbers(dilation, d, "dilation")
    extra = numbers(output_padding, d, "output_padding")
    _check_positive(stride, dilation, groups, weight)
    kernel = weight._array.shape[2:]
    pairs = _padding(numbers(padding, d, "padding"), kernel, stride, dilation)
    if min(extra) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if any(e >= max(s, dil) for e, s, dil in zip(extra, stride, dilation)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got output_padding: "
            f"{list(extra)} stride: {list(stride)} dilation: {list(dilation)}"
        )
    x = input if input.ndim == d + 2 else input.unsqueeze(0)
    if x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{weight.shape[0]} channels, but got {x.shape[1]} channels instead"
        )
    _check_bias(bias, weight, weight.shape[1] * groups, "transposed=1, ")
    # output_padding first takes back what padding cuts off at the end; a stride leaves room for s - 1 more; what is
    # beyond that no window reaches.
    uncut = [min(e, p[1]) for e, p in zip(extra, pairs)]
    inside = [min(e - u, s - 1) for e, u, s in zip(extra, uncut, stride)]
    pairs = tuple((p[0], p[1] - u) for p, u in zip(pairs, uncut))
    size = tuple(
        (n - 1) * s - sum(p) + dil * (k - 1) + i + 1
        for n, s, p, dil, k, i in zip(x.shape[2:], stride, pairs, dilation, kernel, inside)
    )
    if min(size, default=1) <= 0:
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, x.shape[2:]))}). Calculated output size per channel: "
            f"({' x '.join(map(str, size))}). Output size is too small"
        )
    out = convolution_input.record((x, weight), (size, stride, pairs, dilation, groups))
    beyond = [e - u - i for e, u, i in zip(extra, uncut, inside)]
    if any(beyond):
        out = namespaces["nn.functional"]["pad"](out, [part for n in reversed(beyond) for part in (0, n)])
    if bias is not None:
        out = out + bias.reshape(-1, *(1 for _ in size))
    return out if x is input else out.squeeze(0)


def _public(d: int, transposed: bool) -> Any:
    def convolve(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
    ) -> Tensor:
        return _convolve(name, d, input, weight, bias, stride, padding, dilation, groups)

    def convolve_transposed(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        dilation: Ints = 1,
    ) -> Tensor:
        return _convolve_transposed(name, d, input, weight, bias, stride, padding, output_padding, groups, dilation)

    function: Any = convolve_transposed if transposed else convolve
    space = ", ".join(("D", "H", "W")[3 - d :])
    name = f"conv_transpose{d}d" if transposed else f"conv{d}d"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The adjoint of `conv{d}d` in its input: (N, C, {space}) and a weight of (C, O / groups, ...) give (N, O, "
        "...)."
        "\n\n`output_padding` adds to one side of the result, whose size a stride leaves open."
        if transposed
        else f"The cross-correlation of (N, C, {space}) or (C, {space}) with a weight of (O, C / groups, ...).\n\n"
        '`padding` is a number, one for each dimension, "valid" (none) or "same" (the size stays; stride 1 only).'
    ) + " Raises RuntimeError where shapes or dtypes do not fit."
    return expose(into="nn.functional", method=False)(function)


conv1d, conv2d, conv3d = (_public(d, False) for d in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_public(d, True) for d in (1, 2, 3))


@expose(into="nn.functional", method=False)
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` of (time, N, C) with a weight of (width, C, O) and a bias of (O,): (time, N, O).

    Raises RuntimeError where shapes or dtypes do not fit.
    """
    for name, t, ndim in (("input", input, 3), ("weight", weight, 3), ("bias", bias, 1)):
        if t.ndim != ndim:
            raise RuntimeError(f"conv_tbc: expected {name} to have {ndim} dimensions, got {list(t.shape)}")
    out = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return out.permute(2, 0, 1)

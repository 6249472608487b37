"""Pooling over windows that are not alike: adaptive and fractional pooling, and the way back from maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import backends
from ..tensor import Tensor, from_array
from .conv import Ints
from .expose import expose, functions
from .pool import Dims, numbers, window_sum
from .resample import averaging, even_windows, resample


def _adaptive_size(name: str, d: int, x: Tensor, output_size: Any) -> Dims:
    if x.ndim <= d and d > 1:
        raise ValueError(f"Input dimension should be at least {d + 1}")
    if x.ndim not in (d + 1, d + 2):
        raise RuntimeError(f"{name}(): Expected {d + 1}D or {d + 2}D tensor, but got {list(x.shape)}")
    sizes = (output_size,) * d if isinstance(output_size, int) else tuple(output_size)
    if len(sizes) != d:
        raise RuntimeError(f"{name}: output_size must be {d}")
    if any(not n for n in x.shape[-d:]):
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
            f"{list(x.shape)}"
        )
    sizes = tuple(x.shape[i - d] if n is None else n for i, n in enumerate(sizes))
    if min(sizes) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but got {list(sizes)}")
    return sizes


def _adaptive_public(d: int) -> None:
    def average(input: Tensor, output_size: Any) -> Tensor:
        sizes = _adaptive_size(average.__name__, d, input, output_size)
        size = input._array.shape[-d:]
        if all(m and n % m == 0 for n, m in zip(size, sizes)):
            kernel = tuple(n // m for n, m in zip(size, sizes))
            if sizes == (1,) * d:
                return input.mean(tuple(range(-d, 0)), keepdim=True)
            total = window_sum.record((input,), (sizes, kernel, kernel, (0,) * d))
            return total * (1 / math.prod(kernel))
        return resample.record((input,), (tuple(averaging(n, m) for n, m in zip(size, sizes)),))

    def with_indices(input: Tensor, output_size: Any, return_indices: bool = True) -> tuple[Tensor, Tensor]:
        sizes = _adaptive_size(largest.__name__, d, input, output_size)
        size = input._array.shape[-d:]
        if all(m and n % m == 0 for n, m in zip(size, sizes)):
            kernel = tuple(n // m for n, m in zip(size, sizes))
            return functions[f"max_pool{d}d_with_indices"](input, kernel)
        return windows_max(input, [even_windows(n, m) for n, m in zip(size, sizes)])

    def largest(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        found = with_indices(input, output_size)
        return found if return_indices else found[0]

    for f, name, doc in (
        (average, f"adaptive_avg_pool{d}d", "The mean of"),
        (largest, f"adaptive_max_pool{d}d", "The largest element of"),
        (with_indices, f"adaptive_max_pool{d}d_with_indices", "The largest element, and where it is, of"),
    ):
        f.__name__ = f.__qualname__ = name
        f.__doc__ = (
            f"{doc} each of `output_size` windows that cover the last {d} dimensions evenly; None keeps a size.\n\n"
            f"Raises RuntimeError unless the input is (C, ...) or (N, C, ...) with {d} more dimensions."
        )
        expose(into="nn.functional", function=d == 1, method=False)(f)


def windows_max(x: Tensor, bounds: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    """The largest element, and its flat position, of windows that reach from start to end in each dimension."""
    host, d = backends.host, len(bounds)
    size = x._array.shape[-d:]
    table: Any = 0
    for axis, (start, end) in enumerate(bounds):
        longest = int((end - start).max()) if len(start) else 1
        # Shorter windows look at their last element again, which changes neither maximum nor position.
        seen = host.minimum(start[:, None] + host.arange(longest), end[:, None] - 1) * math.prod(size[axis + 1 :])
        shape = [1] * (2 * d)
        shape[axis], shape[axis + d] = seen.shape
        table = table + seen.reshape(shape)
    out = table.shape[:d]
    table = table.reshape(math.prod(out), -1)
    xp = backends.namespaces[type(x._array)]
    flat = x.reshape(*x.shape[:-d], -1)
    table = xp.asarray(table)
    seen = flat._array[..., table]
    position = xp.argmax(seen, axis=-1) if table.size else xp.zeros(seen.shape[:-1], dtype="int64")
    index = from_array(table[xp.arange(table.shape[0]), position] if table.size else position)
    full = (*x.shape[:-d], *out)
    return functions["gather"](flat, -1, index).reshape(full), index.reshape(full)


for _d in (1, 2, 3):
    _adaptive_public(_d)


def _unpool_public(d: int) -> None:
    def unpool(
        input: Tensor,
        indices: Tensor,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        name = unpool.__name__
        if tuple(input.shape) != tuple(indices.shape):
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
                "indices "
                f"tensor with shape: {list(indices.shape)}"
            )
        if indices._array.dtype.kind not in "iu" or indices._array.itemsize != 8:
            raise RuntimeError("elements in indices should be type int64 but got: " + str(indices.dtype))
        kernel = numbers(name, kernel_size, d, "kernel_size")
        stride_, pads = numbers(name, stride, d, "stride", kernel), numbers(name, padding, d, "padding")
        if min(stride_) <= 0:
            raise RuntimeError("strides should be greater than zero, but got stride: " + str(list(stride_)))
        size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(input.shape[-d:], stride_, pads, kernel))
        if output_size is not None:
            given = tuple(output_size)[-d:]
            if len(given) != d or any(abs(a - b) >= s for a, b, s in zip(given, size, stride_)):
                raise ValueError(f"invalid output_size {list(output_size)} (dim 0 must be near {size[0]})")
            size = given
        lead, volume = tuple(input.shape[:-d]), math.prod(size)
        flat = indices._array
        if flat.size and (int(flat.max()) >= volume or int(flat.min()) < 0):
            raise RuntimeError(
                f"Found an invalid max index: {int(flat.max())} (output volumes are of size {'x'.join(map(str, size))})"
            )
        zeros = functions["zeros"](*lead, volume, dtype=input.dtype, device=input.device)
        flat_input, flat_index = (t.reshape(*lead, -1) for t in (input, indices))
        return zeros.scatter(-1, flat_index, flat_input).reshape(*lead, *size)

    unpool.__name__ = unpool.__qualname__ = f"max_unpool{d}d"
    unpool.__doc__ = (
        f"Put elements back to where `max_pool{d}d` with `return_indices` found them, with zeros elsewhere.\n\n"
        "Raises RuntimeError for indices outside of the result."
    )
    expose(into="nn.functional", function=False, method=False)(unpool)


for _d in (1, 2, 3):
    _unpool_public(_d)


def _fractional_public(d: int) -> None:
    def with_indices(
        input: Tensor,
        kernel_size: Ints,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = True,
        _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        name = pool.__name__
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        kernel = numbers(name, kernel_size, d, "kernel_size")
        size = tuple(input.shape[-d:])
        if output_size is None:
            ratios = (output_ratio,) * d if isinstance(output_ratio, float) else tuple(output_ratio)
            output_size = tuple(int(n * r) for n, r in zip(size, ratios))
        sizes = numbers(name, output_size, d, "output_size")
        if any(m + k - 1 > n for m, k, n in zip(sizes, kernel, size)):
            raise RuntimeError(f"{name}: pool of {list(kernel)} too large relative to input of {list(size)}")
        lead = tuple(input.shape[:-d])
        n, channels = lead if len(lead) == 2 else (1, lead[0])
        if _random_samples is None:
            _random_samples = functions["rand"](n, channels, d, dtype=input.dtype, device=input.device)
        host = backends.host
        samples = backends.to_host(_random_samples._array)[:n].reshape(n * channels, d)
        planes = input.reshape(n * channels, *size)
        found = []
        for plane, sample in enumerate(samples):
            bounds = []
            for axis in range(d):
                u = sample[axis if d == 3 else 1 - axis]  # PyTorch's order; and rounded as it does
                k, m = kernel[axis], sizes[axis]
                step = u.dtype.type(size[axis] - k) / u.dtype.type(max(m - 1, 1))
                start = ((host.arange(m, dtype=u.dtype) + u) * step).astype("int64") - int(u * step)
                start[-1] = size[axis] - k
                bounds.append((start, start + k))
            found.append(windows_max(planes[plane : plane + 1], bounds))
        if not found:
            zeros = functions["zeros"](*lead, *sizes, dtype=input.dtype, device=input.device)
            return zeros + input.sum() * 0, zeros.long()
        best, index = (functions["cat"](list(part)).reshape(*lead, *sizes) for part in zip(*found))
        return best, index

    def pool(
        input: Tensor,
        kernel_size: Ints,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        found = with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return found if return_indices else found[0]

    for f, name in ((pool, f"fractional_max_pool{d}d"), (with_indices, f"fractional_max_pool{d}d_with_indices")):
        f.__name__ = f.__qualname__ = name
        f.__doc__ = (
            "The largest element of windows at random, evenly spread positions, each channel its own (Graham 2014).\n\n"
            "The size of the result is `output_size`, or `output_ratio` of the input's. Raises ValueError without both."
        )
        expose(into="nn.functional", function=False, method=False)(f)


_fractional_public(2)
_fractional_public(3)

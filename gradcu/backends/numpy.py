"""The CPU: NumPy's namespace under array-API names, with what formulas need beyond it.

A name that is not defined here is that of a declared primitive, applied to raw arrays, or NumPy's own.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices
from . import native
from .axes import numbered, reduced
from .lookup import lookup, owner_of
from .memory import keep

ndarray = np.ndarray
generic = np.generic
ufunc, asarray = np.ufunc, np.asarray
depth = 0  # of no vmap

# PyTorch computes infinities and NaN silently. This keeps NumPy's notices about them out of the user's sight where
# they come from gradcu's own code, and leaves the user's NumPy as it is; np.errstate around every op would cost 0.9 us.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"gradcu\.")

keep()


def __getattr__(name: str) -> Any:
    return lookup(name, np, __name__)


def device_of(x: Any) -> devices.device:
    return devices.cpu


def data_ptr(x: Any) -> int:
    return x.ctypes.data


def to_host(x: Any) -> Any:
    return x


def from_host(x: Any, device: devices.device | None = None) -> Any:
    return x


def copy(x: Any) -> Any:
    """A contiguous copy."""
    return np.array(x, order="C")


def seed(x: Any) -> Any:
    """The gradient of a scalar by itself: one, in the dtype of x."""
    return np.ones(x.shape, x.dtype) if x.ndim else x.dtype.type(1)


def iadd(x: Any, y: Any) -> Any:
    """x += y, for 0-d arrays too."""
    return x if x.size >= native.LARGE and native.add_into(x, y) else np.add(x, y, out=x)


def conj(x: Any) -> Any:
    """The conjugate; real arrays are returned as they are."""
    return np.conj(x) if x.dtype.kind == "c" else x


def matmul(x: Any, y: Any) -> Any:
    """Matrix product. A batch times one matrix is folded into a product of matrices, for which `dot` has less overhead;
    half precision is multiplied in float32, for which there is BLAS.
    """
    if x.itemsize == 2 and x.dtype.kind in "fV":
        return matmul(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
    if x.ndim <= 2 and y.ndim <= 2:
        return x.dot(y)
    if x.shape[-1] == 1 and x.ndim > 1 and y.ndim > 1 and y.shape[-2] == 1:
        return x * y  # outer products, which BLAS is slow at
    if y.ndim == 2:
        return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).dot(y).reshape(x.shape[:-1] + y.shape[1:])
    return np.matmul(x, y)


def matrix_transpose(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


_add_reduce: Any = np.add.reduce


def _by_kernel(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    """What the function of that name of `cpu/reduce.py` gives; None for arrays that NumPy is to reduce."""
    from .cpu import reduce

    return getattr(reduce, name)(x, axis, keepdims)


_REDUCED = 16_384  # elements from which a kernel takes less time than NumPy


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum over axes; half precision is added up in float32."""
    d = x.dtype
    rows = axis.__class__ is int and x.ndim == 2 and not keepdims and (d is _f32 or d is _f64)
    if rows and axis in (1, -1):  # a product with ones: a third of the overhead, and no slower on large matrices
        return x.dot(_ones(x.shape[1], d))
    if x.size >= _REDUCED and (result := _by_kernel("total", x, axis, keepdims)) is not None:
        return result
    if rows and axis in (0, -2):
        return _ones(x.shape[0], d).dot(x)
    if d.itemsize == 2 and d.kind in "fV":
        return sum(x.astype(np.float32), axis, keepdims).astype(d)
    if axis.__class__ is tuple and len(axis) < x.ndim and not keepdims and (d is _f32 or d is _f64):
        lead = len(axis)
        if lead > 1 and axis == tuple(range(lead)) and x.flags.c_contiguous:  # of a parameter that was broadcast
            rows = x.reshape(math.prod(x.shape[:lead]), math.prod(x.shape[lead:]))
            return _ones(len(rows), d).dot(rows).reshape(x.shape[lead:])
    if axis is not None and x.size >= _LARGE_SUM and (d is _f32 or d is _f64):
        return _sum_of_lines(x, numbered(x.ndim, axis), keepdims)
    return _add_reduce(x, axis, None, None, keepdims)


_LARGE_SUM = 4096  # elements


def _sum_of_lines(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Sum over axes, of which the last are taken by products with ones: that is three times as fast."""
    lead = x.ndim
    while lead - 1 in axes:
        lead -= 1
    n = math.prod(x.shape[lead:])
    if not lead or not 32 <= n <= 16_384 or not (lead == x.ndim - 1 or x[0].flags.c_contiguous):
        return _add_reduce(x, axes, None, None, keepdims)
    total = np.vecdot(x.reshape(*x.shape[:lead], n), _ones(n, x.dtype))
    rest = tuple(a for a in axes if a < lead)
    if rest:
        total = _add_reduce(total, rest)
    return total.reshape(reduced(x.shape, axes, True)) if keepdims else total


_f32, _f64 = np.dtype(np.float32), np.dtype(np.float64)


@functools.lru_cache(64)
def _ones(n: int, dtype: Any) -> Any:
    return np.ones(n, dtype)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean over axes; half precision is added up in float32."""
    d = x.dtype
    if x.size >= _REDUCED and (result := _by_kernel("mean", x, axis, keepdims)) is not None:
        return result
    if d.itemsize == 2 and d.kind in "fV":
        return mean(x.astype(np.float32), axis, keepdims).astype(d)
    total = _add_reduce(x, axis, None, None, keepdims)
    return total / (x.size // total.size) if total.size else total


def cumsum(x: Any, axis: int | None = None, **more: Any) -> Any:
    """Running sums; of many lines, those of all at once, in a sixth to a half of the time of `np.cumsum`."""
    d = x.dtype if type(x) is ndarray else None
    if axis is None or more or (d is not _f32 and d is not _f64) or x.size < 4096 or x.size < 256 * x.shape[axis]:
        return np.cumsum(x, axis=axis, **more)
    n = x.shape[-1]
    if axis in (-1, x.ndim - 1):  # steps of an odd number of cache lines, so that what lies below each other fits in
        out = np.empty((*x.shape[:-1], 16 * ((n + 15) // 16 | 1)), d)[..., :n]
    else:
        out = np.empty(x.shape, d)
    out[...] = x
    rows = out.swapaxes(0, axis)
    for before, row in itertools.pairwise(rows):
        np.add(before, row, out=row)
    return np.ascontiguousarray(out)


def _extreme(kernel: str, by_numpy: Callable) -> Callable:
    """A function by the kernel of that name, or by one of the signature of `ufunc.reduce`."""

    def function(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.size >= _REDUCED and (result := _by_kernel(kernel, x, axis, keepdims)) is not None:
            return result
        return by_numpy(x, axis, None, None, keepdims)

    return function


# Where the place is asked for it is that of the first of equal elements, or of the first NaN.
max, min = _extreme("largest", np.maximum.reduce), _extreme("smallest", np.minimum.reduce)
argmax = _extreme("first_largest", lambda x, axis, dtype, out, keepdims: x.argmax(axis, keepdims=keepdims))
argmin = _extreme("first_smallest", lambda x, axis, dtype, out, keepdims: x.argmin(axis, keepdims=keepdims))


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """A read-only view of the shape, in which repeated elements share memory; np.broadcast_to takes twice the time."""
    own = x.shape
    if own == shape:
        return x
    a = np.asarray(x)
    lead = len(shape) - len(own)
    if not own:
        view = np.ndarray(shape, a.dtype, a, 0, (0,) * lead)
        view.flags.writeable = False
        return view
    if lead < 0 or not a.size or not a.flags.c_contiguous:
        return np.broadcast_to(a, shape)
    strides = [0] * lead
    for n, wanted, stride in zip(own, shape[lead:], a.strides):
        if n != wanted and n != 1:
            return np.broadcast_to(a, shape)  # which says what is wrong
        strides.append(stride if n == wanted else 0)
    view = np.ndarray(shape, a.dtype, a, 0, strides)
    view.flags.writeable = False
    return view


def astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    return x.astype(dtype, copy=copy)


def where(condition: Any, x: Any, y: Any) -> Any:
    """x or y; of large arrays by their bits, which takes a tenth of the time of `np.where`."""
    if type(condition) is not ndarray or condition.size < 2048 or condition.dtype.kind != "b":
        return np.where(condition, x, y)
    if type(x) is ndarray and x.dtype.kind in "fiu":
        if type(y) is int and y == 0:
            return (_bits(x) & -condition.view(np.int8)).view(x.dtype)
        if type(y) is float and x.dtype.kind == "f":
            y = np.asarray(y, x.dtype)
        if type(y) is ndarray and x.dtype is y.dtype:
            y_bits = _bits(y)
            return (((_bits(x) ^ y_bits) & -condition.view(np.int8)) ^ y_bits).view(x.dtype)
    elif type(y) is ndarray and y.dtype.kind in "fiu":
        if type(x) is int and x == 0:
            return (_bits(y) & (condition.view(np.int8) - 1)).view(y.dtype)
        if type(x) is float and y.dtype.kind == "f":
            return where(condition, np.asarray(x, y.dtype), y)
    return np.where(condition, x, y)


def _bits(x: Any) -> Any:
    return x.view(f"i{x.itemsize}")


def combine_at(x: Any, index: Any, values: Any, by: str = "add") -> None:
    """`x[index] = by(x[index], values)`, once for each time that an element is meant.

    `by` is "add", "multiply", "maximum" or "minimum". NumPy is fast at this in vectors alone.
    """
    if by == "add" and _add_rows(x, index, values):
        return
    if x.flags.c_contiguous and x.ndim > 1 and x.size:
        index = index if isinstance(index, tuple) else (index,)
        rows = all(isinstance(i, np.ndarray) and i.dtype.kind in "iu" for i in index)
        lead = len(index) if rows else x.ndim
        places = np.arange(math.prod(x.shape[:lead])).reshape(x.shape[:lead])[index]
        length = math.prod(x.shape[lead:])
        values = np.broadcast_to(values, (*places.shape, *x.shape[lead:])).reshape(-1)
        if length > 1:
            places = places[..., None] * length + np.arange(length)
        x, index = x.reshape(-1), places.reshape(-1)
    getattr(np, by).at(x, index, values)


_MANY = 16  # rows for one place that are added up by themselves


def _add_rows(x: Any, index: Any, values: Any) -> bool:
    """`combine_at` by addition, where there is a better way for the index; False if nothing was done."""
    from .cpu.scatter import add_at

    if add_at(x, index, values):
        return True
    if type(index) is not ndarray or index.dtype.kind not in "iu" or not index.size:
        return False
    if index.min() < 0 or index.max() >= len(x):
        return False
    if x.ndim < 2 or x.dtype.kind not in "fcV":
        return False
    # Sorted, the rows that go to one place are neighbours. Where they are many they are added up; of the others the
    # first of each place is added, then the second of each, and so on: ten times as fast as ufunc.at.
    count = index.size
    rows = np.broadcast_to(values, (*index.shape, *x.shape[1:])).reshape(count, *x.shape[1:])
    bits = count.bit_length()
    keys = (index.reshape(-1).astype(np.int64) << bits) | np.arange(count)  # as a stable sort, in a tenth of the time
    keys.sort()
    places, order = keys >> bits, keys & ((1 << bits) - 1)
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    lengths = np.diff(starts, append=count)
    many = lengths > _MANY
    for start, length in zip(starts[many].tolist(), lengths[many].tolist()):
        x[places[start]] += sum(rows.take(order[start : start + length], axis=0), 0)
    starts, lengths = starts[~many], lengths[~many]
    for turn in range(lengths.max(initial=0)):
        firsts = starts[lengths > turn]
        x[places[firsts]] += rows.take(order[firsts + turn], axis=0)
    return True


def is_view(result: Any, x: Any) -> bool:
    """Whether `result` is a view of `x`."""
    base = result.base
    return base is not None and (base is x or base is x.base)


def with_strides(x: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view of these lengths, and strides in bytes, from the first element on."""
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def strided(memory: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, dtype: Any = None) -> Any:
    """An array over the memory of another, contiguous one; strides and offset in elements."""
    dtype = memory.dtype if dtype is None else dtype
    size = dtype.itemsize
    return np.ndarray(shape, dtype, memory, offset * size, tuple(s * size for s in strides))


def memory(x: Any) -> Any:
    """All the memory that `x` is a part of, as a vector."""
    return owner_of(x).ravel("K")


def random_source(seed: int, state: Any = None) -> Any:
    """A generator of random numbers: at the start of the stream of a seed, or where `random_state` was taken."""
    bits = np.random.Philox(key=seed)
    if state is not None:
        words = np.array(state, dtype=np.uint64)
        bits.state = {
            "bit_generator": "Philox",
            "state": {"counter": words[:4], "key": np.array([seed, 0], dtype=np.uint64)},
            "buffer": words[4:8],
            "buffer_pos": int(words[8]),
            "has_uint32": int(words[9]),
            "uinteger": int(words[10]),
        }
    return np.random.Generator(bits)


def random_state(source: Any) -> list[int]:
    """What `random_source` needs, besides the seed, to go on from here."""
    s = source.bit_generator.state
    return [*s["state"]["counter"], *s["buffer"], s["buffer_pos"], s["has_uint32"], s["uinteger"]]


def dropout_noise(source: Any, shape: Any, dtype: Any, keep: float, scale: float) -> Any:
    """What dropout multiplies by: `scale` with probability `keep`, else zero."""
    return (source.random(shape, dtype=np.float32) < keep) * dtype.type(scale)


def special(name: str) -> Any:
    """A function of scipy.special. Raises ModuleNotFoundError, with what to do, if SciPy is not installed."""
    try:
        import scipy.special
    except ImportError:
        raise ModuleNotFoundError(
            f"the special function '{name}' needs SciPy: pip install \"gradcu[special]\"", name="scipy"
        ) from None
    return getattr(scipy.special, name)

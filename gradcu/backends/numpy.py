"""The CPU: NumPy's namespace under array-API names, with what formulas need beyond it.

A name that is not defined here is that of a declared primitive, applied to raw arrays, or NumPy's own.
"""

from __future__ import annotations

import functools
import sys
import warnings
from typing import Any

import numpy as np

from .. import devices

ndarray = np.ndarray
types = (np.ndarray, *np.sctypeDict.values())
ufunc, asarray = np.ufunc, np.asarray

# PyTorch computes infinities and NaN silently. This keeps NumPy's notices about them out of the user's sight where
# they come from gradcu's own code, and leaves the user's NumPy as it is; np.errstate around every op would cost 0.9 us.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"gradcu\.")


def __getattr__(name: str) -> Any:
    from ..graph.op import registry

    primitive = registry.get(name)
    if primitive is not None and not hasattr(np, name):
        found = functools.partial(primitive.forward, sys.modules[__name__])
    else:
        found = getattr(np, name)
    globals()[name] = found
    return found


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


def iadd(x: Any, y: Any) -> Any:
    """x += y, for 0-d arrays too."""
    return np.add(x, y, out=x)


def conj(x: Any) -> Any:
    """The conjugate; real arrays are returned as they are."""
    return np.conj(x) if x.dtype.kind == "c" else x


def matmul(x: Any, y: Any) -> Any:
    """Matrix product; `dot` has less overhead for matrices."""
    return x.dot(y) if x.ndim == y.ndim == 2 else np.matmul(x, y)


def matrix_transpose(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


_add_reduce = np.add.reduce
_SMALL = (np.dtype(np.float16),)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A001
    """Sum over axes; half precision is added up in float32."""
    d = x.dtype
    if d in _SMALL or d.kind == "V":
        return _add_reduce(x.astype(np.float32), axis=axis, keepdims=keepdims).astype(d)
    return _add_reduce(x, axis=axis, keepdims=keepdims)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """A read-only view of the shape, in which repeated elements share memory."""
    return x if x.shape == shape else np.broadcast_to(x, shape)


def astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    return x.astype(dtype, copy=copy)


def where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


def add_at(x: Any, index: Any, values: Any) -> None:
    """`x[index] += values`, where an index that occurs twice is added to twice."""
    np.add.at(x, index, values)


def is_view(result: Any, x: Any) -> bool:
    """Whether `result` is a view of `x`."""
    base = result.base
    return base is not None and (base is x or base is x.base)


def strided(memory: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, dtype: Any = None) -> Any:
    """An array over the memory of another, contiguous one; strides and offset in elements."""
    dtype = memory.dtype if dtype is None else dtype
    size = dtype.itemsize
    return np.ndarray(shape, dtype, memory, offset * size, tuple(s * size for s in strides))

"""The product of a sparse matrix and a dense one, on the CPU: compiled where there is a compiler, else by NumPy."""

from __future__ import annotations

import ctypes
import functools
import pathlib
from typing import Any

import numpy as np

SMALL = 16_384  # products below which NumPy's calls cost less than a compiler's first run


@functools.cache
def _compiled(dtype: np.dtype) -> Any:
    """The function of rows.cpp for a dtype; None without one."""
    if dtype.name not in ("float32", "float64"):
        return None
    from . import compiler

    loaded = compiler.library((pathlib.Path(__file__).parent / "rows.cpp").read_text())
    if loaded is None:
        return None
    function = getattr(loaded, f"multiply_{dtype.name}")
    function.argtypes, function.restype = [ctypes.c_void_p] * 6 + [ctypes.c_ssize_t] * 2, None
    return function


def multiply(x: Any, y: Any, order: Any, columns: Any, ends: Any) -> Any:
    """A dense matrix whose row r is the sum, over e from ends[r] to ends[r + 1], of x[order[e]] * y[columns[e]]."""
    out = np.zeros((len(ends) - 1, y.shape[1]), dtype=y.dtype)
    run = _compiled(y.dtype) if x.size * y.shape[1] >= SMALL and x.dtype == y.dtype else None
    if run is not None:
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        run(*(a.ctypes.data for a in (x, y, out, order, columns, ends)), *out.shape)
    elif x.size:
        scaled = y.take(columns, axis=0)
        scaled *= x[order][:, None]
        held = np.flatnonzero(ends[1:] > ends[:-1])  # a row without elements has no sum for reduceat
        out[held] = np.add.reduceat(scaled, ends[held], axis=0)
    return out

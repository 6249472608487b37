"""Compiled CPU kernels: formulas over large arrays as one C++ loop, made when first needed.

Small arrays, other dtypes, and formulas that are not pointwise stay with NumPy; so does everything without a compiler,
or with GRADCU_NATIVE=0. docs/native.md tells how a formula becomes a kernel, `compiler` where kernels are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expr import Trace, kernel_source, steps

SMALL = 4_096  # elements below which NumPy's calls cost less than the way into a kernel
LARGE = 262_144  # elements from which several threads do better than one call of NumPy
SHARE = 32_768  # elements that a thread must have for it to pay to wake it
#: functions for which NumPy's own loop takes 1.5 to 30 times as long as the C library's vector form
FASTER = frozenset({"sin", "cos", "sqrt", "hypot"})
VARIANTS = 64  # compiled forms of one formula, above which it is left to NumPy: something in it changes all the time

_ndarray, _f32, _f64 = np.ndarray, np.dtype(np.float32), np.dtype(np.float64)


def _processors() -> int:
    """What OMP_NUM_THREADS says, or how many processors this process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_threads = _processors()


def set_num_threads(n: int) -> None:
    """Share the work of large compiled kernels among `n` threads: at first OMP_NUM_THREADS, or one for each processor.

    It does not concern matrix products, whose threads are those of NumPy's BLAS (OMP_NUM_THREADS and the like, or the
    package threadpoolctl, set them). Raises RuntimeError if `n` is less than 1.

    >>> set_num_threads(1)
    """
    global _threads
    if type(n) is not int:
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads = n


def get_num_threads() -> int:
    """The number of threads that large compiled kernels use."""
    return _threads


def set_num_interop_threads(n: int) -> None:
    """Nothing but a check: operations run one after another. Raises RuntimeError if `n` is less than 1."""
    if n < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


def get_num_interop_threads() -> int:
    """1: operations run one after another."""
    return 1


class Kernel:
    """A pointwise formula, of one result or several, as one compiled loop: one for each dtype and kind of arguments."""

    def __init__(self, formula: Callable[..., Sequence[Any]], least: int = 2) -> None:
        """`formula(xp, *arguments)` gives a list of results; with fewer than `least` steps it is left to NumPy."""
        self.formula, self.least = formula, least
        self._built: dict[tuple, Any] = {}

    def __call__(self, *values: Any, into: Any = None) -> list[Any] | None:
        """The results for arguments of which some are large arrays, of one shape, dtype and order; None if not so.

        Python's numbers, and arrays of one repeated element, are arguments of the kernel; anything else is written
        into it, and so are numbers on which the formula branches. A single result can be written `into` an array, which
        may be one of the arguments.
        """
        kinds: list[Any] = []
        example = dtype = shape = strides = None
        for v in values:
            kind = type(v)
            if kind is _ndarray:
                own, d = v.strides, v.dtype
                if dtype is None:
                    if d is not _f32 and d is not _f64:
                        return None
                    dtype = d
                elif d is not dtype:
                    return None
                if own == strides and v.shape == shape:
                    kinds.append("array")
                elif v.size == 1 or not any(own):
                    kinds.append("uniform")
                elif example is None:
                    example, shape, strides = v, v.shape, own
                    kinds.append("array")
                else:
                    return None
            elif kind is float or (kind is int and -(2**53) <= v <= 2**53):
                kinds.append("number")
            else:
                kinds.append((kind, v))
        if example is None or example.size < SMALL:
            return None
        flags = example.flags
        if not (flags.c_contiguous or flags.f_contiguous):
            return None
        if into is not None and (into.strides != strides or not into.flags.writeable):
            return None
        if "uniform" in kinds and not all(
            v.shape == shape or (v.size == 1 and v.ndim <= example.ndim)
            for k, v in zip(kinds, values)
            if k == "uniform"
        ):
            return None
        try:
            key = (dtype is _f32, *kinds)
            function = self._built.get(key, self)
            if function is self:
                function = self._compile(key, values)
            if function is None and "number" in kinds:
                key = (dtype is _f32, *(repr(v) if k == "number" else k for k, v in zip(kinds, values)))
                function = self._built.get(key, self)
                if function is self:
                    function = self._compile(key, values)
        except TypeError:  # an argument that cannot be hashed
            return None
        return None if function is None else function(values, example, into)

    def source(
        self, dtype: Any, kinds: Sequence[Any], values: Sequence[Any], name: str = "kernel"
    ) -> tuple[str, list[Any]] | None:
        """The C++ text, and of each result its dtype or the position of the argument that it is.

        None if the formula is not pointwise, or too short.
        """
        xp = Trace(dtype)
        symbols = [
            xp.argument(k, f"a{i}") if k in ("array", "uniform", "number") else v
            for i, (k, v) in enumerate(zip(kinds, values))
        ]
        try:
            results = [xp.symbol(r) for r in self.formula(xp, *symbols)]
        except Exception:  # whatever a formula trips over, NumPy will say it better, or can do it
            return None
        if steps(results) < self.least:
            return None
        own: list[Any] = [np.dtype(bool) if r.boolean else dtype for r in results]
        for i, r in enumerate(results):
            if r.op == "array":
                own[i] = next(j for j, s in enumerate(symbols) if s is r)
        made = [r for r, what in zip(results, own) if type(what) is not int]
        return kernel_source(xp, made, name, "float" if dtype == _f32 else "double"), own

    def _compile(self, key: tuple, values: Sequence[Any]) -> Callable | None:
        """The function for a kind of arguments, which is kept; None if that is to be left to NumPy."""
        function = None
        if len(self._built) < VARIANTS:
            from . import compiler

            single, *kinds = key
            dtype = _f32 if single else _f64
            written = self.source(dtype, kinds, values)
            loaded = None if written is None else compiler.library(written[0])
            if written is not None and loaded is not None:
                function = compiler.caller(loaded.kernel, dtype, kinds, written[1])
            self._built[key] = function
        return function


_sum = Kernel(lambda xp, x, y: [x + y], least=1)


def add_into(x: Any, y: Any) -> bool:
    """x += y in several threads; False if nothing was done, because that would not be quicker than NumPy."""
    if x.size < LARGE or _threads == 1 or (y is not x and np.may_share_memory(x, y)):
        return False
    return _sum(x, y, into=x) is not None

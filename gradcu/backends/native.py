"""Compiled CPU kernels: formulas over large arrays as one C++ loop, made when first needed.

Small arrays, other dtypes, and formulas that are not pointwise stay with NumPy; so does everything without a compiler,
or with GRADCU_NATIVE=0. docs/native.md tells how a formula becomes a kernel, `compiler` where kernels are kept.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expr import Trace, kernel_source, steps

SMALL = 8_192  # elements below which NumPy's calls cost less than the way into a kernel
PARALLEL = 131_072  # elements from which the work is shared among threads
VARIANTS = 64  # compiled forms of one formula, above which it is left to NumPy: something in it changes all the time
C_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}

_ndarray = np.ndarray
_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_pool: Any = None


def set_num_threads(n: int) -> None:
    """Share the work of large compiled kernels among `n` threads; at first there are as many as processors.

    It does not concern matrix products, whose threads are those of NumPy's BLAS (OMP_NUM_THREADS and the like, or the
    package threadpoolctl, set them). Raises RuntimeError if `n` is less than 1.

    >>> set_num_threads(1)
    """
    global _threads, _pool
    if type(n) is not int:
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads, _pool = n, None


def get_num_threads() -> int:
    """The number of threads that large compiled kernels use."""
    return _threads


def _forget_threads() -> None:
    global _pool
    _pool = None  # a forked child has none of its parent's threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


class Kernel:
    """A pointwise formula, of one result or several, as one compiled loop: one for each dtype and kind of arguments."""

    def __init__(self, formula: Callable[..., Sequence[Any]], least: int = 2) -> None:
        """`formula(xp, *arguments)` gives a list of results; with fewer than `least` steps it is left to NumPy."""
        self.formula, self.least = formula, least
        self._built: dict[tuple, Callable | None] = {}

    def __call__(self, *values: Any) -> list[Any] | None:
        """The results for arguments of which some are large arrays, of one shape, dtype and order; None if not so.

        Python's numbers, and arrays of one repeated element, are arguments of the kernel; anything else is written
        into it, and so are numbers on which the formula branches.
        """
        signature = self._signature(values)
        if signature is None:
            return None
        kinds, dtype, example = signature
        try:
            key = (dtype, *kinds)
            function = self._built.get(key, self)
            if function is self:
                function = self._compile(key, values)
            if function is None and "number" in kinds:
                key = (dtype, *(repr(v) if k == "number" else k for k, v in zip(kinds, values)))
                function = self._built.get(key, self)
                if function is self:
                    function = self._compile(key, values)
        except TypeError:  # an argument that cannot be hashed
            return None
        return None if function is None else function(values, example)

    def _signature(self, values: Sequence[Any]) -> tuple[list[Any], Any, Any] | None:
        """What each argument is, the dtype, and one of the large arrays."""
        kinds: list[Any] = []
        example = dtype = shape = strides = None
        for v in values:
            kind = type(v)
            if kind is _ndarray:
                if dtype is None:
                    dtype = v.dtype
                    if dtype not in C_TYPES:
                        return None
                elif v.dtype != dtype:
                    return None
                own = v.strides
                if v.size == 1 or not any(own):
                    kinds.append("uniform")
                    continue
                if example is None:
                    example, shape, strides = v, v.shape, own
                    flags = v.flags
                    if not (flags.c_contiguous or flags.f_contiguous) or not flags.aligned:
                        return None
                elif v.shape != shape or own != strides or not v.flags.aligned:
                    return None
                kinds.append("array")
            elif kind is float or (kind is int and -(2**53) <= v <= 2**53):
                kinds.append("number")
            else:
                kinds.append((kind, v))
        if example is None or example.size < SMALL:
            return None
        for kind, v in zip(kinds, values):
            if kind == "uniform" and v.shape != shape and (v.size != 1 or v.ndim > len(shape)):
                return None
        return kinds, dtype, example

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
        return kernel_source(xp, made, name, C_TYPES[dtype]), own

    def _compile(self, key: tuple, values: Sequence[Any]) -> Callable | None:
        """The function for a kind of arguments, which is kept; None if that is to be left to NumPy."""
        function = None
        if len(self._built) < VARIANTS:
            from . import compiler

            dtype, *kinds = key
            written = self.source(dtype, kinds, values)
            loaded = None if written is None else compiler.library(written[0])
            if written is not None and loaded is not None:
                function = compiler.caller(loaded.kernel, dtype, kinds, written[1])
            self._built[key] = function
        return function


def share(work: Callable[[int, int], Any], size: int) -> None:
    """Run `work(begin, end)` over all of `size`, in several threads if it is large."""
    global _pool
    n = _threads
    if size < PARALLEL or n == 1:
        work(0, size)
        return
    pool = _pool
    if pool is None:
        from concurrent.futures import ThreadPoolExecutor

        pool = _pool = ThreadPoolExecutor(n - 1, thread_name_prefix="gradcu")
    bounds = [size * i // n for i in range(n + 1)]
    others = [pool.submit(work, b, e) for b, e in itertools.pairwise(bounds)]
    try:
        work(bounds[0], bounds[1])
    finally:  # none may write on when this has raised: its arrays would be gone
        for other in others:
            other.result()

"""Compiled CPU kernels: formulas over large arrays as one C++ loop, made when first needed.

Small arrays, other dtypes, and formulas that are not pointwise stay with NumPy. Without a compiler, or with
GRADCU_NATIVE=0, NumPy computes formulas of several steps in blocks. docs/native.md tells how a formula becomes a
kernel, `compiler` where kernels are kept.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ..expr import ARGUMENTS, Symbol, Trace, kernel_source, steps

SMALL = 4_096  # elements below which NumPy's calls cost less than the way into a kernel
LARGE = 262_144  # elements from which several threads do better than one call of NumPy
SHARE = 32_768  # elements that a thread must have for it to pay to wake it
#: functions for which NumPy's own loop takes 1.5 to 30 times as long as a kernel
FASTER = frozenset({"sin", "cos", "sqrt", "hypot", "where", "masked_fill"})
VARIANTS = 64  # compiled forms of one formula, above which it is left to NumPy: something in it changes all the time

SHORT = 16  # elements in a row below which a loop over rows does not pay
FLOATING = ("float16", "bfloat16", "float32", "float64")

_ndarray, _f32, _f64, _bool = np.ndarray, np.dtype(np.float32), np.dtype(np.float64), np.dtype(bool)


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


class Space:
    """Where the elements are that a kernel goes over, when operands broadcast or are not contiguous.

    The axes are in the order of memory of the first whole operand, those that lie on as if they were one made one; the
    last is a row. The result is contiguous in that order.
    """

    def __init__(self, operands: Sequence[tuple[tuple[int, ...], tuple[int, ...], int]]) -> None:
        """`operands`: shape, strides and size of an element of each. Raises ValueError if the shapes do not fit."""
        self.shape = np.broadcast_shapes(*(shape for shape, _, _ in operands))
        self.size = math.prod(self.shape)
        lead = [len(self.shape) - len(shape) for shape, _, _ in operands]
        strides = [
            (0,) * n + tuple(0 if d == 1 else s for d, s in zip(shape, own))
            for n, (shape, own, _) in zip(lead, operands)
        ]
        whole = next((s for s, (shape, _, _) in zip(strides, operands) if shape == self.shape), None)
        axes = range(len(self.shape))
        self.order = sorted(axes, key=lambda i: -abs(whole[i])) if whole else list(axes)
        #: the length of each dimension, and by operand the bytes from one element to the next
        self.lengths: list[int] = []
        self.strides: list[list[int]] = [[] for _ in operands]
        for i in self.order:
            n = self.shape[i]
            if n == 1:
                continue
            if self.lengths and all(own[-1] == s[i] * n for own, s in zip(self.strides, strides)):
                self.lengths[-1] *= n
                for own, s in zip(self.strides, strides):
                    own[-1] = s[i]
            else:
                self.lengths.append(n)
                for own, s in zip(self.strides, strides):
                    own.append(s[i])
        contiguous = [math.prod(self.lengths[i + 1 :]) for i in range(len(self.lengths))]
        #: by operand, how it is read: the kinds of arguments of `expr.Symbol`
        self.layouts: list[str] = []
        self.fits = bool(self.lengths)  # whether a kernel can go over it, and rows are long enough for that to pay
        stepped = []
        for own, (_, _, itemsize) in zip(self.strides, operands):
            if any(s % itemsize for s in own) or (len(self.lengths) > 1 and self.lengths[-1] < SHORT):
                self.fits = False
                return
            steps = [s // itemsize for s in own]
            if not any(steps):
                self.layouts.append("uniform")
            elif steps == contiguous:
                self.layouts.append("array")
            else:
                self.layouts.append({1: "row", 0: "column"}.get(steps[-1], "strided"))
                stepped += [steps[-1], *steps[:-1]]
        numbers = [self.lengths[-1], len(self.lengths) - 1, *self.lengths[:-1], *stepped]
        self.table = (ctypes.c_ssize_t * len(numbers))(*numbers)  # what the kernel is told

    def empty(self, dtype: Any) -> Any:
        """An array for a result."""
        made = np.empty([self.shape[i] for i in self.order], dtype)
        return made.transpose(np.argsort(self.order)) if self.order != sorted(self.order) else made


_space = functools.lru_cache(512)(Space)


class Kernel:
    """A pointwise formula, of one result or several, as one compiled loop: one for each dtype and kind of arguments."""

    def __init__(self, formula: Callable[..., Sequence[Any]], least: int = 2) -> None:
        """`formula(xp, *arguments)` gives a list of results.

        With fewer than `least` steps it is left to NumPy, unless there are threads to share the work.
        """
        self.formula, self.least = formula, least
        self._built: dict[tuple, Any] = {}

    def __call__(self, *values: Any, into: Any = None) -> list[Any] | None:
        """The results for arguments of which some are large arrays of one floating dtype, or masks; None if not so.

        Python's numbers, and arrays of one repeated element, are arguments of the kernel; anything else is written
        into it, and so are numbers on which the formula branches. A single result can be written `into` an array, which
        may be one of the arguments.
        """
        kinds: list[Any] = []
        example = dtype = shape = strides = None
        plain = True  # all arrays are contiguous, of one dtype and shape
        for v in values:
            kind = type(v)
            if kind is _ndarray:
                own, d = v.strides, v.dtype
                if dtype is None:
                    dtype = d
                if d is not dtype:
                    plain = False
                if own == strides and v.shape == shape:
                    kinds.append("array")
                elif v.size == 1 or not any(own):
                    kinds.append("uniform")
                else:
                    if example is None:
                        example, shape, strides = v, v.shape, own
                    else:
                        plain = False
                    kinds.append("array")
            elif kind is float or (kind is int and -(2**53) <= v <= 2**53):
                kinds.append("number")
            else:
                kinds.append((kind, v))
        if example is None:
            return None
        space = None
        if plain and (dtype is _f32 or dtype is _f64) and _regular(example, kinds, values):
            if example.size < SMALL:
                return None
        elif into is not None:
            return None
        else:
            arrays = [v for k, v in zip(kinds, values) if type(k) is str and k != "number"]
            dtype = _common(arrays)
            if dtype is None:
                return None
            try:
                space = _space(tuple((a.shape, a.strides, a.itemsize) for a in arrays))
            except ValueError:  # the shapes do not fit, as NumPy will say
                return None
            if space.size < SMALL or not space.fits:
                return None
            kinds = _described(kinds, values, space)
        if into is not None and (into.strides != strides or not into.flags.writeable):
            return None
        least = 1 if _threads > 1 and (example.size if space is None else space.size) >= LARGE else self.least
        function = self._function((dtype, least, *kinds), values)
        if function is None and "number" in kinds:  # the formula may branch on one
            kinds = [repr(v) if k == "number" else k for k, v in zip(kinds, values)]
            function = self._function((dtype, least, *kinds), values)
        return None if function is None else function(values, example, space, into)

    def _function(self, key: tuple, values: Sequence[Any]) -> Callable | None:
        """The function for a kind of arguments, made if need be; None if that is to be left to NumPy."""
        return self.kept(key, lambda: self._compile(key, values))

    def kept(self, key: tuple, make: Callable[[], Callable | None]) -> Callable | None:
        """What was made for a kind of arguments, or is made now; None if they have been of too many kinds."""
        try:
            return self._built[key]
        except KeyError:
            if len(self._built) < VARIANTS:
                made = self._built[key] = make()
                return made
        except TypeError:  # an argument that cannot be hashed
            pass
        return None

    def trace(
        self, dtype: Any, kinds: Sequence[Any], values: Sequence[Any], lacking: Collection[str] = ()
    ) -> tuple[Trace, list[Symbol], list[Any]]:
        """The expression, its results, and of each its dtype or the position of the argument that it is.

        Raises whatever a formula trips over that is not pointwise.
        """
        xp = Trace(dtype if dtype.itemsize > 2 else _f32, lacking)
        symbols = [
            xp.argument(k, f"a{i}") if type(k) is str and k.partition(" ")[0] in ARGUMENTS else v
            for i, (k, v) in enumerate(zip(kinds, values))
        ]
        results = [xp.symbol(r) for r in self.formula(xp, *symbols)]
        own: list[Any] = [np.dtype(bool) if r.boolean else dtype for r in results]
        for i, r in enumerate(results):
            if r.op == "array":
                own[i] = next(j for j, s in enumerate(symbols) if s is r)
        return xp, results, own

    def source(
        self, dtype: Any, kinds: Sequence[Any], values: Sequence[Any], name: str = "kernel", least: int = 1
    ) -> tuple[str, list[Any]] | None:
        """The C++ text, and of each result its dtype or the position of the argument that it is.

        None if the formula is not pointwise, or has fewer than `least` steps.
        """
        try:
            xp, results, own = self.trace(dtype, kinds, values)
        except Exception:  # whatever a formula trips over, NumPy will say it better, or can do it
            return None
        if steps(results) < least:
            return None
        made = [r for r, what in zip(results, own) if type(what) is not int]
        return kernel_source(xp, made, name, dtype.name), own

    def _compile(self, key: tuple, values: Sequence[Any]) -> Callable | None:
        from . import compiler

        dtype, least, *kinds = key
        written = self.source(dtype, kinds, values, least=least)
        if written is None:
            return None
        loaded = compiler.library(written[0])
        if loaded is None:
            return self._in_blocks(dtype, kinds, values)
        return compiler.caller(loaded.kernel, dtype, kinds, written[1])

    def _in_blocks(self, dtype: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Callable | None:
        """The function that has NumPy compute an expression in blocks; None if it has too few steps to gain by it."""
        from ..expr import blocks

        try:
            trace, results, own = self.trace(dtype, kinds, values, blocks.LACKING)
        except Exception:  # a formula in place of a function that NumPy lacks is not pointwise
            return None
        if steps(results) < blocks.LEAST_STEPS:
            return None
        made = [r for r, what in zip(results, own) if type(what) is not int]
        return blocks.caller(trace.arguments, made, dtype, kinds, own, get_num_threads)


def _regular(example: Any, kinds: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether arrays of one shape lie one element after another, and the rest do not make the result larger."""
    flags = example.flags
    if not (flags.c_contiguous or flags.f_contiguous):
        return False
    return "uniform" not in kinds or all(
        v.shape == example.shape or (v.size == 1 and v.ndim <= example.ndim)
        for k, v in zip(kinds, values)
        if k == "uniform"
    )


def _common(arrays: Sequence[Any]) -> Any:
    """The floating dtype of all arrays but masks; None unless there is one, with bytes in this machine's order."""
    found = None
    for a in arrays:
        d = a.dtype
        if d is _bool:
            continue
        if (d is not found and found is not None) or d.name not in FLOATING or not d.isnative:
            return None
        found = d
    return found


def _described(kinds: Sequence[Any], values: Sequence[Any], space: Space) -> list[Any]:
    """The kinds of arguments, with those of arrays as they lie in a space."""
    layouts = iter(space.layouts)
    return [
        k if type(k) is not str or k == "number" else next(layouts) + (" bool" if v.dtype is _bool else "")
        for k, v in zip(kinds, values)
    ]


_sum = Kernel(lambda xp, x, y: [x + y], least=1)


def add_into(x: Any, y: Any) -> bool:
    """x += y in several threads; False if nothing was done, because that would not be quicker than NumPy."""
    if x.size < LARGE or _threads == 1 or (y is not x and np.may_share_memory(x, y)):
        return False
    return _sum(x, y, into=x) is not None

"""Kernels written by hand for the CPU: what no pointwise formula gives, as loops of `kernels/cpu/*.cpp`.

An operation's formula says that there is one (`@compiled("softmax")`), and stays what defines the operation: it runs on
small arrays, other dtypes, other devices, without a compiler, and where a graph of the backward is made. The modules
of this package have for each such formula a function of the same name, which gets the same arrays; it gives None where
they are not for it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import native, numpy as host
from ..lookup import kernels
from ..parts import by_lines

SMALL = 1024  # elements below which NumPy's calls cost less than the way into a kernel

_ndarray, _f32, _f64 = np.ndarray, np.dtype(np.float32), np.dtype(np.float64)
_TYPES = {_f32: "float", _f64: "double"}

_modules: dict[str, Any] = sys.modules
_BACKENDS = __name__.rpartition(".")[0]
_CUPY = f"{_BACKENDS}.cupy"  # which is imported when a CUDA device is first used


def compiled(family: str, by: int = 0, lines: bool = False) -> Callable[[Callable], Callable]:
    """The decorator of a formula `(xp, ...)` for which the module `family` has a kernel: here, in `gpu`, or both.

    The argument at the position `by`, an array, or a list or tuple that starts with one, says where it is computed, and
    on the CPU whether the kernel is worth it. Kernels of `gpu` get `xp` as well. Without a kernel a formula of
    `lines`, which treats each line along an axis by itself, is computed by NumPy in parts.
    """

    def decorate(formula: Callable) -> Callable:
        @functools.cache
        def kernel(package: str) -> Callable:
            module = f"{_BACKENDS}.{package}.{family}"
            found = importlib.import_module(module) if importlib.util.find_spec(module) else None
            return getattr(found, formula.__name__.lstrip("_"), lambda *args: None)

        @functools.wraps(formula)
        def run(xp: Any, *args: Any) -> Any:
            first = args[by]
            if type(first) in (list, tuple):
                first = first[0]
            kind, result = type(first), None
            if kind is _ndarray:
                if xp is host and first.size >= SMALL and suitable(first.dtype):
                    result = kernel("cpu")(*args)
                    if result is None and lines:
                        return by_lines(formula, xp, *args)
            elif _CUPY in _modules and xp is _modules[_CUPY] and kind is xp.ndarray:
                result = kernel("gpu")(xp, *args)
            return formula(xp, *args) if result is None else result

        return run

    return decorate


@functools.cache
def _library(family: str, dtype: Any) -> ctypes.CDLL | None:
    """`kernels/cpu/<family>.cpp` for elements of a dtype; None if it cannot be compiled."""
    from .. import compiler

    return compiler.library(f"typedef {_TYPES[dtype]} T;\n{_text(f'{family}.cpp')}")


def _text(name: str) -> str:
    """A source, with the headers of its folder in place."""
    text = (kernels() / "cpu" / name).read_text(encoding="utf-8")
    return re.sub(r'#include "(.*)"\n', lambda header: _text(header[1]), text)


class Loop:
    """A function of `kernels/cpu/<family>.cpp`, compiled when it is first called.

    It is called with contiguous arrays or None (pointers), ints (ptrdiff_t) and floats (double), always in the same
    places; the number of threads and `share` follow by themselves.
    """

    def __init__(self, family: str, name: str) -> None:
        self.family, self.name = family, name
        self._functions: dict[Any, Any] = {}

    def function(self, dtype: Any) -> Any:
        """The function for elements of `dtype`; None if it cannot be compiled."""
        if dtype not in self._functions:
            library = _library(self.family, dtype)
            self._functions[dtype] = None if library is None else getattr(library, self.name)
        return self._functions[dtype]

    def __call__(self, dtype: Any, work: int, *args: Any) -> bool:
        """Run it for elements of `dtype`; `work`, about how many are read, says how many threads are worth it.

        False if there is no such function.
        """
        from .. import compiler

        function = self.function(dtype)
        if function is None:
            return False
        if function.argtypes is None:
            kinds = {int: ctypes.c_ssize_t, float: ctypes.c_double}
            function.restype = None
            function.argtypes = [*(kinds.get(type(a), ctypes.c_void_p) for a in args), ctypes.c_int, ctypes.c_void_p]
        threads = min(native.get_num_threads(), work // native.SHARE)
        helpers = compiler.share() if threads > 1 else None
        function(*[compiler.data(a) if type(a) is _ndarray else a for a in args], threads if helpers else 1, helpers)
        return True


def suitable(dtype: Any) -> bool:
    """Whether there are kernels for elements of a dtype."""
    return dtype is _f32 or dtype is _f64


def contiguous(x: Any, dtype: Any) -> Any:
    """The array as C++ reads it, in one piece; None if it is no array of the dtype."""
    if type(x) is not _ndarray or x.dtype is not dtype:
        return None
    return x if x.flags.c_contiguous and x.flags.aligned else np.array(x, order="C")

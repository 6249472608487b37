"""Compiled CPU kernels: expressions as C++, built by the system's compiler when first needed and kept on disk.

A library is named by the hash of its source, the compiler and the processor, and moved into the cache in one step, so
that processes can share it. Without a compiler, or with GRADCU_NATIVE=0, everything runs on NumPy. GRADCU_CACHE names
the folder (default ~/.cache/gradcu). How GCC is led to the C library's vector functions: see `expr.cpp`.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expr import NotPointwise, Symbol, Trace, kernel_source

SMALL = 8_192  # elements below which NumPy's calls cost less than the way into a kernel
PARALLEL = 131_072  # elements from which the work is shared among threads
FLAGS = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]
C_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}

_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_pool: concurrent.futures.ThreadPoolExecutor | None = None


def set_num_threads(n: int) -> None:
    """Share the work of large kernels among `n` threads."""
    global _threads, _pool
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads, _pool = n, None


def get_num_threads() -> int:
    """The number of threads that large kernels use."""
    return _threads


def _forget_threads() -> None:
    global _pool
    _pool = None  # a forked child has none of its parent's threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


@functools.cache
def compiler() -> tuple[str, str] | None:
    """The path and version of the C++ compiler; None, with one warning, if there is none."""
    if os.environ.get("GRADCU_NATIVE") == "0":
        return None
    path = shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("c++")
    if path is None:
        return None
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    return (path, done.stdout.split("\n")[0]) if done.returncode == 0 else None


@functools.cache
def _processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        return next(line for line in text.splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return platform.machine() + platform.processor()


@functools.cache
def _cache() -> pathlib.Path:
    """The folder of compiled kernels: the user's, or a temporary one where that cannot be written."""
    named = os.environ.get("GRADCU_CACHE")
    folder = pathlib.Path(named) if named else pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "gradcu"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return pathlib.Path(tempfile.mkdtemp(prefix="gradcu-"))


@functools.cache
def library(source: str) -> ctypes.CDLL | None:
    """The compiled and loaded source; None if it cannot be compiled."""
    found = compiler()
    if found is None:
        return None
    path, version = found
    key = hashlib.sha256("\n".join([source, version, *FLAGS, _processor()]).encode()).hexdigest()[:24]
    built = _cache() / f"{key}.so"
    if not built.exists() and not _build(path, source, built):
        return None
    try:
        return ctypes.CDLL(str(built))
    except OSError:
        return None


def _build(path: str, source: str, built: pathlib.Path) -> bool:
    with tempfile.TemporaryDirectory(dir=built.parent) as work:
        text, made = pathlib.Path(work) / "kernel.cpp", pathlib.Path(work) / "kernel.so"
        text.write_text(source)
        # with the C library's vector functions where it has them all, else without
        for more in (["-DVECTOR_MATH", "-Wl,--no-undefined", "-lmvec", "-lm"], ["-lm"]):
            done = subprocess.run([path, *FLAGS, str(text), "-o", str(made), *more], capture_output=True, text=True)
            if done.returncode == 0:
                os.replace(made, built)
                return True
    warnings.warn(
        f"{path} could not compile a kernel, which runs on NumPy instead (GRADCU_NATIVE=0 turns compiling off): "
        f"{done.stderr[:300]}",
        stacklevel=2,
    )
    return False


class Kernel:
    """Formulas over the same arrays as one compiled loop; compiled for each dtype and setting that is met."""

    def __init__(self, name: str, trace: Callable[[Trace, Sequence[Symbol], tuple], Sequence[Any]]) -> None:
        """`trace(xp, symbols, settings)` runs the formulas on symbols and gives the results."""
        self.name, self.trace = name, trace
        self._built: dict[tuple, Callable | None] = {}

    def __call__(self, arrays: Sequence[Any], settings: tuple = ()) -> list[Any] | None:
        """The results for contiguous arrays of one shape and dtype; None if that is not what they are."""
        first = arrays[0]
        dtype, shape = first.dtype, first.shape
        if dtype not in C_TYPES:
            return None
        for a in arrays:
            if type(a) is not np.ndarray or a.dtype != dtype or a.shape != shape or not a.flags.c_contiguous:
                return None
        try:
            key = (dtype, len(arrays), settings)
            if key not in self._built:
                self._built[key] = self._compile(dtype, len(arrays), settings)
        except TypeError:  # settings that cannot be hashed
            return None
        function = self._built[key]
        return None if function is None else function(arrays, shape, dtype, first.size)

    def source(self, dtype: Any, count: int, settings: tuple) -> tuple[str, int] | None:
        """The C++ text and the number of results; None if a formula is not pointwise, or too short to be worth it."""
        if dtype not in C_TYPES:
            return None
        xp = Trace(dtype)
        try:
            results = [xp.symbol(r) for r in self.trace(xp, [xp.input(f"a{i}") for i in range(count)], settings)]
        except (NotPointwise, TypeError, AttributeError, KeyError):
            return None
        if xp.steps() < 2:  # one step is one call of NumPy, which is as fast
            return None
        return kernel_source(xp, results, "kernel", C_TYPES[dtype]), len(results)

    def _compile(self, dtype: Any, count: int, settings: tuple) -> Callable | None:
        written = self.source(dtype, count, settings)
        loaded = None if written is None else library(written[0])
        if written is None or loaded is None:
            return None
        results = written[1]
        run = loaded.kernel
        run.restype = None
        run.argtypes = [ctypes.c_void_p] * (count + results) + [ctypes.c_ssize_t] * 2

        def function(arrays: Sequence[Any], shape: tuple, dtype: Any, size: int) -> list[Any]:
            outs = [np.empty(shape, dtype) for _ in range(results)]
            pointers = [a.ctypes.data for a in (*arrays, *outs)]
            share(lambda begin, end: run(*pointers, begin, end), size)
            return outs

        return function


def share(work: Callable[[int, int], Any], size: int) -> None:
    """Run `work(begin, end)` over all of `size`, in several threads if it is large."""
    global _pool
    if size < PARALLEL or _threads == 1:
        work(0, size)
        return
    if _pool is None:
        _pool = concurrent.futures.ThreadPoolExecutor(_threads - 1, thread_name_prefix="gradcu")
    bounds = [size * i // _threads for i in range(_threads + 1)]
    others = [_pool.submit(work, b, e) for b, e in zip(bounds[1:-1], bounds[2:], strict=True)]
    work(bounds[0], bounds[1])
    for other in others:
        other.result()

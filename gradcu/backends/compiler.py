"""The system's C++ compiler, and the folder of what it made.

A library is named by the hash of its source, the compiler, its flags and the processor, and moved into the folder in
one step: processes can share it. The folder is GRADCU_CACHE, or `gradcu` in the user's folder for caches. The compiler
is CXX, or the first of g++, c++ and clang++ that is found. This is imported when the first kernel is needed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..expr import ARGUMENTS, STRIDED, vectors_needed, vectors_probe
from . import native

LINK = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-Wl,--no-undefined"]
# without fused multiply-add, which rounds once less than NumPy does
FLAGS = "-O3 -std=c++17 -shared -fPIC -fopenmp-simd -fno-math-errno -fno-trapping-math -ffp-contract=off".split()
# without two things that GCC does at the cost of vector forms: to put a function that stands between two choices into a
# branch, and to make one function of a sine and a cosine
FLAGS += "-fno-tree-pre -fno-builtin-sin -fno-builtin-cos -fno-builtin-sinf -fno-builtin-cosf".split()

_one_at_a_time = threading.Lock()
_libraries: dict[str, ctypes.CDLL | None] = {}


def find() -> str | None:
    """The path of the compiler; None where there is none, or it is turned off by GRADCU_NATIVE=0."""
    if os.environ.get("GRADCU_NATIVE") == "0":
        return None
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "c++", "clang++"]
    return next(filter(None, map(shutil.which, candidates)), None)


@functools.cache
def identity(path: str) -> str:
    """What the compiler says that it is. Empty, with a warning, if it cannot be run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        said, code = done.stdout.split("\n")[0], done.returncode
    except OSError as error:
        said, code = str(error), 1
    if code:
        _give_up(path, said)
        return ""
    return said


_broken: set[str] = set()  # compilers that have failed: not tried again, nor complained of, in this process


def _give_up(path: str, why: str) -> None:
    """Warn once, and leave everything to NumPy."""
    _broken.add(path)
    warnings.warn(
        f"{path} could not compile a kernel, so that NumPy does the work, and takes longer: {why[:300]} "
        "(CXX names another compiler; GRADCU_NATIVE=0 turns compiling off)",
        stacklevel=2,
    )


@functools.cache
def _say_missing() -> None:
    """Note, once, that kernels would be faster."""
    named = os.environ.get("CXX")
    warnings.warn(
        f"{'CXX=' + named if named else 'a C++ compiler (g++, c++ or clang++)'} was not found: NumPy computes large "
        "pointwise operations, which takes a few times as long. Install g++, or set GRADCU_NATIVE=0 to leave it at "
        "that without this note.",
        stacklevel=2,
    )


@functools.cache
def processor() -> str:
    """What the compiler may see of the processor under -march=native."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        return "\n".join(
            sorted({line for line in text.splitlines() if line.startswith(("flags", "Features", "model"))})
        )
    except OSError:
        return platform.machine() + platform.processor()


@functools.cache
def folder() -> pathlib.Path:
    """Where compiled kernels are kept: the user's folder, or one for this process where that cannot be written."""
    try:
        named = os.environ.get("GRADCU_CACHE")
        if named:
            path = pathlib.Path(named)
        else:
            path = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gradcu"
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except (OSError, RuntimeError):  # there is no home, or it is read-only
        own = tempfile.mkdtemp(prefix="gradcu-")
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return pathlib.Path(own)


def library(source: str) -> ctypes.CDLL | None:
    """The source as a loaded library; None if it cannot be compiled."""
    with _one_at_a_time:
        if source not in _libraries:
            _libraries[source] = _library(source)
        return _libraries[source]


def _library(source: str) -> ctypes.CDLL | None:
    path = find()
    if not path:
        if os.environ.get("GRADCU_NATIVE") != "0":
            _say_missing()
        return None
    if not identity(path):
        return None
    try:
        level = vectors(path)
        if path in _broken or vectors_needed(source) > level:  # one by one such functions would be slower than NumPy's
            return None
        options = _options(level)
        built = _place(path, source, options)
        if built.exists():
            with contextlib.suppress(OSError):  # of another machine, or broken: make it anew
                return ctypes.CDLL(str(built))
        failed = _build(path, source, options, built)
        if not failed:
            return ctypes.CDLL(str(built))
    except OSError as error:  # a full disk, a folder from which nothing may be run
        failed = str(error)
    _give_up(path, failed)
    return None


def _options(level: int) -> list[str]:
    return [f"-DVECTORS={level}", *LINK, *(["-lmvec"] if level else []), "-lm", "-pthread"]


@functools.cache
def vectors(path: str) -> int:
    """Up to which level the C library has vector forms, and the compiler calls them: see `expr.cpp`."""
    failed = ""
    for level in (0,) if "clang" in identity(path) else (2, 1, 0):
        source, options = vectors_probe(level), _options(level)
        built = _place(path, source, options)
        failed = "" if built.exists() else _build(path, source, options, built)
        if not failed:
            return level
    _give_up(path, failed)
    return 0


@functools.cache
def _native(path: str) -> list[str]:
    """The flag for all that this processor can do, by the name that the compiler knows."""
    for flag in ("-march=native", "-mcpu=native"):
        command = [path, flag, "-x", "c++", "-E", "-"]
        if not subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode:
            return [flag]
    return []


def _place(path: str, source: str, options: Sequence[str]) -> pathlib.Path:
    """Where the library made of a source is, or would be."""
    text = "\n".join([source, path, identity(path), *FLAGS, *options, processor(), *platform.libc_ver()])
    return folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"


def _build(path: str, source: str, options: Sequence[str], built: pathlib.Path) -> str:
    """Compile, and move the result to its place; what the compiler says if it cannot, nothing if it can."""
    with tempfile.TemporaryDirectory(dir=built.parent, ignore_cleanup_errors=True) as work:
        text, made = pathlib.Path(work) / "kernel.cpp", pathlib.Path(work) / "kernel.so"
        text.write_text(source)
        command = [path, *FLAGS, *_native(path), str(text), "-o", str(made), *options]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode or not made.exists():
            return done.stderr or f"it ended with {done.returncode}"
        os.replace(made, built)
        return ""


def _data_of(array: Any) -> int:
    return array.ctypes.data


def _data_by_layout(array: Any) -> int:
    return ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value  # type: ignore[return-value]


# In CPython NumPy's arrays start with Python's own fields and the pointer to their data: to read that takes a fifth of
# the time of `array.ctypes`.
_example = np.empty(1)
data = _data_of
if sys.implementation.name == "cpython" and _data_by_layout(_example) == _example.ctypes.data:
    data = _data_by_layout


def caller(run: Any, dtype: Any, kinds: Sequence[Any], results: Sequence[Any]) -> Callable:
    """The Python function of a compiled kernel: `(values, example, space, into) -> list of results`.

    `example` is one of the arrays, and `space` where their elements are unless all are contiguous. `results` has for
    each its dtype, or the position of the argument that it is.
    """
    real = ctypes.c_double if dtype == np.float64 else ctypes.c_float
    types = {"number": ctypes.c_double, "uniform": real, "uniform bool": ctypes.c_bool}
    taken = [(i, k) for i, k in enumerate(kinds) if type(k) is str and k.partition(" ")[0] in ARGUMENTS]
    made = [r for r in results if type(r) is not int]
    straight = len(made) == len(results)
    strided = any(k.partition(" ")[0] in STRIDED for _, k in taken)
    run.restype = None
    run.argtypes = [types.get(k, ctypes.c_void_p) for _, k in taken]
    run.argtypes += [*[ctypes.c_void_p] * (len(made) + strided), ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p]
    empty = np.empty
    unaligned = dtype.itemsize - 1

    def function(values: Sequence[Any], example: Any, space: Any = None, into: Any = None) -> list[Any] | None:
        if space is not None:
            size, outs = space.size, [space.empty(d) for d in made]
        else:
            shape, size = example.shape, example.size
            outs = [into] if into is not None else []
            if into is None:
                outs = [empty(shape, d, "C" if example.flags.c_contiguous else "F") for d in made]
        given: list[Any] = []
        for i, kind in taken:
            v = values[i]
            if kind == "number":
                pass
            elif kind == "uniform" or kind == "uniform bool":
                v = float(v.item(0))
            else:
                mask = v.itemsize == 1
                v = data(v)
                if v & unaligned and not mask:  # which C++ does not allow
                    return None
            given.append(v)
        given += map(data, outs)
        if strided:
            given.append(space.table)
        threads = min(native.get_num_threads(), size // native.SHARE)
        helpers = share() if threads > 1 else None
        run(*given, size, threads if helpers else 1, helpers)
        if straight:
            return outs
        rest = iter(outs)
        whole = [next(rest) if type(r) is not int else values[r] for r in results]
        return whole if space is None else [r.reshape(space.shape) for r in whole]  # (1, n) for an argument of (n,)

    return function


@functools.cache
def share() -> int | None:
    """The address of the function that shares a loop among threads; None if it cannot be compiled."""
    loaded = library((pathlib.Path(__file__).parent / "threads.cpp").read_text())
    return None if loaded is None else ctypes.cast(loaded.share, ctypes.c_void_p).value

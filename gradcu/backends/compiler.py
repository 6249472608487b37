"""The system's C++ compiler, and the folder of what it made.

A library is named by the hash of its source, the compiler, its flags and the processor, and moved into the folder in
one step: processes can share it. The folder is GRADCU_CACHE, or `gradcu` in the user's folder for caches. The compiler
is CXX, or the first of g++, c++ and clang++ that is found. This is imported when the first kernel is needed.
"""

from __future__ import annotations

import atexit
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

from . import native

FLAGS = ["-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]
# as NumPy computes: without fused multiply-add, which rounds once less
FLAGS.append("-ffp-contract=off")
LINK = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-Wl,--no-undefined"]
#: what to try in turn, until one links: the C library's vector functions where it has all of them, some, or none
ATTEMPTS = [["-DVECTORS=2", "-lmvec", "-lm"], ["-DVECTORS=1", "-lmvec", "-lm"], ["-DVECTORS=0", "-lm"]]

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
    _broken.add(path)
    warnings.warn(
        f"{path} could not compile a kernel, so that NumPy does the work, and takes longer: {why[:300]} "
        "(CXX names another compiler; GRADCU_NATIVE=0 turns compiling off)",
        stacklevel=2,
    )


@functools.cache
def processor() -> str:
    """What the compiler may see of the processor under -march=native."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        return "\n".join(sorted({line for line in text.splitlines() if line.startswith(("flags", "Features", "model"))}))
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
    version = path and identity(path)
    if not path or not version or path in _broken:
        return None
    flags = FLAGS + _native(path)
    text = "\n".join([source, path, version, *flags, *LINK, processor(), " ".join(platform.libc_ver())])
    built = folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
    try:
        if built.exists():
            return ctypes.CDLL(str(built))
    except OSError:  # of another machine, or broken: make it anew
        pass
    try:
        return ctypes.CDLL(str(built)) if _build(path, flags, source, built) else None
    except OSError as error:
        _give_up(path, str(error))
        return None


@functools.cache
def _native(path: str) -> list[str]:
    """The flag for all that this processor can do, by the name that the compiler knows."""
    for flag in ("-march=native", "-mcpu=native"):
        done = subprocess.run(
            [path, flag, "-x", "c++", "-E", "-"], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode == 0:
            return [flag]
    return []


def _build(path: str, flags: Sequence[str], source: str, built: pathlib.Path) -> bool:
    """Compile, and move the result to its place; False, with a warning, if the compiler cannot."""
    with tempfile.TemporaryDirectory(dir=built.parent, ignore_cleanup_errors=True) as work:
        text, made = pathlib.Path(work) / "kernel.cpp", pathlib.Path(work) / "kernel.so"
        text.write_text(source)
        for attempt in ATTEMPTS:
            command = [path, *flags, *LINK, str(text), "-o", str(made), *attempt]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode == 0 and made.exists():
                os.replace(made, built)
                return True
    _give_up(path, done.stderr)
    return False


def caller(run: Any, dtype: Any, kinds: Sequence[Any], results: Sequence[Any]) -> Callable:
    """The Python function of a compiled kernel: `(values, example) -> list of results`.

    `results` has for each its dtype, or the position of the argument that it is.
    """
    real = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    types = {"array": ctypes.c_void_p, "uniform": real, "number": ctypes.c_double}
    taken = [(i, k) for i, k in enumerate(kinds) if isinstance(k, str) and k in types]
    made = [r for r in results if type(r) is not int]
    run.restype = None
    run.argtypes = [*(types[k] for _, k in taken), *[ctypes.c_void_p] * len(made), *[ctypes.c_ssize_t] * 2]
    empty, share = np.empty, native.share

    def function(values: Sequence[Any], example: Any) -> list[Any]:
        order = "C" if example.flags.c_contiguous else "F"
        outs = [empty(example.shape, d, order) for d in made]
        given: list[Any] = []
        for i, kind in taken:
            v = values[i]
            given.append(v.ctypes.data if kind == "array" else v.item(0) if kind == "uniform" else v)
        given += [o.ctypes.data for o in outs]
        share(lambda begin, end: run(*given, begin, end), example.size)
        rest = iter(outs)
        return [values[r] if type(r) is int else next(rest) for r in results]

    return function

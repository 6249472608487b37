"""Kernels for CUDA: how those of `kernels/*.cu` are called, in one module for each family.

An operation's formula stays what defines it. The modules of this package have for some formulas a function of the same
name that computes the same in one launch or a few. It gets the namespace `xp` of CUDA devices, then raw arrays, and
gives None where they are not for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

THREADS = 256  # of a block; kernels/common.cuh knows the same number
WARP = 32
BLOCKS = 1024  # that occupy a device

#: how CUDA C++ calls a dtype
C_TYPES = {
    "float16": "__half", "bfloat16": "__nv_bfloat16", "float32": "float", "float64": "double",
    "int8": "signed char", "uint8": "unsigned char", "int16": "short", "int32": "int", "int64": "long long",
}  # fmt: skip
FLOATS = ("float16", "bfloat16", "float32", "float64")


def floats_only(function: Callable) -> Callable:
    """The function for arrays of floating-point numbers; it gives None where the first is of others, 0-d or empty."""

    @functools.wraps(function)
    def checked(xp: Any, x: Any, *rest: Any) -> Any:
        return function(xp, x, *rest) if x.size and x.ndim and x.dtype.name in FLOATS else None

    return checked


def wide(dtype: Any) -> str:
    """The dtype in which kernels compute: float32 for half precision."""
    return "float64" if dtype.name == "float64" else "float32"


def per_element(xp: Any, family: str, function: str, count: int, *args: Any) -> None:
    """Launch a kernel, named as in `kernels/<family>.cu`, with one thread for each of `count` elements."""
    xp.kernel(family, function)((-(-count // THREADS),), (THREADS,), tuple(map(_argument, args)))


def pack(n: int, *arrays: Any) -> int:
    """How many elements a thread takes at a time from contiguous arrays of one dtype: 16 bytes of them, or one.

    One, unless runs of n elements, of which the arrays are made, begin at multiples of 16 bytes.
    """
    several = 16 // arrays[0].itemsize
    return several if n % several == 0 and all(a is None or a.data.ptr % 16 == 0 for a in arrays) else 1


def per_line(xp: Any, family: str, function: str, lines: int, n: int, along: bool, *args: Any, parts: int = 1) -> None:
    """Launch a kernel with a team of threads for each line of n packs; `along`: those lie side by side in memory.

    With `parts` lines are cut into so many, each with a team of its own.
    """
    if along:
        size = min(THREADS, power_of_two(n))
        teams = max(1, min(THREADS // 2, max(WARP, power_of_two(lines))) // size)
        block = (size, teams)
    else:
        teams = min(WARP, power_of_two(lines))
        block = (teams, min(THREADS // teams, power_of_two(n)))
    xp.kernel(family, function)((-(-lines // teams), parts), block, tuple(map(_argument, args)))


def cut(n: int, blocks: int, least: int, most: int = BLOCKS) -> tuple[int, int]:
    """How long parts of lines of n elements are, and how many they are of a line, so that a device is occupied.

    Lines that are not cut take so many `blocks`; a part has at least `least` elements, and there are at most `most`.
    """
    length = -(-n // max(1, min(most, BLOCKS // blocks, n // least)))
    return length, -(-n // length)


def power_of_two(n: int) -> int:
    """The least power of two that is no less than n."""
    return 1 << (n - 1).bit_length()


def instance(function: str, *types: Any) -> str:
    """The instance of a kernel's template for types: dtypes, or names of the source's own."""
    return f"{function}<{', '.join(t if isinstance(t, str) else C_TYPES[t.name] for t in types)}>"


def _argument(value: Any) -> Any:
    """A kernel's argument: integers are 64 bits wide there, None is no array."""
    if type(value) is int:
        return np.int64(value)
    return np.int64(0) if value is None else value

"""Formulas over large arrays by NumPy, part by part: what a part needs stays in the cache, and threads share the parts.

Kernels written by hand do without this; it is for where they cannot be compiled.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from . import native

LEAST = 131_072  # elements up to which parts do no better
SHORT = 256  # elements that lie side by side in a part, below which it is no use


def in_parts(
    compute: Callable[..., Sequence[Any]],
    axes: Collection[int],
    arrays: Sequence[Any],
    sums: Mapping[int, Collection[int]] | None = None,
) -> Any:
    """`compute(*arrays)`, for parts of large arrays along the first axis that is not among `axes`.

    The first array has the shape of all; the others, or None, have as many dimensions, and are cut where they are as
    long. The results of the parts are put together; those that are sums over that axis are added up, where `sums` has
    the axes of each result that is a sum.
    """
    if any(type(a) is not np.ndarray for a in arrays if a is not None) or arrays[0].size <= LEAST:
        return compute(*arrays)
    from ..expr import blocks

    shape, size = arrays[0].shape, arrays[0].size
    cut = next((i for i, n in enumerate(shape) if i not in axes and n > 1), len(shape))
    threads = max(1, min(native.get_num_threads(), size // blocks.SHARED))
    count = math.ceil(size / (blocks.SHARED if threads > 1 else blocks.BLOCK) / threads) * threads
    length = math.ceil(shape[cut] / count) if cut < len(shape) else 0
    if length * math.prod(shape[cut + 1 :]) < SHORT:
        return compute(*arrays)
    lead, n = (slice(None),) * cut, shape[cut]
    totals = [i for i, over in (sums or {}).items() if cut in over]
    whole: list[Any] = []
    added: dict[int, list[Any]] = {}
    lock = threading.Lock()

    def work(starts: Sequence[int]) -> None:
        for start in starts:
            part = (*lead, slice(start, start + length))
            with np.errstate(all="ignore"):
                found = compute(*(a[part] if a is not None and a.shape[cut] == n else a for a in arrays))
            with lock:
                if not whole:
                    whole.extend(
                        None
                        if r is None or i in totals
                        else np.empty((*r.shape[:cut], n, *r.shape[cut + 1 :]), r.dtype)
                        for i, r in enumerate(found)
                    )
            added[start] = [found[i] for i in totals]
            for w, r in zip(whole, found):
                if w is not None:
                    w[part] = r

    blocks.share(work, range(0, n, length), threads)
    for i, *parts in zip(totals, *(added[start] for start in sorted(added))):
        whole[i] = None if parts[0] is None else functools.reduce(np.add, parts)
    return whole


def by_lines(formula: Callable, xp: Any, *args: Any) -> Any:
    """A formula `(xp, *arrays, axis, *settings)` that treats each line along an axis by itself, computed in parts."""
    count = next(i for i, a in enumerate(args) if type(a) is int)
    arrays, settings = args[:count], args[count:]
    axes = {settings[0] % max(1, arrays[0].ndim)}
    return in_parts(lambda *parts: [formula(xp, *parts, *settings)], axes, arrays)[0]

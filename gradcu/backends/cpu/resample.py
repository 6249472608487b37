"""Resizing and adaptive averages: bands along dimensions."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import Loop, contiguous

_loop = Loop("resample", "resample")


@functools.lru_cache(256)
def _tables(band: Any, dtype: Any) -> tuple[Any, Any]:
    return band.starts.astype(np.int32), np.array(band.weights.T, dtype, order="C")


def _work(dimension: tuple[int, Any]) -> tuple[float, int]:
    """What shrinks most goes first; the last axis, where rows are slower to make than columns, where there is least."""
    axis, band = dimension
    growth = band.results / band.elements
    return growth, axis if growth < 1 else -axis


def resample(x: Any, bands: Any) -> Any:
    """Each of the last dimensions combined as its `Band` says, or left as it is for None."""
    dtype, first = x.dtype, x.ndim - len(bands)
    there = [(axis, band) for axis, band in enumerate(bands, start=first) if band is not None]
    for axis, band in sorted(there, key=_work):
        shape = x.shape
        y = np.empty((*shape[:axis], band.results, *shape[axis + 1 :]), dtype)
        starts, weights = _tables(band, dtype)
        sizes = math.prod(shape[:axis]), shape[axis], band.results, math.prod(shape[axis + 1 :]), len(weights)
        if not _loop(dtype, max(x.size, y.size), contiguous(x, dtype), y, starts, weights, *sizes):
            return None
        x = y
    return x if there else None

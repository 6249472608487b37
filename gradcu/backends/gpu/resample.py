"""Resizing and adaptive averages: `kernels/resample.cu`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import floats_only, instance, per_element, wide

_AXIS = np.dtype(
    [("starts", "u8"), ("weights", "u8"), ("width", "i4"), ("elements", "i4"), ("results", "i4")], align=True
)
_MANY = 64  # elements of a result from which on one dimension after the other is less work


@functools.lru_cache(256)
def _tables(xp: Any, band: Any, dtype: str, device: int) -> tuple[Any, Any]:
    """The band's numbers in the memory of a device."""
    return xp.asarray(band.starts, dtype="int32"), xp.asarray(band.weights, dtype=dtype)


def _axis(xp: Any, x: Any, band: Any, n: int) -> Any:
    """The struct `Axis`."""
    if band is None:
        return np.array((0, 0, 1, n, n), _AXIS)[()]
    starts, weights = _tables(xp, band, wide(x.dtype), x.device.id)
    return np.array((starts.data.ptr, weights.data.ptr, weights.shape[1], n, band.results), _AXIS)[()]


@floats_only
def resample(xp: Any, x: Any, bands: Any) -> Any:
    """Each of the last dimensions combined as its `Band` says, or left as it is for None."""
    there = [i for i, band in enumerate(bands) if band is not None]
    if not there or len(bands) > 3:
        return None
    if len(there) > 1 and math.prod(bands[i].weights.shape[1] for i in there) > _MANY:
        result = x.astype(wide(x.dtype), copy=False)
        for i in sorted(there, key=lambda i: bands[i].results / bands[i].elements):
            result = resample(xp, result, tuple(band if i == j else None for j, band in enumerate(bands)))
        return result.astype(x.dtype, copy=False)
    x, d = xp.ascontiguousarray(x), len(bands)
    size = x.shape[-d:]
    out = tuple(n if band is None else band.results for band, n in zip(bands, size))
    y = xp.empty((*x.shape[:-d], *out), dtype=x.dtype)
    axes = [_axis(xp, x, band, n) for band, n in zip((None,) * (3 - d) + tuple(bands), (1,) * (3 - d) + size)]
    per_element(xp, "resample", instance("resample", x.dtype), y.size, x, y, *axes, y.size)
    return y

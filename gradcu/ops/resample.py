"""Linear maps along dimensions whose matrices are bands: what resizing and adaptive averaging are made of."""

from __future__ import annotations

import functools
from typing import Any

from .. import backends
from ..backends.cpu import compiled
from ..graph.op import Primitive


class Band:
    """A matrix (results, elements) of which each row has its numbers side by side.

    Row o has the numbers `weights[o]` (of the host, float64) from column `starts[o]` on, and zeros elsewhere.
    """

    def __init__(self, elements: int, columns: Any, weights: Any) -> None:
        """Row o has in columns[o, k] the number weights[o, k]; those of one column are added up."""
        host = backends.host
        starts = columns.min(axis=1)
        width = int((columns.max(axis=1) - starts).max()) + 1
        self.elements, self.results = elements, len(columns)
        self.starts = host.minimum(starts, elements - width)  # so that all of a row lies inside
        self.weights = host.zeros((self.results, width))
        host.add.at(self.weights, (host.arange(self.results)[:, None], columns - self.starts[:, None]), weights)

    @functools.cached_property
    def transposed(self) -> Band:
        """The transposed matrix: starts rise from row to row, so its rows have their numbers side by side, too."""
        host = backends.host
        row, k = host.nonzero(self.weights)
        element = self.starts[row] + k
        first, last = host.full(self.elements, self.results - 1), host.zeros(self.elements, dtype="int64")
        host.minimum.at(first, element, row)
        host.maximum.at(last, element, row)
        width = max(int((last - first).max()) + 1, 1)
        weights = host.zeros((self.elements, width))
        weights[element, row - first[element]] = self.weights[row, k]
        return Band(self.results, host.minimum(first[:, None] + host.arange(width), self.results - 1), weights)


Bands = tuple["Band | None", ...]


def even_windows(n: int, out: int) -> tuple[Any, Any]:
    """Where `out` windows that cover n elements evenly start, and where they end."""
    at = backends.host.arange(out)
    return at * n // out, -(-(at + 1) * n // out)


@functools.lru_cache(256)
def averaging(n: int, out: int) -> Band:
    """The mean of n elements over each of `out` windows that cover them evenly."""
    start, end = (bound[:, None] for bound in even_windows(n, out))
    seen = start + backends.host.arange(int((end - start).max()))
    return Band(n, backends.host.minimum(seen, n - 1), (seen < end) / (end - start))


@functools.lru_cache(256)
def nearest(n: int, out: int, step: float, exact: bool) -> Band:
    """Of n elements the one below each of `out` points, `step` apart; `exact`: the points are half a step on."""
    host = backends.host
    at = ((host.arange(out) + (0.5 if exact else 0.0)) * host.float32(step)).astype("int64")
    return Band(n, host.minimum(at, n - 1)[:, None], host.ones((out, 1)))


def _cubic(x: Any, a: float) -> Any:
    """Keys' kernel (1981) with parameter a, zero from distance 2 on."""
    host, x = backends.host, abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return host.where(x < 1, near, host.where(x < 2, far, 0.0))


def _triangle(x: Any, a: float) -> Any:
    return backends.host.maximum(1 - abs(x), 0.0)


@functools.lru_cache(256)
def interpolating(n: int, out: int, step: float, cubic: bool, align: bool, antialias: bool) -> Band:
    """n elements interpolated at `out` points, `step` elements apart."""
    host = backends.host
    at = host.arange(out)[:, None]
    kernel, reach, a = (_cubic, 2, -0.5 if antialias else -0.75) if cubic else (_triangle, 1, 0.0)
    if antialias:
        wide = max(step, 1.0)
        center = (at + 0.5) * step
        low = host.maximum((center - reach * wide + 0.5).astype(int), 0)
        high = host.minimum((center + reach * wide + 0.5).astype(int), n)
        seen = low + host.arange(int((high - low).max()))
        weights = kernel((seen + 0.5 - center) / wide, a) * (seen < high)
        return Band(n, host.minimum(seen, n - 1), weights / weights.sum(axis=1, keepdims=True))
    source = at * step if align else (at + 0.5) * step - 0.5
    if not cubic and not align:
        source = host.maximum(source, 0.0)
    base = host.floor(source)
    seen = base + host.arange(1 - reach, reach + 1)
    return Band(n, host.clip(seen, 0, n - 1).astype(int), kernel(source - seen, a))


@compiled("resample")
def _resample(xp: Any, x: Any, bands: Bands) -> Any:
    d = x.dtype
    if d.itemsize == 2 and d.kind in "fV":
        return xp.astype(xp.resample(xp.astype(x, "float32"), bands), d)
    for axis, band in enumerate(bands, start=x.ndim - len(bands)):
        if band is not None:
            x = _along(xp, x, axis, band)
    return x


def _along(xp: Any, x: Any, axis: int, band: Band) -> Any:
    def elements(k: int) -> Any:
        return x[(slice(None),) * axis + (xp.asarray(band.starts + k),)]

    host, width = backends.host, band.weights.shape[1]
    if width == 1 and (band.weights == 1).all():
        return elements(0)
    total: Any = 0
    for k in range(width):
        weights = band.weights[:, k].reshape(-1, *(1,) * (x.ndim - axis - 1))
        term = elements(k) * xp.asarray(weights, dtype=x.real.dtype)
        if not weights.all():  # zero times infinity is nothing here
            term = xp.where(xp.asarray(host.broadcast_to(weights != 0, term.shape)), term, 0)
        total = total + term
    return total


def _samples(make: Any) -> list[tuple]:
    return [
        (make(2, 3, 4), (nearest(3, 5, 0.6, False), None)),
        (make(2, 5), (interpolating(5, 3, 5 / 3, False, False, True),)),
        (make(3, 2, 4), (averaging(3, 2), interpolating(2, 5, 0.4, False, False, False), nearest(4, 2, 2.0, True))),
        (make(1, 4, 3), (interpolating(4, 7, 0.5, True, True, False), interpolating(3, 3, 0.7, True, False, False))),
    ]


resample = Primitive(
    "resample",
    _resample,
    {"x": lambda xp, g, bands: xp.resample(g, tuple(band and band.transposed for band in bands))},
    kind="linear",
    node="UpsampleBackward0",
    samples=_samples,
)
"""Each of the last dimensions times the matrix of a `Band`, or as it is for None; the adjoint is another such map."""

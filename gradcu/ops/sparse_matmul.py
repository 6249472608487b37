"""The product of a sparse matrix and a dense one, for `gradcu.sparse`."""

from __future__ import annotations

import functools
from typing import Any

from .. import backends
from ..backends.rows import multiply
from ..graph.op import Primitive


class Pattern:
    """Where the elements of a sparse matrix are: `rows` and `columns`, raw arrays in any order, and its shape."""

    def __init__(self, rows: Any, columns: Any, shape: tuple[int, int]) -> None:
        self.rows, self.columns, self.shape = rows, columns, shape

    @functools.cached_property
    def transposed(self) -> Pattern:
        """That of the transposed matrix, the elements in the same order."""
        return Pattern(self.columns, self.rows, self.shape[::-1])

    @functools.cached_property
    def by_row(self) -> tuple[Any, Any, Any]:
        """The order in which elements of one row are neighbours, their columns so, and where each row starts and ends.

        For the CPU alone.
        """
        xp = backends.host
        if self.columns.size and not 0 <= self.columns.min() <= self.columns.max() < self.shape[1]:
            raise IndexError(f"sparse matrix: a column index lies outside of the shape {self.shape}")
        order = self.rows.argsort(kind="stable")
        ends = xp.zeros(self.shape[0] + 1, dtype=xp.int64)
        xp.cumsum(xp.bincount(self.rows, minlength=self.shape[0]), out=ends[1:])
        return order, self.columns[order], ends


def _spmm(xp: Any, x: Any, y: Any, pattern: Pattern) -> Any:
    if xp is backends.host:
        return multiply(x, y, *pattern.by_row)
    out = xp.zeros((pattern.shape[0], y.shape[1]), dtype=y.dtype)
    xp.combine_at(out, pattern.rows, x[:, None] * xp.take(y, pattern.columns, axis=0))
    return out


def _pattern(shape: tuple[int, int] = (2, 4)) -> Pattern:
    xp = backends.host
    return Pattern(xp.array([1, 0, 1]), xp.array([3, 2, 0]), shape)


#: of the elements x of a sparse matrix, whose places are in `pattern`, and a dense matrix y
spmm = Primitive(
    "spmm",
    _spmm,
    {
        "x": lambda xp, g, y, pattern: xp.sum(
            xp.take_rows(g, pattern.rows, None, False) * xp.take_rows(y, pattern.columns, None, False), axis=-1
        ),
        "y": lambda xp, g, x, pattern: xp.spmm(x, g, pattern.transposed),
    },
    inputs=2,
    kind="multilinear",
    node="SparseAddmmBackward0",
    samples=lambda make: [(make(3), make(4, 3), _pattern()), (make(3), make(4, 1), _pattern((5, 4)))],
)

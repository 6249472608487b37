"""Indexing."""

from __future__ import annotations

from typing import Any

from ..graph.op import Primitive
from ..tensor import Tensor


def _place(xp: Any, x: Any, shape: tuple, index: Any) -> Any:
    z = xp.zeros(shape, dtype=x.dtype)
    z[index] = x
    return z


place = Primitive(
    "place_at",
    lambda xp, x, shape, index: _place(xp, x, shape, index),
    {"x": lambda xp, g, index: xp.getitem(g, index)},
    kind="linear",
    node="SliceBackward0",
)
getitem = Primitive(
    "getitem",
    lambda xp, x, index: x[index],
    {"x": lambda xp, g, x_shape, index: xp.place_at(g, x_shape, index)},
    kind="linear",
    node="SelectBackward0",
    view=True,
)

Tensor.__getitem__ = lambda self, index: getitem.record((self,), (index,))  # type: ignore[attr-defined]

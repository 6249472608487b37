"""Matrix products."""

from __future__ import annotations

from typing import Any

from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose
from .shape import unbroadcast


def _vjp_x(xp: Any, g: Any, y: Any, x_shape: tuple) -> Any:
    return unbroadcast(xp, xp.matmul(g, xp.matrix_transpose(y)), x_shape)


def _vjp_y(xp: Any, g: Any, x: Any, y_shape: tuple) -> Any:
    return unbroadcast(xp, xp.matmul(xp.matrix_transpose(x), g), y_shape)


matmul_ = Primitive(
    "matmul",
    lambda xp, x, y: xp.matmul(x, y),
    {"x": _vjp_x, "y": _vjp_y},
    inputs=2,
    node="MmBackward0",
)


@expose()
def matmul(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """The matrix product, batched over leading dimensions; vectors are rows on the left and columns on the right."""
    return matmul_.record((input, other))

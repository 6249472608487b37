"""Padding: layers that widen the last one, two or three dimensions by the same or by given amounts on each side."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .conv import per_dim
from .module import Module


class _Pad(Module):
    dims: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = per_dim(padding, 2 * self.dims)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


def _family(base: type[_Pad], name: str, text: str, **more: Any) -> list[Any]:
    """The layers for one, two and three dimensions."""
    shapes = ("(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)")
    return [
        type(
            f"{name}{n}d",
            (base,),
            {"__doc__": f"{shape} widened {text}.", "__module__": __name__, "dims": n, **more},
        )
        for n, shape in enumerate(shapes, 1)
    ]


ConstantPad1d, ConstantPad2d, ConstantPad3d = _family(_ConstantPad, "ConstantPad", "with a constant")
ZeroPad1d, ZeroPad2d, ZeroPad3d = _family(_Pad, "ZeroPad", "with zeros", value=0.0)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _family(
    _Pad, "ReflectionPad", "with its reflection at the edge", mode="reflect"
)
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _family(
    _Pad, "ReplicationPad", "by repeating its edge", mode="replicate"
)
CircularPad1d, CircularPad2d, CircularPad3d = _family(
    _Pad, "CircularPad", "with what lies at the other end", mode="circular"
)

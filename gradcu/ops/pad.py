"""Padding: by a constant, or by what is at the edge, mirrored or continued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backends
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .creation import number, scalar
from .expose import expose
from .gather import index_select_


def _padded(xp: Any, x: Any, pads: tuple[tuple[int, int], ...], value: Any) -> Any:
    """Negative pads cut off."""
    z = xp.full(tuple(n + a + b for n, (a, b) in zip(x.shape, pads)), value, dtype=x.dtype)
    inner = tuple(slice(max(a, 0), n + a + b - max(b, 0)) for n, (a, b) in zip(x.shape, pads))
    z[inner] = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pads))]
    return z


constant_pad = Primitive(
    "constant_pad",
    _padded,
    {"x": lambda xp, g, pads: xp.constant_pad(g, tuple((-a, -b) for a, b in pads), 0)},
    node="ConstantPadNdBackward0",
    samples=lambda make: [
        (make(2, 3), ((1, 0), (0, 2)), 0),
        (make(2, 3), ((-1, 1), (2, -2)), 1.5),
        (make(3), ((0, 0),), 0),
    ],
)


def _pairs(input: Tensor, pad: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Pads before and after for each dimension; PyTorch lists them from the last dimension on."""
    shape = input._array.shape
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * len(shape):
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. Pad length is "
            f"{len(pad)} while the input has {len(shape)} dimensions."
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    pairs = [(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1]
    for axis, (n, (a, b)) in enumerate(zip(shape, pairs)):
        if n + a + b < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {a} and {b} resulted in a negative output size, which is "
                f"invalid. Check dimension {axis} of your input."
            )
    return tuple(pairs)


@expose()
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """The tensor with `value` around it: `pad` has the numbers before and after the last dimension, then the last but
    one, and so on. Negative numbers cut off. Raises RuntimeError if a length would be negative.
    """
    pairs = _pairs(input, pad)
    value = number(scalar(value, "constant_pad_nd", "value", 3), input._array.dtype)
    return constant_pad.record((input,), (pairs, value))


def _source(xp: Any, n: int, before: int, after: int, mode: str) -> Any:
    """Which element of a dimension of length n each of the padded one repeats."""
    i = xp.arange(-before, n + after)
    if mode == "replicate":
        return xp.clip(i, 0, n - 1)
    if mode == "circular":
        first = max(-before, 0)  # what is cut off takes no part in the circle
        return (i - first) % (n - first - max(-after, 0)) + first
    return n - 1 - abs(n - 1 - abs(i))


@expose(function=False, method=False, into="nn.functional")
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions; `pad` lists the numbers before and after each, from the last dimension on.

    mode: "constant" (with `value`), "reflect" (mirrored at the edge element), "replicate" (the edge element),
    "circular" (continued from the other end). Raises RuntimeError or NotImplementedError where that is not possible.

    >>> pad(tensor([1, 2]), (1, 1))
    tensor([0, 1, 2, 0])
    """
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    ndim = input._array.ndim
    if len(pad) not in (2, 4, 6) or ndim - len(pad) // 2 not in (1, 2):
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    pairs = _pairs(input, pad)
    xp = backends.namespaces[type(input._array)]
    for axis, (before, after) in enumerate(pairs):
        n = input._array.shape[axis]
        if not before and not after:
            continue
        if mode == "reflect" and (before >= n or after >= n):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {axis} of input {list(input._array.shape)}"
            )
        if mode == "circular" and (before > n or after > n):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if n == 0:
            raise RuntimeError(f"Expected a non-empty dimension {axis} to pad, but got {list(input._array.shape)}")
        input = index_select_.record((input, from_array(_source(xp, n, before, after, mode))), (axis,))
    return input

"""Complex numbers: their parts, conjugates and angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..graph.op import Primitive
from ..tensor import Tensor
from .expose import expose
from .pointwise import Elementwise


def _samples(make: Any) -> list[tuple]:
    return [(make(2, 3),), (make(),), (make(0, 2),)]


real_ = Primitive(
    "real",
    lambda xp, x: x.real,
    {"x": lambda xp, g, x_dtype: xp.astype(g, x_dtype)},
    kind="linear",
    node="SelectBackward0",
    holomorphic=False,
    view=True,
    samples=_samples,
)
imag_ = Primitive(
    "imag",
    lambda xp, x: x.imag,
    {"x": lambda xp, g, x_dtype: g * 1j if x_dtype.kind == "c" else xp.zeros_like(g)},
    kind="linear",
    node="SelectBackward0",
    holomorphic=False,
    view=True,
    samples=_samples,
)
conj_ = Elementwise("conj", "conj", lambda xp, g: xp.conj(g), holomorphic=False)


def _angle(xp: Any, x: Any) -> Any:
    """Of real numbers 0 or pi."""
    return xp.angle(x) if x.dtype.kind == "c" else xp.where(x < 0, math.pi, xp.where(x == x, 0, x))


def _angle_x(xp: Any, g: Any, x: Any, x_dtype: Any) -> Any:
    if x_dtype.kind != "c":
        return xp.zeros_like(g)
    length = abs(x)
    return g * (1j * x / xp.where(length == 0, 1, length * length))


angle_ = Elementwise("angle", _angle, _angle_x, result="float", holomorphic=False, domain=(0.1, 3.0))


def _complex(xp: Any, x: Any, y: Any) -> Any:
    z = xp.empty(xp.broadcast_shapes(x.shape, y.shape), dtype=xp.result_type(x.dtype, xp.complex64))
    z.real, z.imag = x, y
    return z


complex_ = Elementwise(
    "complex", _complex, lambda xp, g: xp.real(g), lambda xp, g: xp.imag(g), holomorphic=False, domain=(1.0, 3.0)
)


def _parts(xp: Any, x: Any) -> Any:
    """As an array of reals with one axis more. A view, whatever the strides."""
    x = xp.asarray(x)  # a NumPy scalar has no memory to look at
    return xp.with_strides(x.real, (*x.shape, 2), (*x.strides, x.itemsize // 2))


as_real = Primitive(
    "view_as_real",
    _parts,
    {"x": lambda xp, g: g[..., 0] + g[..., 1] * 1j},
    kind="linear",
    holomorphic=False,
    view=True,
    samples=lambda make: [(make(2, 3) * (1 + 0.5j),), (make() * 1j,)],
)


def _pairs(xp: Any, x: Any) -> Any:
    """As complex numbers: a view if each pair lies together."""
    if x.size and x.strides[-1] != x.itemsize:
        x = xp.copy(x)
    return x.view(xp.result_type(x.dtype, xp.complex64))[..., 0]


as_complex = Primitive(
    "view_as_complex",
    _pairs,
    {"x": lambda xp, g: xp.view_as_real(g)},
    kind="linear",
    holomorphic=False,
    view="maybe",
    samples=lambda make: [(make(2, 3, 2),), (make(2),)],
)


def _only_complex(input: Tensor, name: str) -> None:
    if not input.dtype.is_complex:
        raise RuntimeError(f"{name} is not implemented for tensors with non-complex dtypes.")


@expose(method=False)
def real(input: Tensor) -> Tensor:
    """The real part, as a view; real tensors are returned as they are."""
    return real_.record((input,)) if input.dtype.is_complex else input


@expose(method=False)
def imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view. Raises RuntimeError for real tensors."""
    _only_complex(input, "imag")
    return imag_.record((input,))


def _attribute(part: Callable[[Tensor], Tensor]) -> property:
    def put(self: Tensor, value: Any) -> None:
        part(self).copy_(value)

    return property(part, put, doc=part.__doc__)


for _part in (real, imag):
    setattr(Tensor, _part.__name__, _attribute(_part))


@expose()
def view_as_real(input: Tensor) -> Tensor:
    """A view whose last dimension, of length 2, holds the two parts. Raises RuntimeError for real tensors."""
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return as_real.record((input,))


@expose()
def view_as_complex(input: Tensor) -> Tensor:
    """A complex view of pairs of reals, which are the last dimension.

    Raises RuntimeError unless that dimension has length 2 and lies densely, and the others keep pairs whole.
    """
    a = input._array
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{input.dtype}"
        )
    if not a.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if a.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if a.size and a.strides[-1] != a.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % (2 * a.itemsize) for s in a.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return as_complex.record((input,))


@expose(method=False)
def view_as_real_copy(input: Tensor) -> Tensor:
    """`view_as_real`, copied."""
    return view_as_real(input).clone()


@expose(method=False)
def view_as_complex_copy(input: Tensor) -> Tensor:
    """`view_as_complex`, copied."""
    return view_as_complex(input).clone()


@expose()
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real tensors are returned as they are."""
    return conj_.record((input,)) if input.dtype.is_complex else input


@expose(inplace=True, out="same")
def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate, copied."""
    return conj(input)


@expose()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugation is never put off here."""
    return input


@expose()
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negation is never put off here."""
    return input


@expose(out=True)
def angle(input: Tensor) -> Tensor:
    """The angle to the positive real axis, in [-pi, pi]: for real numbers 0 or pi."""
    return angle_.apply((input,))


@expose(method=False, out="same", name="complex")
def complex_of(real: Tensor, imag: Tensor) -> Tensor:
    """The complex tensor of these parts.

    Raises RuntimeError unless both have the same dtype, which is float32 or float64.
    """
    for name, t in (("real", real), ("imag", imag)):
        if not isinstance(t, Tensor):
            raise TypeError(f"complex(): argument '{name}' must be Tensor, not {type(t).__name__}")
    if real.dtype.category != 2 or imag.dtype.category != 2:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {real.dtype.type_name} and "
            f"{imag.dtype.type_name}"
        )
    if real.dtype is not imag.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real.dtype.type_name} but got scalar type {imag.dtype.type_name} for "
            "second argument"
        )
    return complex_.apply((real, imag))


@expose(method=False, out="same")
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """The complex tensor with these lengths and angles. Raises RuntimeError unless both have one floating dtype."""
    for name, t in (("abs", abs), ("angle", angle)):
        if not isinstance(t, Tensor):
            raise TypeError(f"polar(): argument '{name}' must be Tensor, not {type(t).__name__}")
    if abs.dtype is not angle.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {abs.dtype.type_name} but got scalar type {angle.dtype.type_name} for "
            "second argument"
        )
    return complex_of(abs * angle.cos(), abs * angle.sin())

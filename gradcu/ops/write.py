"""Writing into tensors: fill_, zero_, copy_."""

from __future__ import annotations

from typing import Any

from .. import backends
from ..autograd.forward import tangent_of
from ..graph.modes import state
from ..graph.op import Primitive
from ..graph.views import changed, check_inplace
from ..tensor import Tensor, edge_of
from .convert import _cast_back as cast_back
from .creation import number, scalar
from .expose import expose
from .inplace import inplace
from .shape import unbroadcast

zeros_like = Primitive(
    "zeros_like",
    lambda xp, x: xp.zeros_like(x),
    samples=lambda make: [(make(2, 3),), (make(),)],
)


def _no_gradient(xp: Any, g: Any) -> Any:
    return xp.zeros_like(g)


def _in_place_of(xp: Any, x: Any, y: Any) -> Any:
    """What `y` becomes when it is written over `x`: cast and broadcast, without a copy where it can be."""
    y = xp.real(y) if y.dtype.kind == "c" and x.dtype.kind != "c" else y
    return xp.broadcast_to(xp.astype(y, x.dtype, copy=False), x.shape)


fill_number = Primitive(
    "fill",
    lambda xp, x, value: xp.broadcast_to(xp.asarray(value, dtype=x.dtype), x.shape),
    {"x": _no_gradient},
    node="FillBackward0",
    samples=lambda make: [(make(2, 3), 1.5), (make(), 2.0), (make(0), 1.0)],
)
zero = Primitive(
    "zero",
    lambda xp, x: xp.broadcast_to(xp.asarray(0, dtype=x.dtype), x.shape),
    {"x": _no_gradient},
    node="ZeroBackward0",
    samples=lambda make: [(make(2, 3),), (make(),)],
)
overwrite, fill_tensor = (
    Primitive(
        name,
        lambda xp, x, y: _in_place_of(xp, x, y),
        {
            "x": _no_gradient,
            "y": lambda xp, g, x_dtype, y_shape, y_dtype: cast_back(xp, unbroadcast(xp, g, y_shape), y_dtype, x_dtype),
        },
        inputs=2,
        node=node,
        holomorphic=False,
        samples=lambda make: [(make(2, 3), make(3)), (make(2, 3), make(2, 1)), (make(), make())],
    )
    for name, node in (("overwrite", "CopyBackwards"), ("fill_tensor", "FillBackward1"))
)


@expose()
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` with every element the number, or 0-d tensor, `value`; gradients flow to that.

    Raises RuntimeError for a tensor with dimensions, and for a number that does not fit the dtype.
    """
    result = _filled(input, value)
    result._array = backends.namespaces[type(result._array)].copy(result._array)
    return result


def _filled(input: Tensor, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._array.ndim} dimensions."
            )
        return fill_tensor.record((input, _beside(value, input)))
    return fill_number.record((input,), (number(scalar(value, "fill_", "value", 1), input._array.dtype),))


def _beside(source: Tensor, target: Tensor) -> Tensor:
    """`source` on the device of `target`."""
    if type(source._array) is type(target._array) is backends.host.ndarray:
        return source
    return source if source.device == target.device else source.to(target.device)


def _zeroed(input: Tensor) -> Tensor:
    return zero.record((input,))


def _copied(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    shape, given = input._array.shape, src._array.shape
    if shape != given:
        for i in range(-1, -1 - min(len(shape), len(given)), -1):
            if given[i] not in (1, shape[i]):
                raise RuntimeError(
                    f"The size of tensor a ({shape[i]}) must match the size of tensor b ({given[i]}) at non-singleton "
                    f"dimension {len(shape) + i}"
                )
        if len(given) > len(shape):
            raise RuntimeError(f"output with shape {list(shape)} doesn't match the broadcast shape {list(given)}")
    return overwrite.record((input, _beside(src, input)))


_fill_recorded, _zero_recorded = inplace(_filled, "fill_"), inplace(_zeroed, "zero_")


@expose()
def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to the number, or 0-d tensor, `value`; gradients flow to that.

    Raises RuntimeError for a tensor with dimensions, and for a number that does not fit the dtype.
    """
    if isinstance(value, Tensor) or _has_history(self):
        return _fill_recorded(self, value)
    return _set(self, number(scalar(value, "fill_", "value", 1), self._array.dtype), "fill_")


@expose()
def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return _zero_recorded(self) if _has_history(self) else _set(self, 0, "zero_")


def _has_history(t: Tensor) -> bool:
    return (state.grad and edge_of(t) is not None) or tangent_of(t) is not None


def _set(t: Tensor, value: Any, name: str) -> Tensor:
    """Set every element of a tensor that has no history to change."""
    check_inplace(t)
    try:
        t._array.fill(value)
    except ValueError:  # the memory is read-only: the long way says why
        return _fill_recorded(t, value)
    changed(t, name)
    return t


@expose(function=False)
def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Set the main diagonal, of a matrix or of a tensor whose dimensions are equal, to a number.

    wrap: begin again below where a matrix is longer than it is wide. Raises RuntimeError for other shapes.
    """
    shape = self.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, count = sum(self.stride()), min(shape)
    self.as_strided((count,), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        self[shape[1] + 1 :].fill_diagonal_(fill_value, wrap=True)
    return self


copy_ = expose(name="copy_", function=False)(inplace(_copied, "copy_"))
copy_.__doc__ = """Write `src`, broadcast and converted to this dtype and device, over the tensor; `src` gets gradients.

    Raises RuntimeError if `src` cannot be broadcast to this shape.
    """

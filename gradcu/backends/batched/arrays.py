"""The arrays themselves, their operators, and what lines operands up."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from .. import namespaces

SHARED = (
    "vmap: an in-place operation on a tensor that is one for all examples cannot take the values of each: make the "
    "tensor from one of the examples (x.new_zeros, zeros_like), or use the out-of-place form"
)


def _ask(self: Batched) -> Any:
    if self.whole and not self.ndim:
        return self.array
    raise RuntimeError(
        "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow, or calling .item() "
        "on a Tensor. vmap runs a function once for all examples, which may differ in it: use gradcu.where, or call "
        "the function in a loop."
    )


class Batched:
    """Arrays of one shape, of which `array` has all along its first axis; or one for all, if it is `whole`."""

    __slots__ = ("array", "ndim", "whole")
    __array_ufunc__ = None  # NumPy leaves its operators to these
    depth: int  # how many vmaps deep: those of an inner one hold those of the outer

    def __init__(self, array: Any, whole: bool = False) -> None:
        self.array, self.whole = array, whole
        self.ndim = array.ndim if whole else array.ndim - 1  # asked for more often than arrays are made

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(SHARED)  # somebody writes it over an array of NumPy's, or takes it for one

    @property
    def below(self) -> Any:
        """The namespace of the array that this one holds."""
        return namespaces[type(self.array)]

    def axis(self, axis: Any) -> Any:
        """An axis of an example, or several, as those of the array below."""
        if self.whole or axis is None:
            return axis
        if isinstance(axis, (tuple, list)):
            return tuple(a + 1 if a >= 0 else a for a in axis)
        return axis + 1 if axis >= 0 else axis

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape if self.whole else self.array.shape[1:]

    @property
    def strides(self) -> tuple[int, ...]:
        return self.array.strides if self.whole else self.array.strides[1:]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def itemsize(self) -> int:
        return self.array.itemsize

    @property
    def flags(self) -> Any:
        """Those of one example."""
        return self.array.flags if self.whole else self.array[:1].flags

    @property
    def base(self) -> Any:
        """None for memory of its own; one for all examples is never that, since it cannot take their sum."""
        return self.array if self.whole else self.array.base

    @property
    def T(self) -> Batched:
        return self.transpose()

    @property
    def mT(self) -> Batched:
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> Batched:
        return pointwise(operator.attrgetter("real"), self)

    @property
    def imag(self) -> Batched:
        return pointwise(operator.attrgetter("imag"), self)

    def astype(self, dtype: Any, copy: bool = True) -> Batched:
        return type(self)(self.array.astype(dtype, copy=copy), self.whole)

    def copy(self, order: str = "C") -> Batched:
        return type(self)(self.array.copy(), self.whole)

    def view(self, dtype: Any) -> Batched:
        return type(self)(self.array.view(dtype), self.whole)

    def fill(self, value: Any) -> None:
        self[...] = value

    def conj(self) -> Batched:
        return pointwise(operator.methodcaller("conj"), self)

    def reshape(self, *shape: Any) -> Batched:
        return namespaces[type(self)].reshape(self, shape[0] if isinstance(shape[0], tuple) else shape)

    def ravel(self) -> Batched:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Batched:
        wanted = axes[0] if axes and isinstance(axes[0], tuple) else axes
        return namespaces[type(self)].permute_dims(self, wanted or tuple(reversed(range(self.ndim))))

    def swapaxes(self, axis1: int, axis2: int) -> Batched:
        return type(self)(self.array.swapaxes(self.axis(axis1), self.axis(axis2)), self.whole)

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return functools.partial(getattr(namespaces[type(self)], name), self)
        raise AttributeError(f"an array of a vmap has no {name}")

    def __getitem__(self, index: Any) -> Batched:
        return namespaces[type(self)].take_at(self, index if isinstance(index, tuple) else (index,))

    def __setitem__(self, index: Any, value: Any) -> None:
        namespaces[type(self)].put_at(self, index if isinstance(index, tuple) else (index,), value)

    def __matmul__(self, other: Any) -> Batched:
        return namespaces[type(self)].matmul(self, other)

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(_ask(self))

    def __int__(self) -> int:
        return int(_ask(self))

    def __index__(self) -> int:
        return operator.index(_ask(self))

    def __float__(self) -> float:
        return float(_ask(self))

    def __complex__(self) -> complex:
        return complex(_ask(self))

    def item(self) -> Any:
        return _ask(self).item()

    def tolist(self) -> Any:
        if self.whole:
            return self.array.tolist()
        return _ask(self)

    def described(self, describe: Callable[[Any], str]) -> str:
        """As PyTorch shows it, around what `describe` says of the array."""
        inside = describe(self.array)
        if self.whole:
            return inside
        indented = "\n".join(f"    {line}" for line in inside.split("\n"))
        return f"BatchedTensor(lvl={self.depth}, bdim=0, value=\n{indented}\n)"

    def __repr__(self) -> str:
        return self.described(repr)


_METHODS = frozenset("sum mean max min any all prod clip squeeze cumsum argmax argmin round dot".split())


def highest(operands: Sequence[Any]) -> type[Batched] | None:
    """The class of the innermost vmap among operands."""
    kind = None
    for o in operands:
        if isinstance(o, Batched) and (kind is None or o.depth > kind.depth):
            kind = type(o)
    return kind


def aligned(kind: type[Batched], operands: Sequence[Any], cores: Sequence[int] = (0,)) -> tuple[list[Any], int]:
    """Operands below, which broadcast as those of one example do; and how many dimensions of an example's do that.

    cores: how many of the last dimensions of each do not (the last number stands for all that follow).
    """
    last = len(cores) - 1
    leads = [getattr(o, "ndim", 0) - cores[min(i, last)] for i, o in enumerate(operands)]
    lead, below = max(0, *leads), []
    for o, own in zip(operands, leads):
        if type(o) is kind:
            a = o.array
            if own != lead and not o.whole:
                a = a.reshape(a.shape[:1] + (1,) * (lead - own) + a.shape[1:])
            o = a
        below.append(o)
    return below, lead


def stacked(function: Callable, cores: Sequence[int], *operands: Any, **attributes: Any) -> Any:
    """A function of the last dimensions of its operands, as many as `cores` says, which broadcasts over those before.

    Of single elements that is none. Raises ValueError for an operand with fewer.
    """
    kind = highest(operands)
    if kind is None:
        return function(*operands, **attributes)
    below, lead = aligned(kind, operands, cores)
    made = function(*below, **attributes)
    if cores[0]:
        whole = not any(type(o) is kind and not o.whole for o in operands)
        return tuple_of(made, lambda m: kind(m, whole))
    return tuple_of(made, lambda m: kind(m, m.ndim <= lead))  # it may have used none that has an axis of examples


def pointwise(function: Callable, *operands: Any, **attributes: Any) -> Any:
    """A function of single elements."""
    return stacked(function, (0,), *operands, **attributes)


def tuple_of(made: Any, function: Callable) -> Any:
    """The function of one result, or of each of a tuple, named or not."""
    if not isinstance(made, (tuple, list)):
        return function(made)
    parts = [tuple_of(m, function) for m in made]
    return type(made)(*parts) if hasattr(made, "_fields") else type(made)(parts)


def _operator(function: Callable, reflected: bool = False) -> Callable:
    if reflected:
        return lambda self, other: pointwise(function, other, self)
    return lambda self, other: pointwise(function, self, other)


def _operator_of_one(function: Callable) -> Callable:
    return lambda self: pointwise(function, self)


def _in_place(function: Callable, otherwise: Callable) -> Callable:
    def method(self: Batched, other: Any) -> Batched:
        kind = type(self)
        if isinstance(other, Batched) and (type(other) is not kind or (self.whole and not other.whole)):
            return pointwise(otherwise, self, other)  # which this one cannot hold
        (a, b), _ = aligned(kind, (self, other))
        if isinstance(b, Batched) and type(a) is not type(b):
            return pointwise(otherwise, self, other)
        made = function(a, b)
        if self.whole:  # maybe a number of NumPy's, which has no memory to be changed
            self.array = made
        return self

    return method


for _name in "add sub mul truediv floordiv mod pow lshift rshift and or xor".split():
    _function = getattr(operator, f"{_name}_" if _name in ("and", "or") else _name)
    setattr(Batched, f"__{_name}__", _operator(_function))
    setattr(Batched, f"__r{_name}__", _operator(_function, reflected=True))
    setattr(Batched, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}"), _function))
for _name in "lt le gt ge eq ne".split():
    setattr(Batched, f"__{_name}__", _operator(getattr(operator, _name)))
for _name in "neg pos abs invert".split():
    setattr(Batched, f"__{_name}__", _operator_of_one(getattr(operator, _name)))

"""Arrays of many examples that look like one: what `vmap` computes on.

A `Batched` has the shape of one example and holds all of them, along the first axis of an array of the library below
(NumPy's, CuPy's, or another `Batched` for a vmap within a vmap). It is a backend like the others: formulas get its
namespace as their `xp`, so graph, backward and forward mode are what they are for one example. There is one rule for
each kind of function: pointwise, along axes, on the last axes, of shapes, by index. What has no rule is computed
example by example: a function of the library, or the whole formula if that asks for something else.
"""

from __future__ import annotations

import functools
import math
import operator
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import arrays, host, innermost, namespaces
from .lookup import declared

SHARED = (
    "vmap: an in-place operation on a tensor that is one for all examples cannot take the values of each: make the "
    "tensor from one of the examples (x.new_zeros, zeros_like), or use the out-of-place form"
)


class DataDependent(RuntimeError):
    """A program that is to run on many examples at once asked for the value of one."""


def _ask(self: Batched) -> Any:
    if self.whole and not self.ndim:
        return self.array
    raise DataDependent(
        "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow, or calling .item() "
        "on a Tensor. vmap runs a function once for all examples, which may differ in it: use gradcu.where, or call "
        "the function in a loop."
    )


class Batched:
    """Arrays of one shape, of which `array` has all along its first axis; or one for all, if it is `whole`."""

    __slots__ = ("array", "whole")
    __array_ufunc__ = None  # NumPy leaves its operators to these
    depth: int  # how many vmaps deep: those of an inner one hold those of the outer

    def __init__(self, array: Any, whole: bool = False) -> None:
        self.array, self.whole = array, whole

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(SHARED)  # somebody writes it over an array of NumPy's, or takes it for one

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape if self.whole else self.array.shape[1:]

    @property
    def strides(self) -> tuple[int, ...]:
        return self.array.strides if self.whole else self.array.strides[1:]

    @property
    def ndim(self) -> int:
        return self.array.ndim - (not self.whole)

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

    def conj(self) -> Batched:
        return pointwise(operator.methodcaller("conj"), self)

    def reshape(self, *shape: Any) -> Batched:
        return reshape(namespaces[type(self)], self, shape[0] if isinstance(shape[0], tuple) else shape)

    def ravel(self) -> Batched:
        return self.reshape(-1)

    def transpose(self, *axes: Any) -> Batched:
        wanted = axes[0] if axes and isinstance(axes[0], tuple) else axes
        return permute_dims(namespaces[type(self)], self, wanted or tuple(reversed(range(self.ndim))))

    def swapaxes(self, axis1: int, axis2: int) -> Batched:
        return type(self)(self.array.swapaxes(*_shifted((axis1, axis2), self)), self.whole)

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return functools.partial(getattr(namespaces[type(self)], name), self)
        raise AttributeError(f"an array of a vmap has no {name}")

    def __getitem__(self, index: Any) -> Batched:
        return take(self, index if isinstance(index, tuple) else (index,))

    def __setitem__(self, index: Any, value: Any) -> None:
        put(self, index if isinstance(index, tuple) else (index,), value)

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

    def __repr__(self) -> str:
        where = "None" if self.whole else "0"
        return f"BatchedTensor(lvl={self.depth}, bdim={where}, value={self.array!r})"


_METHODS = frozenset("sum mean max min any all prod clip squeeze cumsum argmax argmin round dot".split())


@functools.cache
def at_depth(depth: int) -> type[Batched]:
    """The class of the arrays of a vmap within `depth - 1` others, registered as a backend's."""
    kind = type("Batched", (Batched,), {"__slots__": (), "depth": depth})
    namespaces[kind] = Namespace(kind, None)
    arrays.add(kind)
    return kind


def highest(operands: Sequence[Any]) -> type[Batched] | None:
    """The class of the innermost vmap among operands."""
    kind = None
    for o in operands:
        if isinstance(o, Batched) and (kind is None or o.depth > kind.depth):
            kind = type(o)
    return kind


def aligned(kind: type[Batched], operands: Sequence[Any]) -> tuple[list[Any], int]:
    """Operands below, which broadcast as those of one example do; and how many dimensions an example's have."""
    below, rank = [], max((getattr(o, "ndim", 0) for o in operands), default=0)
    for o in operands:
        if type(o) is kind:
            a = o.array
            if not o.whole and o.ndim < rank:
                a = a.reshape(a.shape[:1] + (1,) * (rank - o.ndim) + a.shape[1:])
            o = a
        below.append(o)
    return below, rank


def pointwise(function: Callable, *operands: Any, **attributes: Any) -> Any:
    """A function of single elements."""
    kind = highest(operands)
    if kind is None:
        return function(*operands, **attributes)
    below, rank = aligned(kind, operands)
    made = function(*below, **attributes)
    return tuple(kind(m, m.ndim <= rank) for m in made) if isinstance(made, tuple) else kind(made, made.ndim <= rank)


def _operator(function: Callable, reflected: bool = False) -> Callable:
    if reflected:
        return lambda self, other: pointwise(function, other, self)
    return lambda self, other: pointwise(function, self, other)


def _operator_of_one(function: Callable) -> Callable:
    return lambda self: pointwise(function, self)


def _in_place(function: Callable) -> Callable:
    def method(self: Batched, other: Any) -> Batched:
        result = pointwise(function, self, other)
        if type(result) is not type(self) or (self.whole and not result.whole):
            return result
        self[...] = result
        return self

    return method


for _name in "add sub mul truediv floordiv mod pow matmul lshift rshift and or xor".split():
    _function = getattr(operator, f"{_name}_" if _name in ("and", "or") else _name)
    if _name == "matmul":
        setattr(Batched, "__matmul__", lambda self, other: matmul(namespaces[type(self)], self, other))  # noqa: B010
        continue
    setattr(Batched, f"__{_name}__", _operator(_function))
    setattr(Batched, f"__r{_name}__", _operator(_function, reflected=True))
    setattr(Batched, f"__i{_name}__", _in_place(_function))
for _name in "lt le gt ge eq ne".split():
    setattr(Batched, f"__{_name}__", _operator(getattr(operator, _name)))
for _name in "neg pos abs invert".split():
    setattr(Batched, f"__{_name}__", _operator_of_one(getattr(operator, _name)))


def example(value: Any, kind: type[Batched], i: int) -> Any:
    """The value for one example."""
    if type(value) is kind:
        return value.array if value.whole else value.array[i, ...]
    if isinstance(value, (list, tuple)):
        return type(value)(example(v, kind, i) for v in value)
    return value.example(lambda v: example(v, kind, i)) if hasattr(value, "example") else value


def batched_in(values: Any) -> list[Batched]:
    """The arrays of a vmap among values, and lists of them."""
    found: list[Batched] = []
    for v in values:
        if isinstance(v, Batched):
            found.append(v)
        elif isinstance(v, (list, tuple)):
            found += batched_in(v)
        elif hasattr(v, "examples"):
            found += batched_in(v.examples())
    return found


def assembled(kind: type[Batched], results: list[Any]) -> Any:
    """The results of all examples as one. Raises RuntimeError if their shapes differ."""
    first = results[0]
    if isinstance(first, (list, tuple)):
        parts = [assembled(kind, list(several)) for several in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    if first is None or not hasattr(first, "shape"):
        return first
    if any(r.shape != first.shape for r in results):
        raise RuntimeError("vmap: the shape of a result depends on the values of the examples")
    return kind(namespaces[type(first)].stack(results))


def each(function: Callable, kind: type[Batched], size: int | None, args: Sequence[Any], attributes: Any) -> Any:
    """A function of the library below, example by example; once, if all arguments are the same for all."""
    made = [
        function(*(example(a, kind, i) for a in args), **{n: example(a, kind, i) for n, a in attributes.items()})
        for i in range(1 if size is None else size)
    ]
    return wholly(kind, made[0]) if size is None else assembled(kind, made)


def library(values: Any) -> Any:
    """The namespace that takes arrays, some of which may be of a library and some NumPy's."""
    xp: Any = host
    for v in values:
        if type(v) in arrays:
            xp = innermost(xp, type(v))
        elif isinstance(v, (list, tuple)):
            xp = max(xp, library(v), key=lambda n: (n.depth, n is not host))
    return xp


#: the operations that lead into a vmap and out of it, which see these arrays as they are
PASSAGES = frozenset(("batch", "unbatch", "lift", "sum_of_examples"))


class Namespace:
    """`xp` for the arrays of one class; bound to a number of examples while a formula runs, so that it can make new."""

    def __init__(self, kind: type[Batched], size: int | None) -> None:
        self.kind, self.examples = kind, size

    @property
    def depth(self) -> int:
        """How many vmaps deep."""
        return self.kind.depth

    def fused(self, kernel: Any, values: Any) -> None:
        """Formulas of a backward go to the library below one by one: see `guarded`."""

    def guarded(self, formula: Callable, op: Any = None) -> Callable:
        """A formula that may run on these arrays: at once if it can, else example by example.

        op: the operation that it is of; one of single elements is left to the library below as a whole.
        """

        if op is not None and op.name in PASSAGES:
            return formula

        def run(xp: Any, *args: Any, **attributes: Any) -> Any:
            found = batched_in(args)
            kind: Any = highest(found) or self.kind
            if kind is not self.kind:
                xp = namespaces[kind]
                return xp.guarded(formula, op)(xp, *args, **attributes)
            if op is not None and op.kind == "elementwise" and op.outputs == 1:
                given, rank = aligned(kind, args)
                below = library(given)
                direct = op.on_host if below is host and formula is op.forward else below_guarded(below, formula, op)
                made = direct(below, *given, **attributes)
                return kind(made, made.ndim <= rank)  # a formula may use no operand that has an axis of examples
            size = next((len(b.array) for b in found if type(b) is kind and not b.whole), None)
            try:
                if size is not None:
                    return formula(_bound(kind.depth, size), *args, **attributes)
            except Exception:  # whatever a formula trips over, one example can do it, or say it better
                pass
            below = self.below(*args)
            return each(functools.partial(below_guarded(below, formula, op), below), kind, size, args, attributes)

        return run

    def bring(self, inputs: Sequence[Any]) -> list[Any] | None:
        """The operands with those that are tracked outside of this vmap brought into it; None if none are."""
        from ..ops.batch import lifted

        return lifted(inputs, self.kind)

    def __getattr__(self, name: str) -> Any:
        rule = _RULES.get(name)
        found: Any
        if rule is not None:
            found = functools.partial(rule, self)
        elif (primitive := declared(name)) is not None and not hasattr(np, name):
            found = functools.partial(self.guarded(primitive.forward, primitive), self)
        else:
            found = getattr(host, name)
            if name in ("linalg", "fft"):
                found = _Submodule(self, name)
            elif isinstance(found, np.ufunc) or name in _POINTWISE:
                found = functools.partial(self._pointwise, name)
            elif callable(found) and not isinstance(found, type):
                found = functools.partial(self._each, operator.attrgetter(name))
        setattr(self, name, found)
        return found

    def below(self, *values: Any) -> Any:
        """The namespace of arrays like those that the ones of this class hold."""
        return library(example(v, self.kind, 0) for v in values)

    def count(self, *values: Any) -> int | None:
        """How many examples there are in arrays; None if they are one for all."""
        return next((len(b.array) for b in batched_in(values) if type(b) is self.kind and not b.whole), None)

    def _pointwise(self, name: str, *operands: Any, **attributes: Any) -> Any:
        if "out" in attributes or "casting" in attributes:
            raise NotImplementedError(f"{name} with out= of an array of a vmap")
        return pointwise(getattr(self.below(*operands), name), *operands, **attributes)

    def _each(self, get: Callable, *args: Any, **attributes: Any) -> Any:
        values = (*args, *attributes.values())
        return each(get(self.below(*values)), self.kind, self.count(*values), args, attributes)


class _Submodule:
    """`xp.linalg`, whose functions take stacks of matrices."""

    def __init__(self, xp: Namespace, name: str) -> None:
        self._xp, self._name = xp, name

    def __getattr__(self, function: str) -> Any:
        get = operator.attrgetter(f"{self._name}.{function}")
        if self._name == "linalg" and function in _STACKED:
            return functools.partial(stacked, self._xp, get)
        return functools.partial(self._xp._each, get)


@functools.lru_cache(256)
def _bound(depth: int, size: int) -> Namespace:
    return Namespace(at_depth(depth), size)


def below_guarded(below: Any, formula: Callable, op: Any) -> Callable:
    return formula if below is host else below.guarded(formula, op)


def wholly(kind: type[Batched], made: Any) -> Any:
    """The same arrays for all examples."""
    if isinstance(made, (list, tuple)):
        parts = [wholly(kind, m) for m in made]
        return type(made)(*parts) if hasattr(made, "_fields") else type(made)(parts)
    return kind(made, True) if hasattr(made, "shape") else made


# --- rules, by kind of function ---

_POINTWISE = frozenset("where clip nan_to_num conj real imag angle isfinite round fix astype isclose i0 sinc".split())
_STACKED = frozenset("inv det slogdet cholesky qr svd eigh eigvalsh eig eigvals pinv matrix_power svdvals".split())


def _shifted(axis: Any, x: Batched) -> Any:
    """Axes of an example as those of the array below."""
    if x.whole or axis is None:
        return axis
    if isinstance(axis, (tuple, list)):
        return tuple(_shifted(a, x) for a in axis)
    return axis + 1 if axis >= 0 else axis


def _along(name: str, xp: Namespace, x: Any, axis: Any = None, *args: Any, **attributes: Any) -> Any:
    """A function along axes: all of an example's if none are named."""
    if type(x) is not xp.kind:
        return getattr(namespaces[type(x)], name)(x, axis, *args, **attributes)
    if axis is None and not x.whole:
        axis = tuple(range(x.ndim))
        if name in _ONE_AXIS:
            x, axis = x.reshape(-1), 0
    elif isinstance(axis, int) and not x.whole and not -x.ndim <= axis < x.ndim:
        raise IndexError(f"axis {axis} is out of bounds for an array of dimension {x.ndim}")
    function = getattr(xp.below(x), name)
    made = function(x.array, _shifted(axis, x), *args, **attributes)
    return x.__class__(made, x.whole)


_ALONG = (
    "sum mean max min prod any all var std flip squeeze cumsum cumprod argmax argmin sort argsort count_nonzero"
).split()
_ONE_AXIS = frozenset("cumsum cumprod argmax argmin sort argsort".split())


def stacked(xp: Namespace, get: Callable, x: Any, *args: Any, **attributes: Any) -> Any:
    """A function on the last two axes of one array, of which the library takes stacks."""
    if type(x) is not xp.kind or batched_in(args):
        return xp._each(get, x, *args, **attributes)
    made = get(xp.below(x))(x.array, *args, **attributes)
    if isinstance(made, tuple):
        parts = [xp.kind(m, x.whole) for m in made]
        return type(made)(*parts) if hasattr(made, "_fields") else type(made)(parts)
    return xp.kind(made, x.whole)


def reshape(xp: Namespace, x: Any, shape: Any) -> Any:
    if type(x) is not xp.kind:
        return x.reshape(shape)
    shape = shape if isinstance(shape, tuple) else (shape,)
    if x.whole:
        return xp.kind(x.array.reshape(shape), True)
    if -1 in shape:
        known = -math.prod(shape)
        shape = tuple((x.size // known if known else 0) if n == -1 else n for n in shape)
    return xp.kind(x.array.reshape(x.array.shape[:1] + shape))


def permute_dims(xp: Namespace, x: Any, axes: tuple[int, ...]) -> Any:
    if x.whole:
        return xp.kind(x.array.transpose(axes), True)
    return xp.kind(x.array.transpose((0, *(a % x.ndim + 1 for a in axes))))


def broadcast_to(xp: Namespace, x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) is not xp.kind:
        return namespaces[type(x)].broadcast_to(x, shape)
    below, missing = xp.below(x), len(shape) - x.ndim
    if x.whole:
        return xp.kind(below.broadcast_to(x.array, shape), True)
    a = x.array
    if missing > 0:
        a = a.reshape(a.shape[:1] + (1,) * missing + a.shape[1:])
    return xp.kind(below.broadcast_to(a, a.shape[:1] + tuple(shape)))


def expand_dims(xp: Namespace, x: Any, axis: Any) -> Any:
    return xp.kind(xp.below(x).expand_dims(x.array, _shifted(axis, x)), x.whole)


def moveaxis(xp: Namespace, x: Any, source: Any, destination: Any) -> Any:
    return xp.kind(xp.below(x).moveaxis(x.array, _shifted(source, x), _shifted(destination, x)), x.whole)


def roll(xp: Namespace, x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return roll(xp, x.reshape(-1), shift, 0).reshape(x.shape)
    return xp.kind(xp.below(x).roll(x.array, shift, _shifted(axis, x)), x.whole)


def matrix_transpose(xp: Namespace, x: Any) -> Any:
    return x.swapaxes(-1, -2)


def matmul(xp: Namespace, x: Any, y: Any) -> Any:
    """Products of matrices and vectors. Examples times one matrix are one product."""
    below = xp.below(x, y)
    (a, x_batched), (b, y_batched) = ((v.array, not v.whole) if type(v) is xp.kind else (v, False) for v in (x, y))
    if not y_batched and (y.ndim <= 2 or not x_batched):
        return xp.kind(below.matmul(a, b), not x_batched)
    if not x_batched and x.ndim == 2 and y.ndim == 1:
        return xp.kind(below.matmul(b, a.swapaxes(-1, -2)))
    rows, columns = x.ndim == 1, y.ndim == 1
    if rows:
        a = a[..., None, :]
    if columns:
        b = b[..., :, None]
    for value, batched in ((x, x_batched), (y, y_batched)):
        other = y if value is x else x
        missing = max(other.ndim, 2) - max(value.ndim, 2)
        if batched and missing > 0:
            c = a if value is x else b
            c = c.reshape(c.shape[:1] + (1,) * missing + c.shape[1:])
            a, b = (c, b) if value is x else (a, c)
    made = below.matmul(a, b)
    if columns:
        made = made[..., 0]
    if rows:
        made = made[..., 0, :] if not columns else made[..., 0]
    return xp.kind(made)


def dot(xp: Namespace, x: Any, y: Any, **out: Any) -> Any:
    if out or max(x.ndim, y.ndim) > 2:
        raise NotImplementedError("dot of arrays of a vmap")
    return matmul(xp, x, y)


def _joined(xp: Namespace, values: Sequence[Any]) -> tuple[list[Any], bool]:
    """Arrays below, all with an axis of examples if one has it."""
    size = xp.count(values)
    below = []
    for v in values:
        a = v.array if type(v) is xp.kind else v
        if size is not None and (type(v) is not xp.kind or v.whole):
            a = namespaces[type(a)].broadcast_to(a, (size, *a.shape))
        below.append(a)
    return below, size is not None


def concat(xp: Namespace, values: Sequence[Any], axis: int = 0, **attributes: Any) -> Any:
    below, batched = _joined(xp, values)
    return xp.kind(xp.below(values).concatenate(below, axis=axis + (batched and axis >= 0), **attributes), not batched)


def stack(xp: Namespace, values: Sequence[Any], axis: int = 0) -> Any:
    below, batched = _joined(xp, values)
    return xp.kind(xp.below(values).stack(below, axis=axis + (batched and axis >= 0)), not batched)


def take_along_axis(xp: Namespace, x: Any, indices: Any, axis: int) -> Any:
    below, batched = _joined(xp, (x, indices))
    return xp.kind(xp.below(x, indices).take_along_axis(*below, axis=axis + (batched and axis >= 0)), not batched)


def put_along_axis(xp: Namespace, x: Any, indices: Any, values: Any, axis: int) -> None:
    if type(x) is not xp.kind or x.whole:
        raise RuntimeError(SHARED)
    (_, indices_below), _ = _joined(xp, (x, indices))
    if isinstance(values, Batched) and type(values) is xp.kind:
        values = aligned(xp.kind, (x, values))[0][1]
    xp.below(x).put_along_axis(x.array, indices_below, values, axis + (axis >= 0))


def combine_at(xp: Namespace, x: Any, index: Any, values: Any, by: str = "add") -> None:
    """`x[index] = by(x[index], values)`: all examples at once if every axis has an index."""
    index = index if isinstance(index, tuple) else (index,)
    if type(x) is not xp.kind or x.whole:
        raise RuntimeError(SHARED)
    below, size = xp.below(x), len(x.array)
    plain = all(getattr(i, "dtype", None) is not None and i.dtype.kind in "iu" for i in index)
    if not plain or len(index) != x.ndim:
        for i in range(size):
            below.combine_at(*(example(v, xp.kind, i) for v in (x, index, values)), by)
        return
    parts, _ = aligned(xp.kind, (*index, values))
    rank = max(getattr(p, "ndim", 0) for p in (*index, values))
    below.combine_at(x.array, (_rows(below, size, rank), *parts[:-1]), parts[-1], by)


def _rows(below: Any, size: int, rank: int) -> Any:
    """The numbers of the examples, as an index beside others of a rank."""
    rows = np.arange(size).reshape((size,) + (1,) * rank)
    return below.asarray(rows) if below is not host else rows


def take(x: Batched, index: tuple) -> Batched:
    """`x[index]`. Tensors of integers are one for all examples, or one for each."""
    kind = type(x)
    if kind is not highest((x, *index)):
        kind = highest(index)  # type: ignore[assignment]
        x = kind(x, True)
    own = [i for i in index if type(i) is kind]
    adjacent = _adjacent(index)
    if not own:
        if x.whole:
            return kind(x.array[index], True)
        made = x.array[(slice(None), *index)]
        if adjacent is None:  # the library has put the dimensions of the index first
            made = namespaces[type(made)].moveaxis(made, _index_rank(index), 0)
        return kind(made)
    if any(i.dtype.kind == "b" for i in own):
        raise DataDependent("vmap: the shape of what a mask takes depends on the values of the examples")
    parts, _ = aligned(kind, [i if hasattr(i, "ndim") else 0 for i in index])
    batched = any(not i.whole for i in own)
    below = tuple(p if hasattr(i, "ndim") else i for i, p in zip(index, parts))
    rank = _index_rank(index)
    if x.whole:
        made = x.array[below]
        first = (adjacent or 0) if batched else 0
        if first:
            made = namespaces[type(made)].moveaxis(made, first, 0)
        return kind(made, not batched)
    xp = namespaces[type(x.array)]
    made = x.array[(_rows(xp, len(x.array), rank), *below)]
    if adjacent:  # what stands before the index in an example came after it
        made = xp.moveaxis(made, tuple(range(1, rank + 1)), tuple(range(adjacent + 1, adjacent + rank + 1)))
    return kind(made)


def _adjacent(index: tuple) -> int | None:
    """Before which axis of the result the dimensions of an index come, None if they are apart, and so come first."""
    places = [p for p, i in enumerate(index) if hasattr(i, "ndim")]
    if not places:
        return 0
    if places[-1] - places[0] >= len(places):
        return None
    before = index[: places[0]]
    if Ellipsis in before:
        raise NotImplementedError("an index behind an ellipsis")
    return sum(not isinstance(i, int) for i in before)


def _index_rank(index: tuple) -> int:
    """How many dimensions the arrays of an index have when broadcast."""
    return max((1 if i.dtype.kind == "b" else i.ndim for i in index if hasattr(i, "ndim")), default=0)


def put(x: Batched, index: tuple, value: Any) -> None:
    """`x[index] = value`."""
    kind = type(x)
    outer = highest((x, value, *index))
    if outer is not kind or (x.whole and any(not b.whole for b in batched_in((value, *index)))):
        raise RuntimeError(SHARED)
    if x.whole:
        x.array[index] = value.array if type(value) is kind else value
    elif all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index):
        part = kind(x.array[(slice(None), *index)])
        part.array[...] = aligned(kind, (part, value))[0][1]
    else:
        for i in range(len(x.array)):
            x.array[i, ...][example(index, kind, i)] = example(value, kind, i)


def _made(name: str, xp: Namespace, shape: Any, *args: Any, **attributes: Any) -> Any:
    """New arrays: one for each example, since a formula makes them to write to."""
    if xp.examples is None:
        return getattr(host, name)(shape, *args, **attributes)
    shape = shape if isinstance(shape, tuple) else (shape,)
    below: Any = host if xp.kind.depth == 1 else namespaces[at_depth(xp.kind.depth - 1)]
    return xp.kind(getattr(below, name)((xp.examples, *shape), *args, **attributes))


def _like(name: str, xp: Namespace, x: Any, *args: Any, **attributes: Any) -> Any:
    if type(x) is not xp.kind:
        return getattr(namespaces[type(x)], name)(x, *args, **attributes)
    made = getattr(xp.below(x), name)(x.array, *args, **attributes)
    if x.whole and xp.examples is not None:
        made = xp.below(x).copy(xp.below(x).broadcast_to(made, (xp.examples, *made.shape)))
        return xp.kind(made)
    return xp.kind(made, x.whole)


def copy(xp: Namespace, x: Any) -> Any:
    """A copy; for each example of what is one for all, if a formula makes it to write to."""
    return _like("copy", xp, x)


def triangular(name: str, xp: Namespace, x: Any, *args: Any) -> Any:
    return xp.kind(getattr(xp.below(x), name)(x.array, *args), x.whole)


def asarray(xp: Namespace, x: Any, dtype: Any = None) -> Any:
    if isinstance(x, Batched):
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)
    return host.asarray(x, dtype=dtype)


def seed(xp: Namespace, x: Any) -> Any:
    return xp.kind(xp.below(x).seed(x.array if x.whole else x.array[0, ...]), True)


def iadd(xp: Namespace, x: Any, y: Any) -> Any:
    x += y
    return x


def is_view(xp: Namespace, result: Any, x: Any) -> bool:
    """Whether one is a view of the other: neither is if it is an outer vmap's."""
    return type(result) is type(x) and xp.below(x).is_view(result.array, x.array)


def _folded(name: str, xp: Namespace, x: Any, w: Any, *attributes: Any) -> Any:
    """A convolution: examples of images are a longer batch of them, if the weights are the same for all."""
    if xp.count((w, *attributes)) is not None or type(x) is not xp.kind or x.whole or x.ndim < 3:
        return xp._each(operator.attrgetter(name), x, w, *attributes)
    size, n = x.array.shape[:2]
    given = [example(v, xp.kind, 0) for v in (w, *attributes)]
    if name == "convolution_input":  # the shape of the result is an attribute
        given[1] = (size * n, *given[1][1:])
    made = getattr(xp.below(x), name)(x.array.reshape((size * n, *x.array.shape[2:])), *given)
    return xp.kind(made.reshape((size, n, *made.shape[1:])))


def _inner(name: str) -> Callable:
    return lambda xp, x: getattr(xp.below(x), name)(x.array)


_RULES: dict[str, Callable] = {
    **{name: functools.partial(_along, name) for name in _ALONG},
    **{name: functools.partial(_made, name) for name in ("zeros", "ones", "empty", "full")},
    **{name: functools.partial(_like, name) for name in ("zeros_like", "ones_like", "empty_like", "full_like")},
    **{name: functools.partial(triangular, name) for name in ("triu", "tril", "ascontiguousarray")},
    **{name: functools.partial(_folded, name) for name in ("convolution", "convolution_input")},
    **{f.__name__: f for f in (
        reshape, permute_dims, broadcast_to, expand_dims, moveaxis, roll, matrix_transpose, matmul, dot, concat, stack,
        take_along_axis, put_along_axis, combine_at, copy, asarray, seed, iadd, is_view,
    )},
    "concatenate": concat,
    "swapaxes": lambda xp, x, axis1, axis2: x.swapaxes(axis1, axis2),
    "astype": lambda xp, x, dtype, copy=True: x.astype(dtype, copy),
    "array": asarray,
    "device_of": _inner("device_of"),
    "data_ptr": _inner("data_ptr"),
    "to_host": lambda xp, x: x,
    "special": lambda xp, name: functools.partial(xp._each, lambda below: below.special(name)),
}  # fmt: skip


# --- the vmaps that run ---


class Level:
    """One vmap while it runs."""

    def __init__(self, size: int, randomness: str) -> None:
        self.size, self.randomness = size, randomness
        self.depth = len(running.levels) + 1
        self.kind = at_depth(self.depth)

    def __enter__(self) -> Level:
        running.levels.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        running.levels.pop()

    def source(self, below: Any) -> Any:
        """The random numbers that a function in this vmap is to draw from.

        Raises RuntimeError if it may not draw any.
        """
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        return below if self.randomness == "same" else Source(self, below)


class Source:
    """Random numbers of which each example gets its own."""

    def __init__(self, level: Level, below: Any) -> None:
        self._level, self._below = level, below

    def __getattr__(self, name: str) -> Callable:
        draw, size, kind = getattr(self._below, name), self._level.size, self._level.kind

        def batched(*args: Any, **attributes: Any) -> Any:
            if name in ("random", "standard_normal", "standard_exponential"):
                shape = args[0] if args else attributes.pop("size", ())
                shape = shape if isinstance(shape, tuple) else (shape,)
                return kind(draw((size, *shape), *args[1:], **attributes))
            return each(draw, kind, size, args, attributes)

        return batched


class _Running(threading.local):
    def __init__(self) -> None:
        self.levels: list[Level] = []  # the innermost is last


running = _Running()

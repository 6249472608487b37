"""Indexing with brackets: `x[...]` and `x[...] = y`, and index_put.

An index is taken apart as PyTorch does it: numbers, slices and None first, which give a view; then, on that, tensors of
integers or booleans, which give a copy. So `x[0, :, [1, 2]]` is `x[0][:, [1, 2]]`, where NumPy would move the second
dimension to the front.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends
from ..autograd.forward import start_tangent, tangent_of, write_tangent, zeros_like
from ..graph.errors import device_error, overlapping
from ..graph.modes import state
from ..graph.node import make
from ..graph.op import Primitive
from ..graph.views import change, check_inplace, mark_view
from ..tensor import Tensor, edge_of, from_array
from .batch import beside
from .convert import to
from .expose import expose
from .shape import unbroadcast

_new = object.__new__


def _place(xp: Any, x: Any, shape: tuple, index: Any) -> Any:
    z = xp.zeros(shape, dtype=x.dtype)
    z[index] = x
    return z


place_at = Primitive(
    "place_at",
    _place,
    {"x": lambda xp, g, index: xp.getitem(g, index)},
    kind="linear",
    samples=lambda make: [(make(2), (3, 2), (1, ...)), (make(2, 3), (4, 3), slice(0, 4, 2)), (make(), (3,), (0, ...))],
)
getitem, select_, new_axis, alias = (
    Primitive(
        name,
        lambda xp, x, index: x[index],
        {"x": lambda xp, g, x_shape, index: xp.place_at(g, x_shape, index)},
        kind="linear",
        node=node,
        view=True,
        samples=lambda make: [(make(2, 3), (1, ...)), (make(4, 3), slice(0, 4, 2)), (make(3), (0, ...)), (make(), ...)],
    )
    for name, node in (
        ("getitem", "SliceBackward0"),
        ("select", "SelectBackward0"),
        ("new_axis", "UnsqueezeBackward0"),
        ("alias", "AliasBackward0"),
    )
)


class Index:
    """What follows the basic part of an index: slices, and tensors of integers or booleans with their version now."""

    __slots__ = ("entries", "version")

    def __init__(self, entries: Sequence[Any]) -> None:
        self.entries = tuple(entries)
        self.version = self._now()

    def _now(self) -> int:
        return sum(e._counter.value for e in self.entries if isinstance(e, Tensor) and e._counter is not None)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the entries."""
        return [e for e in self.entries if isinstance(e, Tensor)]

    def examples(self) -> list[Any]:
        """The arrays in it, which may hold the examples of a vmap."""
        return [t._array for t in self.tensors]

    def example(self, of: Callable[[Any], Any]) -> Index:
        """The index for one example, where `of` gives that of an array."""
        return Index([from_array(of(e._array)) if isinstance(e, Tensor) else e for e in self.entries])

    @property
    def distinct(self) -> bool:
        """Whether no element can be meant twice: the index is one mask."""
        found = self.tensors
        return len(found) == 1 and found[0]._array.dtype.kind == "b"

    def raw(self) -> tuple:
        """The index for raw arrays. Raises RuntimeError if a tensor was changed in place since it was used."""
        if self.version != self._now():
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace "
                "operation: a tensor "
                "that was used as an index was changed afterwards. Index with a clone() of it."
            )
        return tuple(e._array if isinstance(e, Tensor) else e for e in self.entries)


def _spread(xp: Any, x: Any, shape: tuple, index: Index) -> Any:
    z = xp.zeros(shape, dtype=x.dtype)
    if index.distinct:
        z[index.raw()] = x
    else:
        xp.combine_at(z, index.raw(), x)
    return z


spread_indexed = Primitive(
    "spread_indexed",
    _spread,
    {"x": lambda xp, g, index: xp.getitem_indexed(g, index)},
    kind="linear",
    samples=lambda make: [(make(3, 2), (4, 2), _rows(0, 3, 0)), (make(2), (3,), _rows(2, 2))],
)
getitem_indexed, masked_select_ = (
    Primitive(
        name,
        lambda xp, x, index: x[index.raw()],
        {"x": lambda xp, g, x_shape, index: xp.spread_indexed(g, x_shape, index)},
        kind="linear",
        node=node,
        samples=lambda make: [(make(4, 2), _rows(0, 3, 0)), (make(3), _rows(2, 2)), (make(3), _rows())],
    )
    for name, node in (("getitem_indexed", "IndexBackward0"), ("masked_select", "MaskedSelectBackward0"))
)


def _rows(*numbers: int) -> Index:
    """The rows of these numbers."""
    return Index([from_array(backends.host.asarray(numbers, dtype="int64"))])


def _put(xp: Any, x: Any, y: Any, index: Index, accumulate: bool) -> Any:
    z = xp.copy(x)
    if accumulate:
        xp.combine_at(z, index.raw(), y)
    else:
        z[index.raw()] = y
    return z


def _put_x(xp: Any, g: Any, index: Index, accumulate: bool) -> Any:
    return g if accumulate else xp.put_indexed(g, 0, index, False)


put_indexed = Primitive(
    "put_indexed",
    _put,
    {
        "x": _put_x,
        "y": lambda xp, g, y_shape, index, accumulate: unbroadcast(xp, xp.getitem_indexed(g, index), y_shape),
    },
    inputs=2,
    kind="linear",
    node="IndexPutBackward0",
    samples=lambda make: [
        (make(4, 2), make(2, 2), _rows(0, 3), False),
        (make(4, 2), make(2), _rows(0, 0), True),
        (make(3), make(), _rows(1), False),
    ],
)


# --- taking an index apart ---

_INVALID = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})"


def _getitem(self: Tensor, index: Any) -> Tensor:
    """`self[index]`: a view for numbers, slices, None and `...`; a copy where a tensor, list or array is among them.

    Raises IndexError outside of the dimensions, ValueError for steps that are not positive.
    """
    kind = type(index)
    primitive: Primitive | None
    if kind is int:
        index, primitive = (index, ...), select_
    elif kind is slice and index.step is None and type(index.start) in _ENDS and type(index.stop) in _ENDS:
        primitive = getitem
    else:
        basic, primitive, advanced = take_apart(self, index)
        if primitive is not None or not advanced:
            self = _part(self, primitive or alias, basic)
        return _take(self, advanced) if advanced else self
    return _part(self, primitive, index)


_ENDS = (int, type(None))


def _part(x: Tensor, primitive: Primitive, index: Any) -> Tensor:
    """The view of `x` at a basic index; `Primitive.record` for this case, written out as it is used in loops."""
    a = x._array
    try:
        part = a[index]
    except IndexError as error:
        raise _index_error(error, a, index) from None
    t = _new(Tensor)
    t._array = part
    t._grad = t._view = t._meta = t._node = None
    t._rg = False
    if x._view is None:
        edge = x._node
    elif x._view.tangent is None:
        edge = x._view.edge(x)
    else:
        return primitive.record((x,), (index,))
    if edge is not None or x._rg:
        edge = x if edge is None else edge
        if state.grad:
            complex_ = part.dtype.kind == "c"
            cls = primitive._nodes.get((1, 0, complex_))
            if cls is None:
                t._node = primitive.make_node(1, (x,), (edge,), (index,), part, complex_)
            else:
                t._node = make(cls, (edge,), (a.shape, index))
            t._rg = True
    mark_view(t, x, primitive, (index,))
    return t


def _index_error(error: IndexError, a: Any, index: Any) -> IndexError:
    """NumPy's error in PyTorch's words."""
    text = str(error)
    if "too many" not in text:
        return IndexError(text.replace("axis", "dimension"))
    if a.ndim:
        return IndexError(f"too many indices for tensor of dimension {a.ndim}")
    first = index[0] if type(index) is tuple else index
    if type(first) is slice:
        return IndexError("slice() cannot be applied to a 0-dim tensor.")
    if first:
        return IndexError(f"index {first} is out of bounds for dimension 0 with size 0")
    return IndexError(
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
        "convert a 0-dim "
        "tensor to a number"
    )


def take_apart(x: Tensor, index: Any) -> tuple[Any, Primitive | None, list[Any] | None]:
    """The basic part of an index, the primitive that takes it (None if it changes nothing), and the advanced part."""
    entries = [_entry(x, e) for e in (index if isinstance(index, tuple) else (index,))]
    ndim = x._array.ndim
    used = sum(1 if type(e) in (int, slice) else _span(e) for e in entries if e is not None and e is not Ellipsis)
    if used > ndim:
        first = next(e for e in entries if e is not None and e is not Ellipsis)
        if ndim == 0 and type(first) in (int, slice):
            raise _index_error(IndexError("too many"), x._array, first)
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    basic: list[Any] = []
    advanced: list[Any] = []  # one entry for each dimension of the basic part, but one for a mask of several
    primitive, any_tensor, left = None, False, ndim - used
    for e in entries:
        if type(e) is int:
            basic.append(e)
            primitive = select_
        elif type(e) is slice:
            basic.append(e)
            advanced.append(slice(None))
            if e != slice(None) or primitive is None:
                primitive = getitem
        elif e is None:
            basic.append(None)
            advanced.append(slice(None))
            primitive = new_axis
        elif e is Ellipsis:
            basic += [slice(None)] * left
            advanced += [slice(None)] * left
            left = 0
        else:
            any_tensor = True
            if e._array.ndim == 0 and e._array.dtype.kind == "b":  # a 0-d mask chooses on a dimension of its own
                basic.append(None)
                primitive = new_axis
                e = e.reshape(1)
            else:
                basic += [slice(None)] * _span(e)
            advanced.append(e)
    if any_tensor and primitive is getitem and all(type(b) is slice and b == slice(None) for b in basic):
        primitive = None
    return (*basic, ...), primitive, advanced if any_tensor else None


def _span(mask: Tensor) -> int:
    """How many dimensions a tensor indexes."""
    return mask._array.ndim if mask._array.dtype.kind == "b" else 1


def _entry(x: Tensor, e: Any) -> Any:
    """One index as an int, a slice of ints, None, `...`, or a tensor of int64 or bool on the device of `x`."""
    kind = type(e)
    if kind is int or e is None or e is Ellipsis:
        return e
    if kind is slice:
        return _slice(e)
    if isinstance(e, Tensor):
        return _entry_of_tensor(x, e)
    if kind is bool:
        return _on_device(x, from_array(backends.host.asarray(e)))
    if isinstance(e, (list, tuple, range, backends.host.ndarray)):
        from .data import tensor

        made = tensor(list(e) if isinstance(e, range) else e)
        if not made._array.size and not isinstance(e, backends.host.ndarray):
            made = made.long()
        return _entry_of_tensor(x, made)
    if isinstance(e, str):
        raise TypeError(f"new(): invalid data type '{kind.__name__}'")
    if hasattr(e, "__index__"):
        return operator.index(e)
    raise IndexError(_INVALID.format(kind.__name__))


def _slice(s: slice) -> slice:
    ends = [n if n is None or type(n) is int else operator.index(n) for n in (s.start, s.stop, s.step)]
    if ends[2] is not None and ends[2] <= 0:
        raise ValueError("slice step cannot be zero" if ends[2] == 0 else "step must be greater than zero")
    return slice(*ends)


def _entry_of_tensor(x: Tensor, e: Tensor) -> Any:
    d = e._array.dtype
    if d.kind not in "biu":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if d.kind == "u" and d.itemsize == 1:
        warnings.warn(
            "indexing with dtype gradcu.uint8 is now deprecated, please use a dtype gradcu.bool instead.",
            UserWarning,
            stacklevel=4,
        )
        e = from_array(e._array.astype(bool))
    elif d.kind != "b" and not e._array.ndim and not backends.namespaces[type(e._array)].depth:
        return int(e._array)
    return _on_device(x, e)


def same_device(name: str, *tensors: Tensor) -> None:
    """Raise RuntimeError unless all tensors are on one device."""
    places = [t.device for t in tensors]
    if len(set(places)) > 1:
        raise device_error(name, places)


def _on_device(x: Tensor, e: Tensor) -> Tensor:
    if type(e._array) is type(x._array) is backends.host.ndarray or e.device == x.device:
        return e
    if e.device.type != "cpu":
        raise RuntimeError(f"indices should be either on cpu or on the same device as the indexed tensor ({x.device})")
    return to(e, x.device)


_MISMATCH = "shape mismatch: indexing tensors could not be broadcast together with shapes "


def _checked(x: Tensor, entries: Sequence[Any]) -> Index:
    """The advanced index of `x`. Raises IndexError for masks of another shape and tensors that do not broadcast."""
    axis, shape = 0, x._array.shape
    others = []
    for e in entries:
        if isinstance(e, Tensor):
            if e._array.dtype.kind == "b":
                for i, n in enumerate(e._array.shape):
                    if n != shape[axis + i]:
                        raise IndexError(
                            f"The shape of the mask {list(e._array.shape)} at index {i} does not match the "
                            "shape of the "
                            f"indexed tensor {list(shape)} at index {axis + i}"
                        )
                axis += e._array.ndim
                continue
            others.append(e._array.shape)
        axis += 1
    if len(others) > 1:
        try:
            backends.host.broadcast_shapes(*others)
        except ValueError:
            raise IndexError(_MISMATCH + ", ".join(str(list(s)) for s in others)) from None
    return Index(entries)


def _take(x: Tensor, entries: Sequence[Any]) -> Tensor:
    index = _checked(x, entries)
    try:
        return getitem_indexed.record((beside(x, index.tensors),), (index,))
    except RuntimeError as error:
        if "indexing arrays" not in str(error):
            raise
        shapes = re.findall(r"\(([\d, ]*?),?\)", str(error).partition("with shapes")[2])
        raise IndexError(_MISMATCH + ", ".join(f"[{s}]" for s in shapes)) from None
    except IndexError as error:
        raise IndexError(str(error).replace("axis", "dimension")) from None


# --- writing ---


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`, broadcast and converted to the dtype; only the part that is meant is written.

    Gradients flow to `value` and to the rest of the tensor. Raises RuntimeError for shapes that do not broadcast.
    """
    primitive: Primitive | None
    advanced: list[Any] | None
    if type(index) is int:
        basic, primitive, advanced = (index, ...), select_, None
    else:
        basic, primitive, advanced = take_apart(self, index)
    if advanced:
        if not isinstance(value, Tensor):
            value = from_array(backends.namespaces[type(self._array)].asarray(value, dtype=self._array.dtype))
        _put_in_place(self if primitive is None else _part(self, primitive, basic), advanced, value, False, "setitem")
        return
    a = self._array
    try:
        part = a[basic]
    except IndexError as error:
        raise _index_error(error, a, basic) from None
    edge = None
    if isinstance(value, Tensor):
        value = _fitting(value, self, part)
        edge = edge_of(value) if state.grad else None
    check_inplace(self, True, edge is not None)
    try:
        part[...] = value._array if isinstance(value, Tensor) else _plain(value, a)
    except OverflowError:
        raise RuntimeError(f"value cannot be converted to type {self.dtype} without overflow") from None
    except ValueError as error:
        raise (overlapping("setitem") if "read-only" in str(error) else error) from None
    change(self, edge, "setitem", ((primitive or alias, (basic,)),))
    if tangent_of(self) is not None or tangent_of(value) is not None:
        write_tangent(_part(self, primitive or alias, basic), value)


def _plain(value: Any, a: Any) -> Any:
    """A number or array to be written into the array `a`."""
    if isinstance(value, (int, float, complex, backends.host.generic)):
        if a.dtype.kind != "c" and isinstance(value, (complex, backends.host.complexfloating)):
            raise TypeError(f"can't assign a {type(value).__name__} to a {from_array(a).dtype} tensor")
        return value
    if isinstance(value, (list, tuple)):
        raise TypeError(f"can't assign a {type(value).__name__} to a {from_array(a).dtype} tensor")
    return backends.namespaces[type(a)].asarray(value)


def _fitting(value: Tensor, x: Tensor, part: Any) -> Tensor:
    """`value` in the dtype, on the device and in the shape of a part of `x`, by recorded conversions."""
    if value._array.dtype != part.dtype or type(value._array) is not type(part) or value.device != x.device:
        value = to(value, x.device, x.dtype)
    if value._array.shape != part.shape:
        given = value._array.shape
        while len(given) > part.ndim and given[0] == 1:
            given = given[1:]
        if given != value._array.shape:
            value = value.reshape(given)
        value = value.expand(part.shape)
    return value


def _put_in_place(x: Tensor, entries: Sequence[Any], value: Tensor, accumulate: bool, name: str) -> Tensor:
    """Write `value` at an advanced index of `x`, and there alone."""
    index = _checked(x, entries)
    if value._array.dtype != x._array.dtype:
        if name != "setitem":
            raise RuntimeError(
                f"Index put requires the source and destination dtypes match, got {_scalar_name(x)} for the "
                "destination "
                f"and {_scalar_name(value)} for the source."
            )
        value = to(value, x.dtype)
    if value.device != x.device:
        if value._array.ndim:
            raise RuntimeError(f"expected {x.device} as device for value, but got {value.device}")
        value = to(value, x.device)
    a, xp = x._array, backends.namespaces[type(x._array)]
    raw = index.raw()
    edges = (edge_of(x), edge_of(value)) if state.grad else (None, None)
    mask = (edges[0] is not None) | (edges[1] is not None) << 1
    check_inplace(x, False, edges[1] is not None)
    try:
        if not accumulate:
            a[raw] = value._array
        else:
            xp.combine_at(a, raw, value._array)
    except IndexError as error:
        raise IndexError(str(error).replace("axis", "dimension")) from None
    except ValueError:
        target = list(a[raw].shape)
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value._array.shape)} cannot be broadcast to indexing "
            "result of "
            f"shape {target}"
        ) from None
    node = put_indexed.make_node(mask, (x, value), edges, (index, accumulate), a, a.dtype.kind == "c") if mask else None
    change(x, node, name)
    given = tangent_of(value)
    if given is not None or tangent_of(x) is not None:
        given = zeros_like(value) if given is None else given
        _put_in_place(start_tangent(x), entries, given, accumulate, name)
    return x


def _scalar_name(t: Tensor) -> str:
    return t.dtype.type_name


Tensor.__getitem__, Tensor.__setitem__ = _getitem, _setitem  # type: ignore[method-assign, assignment]


def _put_entries(input: Tensor, indices: Any, name: str) -> list[Any]:
    """The indices of index_put as an advanced index; None is a whole dimension."""
    entries = []
    for e in indices:
        if e is None:
            entries.append(slice(None))
        elif isinstance(e, Tensor):
            e = e if e._array.ndim or e._array.dtype.kind == "b" else e.reshape(1)
            entries.append(_entry_of_tensor(input, e))
        else:
            raise TypeError(
                f"{name}(): argument 'indices' (position 1) must be tuple of Tensors, not {type(e).__name__}"
            )
    if sum(1 if type(e) is slice else _span(e) for e in entries) > input._array.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input._array.ndim} (got {len(entries)})")
    return entries


@expose(function=True, name="index_put_")
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Write `values`, broadcast, where the tuple of tensors `indices` points; with accumulate add them.

    Without accumulate, which of several values for one element remains is not defined. Raises RuntimeError if the
    dtypes differ, IndexError for indices out of range.
    """
    return _put_in_place(input, _put_entries(input, indices, "index_put_"), values, accumulate, "index_put_")


@expose()
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """As `index_put_`, in a copy."""
    return index_put_(input.clone(), indices, values, accumulate)

"""Largest and smallest elements, and where they are."""

from __future__ import annotations

from typing import Any

from .. import backends
from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions
from .reduce import Dims, axes, kept, over_axes, tensor_or_raise
from .sort import selection


def _extreme_x(xp: Any, g: Any, x: Any, x_dtype: Any, out: Any, axis: Any, keepdims: bool) -> Any:
    """Elements that tie for the extreme share the gradient equally."""
    there = xp.astype(x == kept(xp, out, axis, keepdims), x_dtype)
    return there * (kept(xp, g, axis, keepdims) / xp.sum(there, axis=axis, keepdims=True))


def _extreme_all_x(xp: Any, g: Any, x: Any, x_dtype: Any, out: Any) -> Any:
    there = xp.astype((x == out) | ((x != x) & (out != out)), x_dtype)
    return there * (g / xp.sum(there))


def _samples_all(make: Any) -> list[tuple]:
    return [(make(2, 3),), (make(),)]


amax_ = Primitive(
    "max",
    lambda xp, x, axis=None, keepdims=False: xp.max(x, axis=axis, keepdims=keepdims),
    {"x": _extreme_x},
    node="AmaxBackward0",
    samples=over_axes,
)
amin_ = Primitive(
    "min",
    lambda xp, x, axis=None, keepdims=False: xp.min(x, axis=axis, keepdims=keepdims),
    {"x": _extreme_x},
    node="AminBackward0",
    samples=over_axes,
)
max_all = Primitive(
    "max_all", lambda xp, x: xp.max(x), {"x": _extreme_all_x}, node="MaxBackward1", samples=_samples_all
)
min_all = Primitive(
    "min_all", lambda xp, x: xp.min(x), {"x": _extreme_all_x}, node="MinBackward1", samples=_samples_all
)
max_at = selection("max_at", "MaxBackward0")
min_at = selection("min_at", "MinBackward0")


def _array(input: Any, name: str, kernel: str) -> Any:
    """The raw array, of a dtype that has an order."""
    a = tensor_or_raise(input, name)
    if a.dtype.kind == "c":
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{input.dtype.type_name}'")
    return a


def check_reduced(a: Any, over: Any, name: str) -> None:
    """Raise IndexError if an axis to reduce is empty, RuntimeError if all of an empty array is to be."""
    if a.size:
        return
    if over is None:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
            "the 'dim' argument."
        )
    for d in (over,) if isinstance(over, int) else over:
        if not a.shape[d]:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _amax_amin(name: str, p: Primitive, doc: str) -> Any:
    def function(input: Tensor, dim: Dims = (), keepdim: bool = False) -> Tensor:
        a = _array(input, name, f"{p.name}_values_cpu")
        over = axes(input, dim)
        check_reduced(a, over, name)
        return p.record((input,), (over, keepdim))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + " Elements that tie share the gradient equally."
    return expose(out="same")(function)


amax = _amax_amin("amax", amax_, "The largest element, of all or over `dim`; NaN if there is one.")
amin = _amax_amin("amin", amin_, "The smallest element, of all or over `dim`; NaN if there is one.")


@expose(out="same")
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(min, max), of all elements or over `dim`, as a named tuple."""
    a = _array(input, "aminmax", "aminmax_cpu")
    if not a.size and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    over = () if dim is None else wrap_dim(dim, a.ndim)
    if over != () and a.ndim and not a.shape[over]:
        raise IndexError(f"aminmax: Expected reduction dim {over} to have non-zero size.")
    return named("aminmax", "min max")(amin(input, over, keepdim), amax(input, over, keepdim))


def _max_min(name: str, whole: Primitive, at: Primitive, pair: Any) -> None:
    def function(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        other = dim if isinstance(dim, Tensor) else other
        if other is not None:
            return pair(input, other)
        if dim is not None and not isinstance(dim, int):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got (Tensor, {type(dim).__name__}), but "
                "expected one of:\n * (Tensor input)\n * (Tensor input, Tensor other)\n"
                " * (Tensor input, int dim, bool keepdim = False)"
            )
        a = _array(input, name, f"{name}_all" if dim is None else f"{name}_values_cpu")
        over = None if dim is None else wrap_dim(dim, a.ndim)
        if not a.size or dim is None:
            check_reduced(a, over, name)
        if over is None:
            return whole.record((input,))
        index = from_array(where_extreme(a, over, keepdim, name))
        return named(name, "values indices")(at.record((input, index), (over, keepdim)), index)

    best = "largest" if name == "max" else "smallest"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The {best} element; over `dim` the pair (values, indices); of two tensors, `{name}imum`.

    Elements that tie share the gradient equally, but with `dim` it goes to the one that is indexed.
    Raises IndexError for a dimension of no elements, RuntimeError for no elements at all.

    >>> {name}(tensor([[1.0, 3.0], [2.0, 0.0]]), dim=1).indices
    tensor({"[1, 0]" if name == "max" else "[0, 1]"})
    """
    expose(out="same")(function)


def where_extreme(a: Any, axis: int, keepdims: bool, name: str) -> Any:
    """The positions of the first extreme elements, or NaN, along an axis; int64."""
    xp = backends.namespaces[type(a)]
    find = xp.argmax if name == "max" else xp.argmin
    return xp.asarray(find(a, axis=axis, keepdims=keepdims) if a.ndim else 0)


_max_min("max", max_all, max_at, functions["maximum"])
_max_min("min", min_all, min_at, functions["minimum"])


def _arg(name: str, extreme: str) -> None:
    def function(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        a = tensor_or_raise(input, name)
        if a.dtype.kind in "bc":
            raise RuntimeError(f"{name}(): does not support {'bool' if a.dtype.kind == 'b' else 'complex'} input")
        over = None if dim is None else wrap_dim(dim, a.ndim)
        if not a.size:
            if over is None:
                raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
            check_reduced(a, over, name)
        if over is None:
            index = where_extreme(a.reshape(-1), 0, False, extreme)
            return from_array(index.reshape((1,) * a.ndim) if keepdim else index)
        return from_array(where_extreme(a, over, keepdim, extreme))

    best = "largest" if extreme == "max" else "smallest"
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Where the {best} element (the first of several, NaN before all) is, flattened or over `dim`."
    expose(out="same")(function)


_arg("argmax", "max")
_arg("argmin", "min")

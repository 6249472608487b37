"""Elementwise operations: how they are declared, and the short way for the common case.

The short way is taken for float32 and float64 on the CPU, where no operand needs converting. It does what
`Primitive.record` does, written out for one and for two operands, because here every 0.1 us counts.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..backends import native
from ..graph.errors import device_error, explain, wrong_argument
from ..graph.modes import state
from ..graph.node import make
from ..graph.op import Primitive, parameters
from ..graph.version import InferenceVersion
from ..tensor import Tensor, from_array
from .out import write_out

_new = object.__new__
_ndarray = HOST = backends.host.ndarray
#: the arrays that take the short way: none while every operation is to be seen (`intercept.py`)
short: Any = HOST
_asarray = backends.host.asarray
_f32, _f64 = dtypes.float32.numpy, dtypes.float64.numpy


def _unary(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    raise NotImplementedError


_UNARY = inspect.signature(_unary)  # what `help` shows for functions of one tensor alone


class Elementwise(Primitive):
    """An elementwise operation.

    result: "same" (the promoted dtype of the operands), "float" (that, but integers become the default dtype) or
        "bool" (computed in the promoted dtype, never differentiated).
    kinds: the dtypes it is defined for: b(oolean), i(nteger), f(loating), c(omplex).
    forward: a formula, or the name of a function of the namespace.
    """

    def __init__(
        self,
        name: str,
        forward: str | Callable,
        *vjps: Callable | None,
        result: str = "same",
        kinds: str = "bifc",
        operands: int = 0,
        **more: Any,
    ) -> None:
        count = operands or max(1, len(vjps))
        if isinstance(forward, str):
            direct = getattr(backends.host, forward)
            names = ", ".join(("x", "y", "z", "w")[:count])
            formula: Callable = eval(f"lambda xp, {names}: xp.{forward}({names})")
        else:
            direct, formula = None, forward
        vjp = dict(zip(parameters(formula)[1:], vjps, strict=False)) if vjps else None
        super().__init__(name, formula, vjp, inputs=count, kind="elementwise", **more)
        self.result, self.kinds = result, kinds
        self.direct = direct if direct is not None else functools.partial(formula, backends.host)
        self.ufunc = direct if isinstance(direct, backends.host.ufunc) else None
        steps = 2 if direct is None and name not in native.FASTER else 1  # from which a kernel pays
        self.kernel = native.Kernel(lambda xp, *args: [xp.apply(self, *args)], steps)
        self.large, self.least = self._large(direct is None)

    def _large(self, composed: bool) -> tuple[Callable, float]:
        """What to call in place of `direct` for large raw arrays on the CPU, and the number of elements from which.

        A formula is compiled into one loop; a single call of NumPy only if that is slow or threads can share the work.
        """
        if self.result == "bool" and not composed:
            return self.direct, math.inf
        alone = composed or self.name in native.FASTER
        least = native.SMALL if composed else 4 * native.SMALL if alone else native.LARGE
        kernel, direct = self.kernel, self.direct

        def large(*args: Any) -> Any:
            results = kernel(*args) if alone or native.get_num_threads() > 1 else None
            return direct(*args) if results is None else results[0]

        def on_host(xp: Any, *args: Any) -> Any:
            worth = any(type(a) is _ndarray and a.size >= least for a in args)
            return large(*args) if worth else direct(*args)

        self.on_host = on_host
        return large, least

    def __call__(self, *args: Any, **attributes: Any) -> Any:
        n = len(self.inputs)
        rest = tuple(args[n:]) + tuple(
            attributes.get(a, self._defaults.get(a)) for a in self.attributes[len(args) - n :]
        )
        return self.apply(args[:n], rest)

    def apply(self, args: Any, attributes: tuple = ()) -> Tensor:
        """Bring operands to one dtype and device, by recorded conversions, and record."""
        return self.record(self.prepare(args), attributes)

    def record(self, inputs: Any, attributes: tuple = ()) -> Any:
        """As any primitive's; bfloat16 is computed in float32, which its arrays would become beside a number."""
        if any(isinstance(t, Tensor) and t._array.dtype.kind == "V" for t in inputs):
            wide = [t.to(dtypes.float32) if isinstance(t, Tensor) and t.dtype is dtypes.bfloat16 else t for t in inputs]
            result = super().record(wide, attributes)
            return result.to(dtypes.bfloat16) if result.dtype is dtypes.float32 else result
        return super().record(inputs, attributes)

    def prepare(self, args: Any) -> Any:
        """The operands in one dtype and on one device."""
        if "f" in self.kinds and _alike(args):
            return args
        ranked, devices_seen = [], []
        for t in args:
            if isinstance(t, Tensor):
                a = t._array
                ranked.append((0 if a.ndim else 1, t.dtype))
                if a.ndim or len(args) == 1:
                    devices_seen.append(t.device)
            elif t is not None:
                try:
                    ranked.append((2, dtypes.of_scalar(t)))
                except TypeError:
                    raise TypeError(
                        f"{self.name}(): argument must be Tensor or Number, not {type(t).__name__}"
                    ) from None
        common = dtypes.promote(ranked)
        if self.result == "float" and common.category < 2:
            common = dtypes.get_default_dtype()
        if "bifc"[common.category] not in self.kinds:
            raise NotImplementedError(f"\"{self.name}\" not implemented for '{common.type_name}'")
        if len(set(devices_seen)) > 1:
            raise device_error(self.name, devices_seen)
        prepared = []
        for t in args:
            if isinstance(t, Tensor):
                if t.dtype is not common:
                    t = t.to(common)
                if devices_seen and not t._array.ndim and t.device != devices_seen[0]:
                    if t.device.type != "cpu":
                        raise device_error(self.name, [devices_seen[0], t.device])
                    t = t.to(devices_seen[0])
            elif t is not None:
                t = _number(t, common)
            prepared.append(t)
        if not any(isinstance(t, Tensor) for t in prepared):  # the dtype must be the common one, not Python's
            prepared[0] = from_array(_asarray(prepared[0], dtype=common.numpy))
        return prepared

    def unary(self) -> Callable:
        """The function of one tensor, and of attributes in order, with the short way."""
        direct, slow, name = self.direct, self.apply, self.name
        large, least = self.large, self.least
        key = (1, 0, False)
        differentiable, nodes = self.vjp is not None, self._nodes
        f32, f64 = (_f32, _f64) if "f" in self.kinds else (None, None)

        def function(input: Tensor, *attributes: Any, out: Tensor | None = None) -> Tensor:
            try:
                a = input._array
            except AttributeError:
                raise wrong_argument(name, "input", 1, input) from None
            d = a.dtype
            if (d is not f32 and d is not f64) or type(a) is not short or out is not None:
                result = slow((input,), attributes)
                return result if out is None else write_out(result, out, name, (input,))
            view = input._view
            if view is None:
                edge = input._node
            elif view.tangent is None:
                edge = view.edge(input)
            else:
                return slow((input,), attributes)
            r = direct(a, *attributes) if a.size < least else large(a, *attributes)
            if type(r) is not _ndarray:
                r = _asarray(r)
            t = _new(Tensor)
            t._array = r
            t._grad = t._counter = t._view = t._meta = None
            if edge is None and input._rg:
                edge = input
            if edge is None or not differentiable or not state.grad:
                t._node, t._rg = None, False
                if state.inference:
                    t._counter = InferenceVersion()
                return t
            cls = nodes.get(key) or self._make_class(key, 1, 0, False)
            tensors = (input,)
            version = 0 if input._counter is None else cls.count(tensors)
            t._node = make(cls, (edge,), cls.save(tensors, attributes, r), None, version)
            t._rg = True
            return t

        function.__name__ = function.__qualname__ = self.name
        function.ufunc = self.ufunc  # type: ignore[attr-defined]  # in-place forms write with it
        if not self.attributes:
            function.__signature__ = _UNARY  # type: ignore[attr-defined]
        return function

    def binary(self) -> Callable:
        """The operator of two operands, with the short way; NotImplemented for operands of foreign types."""
        direct, apply, name = self.direct, self.apply, self.name
        large, least = self.large, self.least
        differentiable, nodes = self.vjp is not None, self._nodes
        if "f" not in self.kinds:
            return lambda x, y: apply((x, y)) if isinstance(y, Tensor) or is_number(y) else NotImplemented

        def operator(x: Any, y: Any) -> Any:
            a = x._array
            view = x._view
            if view is None:
                x_edge = x._node
            elif view.tangent is None:
                x_edge = view.edge(x)
            else:
                return apply((x, y)) if isinstance(y, Tensor) or is_number(y) else NotImplemented
            kind = type(y)
            if kind is float or kind is int:
                d = a.dtype
                if (d is not _f32 and d is not _f64) or type(a) is not short:
                    return apply((x, y))
                r = direct(a, y) if a.size < least else large(a, y)
                if type(r) is not _ndarray:
                    r = _asarray(r)
                y_edge, scalars = None, 2
            else:
                try:
                    b = y._array
                except AttributeError:
                    return apply((x, y)) if is_number(y) else NotImplemented
                d = a.dtype
                if (
                    d is not b.dtype
                    or (d is not _f32 and d is not _f64)
                    or type(a) is not short
                    or type(b) is not short
                ):
                    return apply((x, y))
                view = y._view
                if view is None:
                    y_edge = y._node
                elif view.tangent is None:
                    y_edge = view.edge(y)
                else:
                    return apply((x, y))
                try:
                    r = direct(a, b) if a.size < least else large(a, b)
                except Exception as error:
                    raise explain(name, (x, y), error) from error
                if type(r) is not _ndarray:
                    r = _asarray(r)
                if y_edge is None and y._rg:
                    y_edge = y
                scalars = 0
            t = _new(Tensor)
            t._array = r
            t._grad = t._counter = t._view = t._meta = None
            if x_edge is None and x._rg:
                x_edge = x
            if x_edge is None:
                mask = 0 if y_edge is None else 2
            else:
                mask = 1 if y_edge is None else 3
            if not mask or not differentiable or not state.grad:
                t._node, t._rg = None, False
                if state.inference:
                    t._counter = InferenceVersion()
                return t
            t._rg = True
            key = (mask, scalars, False)
            cls = nodes.get(key) or self._make_class(key, mask, scalars, False)
            saved, version = (), 0
            if cls.saves:
                tensors = (x, y)
                saved = cls.save(tensors, (), r)
                if x._counter is not None or (not scalars and y._counter is not None):
                    version = cls.count(tensors)
            shapes = None
            if not scalars:
                x_shape, y_shape = a.shape, b.shape
                if x_shape != y_shape:
                    full = r.shape
                    shapes = (None if x_shape == full else x_shape, None if y_shape == full else y_shape)
            t._node = make(cls, (x_edge, y_edge), saved, shapes, version)
            return t

        operator.__name__ = operator.__qualname__ = self.name
        operator.ufunc = self.ufunc  # type: ignore[attr-defined]
        return operator

    def reflected(self) -> Callable:
        """The operator with a number on the left, the tensor being `self`; NotImplemented for foreign types."""
        direct, apply, key = self.direct, self.apply, (2, 1, False)
        large, least = self.large, self.least
        differentiable, nodes = self.vjp is not None, self._nodes

        def operator(y: Any, x: Any) -> Any:
            a = y._array
            kind = type(x)
            d = a.dtype
            if (kind is not float and kind is not int) or (d is not _f32 and d is not _f64) or type(a) is not short:
                return apply((x, y)) if is_number(x) or isinstance(x, Tensor) else NotImplemented
            view = y._view
            if view is None:
                edge = y._node
            elif view.tangent is None:
                edge = view.edge(y)
            else:
                return apply((x, y))
            r = direct(x, a) if a.size < least else large(x, a)
            if type(r) is not _ndarray:
                r = _asarray(r)
            t = _new(Tensor)
            t._array = r
            t._grad = t._counter = t._view = t._meta = None
            if edge is None and y._rg:
                edge = y
            if edge is None or not differentiable or not state.grad:
                t._node, t._rg = None, False
                if state.inference:
                    t._counter = InferenceVersion()
                return t
            t._rg = True
            cls = nodes.get(key) or self._make_class(key, 2, 1, False)
            tensors = (x, y)
            version = 0 if y._counter is None else cls.count(tensors)
            t._node = make(cls, (None, edge), cls.save(tensors, (), r), None, version)
            return t

        operator.__name__ = operator.__qualname__ = f"r{self.name}"
        return operator


def _alike(args: Any) -> bool:
    """Whether operands need no conversion: float32 or float64 on the CPU, or Python numbers."""
    common = None
    for t in args:
        if isinstance(t, Tensor):
            a = t._array
            d = a.dtype
            if common is None and (d is _f32 or d is _f64):
                common = d
            if d is not common or type(a) is not _ndarray:
                return False
        elif t is not None and type(t) is not float and type(t) is not int:
            return False
    return common is not None


def is_number(y: Any) -> bool:
    """Whether an operand counts as a Python number."""
    return isinstance(y, (int, float, complex, backends.host.generic))


def _number(value: Any, common: dtypes.dtype) -> Any:
    """A Python number for an operation in the dtype `common`: integers wrap around as they do in C."""
    if hasattr(value, "item"):
        value = value.item()
    if common.category == 1 and isinstance(value, int):
        bits = common.itemsize * 8
        value &= (1 << bits) - 1
        if common.is_signed and value >> (bits - 1):
            value -= 1 << bits
    elif common.category == 2 and isinstance(value, int):
        value = float(value)
    return value

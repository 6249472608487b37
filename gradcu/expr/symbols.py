"""Symbols, and the namespace that formulas are given to be traced.

The third thing that `xp` can be: its functions record what they are asked to compute. A name that is no basic function
is that of a declared operation, whose own formula is traced in its place; so composite functions come out as one
expression. Equal parts of an expression are one symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy


class NotPointwise(TypeError):
    """A formula asked something of a symbol that only an array, or a number, can answer."""


class Symbol:
    """A value in an expression: `op` applied to `args`.

    Symbols take the place of arrays in formulas (see `Trace`), and in tensors too (see `backends.traced`). Each stands
    for any one element, so all have the same shape, which is not told.

    Arguments of the kernel are the ops "array" (an element of a contiguous one), "row" (of one whose rows are
    contiguous), "column" (which has one element for each row), "strided" (any other), "uniform" (one element in place
    of an array) and "number" (Python's own), with their name as the one arg; a "constant" has its number. What is
    computed from numbers and constants alone is a number too: a double, as in Python.
    """

    __slots__ = ("args", "boolean", "number", "op", "trace")
    __array_ufunc__ = None  # NumPy's functions refuse symbols, instead of making arrays of objects

    def __init__(self, trace: Trace, op: str, args: tuple, boolean: bool, number: bool) -> None:
        self.trace, self.op, self.args, self.boolean, self.number = trace, op, args, boolean, number

    base = None  # as of an array that is nobody's view

    @property
    def strides(self) -> tuple:
        raise NotPointwise("it changes a tensor in place (give the result a name of its own), or asks for strides")

    @property
    def shape(self) -> tuple:
        return _any_shape

    @property
    def size(self) -> int:
        raise NotPointwise("it asks for the number of elements, or for their values")

    @property
    def dtype(self) -> Any:
        """The raw dtype that the expression is traced for: formulas may branch on it."""
        return self.trace.boolean if self.boolean else self.trace.dtype

    @property
    def ndim(self) -> Any:
        """Any number of dimensions, or none if this is a number: only that may be asked."""
        return 0 if self.number else _unknown

    def astype(self, dtype: Any, copy: bool = True) -> Symbol:
        return self.trace.astype(self, dtype)

    def __bool__(self) -> bool:
        raise NotPointwise("a formula branches on data: use xp.where")

    def __neg__(self) -> Symbol:
        return self.trace.make("negative", self)

    def __pos__(self) -> Symbol:
        return self

    def __invert__(self) -> Symbol:
        return self.trace.make("logical_not", self)

    def __abs__(self) -> Symbol:
        return self.trace.make("abs", self)

    def __getitem__(self, index: Any) -> Any:
        raise NotPointwise("it takes elements by their index")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NotPointwise("a tensor is changed in place: give the result a name of its own")

    def __getattr__(self, name: str) -> Any:
        raise NotPointwise(f"a symbol has no {name}: the formula is not pointwise")

    __hash__ = object.__hash__


class _AnyShape(tuple):
    """A shape that is equal to itself, and not known."""

    def __iter__(self) -> Any:
        raise NotPointwise("it asks for the shape: what is pointwise is the same for all shapes")


class _Unknown:
    """A number of dimensions that is not known."""

    def _asked(self, *other: Any) -> Any:
        raise NotPointwise("it asks for the shape: what is pointwise is the same for all shapes")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __index__ = _asked
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = __hash__ = _asked


_any_shape, _unknown = _AnyShape(), _Unknown()


def _operator(name: str, op: str, reflected: bool = False) -> None:
    def operator(self: Symbol, other: Any) -> Any:
        return self.trace.make(op, other, self) if reflected else self.trace.make(op, self, other)

    setattr(Symbol, name, operator)


for _name, _op in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow",
    "and": "logical_and", "or": "logical_or", "xor": "logical_xor",
}.items():  # fmt: skip
    _operator(f"__{_name}__", _op)
    _operator(f"__r{_name}__", _op, reflected=True)
for _name, _op in {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}.items():  # fmt: skip
    _operator(f"__{_name}__", _op)

#: basic functions: name -> C++ over {0}, {1}, ...; T is the kernel's type, m(f) the C library's f for it. There is no
#: && and no ||: loops with branches have no vector instructions
BASIC = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "negative": "-{0}", "square": "{0} * {0}", "reciprocal": "T(1) / {0}", "abs": "m(fabs)({0})",
    "exp": "m(exp)({0})", "exp2": "m(exp2)({0})", "expm1": "m(expm1)({0})", "log": "m(log)({0})",
    "log2": "m(log2)({0})", "log10": "m(log10)({0})", "log1p": "m(log1p)({0})", "sqrt": "m(sqrt)({0})",
    "sin": "m(sin)({0})", "cos": "m(cos)({0})", "tan": "m(tan)({0})", "asin": "m(asin)({0})", "acos": "m(acos)({0})",
    "atan": "m(atan)({0})", "sinh": "m(sinh)({0})", "cosh": "m(cosh)({0})", "tanh": "m(tanh)({0})",
    "asinh": "m(asinh)({0})", "acosh": "m(acosh)({0})", "atanh": "m(atanh)({0})",
    "erf": "m(erf)({0})", "erfc": "m(erfc)({0})", "floor": "m(floor)({0})", "ceil": "m(ceil)({0})",
    "trunc": "m(trunc)({0})", "round": "m(nearbyint)({0})",
    "atan2": "m(atan2)({0}, {1})", "hypot": "m(hypot)({0}, {1})",
    "copysign": "m(copysign)({0}, {1})", "pow": "m(pow)({0}, {1})",
    "maximum": "(({0} > {1}) | ({0} != {0}) ? {0} : {1})", "minimum": "(({0} < {1}) | ({0} != {0}) ? {0} : {1})",
    "fmax": "(({0} > {1}) | ({1} != {1}) ? {0} : {1})", "fmin": "(({0} < {1}) | ({1} != {1}) ? {0} : {1})",
    "sign": "({0} != {0} ? {0} : T(({0} > T(0)) - ({0} < T(0))))", "where": "({0} ? {1} : {2})",
    "less": "{0} < {1}", "less_equal": "{0} <= {1}", "greater": "{0} > {1}", "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "isnan": "{0} != {0}",
    "isfinite": "m(fabs)({0}) < T(__builtin_inf())", "isinf": "m(fabs)({0}) == T(__builtin_inf())",
    "logical_not": "!{0}", "logical_and": "{0} & {1}", "logical_or": "{0} | {1}", "logical_xor": "{0} != {1}",
}  # fmt: skip
BOOLEAN = frozenset(
    "less less_equal greater greater_equal equal not_equal isnan isfinite isinf "
    "logical_not logical_and logical_or logical_xor".split()
)
SAME = {
    "power": "pow", "absolute": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "true_divide": "divide", "rint": "round",
}  # fmt: skip
STRIDED = ("row", "column", "strided")  # the arguments whose elements are found by steps
ARGUMENTS = ("array", *STRIDED, "uniform", "number")


def _logaddexp(xp: Trace, x: Any, y: Any) -> Symbol:
    """The larger, and what the other adds to it; equal infinities have no difference."""
    return xp.where(xp.equal(x, y), x + math.log(2), xp.maximum(x, y) + xp.log1p(xp.exp(-abs(x - y))))


def _of_masks(xp: Trace, op: str, *masks: Any) -> Symbol:
    """Operations on bits, which those of numbers are not asked for."""
    if not all(isinstance(m, bool) or (isinstance(m, Symbol) and m.boolean) for m in masks):
        raise NotPointwise(f"{op} of floating numbers")
    return xp.make(op, *masks)


#: functions of NumPy's that are none of C++'s, by formula
COMPOSITE: dict[str, Callable] = {
    "logaddexp": _logaddexp,
    "signbit": lambda xp, x: xp.copysign(1.0, x) < 0,
    "zeros_like": lambda xp, x: xp.constant(0),
    "ones_like": lambda xp, x: xp.constant(1),
    "bitwise_and": lambda xp, x, y: _of_masks(xp, "logical_and", x, y),
    "bitwise_or": lambda xp, x, y: _of_masks(xp, "logical_or", x, y),
    "bitwise_xor": lambda xp, x, y: _of_masks(xp, "logical_xor", x, y),
    "bitwise_invert": lambda xp, x: _of_masks(xp, "logical_not", x),
    "conj": lambda xp, x: x,
    "real": lambda xp, x: x,
}


class Trace:
    """One expression in the making, for one dtype; also the namespace `xp` that the formulas are given."""

    def __init__(self, dtype: Any, lacking: Collection[str] = ()) -> None:
        """`lacking` are basic functions to be traced by their formulas, because they cannot be called."""
        self.dtype, self.boolean, self.lacking = dtype, numpy.dtype(bool), lacking
        self.symbols: dict[tuple, Symbol] = {}
        self.arguments: list[Symbol] = []
        self._within: set[str] = set()  # the operations whose formulas are being traced

    def argument(self, kind: str, name: str) -> Symbol:
        """The symbol of an argument of the kernel; its kind is one of ARGUMENTS, or "array bool" for a mask."""
        op, _, boolean = kind.partition(" ")
        symbol = Symbol(self, op, (name,), bool(boolean), op == "number")
        self.arguments.append(symbol)
        return symbol

    def constant(self, value: float) -> Symbol:
        """The symbol of a number that is written into the kernel."""
        return self._unique("constant", (repr(float(value)), float(value)), False, True)

    def _unique(self, op: str, args: tuple, boolean: bool, number: bool) -> Symbol:
        key = (op, *(id(a) if isinstance(a, Symbol) else a for a in args))
        found = self.symbols.get(key)
        if found is None:
            found = self.symbols[key] = Symbol(self, op, args, boolean, number)
        return found

    def make(self, op: str, *operands: Any) -> Symbol:
        """A basic function of symbols and numbers."""
        text = BASIC[op]
        if len(operands) != 1 + ("{1}" in text) + ("{2}" in text):
            raise NotPointwise(f"{op} of {len(operands)} operands")
        args = tuple(self.symbol(a) for a in operands)
        if op == "pow" and args[1].number:
            if args[1].op != "constant":
                raise NotPointwise("which multiplications a power takes depends on the exponent")
            exponent = args[1].args[1]
            if exponent == 2:
                return self.make("multiply", args[0], args[0])
            if exponent == 3:
                return self.make("multiply", self.make("multiply", args[0], args[0]), args[0])
            if exponent == 1:
                return args[0]
            if exponent == -1:
                return self.make("reciprocal", args[0])
        if op.startswith("logical_"):
            args = tuple(a if a.boolean else self.make("not_equal", a, 0) for a in args)
        if op == "where" and not args[0].boolean:
            args = (self.make("not_equal", args[0], 0), *args[1:])
        boolean = op in BOOLEAN or (op == "where" and args[1].boolean and args[2].boolean)
        return self._unique(op, args, boolean, all(a.number for a in args))

    def symbol(self, value: Any) -> Symbol:
        """A symbol, or the constant that a number is."""
        if isinstance(value, Symbol):
            return value
        if isinstance(value, (bool, int, float)):
            return self.constant(value)
        raise NotPointwise(f"it computes with {type(value).__name__} from elsewhere: make that an argument")

    def astype(self, x: Symbol, dtype: Any, copy: bool = True) -> Symbol:
        if dtype != self.dtype:
            raise NotPointwise("a formula changes the dtype")
        return self.make("where", x, 1.0, 0.0) if x.boolean else x

    def apply(self, primitive: Any, *args: Any, **attributes: Any) -> Any:
        """A declared operation: the basic function of its name, if there is one, else its formula."""
        name = SAME.get(primitive.name, primitive.name)
        by_formula = name == "sign" or name in self.lacking  # the sign of NaN is NaN in NumPy, 0 in PyTorch
        if (name in BASIC or name in COMPOSITE) and not by_formula:
            return getattr(self, name)(*args, **attributes)
        if name in self._within:
            raise NotPointwise(f"{name} is computed by the array library alone")
        self._within.add(name)
        try:
            return primitive.forward(self, *args, **attributes)
        finally:
            self._within.discard(name)

    def __getattr__(self, name: str) -> Callable:
        name = SAME.get(name, name)
        if name in BASIC and name not in self.lacking:
            return lambda *operands: self.make(name, *operands)
        if name in COMPOSITE:
            return lambda *operands: COMPOSITE[name](self, *operands)
        from ..graph.op import registry

        primitive = registry.get(name)
        if primitive is None or primitive.kind != "elementwise":
            raise NotPointwise(f"{name} is no function of single elements")
        return lambda *args, **attributes: self.apply(primitive, *args, **attributes)


def parts(results: Iterable[Symbol]) -> list[Symbol]:
    """All symbols that results are computed from and the results, each once and after what it needs."""
    ordered: dict[int, Symbol] = {}
    for result in results:
        stack = [result]
        while stack:
            s = stack[-1]
            missing = [a for a in s.args if isinstance(a, Symbol) and id(a) not in ordered]
            if missing:
                stack += reversed(missing)
            else:
                ordered[id(s)] = s
                stack.pop()
    return list(ordered.values())


def steps(results: Iterable[Symbol]) -> int:
    """The number of functions that are computed for each element."""
    return sum(s.op not in ARGUMENTS and not s.number for s in parts(results))

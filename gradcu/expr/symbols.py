"""Symbols, and the namespace that formulas are given to be traced.

The third thing that `xp` can be: its functions record what they are asked to compute. A name that is no basic function
is that of a declared operation, whose own formula is traced in its place; so composite functions come out as one
expression. Equal parts of an expression are one symbol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class NotPointwise(TypeError):
    """A formula asked something of a symbol that only an array can answer."""


class Symbol:
    """A value in an expression: `op` applied to `args`; an input has its name, a constant its number as the one arg."""

    __slots__ = ("args", "boolean", "op", "trace")

    def __init__(self, trace: Trace, op: str, args: tuple, boolean: bool) -> None:
        self.trace, self.op, self.args, self.boolean = trace, op, args, boolean

    @property
    def dtype(self) -> Any:
        """The raw dtype that the expression is traced for: formulas may branch on it."""
        return self.trace.dtype

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

    def __getattr__(self, name: str) -> Any:
        raise NotPointwise(f"a symbol has no {name}: the formula is not pointwise")

    __hash__ = object.__hash__


def _operator(name: str, op: str, reflected: bool) -> None:
    def operator(self: Symbol, other: Any) -> Any:
        return self.trace.make(op, other, self) if reflected else self.trace.make(op, self, other)

    setattr(Symbol, name, operator)


for _name, _op in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow",
    "and": "logical_and", "or": "logical_or",
}.items():  # fmt: skip
    _operator(f"__{_name}__", _op, False)
    _operator(f"__r{_name}__", _op, True)
for _name, _op in {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}.items():  # fmt: skip
    _operator(f"__{_name}__", _op, False)

#: basic functions: name -> C++ over {0}, {1}, ...; T is the kernel's type, m(f) the C library's f for it
BASIC = {
    "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}",
    "negative": "-{0}", "square": "{0} * {0}", "reciprocal": "T(1) / {0}", "abs": "m(fabs)({0})",
    "exp": "m(exp)({0})", "exp2": "m(exp2)({0})", "expm1": "m(expm1)({0})", "log": "m(log)({0})",
    "log2": "m(log2)({0})", "log10": "m(log10)({0})", "log1p": "m(log1p)({0})", "sqrt": "m(sqrt)({0})",
    "sin": "m(sin)({0})", "cos": "m(cos)({0})", "tan": "m(tan)({0})", "asin": "m(asin)({0})", "acos": "m(acos)({0})",
    "atan": "m(atan)({0})", "sinh": "m(sinh)({0})", "cosh": "m(cosh)({0})", "tanh": "m(tanh)({0})",
    "asinh": "m(asinh)({0})", "acosh": "m(acosh)({0})", "atanh": "m(atanh)({0})",
    "erf": "m(erf)({0})", "erfc": "m(erfc)({0})", "floor": "m(floor)({0})", "ceil": "m(ceil)({0})",
    "trunc": "m(trunc)({0})", "round": "m(nearbyint)({0})", "atan2": "m(atan2)({0}, {1})", "hypot": "m(hypot)({0}, {1})",
    "copysign": "m(copysign)({0}, {1})", "pow": "m(pow)({0}, {1})",
    "maximum": "({0} > {1} || {0} != {0} ? {0} : {1})", "minimum": "({0} < {1} || {0} != {0} ? {0} : {1})",
    "sign": "({0} != {0} ? {0} : T(({0} > T(0)) - ({0} < T(0))))", "where": "({0} ? {1} : {2})",
    "less": "{0} < {1}", "less_equal": "{0} <= {1}", "greater": "{0} > {1}", "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "isnan": "{0} != {0}",
    "logical_not": "!{0}", "logical_and": "{0} && {1}", "logical_or": "{0} || {1}",
}  # fmt: skip
BOOLEAN = frozenset(
    "less less_equal greater greater_equal equal not_equal isnan logical_not logical_and logical_or".split()
)
SAME = {"power": "pow", "absolute": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2",
        "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "true_divide": "divide", "rint": "round"}  # fmt: skip


class Trace:
    """One expression in the making, for one dtype; also the namespace `xp` that the formulas are given."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.symbols: dict[tuple, Symbol] = {}
        self.inputs: list[str] = []

    def input(self, name: str) -> Symbol:
        """The symbol of an array argument."""
        if name not in self.inputs:
            self.inputs.append(name)
        return self.unique("input", (name,), False)

    def constant(self, value: float) -> Symbol:
        """The symbol of a number."""
        return self.unique("constant", (repr(float(value)), float(value)), False)

    def unique(self, op: str, args: tuple, boolean: bool) -> Symbol:
        key = (op, *(id(a) if isinstance(a, Symbol) else a for a in args))
        found = self.symbols.get(key)
        if found is None:
            found = self.symbols[key] = Symbol(self, op, args, boolean)
        return found

    def make(self, op: str, *operands: Any) -> Symbol:
        """A basic function of symbols and numbers."""
        args = tuple(self.symbol(a) for a in operands)
        if op == "pow" and args[1].op == "constant":
            exponent = args[1].args[1]
            if exponent == 2:
                return self.make("multiply", args[0], args[0])
            if exponent == 3:
                return self.make("multiply", self.make("multiply", args[0], args[0]), args[0])
            if exponent == 1:
                return args[0]
            if exponent == -1:
                return self.make("reciprocal", args[0])
        boolean = op in BOOLEAN or (op == "where" and args[1].boolean and args[2].boolean)
        return self.unique(op, args, boolean)

    def symbol(self, value: Any) -> Symbol:
        """A symbol, or the constant that a number is."""
        if isinstance(value, Symbol):
            return value
        if isinstance(value, (bool, int, float)):
            return self.constant(value)
        raise NotPointwise(f"a formula combines symbols with {type(value).__name__}")

    # --- the namespace: basic functions by name, and what is none of them ---

    def astype(self, x: Symbol, dtype: Any, copy: bool = True) -> Symbol:
        if dtype != self.dtype:
            raise NotPointwise("a formula changes the dtype")
        return self.make("where", x, 1.0, 0.0) if x.boolean else x

    def conj(self, x: Symbol) -> Symbol:
        return x

    real = conj

    def knows(self, name: str) -> bool:
        """Whether C++ has this function, so that no formula is needed."""
        return SAME.get(name, name) in BASIC

    def steps(self) -> int:
        """The number of basic functions in the expression so far."""
        return sum(s.op not in ("input", "constant") for s in self.symbols.values())

    def zeros_like(self, x: Symbol) -> Symbol:
        return self.constant(0)

    def ones_like(self, x: Symbol) -> Symbol:
        return self.constant(1)

    def __getattr__(self, name: str) -> Callable:
        name = SAME.get(name, name)
        if name in BASIC:
            return lambda *operands: self.make(name, *operands)
        from ..graph.op import registry

        primitive = registry.get(name)
        if primitive is None or primitive.kind != "elementwise":
            raise NotPointwise(f"{name} is no function of single elements")
        return lambda *args, **attributes: primitive.forward(self, *args, **attributes)

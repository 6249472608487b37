"""The namespace of these arrays, which picks a rule for each function."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import arrays, host, innermost, namespaces
from ..lookup import declared
from .arrays import Batched, highest, stacked
from .examples import each, size_of, within
from .rules import MATRICES, OPERATIONS, RULES, WHOLE, fourier, pointwise_rule

#: the operations that lead into a vmap and out of it, which see these arrays as they are
PASSAGES = frozenset(("batch", "unbatch", "lift", "sum_of_examples"))


@functools.cache
def at_depth(depth: int) -> type[Batched]:
    """The class of the arrays of a vmap within `depth - 1` others, registered as a backend's."""
    kind = type("Batched", (Batched,), {"__slots__": (), "depth": depth})
    namespaces[kind] = Namespace(kind)
    arrays.add(kind)
    return kind


class Namespace:
    """`xp` for the arrays of one class.

    While a formula runs it knows how many examples there are, so that it can make new arrays, and the library of those.
    """

    def __init__(self, kind: type[Batched], examples: int | None = None, library: Any = host) -> None:
        self.kind, self.examples, self.library = kind, examples, library
        self.depth = kind.depth  # how many vmaps deep
        self._guarded: dict[tuple, Callable] = {}

    def fused(self, kernel: Any, values: Any) -> None:
        """Formulas of a backward go to the library below one by one: see `guarded`."""

    def guarded(self, formula: Callable, op: Any = None) -> Callable:
        """A formula that may run on these arrays: at once if it can, else example by example.

        op: the operation that it is of; one of single elements, or of stacks of matrices, is left to the library below
        as a whole.
        """
        if op is None:
            return functools.partial(self._run, formula, op, formula, None)
        found = self._guarded.get((formula, op))
        if found is None:
            if op.name in PASSAGES:
                found = formula
            else:
                pointwise = op.kind == "elementwise" and op.outputs == 1
                cores = (0,) if pointwise else WHOLE.get(op.name) if formula is op.forward else None
                rule = OPERATIONS.get(op.name, formula) if formula is op.forward else formula
                found = functools.partial(self._run, formula, op, rule, cores)
            self._guarded[formula, op] = found
        return found

    def _run(
        self, formula: Callable, op: Any, rule: Callable, cores: Any, _: Any, *args: Any, **attributes: Any
    ) -> Any:
        found = within(args)
        kind = highest(found)
        if kind is not self.kind and kind is not None:
            return namespaces[kind].guarded(formula, op)(_, *args, **attributes)
        if cores is not None:
            return stacked(functools.partial(_apply, formula, op), cores, *args, **attributes)
        size = size_of(self.kind, found)
        if size is not None and rule is not formula:
            return rule(_bound(self.depth, size, library(found, self.kind)), *map(self._own_of, args), **attributes)
        if size is not None:
            try:
                xp = _bound(self.depth, size, library(found, self.kind))
                return formula(xp, *map(self._own_of, args), **attributes)
            except Exception:  # whatever a formula trips over, one example can do it, or say it better
                pass
        return each(functools.partial(_apply, formula, op), self.kind, size, args, attributes)

    def _own_of(self, value: Any) -> Any:
        """A formula's argument, whose arrays become this vmap's."""
        if type(value) is list:
            return [self._own_of(v) for v in value]
        return self.own(value) if type(value) in arrays else value

    def own(self, x: Any) -> Any:
        """An array as one of this vmap."""
        return x if type(x) is self.kind else self.kind(x if type(x) in arrays else host.asarray(x), True)

    def bring(self, inputs: Sequence[Any]) -> list[Any] | None:
        """The operands with those that are tracked outside of this vmap brought into it; None if none are."""
        for t in inputs:
            a = getattr(t, "_array", None)
            if a is not None and t.requires_grad and (type(a) is not self.kind or type(a.array) is not np.ndarray):
                from ...ops.batch import together

                return together(inputs)
        return None

    def __getattr__(self, name: str) -> Any:
        rule = RULES.get(name)
        found: Any
        if rule is not None:
            found = functools.partial(rule, self)
        elif (primitive := declared(name)) is not None and not hasattr(np, name):
            found = functools.partial(self.guarded(primitive.forward, primitive), self)
        elif name in ("linalg", "fft"):
            found = _Submodule(self, name)
        else:
            found = getattr(host, name)
            if isinstance(found, np.ufunc):
                found = functools.partial(pointwise_rule, name, self)
            elif callable(found) and not isinstance(found, type):
                found = functools.partial(self.each, operator.attrgetter(name))
        setattr(self, name, found)
        return found

    def below(self, values: Any) -> Any:
        """The library of arrays like those that values hold."""
        return library(within(values), self.kind)

    def each(self, get: Callable, *args: Any, **attributes: Any) -> Any:
        """A function that `get` takes from the library below, example by example."""
        found = within((*args, *attributes.values()))
        return each(get(library(found, self.kind)), self.kind, size_of(self.kind, found), args, attributes)


class _Submodule:
    """`xp.linalg` or `xp.fft`."""

    def __init__(self, xp: Namespace, name: str) -> None:
        self._xp, self._name = xp, name

    def __getattr__(self, name: str) -> Any:
        if self._name == "fft":
            return functools.partial(fourier, name, self._xp)
        if name == "LinAlgError":
            return host.linalg.LinAlgError
        get = operator.attrgetter(f"linalg.{name}")
        if name not in MATRICES:
            return functools.partial(self._xp.each, get)
        return lambda *args, **attributes: stacked(get(self._xp.below(args)), MATRICES[name], *args, **attributes)


def library(found: Sequence[Any], kind: type[Batched]) -> Any:
    """The namespace of what arrays of this class hold, and of other arrays; bound to the number of their examples."""
    xp: Any = host
    for v in found:
        a = v.array if type(v) is kind else v
        if type(a) is not np.ndarray:
            xp = innermost(xp, type(a))
    if xp.depth:
        held = [v.array if type(v) is kind else v for v in found]
        size = size_of(xp.kind, held)
        if size is not None:
            return _bound(xp.depth, size, library(held, xp.kind))
    return xp


@functools.lru_cache(256)
def _bound(depth: int, size: int, below: Any) -> Namespace:
    return Namespace(at_depth(depth), size, below)


def _apply(formula: Callable, op: Any, *args: Any, **attributes: Any) -> Any:
    """The formula on arrays of the library below."""
    xp: Any = host
    for v in within(args):
        if type(v) is not np.ndarray:
            xp = innermost(xp, type(v))
    if xp is not host:
        formula = xp.guarded(formula, op)
    elif op is not None and formula is op.forward:
        formula = op.on_host
    return formula(xp, *args, **attributes)

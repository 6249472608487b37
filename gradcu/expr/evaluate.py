"""Expressions computed over any array namespace, call by call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .symbols import Symbol, parts


def of_numbers(op: str, *args: float) -> float:
    """A basic function of Python's numbers alone."""
    if op == "where":
        return args[1] if args[0] else args[2]
    from ..backends import numpy

    with numpy.np.errstate(all="ignore"):
        return getattr(numpy, op)(*map(numpy.asarray, args)).item()


def evaluate(result: Symbol, values: Mapping[Symbol, Any], xp: Any) -> Any:
    """What an expression gives for values of its arguments: arrays of the namespace `xp`, or numbers.

    Numbers among themselves are computed with as Python does: the result is one if no array leads to it.
    """
    value = {id(a): v for a, v in values.items()}
    for s in parts([result]):
        if id(s) not in value:
            if s.op == "constant":
                value[id(s)] = s.args[1]
            else:
                operands = [value[id(a)] for a in s.args]
                alone = s.number and not any(isinstance(o, Symbol) for o in operands)
                value[id(s)] = of_numbers(s.op, *operands) if alone else getattr(xp, s.op)(*operands)
    return value[id(result)]

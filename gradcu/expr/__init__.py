"""Formulas as expressions: a formula that is run on symbols leaves an expression behind, which becomes C++ source."""

from .cpp import kernel_source
from .symbols import NotPointwise, Symbol, Trace, steps

__all__ = ["NotPointwise", "Symbol", "Trace", "kernel_source", "steps"]

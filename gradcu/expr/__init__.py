"""Formulas as expressions: a formula that is run on symbols leaves an expression behind, which becomes C++ source."""

from .cpp import kernel_source, vectors_needed, vectors_probe
from .symbols import ARGUMENTS, STRIDED, NotPointwise, Symbol, Trace, steps

__all__ = [
    "ARGUMENTS", "STRIDED", "NotPointwise", "Symbol", "Trace", "kernel_source", "steps", "vectors_needed",
    "vectors_probe",
]  # fmt: skip

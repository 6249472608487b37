"""The operations, one block each; importing this declares them all."""

from . import arithmetic, conv, convert, creation, data, elementwise, index, linalg, pool, reduce, shape, write
from .expose import functions, namespaces

__all__ = ["functions", "namespaces"]

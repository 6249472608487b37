"""`gradcu.special`: special functions, with gradients, under PyTorch's names."""

from .ops import namespaces as _namespaces

globals().update(_namespaces["special"])
__all__ = sorted(_namespaces["special"])

"""`gradcu.fft`: Fourier transforms, with gradients, under PyTorch's names."""

from .ops import namespaces as _namespaces

globals().update(_namespaces["fft"])
__all__ = sorted(_namespaces["fft"])

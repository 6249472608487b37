"""`gradcu.linalg`: linear algebra, batched and with gradients, under PyTorch's names."""

from .ops import namespaces as _namespaces
from .ops.decompose import LinAlgError as LinAlgError

globals().update(_namespaces["linalg"])
__all__ = sorted((*_namespaces["linalg"], "LinAlgError"))

"""`gradcu.autograd.grad_mode`: where PyTorch keeps the modes of recording."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..graph.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from ..tensor import Tensor, version_of

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]


class set_multithreading_enabled(contextlib.ContextDecorator):
    """Accepted, as a function and for a `with` block: a backward runs in the thread that called it in either case."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


@contextlib.contextmanager
def _unsafe_preserve_version_counter(tensors: Tensor | tuple[Tensor, ...]) -> Iterator[None]:
    """A block in which changes in place of `tensors` are not counted: backward will not notice them.

    For whoever knows that no saved value is affected, or restores it.
    """
    counters = [version_of(t) for t in ((tensors,) if isinstance(tensors, Tensor) else tensors)]
    versions = [counter.value for counter in counters]
    try:
        yield
    finally:
        for counter, version in zip(counters, versions, strict=True):
            counter.value = version

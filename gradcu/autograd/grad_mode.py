"""`gradcu.autograd.grad_mode`: where PyTorch keeps the modes of recording."""

from __future__ import annotations

import contextlib

from ..graph.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]


class set_multithreading_enabled(contextlib.ContextDecorator):
    """Accepted, as a function and for a `with` block: a backward runs in the thread that called it in either case."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass

"""`gradcu.compile` and `gradcu.compiler`, for scripts that call them: functions run as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["allow_in_graph", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling", "is_exporting", "reset"]


def compile(
    model: Callable | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """The function or module itself, unchanged; without one, a decorator that returns it so.

    gradcu already runs large pointwise formulas as compiled kernels, so nothing is left for a compiler of graphs.
    Raises RuntimeError for both a mode and options, as PyTorch does.

    >>> @compile(mode="max-autotune")
    ... def double(x):
    ...     return 2 * x
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    return (lambda function: function) if model is None else model


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, or a decorator that returns it: nothing is compiled anyway."""
    return (lambda function: function) if fn is None else fn


def allow_in_graph(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def is_compiling() -> bool:
    """False: code always runs as it is written."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Nothing: there are no compiled graphs to forget."""


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no CUDA graphs."""

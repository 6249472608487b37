"""`gradcu.jit`, for scripts that call it: functions and modules run as the Python they are, with a warning once."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

__all__ = [
    "Final",
    "export",
    "freeze",
    "ignore",
    "is_scripting",
    "is_tracing",
    "load",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "trace",
    "trace_module",
    "unused",
]

T = TypeVar("T")


@functools.cache
def _warn(name: str) -> None:
    warnings.warn(
        f"gradcu.jit.{name} has no compiler: what it returns runs as the Python that it is", UserWarning, stacklevel=3
    )


def script(obj: T, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> T:
    """The function, class or module itself, with a warning at the first call."""
    _warn("script")
    return obj


def trace(func: T, example_inputs: Any = None, *args: Any, **kwargs: Any) -> T:
    """The function or module itself, with a warning at the first call; it is not run on the example."""
    _warn("trace")
    return func


def trace_module(mod: T, inputs: Any, *args: Any, **kwargs: Any) -> T:
    """The module itself, with a warning at the first call."""
    _warn("trace_module")
    return mod


def freeze(mod: T, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def optimize_for_inference(mod: T, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def export(fn: T) -> T:
    """The method itself."""
    return fn


script_if_tracing = export


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The method itself, or a decorator that returns it."""
    return drop if isinstance(drop, Callable) else lambda fn: fn  # type: ignore[arg-type]


def unused(fn: T) -> T:
    """The method itself."""
    return fn


def is_scripting() -> bool:
    """False: code always runs as Python."""
    return False


def is_tracing() -> bool:
    """False: code is never traced."""
    return False


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A block in which nothing changes."""
    yield


def save(m: Any, f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: save the module's `state_dict()` with `gradcu.save`."""
    raise RuntimeError("gradcu.jit.save: gradcu writes no TorchScript; save module.state_dict() with gradcu.save")


def load(f: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: TorchScript files are programs, which gradcu does not run."""
    raise RuntimeError(
        "gradcu.jit.load: gradcu runs no TorchScript; build the module in Python and load its state_dict()"
    )

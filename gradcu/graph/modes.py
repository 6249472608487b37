"""Whether operations are recorded: `no_grad`, `enable_grad`, `inference_mode` and their kin, per thread."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any

_new = object.__new__


class _Local(threading.local):
    grad = True  # record operations on tensors that require grad
    inference = False  # results are inference tensors: no versions, no views, never recorded
    forward = True  # tangents are carried on to results
    level: Any = None  # the forward.Level that is open
    interceptors: tuple = ()  # who sees operations and nodes as they run, the last first
    autocast: dict = {}  # noqa: RUF012 (replaced, never changed): the dtype to compute in, by kind of device
    walk: Any = None  # the innermost backward that runs, an `engine.Walk`


#: this thread's state; the recording path reads `state.grad` once per op
state = _Local()


class _Mode:
    """A context manager that is also a decorator of functions, generators and classes."""

    _before: bool

    def __call__(self, function: Callable) -> Callable:
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            setattr(function, "__init__", self(function.__init__))  # noqa: B010 (a class; mypy takes it for an instance)
            return function
        if inspect.isgeneratorfunction(function):
            return self._around_generator(function)

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside

    def _around_generator(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            step, payload = generator.send, None
            while True:
                try:
                    with self.clone():
                        value = step(payload)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, payload = generator.send, (yield value)
                except GeneratorExit:
                    with self.clone():
                        generator.close()
                    raise
                except BaseException as error:
                    step, payload = generator.throw, error

        return inside

    def clone(self) -> _Mode:
        return type(self)()

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *exc: object) -> None:
        state.grad = self._before


class no_grad(_Mode):
    """Operations inside are not recorded: results do not require grad.

    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, function: Callable | None = None) -> Any:
        self = _new(cls)
        return self if function is None else self(function)

    def __enter__(self) -> None:
        self._before = state.grad
        state.grad = False


class enable_grad(_Mode):
    """Operations inside are recorded, also within `no_grad`."""

    def __new__(cls, function: Callable | None = None) -> Any:
        self = _new(cls)
        return self if function is None else self(function)

    def __enter__(self) -> None:
        self._before = state.grad
        state.grad = not state.inference


class set_grad_enabled(_Mode):
    """Switch recording on or off, at once as a function or for a `with` block."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._before = state.grad
        state.grad = mode and not state.inference

    def __call__(self, function: Callable) -> Callable:
        state.grad = self._before  # as a decorator it acts only inside the function
        return super().__call__(function)

    def clone(self) -> _Mode:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        state.grad = self.mode and not state.inference


class inference_mode(_Mode):
    """`no_grad` whose results can never take part in a recorded operation; they carry no version counter."""

    def __new__(cls, mode: bool | Callable = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):
            self.mode = True
            return self(mode)
        return self

    def __init__(self, mode: bool | Callable = True) -> None:
        self.mode = mode is not False

    def clone(self) -> _Mode:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        self._before, self._inference_before = state.grad, state.inference
        state.inference, state.grad = self.mode, not self.mode

    def __exit__(self, *exc: object) -> None:
        state.grad, state.inference = self._before, self._inference_before


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return state.inference

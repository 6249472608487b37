"""PyTorch's older window functions, `hann_window` and its kin: periodic unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import devices, dtypes
from ..layouts import strided
from ..signal.windows import bessel, cosines, samples, triangle
from ..tensor import Tensor
from .creation import finish, raw_dtype
from .expose import expose


def _window(name: str, shape: Callable, length: int, periodic: bool, options: dict[str, Any]) -> Tensor:
    """`shape(span)` gives the formula; `options` are dtype, layout, device, pin_memory and requires_grad."""
    unknown = options.keys() - {"dtype", "layout", "device", "pin_memory", "requires_grad"}
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument '{unknown.pop()}'")
    raw = raw_dtype(options.get("dtype"), None, name) or dtypes.get_default_dtype().numpy
    if raw.kind in "biuc":
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtypes.from_numpy(raw)}")
    if options.get("layout", strided) is not strided:
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {options['layout']}")
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    where = devices.resolve(options.get("device"))
    array = samples(shape(length if periodic else length - 1), length, raw, where)
    return finish(array, options.get("requires_grad", False), options.get("pin_memory", False))


@expose(method=False)
def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """The raised cosine whose ends are at 0.

    >>> hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("hann_window", lambda span: cosines([0.5, 0.5], span), window_length, periodic, options)


@expose(method=False)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """The raised cosine alpha - beta cos(t)."""
    return _window("hamming_window", lambda span: cosines([alpha, beta], span), window_length, periodic, options)


@expose(method=False)
def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Three cosine terms: 0.42 - 0.5 cos(t) + 0.08 cos(2 t)."""
    return _window("blackman_window", lambda span: cosines([0.42, 0.5, 0.08], span), window_length, periodic, options)


@expose(method=False)
def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle whose ends are at 0."""
    return _window("bartlett_window", triangle, window_length, periodic, options)


@expose(method=False)
def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any) -> Tensor:
    """Kaiser's window of Bessel functions; `beta` trades the width of the main lobe for the height of the others."""
    return _window("kaiser_window", lambda span: bessel(beta, span), window_length, periodic, options)

"""Window functions: weights of M samples that fade towards both ends.

Symmetric unless `sym=False`, which gives the first M of M + 1, one period for Fourier transforms. The formulas are
those of Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform" (1978).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, devices, dtypes
from ..layouts import strided
from ..ops.creation import finish
from ..tensor import Tensor

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def samples(formula: Callable, length: int, raw: Any, where: devices.device) -> Any:
    """`formula(xp, n)` at n = 0, 1, ..., length - 1, computed in float64; a single sample is 1."""
    xp = backends.for_device(where)
    if length <= 1:
        return xp.ones(length, dtype=raw)
    return formula(xp, xp.arange(length, dtype=dtypes.float64.numpy)).astype(raw)


def _window(name: str, formula: Callable, M: int, dtype: Any, layout: Any, device: Any, requires_grad: bool) -> Tensor:
    dtype = dtype or dtypes.get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return finish(samples(formula, M, dtype.numpy, devices.resolve(device)), requires_grad)


def cosines(a: Sequence[float], span: float) -> Callable:
    """The formula a[0] - a[1] cos(t) + a[2] cos(2 t) - ..., where t goes through 2 pi in `span`."""
    return lambda xp, n: sum((-1) ** i * w * xp.cos(n * (2 * math.pi * i / span)) for i, w in enumerate(a))


def triangle(span: float) -> Callable:
    """The formula of a triangle with zeros at 0 and `span`."""
    return lambda xp, n: 1 - xp.abs(2 * n / span - 1)


def bessel(beta: float, span: float) -> Callable:
    """The formula of Kaiser's window."""
    return lambda xp, n: (
        xp.i0(beta * xp.sqrt(xp.maximum(0, 1 - (2 * n / span - 1) ** 2))) / float(backends.host.i0(beta))
    )


def general_cosine(
    M: int,
    *,
    a: Sequence[float],
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A sum of cosines with the coefficients `a`, of alternating sign."""
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", cosines(a, M - sym), M, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """A cosine raised so that its ends are at 2 alpha - 1."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """The raised cosine whose ends are at 0.08."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """The raised cosine whose ends are at 0.

    >>> hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Three cosine terms."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Four cosine terms, with the side lobes of Nuttall, "Some windows with very good sidelobe behavior" (1981)."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle whose ends are at 0."""
    return _window("bartlett", triangle(M - sym), M, dtype, layout, device, requires_grad)


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Half a period of a sine."""
    span = M if sym else M + 1
    return _window("cosine", lambda xp, n: xp.sin(math.pi / span * (n + 0.5)), M, dtype, layout, device, requires_grad)


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Exponential decay from `center` (the middle) to both sides, to 1/e at a distance of `tau`."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = (M - sym) / 2 if center is None else center
    return _window(
        "exponential", lambda xp, n: xp.exp(-xp.abs(n - middle) / tau), M, dtype, layout, device, requires_grad
    )


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A bell curve of standard deviation `std`."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    middle = (M - sym) / 2
    return _window(
        "gaussian", lambda xp, n: xp.exp(-(((n - middle) / std) ** 2) / 2), M, dtype, layout, device, requires_grad
    )


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Kaiser's window of Bessel functions; `beta` trades the width of the main lobe for the height of the others."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", bessel(beta, M - sym), M, dtype, layout, device, requires_grad)

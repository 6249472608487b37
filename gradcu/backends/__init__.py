"""Array libraries behind one interface. The graph layer sees arrays through here alone.

`namespaces` maps the type of a raw array to the namespace whose functions take it; `host` is NumPy's. CuPy's is
registered when a CUDA device is first used.
"""

from __future__ import annotations

import warnings
from typing import Any

from .. import devices
from ..expr import Symbol
from . import cudnn, mkl, mkldnn, mps, numpy as host, openmp, traced


class _Namespaces(dict):
    def __missing__(self, kind: type) -> Any:
        if not issubclass(kind, host.generic):  # NumPy's own scalars, and those of ml_dtypes
            raise TypeError(f"no array library for {kind.__name__}")
        self[kind] = host
        return host


namespaces: dict[type, Any] = _Namespaces({host.ndarray: host, Symbol: traced})


def innermost(xp: Any, kind: type) -> Any:
    """The namespace that takes arrays of another's and of a type: the one that is more vmaps deep."""
    other = namespaces[kind]
    return xp if xp.depth > other.depth else other


#: the types that tensors hold as they are; anything else (NumPy scalars) becomes a 0-d array
arrays: set[type] = {host.ndarray, Symbol}


def elements(array: Any) -> Any:
    """The array of the library that holds the elements: those of all examples, if it is one of a vmap."""
    while namespaces[type(array)].depth:
        array = array.array
    return array


def for_device(device: devices.device) -> Any:
    """The namespace of a device. Raises RuntimeError, with what to do, where CUDA cannot be used."""
    return host if device.type == "cpu" else cuda()


def cuda() -> Any:
    """CuPy's namespace, imported at first use."""
    from . import cupy

    if cupy.ndarray not in namespaces:
        cupy.require()
        namespaces[cupy.ndarray] = cupy
        arrays.add(cupy.ndarray)
    return cupy


def cuda_in_use() -> bool:
    """Whether a CUDA device has been used."""
    return any(kind.__module__.startswith("cupy") for kind in arrays)


_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"


def get_float32_matmul_precision() -> str:
    """How exactly CUDA devices multiply matrices of float32: "highest", "high" or "medium"."""
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """Say how exactly CUDA devices are to multiply matrices of float32.

    "highest" takes all 24 bits; "high" and "medium" take the 11 of TF32, which tensor cores multiply about ten times as
    fast. Any other word gets a warning and changes nothing.
    """
    global _precision
    if precision not in _PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current setFloat32MatmulPrecision call has "
            "no effect.",
            UserWarning,
            stacklevel=2,
        )
        return
    _precision = precision


class _Matmul:
    """`backends.cuda.matmul`: the same setting under its older name."""

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 may be multiplied as TF32."""
        return _precision != "highest"

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        set_float32_matmul_precision("high" if value else "highest")


cuda.matmul = _Matmul()  # type: ignore[attr-defined]


def to_host(array: Any) -> Any:
    """The array as one of NumPy's: itself if it is one, else a copy."""
    return namespaces[type(array)].to_host(array)

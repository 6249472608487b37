"""Array libraries behind one interface. The graph layer sees arrays through here alone.

`namespaces` maps the type of a raw array to the namespace whose functions take it; `host` is NumPy's. CuPy's is
registered when a CUDA device is first used.
"""

from __future__ import annotations

from typing import Any

from .. import devices
from . import numpy as host



class _Namespaces(dict):
    def __missing__(self, kind: type) -> Any:
        if not issubclass(kind, host.generic):  # NumPy's own scalars, and those of ml_dtypes
            raise TypeError(f"no array library for {kind.__name__}")
        self[kind] = host
        return host


namespaces: dict[type, Any] = _Namespaces({host.ndarray: host})
#: the types that tensors hold as they are; anything else (NumPy scalars) becomes a 0-d array
arrays: set[type] = {host.ndarray}


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


def to_host(array: Any) -> Any:
    """The array as one of NumPy's: itself if it is one, else a copy."""
    return namespaces[type(array)].to_host(array)

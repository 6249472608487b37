"""The machine's accelerator under one name, as `torch.accelerator`: CUDA where it can be used.

>>> device = current_accelerator() if is_available() else "cpu"
"""

from __future__ import annotations

from typing import Any

from . import cuda, devices

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "is_available",
    "set_device_index",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is an accelerator."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> devices.device | None:
    """The kind of accelerator, as a device without index; None where there is none."""
    return devices.device("cuda") if is_available() else None


def device_count() -> int:
    """The number of devices."""
    return cuda.device_count()


def current_device_index() -> int:
    """The index of the device that tensors are made on. Raises RuntimeError if there is none."""
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Choose the device that tensors are made on."""
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it."""
    cuda.synchronize(device)

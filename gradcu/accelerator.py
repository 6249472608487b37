"""The machine's accelerator under one name, as `torch.accelerator`: CUDA where it can be used.

>>> device = current_accelerator() if is_available() else "cpu"
"""

from __future__ import annotations

from typing import Any

from . import cuda, devices
from .cuda import (
    current_stream as current_stream,
    empty_cache as empty_cache,
    max_memory_allocated as max_memory_allocated,
    max_memory_reserved as max_memory_reserved,
    memory_allocated as memory_allocated,
    memory_reserved as memory_reserved,
    reset_peak_memory_stats as reset_peak_memory_stats,
)

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "empty_cache",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "reset_peak_memory_stats",
    "set_device_idx",
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


current_device_idx, set_device_idx = current_device_index, set_device_index


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it."""
    cuda.synchronize(device)

"""Memory of CUDA devices, as CuPy's pool counts it. Without a device nothing is allocated."""

from __future__ import annotations

from typing import Any

from .. import backends, devices


def _count(device: Any, what: str) -> int:
    if not backends.cuda_in_use():
        return 0
    xp = backends.cuda()
    with xp.using(devices.device("cuda" if device is None else device)):
        return getattr(xp.get_default_memory_pool(), what)()


def memory_allocated(device: Any = None) -> int:
    """The bytes that tensors on a device take."""
    return _count(device, "used_bytes")


def memory_reserved(device: Any = None) -> int:
    """The bytes that are held for tensors, in use or free."""
    return _count(device, "total_bytes")


def max_memory_allocated(device: Any = None) -> int:
    """No less than the most bytes that tensors took at any one time since `empty_cache`: what the pool came to hold."""
    return _count(device, "total_bytes")


max_memory_reserved = memory_reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Count peaks from now on: gives back what is held and free."""
    empty_cache()


def empty_cache() -> None:
    """Give memory that is held and free back to the driver. Nothing happens if CUDA has not been used."""
    if backends.cuda_in_use():
        backends.cuda().get_default_memory_pool().free_all_blocks()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The bytes of a device that are free, and all of them."""
    xp = backends.cuda()
    with xp.using(devices.device("cuda" if device is None else device)) as used:
        return used.mem_info

"""Memory of CUDA devices, as CuPy's pool counts it. Without a device nothing is allocated."""

from __future__ import annotations

from typing import Any

from .. import backends, devices


def _used(device: Any) -> Any:
    """A context in which a device is the current one."""
    return backends.cuda().using(devices.device("cuda" if device is None else device))


def memory_stats(device: Any = None) -> dict[str, int]:
    """The bytes that tensors take ("allocated_bytes.all.current", ".peak") and that the pool holds ("reserved_...").

    The peak of what is allocated is exact from `reset_peak_memory_stats` on; before, it is what the pool came to hold,
    which is no less. All are 0 if CUDA has not been used.
    """
    names = [f"{what}_bytes.all.{which}" for what in ("allocated", "reserved") for which in ("current", "peak")]
    if not backends.cuda_in_use():
        return dict.fromkeys(names, 0)
    with _used(device) as used:
        allocator = backends.cuda().allocator
        pool = allocator.pool
        numbers = pool.used_bytes(), allocator.peak(used.id), pool.total_bytes(), pool.total_bytes()
    return dict(zip(names, numbers, strict=True))


def memory_allocated(device: Any = None) -> int:
    """The bytes that tensors on a device take."""
    return memory_stats(device)["allocated_bytes.all.current"]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors took at any one time since `reset_peak_memory_stats`; see `memory_stats`."""
    return memory_stats(device)["allocated_bytes.all.peak"]


def memory_reserved(device: Any = None) -> int:
    """The bytes that are held for tensors, in use or free."""
    return memory_stats(device)["reserved_bytes.all.current"]


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that were held since `empty_cache`."""
    return memory_stats(device)["reserved_bytes.all.peak"]


def reset_peak_memory_stats(device: Any = None) -> None:
    """Record the peak of what is allocated from now on. It costs each allocation some microseconds.

    Nothing happens if CUDA has not been used.
    """
    if backends.cuda_in_use():
        with _used(device) as used:
            backends.cuda().allocator.record_peak(used.id)


reset_max_memory_allocated = reset_peak_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """A table of `memory_stats` and of the device's memory, to print."""
    from ..backends.gpu.memory import shown

    stats = memory_stats(device)
    rows = [
        ("allocated by tensors", stats["allocated_bytes.all.current"], stats["allocated_bytes.all.peak"]),
        ("held by the pool", stats["reserved_bytes.all.current"], stats["reserved_bytes.all.peak"]),
    ]
    lines = [f"{'memory of CUDA tensors':24}{'now':>14}{'peak':>14}", "-" * 52]
    lines += [f"{name:24}{shown(now):>14}{shown(peak):>14}" for name, now, peak in rows]
    if backends.cuda_in_use() and not abbreviated:
        free, total = mem_get_info(device)
        lines += [f"{'free on the device':24}{shown(free):>14}", f"{'all of the device':24}{shown(total):>14}"]
    return "\n".join(lines)


def empty_cache() -> None:
    """Give memory that is held and free back to the driver. Nothing happens if CUDA has not been used."""
    if backends.cuda_in_use():
        backends.cuda().allocator.pool.free_all_blocks()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The bytes of a device that are free, and all of them."""
    with _used(device) as used:
        return used.mem_info


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let tensors take no more than this part of a device's memory.

    Raises TypeError unless `fraction` is a float, ValueError unless it is in [0, 1].
    """
    if not isinstance(fraction, float):
        raise TypeError("Invalid type for fraction argument, must be `float`")
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    with _used(device):
        backends.cuda().allocator.pool.set_limit(fraction=fraction)

"""Memory of CUDA devices: what CuPy's pool holds, peaks, and what users read when it runs out."""

from __future__ import annotations

from typing import Any

from ...devices import OutOfMemoryError


class Allocator:
    """What CuPy takes memory by: its pool, with PyTorch's error and, when asked for, a record of peaks."""

    def __init__(self, cupy: Any) -> None:
        self.cupy, self.pool = cupy, cupy.get_default_memory_pool()
        self.peaks: dict[int, int] = {}  # by device, where they are recorded

    def install(self) -> None:
        """Be CuPy's allocator, unless the user has chosen one."""
        memory = self.cupy.cuda
        if memory.get_allocator() == self.pool.malloc:
            memory.set_allocator(self)

    def __call__(self, size: int) -> Any:
        """Memory of `size` bytes on the current device. Raises OutOfMemoryError."""
        try:
            pointer = self.pool.malloc(size)
        except self.cupy.cuda.memory.OutOfMemoryError:
            raise OutOfMemoryError(self._what_is_there(size)) from None
        if self.peaks:
            device = pointer.device_id
            if device in self.peaks:
                self.peaks[device] = max(self.peaks[device], self.pool.used_bytes())
        return pointer

    def record_peak(self, device: int) -> None:
        """Record from now on the most that is allocated on the current device, which is that one."""
        self.peaks[device] = self.pool.used_bytes()

    def peak(self, device: int) -> int:
        """The most bytes that were allocated since `record_peak`; without it, what the pool came to hold."""
        return max(self.peaks[device], self.pool.used_bytes()) if device in self.peaks else self.pool.total_bytes()

    def _what_is_there(self, size: int) -> str:
        device = self.cupy.cuda.Device()
        free, total = device.mem_info
        used, held, limit = self.pool.used_bytes(), self.pool.total_bytes(), self.pool.get_limit()
        limited = f" The pool may hold {shown(limit)} at most (set_per_process_memory_fraction)." if limit else ""
        return (
            f"CUDA out of memory. Tried to allocate {shown(size)}. GPU {device.id} has a total capacity of "
            f"{shown(total)} of which {shown(free)} is free. Live tensors take {shown(used)}, and {shown(held - used)} "
            f"more is pooled: held for new ones, in blocks that are too small.{limited} Smaller batches, `del` of what "
            "is not needed, gradcu.no_grad() where nothing is trained and gradcu.utils.checkpoint make less live; "
            "gradcu.cuda.empty_cache() gives back what is pooled; gradcu.cuda.memory_summary() shows both."
        )


def shown(size: int) -> str:
    """A number of bytes as PyTorch writes it.

    >>> shown(3 << 20)
    '3.00 MiB'
    """
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << shift:
            return f"{size / (1 << shift):.2f} {unit}"
    return f"{size} bytes"

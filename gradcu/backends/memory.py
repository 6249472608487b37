"""Memory that was freed is kept for the next operation.

The C library gives large blocks back to the system when they are freed, and the system clears every page of the next
one before it is used: for arrays of a megabyte that costs as much as the arithmetic (1M float32, NumPy, chains of
pointwise operations: 18 ms with it, 8 ms without). On Linux with glibc two thresholds say when it does so; they are
raised here. Set GRADCU_KEEP_MEMORY=0 to leave them alone. See mallopt(3).
"""

from __future__ import annotations

import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEEP = 512 << 20  # bytes at the end of the heap that are kept
LARGE = 256 << 20  # bytes from which a block is mapped by itself, and so returned when freed


def keep() -> None:
    """Raise the thresholds, where there are such."""
    if sys.platform != "linux" or os.environ.get("GRADCU_KEEP_MEMORY") == "0":
        return
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in musl
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEEP)
        mallopt(M_MMAP_THRESHOLD, LARGE)

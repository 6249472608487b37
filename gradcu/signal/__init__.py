"""Signal processing: window functions, in `gradcu.signal.windows`."""

from . import windows

__all__ = ["windows"]

"""A step of long short-term memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Loop, contiguous

_step, _step_back = Loop("recurrent", "step"), Loop("recurrent", "step_back")


def step(gates: Any, c: Any) -> Any:
    """h and c after the step."""
    dtype, (n, size) = gates.dtype, c.shape
    gates, c = contiguous(gates, dtype), contiguous(c, dtype)
    if c is None:
        return None
    h, c_out = np.empty((n, size), dtype), np.empty((n, size), dtype)
    return (h, c_out) if _step(dtype, 4 * gates.size, gates, c, h, c_out, n, size) else None


def step_back(*args: Any) -> Any:
    """The gradients of the gates and of c before the step."""
    dtype, (n, size) = args[0].dtype, args[1].shape
    given = [contiguous(a, dtype) for a in args]
    if any(a is None or a.shape != (n, size) for a in given[1:]):
        return None
    g_gates, g_before = np.empty((n, 4 * size), dtype), np.empty((n, size), dtype)
    return (g_gates, g_before) if _step_back(dtype, 4 * g_gates.size, *given, g_gates, g_before, n, size) else None

"""Long short-term memory over a sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Loop, contiguous

_forward, _backward = Loop("recurrent", "lstm"), Loop("recurrent", "lstm_back")


def _work(x: Any, w: Any) -> int:
    """About how many elements of a simple loop take as long."""
    return x.size * w.shape[1] // 8


def lstm(*args: Any) -> Any:
    """All h and c, and the gates of all steps."""
    given = [contiguous(a, args[0].dtype) for a in args]
    if any(a is None for a in given):
        return None
    x, *_, w = given
    steps, n, size = x.shape[0], x.shape[1], w.shape[1]
    hs, cs, gates = (np.empty((steps, n, m), x.dtype) for m in (size, size, 4 * size))
    return (hs, cs, gates) if _forward(x.dtype, _work(x, w), *given, hs, cs, gates, steps, n, size) else None


def vjp(g: Any, needs: Any, h: Any, c: Any, w: Any, out: Any) -> Any:
    """The gradients of x, h, c and w, where the gates have none."""
    hs, cs, gates = out
    dtype, (steps, n, size) = hs.dtype, hs.shape
    given = [contiguous(a, dtype) for a in (g[0], c, w, cs, gates)]
    g_cs = g[1] if g[1] is None else contiguous(g[1], dtype)
    if g[2] is not None or any(a is None for a in given):
        return None
    x_grad, h_grad, c_grad = (np.empty(a.shape, dtype) for a in (gates, h, c))
    results = x_grad, h_grad, c_grad
    if not _backward(dtype, _work(gates, w), given[0], g_cs, *given[1:], *results, steps, n, size):
        return None
    w_grad = None
    if needs[3]:
        first, rest = x_grad[0], x_grad[1:].reshape((steps - 1) * n, 4 * size)
        w_grad = first.T.dot(h)
        w_grad += rest.T.dot(hs[:-1].reshape(-1, size))
    return *results, w_grad

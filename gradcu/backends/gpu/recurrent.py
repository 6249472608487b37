"""Steps of recurrent cells behind their matrix products: `kernels/recurrent.cu`.

Gates are (N, 4 n) or (N, 3 n), states (N, n).
"""

from __future__ import annotations

from typing import Any

from . import floats_only, instance, per_element


def _contiguous(xp: Any, *arrays: Any) -> list[Any]:
    return [xp.ascontiguousarray(a) for a in arrays]


def _launch(xp: Any, function: str, state: Any, *arrays: Any) -> None:
    per_element(xp, "recurrent", instance(function, state.dtype), state.size, *arrays, state.shape[-1], state.size)


@floats_only
def step(xp: Any, gates: Any, c: Any) -> tuple[Any, Any]:
    """h and c after a step of an LSTM."""
    gates, c = _contiguous(xp, gates, c)
    h, following = xp.empty_like(c), xp.empty_like(c)
    _launch(xp, "step", c, gates, c, h, following)
    return h, following


@floats_only
def step_back(xp: Any, gates: Any, before: Any, c: Any, g_h: Any, g_c: Any) -> tuple[Any, Any]:
    """The gradients of the gates and of the state `before` the step, from those of h and c after it."""
    given = _contiguous(xp, gates, before, c, g_h, g_c)
    g_gates, g_before = xp.empty_like(given[0]), xp.empty_like(given[1])
    _launch(xp, "step_back", before, *given, g_gates, g_before)
    return g_gates, g_before


@floats_only
def gru(xp: Any, x: Any, h: Any, state: Any) -> tuple[Any, Any] | None:
    """The next state, and the gates as the backward needs them."""
    if not x.dtype == h.dtype == state.dtype:
        return None
    x, h, state = _contiguous(xp, x, h, state)
    y, gates = xp.empty_like(state), xp.empty_like(x)
    _launch(xp, "gru", state, x, h, state, y, gates)
    return y, gates


@floats_only
def gru_backward(xp: Any, dy: Any, gates: Any, h: Any, state: Any) -> tuple[Any, Any, Any] | None:
    """The gradients of the gates from the input, of those from the state, and of the state before."""
    if not dy.dtype == gates.dtype == h.dtype == state.dtype:
        return None
    dy, gates, h, state = _contiguous(xp, dy, gates, h, state)
    dx, dh, dstate = xp.empty_like(gates), xp.empty_like(gates), xp.empty_like(state)
    _launch(xp, "gru_backward", state, dy, gates, h, state, dx, dh, dstate)
    return dx, dh, dstate

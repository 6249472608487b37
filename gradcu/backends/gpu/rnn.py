"""Steps of recurrent cells behind their matrix products: `kernels/rnn.cu`.

Gates (N, 4 n) or (N, 3 n) come from the input and from the state; states are (N, n).
"""

from __future__ import annotations

from typing import Any

from . import instance, per_element


def _contiguous(xp: Any, *arrays: Any) -> list[Any]:
    return [None if a is None else xp.ascontiguousarray(a) for a in arrays]


def _launch(xp: Any, function: str, state: Any, *arrays: Any) -> None:
    per_element(xp, "rnn", instance(function, state.dtype), state.size, *arrays, state.shape[-1], state.size)


def lstm(xp: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    """The next state and cell, and the gates as the backward needs them."""
    x, h, c = _contiguous(xp, x, h, c)
    y, following, gates = xp.empty_like(c), xp.empty_like(c), xp.empty_like(x)
    _launch(xp, "lstm", c, x, h, c, y, following, gates)
    return y, following, gates


def lstm_backward(xp: Any, dy: Any, dnext: Any, gates: Any, c: Any, following: Any) -> tuple[Any, Any]:
    """The gradients of both kinds of gates (they are the same) and of the cell before, from those of state and cell."""
    dy, dnext, gates, c, following = _contiguous(xp, dy, dnext, gates, c, following)
    dgates, dc = xp.empty_like(gates), xp.empty_like(c)
    _launch(xp, "lstm_backward", c, dy, dnext, gates, c, following, dgates, dc)
    return dgates, dc


def gru(xp: Any, x: Any, h: Any, state: Any) -> tuple[Any, Any]:
    """The next state, and the gates as the backward needs them."""
    x, h, state = _contiguous(xp, x, h, state)
    y, gates = xp.empty_like(state), xp.empty_like(x)
    _launch(xp, "gru", state, x, h, state, y, gates)
    return y, gates


def gru_backward(xp: Any, dy: Any, gates: Any, h: Any, state: Any) -> tuple[Any, Any, Any]:
    """The gradients of the gates from the input, of those from the state, and of the state before."""
    dy, gates, h, state = _contiguous(xp, dy, gates, h, state)
    dx, dh, dstate = xp.empty_like(gates), xp.empty_like(gates), xp.empty_like(state)
    _launch(xp, "gru_backward", state, dy, gates, h, state, dx, dh, dstate)
    return dx, dh, dstate

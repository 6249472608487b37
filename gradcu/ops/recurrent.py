"""Long short-term memory over a whole sequence, as one operation, and a step of a gated recurrent unit.

So the gradient of the LSTM's weight is one product of matrices over all steps, and on the CPU all steps are one loop.
"""

from __future__ import annotations

from typing import Any

from ..backends.cpu import compiled
from ..graph.op import Primitive


def _parts(x: Any, count: int) -> list[Any]:
    n = x.shape[-1] // count
    return [x[..., i * n : (i + 1) * n] for i in range(count)]


@compiled("recurrent")
def _step(xp: Any, gates: Any, c: Any) -> tuple[Any, Any]:
    """i, f, o = sigmoid(...), g = tanh(...): h = o · tanh(c) and c = f · c + i · g."""
    i, f, g, o = _parts(gates, 4)
    c = xp.sigmoid(f) * c + xp.sigmoid(i) * xp.tanh(g)
    return xp.sigmoid(o) * xp.tanh(c), c


@compiled("recurrent")
def _step_back(xp: Any, gates: Any, before: Any, c: Any, g_h: Any, g_c: Any) -> tuple[Any, Any]:
    """The gradients of the gates and of the state `before` the step, from those of h and c after it."""
    i, f, g, o = _parts(gates, 4)
    i, f, g, o, t = xp.sigmoid(i), xp.sigmoid(f), xp.tanh(g), xp.sigmoid(o), xp.tanh(c)
    g_c = g_c + g_h * o * (1 - t * t)
    parts = [g_c * g * i * (1 - i), g_c * before * f * (1 - f), g_c * i * (1 - g * g), g_h * t * o * (1 - o)]
    return xp.concat(parts, 1), g_c * f


@compiled("recurrent")
def _lstm(xp: Any, x: Any, h: Any, c: Any, w: Any) -> tuple[Any, Any, Any]:
    """All h and c, and the gates x + h w^T of all steps."""
    hs, cs, gates = [], [], []
    w = xp.matrix_transpose(w)
    for t in range(x.shape[0]):
        gates.append(x[t] + xp.matmul(h, w))
        h, c = _step(xp, gates[-1], c)
        hs.append(h)
        cs.append(c)
    return xp.stack(hs, 0), xp.stack(cs, 0), xp.stack(gates, 0)


@compiled("recurrent", by=5)
def _vjp(xp: Any, g: Any, needs: Any, h: Any, c: Any, w: Any, out: Any) -> tuple[Any, ...]:
    (g_hs, g_cs, g_gates), (hs, cs, gates) = g, out
    steps, g_x = gates.shape[0], []
    g_h, g_c = xp.zeros_like(h), xp.zeros_like(c)
    for t in reversed(range(steps)):
        g_h = g_h if g_hs is None else g_h + g_hs[t]
        g_c = g_c if g_cs is None else g_c + g_cs[t]
        g_t, g_c = _step_back(xp, gates[t], cs[t - 1] if t else c, cs[t], g_h, g_c)
        g_x.append(g_t if g_gates is None else g_t + g_gates[t])
        g_h = xp.matmul(g_x[-1], w)
    all_x = xp.stack(g_x[::-1], 0)
    w_grad = None
    if needs[3]:
        before = xp.concat([xp.reshape(h, (1, *h.shape)), hs[:-1]], 0)
        rows = [xp.reshape(a, (a.shape[0] * a.shape[1], a.shape[2])) for a in (all_x, before)]
        w_grad = xp.matmul(xp.matrix_transpose(rows[0]), rows[1])
    return all_x, g_h, g_c, w_grad


lstm = Primitive(
    "lstm",
    _lstm,
    _vjp,
    inputs=4,
    outputs=3,
    samples=lambda make: [
        (make(3, 2, 8), make(2, 2), make(2, 2), make(8, 2)),
        (make(1, 1, 4), make(1, 1), make(1, 1), make(4, 1)),
    ],
)


@compiled("recurrent")
def _gru(xp: Any, x: Any, h: Any, state: Any) -> tuple[Any, Any]:
    """r, z = sigmoid(...), m = tanh(x_m + r · h_m), y = (1 - z) · m + z · state: y, and r, z, m (Cho et al., 2014)."""
    (x_r, x_z, x_m), (h_r, h_z, h_m) = _parts(x, 3), _parts(h, 3)
    r, z = xp.sigmoid(x_r + h_r), xp.sigmoid(x_z + h_z)
    m = xp.tanh(x_m + r * h_m)
    return m + z * (state - m), xp.concat([r, z, m], -1)


@compiled("recurrent")
def _gru_backward(xp: Any, g_y: Any, gates: Any, h: Any, state: Any) -> tuple[Any, Any, Any]:
    """The gradients of x, h and the state, from that of y."""
    (r, z, m), h_m = _parts(gates, 3), _parts(h, 3)[2]
    return _gru_inputs(xp, r, z, m, h_m, 0, g_y * (state - m), g_y * (1 - z), g_y * z)


def _gru_inputs(
    xp: Any, r: Any, z: Any, m: Any, h_m: Any, g_r: Any, g_z: Any, g_m: Any, g_state: Any
) -> tuple[Any, Any, Any]:
    """The gradients behind the functions of the gates."""
    g_m = g_m * (1 - m * m)
    g_z, g_r = g_z * z * (1 - z), (g_r + g_m * h_m) * r * (1 - r)
    return xp.concat([g_r, g_z, g_m], -1), xp.concat([g_r, g_z, g_m * r], -1), g_state


def _gru_vjp(xp: Any, g: Any, needs: Any, h: Any, state: Any, out: Any) -> tuple[Any, ...]:
    (g_y, g_gates), gates = g, out[1]
    if g_gates is None:
        return _gru_backward(xp, g_y, gates, h, state)
    (r, z, m), h_m, (g_r, g_z, g_m) = _parts(gates, 3), _parts(h, 3)[2], _parts(g_gates, 3)
    if g_y is None:
        g_y = xp.zeros_like(state)
    return _gru_inputs(xp, r, z, m, h_m, g_r, g_z + g_y * (state - m), g_m + g_y * (1 - z), g_y * z)


gru = Primitive(
    "gru",
    _gru,
    _gru_vjp,
    inputs=3,
    outputs=2,
    samples=lambda make: [(make(2, 6), make(2, 6), make(2, 2)), (make(1, 3), make(1, 3), make(1, 1))],
)

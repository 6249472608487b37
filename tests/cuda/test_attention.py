"""Attention and recurrent cells, forward and backward, against NumPy in double precision."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import attention, recurrent
from tests.cuda import hostcupy
from tests.cuda.test_lines import RNG, close, every_dtype, some


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def reference(q, k, v, g, mask, causal, scale):
    """The result and the gradients of q, k and v, with all weights at once."""
    shared = q.shape[1] // k.shape[1]
    k, v = (np.repeat(a, shared, axis=1) for a in (k, v))
    s = scale * q @ k.swapaxes(2, 3)
    if causal:
        mask = np.tri(*s.shape[2:], dtype=bool)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    most = s.max(-1, keepdims=True)
    p = np.exp(s - np.where(np.isinf(most), 0, most))
    total = p.sum(-1, keepdims=True)
    p /= np.where(total == 0, 1, total)
    dp = g @ v.swapaxes(2, 3)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * scale
    dk, dv = ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ g
    dk, dv = (a.reshape(a.shape[0], -1, shared, *a.shape[2:]).sum(2) for a in (dk, dv))
    return p @ v, ds @ k, dk, dv


#: samples, heads, heads of keys, queries, keys, features, values
SIZES = [(2, 2, 2, 5, 7, 4, 3), (1, 2, 1, 33, 35, 32, 40), (1, 1, 1, 70, 40, 8, 8)]
MASKS = {
    "none": lambda *shape: None,
    "causal": lambda *shape: None,
    "boolean": lambda n, h, q, k: np.tri(q, k, 1, dtype=bool)[::-1],
    "by head": lambda n, h, q, k: RNG.standard_normal((n, h, 1, k)),
    "padding": lambda n, h, q, k: np.arange(k) < np.arange(1, n + 1)[:, None, None, None],
}


def check(xp, dtype, sizes, kind, scale):
    n, heads, key_heads, queries, keys, features, values = sizes
    made = [
        some(dtype, n, h, length, width, scale=1)
        for h, length, width in (
            (heads, queries, features), (key_heads, keys, features), (key_heads, keys, values), (heads, queries, values)
        )
    ]  # fmt: skip
    mask = MASKS[kind](n, heads, queries, keys)
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(made[0][0].dtype)
    causal = kind == "causal"
    wide = mask.astype("f8") if mask is not None and mask.dtype != bool else mask
    want = reference(*(w for _, w in made), wide, causal, scale)
    q, k, v, g = (xp.asarray(a) for a, _ in made)
    mask = None if mask is None else xp.asarray(mask)
    assert attention.suits(q, k, v)
    settings = mask, causal, mask is not None and mask.dtype != bool, scale
    out = attention.attention(xp, q, k, v, *settings)
    close(out[0], want[0], dtype, 4)
    *grads, _ = attention.attention_vjp(xp, g, (True,) * 4, q, k, v, *settings, out)
    for got, expected in zip(grads, want[1:], strict=True):
        assert got.dtype == q.dtype
        close(got, expected, dtype, 16)


@every_dtype
@pytest.mark.parametrize("kind", MASKS)
def test_attention(xp, dtype, kind):
    check(xp, dtype, SIZES[0], kind, 0.5)


@pytest.mark.parametrize("sizes", SIZES[1:], ids=str)
@pytest.mark.parametrize(("kind", "order"), [("causal", 1), ("by head", 2)])
def test_attention_over_several_tiles_in_any_order(xp, sizes, kind, order):
    with hostcupy.schedule(order):
        check(xp, "float32", sizes, kind, 0.25)


def test_a_query_that_may_see_nothing_gets_zero(xp):
    q, k, v = (xp.asarray(RNG.standard_normal((1, 1, 3, 4))) for _ in range(3))
    mask = xp.asarray([[True] * 3, [False] * 3, [True, False, False]])
    settings = mask, False, False, 1.0
    out = attention.attention(xp, q, k, v, *settings)
    assert not out[0][0, 0, 1].get().any()
    np.testing.assert_allclose(out[0][0, 0, 2].get(), v[0, 0, 0].get())
    for grad in attention.attention_vjp(xp, xp.ones_like(q), (True,) * 4, q, k, v, *settings, out)[:3]:
        assert np.isfinite(grad.get()).all()


@pytest.mark.parametrize("kind", ["none", "causal", "boolean", "added"])
def test_attention_of_tensors_is_that_of_the_cpu(xp, kind):
    shapes = (2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)
    start = [gradcu.tensor(RNG.standard_normal(s)) for s in shapes]
    mask = {"boolean": np.tri(5, 7, 1, dtype=bool), "added": RNG.standard_normal((3, 1, 7))}
    results = []
    for device in ("cpu", "cuda"):
        q, k, v = (t.to(device).requires_grad_() for t in start)
        chosen = gradcu.tensor(mask[kind], device=device) if kind in mask else None
        out = gradcu.nn.functional.scaled_dot_product_attention(q, k, v, chosen, is_causal=kind == "causal")
        first = gradcu.autograd.grad((out * out).sum(), (q, k, v), create_graph=True)
        second = gradcu.autograd.grad(sum((g * g).sum() for g in first), (q, k, v))
        results.append([t.detach().cpu().numpy() for t in (out, *first, *second)])
    assert out.grad_fn.name() == "ScaledDotProductEfficientAttentionBackward0"
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_what_does_not_suit_attention(xp):
    q = xp.ones((1, 3, 2, 4))
    assert not attention.suits(q, q[:, :2], q)
    assert not attention.suits(q, q.astype("f4"), q)
    assert not attention.suits(*[xp.ones((1, 1, 2, 512))] * 3)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numeric(function, inputs, weights, h=1e-6):
    """Central differences of the sum of results by weights, in each input."""
    grads = []
    for i, x in enumerate(inputs):
        grad = np.zeros_like(x)
        for at in np.ndindex(x.shape):
            sums = []
            for step in (h, -h):
                moved = [np.array(v) for v in inputs]
                moved[i][at] += step
                sums.append(sum((r * w).sum() for r, w in zip(function(*moved), weights)))
            grad[at] = (sums[0] - sums[1]) / (2 * h)
        grads.append(grad)
    return grads


def lstm(gates, c):
    i, f, g, o = np.split(gates, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h, state):
    (xr, xz, xm), (hr, hz, hm) = np.split(x, 3, 1), np.split(h, 3, 1)
    z, m = sigmoid(xz + hz), np.tanh(xm + sigmoid(xr + hr) * hm)
    return ((1 - z) * m + z * state,)


@pytest.mark.usefixtures("orders")
@every_dtype
def test_lstm(xp, dtype):
    gates, gates64 = some(dtype, 3, 20)
    (c, c64), (dy, dy64), (dc, dc64) = (some(dtype, 3, 5) for _ in range(3))
    on = [xp.asarray(a) for a in (gates, c)]
    y, following = recurrent.step(xp, *on)
    for got, want in zip((y, following), lstm(gates64, c64), strict=True):
        close(got, want, dtype, 2)
    got = recurrent.step_back(xp, *on, following, xp.asarray(dy), xp.asarray(dc))
    for a, b in zip(got, numeric(lstm, (gates64, c64), (dy64, dc64)), strict=True):
        close(a, b, dtype, 1e5 if dtype == "float64" else 8)


@pytest.mark.usefixtures("orders")
@every_dtype
def test_gru(xp, dtype):
    (x, x64), (h, h64) = some(dtype, 3, 15), some(dtype, 3, 15)
    (state, state64), (dy, dy64) = some(dtype, 3, 5), some(dtype, 3, 5)
    y, gates = recurrent.gru(xp, *map(xp.asarray, (x, h, state)))
    close(y, gru(x64, h64, state64)[0], dtype, 2)
    want = numeric(gru, (x64, h64, state64), (dy64,))
    got = recurrent.gru_backward(xp, xp.asarray(dy), gates, xp.asarray(h), xp.asarray(state))
    for a, b in zip(got, want, strict=True):
        close(a, b, dtype, 1e5 if dtype == "float64" else 8)


def test_gru_layers_go_as_on_the_cpu(xp):
    layer, x = gradcu.nn.GRU(3, 2), gradcu.tensor(RNG.standard_normal((4, 2, 3)).astype("f4"))
    found = []
    for device in ("cpu", "cuda"):
        layer.to(device).zero_grad()
        result, last = layer(x.to(device))
        ((result**2).sum() + last.sum()).backward()
        found.append([t.detach().cpu().numpy() for t in (result, last, *(p.grad for p in layer.parameters()))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)

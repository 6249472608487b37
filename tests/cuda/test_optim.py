"""Steps of optimizers over many tensors in one launch, norms and clipping, against NumPy's formulas."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import optim
from tests.cuda.test_lines import DTYPES, close, every_dtype, raw

pytestmark = pytest.mark.usefixtures("orders")
SHAPES = [(3,), (5, 7), (4097,), (2, 2, 2), (9000,)]
RNG = np.random.default_rng(0)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def arrays(xp, dtype, positive=False):
    """Arrays of several sizes on the device, and the same numbers in double precision."""
    made = [RNG.standard_normal(s).astype(raw(dtype)) for s in SHAPES]
    made = [abs(a) for a in made] if positive else made
    return [xp.asarray(a) for a in made], [a.astype("f8") for a in made]


def all_close(got, want, dtype):
    for a, b in zip(got, want, strict=True):
        close(a, b, dtype, 4)


@every_dtype
@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(xp, dtype, momentum, nesterov):
    (p, p64), (g, g64), (b, b64) = (arrays(xp, dtype) for _ in range(3))
    fresh = [1, 0.75, 0.5, 1, 0.25]
    optim.sgd(xp, p, g, b if momentum else None, fresh, 0.1, momentum, 0.01, -1, nesterov)
    for i, (q, h) in enumerate(zip(p64, g64)):
        h = -h + 0.01 * q
        if momentum:
            b64[i] = momentum * b64[i] + fresh[i] * h
            h = h + momentum * b64[i] if nesterov else b64[i]
        p64[i] = q - 0.1 * h
    all_close(p, p64, dtype)
    all_close(b, b64, dtype)


@every_dtype
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam(xp, dtype, amsgrad):
    (p, p64), (g, g64), (m, m64) = (arrays(xp, dtype) for _ in range(3))
    (v, v64), (w, w64) = (arrays(xp, dtype, positive=True) for _ in range(2))
    scale, eps = [0.1, 0.2, 0.3, 0.4, 0.5], [1e-3, 1e-2, 0.1, 0.2, 0.3]
    optim.adam(xp, p, g, m, v, w if amsgrad else None, scale, eps, 0.9, 0.99, 0.02, 0.75, -1)
    for i, (q, h) in enumerate(zip(p64, g64)):
        h = -h + 0.02 * q
        m64[i] = 0.9 * m64[i] + 0.1 * h
        v64[i] = 0.99 * v64[i] + 0.01 * h * h
        w64[i] = np.maximum(w64[i], v64[i]) if amsgrad else w64[i]
        p64[i] = 0.75 * q - scale[i] * m64[i] / (np.sqrt(w64[i] if amsgrad else v64[i]) + eps[i])
    for got, want in ((p, p64), (m, m64), (v, v64), (w, w64)):
        all_close(got, want, dtype)


@every_dtype
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_norms(xp, dtype, order):
    x, x64 = arrays(xp, dtype)
    found = optim.norms(xp, x, order)
    exact = "float64" if dtype == "float64" else "float32"
    assert found.dtype == exact
    close(found, np.array([np.linalg.norm(a.ravel(), order) for a in x64]), exact, 4)


@every_dtype
def test_rescale(xp, dtype):
    x, x64 = arrays(xp, dtype)
    assert optim.rescale(xp, x, 1.5)
    all_close(x, x64, dtype)
    optim.rescale(xp, x, 0.5)
    all_close(x, [a * 0.5 for a in x64], dtype)
    optim.rescale(xp, x, np.nan)
    assert all(np.isnan(a.get().astype("f8")).all() for a in x)


@every_dtype
def test_tensors_that_begin_between_packs(xp, dtype):
    """One view that no instruction of 16 bytes may read among the parameters, whose neighbours stay as they are."""
    memory = [xp.asarray(RNG.standard_normal(9).astype(raw(dtype))) for _ in range(4)]
    views = [[m[1:8], m[1:8].copy()] for m in memory[:3]] + [[abs(memory[3][1:8])] * 2]
    before = [m.get() for m in memory]
    for which in (0, 1):
        p, g, m, v = ([pair[which]] for pair in views)
        optim.adam(xp, p, g, m, [v[0].copy()], None, [0.1], [1e-3], 0.9, 0.99, 0.02, 0.75, -1)
    for odd, even in views[:3]:
        close(odd, even.get().astype("f8"), dtype)
    for m, b in zip(memory, before):
        np.testing.assert_array_equal(m.get()[[0, 8]].astype("f8"), b[[0, 8]].astype("f8"))


def test_what_suits(xp):
    x = xp.ones((3, 2))
    assert optim.suits([x, x], [x, x])
    assert not optim.suits([x.T])
    assert not optim.suits([x, x.astype("f4")])
    assert not optim.suits([x.astype("i4")])
    assert set(DTYPES) == set(optim.FLOATS)


def optimizers():
    nothing = {"lr": 0.1, "weight_decay": 0.01}
    for settings in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "dampening": 0.5}):
        yield gradcu.optim.SGD, nothing | settings
    for settings in ({}, {"amsgrad": True}, {"maximize": True}):
        yield gradcu.optim.Adam, nothing | settings
    yield gradcu.optim.AdamW, nothing


@pytest.mark.parametrize(("kind", "settings"), list(optimizers()), ids=str)
def test_optimizers_step_as_on_the_cpu_in_one_launch(xp, monkeypatch, kind, settings):
    launched, kernel = [], xp.kernel
    monkeypatch.setattr(xp, "kernel", lambda family, name: launched.append(name) or kernel(family, name))
    start = [RNG.standard_normal(s) for s in SHAPES]
    results = []
    for device in ("cpu", "cuda"):
        params = [gradcu.tensor(a, device=device, requires_grad=True) for a in start]
        optimizer = kind(params, **settings)
        for step in range(3):
            for i, p in enumerate(params):
                p.grad = None if step == i == 1 else (p.detach() - i) * (step + 1)
            optimizer.step()
        results.append([p.detach().cpu().numpy() for p in params])
        assert all(s.device == p.device for p in params for s in optimizer.state[p].values() if s.ndim)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)
    assert launched == [f"{'sgd' if kind is gradcu.optim.SGD else 'adam'}<double, 2>"] * 3


@pytest.mark.parametrize("limit", [0.5, 1e6])
@pytest.mark.parametrize(("dtype", "order"), [("float32", 2.0), ("float64", float("inf")), ("float16", 1.0)])
def test_gradients_are_clipped_as_on_the_cpu_in_four_launches(xp, monkeypatch, dtype, order, limit):
    launched, kernel = [], xp.kernel
    monkeypatch.setattr(xp, "kernel", lambda family, name: launched.append(name) or kernel(family, name))
    start, results = [RNG.standard_normal(s) for s in SHAPES if np.prod(s)], []
    for device in ("cpu", "cuda"):
        params = [gradcu.zeros(a.shape, dtype=getattr(gradcu, dtype), device=device) for a in start]
        for p, a in zip(params, start):
            p.grad = gradcu.tensor(a).to(p)
        total = gradcu.nn.utils.clip_grad_norm_(params, limit, order)
        results.append([t.cpu().numpy() for t in (total, *(p.grad for p in params))])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, rtol=5e-3 if dtype == "float16" else 1e-5)
    assert [name.partition("<")[0] for name in launched] == ["block_norms", "tensor_norms", "reduction", "rescale"]


def test_gradients_that_are_one_are_scaled_once(xp):
    params = [gradcu.zeros(4, device="cuda") for _ in range(2)]
    params[0].grad = params[1].grad = gradcu.ones(4, device="cuda")
    gradcu.nn.utils.clip_grad_norm_(params, 2**0.5)
    np.testing.assert_allclose(params[0].grad.cpu().numpy(), 0.25, rtol=1e-5)  # twice by 1/2, as each in its turn

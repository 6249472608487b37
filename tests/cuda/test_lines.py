"""Kernels that reduce lines of arrays (softmax, norms, cross-entropy) against NumPy in double precision."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import cross_entropy, norm, softmax
from tests.cuda import hostcupy

DTYPES = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-6, "float64": 1e-13}
RNG = np.random.default_rng(0)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


@pytest.fixture(params=[0, 1, 2], ids="schedule{}".format)
def schedule(request, cupy):
    """Runs the test's kernels with threads in another order."""
    with hostcupy.schedule(request.param):
        yield


def raw(dtype):
    if dtype == "bfloat16":
        return pytest.importorskip("ml_dtypes").bfloat16
    return np.dtype(dtype)


def some(dtype, *shape, scale=2.0):
    """Random numbers of the dtype, and the same in double precision."""
    x = (RNG.standard_normal(shape) * scale).astype(raw(dtype))
    return x, x.astype("f8")


def close(got, want, dtype, scale=1.0):
    error = np.abs(got.get().astype("f8") - want)
    bound = DTYPES[dtype] * scale * (1 + np.abs(want))
    assert (error <= bound).all(), f"off by {(error / bound).max():.2f} times what is allowed"


SHAPES = [((3, 5), 1), ((700,), 0), ((5, 40), 0), ((2, 33, 3), 1), ((2, 3, 300), 2), ((40, 1, 1), 1)]
along_an_axis = pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)


def log_softmax(x, axis):
    z = x - x.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


@every_dtype
@along_an_axis
def test_softmax(xp, schedule, dtype, shape, axis):
    (x, want), (g, g64) = some(dtype, *shape), some(dtype, *shape)
    want = log_softmax(want, axis)
    y = softmax.softmax(xp, xp.asarray(x), axis)
    assert y.dtype == x.dtype
    close(y, np.exp(want), dtype)
    close(softmax.log_softmax(xp, xp.asarray(x), axis), want, dtype)
    y64 = y.get().astype("f8")
    want = y64 * (g64 - (g64 * y64).sum(axis, keepdims=True))
    close(softmax.softmax_x(xp, xp.asarray(g), y, axis), want, dtype, 4)
    y64 = np.log(y64 + 1e-3).astype(raw(dtype)).astype("f8")
    want = g64 - np.exp(y64) * g64.sum(axis, keepdims=True)
    got = softmax.log_softmax_x(xp, xp.asarray(g), xp.asarray(y64.astype(raw(dtype))), axis)
    close(got, want, dtype, 20)


def test_softmax_at_the_edges(xp):
    x = xp.asarray([[0.0, -np.inf], [1000.0, 0.0], [np.nan, 0.0], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(softmax.softmax(xp, x, 1).get(), [[1, 0], [1, 0], [np.nan] * 2, [np.nan] * 2])
    assert softmax.log_softmax(xp, x, 1).get()[1].tolist() == [0, -1000]


NORMS = {  # shape, axes, shape of the weights
    "layer": ((6, 40), (1,), (1, 40)),
    "layer2": ((3, 2, 5, 7), (2, 3), (1, 1, 5, 7)),
    "batch": ((4, 3, 50), (0, 2), (1, 3, 1)),
    "batch1": ((70, 40), (0,), (1, 40)),
    "group": ((2, 3, 2, 9), (2, 3), (1, 3, 2, 1)),
    "instance": ((2, 3, 4, 5), (2, 3), (1, 3, 1, 1)),
    "long": ((2, 600), (1,), (1, 600)),
    "many rows": ((600, 10), (1,), (1, 10)),
    "long channels": ((3, 2, 1504), (0, 2), (1, 2, 1)),
    "one channel": ((3, 1, 4), (0, 2), (1, 1, 1)),
    "one group": ((3, 1, 4, 5), (2, 3), (1, 1, 4, 1)),
}


@every_dtype
@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("center", [True, False], ids=["center", "rms"])
def test_norms(xp, schedule, dtype, kind, center):
    shape, axes, affine = NORMS[kind]
    count = int(np.prod(affine))
    (x, x64), (w, w64), (b, b64), (g, g64) = (some(dtype, *s) for s in (shape, (count,), (count,), shape))
    x, x64 = (x + 3).astype(raw(dtype)), (x + 3).astype(raw(dtype)).astype("f8")
    on = [xp.asarray(a) for a in (x, w, b, g)]
    out, mean, scale = norm.standardize(xp, *on[:3], axes, affine, 1e-3, center)
    want_mean = x64.mean(axes, keepdims=True) if center else np.zeros_like(x64.mean(axes, keepdims=True))
    want_scale = 1 / np.sqrt(((x64 - want_mean) ** 2).mean(axes, keepdims=True) + 1e-3)
    normal = (x64 - want_mean) * want_scale
    exact = "float64" if dtype == "float64" else "float32"
    assert mean.dtype == scale.dtype == exact
    close(mean, want_mean, exact)
    close(scale, want_scale, exact)
    close(out, normal * w64.reshape(affine) + b64.reshape(affine), dtype, 4)
    grads = [on[3], None, None]
    dx, dw, db = norm.vjp(
        xp, grads, (True,) * 3, *on[:2], (count,), *[x.dtype] * 3, axes, affine, center, (mean, scale)
    )
    shared = tuple(i for i, n in enumerate(affine) if n == 1)
    h = g64 * w64.reshape(affine)
    want = h - normal * (h * normal).mean(axes, keepdims=True)
    want = want - h.mean(axes, keepdims=True) if center else want
    close(dx, want * want_scale, dtype, 8)
    close(dw, (g64 * normal).sum(shared).reshape(-1), dtype, 40)
    close(db, g64.sum(shared).reshape(-1), dtype, 40)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize(("shape", "normalized"), [((5, 24), 24), ((5, 10), 10)], ids=["packs", "single"])
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("half", "float32"), ("float32", "half")], ids=str)
def test_norms_of_half_precision_beside_other_weights(xp, half, shape, normalized, dtypes, order):
    (x, x64), (g, g64) = some(half, *shape), some(half, *shape)
    (w, w64), (b, b64) = (some(half if d == "half" else d, normalized) for d in dtypes)
    on = [xp.asarray(a) for a in (x, w, b, g)]
    axes, affine = (1,), (1, normalized)
    with hostcupy.schedule(order):
        out, mean, scale = norm.standardize(xp, *on[:3], axes, affine, 1e-3, True)
        given = [on[3], None, None], (True,) * 3, *on[:2], b.shape, x.dtype, w.dtype, b.dtype
        dx, dw, db = norm.vjp(xp, *given, axes, affine, True, (mean, scale))
    assert [a.dtype for a in (out, dx, dw, db)] == [x.dtype, x.dtype, w.dtype, b.dtype]
    s64 = 1 / np.sqrt(x64.var(1, keepdims=True) + 1e-3)
    normal = (x64 - x64.mean(1, keepdims=True)) * s64
    close(out, normal * w64 + b64, half, 4)
    h = g64 * w64
    want = (h - h.mean(1, keepdims=True) - normal * (h * normal).mean(1, keepdims=True)) * s64
    close(dx, want, half, 8)
    for got, want, d in ((dw, (g64 * normal).sum(0), dtypes[0]), (db, g64.sum(0), dtypes[1])):
        close(got, want, half if d == "half" else d, 40)


FUNCTIONS = {
    "layer_norm": lambda F, x, w, b: F.layer_norm(x.mT, (4,), w, b),
    "group_norm": lambda F, x, w, b: F.group_norm(x, 2, w, b),
    "instance_norm": lambda F, x, w, b: F.instance_norm(x, None, None, w, b),
    "batch_norm": lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True),
    "batch_norm by known statistics": lambda F, x, w, b: F.batch_norm(x, b.detach(), w.detach() ** 2 + 1, w, b),
}


@pytest.mark.parametrize("parameters", ["float16", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_norms_of_half_precision_as_on_the_cpu(xp, name, parameters):
    given = [RNG.standard_normal(s) for s in ((3, 4, 6), (4,), (4,))]
    found = []
    for device in ("cpu", "cuda"):
        dtypes = gradcu.float16, *[getattr(gradcu, parameters)] * 2
        x, w, b = (gradcu.tensor(a).to(device, d).requires_grad_() for a, d in zip(given, dtypes))
        out = FUNCTIONS[name](gradcu.nn.functional, x, w, b)
        (out * out).sum().backward()
        assert out.dtype is gradcu.float16
        assert (w.grad.dtype, b.grad.dtype) == dtypes[1:]
        found.append([t.detach().cpu().double().numpy() for t in (out, x.grad, w.grad, b.grad)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-2, atol=2e-2)


def test_no_copy_in_single_precision_is_made_of_half_precision(xp, monkeypatch):
    def refuse(x, dtype, copy=True):
        raise AssertionError(f"{x.size} elements are converted to {dtype}")

    F = gradcu.nn.functional
    x = gradcu.tensor(RNG.standard_normal((4, 8))).to("cuda", gradcu.float16).requires_grad_()
    w, b = (gradcu.ones(8, device="cuda", requires_grad=True) for _ in range(2))
    classes = gradcu.tensor([0, 3, 7, 1]).cuda()
    monkeypatch.setattr(xp, "astype", refuse)
    norms = F.layer_norm(x, (8,), w, b), F.rms_norm(x, (8,), w), F.batch_norm(x, None, None, w, b, True)
    for out in (*norms, F.softmax(x, 1), F.log_softmax(x, 1), F.cross_entropy(x, classes, reduction="none")):
        assert out.dtype is gradcu.float16
        out.backward(gradcu.ones_like(out))


def test_autocast_normalises_in_single_precision(xp):
    """As PyTorch's does on CUDA, whose layer_norm then gives float32."""
    x = gradcu.ones(2, 4, dtype=gradcu.float16, device="cuda")
    with gradcu.autocast("cuda", dtype=gradcu.float16):
        assert gradcu.nn.functional.layer_norm(x, (4,)).dtype is gradcu.float32


@every_dtype
@pytest.mark.parametrize("shape", [(2, 3, 16), (4, 5), (2, 3, 7)], ids=str)
def test_channels_are_rescaled(xp, schedule, dtype, shape):
    exact = "float64" if dtype == "float64" else "float32"
    (x, x64), (w, w64), (b, b64) = some(dtype, *shape), some(exact, shape[1]), some(exact, shape[1])
    affine = (1, shape[1], *(1,) * (len(shape) - 2))
    out = norm.rescale(xp, *map(xp.asarray, (x, w, b)), affine)
    assert out.dtype == x.dtype
    close(out, x64 * w64.reshape(affine) + b64.reshape(affine), dtype, 4)


@every_dtype
def test_arrays_that_begin_between_packs(xp, schedule, dtype):
    """Views that no instruction of 16 bytes may read, and the same numbers where it may."""
    memory = xp.asarray(some(dtype, 1 + 4 * 16)[0])
    odd = memory[1:].reshape(4, 16)
    even = xp.copy(odd)
    classes, shares = xp.asarray([0, 3, 15, 7]), xp.ones((4, 1), dtype=odd.dtype)
    weights = memory[1:17], memory[17:33]
    for compute in (
        lambda x, w: softmax.softmax(xp, x, 1),
        lambda x, w: softmax.log_softmax_x(xp, x, x, 1),
        lambda x, w: cross_entropy.cross_entropy(xp, x, classes, shares, False),
        lambda x, w: cross_entropy.cross_entropy_x(xp, shares[:, 0], x, classes, shares, False),
        lambda x, w: norm.standardize(xp, x, *w, (1,), (1, 16), 0.1, True)[0],
    ):
        got, want = compute(odd, weights), compute(even, [xp.copy(w) for w in weights])
        close(got, want.get().astype("f8"), dtype)


def test_norm_without_weights(xp):
    x = xp.asarray(RNG.standard_normal((3, 8)))
    out, mean, scale = norm.standardize(xp, x, None, None, (1,), (1, 8), 0.0, True)
    np.testing.assert_allclose(out.get(), ((x - mean) * scale).get(), atol=1e-14)
    g = [x, None, None]
    dx, dw, db = norm.vjp(xp, g, (True, False, False), x, None, None, *[x.dtype] * 3, (1,), (1, 8), True, (mean, scale))
    assert dw is db is None
    assert abs(dx.get().sum(1)).max() < 1e-13


def test_norms_that_are_left_to_the_formula(xp):
    x = xp.ones((2, 3, 4, 5))
    for axes, affine in (((1, 3), (1, 3, 1, 5)), ((2, 3), (2, 1, 1, 1)), ((0, 2, 3), (2, 1, 1, 1))):
        assert norm.standardize(xp, x, None, None, axes, affine, 0.0, True) is None
    g = [None, None, x]
    assert norm.vjp(xp, g, (True,) * 3, x, None, None, *[x.dtype] * 3, (3,), (1, 1, 1, 5), True, (x, x)) is None


@every_dtype
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 6), (2, 300), (2, 3, 2, 2)], ids=str)
def test_cross_entropy(xp, schedule, dtype, shape):
    places = (shape[0], *shape[2:])
    (x, x64), (s, s64), (g, g64) = (some(dtype, *n) for n in (shape, places, places))
    s, s64 = np.expand_dims(s, 1), np.expand_dims(s64, 1)
    classes = RNG.integers(0, shape[1], places)
    on = [xp.asarray(a) for a in (x, classes, s)]
    log_p = log_softmax(x64, 1)
    at = np.expand_dims(classes, 1)
    want = -(np.take_along_axis(log_p, at, 1) * s64)[:, 0]
    close(cross_entropy.cross_entropy(xp, *on, False), want, dtype, 4)
    close(cross_entropy.cross_entropy(xp, *on, True), want.sum(), dtype, 40)
    one_hot = np.zeros(shape)
    np.put_along_axis(one_hot, at, 1, 1)
    for total, one, one64 in ((False, g, np.expand_dims(g64, 1)), (True, g.flat[0], g64.flat[0])):
        dx = cross_entropy.cross_entropy_x(xp, xp.asarray(one), *on, total)
        close(dx, one64 * s64 * (np.exp(log_p) - one_hot), dtype, 4)


def test_cross_entropy_of_a_class_that_is_not_there(xp):
    losses = cross_entropy.cross_entropy(xp, xp.zeros((3, 2)), xp.asarray([0, 2, -1]), xp.ones((3, 1)), False)
    assert np.isnan(losses.get()).tolist() == [False, True, True]


def test_ignored_targets_have_no_gradient_where_their_mean_is_nan(xp):
    x, classes, shares = xp.zeros((2, 3)), xp.asarray([0, 0]), xp.asarray([[np.nan], [np.nan]])
    assert np.isnan(cross_entropy.cross_entropy(xp, x, classes, shares, True).get())
    assert not cross_entropy.cross_entropy_x(xp, xp.ones(()), x, classes, shares, True).get().any()

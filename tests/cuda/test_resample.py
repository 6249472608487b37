"""Resizing and adaptive averages against the formulas on the CPU, in double precision."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import resample as gpu
from gradcu.ops.resample import _resample, averaging, interpolating, nearest
from tests.cuda.test_lines import close, every_dtype, some

host = backends.host
CASES = {
    "nearest": ((2, 3, 5), (nearest(5, 11, 5 / 11, False),)),
    "nearest-exact": ((2, 3, 7, 4), (nearest(7, 3, 7 / 3, True), nearest(4, 8, 0.5, True))),
    "linear": ((3, 50), (interpolating(50, 120, 50 / 120, False, False, False),)),
    "bilinear": ((2, 2, 4, 5), tuple(interpolating(n, 2 * n, 0.5, False, False, False) for n in (4, 5))),
    "trilinear": ((2, 3, 4, 5), tuple(interpolating(n, 6, (n - 1) / 5, False, True, False) for n in (3, 4, 5))),
    "bicubic": ((2, 6, 7), tuple(interpolating(n, 4, n / 4, True, False, False) for n in (6, 7))),
    "antialias": ((2, 20, 30), tuple(interpolating(n, 7, n / 7, True, False, True) for n in (20, 30))),
    "averages": ((2, 7, 5, 6), (averaging(7, 3), None, averaging(6, 4))),
}


@pytest.fixture
def xp(cupy):
    return backends.cuda()


@pytest.mark.usefixtures("orders")
@every_dtype
@pytest.mark.parametrize("case", CASES)
def test_resample_and_its_adjoint(xp, dtype, case):
    shape, bands = CASES[case]
    back = tuple(band and band.transposed for band in bands)
    x, x64 = some(dtype, *shape)
    y64 = _resample(host, x64, bands)
    y = gpu.resample(xp, xp.asarray(x), bands)
    assert y.dtype == x.dtype
    close(y, y64, dtype, 4)
    g, g64 = some(dtype, *y64.shape)
    dx = gpu.resample(xp, xp.asarray(g), back)
    close(dx, _resample(host, g64, back), dtype, 8)
    assert np.isclose((g64 * y64).sum(), (_resample(host, g64, back) * x64).sum())  # one is the other's adjoint


def test_an_infinity_reaches_its_neighbours_alone(xp):
    x = xp.zeros((1, 1, 8))
    x[..., 2] = np.inf
    band = interpolating(8, 16, 0.5, False, False, False)
    y = gpu.resample(xp, x, (band,)).get()
    assert np.isinf(y[0, 0]).nonzero()[0].tolist() == [3, 4, 5, 6]
    assert np.isfinite(np.delete(y[0, 0], [3, 4, 5, 6])).all()


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_interpolate_with_second_derivatives(xp, mode):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    found = []
    for device in ("cpu", "cuda"):
        t = gradcu.tensor(x, device=device, requires_grad=True)
        y = gradcu.nn.functional.interpolate(t, size=(7, 4), mode=mode)
        (first,) = gradcu.autograd.grad((y**3).sum(), t, create_graph=True)
        (second,) = gradcu.autograd.grad((first**2).sum(), t)
        found.append([a.detach().cpu().numpy() for a in (y, first, second)])
    for want, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)

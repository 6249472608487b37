"""Running sums, products, extremes and recurrences against NumPy in double precision."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import scan
from tests.cuda import hostcupy
from tests.cuda.test_lines import close, every_dtype, raw, some

SHAPES = [
    ((3, 5), 1), ((3, 5), 0), ((1, 1100), 1), ((9000,), 0), ((40, 20), 1), ((2, 33, 3), 1), ((150, 2), 0),
    ((4, 1, 1), 1), ((2, 130), -1),
]  # fmt: skip
along_an_axis = pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def turned(x, axis, reverse):
    return np.flip(x, axis) if reverse else x


def recurrence(a, b, axis):
    a, y = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0).copy()
    for k in range(1, len(y)):
        y[k] += a[k] * y[k - 1]
    return np.moveaxis(y, 0, axis)


@pytest.mark.usefixtures("orders")
@every_dtype
@along_an_axis
def test_scans(xp, dtype, shape, axis):
    (x, x64), (a, a64) = some(dtype, *shape), some(dtype, *shape, scale=0.3)
    near = (1 + a64 / 20).astype(raw(dtype))
    on, on_a, on_near = xp.asarray(x), xp.asarray(a), xp.asarray(near)
    n = shape[axis]
    for reverse in (False, True):
        got = scan.running_sum(xp, on, axis, reverse)
        assert got.dtype == x.dtype
        close(got, turned(turned(x64, axis, reverse).cumsum(axis), axis, reverse), dtype, 40)
        want = turned(turned(near.astype("f8"), axis, reverse).cumprod(axis), axis, reverse)
        close(scan.running_product(xp, on_near, axis, reverse), want, dtype, n)
        want = turned(recurrence(turned(a64, axis, reverse), turned(x64, axis, reverse), axis), axis, reverse)
        close(scan.recurrence(xp, on_a, on, axis, reverse), want, dtype, 8)
    close(scan.running_logsumexp(xp, on, axis), np.logaddexp.accumulate(x64, axis), dtype, 4)
    for extreme in ("maximum", "minimum"):
        place = scan.running_place(xp, on, axis, extreme)
        found = np.take_along_axis(x64, place.get(), axis)
        np.testing.assert_array_equal(found, getattr(np, extreme).accumulate(x64, axis))


@pytest.mark.parametrize("order", range(3))
def test_ties_and_nan(xp, order):
    x = xp.asarray([[1.0, 2.0, 2.0, 1.0, np.nan, 3.0, np.nan, 5.0]])
    with hostcupy.schedule(order):
        assert scan.running_place(xp, x, 1, "maximum").tolist() == [[0, 1, 2, 2, 4, 4, 6, 6]]
        assert scan.running_place(xp, x, 1, "minimum").tolist() == [[0, 0, 0, 3, 4, 4, 6, 6]]
        assert scan.running_place(xp, x.T, 0, "maximum").ravel().tolist() == [0, 1, 2, 2, 4, 4, 6, 6]


def test_logarithms_of_sums_at_the_edges(xp):
    x = xp.asarray([[-np.inf, -np.inf, 1000.0, -np.inf, np.inf, np.inf, np.nan, 0.0]])
    want = [-np.inf, -np.inf, 1000, 1000, np.inf, np.inf, np.nan, np.nan]
    np.testing.assert_array_equal(scan.running_logsumexp(xp, x, 1).get()[0], want)


def test_integers_are_exact(xp):
    x = np.arange(9000) + (1 << 53)
    np.testing.assert_array_equal(scan.running_sum(xp, xp.asarray(x), 0, False).get(), x.cumsum())
    np.testing.assert_array_equal(scan.running_sum(xp, xp.asarray(x), 0, True).get(), x[::-1].cumsum()[::-1])


def test_half_precision_is_added_up_in_float32(xp):
    ones = gradcu.ones(3000, dtype=gradcu.float16, device="cuda")  # float16 counts no further than 2048 by ones
    assert ones.cumsum(0)[-1].item() == 3000


def test_second_derivatives_pass_through(xp):
    x = np.random.default_rng(0).standard_normal((3, 40))
    found = []
    for device in ("cpu", "cuda"):
        t = gradcu.tensor(x, device=device, requires_grad=True)
        total = (t.cumsum(1) ** 2 * t.cumprod(1) + t.logcumsumexp(0) * t.cummax(1).values).sum()
        (first,) = gradcu.autograd.grad(total, t, create_graph=True)
        (second,) = gradcu.autograd.grad((first**2).sum(), t)
        found.append([g.detach().cpu().numpy() for g in (first, second)])
    for want, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)

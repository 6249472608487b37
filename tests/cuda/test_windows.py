"""Pooling and columns of windows against the formulas on the CPU, in double precision."""

import math

import numpy as np
import pytest

from gradcu import backends
from gradcu.backends.gpu import pool, windows
from gradcu.ops.conv import out_size
from gradcu.ops.pool import _fold, _max_pool, _pool_gather, _pool_scatter, _unfold, _window_spread, _window_sum
from tests.cuda.test_lines import RNG, close, every_dtype, some

pytestmark = pytest.mark.usefixtures("orders")
host = backends.host
#: planes and size, kernel, stride, padding, dilation
CASES = [
    ((2, 3, 9), (3,), (2,), (1,), (1,)),
    ((1, 2, 6, 7), (2, 3), (2, 1), (1, 0), (1, 2)),
    ((2, 2, 5, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((1, 2, 4, 5, 6), (2, 2, 3), (1, 2, 2), (0, 1, 1), (2, 1, 1)),
    ((1, 1, 40, 20), (20, 15), (7, 3), (4, 2), (1, 1)),
]
each_case = pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), CASES, ids=str)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def positions(shape, kernel, stride, padding, dilation):
    return out_size(shape[2:], kernel, stride, tuple((p, p) for p in padding), dilation)


@every_dtype
@each_case
def test_max_pool(xp, dtype, shape, kernel, stride, padding, dilation):
    window = kernel, stride, padding, dilation
    out = positions(shape, *window)
    (x, x64), (g, g64) = some(dtype, *shape), some(dtype, *shape[:2], *out)
    best, code = pool.max_pool(xp, xp.asarray(x), out, *window)
    want, want_code = _max_pool(host, x64, out, *window)
    np.testing.assert_array_equal(best.get().astype("f8"), want)
    np.testing.assert_array_equal(code.get(), want_code)
    assert code.dtype == want_code.dtype
    spread = pool.pool_scatter(xp, xp.asarray(g), code, shape[2:], *window)
    close(spread, _pool_scatter(host, g64, want_code, shape[2:], *window), dtype, 4)
    found = pool.pool_gather(xp, xp.asarray(x), code, *window)
    np.testing.assert_array_equal(found.get().astype("f8"), _pool_gather(host, x64, want_code, *window))


def test_the_last_nan_is_the_maximum(xp):
    x = xp.asarray([[[np.nan, 5.0, np.nan, 1.0, -np.inf, -np.inf]]])
    best, code = pool.max_pool(xp, x, (2,), (4,), (2,), (0,), (1,))
    assert np.isnan(best.get()).all()
    assert code.tolist() == [[[2, 0]]]
    best, code = pool.max_pool(xp, x[..., 4:], (1,), (2,), (2,), (0,), (1,))
    assert (best.tolist(), code.tolist()) == ([[[-math.inf]]], [[[0]]])


@every_dtype
@each_case
def test_window_sum(xp, dtype, shape, kernel, stride, padding, dilation):
    ones = (1,) * len(kernel)
    out = positions(shape, kernel, stride, padding, ones)
    (x, x64), (g, g64) = some(dtype, *shape), some(dtype, *shape[:2], *out)
    got = pool.window_sum(xp, xp.asarray(x), out, kernel, stride, padding)
    close(got, _window_sum(host, x64, out, kernel, stride, padding), dtype, 30)
    got = pool.window_spread(xp, xp.asarray(g), shape[2:], kernel, stride, padding)
    close(got, _window_spread(host, g64, shape[2:], kernel, stride, padding), dtype, 30)


@every_dtype
@each_case
def test_columns(xp, dtype, shape, kernel, stride, padding, dilation):
    window = kernel, stride, padding, dilation
    x, x64 = some(dtype, *shape)
    columns = pool.unfold(xp, xp.asarray(x), *window)
    want = _unfold(host, x64, *window)
    np.testing.assert_array_equal(columns.get().astype("f8"), want)
    seen = windows.windows(shape[2:], positions(shape, *window), *window)
    other = windows.columns(xp, xp.asarray(x), seen, rows_first=True)
    np.testing.assert_array_equal(other.get().astype("f8"), want.swapaxes(0, 1))
    folded = pool.fold(xp, columns, shape[2:], *window)
    close(folded, _fold(host, want, shape[2:], *window), dtype, 30)


def test_kernels_take_arrays_as_they_lie(xp):
    x = xp.asarray(RNG.standard_normal((6, 4, 3))).T
    best, _ = pool.max_pool(xp, x, (3,), (2,), (2,), (0,), (1,))
    np.testing.assert_array_equal(best.get(), np.maximum(x.get()[..., ::2], x.get()[..., 1::2]))

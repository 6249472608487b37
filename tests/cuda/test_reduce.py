"""Sums, means, extremes and their places against NumPy in double precision."""

import numpy as np
import pytest

from gradcu import backends
from gradcu.backends.gpu import reduce
from tests.cuda import hostcupy
from tests.cuda.test_lines import RNG, close, every_dtype, some

SHAPES = [
    ((3, 5), (1,)), ((3, 5), (0,)), ((2, 700), (1,)), ((9000,), (0,)), ((5, 40), (0, 1)), ((2, 33, 3), (1,)),
    ((1500, 2), (0,)), ((4, 3, 50), (0, 2)), ((2, 1, 3, 4, 5), (0, 1, 3)), ((40, 1, 1), (1,)),
]  # fmt: skip
along_axes = pytest.mark.parametrize(("shape", "axes"), SHAPES, ids=str)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


@pytest.mark.usefixtures("orders")
@every_dtype
@along_axes
def test_sums_and_extremes(xp, dtype, shape, axes):
    x, x64 = some(dtype, *shape)
    count = np.prod([shape[d] for d in axes])
    for on, keepdims in ((xp.asarray(x), False), (xp.asarray(np.ascontiguousarray(x.T)).T, True)):
        total = reduce.total(xp, on, axes, keepdims)
        want = x64.sum(axes, keepdims=keepdims)
        assert (total.dtype, total.shape) == (x.dtype, want.shape)
        close(total, want, dtype, 40)
        close(reduce.mean(xp, on, axes, keepdims), want / count, dtype, 4)
        for function, want in ((reduce.largest, x64.max), (reduce.smallest, x64.min)):
            np.testing.assert_array_equal(function(xp, on, axes, keepdims).get(), want(axes, keepdims=keepdims))
        places = [(reduce.first_largest, x64.argmax), (reduce.first_smallest, x64.argmin)] if len(axes) == 1 else []
        for function, want in places:
            got = function(xp, on, axes[0], keepdims)
            assert got.dtype == "int64"
            np.testing.assert_array_equal(got.get(), want(axes[0], keepdims=keepdims))


@pytest.mark.parametrize("order", range(4))
def test_every_order_of_threads_gives_the_same_bits(xp, order):
    x = xp.asarray(np.random.default_rng(1).standard_normal((3, 9000)).astype("f4"))
    found = []
    for schedule in (0, order):
        with hostcupy.schedule(schedule):
            found.append([f(xp, x, axis, False).get() for f in (reduce.total, reduce.mean) for axis in (None, 0, 1)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(xp, dtype):
    x = RNG.integers(-50, 50, (300, 7)).astype(dtype)
    on = xp.asarray(x)
    for axis in (None, 0, 1):
        for name in ("sum", "max", "min", "argmax", "argmin"):  # CuPy's own among them
            got, want = getattr(xp, name)(on, axis=axis), getattr(np, name)(x, axis=axis)
            np.testing.assert_array_equal(got.get(), want)
            assert got.dtype == want.dtype


def test_the_first_of_equal_elements_and_of_nans_counts(xp):
    x = np.zeros((2, 9000))
    x[0, [70, 3000, 8999]] = 1
    x[1, [4500, 8000]] = np.nan
    for order in range(3):
        with hostcupy.schedule(order):
            on = xp.asarray(x)
            assert xp.argmax(on, axis=1).tolist() == [70, 4500]
            assert xp.argmin(on, axis=1).tolist() == [0, 4500]
            assert xp.argmax(on.T, axis=0).tolist() == [70, 4500]
            assert xp.argmax(on).item() == 13500
            for f in (xp.max, xp.min, xp.sum):
                assert np.isnan(f(on, axis=1).get()).tolist() == [False, True]


def test_half_precision_is_added_up_in_float32(xp):
    ones = xp.ones((2, 60000), dtype="float16")  # float16 counts no further than 2048 by ones
    assert xp.sum(ones, axis=1).tolist() == [60000, 60000]
    assert xp.mean(ones).item() == 1


def test_infinities(xp):
    x = xp.asarray([[-np.inf, -np.inf], [np.inf, -np.inf]])
    assert xp.max(x, axis=1).tolist() == [-np.inf, np.inf]
    assert xp.argmax(x, axis=1).tolist() == [0, 0]
    assert np.isnan(xp.sum(x).get())


def test_what_is_left_to_cupy(xp):
    for x in (xp.zeros((0, 3)), xp.zeros(()), xp.zeros(3, dtype="complex64"), xp.zeros(3, dtype="bool")):
        assert reduce.total(xp, x, None, False) is None
        assert not xp.sum(x).get().any()
    with pytest.raises(IndexError):
        xp.sum(xp.zeros(3), axis=1)

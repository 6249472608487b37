"""The kernels of `kernels/`, and what the backend makes of cuBLAS, against NumPy."""

import numpy as np
import pytest

import gradcu
from gradcu import backends

DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
INTEGERS = ["int8", "uint8", "int16", "int32", "int64"]
RNG = np.random.default_rng(0)


@pytest.fixture
def xp(cupy):
    return backends.cuda()


def raw(dtype):
    if dtype == "bfloat16":
        return pytest.importorskip("ml_dtypes").bfloat16
    return np.dtype(dtype)


def small(shape, dtype):
    """Whole numbers so small that every order of addition gives the same sum in every dtype."""
    return RNG.integers(0, 4, shape).astype(raw(dtype))


def wide(array):
    return array.astype("c16" if array.dtype.kind == "c" else "f8")


@pytest.mark.parametrize("dtype", DTYPES + INTEGERS)
@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((5, 3), (np.array([1, 1, -1, 4]),)),
        ((5, 3), (np.array([[1, 1], [1, 0]]), np.array([2, 2]))),
        ((5, 3), (slice(None), np.array([1, 1]))),
        ((3, 3), (np.eye(3, dtype=bool),)),
        ((3, 4, 2), (np.array([1, 1]), slice(1, 3))),
        ((4,), (np.zeros(40, int),)),
        ((5, 3), (np.zeros(0, int),)),
        ((3, 2), (1,)),
    ],
    ids=["rows", "elements", "columns", "mask", "slices", "one-element", "empty", "number"],
)
def test_combine_at_repeats_where_an_index_is_repeated(xp, dtype, shape, index):
    x, values = small(shape, dtype), small(np.empty(shape)[index].shape, dtype)
    on_device = tuple(xp.asarray(i) if isinstance(i, np.ndarray) else i for i in index)
    for by in ("add", "multiply", "maximum", "minimum"):
        if by != "add" and (dtype.startswith("complex") or values.size > 30):
            continue  # not declared, and too large a product
        y, want = xp.asarray(x), wide(x)
        xp.combine_at(y, on_device, xp.asarray(values), by)
        getattr(np, by).at(want, index, wide(values))
        np.testing.assert_array_equal(wide(y.get()), want, err_msg=by)
        host = np.array(x)
        backends.host.combine_at(host, index, values, by)
        np.testing.assert_array_equal(wide(host), want, err_msg=by)


def test_combine_at_writes_through_a_view(xp):
    x = xp.zeros((3, 4))
    xp.combine_at(x.T, xp.asarray([0, 0, 3]), 1.0)
    assert x.tolist() == [[2, 0, 0, 1]] * 3


def test_combine_at_keeps_nan_in_extremes(xp):
    x = xp.asarray([np.nan, 1.0, 2.0])
    xp.combine_at(x, xp.asarray([0, 1, 2]), xp.asarray([5.0, np.nan, 3.0]), "maximum")
    np.testing.assert_array_equal(x.get(), [np.nan, np.nan, 3])


@pytest.mark.parametrize("dtype", [*DTYPES, "int32"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((3,), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((2, 1, 2, 3), (1, 5, 3, 4)),
        ((5, 4, 1), (5, 1, 2)),
        ((2, 3, 0), (2, 0, 2)),
        ((4, 0, 3), (3, 2)),
    ],
    ids=str,
)
def test_matmul(xp, dtype, transposed, shapes):
    x, y = (small(s, dtype) for s in shapes)
    a, b = xp.asarray(x), xp.asarray(y)
    if transposed:  # the same values, in columns
        a, b = (xp.copy(m.swapaxes(-1, -2)).swapaxes(-1, -2) if m.ndim > 1 else m for m in (a, b))
    result = xp.matmul(a, b)
    assert result.dtype == x.dtype
    np.testing.assert_array_equal(wide(result.get()), np.matmul(wide(x), wide(y)))


def test_matmul_adds_half_precision_up_in_float32(xp):
    ones = xp.ones((2, 1, 5000), dtype="float16")  # float16 counts no further than 2048 by ones
    assert xp.matmul(ones, ones.swapaxes(1, 2)).ravel().tolist() == [5000, 5000]


def test_matmul_in_tf32(xp):
    x = np.full((2, 2), 1 + 2.0**-8, "f4")  # exact in TF32, which the host computes as float32
    gradcu.set_float32_matmul_precision("high")
    try:
        assert gradcu.backends.cuda.matmul.allow_tf32
        np.testing.assert_array_equal(xp.matmul(xp.asarray(x), xp.asarray(x)).get(), x @ x)
    finally:
        gradcu.backends.cuda.matmul.allow_tf32 = False
    assert gradcu.get_float32_matmul_precision() == "highest"


def test_philox_gives_the_numbers_of_its_authors(xp):
    """The known answer of Random123 for Philox 4x32-10 with counter and key of zeros."""
    words = xp.random_source(0).integers(-(1 << 63), 1 << 63, (2,)).get()
    assert [hex(int(w) + (1 << 63)) for w in words] == ["0x6627e8d5e169c58d", "0xbc57ac4c9b00dbd8"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_random_numbers(xp, dtype):
    source, n = xp.random_source(7), 40001
    u, z, e = (getattr(source, f)(n, dtype).get() for f in ("random", "standard_normal", "standard_exponential"))
    assert u.dtype == z.dtype == e.dtype == dtype
    assert 0 <= u.min() < u.max() < 1
    assert e.min() >= 0
    deviation = 5 / np.sqrt(n)  # five standard errors; the seed is fixed, so the outcome is too
    np.testing.assert_allclose([u.mean(), 12 * u.var()], [0.5, 1], atol=deviation)
    np.testing.assert_allclose([z.mean(), z.var(), (z**4).mean()], [0, 1, 3], atol=10 * deviation)
    np.testing.assert_allclose([e.mean(), e.var()], [1, 1], atol=3 * deviation)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < deviation


def test_random_integers_and_permutations(xp):
    source = xp.random_source(7)
    assert np.bincount(source.integers(2, 7, 1000, dtype="int32").get()).tolist()[:2] == [0, 0]
    assert set(source.integers(-2, 2, 100, endpoint=True).tolist()) == {-2, -1, 0, 1, 2}
    assert sorted(source.permutation(20).tolist()) == list(range(20))


def test_one_stream_however_it_is_cut(xp):
    whole, parts = xp.random_source(1).random(12, "float32"), xp.random_source(1)
    assert whole.tolist() == parts.random(8, "float32").tolist() + parts.random(4, "float32").tolist()

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


@pytest.mark.usefixtures("orders")
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
    assert all(ns.all(ns.ones(1)) for ns in (xp, backends.host))  # looked up once, it may not hide Python's `all`
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

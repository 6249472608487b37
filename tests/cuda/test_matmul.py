"""Matrix products: what cuBLAS is asked for, and that operands are read where they lie."""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from tests.cuda.test_lines import RNG, close, every_dtype, some

FLOAT, TF32, DOUBLE = 68, 77, 70  # cublasComputeType_t
TYPES = {"float16": (2, FLOAT), "bfloat16": (14, FLOAT), "float32": (0, FLOAT), "float64": (1, DOUBLE)}


@pytest.fixture
def xp(cupy):
    return backends.cuda()


@pytest.fixture
def calls(xp, monkeypatch):
    """The arguments of each call of gemmStridedBatchedEx, by name."""
    from cupy_backends.cuda.libs import cublas

    names = "handle ta tb m n k alpha a atype lda sa b btype ldb sb beta c ctype ldc sc batch compute algo".split()
    made, real = [], cublas.gemmStridedBatchedEx

    def spy(*args):
        made.append(dict(zip(names, args, strict=True)))
        return real(*args)

    monkeypatch.setattr(cublas, "gemmStridedBatchedEx", spy)
    return made


def transposed(xp, x):
    return xp.copy(x.swapaxes(-1, -2)).swapaxes(-1, -2)


@every_dtype
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_a_batch_is_one_call_that_reads_transposed_operands(xp, calls, dtype, flip_x, flip_y):
    (x, x64), (y, y64) = some(dtype, 5, 2, 3, scale=1), some(dtype, 5, 3, 4, scale=1)
    a, b = xp.asarray(x), xp.asarray(y)
    a, b = transposed(xp, a) if flip_x else a, transposed(xp, b) if flip_y else b
    out = xp.matmul(a, b)
    close(out, x64 @ y64, dtype, 8)
    (call,) = calls  # column-major: the result's transpose is y' x'
    assert (call["m"], call["n"], call["k"], call["batch"]) == (4, 2, 3, 5)
    assert (call["a"], call["b"], call["c"]) == (b.data.ptr, a.data.ptr, out.data.ptr)
    assert (call["ta"], call["lda"], call["sa"]) == ((1, 3, 12) if flip_y else (0, 4, 12))
    assert (call["tb"], call["ldb"], call["sb"]) == ((1, 2, 6) if flip_x else (0, 3, 6))
    assert (call["ldc"], call["sc"]) == (4, 8)
    kind, compute = TYPES[dtype]
    assert (call["atype"], call["btype"], call["ctype"], call["compute"]) == (kind, kind, kind, compute)


def test_one_matrix_for_all_of_a_batch(xp, calls):
    x, y = xp.asarray(RNG.standard_normal((2, 3))), xp.asarray(RNG.standard_normal((5, 3, 4)))
    np.testing.assert_allclose(xp.matmul(x, y).get(), x.get() @ y.get())
    assert (calls[0]["b"], calls[0]["sb"], calls[0]["batch"]) == (x.data.ptr, 0, 5)


def test_a_batch_times_one_matrix_is_one_product(xp, calls):
    x, y = xp.asarray(RNG.standard_normal((5, 2, 3))), xp.asarray(RNG.standard_normal((4, 3))).T
    np.testing.assert_allclose(xp.matmul(x, y).get(), x.get() @ y.get())
    assert [(c["m"], c["n"], c["k"], c["batch"]) for c in calls] in ([], [(4, 10, 3, 1)])


def test_a_slice_is_read_with_its_leading_dimension(xp, calls):
    whole = xp.asarray(RNG.standard_normal((5, 6, 8)))
    x, y = whole[:, :2, 1:4], whole[:, 3:, 2:6]
    np.testing.assert_allclose(xp.matmul(x, y).get(), x.get() @ y.get())
    assert [calls[0][n] for n in ("a", "lda", "sa", "b", "ldb", "sb")] == [y.data.ptr, 8, 48, x.data.ptr, 8, 48]


def test_what_has_no_unit_stride_is_copied(xp, calls):
    x = xp.asarray(RNG.standard_normal((2, 4, 6)))[:, ::2, ::2]
    np.testing.assert_allclose(xp.matmul(x, x.swapaxes(1, 2)).get(), x.get() @ x.get().swapaxes(1, 2))
    assert calls[0]["b"] != x.data.ptr


@pytest.mark.parametrize("ndim", [2, 3])
def test_tf32_is_by_pytorchs_switch(xp, calls, ndim):
    x = xp.asarray(RNG.standard_normal((1, 2, 2)[3 - ndim :]).astype("f4"))
    gradcu.set_float32_matmul_precision("high")
    try:
        xp.matmul(x, x)
        xp.matmul(x.astype("f8"), x.astype("f8"))
    finally:
        gradcu.set_float32_matmul_precision("highest")
    assert [c["compute"] for c in calls] == ([TF32, DOUBLE] if ndim == 3 else [TF32])


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
def test_bfloat16_is_added_up_in_float32(xp, calls, shape):
    x, x64 = some("bfloat16", *shape)
    out = xp.matmul(xp.asarray(x), xp.asarray(x).swapaxes(-1, -2))
    assert out.dtype == x.dtype
    close(out, x64 @ x64.swapaxes(-1, -2), "bfloat16", 2)
    assert calls[0]["compute"] == FLOAT

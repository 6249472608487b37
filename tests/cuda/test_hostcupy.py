"""CuPy on the host gives NumPy's values, keeps CuPy's strictness, and finds the mistakes of kernels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cuda import hostcupy

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4)).astype("f4")
Y = RNG.standard_normal((3, 4)).astype("f4")
X3 = RNG.standard_normal((2, 3, 4)).astype("f4")
Y3 = RNG.standard_normal((2, 4, 5)).astype("f4")
INDEX = np.array([0, 2, 2, 1, 0])
SQUARE = X @ X.T + np.eye(3, dtype="f4")


@pytest.fixture(scope="session")
def agree(cupy):
    """Checks that a function of a namespace and arrays gives the same with CuPy as with NumPy."""

    def check(function, *arrays, rtol=1e-5):
        expected = function(np, *arrays)
        found = function(cupy, *(cupy.asarray(array) for array in arrays))
        if not isinstance(expected, (tuple, list)):
            expected, found = [expected], [found]
        assert len(found) == len(expected)
        for want, got in zip(expected, found):
            assert isinstance(got, cupy.ndarray)
            assert (got.shape, got.dtype) == (np.shape(want), np.asarray(want).dtype)
            wide = "c16" if got.dtype.kind == "c" else "f8"
            np.testing.assert_allclose(got.get().astype(wide), np.asarray(want).astype(wide), rtol=rtol, atol=1e-6)

    return check


# ---- ufuncs and reductions ------------------------------------------------------------------------------------------

UNARY = """
abs arccos arcsin arctan arctanh arcsinh cbrt ceil cos cosh exp exp2 expm1 floor isfinite isinf isnan log log10 log1p
log2 logical_not negative reciprocal rint sign signbit sin sinh sqrt square tan tanh trunc
"""
BINARY = """
add arctan2 copysign divide equal floor_divide fmax fmin fmod greater hypot less_equal logaddexp logical_and maximum
minimum multiply nextafter not_equal power remainder subtract
"""
BITWISE = "bitwise_and bitwise_or bitwise_xor left_shift right_shift floor_divide"
REDUCTIONS = "sum prod max min argmax argmin any all mean var std cumsum cumprod count_nonzero"
DECOMPOSITIONS = "cholesky det eigh eigvalsh inv matrix_rank norm pinv qr slogdet svd"
SPECIAL = "erf erfc erfcx erfinv erfcinv gammaln digamma i0 i1 ndtri log_ndtr expit"


@pytest.mark.parametrize("name", UNARY.split())
def test_unary(agree, name):
    agree(lambda xp, x: getattr(xp, name)(x), np.abs(X) / 4)


@pytest.mark.parametrize("name", BINARY.split())
def test_binary_of_a_row_and_a_transposed_matrix(agree, name):
    agree(lambda xp, x, y: getattr(xp, name)(x.T, y[:, 0]), np.abs(X) + 0.1, np.abs(Y) + 0.1)


@pytest.mark.parametrize("name", BITWISE.split())
def test_binary_of_integers(agree, name):
    agree(lambda xp, x, y: getattr(xp, name)(x, y), INDEX, INDEX[::-1] + 1)


def test_special_values_follow_numpy(agree):
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38], "f4")
    with np.errstate(over="ignore"):
        agree(lambda xp, x: [xp.maximum(x, 0), xp.sign(x), xp.exp(x), xp.isnan(x), xp.fmin(x, 1), xp.tanh(x)], values)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "int8", "uint8", "int32", "bool"])
def test_arithmetic_of_each_dtype(agree, dtype):
    pytest.importorskip("ml_dtypes")
    agree(lambda xp, x: [x + x, x * x, x == x[::-1], xp.concat([x, x]), x.astype("c8")], INDEX.astype(dtype))


@pytest.mark.parametrize("name", REDUCTIONS.split())
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reduction(agree, name, axis):
    agree(lambda xp, x: getattr(xp, name)(x, axis=axis), X)


def test_reduction_of_several_axes_of_many_elements(agree):
    agree(lambda xp, x: xp.sum(x, axis=(0, 2), keepdims=True), X3)
    agree(lambda xp, x: xp.sum(x, axis=1, dtype="f8"), RNG.standard_normal((7, 3000)).astype("f4"))
    agree(lambda xp, x: xp.sum(x, axis=1), np.zeros((3, 0), "f4"))


def test_operators_in_place_write_through_views(agree):
    def run(xp, x):
        x = x.copy()
        x += 1
        x[1:] *= x[:-1]
        x.T[0] /= 3
        x **= 2
        return x

    agree(run, X)


# ---- shapes, indices, sorting ---------------------------------------------------------------------------------------

CREATION = {
    "zeros": lambda xp: xp.zeros((2, 3)),
    "ones": lambda xp: xp.ones((2, 0), "f4"),
    "full": lambda xp: xp.full(3, 7, "i4"),
    "arange": lambda xp: xp.arange(1, 10, 3),
    "linspace": lambda xp: xp.linspace(0, 1, 5),
    "eye": lambda xp: xp.eye(3, 4, 1),
    "like": lambda xp: xp.full_like(xp.ones(3, "f4"), 2),
    "tri": lambda xp: [xp.tril(xp.ones((3, 3)), -1), xp.triu(xp.ones((2, 3, 3)))],
    "meshgrid": lambda xp: xp.meshgrid(xp.arange(3), xp.arange(2), indexing="ij"),
    "diag": lambda xp: xp.diag(xp.arange(3.0)),
    "repeat": lambda xp: [xp.repeat(xp.arange(3), 2), xp.tile(xp.arange(3), (2, 2))],
    "bincount": lambda xp: xp.bincount(xp.asarray([1, 2, 2])),
    "clip": lambda xp: xp.clip(xp.arange(5.0), 1, 3),
    "view": lambda xp: xp.asarray([1.5]).view("i8"),
    "complex": lambda xp: [xp.asarray([1 + 2j]).real, xp.asarray([1 + 2j]).conj().imag],
}


@pytest.mark.parametrize("name", CREATION)
def test_creation(agree, name):
    agree(CREATION[name])


SHAPES = {
    "reshape": lambda xp, x: x.T.reshape(2, 6),
    "permute_dims": lambda xp, x: xp.permute_dims(x[None], (2, 0, 1)),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, 3, 4)),
    "concat": lambda xp, x: xp.concat([x, x[:1]], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "pad": lambda xp, x: [xp.pad(x, ((1, 2), (0, 3)), constant_values=5), xp.pad(x, 1, mode="reflect")],
    "roll": lambda xp, x: xp.roll(x, (1, 2), (0, 1)),
    "flip": lambda xp, x: xp.flip(x, 1),
    "where": lambda xp, x: xp.where(x > 0, x, 0.5),
    "slice": lambda xp, x: x[..., None, ::-2],
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(agree, name):
    agree(SHAPES[name], X)


INDEXING = {
    "take": lambda xp, x, i: xp.take(x, i, axis=0),
    "take_along_axis": lambda xp, x, i: xp.take_along_axis(x, xp.argsort(x, axis=1), 1),
    "array": lambda xp, x, i: x[i],
    "arrays": lambda xp, x, i: x[i, i + 1],
    "array and slice": lambda xp, x, i: x[1:, i],
    "mask": lambda xp, x, i: x[x > 0],
    "row mask": lambda xp, x, i: x[x[:, 0] > 0],
    "nonzero": lambda xp, x, i: xp.nonzero(x > 0),
    "searchsorted": lambda xp, x, i: xp.searchsorted(xp.sort(x[0]), x),
}


@pytest.mark.parametrize("name", INDEXING)
def test_indexing(agree, name):
    agree(INDEXING[name], X, INDEX)


def test_assignment_by_index_mask_and_slice(agree):
    def run(xp, x, index):
        x = x.copy()
        x[x > 0] = 7
        x[0, 1:] = x[1, :3]
        x[xp.asarray([0, 1]), xp.asarray([2, 3])] = xp.asarray([5, 6], dtype="f4")
        x[2] = 3
        xp.put_along_axis(x, xp.argmin(x, axis=1, keepdims=True), 9, axis=1)
        return x

    agree(run, X, INDEX)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_scatter_adds_repeated_indices(agree, dtype):
    def run(xp, x, index, values):
        x = x.copy()
        xp.add.at(x, index, values)
        return x

    agree(run, np.zeros((3, 4), dtype), INDEX, np.arange(20).reshape(5, 4).astype(dtype))
    agree(run, np.ones(3, dtype), INDEX, np.asarray(2, dtype))


@pytest.mark.parametrize("axis", [0, -1])
def test_sorting(agree, axis):
    values = np.where(X > 1, np.float32("nan"), X)
    agree(lambda xp, x: [xp.sort(x, axis=axis), xp.argsort(x, axis=axis)], values)


def test_unique(agree):
    agree(lambda xp, i: xp.unique(i, return_index=True, return_inverse=True, return_counts=True), INDEX)


# ---- products, decompositions, transforms ---------------------------------------------------------------------------

PRODUCTS = {
    "matrices": lambda xp, x, y: x[0] @ y[0],
    "transposed": lambda xp, x, y: x[0].T @ x[1],
    "matrix and vector": lambda xp, x, y: [x[0] @ y[0, :, 0], x[0, 0] @ y[0]],
    "batch": lambda xp, x, y: x @ y,
    "batch of transposed": lambda xp, x, y: xp.matrix_transpose(x) @ x,
    "broadcast batch": lambda xp, x, y: x[:1] @ y,
    "inner": lambda xp, x, y: xp.dot(x[0, 0], x[1, 0]),
    "tensordot": lambda xp, x, y: xp.tensordot(x, y, axes=([2], [1])),
    "einsum": lambda xp, x, y: [xp.einsum("bij,bjk->bik", x, y), xp.einsum("bij->bj", x)],
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(agree, name):
    agree(PRODUCTS[name], X3, Y3)


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "complex128", "int32"])
def test_products_of_each_dtype(agree, dtype):
    x, y = (np.round(4 * a).astype(dtype) for a in (X3, Y3))  # of small integers: exact in every dtype
    agree(lambda xp, x, y: [x[0] @ y[0], x @ y, x[0].T @ x[1]], x, y)


def test_products_of_bfloat16(cupy):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x, y = np.round(4 * X), np.round(4 * Y.T)
    product = cupy.asarray(x.astype(bfloat16)) @ cupy.asarray(y.astype(bfloat16))
    assert product.dtype == bfloat16
    np.testing.assert_array_equal(product.get(), (x @ y).astype(bfloat16))


@pytest.mark.parametrize("name", DECOMPOSITIONS.split())
def test_linalg(agree, name):
    agree(lambda xp, a: getattr(xp.linalg, name)(a), SQUARE, rtol=1e-4)


def test_solve(agree):
    agree(lambda xp, a, b: xp.linalg.solve(a, b), SQUARE, X, rtol=1e-4)


def test_a_matrix_that_has_no_inverse_gives_nan_or_raises_on_request(cupy):
    import cupyx

    singular = cupy.zeros((2, 2), "f4")
    assert cupy.isnan(cupy.linalg.inv(singular)).all()
    with cupyx.errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        cupy.linalg.inv(singular)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "fft2", "rfftn"])
def test_fft(agree, name):
    agree(lambda xp, x: getattr(xp.fft, name)(x), X)


def test_scipy_special_functions_of_cupy(cupy):
    reference = pytest.importorskip("scipy.special")
    import cupyx.scipy.special as special

    x = np.linspace(0.05, 0.95, 7)
    for name in SPECIAL.split():
        np.testing.assert_allclose(
            getattr(special, name)(cupy.asarray(x)).get(), getattr(reference, name)(x), rtol=1e-12
        )


# ---- what CuPy refuses ----------------------------------------------------------------------------------------------


def test_nothing_is_copied_to_the_host_silently(cupy):
    x = cupy.asarray(X)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.array([x])


def test_nothing_is_copied_to_the_device_silently(cupy):
    x = cupy.asarray(X)
    for refused in (
        lambda: x + X,
        lambda: X + x,
        lambda: cupy.exp(X),
        lambda: cupy.concatenate([x, X]),
        lambda: x @ X.T,
    ):
        with pytest.raises(TypeError):
            refused()
    with pytest.raises(TypeError):
        cupy.linalg.inv(SQUARE)


def test_explicit_copies(cupy):
    x = cupy.asarray(X)
    assert isinstance(x.get(), np.ndarray)
    assert isinstance(cupy.asnumpy(x), np.ndarray)
    assert x.tolist() == X.tolist()
    assert x[1, 2].item() == float(x[1, 2]) == X[1, 2]
    x.set(Y)
    np.testing.assert_array_equal(x.T.get(), Y.T)


# ---- the device -----------------------------------------------------------------------------------------------------


def test_there_is_one_device(cupy):
    runtime = cupy.cuda.runtime
    assert cupy.cuda.is_available()
    assert runtime.getDeviceCount() == 1
    assert runtime.getDeviceProperties(0)["name"] == b"Host-backed test device"
    assert cupy.zeros(2).device.id == cupy.cuda.Device().id == 0
    free, total = cupy.cuda.Device().mem_info
    assert 0 < free <= total
    with pytest.raises(runtime.CUDARuntimeError, match="invalid device ordinal"):
        cupy.cuda.Device(1).use()


def test_streams_and_events(cupy):
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    with cupy.cuda.Stream() as stream:
        start.record()
        x = cupy.arange(3) + 1
        end.record()
    stream.synchronize()
    cupy.cuda.Device().synchronize()
    assert cupy.cuda.get_elapsed_time(start, end) >= 0
    assert x.tolist() == [1, 2, 3]


def test_fresh_memory_is_nan(cupy):
    assert cupy.isnan(cupy.empty(100, "f4")).all()
    assert cupy.isnan(cupy.empty(100, "f8")).all()


def test_memory_is_returned(cupy):
    before = cupy.cuda.Device().mem_info[0]
    x = cupy.zeros(1 << 20)
    assert cupy.cuda.Device().mem_info[0] == before - x.nbytes
    del x
    assert cupy.cuda.Device().mem_info[0] == before


def test_a_kernel_that_writes_past_its_array_ends_the_process(cupy):
    code = """if True:
        from tests.cuda import hostcupy
        hostcupy.install()
        import cupy
        x = cupy.zeros(4, "f4")
        kernel = cupy.RawKernel('extern "C" __global__ void f(float *x) { x[threadIdx.x] = 1; }', "f")
        kernel((1,), (5,), (x,))
        del x
        print("not reached")
    """
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode != 0
    assert "a kernel wrote past the end of a device array of 16 bytes" in run.stderr
    assert "not reached" not in run.stdout


# ---- kernels --------------------------------------------------------------------------------------------------------


def test_elementwise_kernel(cupy):
    kernel = cupy.ElementwiseKernel(
        "T x, raw T g, float32 a", "T y, bool m", "m = x > 0; y = m ? g[i] : T(g[i] * a * exp(x))", "elu_backward"
    )
    g = RNG.standard_normal((3, 4)).astype("f4")
    y, m = kernel(cupy.asarray(X), cupy.asarray(g), 0.5)
    np.testing.assert_allclose(y.get(), np.where(X > 0, g, g * 0.5 * np.exp(X)), rtol=1e-6)
    np.testing.assert_array_equal(m.get(), X > 0)
    with pytest.raises(TypeError):
        kernel(cupy.asarray(X), cupy.asarray(g.astype("f8")), 0.5)


def test_elementwise_kernel_broadcasts_and_writes_into_a_view(cupy):
    kernel = cupy.ElementwiseKernel("T x, T y", "T z", "z = x * y", "product")
    out = cupy.zeros((4, 6), "f4")
    kernel(cupy.asarray(X[:, :1].T), cupy.asarray(Y[0, :, None]), out[:, ::2])
    np.testing.assert_array_equal(out[:, ::2].get(), X[:, 0] * Y[0, :, None])
    assert not out[:, 1::2].any()


def test_reduction_kernel(cupy):
    kernel = cupy.ReductionKernel("T x, T m", "T y", "exp(x - m)", "a + b", "y = log(a)", "0", "logsumexp")
    x = RNG.standard_normal((3, 700)).astype("f4")
    y = kernel(cupy.asarray(x), cupy.asarray(x.max(1, keepdims=True)), axis=1)
    np.testing.assert_allclose(y.get(), np.log(np.exp(x - x.max(1, keepdims=True)).sum(1)), rtol=1e-5)


SOFTMAX = r"""
#define WARP_REDUCE(value, op) for (int o = 16; o; o /= 2) value = op(value, __shfl_xor_sync(0xffffffff, value, o));
__device__ float plus(float a, float b) { return a + b; }

extern "C" __global__ void softmax(const float *x, float *y, int n) {
  extern __shared__ float row[];
  __shared__ float partial[32];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  float largest = -INFINITY, sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) largest = fmaxf(largest, row[i] = x[blockIdx.x * n + i]);
  WARP_REDUCE(largest, fmaxf)
  if (lane == 0) partial[warp] = largest;
  __syncthreads();
  largest = lane < warps ? partial[lane] : -INFINITY;
  WARP_REDUCE(largest, fmaxf)
  BARRIER
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += row[i] = __expf(row[i] - largest);
  WARP_REDUCE(sum, plus)
  if (lane == 0) partial[warp] = sum;
  __syncthreads();
  sum = lane < warps ? partial[lane] : 0;
  WARP_REDUCE(sum, plus)
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[blockIdx.x * n + i] = row[i] / sum;
}
"""


def softmax_error(cupy, barrier, order):
    x = 3 * RNG.standard_normal((4, 300)).astype("f4")
    y = cupy.empty((4, 300), "f4")
    kernel = cupy.RawModule(code=SOFTMAX.replace("BARRIER", barrier)).get_function("softmax")
    with hostcupy.schedule(order):
        kernel((4,), (128,), (cupy.asarray(x), y, np.int32(300)), shared_mem=1200)
    exponential = np.exp(x - x.max(1, keepdims=True))
    return np.abs(y.get() - exponential / exponential.sum(1, keepdims=True)).max()


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_kernel_with_shared_memory_barriers_and_shuffles(cupy, order):
    assert softmax_error(cupy, "__syncthreads();", order) < 1e-6


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_a_missing_barrier_gives_wrong_values(cupy, order):
    assert softmax_error(cupy, "", order) > 1e-3


def test_a_barrier_that_some_threads_never_reach(cupy):
    source = 'extern "C" __global__ void f() {\n if (threadIdx.x < 16) __syncthreads();\n __syncthreads();\n}'
    with pytest.raises(RuntimeError, match=r"block \(0, 0, 0\): .* different barriers, in lines 2 and 3"):
        cupy.RawKernel(source, "f")((1,), (64,), ())


def test_too_little_dynamic_shared_memory(cupy):
    source = 'extern "C" __global__ void f() { extern __shared__ float row[]; row[threadIdx.x] = 1; }'
    kernel = cupy.RawKernel(source, "f")
    kernel((1,), (8,), (), shared_mem=32)
    with pytest.raises(RuntimeError, match="wrote past its 28 bytes of dynamic shared memory"):
        kernel((1,), (8,), (), shared_mem=28)


def test_a_warp_barrier_that_some_lanes_never_reach(cupy):
    source = 'extern "C" __global__ void f() { if (threadIdx.x < 16) __syncwarp(); __syncthreads(); }'
    with pytest.raises(RuntimeError, match=r"block \(0, 0, 0\): 32 of 32 threads wait at a barrier"):
        cupy.RawKernel(source, "f")((2,), (32,), ())
    kernel = cupy.RawKernel('extern "C" __global__ void f(int *x) { x[threadIdx.x] = threadIdx.x; }', "f")
    x = cupy.zeros(3, "i4")
    kernel((1,), (3,), (x,))
    assert x.tolist() == [0, 1, 2]  # the failure left nothing behind


def test_votes_and_atomics(cupy):
    source = """extern "C" __global__ void f(const int *x, unsigned *votes, float *histogram, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        unsigned ballot = __ballot_sync(0xffffffff, i < n && x[i] == 1);
        if (threadIdx.x % 32 == 0) atomicAdd(votes, __popc(ballot));
        if (i < n) atomicAdd(&histogram[x[i]], 0.5f);
    }"""
    x = RNG.integers(0, 5, 200).astype("i4")
    votes, histogram = cupy.zeros(1, "u4"), cupy.zeros(5, "f4")
    cupy.RawKernel(source, "f")((4,), (64,), (cupy.asarray(x), votes, histogram, np.int32(200)))
    assert votes.item() == (x == 1).sum()
    np.testing.assert_array_equal(histogram.get(), 0.5 * np.bincount(x, minlength=5))


def test_templates_macros_constants_and_options(cupy):
    source = """
        __constant__ float factor[2];
        #define SCALE(T, suffix) extern "C" __global__ void scale_##suffix(T *x) { x[threadIdx.x] *= factor[OFFSET]; }
        SCALE(float, f) SCALE(double, d)
        template <class T, int N> __global__ void fill(T *x) { x[threadIdx.x] = N; }
    """
    module = cupy.RawModule(
        code=source, options=("-DOFFSET=1",), name_expressions=["fill<float, 3>", "fill<double, 4>"]
    )
    cupy.ndarray(2, "f4", module.get_global("factor"))[...] = cupy.asarray([5, 10], "f4")
    for dtype, name, suffix, value in (("f4", "fill<float, 3>", "f", 30), ("f8", "fill<double, 4>", "d", 40)):
        x = cupy.empty(6, dtype)
        module.get_function(name)((1,), (6,), (x,))
        module.get_function(f"scale_{suffix}")((1,), (6,), (x,))
        assert x.tolist() == [value] * 6


def test_a_kernel_includes_headers_of_its_folder(cupy, tmp_path):
    (tmp_path / "common.cuh").write_text("__device__ int twice(int x) { return 2 * x; }")
    source = '#include "common.cuh"\nextern "C" __global__ void f(int *x) { *x = twice(21); }'
    x = cupy.zeros(1, "i4")
    cupy.RawModule(code=source, options=(f"-I{tmp_path}",)).get_function("f")((1,), (1,), (x,))
    assert x.item() == 42


def test_errors_of_source_name_and_launch(cupy):
    with pytest.raises(cupy.cuda.compiler.CompileException, match=r"missing.* was not declared in this scope"):
        cupy.RawKernel('extern "C" __global__ void f() { missing = 1; }', "f")((1,), (1,), ())
    with pytest.raises(RuntimeError, match="no kernel named g"):
        cupy.RawModule(code='extern "C" __global__ void f() {}').get_function("g")
    with pytest.raises(RuntimeError, match="invalid launch"):
        cupy.RawKernel('extern "C" __global__ void f() {}', "f")((1,), (2048,), ())


def test_half_precision_arithmetic_of_cuda_headers(cupy):
    source = """#include <cuda_fp16.h>
        extern "C" __global__ void f(const __half *x, __half *y) {
            int i = threadIdx.x;
            y[i] = __hadd(x[i], __float2half(1.0f)) * x[i];
        }"""
    x = np.arange(6).astype("f2")
    y = cupy.empty(6, "f2")
    cupy.RawKernel(source, "f")((1,), (6,), (cupy.asarray(x), y))
    np.testing.assert_array_equal(y.get(), (x + 1) * x)


def test_what_was_compiled_is_known(cupy):
    cupy.ElementwiseKernel("T x", "T y", "y = x + 42", "is_known")(cupy.zeros(1, "f4"))
    assert any("is_known" in source.text for source in hostcupy.sources)

"""CUDA devices: CuPy's namespace under array-API names, with what formulas need beyond it.

The mirror of `numpy.py`, and the only file that imports CuPy; `backends.cuda()` imports it when a CUDA device is first
used. A name that is not defined here is that of a declared primitive, applied to raw arrays, or CuPy's own. What
CuPy lacks is in the kernels of the folder `kernels/`, which `gpu/` calls.
"""

from __future__ import annotations

import functools
import math
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import backends as _settings, devices
from ..determinism import are_deterministic_algorithms_enabled
from ..expr import steps
from ..expr.cuda import elementwise_source, packed_source
from . import gpu
from .gpu import C_TYPES, instance, per_element, reduce
from .gpu.memory import Allocator
from .lookup import kernels, lookup, owner_of
from .native import FLOATING

_INSTALL = 'pip install "gradcu[cuda13]"', 'pip install "gradcu[cuda12]"'

try:
    import cupy as cp
    import cupyx
except ImportError as error:
    if error.name not in ("cupy", "cupy_backends"):
        raise RuntimeError(
            f"CuPy is installed, but cannot be imported: {error}. Install it anew: {_INSTALL[0]}"
        ) from error
    raise RuntimeError(
        f"CUDA devices need CuPy, which is not installed: {_INSTALL[0]} (or, for a driver of CUDA 12, {_INSTALL[1]})"
    ) from None

ndarray = cp.ndarray
ufunc = cp.ufunc
_bfloat16 = "bfloat16"
_this: Any = sys.modules[__name__]
allocator = Allocator(cp)
allocator.install()


def __getattr__(name: str) -> Any:
    return lookup(name, cp, __name__)


# --- devices ---


def require() -> None:
    """Raise RuntimeError, with the command that mends it, unless there is a device and a compiler for it."""
    runtime = cp.cuda.runtime
    needed = runtime.runtimeGetVersion()
    driver = runtime.driverGetVersion()
    if driver == 0:
        raise RuntimeError(
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and install a driver from "
            "https://www.nvidia.com/drivers; `nvidia-smi` shows whether it runs."
        )
    if driver // 1000 < needed // 1000:
        raise RuntimeError(
            f"The NVIDIA driver on your system is too old: it runs CUDA {_version(driver)}, CuPy was built for CUDA "
            f"{_version(needed)}. Update it from https://www.nvidia.com/drivers, or install CuPy for the older CUDA: "
            f"pip uninstall cupy-cuda{needed // 1000}x && {_INSTALL[1]}"
        )
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        if "NoDevice" not in str(error):
            raise RuntimeError(f"CUDA does not start: {error}. Compare with what `nvidia-smi` says.") from None
        count = 0
    if not count:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise RuntimeError(
            "No CUDA GPUs are available: the driver finds none (`nvidia-smi -L` lists those of the machine)."
            + (
                ""
                if hidden is None
                else f" CUDA_VISIBLE_DEVICES is '{hidden}': `unset CUDA_VISIBLE_DEVICES` shows all."
            )
        )
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        raise RuntimeError(
            f"There is a CUDA device, but NVRTC, which compiles its kernels, is missing ({error}): "
            f"{_INSTALL[needed // 1000 < 13]}"
        ) from None


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


@functools.cache
def device_count() -> int:
    return cp.cuda.runtime.getDeviceCount()


def using(device: devices.device | None) -> Any:
    """A context in which arrays are made, and kernels run, on the device. Raises RuntimeError if there is no such."""
    index = current_device() if device is None or device.index is None else device.index
    if index >= device_count():
        raise RuntimeError(
            f"CUDA error: invalid device ordinal {index}: gradcu.cuda.device_count() is {device_count()}"
        )
    return cp.cuda.Device(index)


def current_device() -> int:
    return cp.cuda.runtime.getDevice()


@functools.cache
def properties(index: int) -> SimpleNamespace:
    """What the driver tells of a device, under PyTorch's names."""
    told = cp.cuda.runtime.getDeviceProperties(index)
    names = {
        "major": "major", "minor": "minor", "total_memory": "totalGlobalMem", "warp_size": "warpSize",
        "multi_processor_count": "multiProcessorCount", "max_threads_per_block": "maxThreadsPerBlock",
        "max_threads_per_multi_processor": "maxThreadsPerMultiProcessor", "L2_cache_size": "l2CacheSize",
        "shared_memory_per_block": "sharedMemPerBlock", "is_integrated": "integrated",
    }  # fmt: skip
    return SimpleNamespace(name=told["name"].decode(), **{name: told.get(key) for name, key in names.items()})


depth = 0  # of no vmap


def guarded(function: Callable, op: Any = None) -> Callable:
    """`function`, made to run on the device of the first array among its arguments, where there is a choice.

    The forward formula of an elementwise operation `op` runs as one kernel if it has several steps.
    """
    if op is not None and function is op.forward and op.kind == "elementwise":
        function = functools.partial(_forward, op)
    if device_count() == 1:
        return function

    def run(*args: Any) -> Any:
        first = next((a for a in args if type(a) is ndarray), None)
        if first is None:
            first = next(a for many in args if isinstance(many, (list, tuple)) for a in many if type(a) is ndarray)
        with first.device:
            return function(*args)

    return run


@functools.cache
def _device(index: int) -> devices.device:
    return devices.device("cuda", index)


def device_of(x: Any) -> devices.device:
    return _device(x.device.id)


def data_ptr(x: Any) -> int:
    return x.data.ptr


def to_host(x: Any) -> Any:
    return x.get(order="A")


def from_host(x: Any, device: devices.device | None = None) -> Any:
    """A copy on the device, its elements in the same order in memory."""
    with using(device):
        return cp.array(x, order="K")


def pinned(x: Any) -> Any:
    """A copy of a NumPy array in memory that the system keeps in place, from which copies to devices are faster."""
    memory = cp.cuda.alloc_pinned_memory(x.nbytes)
    result = np.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
    result[...] = x
    return result


# --- as in numpy.py ---


def copy(x: Any) -> Any:
    """A contiguous copy."""
    return x.copy(order="C")


def seed(x: Any) -> Any:
    """The gradient of a scalar by itself: one, in the dtype of x."""
    return cp.ones(x.shape, x.dtype)


def iadd(x: Any, y: Any) -> Any:
    """x += y, for 0-d arrays too."""
    return cp.add(x, y, out=x)


def conj(x: Any) -> Any:
    """The conjugate; real arrays are returned as they are."""
    return cp.conj(x) if x.dtype.kind == "c" else x


def matrix_transpose(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


def _reduction(by_kernel: Callable, name: str) -> Callable:
    """The function of that name: by a kernel, or CuPy's own for arrays that the kernel is not for."""
    by_cupy = getattr(cp, name)

    def function(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        result = by_kernel(_this, x, axis, keepdims)
        return by_cupy(x, axis=axis, keepdims=keepdims) if result is None else result

    return function


# Half precision is added up in float32; of equal elements, and of NaNs, the place is that of the first.
sum, mean = _reduction(reduce.total, "sum"), _reduction(reduce.mean, "mean")
max, min = _reduction(reduce.largest, "max"), _reduction(reduce.smallest, "min")
argmax, argmin = _reduction(reduce.first_largest, "argmax"), _reduction(reduce.first_smallest, "argmin")


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """A view of the shape, in which repeated elements share memory."""
    return x if x.shape == shape else cp.broadcast_to(x, shape)


def astype(x: Any, dtype: Any, copy: bool = True) -> Any:
    return x.astype(dtype, copy=copy)


def where(condition: Any, x: Any, y: Any) -> Any:
    """Elements of x where the condition holds, else of y; CuPy alone would make float32 of bfloat16."""
    result = cp.where(condition, x, y)
    kinds = {v.dtype for v in (x, y) if isinstance(v, ndarray)}
    return result.astype(kinds.pop()) if {d.name for d in kinds} == {_bfloat16} else result


def is_view(result: Any, x: Any) -> bool:
    """Whether `result` is a view of `x`."""
    base = result.base
    return base is not None and (base is x or base is x.base)


def with_strides(x: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view of these lengths, and strides in bytes, from the first element on."""
    return cp.lib.stride_tricks.as_strided(x, shape, strides)


def strided(memory: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, dtype: Any = None) -> Any:
    """An array over the memory of another, contiguous one; strides and offset in elements."""
    flat = memory.ravel() if dtype is None else memory.ravel().view(dtype)
    view = flat[offset:].view()  # as_strided would forget whose memory it is
    view._set_shape_and_strides(shape, tuple(s * flat.itemsize for s in strides), True, True)
    return view


def memory(x: Any) -> Any:
    """All the memory that `x` is a part of, as a vector."""
    return owner_of(x).ravel("K")


def special(name: str) -> Any:
    """A function of cupyx.scipy.special. Raises NotImplementedError if it has none of the name."""
    import cupyx.scipy.special

    try:
        return getattr(cupyx.scipy.special, name)
    except AttributeError:
        raise NotImplementedError(f"CuPy has no special function '{name}': compute it on the CPU") from None


class _Linalg:
    """CuPy's `linalg`, which raises where a matrix has no inverse or no such factors, as NumPy's does."""

    LinAlgError = np.linalg.LinAlgError

    def __getattr__(self, name: str) -> Any:
        function = getattr(cp.linalg, name)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            with cupyx.errstate(linalg="raise"):
                return function(*args, **kwargs)

        setattr(self, name, checked)
        return checked


linalg = _Linalg()

# --- matrix products ---

_FLOAT, _TF32, _DOUBLE = 68, 77, 70  # cublasComputeType_t
# of each dtype its cudaDataType, the type in which products are added up, and that of the factors alpha and beta
_GEMM = {
    "float16": (2, _FLOAT, "f4"), "bfloat16": (14, _FLOAT, "f4"), "float32": (0, _FLOAT, "f4"),
    "float64": (1, _DOUBLE, "f8"), "complex64": (4, _FLOAT, "c8"), "complex128": (5, _DOUBLE, "c16"),
}  # fmt: skip


def matmul(x: Any, y: Any) -> Any:
    """Matrix product, batched over leading dimensions, in the common dtype of the operands."""
    if x.ndim == y.ndim == 2 and x.dtype == y.dtype and x.dtype.kind in "fc" and _exact(x.dtype):
        return x.dot(y)
    common = cp.result_type(x.dtype, y.dtype)
    if common.name not in _GEMM:
        return cp.matmul(x, y)
    x, y = x.astype(common, copy=False), y.astype(common, copy=False)
    if y.ndim == 1:
        return matmul(x, y[:, None])[..., 0]
    if x.ndim == 1:
        return matmul(x[None, :], y)[..., 0, :]
    if y.ndim == 2 < x.ndim and x.flags.c_contiguous:  # rows of all the batch, in one product
        return matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[1])
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: the last length of {x.shape} must be the last but one of {y.shape}")
    return _gemm_batched(x, y)


def _exact(dtype: Any) -> bool:
    """Whether all bits of the operands count, as they do unless `set_float32_matmul_precision` says otherwise."""
    return _settings.get_float32_matmul_precision() == "highest" or dtype.name not in ("float32", "complex64")


def _gemm_batched(x: Any, y: Any) -> Any:
    """A batch of products in one call of cuBLAS, which reads transposed operands where they lie.

    cuBLAS is column-major: for it the memory of a row-major matrix holds the transpose, so out = x y is computed as
    out' = y' x'.
    """
    from cupy.cuda import cublas, device

    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    m, k, n = x.shape[-2], x.shape[-1], y.shape[-1]
    out = cp.empty((*batch, m, n), dtype=x.dtype)
    if not out.size or not k:
        out.fill(0)
        return out
    x, x_transposed, x_leading, x_step = _operand(x, batch)
    y, y_transposed, y_leading, y_step = _operand(y, batch)
    kind, compute, scale = _GEMM[x.dtype.name]
    if not _exact(x.dtype):
        compute = _TF32
    one, zero = np.ones((), scale), np.zeros((), scale)
    cublas.gemmStridedBatchedEx(
        device.get_cublas_handle(), y_transposed, x_transposed, n, m, k, one.ctypes.data,
        y.data.ptr, kind, y_leading, y_step, x.data.ptr, kind, x_leading, x_step,
        zero.ctypes.data, out.data.ptr, kind, n, m * n, math.prod(batch), compute, -1,
    )  # fmt: skip
    return out


def _operand(x: Any, batch: tuple[int, ...]) -> tuple[Any, int, int, int]:
    """An operand as cuBLAS takes it: the array, whether it is transposed, its leading dimension and batch step."""
    if math.prod(x.shape[:-2]) == 1:
        x, step = x.reshape(x.shape[-2:]), 0  # the same matrix for all
    else:
        x = broadcast_to(x, (*batch, *x.shape[-2:]))
        x = x.reshape(-1, *x.shape[-2:])  # copies where the strides of the batch have no common step
        step = x.strides[0] // x.itemsize
    for transposed, (row, column) in ((0, (-2, -1)), (1, (-1, -2))):
        leading = x.strides[row] // x.itemsize
        if (x.strides[column] == x.itemsize or x.shape[column] == 1) and leading >= x.shape[column]:
            return x, transposed, leading, step
    x = copy(x)
    return x, 0, x.shape[-1], math.prod(x.shape[-2:]) if step else 0


# --- kernels ---


@functools.cache
def kernel(name: str, function: str) -> Any:
    """A function of `kernels/<name>.cu`, compiled at the first use; `function` may be an instance of a template."""
    folder = kernels()
    text = (folder / f"{name}.cu").read_text(encoding="utf-8")
    module = cp.RawModule(code=text, options=("-std=c++17", f"-I{folder}"), name_expressions=(function,))
    start = time.perf_counter()
    found = module.get_function(function)
    if time.perf_counter() - start > 0.5:
        _tell_of_compiling()
    return found


@functools.cache
def _tell_of_compiling() -> None:
    """Say, once, why the first steps of a program are slow."""
    print(
        "gradcu compiles CUDA kernels when they are first used, and CuPy keeps them on disk for the next time; "
        "gradcu.cuda.warmup() compiles them ahead.",
        file=sys.stderr,
    )


def combine_at(x: Any, index: Any, values: Any, by: str = "add") -> None:
    """`x[index] = by(x[index], values)`, once for each time that an element is meant.

    `by` is "add", "multiply", "maximum" or "minimum".
    """
    if x.dtype.kind == "b":
        if by not in ("add", "maximum"):
            raise NotImplementedError(f"no scatter of booleans by {by} on CUDA")
        wider = x.astype(np.uint8)
        combine_at(wider, index, cp.asarray(values).astype(np.uint8), "maximum")
        x[...] = wider
        return
    index = index if isinstance(index, tuple) else (index,)
    target = x if x.flags.c_contiguous else copy(x)
    rows, rest = _rows(x.shape, index)
    values = cp.broadcast_to(cp.asarray(values, dtype=x.dtype), (*rows.shape, *rest))
    if x.dtype.kind != "c":
        _scatter(by, target, rows, values, math.prod(rest))
    elif by == "add":  # the parts of complex numbers are added by themselves
        part = x.real.dtype
        _scatter(by, target.view(part), rows, cp.ascontiguousarray(values).view(part), 2 * math.prod(rest))
    else:
        raise NotImplementedError(f"no scatter of complex numbers by {by} on CUDA")
    if target is not x:
        x[...] = target


def _rows(shape: tuple[int, ...], index: tuple) -> tuple[Any, tuple[int, ...]]:
    """The rows that an index picks from an array that is seen as rows, and the shape of a row."""
    if len(index) <= len(shape) and all(isinstance(i, ndarray) and i.dtype.kind in "iu" for i in index):
        rows: Any = 0
        for n, i in zip(shape, index):
            rows = rows * n + i.astype(np.int64) % n  # as CuPy reads x[i]: what is out of range wraps around
        return rows, shape[len(index) :]
    return cp.arange(math.prod(shape)).reshape(shape)[index], ()


def _scatter(by: str, x: Any, rows: Any, values: Any, length: int) -> None:
    if not values.size:
        return
    rows, values = cp.ascontiguousarray(rows).reshape(-1), cp.ascontiguousarray(values)
    types = by, x.dtype
    if x.itemsize == 2 or are_deterministic_algorithms_enabled():  # so that sums are rounded once, and always alike
        order = rows.argsort()
        args = x, rows[order], order, values, length, rows.size
        per_element(_this, "scatter", instance("scatter_in_order", *types), values.size, *args)
    else:
        per_element(_this, "scatter", instance("scatter", *types), values.size, x, rows, values, length, values.size)


# --- formulas ---


def fused(formula: Any, values: Sequence[Any]) -> list[Any] | None:
    """The results of a `native.Kernel` by one kernel; None if it is one step alone, or not pointwise."""
    kinds: list[Any] = []
    dtype = None
    for v in values:
        if type(v) is ndarray:
            boolean = v.dtype.kind == "b"
            if not boolean:
                if v.dtype.name not in FLOATING or (dtype is not None and v.dtype != dtype):
                    return None
                dtype = v.dtype
            kinds.append("array bool" if boolean else "array")
        else:
            exact = type(v) is float or (type(v) is int and -(1 << 53) <= v <= 1 << 53)
            kinds.append("number" if exact else (type(v), v))
    if dtype is None:
        return None
    made = _fused(formula, dtype, kinds, values)
    if made is None and "number" in kinds:  # the formula may branch on one
        kinds = [repr(v) if k == "number" else k for k, v in zip(kinds, values)]
        made = _fused(formula, dtype, kinds, values)
    if made is None:
        return None
    results = guarded(made)(*(v for k, v in zip(kinds, values) if k in ("array", "array bool", "number")))
    return list(results) if isinstance(results, tuple) else [results]


def _fused(formula: Any, dtype: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
    def make() -> Any:
        try:
            trace, results, _ = formula.trace(dtype, kinds, values)
        except Exception:  # whatever a formula trips over, CuPy will say it better, or can do it
            return None
        if steps(results) < 2:
            return None
        return _Pointwise(trace, results, dtype)

    return formula.kept(("cuda", dtype, *kinds), make)


class _Pointwise:
    """The kernels of an expression, called with its operands."""

    #: elements from which on a thread takes 16 bytes of them: about as many as a large device has threads
    LARGE = 1 << 18

    def __init__(self, trace: Any, results: Sequence[Any], dtype: Any) -> None:
        self.trace, self.results, self.dtype = trace, results, dtype
        self.general = cp.ElementwiseKernel(*elementwise_source(trace, results), "pointwise")
        self.packed: dict[tuple[bool, ...], Any] = {}

    def __call__(self, *values: Any) -> Any:
        first = next((v for v in values if type(v) is ndarray and v.size >= self.LARGE and any(v.strides)), None)
        alone = None if first is None else _alone(first.shape, values)
        if first is None or alone is None:
            return self.general(*values)
        if alone not in self.packed:
            text = packed_source(self.trace, self.results, C_TYPES[self.dtype.name], alone)
            module = cp.RawModule(code=text, options=("-std=c++17", f"-I{kernels()}"))
            self.packed[alone] = module.get_function("pointwise")
        out = [cp.empty(first.shape, dtype=bool if r.boolean else self.dtype) for r in self.results]
        blocks = -(-first.size * self.dtype.itemsize // (16 * gpu.THREADS))
        given = [v if type(v) is ndarray else np.float64(v) for v in values]
        self.packed[alone]((blocks,), (gpu.THREADS,), (*given, *out, np.int64(first.size)))
        return tuple(out)


def _alone(shape: tuple[int, ...], values: Sequence[Any]) -> tuple[bool, ...] | None:
    """For each operand whether one element of it stands for all; None if some array is neither that nor fit for packs.

    Those are contiguous, of the shape, and begin at a multiple of 16 bytes.
    """
    found = []
    for v in values:
        whole = type(v) is ndarray and v.shape == shape
        if whole and v.flags.c_contiguous and v.data.ptr % 16 == 0:
            found.append(False)
        elif type(v) is not ndarray or (whole and not any(v.strides)) or (v.size == 1 and v.ndim <= len(shape)):
            found.append(True)
        else:
            return None
    return tuple(found)


def launch_source(text: str, function: str, arrays: Sequence[Any], numbers: tuple, size: int, threads: int) -> None:
    """Run a function of the user's CUDA C++, or the instance of a template for the type of the first array."""
    if re.search(rf"template\s*<[^>]*>[^;{{]*\b{function}\s*\(", text):
        function = f"{function}<{C_TYPES[arrays[0].dtype.name]}>"
    if size:
        given = [np.float64(n) if isinstance(n, float) else np.int64(n) for n in numbers]
        with arrays[0].device:
            _user(text, function)((-(-size // threads),), (threads,), (*arrays, *given, np.int64(size)))


@functools.cache
def _user(text: str, function: str) -> Any:
    return cp.RawModule(code=text, options=("-std=c++17",), name_expressions=(function,)).get_function(function)


def _forward(op: Any, xp: Any, *args: Any, **attributes: Any) -> Any:
    """An elementwise operation, by one kernel if its formula has several steps."""
    results = None if attributes else fused(op.kernel, args)
    return op.forward(xp, *args, **attributes) if results is None else results[0]


# --- random numbers ---


class RandomSource:
    """A position in the stream of random numbers of a seed, with the methods of NumPy's `Generator`."""

    def __init__(self, seed: int, position: int = 0) -> None:
        self.seed, self.position = seed, position

    def _drawn(self, function: str, shape: Any, dtype: Any, per_block: int, *extra: Any) -> Any:
        x = cp.empty(() if shape is None else shape, dtype=dtype)
        blocks = -(-x.size // per_block)
        if blocks:
            seed, position = (np.uint64(v % (1 << 64)) for v in (self.seed, self.position))
            per_element(_this, "random", instance(function, x.dtype), blocks, x, x.size, seed, position, *extra)
            self.position += blocks
        return x

    def random(self, shape: Any = None, dtype: Any = "float64") -> Any:
        return self._drawn("uniform", shape, dtype, _per_block(dtype))

    def standard_normal(self, shape: Any = None, dtype: Any = "float64") -> Any:
        return self._drawn("normal", shape, dtype, _per_block(dtype))

    def standard_exponential(self, shape: Any = None, dtype: Any = "float64") -> Any:
        return self._drawn("exponential", shape, dtype, _per_block(dtype))

    def integers(self, low: int, high: int, shape: Any = None, dtype: Any = "int64", endpoint: bool = False) -> Any:
        limits = (np.uint64(v % (1 << 64)) for v in (low, high + endpoint - low))
        return self._drawn("integers", shape, "int64", 2, *limits).astype(dtype, copy=False)

    def noise(self, shape: Any, dtype: Any, keep: float, scale: float) -> Any:
        """`scale` with probability `keep`, else zero."""
        return self._drawn("noise", shape, dtype, 4, np.float32(keep), np.float64(scale))

    def permutation(self, n: int) -> Any:
        return cp.argsort(self.random(n))

    def __getattr__(self, name: str) -> Any:
        """Rarer distributions are CuPy's, from a seed that is drawn here."""
        bits = cp.random.Philox4x3210(int(self.integers(0, 1 << 32)))
        return getattr(cp.random.Generator(bits), name)


def _per_block(dtype: Any) -> int:
    """How many numbers of a dtype a block of Philox gives."""
    return 16 // np.dtype(dtype).itemsize


def dropout_noise(source: RandomSource, shape: Any, dtype: Any, keep: float, scale: float) -> Any:
    """What dropout multiplies by: `scale` with probability `keep`, else zero."""
    if dtype.name in gpu.FLOATS:
        return source.noise(shape, dtype, keep, scale)
    return (source.random(shape, "float32") < keep) * dtype.type(scale)


def random_source(seed: int, state: Any = None) -> RandomSource:
    """A generator of random numbers: at the start of the stream of a seed, or where `random_state` was taken."""
    return RandomSource(seed, *([] if state is None else map(int, state)))


def random_state(source: RandomSource) -> list[int]:
    """What `random_source` needs, besides the seed, to go on from here."""
    return [source.position]

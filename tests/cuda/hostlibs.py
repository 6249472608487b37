"""NumPy in the place of the CUDA libraries that come without source: cuBLAS, Thrust, cuSOLVER and cuFFT.

cuBLAS and Thrust are met where CuPy calls them, with the addresses, leading dimensions and types that it computed; for
cuSOLVER and cuFFT whole functions of `cupy.linalg` and `cupy.fft` are replaced."""

import ctypes
import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np


def install() -> None:
    """Called by `hostcupy.install()` between its work on the CUDA calls and the first use of CuPy."""
    from cupy_backends.cuda import libs

    libs.cublas = sys.modules[f"{libs.__name__}.cublas"] = _Cublas(f"{libs.__name__}.cublas")
    import cupy
    from cupy.cuda import thrust

    thrust.sort, thrust.argsort, thrust.lexsort = _sort, _argsort, _lexsort
    for module, names in {
        "_decomposition": ("cholesky", "qr", "svd"),
        "_eigenvalue": ("eig", "eigh", "eigvals", "eigvalsh"),
        "_solve": ("inv", "lstsq", "solve"),
        "_norms": ("slogdet",),
    }.items():
        inner = importlib.import_module(f"cupy.linalg.{module}")
        for name in names:
            _replace(getattr(np.linalg, name), cupy.linalg, inner)
    for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
        for suffix in ("", "2", "n") if "h" not in name else ("",):
            _replace(getattr(np.fft, name + suffix), cupy.fft)


def memory(address: int, shape: Sequence[int], dtype: Any, strides: Sequence[int] | None = None) -> np.ndarray:
    """The array that lies at an address of device memory, not copied."""
    dtype = np.dtype(dtype)
    steps = strides or [dtype.itemsize * int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    size = dtype.itemsize + sum((length - 1) * step for length, step in zip(shape, steps))
    buffer = (ctypes.c_char * max(size, 0)).from_address(address)
    return np.ndarray(tuple(shape), dtype, buffer, strides=tuple(steps)) if 0 not in shape else np.empty(shape, dtype)


# ---- cuBLAS ---------------------------------------------------------------------------------------------------------


class _Cublas(ModuleType):
    """Matrix products under cuBLAS's names: column-major, C = alpha op(A) op(B) + beta C."""

    CUBLASError = type("CUBLASError", (RuntimeError,), {})
    CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C = 0, 1, 2
    CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER = 0, 1
    CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE = 0, 1
    CUBLAS_GEMM_DEFAULT, CUBLAS_GEMM_DEFAULT_TENSOR_OP = -1, 99
    CUBLAS_DEFAULT_MATH, CUBLAS_TENSOR_OP_MATH, CUBLAS_PEDANTIC_MATH, CUBLAS_TF32_TENSOR_OP_MATH = 0, 1, 2, 3
    CUBLAS_COMPUTE_16F, CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_COMPUTE_32F_FAST_TF32 = 64, 68, 69, 77
    CUBLAS_COMPUTE_64F, CUBLAS_COMPUTE_64F_PEDANTIC, CUBLAS_COMPUTE_32I = 70, 71, 72

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._math_mode = self._pointer_mode = 0
        for letter, dtype in {"s": "f4", "d": "f8", "c": "c8", "z": "c16"}.items():
            setattr(self, f"{letter}gemm", functools.partial(self._gemm, dtype))
            setattr(self, f"{letter}gemmStridedBatched", functools.partial(self._gemm_strided, dtype))
            setattr(self, f"{letter}gemmBatched", functools.partial(self._gemm_pointers, dtype))

    def create(self) -> int:
        return 1

    def destroy(self, handle: int) -> None: ...

    def setStream(self, handle: int, stream: int) -> None: ...

    def setMathMode(self, handle: int, mode: int) -> None:
        self._math_mode = mode

    def getMathMode(self, handle: int) -> int:
        return self._math_mode

    def setPointerMode(self, handle: int, mode: int) -> None:
        self._pointer_mode = mode

    def getPointerMode(self, handle: int) -> int:
        return self._pointer_mode

    def gemmEx(self, handle, ta, tb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc, compute, algo):
        types = _cuda_dtype(atype), _cuda_dtype(btype), _cuda_dtype(ctype)
        _product(types, compute, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)

    def sgemmEx(self, handle, ta, tb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc):
        self.gemmEx(handle, ta, tb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc, 68, -1)

    def gemmStridedBatchedEx(
        self, handle, ta, tb, m, n, k, alpha, a, atype, lda, sa, b, btype, ldb, sb, beta, c, ctype, ldc, sc, batch,
        compute, algo,
    ):  # fmt: skip
        types = _cuda_dtype(atype), _cuda_dtype(btype), _cuda_dtype(ctype)
        for i in range(batch):
            at, bt, ct = (p + i * s * t.itemsize for p, s, t in zip((a, b, c), (sa, sb, sc), types))
            _product(types, compute, ta, tb, m, n, k, alpha, at, lda, bt, ldb, beta, ct, ldc)

    def gemmBatchedEx(
        self, handle, ta, tb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc, batch, compute, algo
    ):
        types = _cuda_dtype(atype), _cuda_dtype(btype), _cuda_dtype(ctype)
        for at, bt, ct in zip(*(memory(pointers, (batch,), "u8").tolist() for pointers in (a, b, c))):
            _product(types, compute, ta, tb, m, n, k, alpha, at, lda, bt, ldb, beta, ct, ldc)

    def _gemm(self, dtype, handle, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        code = _CUDA_TYPES[dtype]
        self.gemmEx(handle, ta, tb, m, n, k, alpha, a, code, lda, b, code, ldb, beta, c, code, ldc, None, -1)

    def _gemm_strided(self, dtype, handle, ta, tb, m, n, k, alpha, a, lda, sa, b, ldb, sb, beta, c, ldc, sc, batch):
        code = _CUDA_TYPES[dtype]
        self.gemmStridedBatchedEx(
            handle, ta, tb, m, n, k, alpha, a, code, lda, sa, b, code, ldb, sb, beta, c, code, ldc, sc, batch, None, -1
        )

    def _gemm_pointers(self, dtype, handle, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch):
        code = _CUDA_TYPES[dtype]
        self.gemmBatchedEx(
            handle, ta, tb, m, n, k, alpha, a, code, lda, b, code, ldb, beta, c, code, ldc, batch, None, -1
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"cublas.{name} has no stand-in in tests/cuda/hostlibs.py")


_CUDA_TYPES = {"f4": 0, "f8": 1, "f2": 2, "i1": 3, "c8": 4, "c16": 5, "i4": 10, "bfloat16": 14}  # cudaDataType


def _cuda_dtype(code: int) -> np.dtype:
    return np.dtype(next(name for name, value in _CUDA_TYPES.items() if value == code))


def _product(types, compute, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) -> None:
    def matrix(address, trans, rows, columns, leading, dtype):
        shape = (columns, rows) if trans else (rows, columns)
        if leading < max(1, shape[0]):
            raise _Cublas.CUBLASError(f"a leading dimension of {leading} for a column-major matrix of shape {shape}")
        array = memory(address, shape, dtype, (dtype.itemsize, leading * dtype.itemsize))
        return (array, array.T, array.T.conj())[trans]

    half = types[0].itemsize == 2
    wide = np.dtype("f4") if half else np.dtype("i4") if types[0].kind == "i" else types[0]
    scalar = np.dtype("f2") if compute == _Cublas.CUBLAS_COMPUTE_16F else wide
    left, right = matrix(a, ta, m, k, lda, types[0]), matrix(b, tb, k, n, ldb, types[1])
    out = matrix(c, 0, m, n, ldc, types[2])
    factor, kept = memory(alpha, (), scalar)[()], memory(beta, (), scalar)[()]
    result = factor * (left.astype(wide) @ right.astype(wide))
    out[...] = result + kept * out if kept else result  # with beta = 0 cuBLAS does not read C


# ---- Thrust ---------------------------------------------------------------------------------------------------------


def _comparable(data: np.ndarray) -> np.ndarray:
    return data.astype("f4") if data.dtype.name == "bfloat16" else data


def _sort(dtype, data: int, keys: int, shape: Sequence[int]) -> None:
    array = memory(data, shape, dtype)
    array[...] = np.sort(_comparable(array), axis=-1)


def _argsort(dtype, indices: int, data: int, keys: int, shape: Sequence[int]) -> None:
    memory(indices, shape, "i8")[...] = np.argsort(_comparable(memory(data, shape, dtype)), axis=-1, kind="stable")


def _lexsort(dtype, indices: int, keys: int, count: int, length: int) -> None:
    memory(indices, (length,), "i8")[...] = np.lexsort(_comparable(memory(keys, (count, length), dtype)))


# ---- cuSOLVER and cuFFT ---------------------------------------------------------------------------------------------


def _replace(function: Callable[..., Any], *modules: ModuleType) -> None:
    """Puts a NumPy function in the place of its namesake, with device arrays going in and coming out.

    A matrix that cannot be decomposed or solved gives NaN, or LinAlgError under `cupyx.errstate(linalg='raise')`."""
    import cupy
    import cupyx

    def host(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{function.__name__}: expected a cupy.ndarray, got a numpy.ndarray")
        return value.get() if isinstance(value, cupy.ndarray) else value

    def device(value: Any) -> Any:
        return cupy.asarray(value) if isinstance(value, (np.ndarray, np.generic)) else value

    @functools.wraps(function)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        args = tuple(host(arg) for arg in args)
        kwargs = {name: host(value) for name, value in kwargs.items()}
        try:
            result = function(*args, **kwargs)
        except np.linalg.LinAlgError:
            if cupyx.geterr()["linalg"] == "raise" or args[0].ndim < 2 or args[0].shape[-1] != args[0].shape[-2]:
                raise
            identity = np.broadcast_to(np.eye(args[0].shape[-1], dtype=args[0].dtype), args[0].shape)
            result = function(identity, *args[1:], **kwargs)
            result = tuple(np.full_like(r, np.nan) for r in result) if isinstance(result, tuple) else result * np.nan
        if isinstance(result, tuple):
            parts = [device(part) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        return device(result)

    for module in modules:
        setattr(module, function.__name__, replacement)

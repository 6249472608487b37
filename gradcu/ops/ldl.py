"""Factorisations of symmetric and Hermitian matrices that need not be definite. On the CPU; without gradients."""

from __future__ import annotations

import math
from typing import Any

from .. import backends
from ..return_types import named
from ..tensor import Tensor, from_array
from .decompose import check_matrix, check_same, check_system
from .expose import expose

_ALPHA = (1 + math.sqrt(17)) / 8


def _size(x: Any) -> Any:
    """The magnitude by which LAPACK chooses pivots."""
    return abs(x.real) + abs(x.imag) if x.dtype.kind == "c" else abs(x)


def _factor(a: Any, pivots: Any, hermitian: bool) -> int:
    """Overwrite the lower triangle of one matrix with L and D, choosing pivots as LAPACK's sytf2 does.

    J. Bunch and L. Kaufman, "Some stable methods for calculating inertia and solving symmetric linear systems" (1977).
    Returns the number, from 1, of the first zero of D, or 0.
    """
    n, k, info = len(a), 0, 0

    def conj(x: Any) -> Any:
        return x.conj() if hermitian else x

    while k < n:
        below = _size(a[k + 1 :, k])
        largest, here = (below.max(), k + 1 + int(below.argmax())) if k + 1 < n else (0.0, k)
        pivot, step = k, 1
        if max(_size(a[k, k]), largest) == 0:
            info = info or k + 1
        elif _size(a[k, k]) < _ALPHA * largest:
            row = max(_size(a[here, k:here]).max(), _size(a[here + 1 :, here]).max() if here + 1 < n else 0.0)
            if _size(a[k, k]) < _ALPHA * largest * (largest / row):
                pivot, step = here, 1 if _size(a[here, here]) >= _ALPHA * row else 2
        last = k + step - 1
        if pivot != last:
            a[pivot + 1 :, [last, pivot]] = a[pivot + 1 :, [pivot, last]]
            between = a[last + 1 : pivot, last].copy()
            a[last + 1 : pivot, last] = conj(a[pivot, last + 1 : pivot])
            a[pivot, last + 1 : pivot] = conj(between)
            a[pivot, last] = conj(a[pivot, last])
            a[[last, pivot], [last, pivot]] = a[[pivot, last], [pivot, last]]
            if step == 2:
                a[[k + 1, pivot], k] = a[[pivot, k + 1], k]
        rest = slice(k + step, n)
        if a[k, k] != 0 or step == 2:
            block = _block(a, k, step, hermitian)
            columns = a[rest, k : k + step].copy()
            low = backends.host.linalg.solve(block.T, columns.T).T
            a[rest, rest] -= backends.host.tril(low @ conj(columns).T)
            a[rest, k : k + step] = low
        pivots[k : k + step] = pivot + 1 if step == 1 else -(pivot + 1)
        k += step
    return info


def _block(a: Any, k: int, step: int, hermitian: bool) -> Any:
    """The block of D at k, of one or two rows."""
    block = a[k : k + step, k : k + step].copy()
    if step == 2:
        block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
    if hermitian:
        for i in range(step):
            block[i, i] = block[i, i].real
    return block


def _solve(a: Any, pivots: Any, b: Any, hermitian: bool) -> None:
    """Overwrite b with the solution for one factorised matrix."""
    n, k = len(a), 0
    starts = []
    while k < n:
        step = 1 if pivots[k] > 0 else 2
        starts.append((k, step))
        last, pivot = k + step - 1, abs(int(pivots[k])) - 1
        b[[last, pivot]] = b[[pivot, last]]
        b[k + step :] -= a[k + step :, k : k + step] @ b[k : k + step]
        b[k : k + step] = backends.host.linalg.solve(_block(a, k, step, hermitian), b[k : k + step])
        k += step
    for k, step in reversed(starts):
        columns = a[k + step :, k : k + step]
        b[k : k + step] -= (columns.conj() if hermitian else columns).T @ b[k + step :]
        last, pivot = k + step - 1, abs(int(pivots[k])) - 1
        b[[last, pivot]] = b[[pivot, last]]


def _on_cpu(name: str, x: Tensor) -> None:
    if x.is_cuda:
        raise NotImplementedError(f"{name} runs on the CPU only: move the tensor with .cpu()")


def _ldl(name: str, A: Tensor, hermitian: bool) -> tuple[Tensor, Tensor, Any]:
    check_matrix(name, A, square=True)
    _on_cpu(name, A)
    host, n = backends.host, A._array.shape[-1]
    whole = host.tril(A._array)
    flat = whole.reshape(math.prod(whole.shape[:-2]), n, n)
    pivots = host.zeros(flat.shape[:2], dtype="int32")
    info = host.zeros(len(flat), dtype="int32")
    for i in range(len(flat)):
        info[i] = _factor(flat[i], pivots[i], hermitian and A.is_complex())
    batch = whole.shape[:-2]
    return from_array(flat.reshape(whole.shape)), from_array(pivots.reshape(*batch, n)), from_array(info.reshape(batch))


@expose(function=False, method=False, out="same", into="linalg")
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """(LD, pivots, info): `ldl_factor`, where info is 0, or the place of the first zero of D."""
    low, pivots, info = _ldl("torch.linalg.ldl_factor_ex", A, hermitian)
    if check_errors:
        _check(info)
    return named("linalg_ldl_factor_ex", "LD pivots info")(low, pivots, info)


def _check(info: Tensor) -> None:
    found = info._array.reshape(-1)
    if found.any():
        raise RuntimeError(
            f"torch.linalg.ldl_factor_ex: D[{int(found[found > 0][0])}] is zero: the factorization has been completed, "
            "but the block diagonal matrix D is exactly singular"
        )


@expose(function=False, method=False, out="same", into="linalg")
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """(LD, pivots) with P^T A P = L D L^T (or L^H), D of blocks of one or two rows, in one matrix as LAPACK keeps them.

    Only the lower triangle of A is looked at. Raises RuntimeError if D is singular.
    """
    low, pivots, info = _ldl("torch.linalg.ldl_factor", A, hermitian)
    _check(info)
    return named("linalg_ldl_factor", "LD pivots")(low, pivots)


@expose(function=False, method=False, out="same", into="linalg")
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X in A X = B, from `ldl_factor` of A; batches broadcast."""
    name = "torch.linalg.ldl_solve"
    check_matrix(name, LD, "LD", square=True)
    check_matrix(name, B, "B")
    check_same(name, LD, B)
    check_system(name, LD, B)
    if pivots._array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {pivots.dtype}")
    if pivots._array.shape != LD._array.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots._array.shape)} instead"
        )
    _on_cpu(name, LD)
    host, n = backends.host, LD._array.shape[-1]
    batch = host.broadcast_shapes(LD._array.shape[:-2], B._array.shape[:-2])
    count, columns = math.prod(batch), B._array.shape[-1]
    a = host.broadcast_to(LD._array, (*batch, n, n)).reshape(count, n, n)
    p = host.broadcast_to(pivots._array, (*batch, n)).reshape(count, n)
    b = host.array(host.broadcast_to(B._array, (*batch, n, columns))).reshape(count, n, columns)
    for i in range(count):
        _solve(a[i], p[i], b[i], hermitian and LD.is_complex())
    return from_array(b.reshape(*batch, n, columns))

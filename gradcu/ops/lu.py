"""LU factorisations. The elimination is written here: NumPy has none that it shows, and all of a batch goes at once."""

from __future__ import annotations

import math
from typing import Any

from .. import backends
from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array
from .decompose import (
    array_namespace,
    check_matrix,
    check_same,
    check_system,
    leading,
    of_batch,
    solve_triangular_,
    transposed,
    triangle,
    with_diagonal,
)
from .expose import expose
from .linalg import not_tensor
from .shape import unbroadcast


def _permute_rows(xp: Any, x: Any, pivots: Any, back: bool) -> Any:
    """Exchange row i with row pivots[i], for each i in turn; `back` undoes it."""
    count = x.shape[-2]
    host = xp.to_host(pivots)
    batch = host.shape[:-1]
    order = backends.host.broadcast_to(backends.host.arange(count), (*batch, count)).copy()
    flat, swaps = order.reshape(math.prod(batch), count), host.reshape(math.prod(batch), host.shape[-1])
    rows = backends.host.arange(len(flat))
    for i in range(host.shape[-1]):
        j = swaps[:, i] - 1
        flat[rows, i], flat[rows, j] = flat[rows, j], flat[rows, i]
    if back:
        order = order.argsort(-1)
    order = xp.from_host(order)
    lead = xp.broadcast_shapes(batch, x.shape[:-2])
    x = xp.broadcast_to(x, lead + x.shape[-2:])
    order = xp.broadcast_to(order, (*lead, count))
    return xp.take_along_axis(x, order[..., None], -2)


permute_rows = Primitive(
    "permute_rows",
    _permute_rows,
    {"x": lambda xp, g, pivots, back, x_shape: unbroadcast(xp, xp.permute_rows(g, pivots, not back), x_shape)},
    inputs=2,
    node="IndexBackward0",
    samples=lambda make: [
        (make(3, 2), from_array(backends.host.asarray([3, 3, 3], dtype="int32")), False),
        (make(2, 2, 1), from_array(backends.host.asarray([[2, 2], [1, 2]], dtype="int32")), True),
    ],
)


def _lu_factor(xp: Any, x: Any, pivot: bool) -> tuple[Any, Any, Any]:
    """Gaussian elimination, column by column, of all matrices of the batch at once: (LU, pivots, info)."""
    m, n = x.shape[-2:]
    k = min(m, n)
    a = xp.array(x).reshape(math.prod(x.shape[:-2]), m, n)
    rows = xp.arange(len(a))
    pivots = xp.zeros((len(a), k), dtype="int32")
    info = xp.zeros(len(a), dtype="int32")
    for j in range(k):
        column = a[:, j:, j]
        size = abs(column.real) + abs(column.imag) if a.dtype.kind == "c" else abs(column)  # as LAPACK chooses
        p = xp.argmax(size, axis=1) + j if pivot and len(a) else xp.full(len(a), j)
        pivots[:, j] = p + 1
        if pivot:
            a[rows, j], a[rows, p] = a[rows, p], a[rows, j]
        d = a[:, j, j]
        info = xp.where((info == 0) & (d == 0), j + 1, info)
        a[:, j + 1 :, j] /= xp.where(d == 0, 1, d)[:, None]
        a[:, j + 1 :, j + 1 :] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 :]
    return a.reshape(x.shape), pivots.reshape(*x.shape[:-2], k), info.reshape(x.shape[:-2]).astype("int32")


def _lu_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...]) -> tuple[Any]:
    """P L^-T (tril(L^T gL, -1) + triu(gU U^T)) U^-T of the square part; the part beyond it is solved for."""
    lu, pivots, _ = out
    m, n = x_shape[-2:]
    k = min(m, n)
    square = leading(xp, leading(xp, lu, k, -1), k, -2)
    lt = xp.matrix_transpose(square)
    g11 = leading(xp, leading(xp, g, k, -1), k, -2)
    low, up = xp.triangle(square, -1, False), xp.triangle(square, 0, True)
    unit = xp.with_diagonal(low, 1)
    left = xp.matmul(xp.matrix_transpose(unit), xp.triangle(g11, -1, False))
    right = xp.matmul(xp.triangle(g11, 0, True), xp.matrix_transpose(up))
    rest: Any
    if n > m:
        rest = (..., slice(k, n))
        g2, u2 = xp.getitem(g, rest), xp.getitem(lu, rest)
        left = left - xp.matmul(g2, xp.matrix_transpose(u2))
        beyond = xp.solve_triangular(lt, g2, True, True)
    elif m > n:
        rest = (..., slice(k, m), slice(None))
        g2, l2 = xp.getitem(g, rest), xp.getitem(lu, rest)
        right = right - xp.matmul(xp.matrix_transpose(l2), g2)
        beyond = xp.matrix_transpose(xp.solve_triangular(square, xp.matrix_transpose(g2), True, False))
    inside = xp.triangle(left, -1, False) + xp.triangle(right, 0, True)
    inside = xp.solve_triangular(lt, inside, True, True)
    whole = xp.matrix_transpose(xp.solve_triangular(square, xp.matrix_transpose(inside), True, False))
    if m != n:
        first = (..., slice(0, k), slice(0, k))
        whole = xp.place_at(whole, x_shape, first) + xp.place_at(
            beyond, x_shape, rest if n > m else (..., slice(k, m), slice(0, n))
        )
    return (xp.permute_rows(whole, pivots, True),)


lu_factor_ = Primitive(
    "lu_factor",
    _lu_factor,
    _lu_x,
    outputs=3,
    differentiable=(0,),
    node="LinalgLuFactorExBackward0",
    samples=lambda make: [(make(3, 3), True), (make(2, 3), True), (make(2, 3, 2), True)],
)


def _lu_input(A: Any, name: str) -> Tensor:
    if not isinstance(A, Tensor):
        raise not_tensor(name, A=A)
    if A._array.ndim < 2:
        raise RuntimeError(
            f"torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {list(A._array.shape)} instead"
        )
    if A.dtype.category < 2:
        raise NotImplementedError(f"\"lu_cpu\" not implemented for '{A.dtype.type_name}'")
    return A


@expose(function=False, method=False, out="same", into="linalg")
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info): L and U in one matrix, the exchanges of rows, and where U has its first zero (0: nowhere)."""
    lu_, pivots, info = lu_factor_.record((_lu_input(A, "linalg_lu_factor_ex"),), (pivot,))
    if check_errors:
        _no_zero("torch.linalg.lu_factor_ex", info)
    return named("linalg_lu_factor_ex", "LU pivots info")(lu_, pivots, info)


def _no_zero(name: str, info: Tensor) -> None:
    found = info._array.reshape(-1)
    if found.any():
        index = int((found > 0).argmax())
        i = int(found[index])
        raise RuntimeError(
            f"{name}: {of_batch(index, info._array.ndim > 0)}U[{i},{i}] is zero and using it on lu_solve would result "
            "in a division by zero. If you still want to perform the factorization, consider calling "
            "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


@expose(function=False, method=False, out="same", into="linalg")
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """(LU, pivots): L and U in one matrix, and the exchanges of rows. Raises RuntimeError if U has a zero."""
    lu_, pivots, info = lu_factor_.record((_lu_input(A, "linalg_lu_factor"),), (pivot,))
    _no_zero("torch.linalg.lu_factor", info)
    return named("linalg_lu_factor", "LU pivots")(lu_, pivots)


def _old_lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots), and info with `get_infos`; the older form of `linalg.lu_factor`."""
    result = lu_factor_.record((_lu_input(A, "lu"),), (pivot,))
    if get_infos:
        return named("_lu_with_info", "LU pivots info")(*result)
    _no_zero("torch.linalg.lu_factor_ex", result[2])
    return result[:2]


expose(name="lu")(_old_lu)


def _unpacked(LU: Any, pivots: Tensor, permutation: bool = True) -> tuple[Any, Any, Any]:
    m, n = LU._array.shape[-2:]
    k = min(m, n)
    xp = array_namespace(LU)
    low = with_diagonal.record((triangle.record((LU[..., :k] if n > k else LU,), (-1, False)),), (1,))
    up = triangle.record((LU[..., :k, :] if m > k else LU,), (0, True))
    eye = xp.broadcast_to(xp.eye(m, dtype=LU._array.dtype), (*LU._array.shape[:-2], m, m))
    p = (
        permute_rows.record((from_array(eye), pivots), (True,))
        if permutation
        else from_array(xp.empty(0, dtype=LU._array.dtype))
    )
    return p, low, up


@expose(function=False, method=False, out="same", into="linalg")
def lu(A: Tensor, *, pivot: bool = True) -> Any:
    """(P, L, U) with A = P L U. P is empty without `pivot`."""
    check_matrix("linalg.lu", A)
    lu_, pivots, _ = lu_factor_.record((A,), (pivot,))
    return named("linalg_lu", "P L U")(*_unpacked(lu_, pivots, pivot))


@expose(method=False, out=True)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """(P, L, U) of what `linalg.lu_factor` returns."""
    if LU_pivots._array.dtype != "int32":
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\nNote: this "
            "function is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    p, low, up = _unpacked(LU_data, LU_pivots, unpack_pivots)
    if not unpack_data:
        low, up = (from_array(array_namespace(LU_data).empty(0, dtype=LU_data._array.dtype)) for _ in range(2))
    return named("lu_unpack", "P L U")(p, low, up)


@expose(function=False, method=False, out="same", into="linalg", name="lu_solve")
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X in A X = B (X A = B without `left`, A^H in place of A with `adjoint`), from `lu_factor` of A."""
    name = "linalg.lu_solve"
    check_matrix(name, LU, "LU", square=True)
    check_matrix(name, B, "B")
    check_same(name, LU, B)
    if pivots._array.dtype != "int32":
        raise RuntimeError(
            "linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32. Got " + str(pivots.dtype)
        )
    check_system(name, LU, B, left)
    if pivots._array.shape[-1] != LU._array.shape[-1]:
        raise RuntimeError("linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix")
    if pivots._array.shape != LU._array.shape[:-1]:
        raise RuntimeError(
            f"linalg.lu_solve: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots._array.shape)} instead"
        )
    if not left:  # X A = B is A^H X^H = B^H
        return transposed(linalg_lu_solve(LU, pivots, transposed(B, True), adjoint=not adjoint), True)
    if adjoint:
        turned = transposed(LU, True)
        x = solve_triangular_.record((turned, B), (False, False))
        x = solve_triangular_.record((turned, x), (True, True))
        return permute_rows.record((x, pivots), (True,))
    x = permute_rows.record((B, pivots), (False,))
    x = solve_triangular_.record((LU, x), (False, True))
    return solve_triangular_.record((LU, x), (True, False))


@expose(out="same")
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X in A X = input, from `linalg.lu_factor` of A."""
    return linalg_lu_solve(LU_data, LU_pivots, input)

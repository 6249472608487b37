"""Factorisations of matrices, and triangular systems. Here are Cholesky and QR; `lu` and `spectrum` have the others.

Gradients follow from the differential of the factors, as in M. Giles, "An extended collection of matrix derivative
results" (2008), and M. Seeger et al., "Auto-differentiating linear algebra" (2017).
"""

from __future__ import annotations

from typing import Any

from .. import backends
from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array
from .expose import expose, functions
from .linalg import matmul, not_tensor, type_name
from .shape import matrix_transpose, unbroadcast


class LinAlgError(RuntimeError):
    """A matrix that has no such factorisation or inverse."""


# --- what arguments must be ---


def check_matrix(name: str, x: Any, argument: str = "A", square: bool = False) -> Any:
    """The tensor, if it is a matrix, or a batch of them, of a floating or complex dtype; else raise RuntimeError."""
    if not isinstance(x, Tensor):
        raise not_tensor(name.replace(".", "_"), **{argument: x})
    a = x._array
    if a.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} "
            "matrices"
        )
    check_floating(name, x)
    return x


def check_floating(name: str, x: Tensor) -> None:
    if x.dtype.category < 2:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {type_name(x)}")
    if x.dtype.itemsize == 2:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {type_name(x)}")


def check_same(name: str, x: Tensor, y: Tensor) -> None:
    """Both have one dtype."""
    if x._array.dtype != y._array.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {type_name(x)} and B of type "
            f"{type_name(y)} instead"
        )


def of_batch(index: int, batched: bool) -> str:
    return f"(Batch element {index}): " if batched else ""


def array_namespace(x: Tensor) -> Any:
    return backends.namespaces[type(x._array)]


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transpose."""
    return xp.conj(xp.matrix_transpose(x))


def constant(value: Tensor, x: Tensor) -> Tensor:
    """The value, recorded as a result of x with a gradient of zero."""
    return functions["where"](from_array(array_namespace(x).ones((), dtype=bool)), value, x)


def transposed(x: Tensor, conjugate: bool = False) -> Any:
    t: Any = matrix_transpose.record((x,))
    return t.conj() if conjugate and x.is_complex() else t


# --- parts of matrices ---


def _triangle(xp: Any, x: Any, k: int, upper: bool) -> Any:
    return xp.triu(x, k) if upper else xp.tril(x, k)


triangle = Primitive(
    "triangle",
    _triangle,
    {"x": lambda xp, g, k, upper: xp.triangle(g, k, upper)},
    kind="linear",
    node="TriangleBackward0",
    samples=lambda make: [(make(3, 3), 0, True), (make(2, 3, 4), -1, False)],
)


def _with_diagonal(xp: Any, x: Any, value: float) -> Any:
    out = xp.array(x)
    i = xp.arange(min(x.shape[-2:]))
    out[..., i, i] = value
    return out


with_diagonal = Primitive(
    "with_diagonal",
    _with_diagonal,
    {"x": lambda xp, g: xp.with_diagonal(g, 0)},
    node="FillBackward0",
    samples=lambda make: [(make(3, 3), 1), (make(2, 3, 2), 0)],
)


@expose(function=False, method=False, into="linalg")
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`diagonal` with other defaults: of the last two dimensions."""
    return functions["diagonal"](A, offset, dim1, dim2)


def leading(xp: Any, x: Any, k: int, axis: int) -> Any:
    """The first k rows (axis -2) or columns."""
    if x is None or x.shape[axis] == k:
        return x
    return xp.getitem(x, (..., slice(0, k)) if axis == -1 else (..., slice(0, k), slice(None)))


# --- triangular systems ---


def _solve_triangular(xp: Any, x: Any, y: Any, upper: bool, unit: bool) -> Any:
    x = xp.triu(x) if upper else xp.tril(x)
    if unit:
        x = _with_diagonal(xp, x, 1)
    try:
        return xp.linalg.solve(x, y)
    except xp.linalg.LinAlgError:  # a zero on the diagonal: infinities, and no error
        return _substitute(xp, x, y, upper)


def _substitute(xp: Any, x: Any, y: Any, upper: bool) -> Any:
    n = x.shape[-1]
    out = xp.array(xp.broadcast_to(y, xp.broadcast_shapes(x.shape[:-2], y.shape[:-2]) + y.shape[-2:]))
    for i in range(n - 1, -1, -1) if upper else range(n):
        done = slice(i + 1, n) if upper else slice(0, i)
        rest = out[..., i, :] - xp.matmul(x[..., i : i + 1, done], out[..., done, :])[..., 0, :]
        out[..., i, :] = rest / x[..., i, i, None]
    return out


def _solve_triangular_x(xp: Any, g: Any, x: Any, out: Any, upper: bool, unit: bool, x_shape: tuple[int, ...]) -> Any:
    right = xp.solve_triangular(xp.matrix_transpose(x), g, not upper, unit)
    whole = -xp.matmul(right, xp.matrix_transpose(out))
    return unbroadcast(xp, xp.triangle(whole, (1 if upper else -1) if unit else 0, upper), x_shape)


solve_triangular_ = Primitive(
    "solve_triangular",
    _solve_triangular,
    {
        "x": _solve_triangular_x,
        "y": lambda xp, g, x, upper, unit, y_shape: unbroadcast(
            xp, xp.solve_triangular(xp.matrix_transpose(x), g, not upper, unit), y_shape
        ),
    },
    inputs=2,
    node="LinalgSolveTriangularBackward0",
    domain=(0.5, 2.0),
    samples=lambda make: [
        (make(3, 3), make(3, 2), True, False),
        (make(3, 3), make(3, 2), False, True),
        (make(2, 2, 2), make(2, 1), False, False),
    ],
)


def check_system(name: str, a: Tensor, b: Tensor, left: bool = True) -> None:
    """The shapes of A X = B, or of X A = B, fit."""
    m, n = a._array.shape[-2:], b._array.shape[-2:]
    if (m[0] if left else m[1]) != (n[0] if left else n[1]):
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({m[0]}x{m[1]} and {n[0]}x{n[1]})"
        )


@expose(function=False, method=False, out="same", into="linalg")
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X in A X = B, or in X A = B without `left`, where only one triangle of A is looked at.

    With `unitriangular` the diagonal counts as ones. No error is raised for zeros on it: X is not finite then.
    """
    name = "linalg.solve_triangular"
    check_matrix(name, A, square=True)
    check_matrix(name, B, "B")
    check_system(name, A, B, left)
    if A._array.dtype != B._array.dtype:
        raise RuntimeError(f"{name}: A and B must have the same dtype, but got {A.dtype} and {B.dtype}")
    if left:
        return solve_triangular_.record((A, B), (upper, unitriangular))
    return transposed(solve_triangular_.record((transposed(A), transposed(B)), (not upper, unitriangular)))


@expose(out=True)
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """(X, A) with A X = input; the older form of `linalg.solve_triangular`."""
    check_matrix("triangular_solve", input, "b")
    check_matrix("triangular_solve", A, square=True)
    check_system("triangular_solve", A, input)
    a, up = (transposed(A), not upper) if transpose else (A, upper)
    x = solve_triangular_.record((a, input), (up, unitriangular))
    return named("triangular_solve", "solution cloned_coefficient")(x, functions["clone"](A))


# --- Cholesky ---


def _cholesky_x(xp: Any, g: Any, out: Any) -> Any:
    """L^-H M L^-1 / 2, where M is the lower triangle of L^H gL, mirrored."""
    turned = adjoint(xp, out)
    product = xp.matmul(turned, g)
    mirrored = xp.triangle(product, 0, False) + adjoint(xp, xp.triangle(product, -1, False))
    right = xp.solve_triangular(turned, mirrored, True, False)
    return 0.5 * adjoint(xp, xp.solve_triangular(turned, adjoint(xp, right), True, False))


cholesky_ = Primitive(
    "cholesky",
    lambda xp, x: xp.linalg.cholesky(x),
    {"x": _cholesky_x},
    holomorphic=False,
    node="LinalgCholeskyExBackward0",
    saved={"out": "L"},
    domain=(0.5, 2.0),
    samples=lambda make: [(make(1, 1),), (make(2, 1, 1),)],  # larger ones must stay symmetric: see the tests of linalg
)


def _leading_minor(xp: Any, a: Any) -> tuple[Any, Any]:
    """For each matrix the order of the first leading minor that is not positive definite, or 0; and the factors."""
    shape, n = a.shape, a.shape[-1]
    flat = a.reshape(-1, n, n)
    info, factors = [], xp.tril(flat)
    for i, one in enumerate(flat):
        order = 0
        try:
            factors[i] = xp.linalg.cholesky(one)
        except xp.linalg.LinAlgError:
            for order in range(1, n + 1):
                try:
                    xp.linalg.cholesky(one[:order, :order])
                except xp.linalg.LinAlgError:
                    break
        info.append(order)
    return xp.asarray(info, dtype="int32").reshape(shape[:-2]), factors.reshape(shape)


def _factor(name: str, A: Tensor, upper: bool, check: bool) -> tuple[Tensor, Tensor]:
    check_matrix(name, A, square=True)
    xp = array_namespace(A)
    try:
        L = cholesky_.record((A,))
        info = xp.zeros(A._array.shape[:-2], dtype="int32")
    except xp.linalg.LinAlgError:
        info, factors = _leading_minor(xp, A._array)
        if check:
            index = int(xp.argmax(info.reshape(-1) > 0))
            raise LinAlgError(
                f"{name}: {of_batch(index, info.ndim > 0)}The factorization could not be completed because the input "
                f"is not positive-definite (the leading minor of order {int(info.reshape(-1)[index])} is not "
                "positive-definite)."
            ) from None
        L = from_array(factors)
    return transposed(L, True) if upper else L, from_array(info)


@expose(function=False, method=False, out="same", into="linalg")
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L L^H, or its adjoint with `upper`, of positive-definite matrices.

    Raises LinAlgError, saying which leading minor, if A is not positive-definite.
    """
    return _factor("linalg.cholesky", A, upper, True)[0]


@expose(out=True, name="cholesky")
def _cholesky_of_old(input: Tensor, upper: bool = False) -> Tensor:
    """`linalg.cholesky` under its old name."""
    return _factor("cholesky", input, upper, True)[0]


@expose(function=False, method=False, out="same", into="linalg")
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): `cholesky`, where info is 0 or the order of the leading minor that is not positive-definite."""
    return named("linalg_cholesky_ex", "L info")(*_factor("linalg.cholesky_ex", A, upper, check_errors))


def _cholesky_solve(xp: Any, x: Any, y: Any, upper: bool) -> Any:
    first, second = (adjoint(xp, y), y) if upper else (y, adjoint(xp, y))
    return _solve_triangular(xp, second, _solve_triangular(xp, first, x, False, False), True, False)


def _cholesky_solve_y(xp: Any, g: Any, y: Any, out: Any, upper: bool, y_shape: tuple[int, ...]) -> Any:
    """The gradient by the whole of y y^H, as if the factor were a full matrix."""
    half = xp.matmul(xp.cholesky_solve(g, y, upper), adjoint(xp, out))
    both = half + adjoint(xp, half)
    return unbroadcast(xp, -xp.matmul(y, both) if upper else -xp.matmul(both, y), y_shape)


cholesky_solve_ = Primitive(
    "cholesky_solve",
    _cholesky_solve,
    {
        "x": lambda xp, g, y, upper, x_shape: unbroadcast(xp, xp.cholesky_solve(g, y, upper), x_shape),
        "y": _cholesky_solve_y,
    },
    inputs=2,
    holomorphic=False,
    domain=(0.5, 2.0),
    samples=lambda make: [(make(1, 2), make(1, 1), False), (make(2, 1, 1), make(1, 1), True)],
)


@expose(out=True)
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X in A X = input, where L is the Cholesky factor of A."""
    check_matrix("cholesky_solve", input, "b")
    check_matrix("cholesky_solve", L, square=True)
    if input._array.dtype != L._array.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {type_name(input)} and A of type "
            f"{type_name(L)} instead."
        )
    n, m = L._array.shape[-1], input._array.shape[-2]
    if n != m:
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {n} by {n} but each b matrix is {m} by "
            f"{input._array.shape[-1]}"
        )
    return cholesky_solve_.record((input, L), (upper,))


@expose(out=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, of which L is the Cholesky factor."""
    check_matrix("cholesky_inverse", L, square=True)
    xp = array_namespace(L)
    return cholesky_solve_.record((from_array(xp.eye(L._array.shape[-1], dtype=L._array.dtype)), L), (upper,))


# --- QR ---


def _qr(xp: Any, x: Any, mode: str) -> Any:
    if mode == "r":
        return xp.zeros((0,), dtype=x.dtype), xp.linalg.qr(x, mode="r")
    return tuple(xp.linalg.qr(x, mode=mode))


def _qr_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...], mode: str) -> tuple[Any]:
    """With M = R gR^H - gQ^H Q and its lower triangle mirrored, (gQ + Q M) R^-H."""
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, "
            "mode='reduced') if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and x_shape[-2] > x_shape[-1]:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    q, r = out
    gq, gr = g
    m: Any = None if gr is None else xp.matmul(r, adjoint(xp, gr))
    if gq is not None:
        other = xp.matmul(adjoint(xp, gq), q)
        m = -other if m is None else m - other
    low = xp.triangle(m, -1, False)
    mirrored = low + adjoint(xp, low) + xp.put_diagonal(xp.real(xp.take_diagonal(m)), tuple(m.shape))
    left = xp.matmul(q, mirrored)
    if gq is not None:
        left = left + gq
    return (adjoint(xp, xp.solve_triangular(r, adjoint(xp, left), True, False)),)


qr_ = Primitive(
    "qr",
    _qr,
    _qr_x,
    outputs=2,
    holomorphic=False,
    node="LinalgQrBackward0",
    samples=lambda make: [(make(3, 3), "reduced"), (make(3, 2), "reduced"), (make(2, 2, 2), "complete")],
)


def _qr_of(A: Tensor, mode: str) -> tuple[Any, Any]:
    m, n = A._array.shape[-2:]
    if m >= n or mode == "r" or not A.requires_grad:
        return qr_.record((A,), (mode,))
    q, r = qr_.record((A[..., :m],), (mode,))
    rest = matmul(transposed(q, True), A[..., m:])
    return q, functions["cat"]([r, rest], -1)


@expose(function=False, method=False, out="same", into="linalg")
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q R, Q of orthonormal columns and R upper triangular.

    mode: "reduced", "complete" (Q is square) or "r" (Q is empty). Only "reduced", and "complete" for wide matrices,
    have gradients.
    """
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return named("linalg_qr", "Q R")(*_qr_of(A, mode))


def _old_qr(input: Tensor, some: bool = True) -> Any:
    """(Q, R); the older form of `linalg.qr`."""
    check_matrix("linalg.qr", input)
    return named("qr", "Q R")(*_qr_of(input, "reduced" if some else "complete"))


expose(out=True, name="qr")(_old_qr)


@expose(out=True)
def geqrf(input: Tensor) -> Any:
    """(a, tau): `qr` as LAPACK leaves it, R above the diagonal and the Householder vectors below."""
    check_matrix("geqrf", input, "input")
    a, tau = array_namespace(input).linalg.qr(input._array, mode="raw")
    return named("geqrf", "a tau")(from_array(a.swapaxes(-1, -2)), from_array(tau))


def _reflectors(A: Any, tau: Any) -> Any:
    """The vectors of Householder reflections, with the ones and zeros that are not stored."""
    k = tau._array.shape[-1]
    return with_diagonal.record((triangle.record((A[..., :, :k],), (-1, False)),), (1,))


def _reflect(A: Tensor, tau: Any, C: Any, adjoint_: bool) -> Any:
    """C times the product of the reflections, from the left."""
    count = tau._array.shape[-1]
    if not count:
        return constant(C, A)
    v = _reflectors(A, tau)
    if adjoint_ and tau.is_complex():
        tau = tau.conj()
    for i in range(count) if adjoint_ else range(count - 1, -1, -1):
        column = v[..., i : i + 1]
        C = C - tau[..., i : i + 1, None] * matmul(column, matmul(transposed(column, True), C))
    return C


@expose(method=False, function=False, out=True, into="linalg")
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of the Householder reflections that `geqrf` describes."""
    name = "torch.linalg.householder_product"
    for t, argument in ((input, "A"), (tau, "tau")):
        if not isinstance(t, Tensor):
            raise not_tensor("linalg_householder_product", **{argument: t})
    a, b = input._array, tau._array
    if a.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if a.shape[-2] < a.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if a.shape[-1] < b.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if a.ndim - b.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {b.ndim} and "
            f"input.ndim is equal to {a.ndim}"
        )
    if b.shape[:-1] != a.shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(b.shape[:-1])}"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(f"{name}: tau dtype {type_name(tau)} does not match input dtype {type_name(input)}")
    check_floating(name, input)
    return _reflect(input, tau, from_array(array_namespace(input).eye(a.shape[-2], a.shape[-1], dtype=a.dtype)), False)


expose(out=True, name="orgqr")(householder_product)


@expose(out=True)
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """`other` times the orthogonal matrix that `geqrf` describes, from the left or the right, or times its adjoint."""
    for t, argument in ((input, "input"), (tau, "tau"), (other, "other")):
        if not isinstance(t, Tensor):
            raise not_tensor("ormqr", **{argument: t})
    a, b, c = input._array, tau._array, other._array
    if a.ndim < 2:
        raise RuntimeError("torch.ormqr: input must have at least 2 dimensions.")
    if c.ndim < 2:
        raise RuntimeError("torch.ormqr: other must have at least 2 dimensions.")
    side = -2 if left else -1
    if c.shape[side] < b.shape[-1]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1]")
    if c.shape[side] != a.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if b.shape[-1] > a.shape[-1]:
        raise RuntimeError("torch.ormqr: tau.shape[-1] must be less than or equal to input.shape[-1]")
    if b.ndim != a.ndim - 1 or c.ndim != a.ndim:
        raise RuntimeError("torch.ormqr: Expected tau and other to have the dimensions of input, tau one less")
    if b.shape[:-1] != a.shape[:-2]:
        raise RuntimeError("torch.ormqr: Expected batch dimensions of tau to be equal to input.shape[:-2]")
    if c.shape[:-2] != a.shape[:-2]:
        raise RuntimeError("torch.ormqr: Expected batch dimensions of other to be equal to input.shape[:-2]")
    if b.dtype != a.dtype or c.dtype != a.dtype:
        raise RuntimeError(
            "torch.ormqr: Expected input, tau and other to have the same dtype, but input has dtype "
            f"{type_name(input)}, tau {type_name(tau)} and other {type_name(other)}"
        )
    if left:
        return _reflect(input, tau, other, transpose)
    return transposed(_reflect(input, tau, transposed(other, True), not transpose), True)

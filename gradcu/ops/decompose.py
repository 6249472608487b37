"""Factorisations of matrices: Cholesky, QR, LU, singular values, eigenvalues.

Gradients follow from the differential of the factors, as in M. Giles, "An extended collection of matrix derivative
results" (2008), and M. Seeger et al., "Auto-differentiating linear algebra" (2017). Those of matrices with equal
singular values or eigenvalues are infinite, as they should be.
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
            f"{name}: {argument} must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} matrices"
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


def _permute_rows(xp: Any, x: Any, pivots: Any, back: bool) -> Any:
    """Exchange row i with row pivots[i], for each i in turn; `back` undoes it."""
    count = x.shape[-2]
    host = xp.to_host(pivots)
    batch = host.shape[:-1]
    order = backends.host.broadcast_to(backends.host.arange(count), (*batch, count)).copy()
    flat, swaps = order.reshape(-1, count), host.reshape(-1, host.shape[-1]) if host.size else ()
    rows = backends.host.arange(len(flat))
    for i in range(host.shape[-1] if host.size else 0):
        j = swaps[:, i] - 1
        flat[rows, i], flat[rows, j] = flat[rows, j], flat[rows, i].copy()
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
    kind="general",
    node="IndexBackward0",
)


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


@expose(function=False, method=False, out=True, into="linalg")
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


def _cholesky(xp: Any, x: Any) -> Any:
    return xp.linalg.cholesky(x)


def _cholesky_x(xp: Any, g: Any, out: Any) -> Any:
    inside = xp.triangle(xp.matmul(adjoint(xp, out), g), 0, False)
    inside = 0.5 * (inside + xp.triangle(inside, -1, False))  # the diagonal halved
    right = xp.solve_triangular(adjoint(xp, out), inside, True, False)
    whole = adjoint(xp, xp.solve_triangular(adjoint(xp, out), adjoint(xp, right), True, False))
    return 0.5 * (whole + adjoint(xp, whole))


cholesky_ = Primitive("cholesky", _cholesky, {"x": _cholesky_x}, holomorphic=False, node="LinalgCholeskyExBackward0")


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
                f"{name}: {of_batch(index, info.ndim > 0)}The factorization could not be completed because the input is "
                f"not positive-definite (the leading minor of order {int(info.reshape(-1)[index])} is not "
                "positive-definite)."
            ) from None
        L = from_array(factors)
    return transposed(L, True) if upper else L, from_array(info)


@expose(function=False, method=False, out=True, into="linalg")
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L L^H, or its adjoint with `upper`, of positive-definite matrices.

    Raises LinAlgError, saying which leading minor, if A is not positive-definite.
    """
    return _factor("linalg.cholesky", A, upper, True)[0]


expose(out=True, name="cholesky")(lambda input, upper=False: _factor("cholesky", input, upper, True)[0])


@expose(function=False, method=False, out=True, into="linalg")
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): `cholesky`, where info is 0 or the order of the leading minor that is not positive-definite."""
    return named("linalg_cholesky_ex", "L info")(*_factor("linalg.cholesky_ex", A, upper, check_errors))


def _both_sides(L: Any, B: Any, upper: bool) -> Any:
    """X in L L^H X = B, or in U^H U X = B."""
    first, second = (transposed(L, True), L) if upper else (L, transposed(L, True))
    return solve_triangular_.record((second, solve_triangular_.record((first, B), (False, False))), (True, False))


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
    return _both_sides(L, input, upper)


@expose(out=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, of which L is the Cholesky factor."""
    check_matrix("cholesky_inverse", L, square=True)
    xp = array_namespace(L)
    return _both_sides(L, from_array(xp.eye(L._array.shape[-1], dtype=L._array.dtype)), upper)


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
    m = None if gr is None else xp.matmul(r, adjoint(xp, gr))
    if gq is not None:
        other = xp.matmul(adjoint(xp, gq), q)
        m = -other if m is None else m - other
    low = xp.triangle(m, -1, False)
    mirrored = low + adjoint(xp, low) + xp.put_diagonal(xp.real(xp.take_diagonal(m)), tuple(m.shape))
    left = xp.matmul(q, mirrored)
    if gq is not None:
        left = left + gq
    return (adjoint(xp, xp.solve_triangular(r, adjoint(xp, left), True, False)),)


qr_ = Primitive("qr", _qr, _qr_x, outputs=2, holomorphic=False, node="LinalgQrBackward0")


def _qr_of(A: Tensor, mode: str) -> tuple[Any, Any]:
    m, n = A._array.shape[-2:]
    if m >= n or mode == "r" or not A.requires_grad:
        return qr_.record((A,), (mode,))
    q, r = qr_.record((A[..., :m],), (mode,))  # type: ignore[index]
    rest = matmul(transposed(q, True), A[..., m:])  # type: ignore[index]
    return q, functions["cat"]([r, rest], -1)


@expose(function=False, method=False, out=True, into="linalg")
def qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with A = Q R, Q of orthonormal columns and R upper triangular.

    mode: "reduced", "complete" (Q is square) or "r" (Q is empty). Only "reduced", and "complete" for wide matrices, have
    gradients.
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
    m, k = A._array.shape[-2], tau._array.shape[-1]
    return with_diagonal.record((triangle.record((A[..., :, :k],), (-1, False)),), (1,)) if k and m else A


def _reflect(A: Tensor, tau: Any, C: Any, adjoint_: bool) -> Any:
    """C times the product of the reflections, from the left."""
    v = _reflectors(A, tau)
    count = tau._array.shape[-1]
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
            f"torch.ormqr: Expected input, tau and other to have the same dtype, but input has dtype {type_name(input)}, "
            f"tau {type_name(tau)} and other {type_name(other)}"
        )
    if left:
        return _reflect(input, tau, other, transpose)
    return transposed(_reflect(input, tau, transposed(other, True), not transpose), True)


# --- singular values ---


def _skew(xp: Any, x: Any) -> Any:
    return x - adjoint(xp, x)


def _svd(xp: Any, x: Any, full_matrices: bool) -> Any:
    return tuple(xp.linalg.svd(x, full_matrices=full_matrices))


def _first(xp: Any, x: Any, k: int, axis: int) -> Any:
    """The first k rows (axis -2) or columns."""
    if x is None or x.shape[axis] == k:
        return x
    return xp.getitem(x, (..., slice(0, k)) if axis == -1 else (..., slice(0, k), slice(None)))


def _svd_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...]) -> tuple[Any]:
    s = out[1]
    k = s.shape[-1]
    u, vh = _first(xp, out[0], k, -1), _first(xp, out[2], k, -2)
    gu, gs, gvh = _first(xp, g[0], k, -1), g[1], _first(xp, g[2], k, -2)
    row, column = xp.expand_dims(s, -2), xp.expand_dims(s, -1)
    shape = (*x_shape[:-2], k, k)
    inside = None if gs is None else xp.put_diagonal(gs, shape)
    parts = []
    if gu is not None or gvh is not None:
        gap = xp.with_diagonal(row * row - column * column, 1)
        if gu is not None:
            uu = xp.matmul(adjoint(xp, u), gu)
            skew = _skew(xp, uu)
            part = xp.with_diagonal(skew, 0) / gap * row
            # complex: the phase, which the loss may depend on through U and V together
            part = part + xp.put_diagonal(xp.take_diagonal(skew) / (2 * s), shape)
            inside = part if inside is None else inside + part
            if x_shape[-2] > k:
                parts.append(xp.matmul((gu - xp.matmul(u, uu)) / row, vh))
        if gvh is not None:
            vv = xp.matmul(vh, adjoint(xp, gvh))
            part = column * (xp.with_diagonal(_skew(xp, vv), 0) / gap)
            inside = part if inside is None else inside + part
            if x_shape[-1] > k:
                parts.append(xp.matmul(u, (gvh - xp.matmul(adjoint(xp, vv), vh)) / column))
    whole = xp.matmul(xp.matmul(u, inside), vh)
    for part in parts:
        whole = whole + part
    return (whole,)


svd_ = Primitive("svd", _svd, _svd_x, outputs=3, holomorphic=False, node="LinalgSvdBackward0")


def _converged(name: str, A: Tensor, work: Any) -> Any:
    xp = array_namespace(A)
    try:
        return work()
    except xp.linalg.LinAlgError:
        raise LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix contained non-finite values."
            if not xp.isfinite(A._array).all()
            else f"{name}: The algorithm failed to converge."
        ) from None


@expose(function=False, method=False, out=True, into="linalg")
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh, S falling. U and Vh are square with `full_matrices`, else as narrow as S is long.

    Gradients by U and Vh are those of their first columns and rows; they are only defined for functions that do not
    depend on the vectors' signs (phases).
    """
    check_matrix("linalg.svd", A)
    return named("linalg_svd", "U S Vh")(*_converged("linalg.svd", A, lambda: svd_.record((A,), (full_matrices,))))


@expose(function=False, method=False, out=True, into="linalg")
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values, falling."""
    check_matrix("linalg.svd", A)
    if not A.requires_grad:
        return _converged(
            "linalg.svd", A, lambda: from_array(array_namespace(A).linalg.svd(A._array, compute_uv=False))
        )
    return _converged("linalg.svd", A, lambda: svd_.record((A,), (False,)))[1]


def _old_svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with A = U diag(S) V^H; the older form of `linalg.svd`."""
    check_matrix("linalg.svd", input)
    made = named("svd", "U S V")
    if not compute_uv:
        m, n = input._array.shape[-2:]
        batch, xp = input._array.shape[:-2], array_namespace(input)
        u, v = (from_array(xp.zeros((*batch, i, i), dtype=input._array.dtype)) for i in (m, n))
        return made(u, svdvals(input), v)
    u, s, vh = _converged("linalg.svd", input, lambda: svd_.record((input,), (not some,)))
    return made(u, s, transposed(vh, True))


expose(out=True, name="svd")(_old_svd)


@expose(method=False)
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> Any:
    """(U, S, V): the first q singular values and vectors of A - M, approximately, by random projections.

    Halko, Martinsson, Tropp, "Finding structure with randomness" (2011), algorithm 5.1 after 4.4.
    """
    x: Any = A if M is None else A - M  # type: ignore[operator]
    wide = x.shape[-2] < x.shape[-1]
    if wide:
        x = transposed(x, True)
    q = 6 if q is None else q
    start = functions["randn"](*x.shape[:-2], x.shape[-1], q, dtype=x.dtype, device=x.device)
    basis = qr(matmul(x, start))[0]
    for _ in range(2 if niter is None else niter):
        basis = qr(matmul(transposed(x, True), basis))[0]
        basis = qr(matmul(x, basis))[0]
    u, s, vh = svd(matmul(transposed(basis, True), x), full_matrices=False)
    u, v = matmul(basis, u), transposed(vh, True)
    return (v, s, u) if wide else (u, s, v)


@expose(method=False)
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """(U, S, V): `svd_lowrank` of A with the mean of each column taken off."""
    x: Any = A
    m, n = x.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    check_floating("pca_lowrank", A)
    return svd_lowrank(x - x.mean(-2, keepdim=True) if center else x, q, niter)


# --- eigenvalues ---


def _eigh_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...]) -> tuple[Any]:
    values, v = out
    inside = None if g[0] is None else xp.put_diagonal(g[0], x_shape)
    if g[1] is not None:
        gap = xp.with_diagonal(xp.expand_dims(values, -2) - xp.expand_dims(values, -1), 1)
        part = xp.with_diagonal(xp.matmul(adjoint(xp, v), g[1]), 0) / gap
        inside = part if inside is None else inside + part
    return (xp.matmul(xp.matmul(v, inside), adjoint(xp, v)),)


eigh_ = Primitive(
    "eigh",
    lambda xp, x, lower: tuple(xp.linalg.eigh(x, "L" if lower else "U")),
    _eigh_x,
    outputs=2,
    holomorphic=False,
    node="LinalgEighBackward0",
)


def _eigh_of(name: str, A: Tensor, UPLO: str) -> tuple[Any, Any]:
    check_matrix(name, A, square=True)
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return _converged(name, A, lambda: eigh_.record((A,), (UPLO.upper() == "L",)))


@expose(function=False, method=False, out=True, into="linalg")
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices, of which one triangle is looked at; rising."""
    return named("linalg_eigh", "eigenvalues eigenvectors")(*_eigh_of("linalg.eigh", A, UPLO))


@expose(function=False, method=False, out=True, into="linalg")
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric or Hermitian matrices, rising."""
    return _eigh_of("linalg.eigvalsh", A, UPLO)[0]


def _eig(xp: Any, x: Any) -> Any:
    values, vectors = xp.linalg.eig(x)
    kind = xp.result_type(x.dtype, xp.complex64)
    return values.astype(kind, copy=False), vectors.astype(kind, copy=False)


def _eig_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...], x_dtype: Any) -> tuple[Any]:
    """The vectors are of length one, and their phase is free."""
    values, v = out
    vh = adjoint(xp, v)
    inside = None if g[0] is None else xp.put_diagonal(g[0], x_shape)
    if g[1] is not None:
        gap = xp.with_diagonal(xp.conj(xp.expand_dims(values, -2) - xp.expand_dims(values, -1)), 1)
        vv = xp.matmul(vh, g[1])
        along = xp.matmul(vh, v * xp.expand_dims(xp.real(xp.take_diagonal(vv)), -2))
        part = xp.with_diagonal((vv - along) / gap, 0)
        inside = part if inside is None else inside + part
    whole = xp.solve(vh, xp.matmul(inside, vh))
    return (whole if x_dtype.kind == "c" else xp.real(whole),)


eig_ = Primitive("eig", _eig, _eig_x, outputs=2, holomorphic=False, node="LinalgEigBackward0")


def _eig_of(name: str, A: Tensor) -> tuple[Any, Any]:
    check_matrix(name, A, square=True)
    if not array_namespace(A).isfinite(A._array).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return _converged(name, A, lambda: eig_.record((A,)))


@expose(function=False, method=False, out=True, into="linalg")
def eig(A: Tensor) -> Any:
    """(eigenvalues, eigenvectors), both complex, of square matrices."""
    return named("linalg_eig", "eigenvalues eigenvectors")(*_eig_of("linalg.eig", A))


@expose(function=False, method=False, out=True, into="linalg")
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues, complex, of square matrices."""
    return _eig_of("linalg.eigvals", A)[0]


# --- LU ---


def _lu_factor(xp: Any, x: Any, pivot: bool) -> tuple[Any, Any, Any]:
    """Gaussian elimination, column by column, of all matrices of the batch at once: (LU, pivots, info)."""
    m, n = x.shape[-2:]
    k = min(m, n)
    a = xp.array(x).reshape(-1, m, n) if x.size else xp.zeros((0, m, n), dtype=x.dtype)
    rows = xp.arange(len(a))
    pivots = xp.zeros((len(a), k), dtype="int32")
    info = xp.zeros(len(a), dtype="int32")
    for j in range(k):
        p = xp.argmax(abs(a[:, j:, j]), axis=1) + j if pivot and len(a) else xp.full(len(a), j)
        pivots[:, j] = p + 1
        if pivot:
            a[rows, j], a[rows, p] = a[rows, p], a[rows, j]
        d = a[:, j, j]
        info = xp.where((info == 0) & (d == 0), j + 1, info)
        a[:, j + 1 :, j] /= xp.where(d == 0, 1, d)[:, None]
        a[:, j + 1 :, j + 1 :] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 :]
    batch = x.shape[:-2]
    count = 1
    for length in batch:
        count *= length
    if len(a) != count:  # empty matrices
        pivots, info = xp.zeros((count, k), dtype="int32"), xp.zeros(count, dtype="int32")
    return a.reshape(x.shape), pivots.reshape(*batch, k), info.reshape(batch).astype("int32")


def _lu_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...]) -> tuple[Any]:
    """For square matrices P L^-T (tril(L^T gL, -1) + triu(gU U^T)) U^-T; of the others the part beyond is solved for."""
    lu, pivots, _ = out
    m, n = x_shape[-2:]
    k = min(m, n)
    square = _first(xp, _first(xp, lu, k, -1), k, -2)
    lt, ut = xp.matrix_transpose(square), xp.matrix_transpose(square)
    g11 = _first(xp, _first(xp, g, k, -1), k, -2)
    low, up = xp.triangle(square, -1, False), xp.triangle(square, 0, True)
    unit = xp.with_diagonal(low, 1)
    left = xp.matmul(xp.matrix_transpose(unit), xp.triangle(g11, -1, False))
    right = xp.matmul(xp.triangle(g11, 0, True), xp.matrix_transpose(up))
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


lu_factor_ = Primitive("lu_factor", _lu_factor, _lu_x, outputs=3, differentiable=(0,), node="LinalgLuFactorExBackward0")


def _lu_input(A: Any, name: str) -> Tensor:
    if not isinstance(A, Tensor):
        raise not_tensor(name, A=A)
    if A._array.ndim < 2:
        raise RuntimeError(
            f"torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: {list(A._array.shape)} instead"
        )
    check_floating("torch.lu_factor", A)
    return A


@expose(function=False, method=False, out=True, into="linalg")
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
            f"{name}: {of_batch(index, info._array.ndim > 0)}U[{i},{i}] is zero and using it on lu_solve would result in a "
            "division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )


@expose(function=False, method=False, out=True, into="linalg")
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """(LU, pivots): L and U in one matrix, and the exchanges of rows. Raises RuntimeError if U has a zero."""
    lu_, pivots, info = lu_factor_.record((_lu_input(A, "linalg_lu_factor"),), (pivot,))
    _no_zero("torch.linalg.lu_factor", info)
    return named("linalg_lu_factor", "LU pivots")(lu_, pivots)


def _old_lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots), and info with `get_infos`; the older form of `linalg.lu_factor`."""
    result = lu_factor_.record((_lu_input(A, "lu"),), (pivot,))
    if not get_infos:
        _no_zero("torch.linalg.lu_factor_ex", result[2])
    return result if get_infos else result[:2]


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


@expose(function=False, method=False, out=True, into="linalg")
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
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\nNote: this function "
            "is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    p, low, up = _unpacked(LU_data, LU_pivots, unpack_pivots)
    if not unpack_data:
        low, up = (from_array(array_namespace(LU_data).empty(0, dtype=LU_data._array.dtype)) for _ in range(2))
    return named("lu_unpack", "P L U")(p, low, up)


@expose(function=False, method=False, out=True, into="linalg", name="lu_solve")
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


@expose(out=True)
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X in A X = input, from `linalg.lu_factor` of A."""
    return linalg_lu_solve(LU_data, LU_pivots, input)


@expose(function=False, method=False, into="linalg")
def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """`diagonal` with other defaults: of the last two dimensions."""
    return functions["diagonal"](A, offset, dim1, dim2)

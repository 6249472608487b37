"""Determinants, inverses and systems of linear equations, and functions of matrices made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array, wrap_dim
from .decompose import (
    LinAlgError,
    adjoint,
    array_namespace,
    check_floating,
    check_matrix,
    check_same,
    check_system,
    of_batch,
    transposed,
)
from .expose import expose, functions
from .linalg import matmul, not_tensor, type_name
from .lu import lu_factor_
from .shape import expand_dims, reshape_, squeeze_, unbroadcast

# --- determinants ---


def _cofactors(xp: Any, x: Any) -> Any:
    """The derivative of the determinant: det(x) x^-T, but by singular values if a matrix is singular, or nearly so."""
    try:
        inverse = xp.linalg.inv(x)
        size = abs(x).sum((-2, -1)) * abs(inverse).sum((-2, -1))
        if bool((size * size * xp.finfo(x.dtype).eps < 1).all()):
            return xp.matrix_transpose(inverse) * xp.linalg.det(x)[..., None, None]
    except xp.linalg.LinAlgError:
        pass
    u, s, vh = xp.linalg.svd(x)
    others = xp.where(xp.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(-1)
    sign = xp.linalg.det(u) * xp.linalg.det(vh)
    return xp.matmul(xp.conj(u) * others[..., None, :], xp.conj(vh)) * sign[..., None, None]


def _cofactors_x(xp: Any, g: Any, x: Any) -> Any:
    """det(x) (<g, x^-T> x^-T - x^-T g^T x^-T), of invertible matrices."""
    inverse = xp.matrix_transpose(xp.inv(x))
    inner = xp.sum(g * inverse, axis=(-2, -1), keepdims=True)
    product = xp.matmul(xp.matmul(inverse, xp.matrix_transpose(g)), inverse)
    return _over_matrices(xp, xp.det(x)) * (inner * inverse - product)


def _over_matrices(xp: Any, x: Any) -> Any:
    return xp.expand_dims(xp.expand_dims(x, -1), -1)


cofactors = Primitive(
    "cofactors", _cofactors, {"x": _cofactors_x}, samples=lambda make: [(make(3, 3),), (make(2, 2, 2),)]
)
det_ = Primitive(
    "det",
    lambda xp, x: xp.linalg.det(x),
    {"x": lambda xp, g, x: _over_matrices(xp, g) * xp.cofactors(x)},
    node="LinalgDetBackward0",
    samples=lambda make: [(make(3, 3),), (make(2, 2, 2),), (make(1, 1),)],
)


@expose("linalg.det", out="same")
def det(input: Tensor) -> Tensor:
    """The determinants of square matrices; their gradient is right for singular matrices too."""
    return det_.record((check_matrix("linalg.det", input, square=True),))


def _slogdet_x(xp: Any, g: Any, needs: Any, x: Any, out: Any, x_dtype: Any) -> tuple[Any]:
    by_sign, by_log = g
    if x_dtype.kind != "c":
        if by_log is None:
            return (xp.zeros_like(x),)
        scale = by_log
    else:
        scale = 0 if by_log is None else by_log
        if by_sign is not None:
            scale = scale - 1j * xp.imag(xp.conj(by_sign) * out[0])
    return (_over_matrices(xp, scale) * adjoint(xp, xp.inv(x)),)


slogdet_ = Primitive(
    "slogdet",
    lambda xp, x: tuple(xp.linalg.slogdet(x)),
    _slogdet_x,
    outputs=2,
    holomorphic=False,
    node="LinalgSlogdetBackward0",
    samples=lambda make: [(make(3, 3),), (make(2, 2, 2),)],
)


@expose(function=False, method=False, out="same", into="linalg", name="slogdet")
def linalg_slogdet(A: Tensor) -> Any:
    """(sign, logabsdet): the determinant as sign and logarithm; 0 and -inf for singular matrices."""
    return named("linalg_slogdet", "sign logabsdet")(
        *slogdet_.record((check_matrix("linalg.slogdet", A, square=True),))
    )


@expose(out="same")
def slogdet(input: Tensor) -> Any:
    """(sign, logabsdet); the same as `linalg.slogdet`."""
    return named("slogdet", "sign logabsdet")(*slogdet_.record((check_matrix("linalg.slogdet", input, square=True),)))


@expose()
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where that is negative."""
    sign, log = slogdet_.record((check_matrix("logdet", input, square=True),))
    if input.is_complex():
        return log + sign.log()
    return functions["where"](sign.detach() < 0, math.nan, log)


# --- inverses and systems ---

inv_ = Primitive(
    "inv",
    lambda xp, x: xp.linalg.inv(x),
    {"x": lambda xp, g, out: -xp.matmul(xp.matmul(xp.matrix_transpose(out), g), xp.matrix_transpose(out))},
    node="LinalgInvExBackward0",
    saved={"out": "inverse"},
    samples=lambda make: [(make(3, 3),), (make(2, 2, 2),)],
)
solve_ = Primitive(
    "solve",
    lambda xp, x, y: xp.linalg.solve(x, y),
    {
        "x": lambda xp, g, x, out, x_shape: unbroadcast(
            xp, -xp.matmul(xp.solve(xp.matrix_transpose(x), g), xp.matrix_transpose(out)), x_shape
        ),
        "y": lambda xp, g, x, y_shape: unbroadcast(xp, xp.solve(xp.matrix_transpose(x), g), y_shape),
    },
    inputs=2,
    node="LinalgSolveExBackward0",
    samples=lambda make: [(make(3, 3), make(3, 2)), (make(2, 2, 2), make(2, 1))],
)


def _first_zero(A: Tensor) -> tuple[int, int]:
    """The number of the first singular matrix of a batch, and which element of U's diagonal, from 1, is zero."""
    info = lu_factor_.record((A.detach(),), (True,))[2]._array.reshape(-1)
    index = int((info > 0).argmax())
    return index, int(info[index]) or A._array.shape[-1]


def _inverse(name: str, A: Any) -> Tensor:
    check_matrix(name, A, square=True)
    try:
        return inv_.record((A,))
    except array_namespace(A).linalg.LinAlgError:
        index, i = _first_zero(A)
        raise LinAlgError(
            f"{name}: {of_batch(index, A._array.ndim > 2)}The diagonal element {i} is zero, the inversion could not be "
            "completed because the input matrix is singular."
        ) from None


@expose(function=False, method=False, out="same", into="linalg")
def inv(A: Tensor) -> Tensor:
    """The inverses of square matrices. Raises LinAlgError, saying where, if one is singular."""
    return _inverse("linalg.inv", A)


@expose(out="same")
def inverse(input: Tensor) -> Tensor:
    """The inverses of square matrices; the same as `linalg.inv`."""
    return _inverse("linalg.inv", input)


@expose(function=False, method=False, out="same", into="linalg")
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """(inverse, info): `inv` without an error: info is 0, or for a singular matrix the place of the zero."""
    made, xp = named("linalg_inv_ex", "inverse info"), array_namespace(check_matrix("linalg.inv", A, square=True))
    try:
        return made(inv_.record((A,)), from_array(xp.zeros(A._array.shape[:-2], dtype="int32")))
    except xp.linalg.LinAlgError:
        if check_errors:
            return made(_inverse("linalg.inv_ex", A), A)
        return made(*_one_by_one(xp, xp.linalg.inv, A._array, A._array))


def _one_by_one(xp: Any, function: Any, a: Any, *given: Any) -> tuple[Tensor, Tensor]:
    """The function of each matrix of a batch, NaN where that is singular, and which those are."""
    info = lu_factor_.record((from_array(a),), (True,))[2]._array
    good = xp.where((info > 0)[..., None, None], xp.eye(a.shape[-1], dtype=a.dtype), a)
    result = function(good, *given[1:])
    return from_array(xp.where((info > 0)[..., None, None], math.nan, result).astype(a.dtype)), from_array(info)


def _is_vector(A: Tensor, B: Tensor) -> bool:
    """Whether B holds vectors and not matrices: it is 1-d, or a batch of vectors for a batch of matrices."""
    return B._array.ndim == 1 or (A._array.ndim - 1 == B._array.ndim and B._array.shape == A._array.shape[:-1])


def _solve(A: Any, B: Any, left: bool) -> Tensor:
    name = "linalg.solve"
    check_matrix(name, A, square=True)
    if not isinstance(B, Tensor):
        raise not_tensor("linalg_solve", A=A, B=B)
    check_same(name, A, B)
    vector = _is_vector(A, B)
    if vector:
        if not left:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False."
            )
        B = expand_dims.record((B,), (B._array.ndim,))
    elif B._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    check_system(name, A, B, left)
    x = solve_.record((A, B)) if left else transposed(solve_.record((transposed(A), transposed(B))))
    return squeeze_.record((x,), ((-1,),)) if vector else x


@expose(function=False, method=False, out="same", into="linalg")
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X in A X = B, or in X A = B without `left`; B may hold vectors. Raises LinAlgError if a matrix is singular."""
    xp = array_namespace(check_matrix("linalg.solve", A, square=True))
    try:
        return _solve(A, B, left)
    except xp.linalg.LinAlgError:
        index, _ = _first_zero(A)
        raise LinAlgError(
            f"torch.linalg.solve: {of_batch(index, A._array.ndim > 2)}The solver failed because the input matrix is "
            "singular."
        ) from None


@expose(function=False, method=False, out="same", into="linalg")
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """(result, info): `solve` without an error: info is 0, or for a singular matrix the place of the zero."""
    made, xp = named("linalg_solve_ex", "result info"), array_namespace(check_matrix("linalg.solve", A, square=True))
    try:
        return made(_solve(A, B, left), from_array(xp.zeros(A._array.shape[:-2], dtype="int32")))
    except xp.linalg.LinAlgError:
        if check_errors:
            return made(solve(A, B, left=left), A)
        vector = _is_vector(A, B)
        b = B._array[..., None] if vector else B._array
        a, b = (A._array, b) if left else (A._array.swapaxes(-1, -2), b.swapaxes(-1, -2))
        x, info = _one_by_one(xp, xp.linalg.solve, a, a, b)
        x = x if left else transposed(x)
        return made(squeeze_.record((x,), ((-1,),)) if vector else x, info)


# --- pseudo-inverses ---


def _pinv(xp: Any, x: Any, absolute: Any, relative: Any, hermitian: bool) -> Any:
    """From singular values above max(absolute, relative * the largest); `absolute` and `relative` may be arrays."""
    if not x.size:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), dtype=x.dtype)
    if hermitian:
        values, u = xp.linalg.eigh(x)
        vh, s = adjoint(xp, u), abs(values)
    else:
        u, values, vh = xp.linalg.svd(x, full_matrices=False)
        s = values
    bound = xp.maximum(xp.asarray(absolute)[..., None], xp.asarray(relative)[..., None] * s.max(-1, keepdims=True))
    large = s > bound
    inverse = xp.where(large, 1 / xp.where(large, values, 1), 0).astype(s.dtype)
    return xp.matmul(adjoint(xp, vh) * inverse[..., None, :], adjoint(xp, u))


def _pinv_x(xp: Any, g: Any, x: Any, out: Any) -> Any:
    """From dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P (Golub and Pereyra, 1973)."""
    ph, gh = adjoint(xp, out), adjoint(xp, g)
    first = xp.matmul(xp.matmul(gh, out), ph)
    second = xp.matmul(ph, xp.matmul(out, gh))
    return (
        first
        - xp.matmul(x, xp.matmul(out, first))
        + second
        - xp.matmul(xp.matmul(second, out), x)
        - xp.matmul(ph, xp.matmul(g, ph))
    )


pinv_ = Primitive(
    "pinv",
    _pinv,
    {"x": _pinv_x},
    holomorphic=False,
    node="LinalgPinvBackward0",
    samples=lambda make: [(make(3, 2), 0.0, 1e-12, False), (make(2, 3), 0.0, 1e-12, False)],
)


def tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """(absolute, relative) as numbers or raw arrays, with PyTorch's defaults."""
    if rtol is None:
        m, n = A._array.shape[-2:]
        eps = float(array_namespace(A).finfo(A._array.dtype).eps)
        rtol = max(m, n) * eps if atol is None else 0.0
    atol = 0.0 if atol is None else atol
    return tuple(t._array if isinstance(t, Tensor) else t for t in (atol, rtol))


@expose(function=False, method=False, out="same", into="linalg")
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverses of matrices; singular values up to max(atol, rtol * the largest) count as zero.

    rtol is the longer side times the dtype's epsilon, unless it or atol is given (`rcond` is its older name).
    """
    if not isinstance(A, Tensor):
        raise not_tensor("linalg_pinv", A=A)
    if A._array.ndim < 2:
        raise RuntimeError(
            f"linalg.pinv({type_name(A)}{{{list(A._array.shape)}}}): expected a tensor with 2 or more dimensions of "
            "float, double, cfloat or cdouble types"
        )
    check_matrix("linalg.eigh" if hermitian else "linalg.pinv", A, square=hermitian)
    absolute, relative = tolerances(A, atol, rcond if rtol is None else rtol)
    return pinv_.record((A,), (absolute, relative, hermitian))


@expose()
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; the older form of `linalg.pinv`."""
    return pinv(input, rcond)


@expose(function=False, method=False, into="linalg")
def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of the X that makes |A X - B| least, and of all such X the shortest.

    residuals, the squared lengths of A X - B, are empty unless m > n and all of A's ranks are n; rank and
    singular_values are empty where PyTorch's `driver` of that name ("gelsy" unless named) does not find them.
    """
    name = "torch.linalg.lstsq"
    if not isinstance(A, Tensor) or not isinstance(B, Tensor):
        raise not_tensor("linalg_lstsq", A=A, B=B)
    if A._array.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if B._array.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    check_floating(name, A)
    if A._array.dtype != B._array.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype {A.dtype} and other's "
            f"dtype {B.dtype}"
        )
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    difference = A._array.ndim - B._array.ndim
    if not 0 <= difference <= 1:
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    vector = difference == 1
    if A._array.shape[-2] != B._array.shape[-1 if vector else -2]:
        where = -1 if vector else -2
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({where})")
    right: Any = expand_dims.record((B,), (B._array.ndim,)) if vector else B
    driver = driver or "gelsy"
    xp, (m, n) = array_namespace(A), A._array.shape[-2:]
    absolute, relative = tolerances(A, None, rcond)
    solution: Any = matmul(pinv_.record((A,), (absolute, relative, False)), right)
    values = xp.linalg.svd(A._array, compute_uv=False)
    rank = (
        (values > relative * values.max(-1, keepdims=True)).sum(-1)
        if values.size
        else xp.zeros(A._array.shape[:-2], dtype="int64")
    )
    residuals = solution.reshape(-1)[:0].abs()
    if m > n and driver != "gelsy" and (driver == "gels" or (rank == n).all()):
        error = matmul(A, solution) - right
        residuals = (error.abs() ** 2).sum(-2)
    return named("linalg_lstsq", "solution residuals rank singular_values")(
        squeeze_.record((solution,), ((-1,),)) if vector else solution,
        residuals,
        from_array(xp.empty(0, dtype="int64") if driver == "gels" else xp.asarray(rank).astype("int64")),
        from_array(values if driver in ("gelsd", "gelss") else values[:0].reshape(0)),
    )


# --- of tensors as matrices ---


def _as(x: Tensor, shape: Sequence[int]) -> Tensor:
    return reshape_.record((x,), (tuple(shape),))


@expose(function=False, method=False, out="same", into="linalg")
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a matrix of its first `ind` dimensions by the rest."""
    if not isinstance(A, Tensor):
        raise not_tensor("linalg_tensorinv", A=A)
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = A._array.shape
    m, n = math.prod(shape[:ind]), math.prod(shape[ind:])
    if m != n:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{n} != {m}"
        )
    return _as(inv(_as(A, (m, n))), shape[ind:] + shape[:ind])


@expose(function=False, method=False, out="same", into="linalg")
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; the dimensions `dims` of A are moved to its end first."""
    if not isinstance(A, Tensor) or not isinstance(B, Tensor):
        raise not_tensor("linalg_tensorsolve", A=A, B=B)
    a: Any = A
    if dims is not None:
        moved = [wrap_dim(d, a.ndim) for d in dims]
        a = a.permute([d for d in range(a.ndim) if d not in moved] + moved)
    shape = a._array.shape
    rows, columns = shape[: B._array.ndim], shape[B._array.ndim :]
    m, n = math.prod(rows), math.prod(columns)
    if m != n:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {n} != {m}"
        )
    return _as(solve(_as(a, (m, n)), _as(B, (B._array.size,))), columns)

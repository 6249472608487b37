"""Singular values and eigenvalues, with their vectors; gradients by vectors of equal values are infinite."""

from __future__ import annotations

from typing import Any

from ..graph.op import Primitive
from ..return_types import named
from ..tensor import Tensor, from_array
from .decompose import LinAlgError, adjoint, array_namespace, check_floating, check_matrix, leading, qr, transposed
from .expose import expose, functions
from .linalg import matmul

# --- singular values ---


def _skew(xp: Any, x: Any) -> Any:
    return x - adjoint(xp, x)


def _svd(xp: Any, x: Any, full_matrices: bool) -> Any:
    return tuple(xp.linalg.svd(x, full_matrices=full_matrices))


def _svd_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...], x_dtype: Any) -> tuple[Any]:
    s = out[1]
    k = s.shape[-1]
    u, vh = leading(xp, out[0], k, -1), leading(xp, out[2], k, -2)
    gu, gs, gvh = leading(xp, g[0], k, -1), g[1], leading(xp, g[2], k, -2)
    row, column = xp.expand_dims(s, -2), xp.expand_dims(s, -1)
    shape = (*x_shape[:-2], k, k)
    inside = None if gs is None else xp.put_diagonal(xp.astype(gs, x_dtype), shape)
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


svd_ = Primitive(
    "svd",
    _svd,
    _svd_x,
    outputs=3,
    holomorphic=False,
    node="LinalgSvdBackward0",
    samples=lambda make: [(make(3, 3), True), (make(3, 2), False), (make(2, 2, 3), False)],
)


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


@expose(function=False, method=False, out="same", into="linalg")
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh, S falling. U and Vh are square with `full_matrices`, else narrow as S is long.

    Gradients by U and Vh are those of their first columns and rows; they are only defined for functions that do not
    depend on the vectors' signs (phases).
    """
    check_matrix("linalg.svd", A)
    return named("linalg_svd", "U S Vh")(*_converged("linalg.svd", A, lambda: svd_.record((A,), (full_matrices,))))


@expose(function=False, method=False, out="same", into="linalg")
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
    x: Any = A if M is None else A - M
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


def _eigh_x(xp: Any, g: Any, needs: Any, out: Any, x_shape: tuple[int, ...], x_dtype: Any) -> tuple[Any]:
    values, v = out
    inside = None if g[0] is None else xp.put_diagonal(xp.astype(g[0], x_dtype), x_shape)
    if g[1] is not None:
        gap = xp.with_diagonal(xp.expand_dims(values, -2) - xp.expand_dims(values, -1), 1)
        part = xp.with_diagonal(_skew(xp, xp.matmul(adjoint(xp, v), g[1])), 0) / (2 * gap)
        inside = part if inside is None else inside + part
    return (xp.matmul(xp.matmul(v, inside), adjoint(xp, v)),)


eigh_ = Primitive(
    "eigh",
    lambda xp, x, lower: tuple(xp.linalg.eigh(x, "L" if lower else "U")),
    _eigh_x,
    outputs=2,
    holomorphic=False,
    node="LinalgEighBackward0",
    samples=lambda make: [(make(1, 1), True), (make(2, 1, 1), False)],  # larger ones must stay symmetric
)


def _eigh_of(name: str, A: Tensor, UPLO: str) -> tuple[Any, Any]:
    check_matrix(name, A, square=True)
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return _converged(name, A, lambda: eigh_.record((A,), (UPLO.upper() == "L",)))


@expose(function=False, method=False, out="same", into="linalg")
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of symmetric or Hermitian matrices, of which one triangle is looked at; rising."""
    return named("linalg_eigh", "eigenvalues eigenvectors")(*_eigh_of("linalg.eigh", A, UPLO))


@expose(function=False, method=False, out="same", into="linalg")
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


eig_ = Primitive(
    "eig",
    _eig,
    _eig_x,
    outputs=2,
    holomorphic=False,
    node="LinalgEigBackward0",
    samples=lambda make: [(make(1, 1),), (make(2, 1, 1),)],  # the phase of larger ones' vectors is free
)


def _eig_of(name: str, A: Tensor) -> tuple[Any, Any]:
    check_matrix(name, A, square=True)
    if not array_namespace(A).isfinite(A._array).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return _converged(name, A, lambda: eig_.record((A,)))


@expose(function=False, method=False, out="same", into="linalg")
def eig(A: Tensor) -> Any:
    """(eigenvalues, eigenvectors), both complex, of square matrices."""
    return named("linalg_eig", "eigenvalues eigenvectors")(*_eig_of("linalg.eig", A))


@expose(function=False, method=False, out="same", into="linalg")
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues, complex, of square matrices."""
    return _eig_of("linalg.eigvals", A)[0]

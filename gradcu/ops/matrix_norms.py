"""Norms of matrices, and what is read off their singular values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..tensor import Tensor, from_array, wrap_dim
from .decompose import array_namespace, check_matrix
from .expose import expose, functions, namespaces
from .linalg import not_tensor, type_name
from .solve import inv_ex, tolerances
from .spectrum import eigvalsh, svdvals

_SPECTRAL = ("nuc", 2, -2)


def _vector_norm(*args: Any, **kwargs: Any) -> Any:
    return namespaces["linalg"]["vector_norm"](*args, **kwargs)


@expose(function=False, method=False, out="same", into="linalg")
def matrix_norm(
    A: Tensor,
    ord: int | float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """Norms of matrices: "fro", "nuc" (the sum of singular values), 2 and -2 (the largest and the least of them),
    inf and -inf (the largest and the least sum of magnitudes of a row), 1 and -1 (of a column).
    """
    name = "linalg.matrix_norm"
    if not isinstance(A, Tensor):
        raise not_tensor("linalg_matrix_norm", A=A)
    if A._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    x: Any = A
    if dtype is not None:
        x = x.to(dtype)
    if x.dtype.category < 2:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {type_name(A)}")
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {', '.join(map(str, dims))}")
    row, column = (wrap_dim(d, x.ndim) for d in dims)
    if row == column:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    if isinstance(ord, str) and ord not in ("fro", "nuc"):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if not isinstance(ord, str) and abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord == "fro":
        return _vector_norm(x, 2, (row, column), keepdim)
    if ord in _SPECTRAL:
        rest = [d for d in range(x.ndim) if d not in (row, column)]
        values: Any = svdvals(x.permute(*rest, row, column))
        result = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord == 2 else values.amin(-1)
        if keepdim:
            for d in sorted((row, column)):
                result = result.unsqueeze(d)
        return result
    first, second = (row, column) if abs(ord) == 1 else (column, row)  # type: ignore[arg-type]
    sums = x.abs().sum(first, keepdim=True)
    result = sums.amax(second, keepdim=True) if ord > 0 else sums.amin(second, keepdim=True)  # type: ignore[operator]
    return result if keepdim else result.squeeze((row, column))


@expose(function=False, method=False, out="same", into="linalg", name="norm")
def linalg_norm(
    A: Tensor,
    ord: int | float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """`matrix_norm` if `ord` is given and there are two dimensions (all, or those of `dim`), else `vector_norm`.

    Without `ord`, the 2-norm of all elements, over `dim` or all.
    """
    if not isinstance(A, Tensor):
        raise not_tensor("linalg_norm", A=A)
    if ord is None:
        return _vector_norm(A, 2, dim, keepdim, dtype=dtype)
    ndim = A._array.ndim
    if dim is None and ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {ndim}D.")
    dims = tuple(range(ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) == 2 or isinstance(ord, str):
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return _vector_norm(A, ord, dims, keepdim, dtype=dtype)


@expose(out="same")
def norm(
    input: Tensor,
    p: int | float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: dtypes.dtype | None = None,
) -> Tensor:
    """The p-norm of all elements or over `dim`, where "fro" is 2; "nuc" is the nuclear norm of matrices."""
    if not isinstance(input, Tensor):
        raise not_tensor("norm", input=input)
    dims = (dim,) if isinstance(dim, int) else dim
    if isinstance(p, str):
        if p == "nuc":
            return matrix_norm(
                input, "nuc", tuple(range(input._array.ndim)) if dims is None else dims, keepdim, dtype=dtype
            )
        if p != "fro":
            raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
        p = 2
    return _vector_norm(input, 2 if p is None else p, dims, keepdim, dtype=dtype)


@expose(method=False)
def frobenius_norm(input: Tensor, dim: int | Sequence[int] = (), keepdim: bool = False) -> Tensor:
    """The root of the sum of squares of all elements or over `dim`."""
    return norm(input, "fro", dim or None, keepdim)


@expose(method=False)
def nuclear_norm(input: Tensor, dim: int | Sequence[int] = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values of the matrices in the dimensions `dim`."""
    return norm(input, "nuc", dim, keepdim)


@expose(function=False, method=False, out="same", into="linalg")
def cond(A: Tensor, p: int | float | str | None = None) -> Tensor:
    """The condition number: the ratio of the largest and the least singular value (p is None or 2; -2 inverts it), or
    |A| |A^-1| in the norm p; infinite for singular matrices.
    """
    if p is not None and (p not in ("fro", "nuc") if isinstance(p, str) else abs(p) not in (1, 2, math.inf)):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p in (None, 2, -2):
        check_matrix("linalg.cond", A)
        values: Any = svdvals(A)
        return values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
    check_matrix(f"linalg.cond(ord={p})", A, square=True)
    inverse, info = inv_ex(A)
    assert p is not None
    product: Any = matrix_norm(A, p) * matrix_norm(inverse, p)
    if info._array.any():
        product = functions["where"](info != 0, math.inf, product)
    return product


@expose(function=False, method=False, out="same", into="linalg")
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The number of singular values above max(atol, rtol * the largest); int64.

    rtol is the longer side times the dtype's epsilon, unless it or atol is given (`tol` is atol with rtol 0).
    """
    if not isinstance(A, Tensor):
        raise not_tensor("linalg_matrix_rank", A=A)
    check_matrix("torch.linalg.matrix_rank", A, "input", square=hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    absolute, relative = tolerances(A, atol, rtol)
    xp = array_namespace(A)
    values = (eigvalsh(A.detach()) if hermitian else svdvals(A.detach()))._array
    values = abs(values)
    if not values.shape[-1]:
        return from_array(xp.zeros(A._array.shape[:-2], dtype="int64"))
    largest = values.max(-1)
    bound = xp.maximum(xp.asarray(absolute), xp.asarray(relative) * largest)
    return from_array(xp.asarray((values > bound[..., None]).sum(-1)).astype("int64"))

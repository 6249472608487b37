"""Powers, products and exponentials of matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .decompose import array_namespace, constant
from .expose import expose, functions
from .linalg import dot, matmul, mm, not_tensor, type_name
from .shape import expand_dims, squeeze_
from .solve import inv


@expose("linalg.matrix_power", out=True)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """The n-th power of square matrices; of their inverses if n is negative."""
    name = "linalg.matrix_power"
    if not isinstance(input, Tensor):
        raise not_tensor("matrix_power", input=input)
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    a = input._array
    if a.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} matrices"
        )
    base: Any = input
    if n < 0:
        base, n = inv(base), -n
    if n == 0:
        xp = array_namespace(input)
        eye = xp.broadcast_to(xp.eye(a.shape[-1], dtype=a.dtype), a.shape)
        return constant(from_array(xp.array(eye)), input)
    if n == 1:
        return functions["clone"](base)
    result: Any = None
    while n:
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        if n:
            base = matmul(base, base)
    return result


def _best_order(sizes: Sequence[int]) -> list[list[int]]:
    """Where to split products of matrices so that they take the fewest multiplications (matrix chain order)."""
    count = len(sizes) - 1
    cost = [[0] * count for _ in range(count)]
    split = [[0] * count for _ in range(count)]
    for span in range(1, count):
        for i in range(count - span):
            j = i + span
            cost[i][j], split[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return split


def _chain(tensors: Sequence[Tensor]) -> Tensor:
    split = _best_order([*(t._array.shape[0] for t in tensors), tensors[-1]._array.shape[1]])

    def product(i: int, j: int) -> Tensor:
        return tensors[i] if i == j else mm(product(i, split[i][j]), product(split[i][j] + 1, j))

    return product(0, len(tensors) - 1)


@expose(function=False, method=False, out=True, into="linalg")
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices in the order that takes the fewest multiplications.

    The first and the last may be vectors, a row and a column. Raises RuntimeError if neighbours do not fit.
    """
    name = "multi_dot()"
    given: list[Any] = list(tensors)
    if len(given) < 2:
        raise RuntimeError(f"{name}: expected at least 2 tensors but got {len(given)}")
    for i, t in enumerate(given):
        if not isinstance(t, Tensor):
            raise not_tensor("linalg_multi_dot", tensors=t)
        ndim = t._array.ndim
        if 0 < i < len(given) - 1:
            if ndim != 2:
                raise RuntimeError(f"{name}: tensor {i} must be 2D but got {ndim}D")
        elif ndim not in (1, 2):
            raise RuntimeError(f"{name}: the {'last' if i else 'first'} tensor must be 1D or 2D but got {ndim}D")
        if t._array.dtype != given[0]._array.dtype:
            raise RuntimeError(
                f"{name}: all tensors must have be the same dtype but tensor 0 is {given[0].dtype.c_name} and tensor "
                f"{i} {t.dtype.c_name}"
            )
        if t.device != given[0].device:
            raise RuntimeError(
                f"{name}: all tensors must be on the same device but tensor 0 is on {given[0].device} and tensor {i} "
                f"on {t.device}"
            )
    if len(given) == 2 and given[0]._array.ndim == given[1]._array.ndim == 1:
        return dot(given[0], given[1])
    row, column = given[0]._array.ndim == 1, given[-1]._array.ndim == 1
    if row:
        given[0] = expand_dims.record((given[0],), (0,))
    if column:
        given[-1] = expand_dims.record((given[-1],), (1,))
    for i, (x, y) in enumerate(itertools.pairwise(given)):
        if x._array.shape[1] != y._array.shape[0]:
            a, b = list(tensors[i]._array.shape), list(tensors[i + 1]._array.shape)
            raise RuntimeError(f"{name}: tensors {i} and {i + 1} with shapes {a} and {b} cannot be multiplied")
    result = _chain(given)
    axes = (0,) * row + (1,) * column
    return squeeze_.record((result,), (axes,)) if axes else result


@expose(method=False, out=True)
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices; the older form of `linalg.multi_dot`."""
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for t in matrices:
        if not isinstance(t, Tensor):
            raise not_tensor("chain_matmul", matrices=t)
        if t._array.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {t._array.ndim}, expected 2 instead.")
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices)


# The Pade approximant of degree 13 and its bound: N. Higham, "The scaling and squaring method for the matrix
# exponential revisited" (2005).
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_PADE_BOUND = 5.37


def _matrix_exp(xp: Any, x: Any) -> Any:
    if not x.size:
        return x.copy()
    norm = float(abs(x).sum(-2).max())
    squarings = max(0, math.ceil(math.log2(norm / _PADE_BOUND))) if 0 < norm < math.inf else 0
    x = x * 0.5**squarings
    b, eye = _PADE, xp.eye(x.shape[-1], dtype=x.dtype)
    x2 = xp.matmul(x, x)
    x4 = xp.matmul(x2, x2)
    x6 = xp.matmul(x4, x2)
    odd = xp.matmul(x6, b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * eye
    odd = xp.matmul(x, odd)
    even = xp.matmul(x6, b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * eye
    result = xp.linalg.solve(even - odd, even + odd)
    for _ in range(squarings):
        result = xp.matmul(result, result)
    return result


def _matrix_exp_x(xp: Any, g: Any, x: Any, x_shape: tuple[int, ...]) -> Any:
    """The upper right block of exp([[x^T, g], [0, x^T]])."""
    n = x_shape[-1]
    shape = (*x_shape[:-2], 2 * n, 2 * n)
    first, second = slice(0, n), slice(n, 2 * n)
    xt = xp.matrix_transpose(x)
    whole = (
        xp.place_at(xt, shape, (..., first, first))
        + xp.place_at(xt, shape, (..., second, second))
        + xp.place_at(g, shape, (..., first, second))
    )
    return xp.getitem(xp.matrix_exp(whole), (..., first, second))


matrix_exp_ = Primitive(
    "matrix_exp",
    _matrix_exp,
    {"x": _matrix_exp_x},
    node="LinalgMatrixExpBackward0",
    domain=(-1.0, 1.0),
    samples=lambda make: [(make(3, 3),), (make(2, 2, 2),)],
)


@expose("linalg.matrix_exp")
def matrix_exp(input: Tensor) -> Tensor:
    """The exponentials of square matrices."""
    name = "linalg.matrix_exp"
    if not isinstance(input, Tensor):
        raise not_tensor("matrix_exp", input=input)
    if input._array.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    m, n = input._array.shape[-2:]
    if m != n:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {m} by {n} matrices")
    if input.dtype.category < 2:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {type_name(input)}")
    return matrix_exp_.record((input,))


@expose(function=False, method=False, into="linalg")
def vander(x: Tensor, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 (to the length less one, if not given) of each element, along a new last dimension."""
    if not isinstance(x, Tensor):
        raise not_tensor("linalg_vander", x=x)
    t: Any = x if x._array.ndim else x.reshape(1)
    n = t._array.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    if t.dtype.category == 0:
        t = t.long()
    ones = functions["ones"](*t.shape, 1, dtype=t.dtype, device=t.device)
    powers = functions["cumprod"](t.unsqueeze(-1).expand(*t.shape, n - 1), -1)
    return functions["cat"]([ones, powers], -1)


@expose(method=False, name="vander")
def _columns(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix of the powers of a vector's elements, falling from the left unless `increasing`."""
    if x._array.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x._array.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError(f"N must be non-negative, but got {n}")
    if n < 2:
        return functions["ones"](x._array.shape[0], n, dtype=x.dtype, device=x.device)
    whole: Any = vander(x, n)
    return whole if increasing else whole.flip(-1)

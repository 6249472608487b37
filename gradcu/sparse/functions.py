"""Making sparse tensors, and the functions of `gradcu.sparse`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradcu

from .. import dtypes
from ..tensor import Tensor, wrap_dim
from .tensor import SparseTensor, matmul

__all__ = ["addmm", "log_softmax", "mm", "softmax", "sparse_coo_tensor", "sparse_csr_tensor", "spmm", "sum"]


def _values(values: Any, dtype: dtypes.dtype | None, device: Any, requires_grad: bool) -> Tensor:
    made = gradcu.as_tensor(values, dtype=dtype, device=device)
    return made.detach().requires_grad_() if requires_grad and not made.requires_grad else made


def sparse_coo_tensor(
    indices: Any,
    values: Any = None,
    size: Sequence[int] | None = None,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseTensor:
    """A tensor of `values`, (nnz, ...), at `indices`, (sparse_dim, nnz); without a size, as small as it can be.

    Values at one place add up. `sparse_coo_tensor(size)` has no elements. Raises RuntimeError for indices that are not
    integers or lie outside of the size.

    >>> sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    if values is None:  # a size alone
        size = tuple(indices)
        places = gradcu.zeros((len(size), 0), dtype=gradcu.int64, device=device)
        return SparseTensor(places, _values(gradcu.zeros(0), dtype, device, requires_grad), size)
    elements = _values(values, dtype, device, requires_grad)
    places = gradcu.as_tensor(indices, device=elements.device)
    if places.dtype.is_floating_point and places.numel():
        raise RuntimeError(f"sparse_coo_tensor: indices must be integers, got {places.dtype}")
    places = places.long()
    if places.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(places.shape)}")
    if elements.dim() == 0:
        elements = elements.expand(places.shape[1])
    if places.shape[1] != elements.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {places.shape[1]}, nnz from values: "
            f"{elements.shape[0]}"
        )
    if size is None:
        least = (places.max(1).values + 1).tolist() if places.shape[1] else [0] * places.shape[0]
        size = (*least, *elements.shape[1:])
    if len(size) != places.shape[0] + elements.dim() - 1:
        raise RuntimeError(
            f"number of dimensions must be sparse_dim ({places.shape[0]}) + dense_dim ({elements.dim() - 1}), but got "
            f"{len(size)}"
        )
    for d, (n, index) in enumerate(zip(size, places)):
        if places.shape[1] and not 0 <= int(index.min()) <= int(index.max()) < n:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {d}, size is {n} but found index "
                f"{int(index.min() if index.min() < 0 else index.max())}"
            )
    return SparseTensor(places, elements, size, bool(is_coalesced))


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Sequence[int] | None = None,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> SparseTensor:
    """A matrix in compressed rows: those from crow_indices[i] to crow_indices[i + 1] of `values` are in row i.

    Raises RuntimeError for indices that do not fit.

    >>> sparse_csr_tensor([0, 1, 2], [2, 0], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    elements = _values(values, dtype, device, requires_grad)
    crow, columns = (gradcu.as_tensor(i, device=elements.device).long() for i in (crow_indices, col_indices))
    counts = crow.diff()
    if crow.dim() != 1 or crow.numel() < 1 or int(crow[0]) != 0 or (counts < 0).any():
        raise RuntimeError("sparse_csr_tensor: crow_indices must be a vector that starts at 0 and never falls")
    if int(crow[-1]) != elements.shape[0] or columns.shape != elements.shape[:1]:
        raise RuntimeError(
            f"sparse_csr_tensor: crow_indices ends at {int(crow[-1])}, but there are {columns.shape[0]} column indices "
            f"and {elements.shape[0]} values"
        )
    rows = gradcu.repeat_interleave(gradcu.arange(counts.shape[0], device=crow.device), counts)
    if size is None:
        size = (counts.shape[0], int(columns.max()) + 1 if columns.numel() else 0)
    if size[0] != counts.shape[0]:
        raise RuntimeError(f"sparse_csr_tensor: crow_indices is of {counts.shape[0]} rows, but the size is {size}")
    made = sparse_coo_tensor(gradcu.stack([rows, columns]), elements, size)
    return SparseTensor(made._places, elements, size, csr=True)


def from_dense(dense: Tensor, sparse_dim: int | None = None) -> SparseTensor:
    """The elements of a strided tensor that are not zero: what `to_sparse` gives."""
    n = dense.dim() if sparse_dim is None else sparse_dim
    if not 0 <= n <= dense.dim():
        raise RuntimeError(f"sparse_dim argument must be in [0,{dense.dim()}] range, but {n} is given")
    held = dense.detach() != 0
    places = (held.flatten(n).any(-1) if n < dense.dim() else held).nonzero().T
    return SparseTensor(places, dense[tuple(places)], dense.shape, True)


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, of which one is sparse: a dense one, with gradients for both."""
    if not isinstance(mat1, SparseTensor) and not isinstance(mat2, SparseTensor):
        return gradcu.mm(mat1, mat2)
    return matmul(mat1, mat2)


spmm = mm


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)`, where one of the matrices is sparse."""
    return beta * input + alpha * mm(mat1, mat2)


def sum(input: SparseTensor, dim: int | Sequence[int] | None = None, dtype: dtypes.dtype | None = None) -> Tensor:
    """The sum of all elements, or over `dim`: sparse while sparse dimensions are left, else dense.

    >>> sum(sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3)))
    tensor(12.)
    """
    values = input._elements if dtype is None else input._elements.to(dtype)
    if dim is None:
        return values.sum()
    dims = {wrap_dim(d, input.dim()) for d in ((dim,) if isinstance(dim, int) else dim)}
    n = input.sparse_dim()
    inner = tuple(d - n + 1 for d in dims if d >= n)
    values = values.sum(inner) if inner else values
    kept = [d for d in range(n) if d not in dims]
    if not kept:
        return values.sum(0)
    places = input._places[gradcu.tensor(kept, device=input.device)]
    size = [length for d, length in enumerate(input.shape) if d not in dims]
    return SparseTensor(places, values, size, input._coalesced and len(kept) == n).coalesce()


def softmax(input: SparseTensor, dim: int, *, dtype: dtypes.dtype | None = None) -> SparseTensor:
    """Softmax over the elements that are there of each slice along a sparse dimension; the others stay zero."""
    made = log_softmax(input, dim, dtype=dtype)
    return made._with(made._elements.exp())


def log_softmax(input: SparseTensor, dim: int, *, dtype: dtypes.dtype | None = None) -> SparseTensor:
    """The logarithm of `softmax` in the elements that are there."""
    dim = wrap_dim(dim, input.dim())
    if dim >= input.sparse_dim() or input.dense_dim():
        raise RuntimeError("softmax of a sparse tensor: dim must be a sparse dimension, and values be numbers")
    input = input.coalesce()
    values = input._elements if dtype is None else input._elements.to(dtype)
    slices = input._places.new_zeros(input._nnz())
    count = 1
    for d, (n, index) in enumerate(zip(input.shape, input._places)):
        if d != dim:
            slices, count = slices * n + index, count * n
    most = values.detach().new_full((count,), -float("inf")).scatter_reduce(0, slices, values.detach(), "amax")
    shifted = values - most[slices]
    total = values.new_zeros(count).index_add(0, slices, shifted.exp())
    return input._with(shifted - total.log()[slices])

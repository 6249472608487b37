"""`SparseTensor`: a tensor that keeps the places and the values of its elements alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradcu

from .. import backends, devices, dtypes
from ..layouts import layout, sparse_coo, sparse_csr
from ..ops.sparse_matmul import Pattern, spmm
from ..printing import format_sparse
from ..tensor import Size, Tensor, wrap_dim

__all__ = ["SparseTensor", "matmul"]


class NotStrided(NotImplementedError, AttributeError):
    """A sparse tensor met an operation on strided ones."""


class SparseTensor(Tensor):
    """Elements at `indices`, (sparse_dim, nnz), int64, of the given `values`, (nnz, ...); all others are zero.

    Make one with `sparse_coo_tensor`, `sparse_csr_tensor` or `to_sparse()`. Values at one place add up. It is a Tensor
    without memory of its own: operations that are not defined here raise NotImplementedError.
    """

    __slots__ = ("_coalesced", "_csr", "_elements", "_made_pattern", "_places", "_size")
    _places: Tensor
    _elements: Tensor
    _size: Size
    _coalesced: bool
    _csr: bool
    _made_pattern: Pattern | None

    def __new__(
        cls, indices: Tensor, values: Tensor, size: Sequence[int], coalesced: bool = False, csr: bool = False
    ) -> SparseTensor:
        self = object.__new__(cls)
        self._places, self._elements, self._size = indices, values, Size(size)
        self._coalesced, self._csr = coalesced or csr, csr
        self._made_pattern = None
        self._node = self._view = self._counter = self._meta = None
        self._rg = False
        return self

    def _with(self, values: Tensor) -> SparseTensor:
        """Other values at the same places."""
        made = SparseTensor(self._places, values, self._size, self._coalesced, self._csr)
        made._made_pattern = self._made_pattern
        return made

    @property
    def _array(self) -> Any:
        raise NotStrided(
            f"this operation takes strided tensors, and its argument has the layout {self.layout}: call to_dense() on "
            "it first"
        )

    # --- as a gradient among arrays, in a backward that is not recorded ---

    __array_ufunc__ = None  # type: ignore[assignment]  # so that `array + sparse` comes here
    base = property(lambda self: self)  # as arrays say that they are views: it is not changed in place

    # --- what it is ---

    is_sparse = property(lambda self: not self._csr)
    is_sparse_csr = property(lambda self: self._csr)

    @property
    def layout(self) -> layout:
        """`sparse_coo` or `sparse_csr`."""
        return sparse_csr if self._csr else sparse_coo

    @property
    def shape(self) -> Size:
        return self._size

    def size(self, dim: int | None = None) -> Any:
        return self._size if dim is None else self._size[wrap_dim(dim, len(self._size))]

    @property
    def ndim(self) -> int:
        return len(self._size)

    def dim(self) -> int:
        return len(self._size)

    def numel(self) -> int:
        return self._size.numel()

    def __len__(self) -> int:
        return self._size[0]

    @property
    def dtype(self) -> dtypes.dtype:
        return self._elements.dtype

    @property
    def device(self) -> devices.device:
        return self._elements.device

    def sparse_dim(self) -> int:
        """How many dimensions the indices have."""
        return self._places.shape[0]

    def dense_dim(self) -> int:
        """How many dimensions one value has."""
        return self._elements.dim() - 1

    def _nnz(self) -> int:
        return self._places.shape[1]

    def is_coalesced(self) -> bool:
        """Whether no two elements are at one place, and they are in order."""
        return self._coalesced

    # --- its parts ---

    def _indices(self) -> Tensor:
        return self._places

    def _values(self) -> Tensor:
        return self._elements

    def indices(self) -> Tensor:
        """The places, (sparse_dim, nnz). Raises RuntimeError unless coalesced, or for CSR."""
        if self._csr:
            raise RuntimeError("indices expected sparse coordinate tensor layout but got SparseCsr")
        self._require_coalesced("indices")
        return self._places

    def values(self) -> Tensor:
        """The values, (nnz, ...). Raises RuntimeError unless coalesced."""
        self._require_coalesced("values")
        return self._elements

    def _require_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first")

    def crow_indices(self) -> Tensor:
        """Of CSR: where each row starts among the elements, (rows + 1)."""
        self._require_csr("crow_indices")
        counts = gradcu.bincount(self._places[0], minlength=self._size[0])
        return gradcu.cat([counts.new_zeros(1), counts.cumsum(0)])

    def col_indices(self) -> Tensor:
        """Of CSR: the column of each element."""
        self._require_csr("col_indices")
        return self._places[1]

    def _require_csr(self, what: str) -> None:
        if not self._csr:
            raise RuntimeError(f"{what} expected sparse row compressed tensor layout but got Sparse")

    @property
    def _pattern(self) -> Pattern:
        if len(self._size) != 2 or self.dense_dim():
            raise RuntimeError(
                f"mm: expected a sparse matrix of numbers, got {self.sparse_dim()} sparse and {self.dense_dim()} dense "
                "dimensions"
            )
        if self._made_pattern is None:
            rows, columns = self._places._array
            n, m = self._size
            self._made_pattern = Pattern(rows, columns, (n, m))
        return self._made_pattern

    # --- the graph: that of the values ---

    @property
    def requires_grad(self) -> bool:
        return self._elements.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._elements.requires_grad = value

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        self._elements.requires_grad_(requires_grad)
        return self

    @property
    def grad_fn(self) -> Any:
        return self._elements.grad_fn

    @property
    def grad(self) -> SparseTensor | None:
        """The gradient of the values, at the same places."""
        grad = self._elements.grad
        return None if grad is None else self._with(grad)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._elements.grad = value._elements if isinstance(value, SparseTensor) else value

    def backward(self, gradient: Any = None, *args: Any, **kwargs: Any) -> None:
        given = gradient._elements if isinstance(gradient, SparseTensor) else gradient
        self._elements.backward(given, *args, **kwargs)

    def detach(self) -> SparseTensor:
        return self._with(self._elements.detach())

    data = property(detach)

    def clone(self, **kwargs: Any) -> SparseTensor:
        return self._with(self._elements.clone())

    def __deepcopy__(self, memo: dict) -> SparseTensor:
        values = self._elements.detach().clone().requires_grad_(self.requires_grad)
        return SparseTensor(self._places.clone(), values, self._size, self._coalesced, self._csr)

    # --- layouts, devices, dtypes ---

    def coalesce(self) -> SparseTensor:
        """The same tensor with its elements in order, those at one place added up."""
        if self._coalesced:
            return self
        shape = self._size[: self.sparse_dim()]
        flat, inverse = self._flat().unique(return_inverse=True)
        values = self._elements.new_zeros((flat.shape[0], *self._elements.shape[1:]))
        indices = gradcu.stack(gradcu.unravel_index(flat, shape))
        return SparseTensor(indices, values.index_add(0, inverse, self._elements), self._size, True)

    def _flat(self) -> Tensor:
        """The places as positions in a row-major array."""
        flat = self._places.new_zeros(self._nnz())
        for n, index in zip(self._size, self._places):
            flat = flat * n + index
        return flat

    def to_dense(self, dtype: dtypes.dtype | None = None, **kwargs: Any) -> Tensor:
        """The strided tensor of the same elements."""
        values = self._elements if dtype is None else self._elements.to(dtype)
        sparse, dense = self._size[: self.sparse_dim()], self._size[self.sparse_dim() :]
        table = values.new_zeros((Size(sparse).numel(), *dense))
        return table.index_add(0, self._flat(), values).reshape(self._size)

    def to_sparse(self, *args: Any, **kwargs: Any) -> SparseTensor:
        return SparseTensor(self._places, self._elements, self._size, self._coalesced)

    to_sparse_coo = to_sparse

    def to_sparse_csr(self, *args: Any, **kwargs: Any) -> SparseTensor:
        if len(self._size) != 2:
            raise RuntimeError(f"to_sparse_csr: expected a matrix, got {len(self._size)} dimensions")
        ordered = self.coalesce()
        return SparseTensor(ordered._places, ordered._elements, self._size, csr=True)

    def to(self, *args: Any, **kwargs: Any) -> SparseTensor:
        return self._moved(self._elements.to(*args, **kwargs))

    def cpu(self, memory_format: Any = None) -> SparseTensor:
        return self._moved(self._elements.cpu())

    def cuda(self, device: Any = None, *args: Any, **kwargs: Any) -> SparseTensor:
        return self._moved(self._elements.cuda(device))

    def _moved(self, values: Tensor) -> SparseTensor:
        if values is self._elements:
            return self
        return SparseTensor(self._places.to(values.device), values, self._size, self._coalesced, self._csr)

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    # --- operations ---

    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        a, b = (wrap_dim(d, len(self._size)) for d in (dim0, dim1))
        if max(a, b) >= self.sparse_dim():
            raise RuntimeError(f"transpose of a sparse tensor: {dim0} and {dim1} must be sparse dimensions")
        order = list(range(len(self._size)))
        order[a], order[b] = b, a
        places = self._places[gradcu.tensor(order[: self.sparse_dim()], device=self.device)]
        made = SparseTensor(places, self._elements, [self._size[d] for d in order], self._coalesced and a == b)
        if self._made_pattern is not None and a != b:
            made._made_pattern = self._made_pattern.transposed
        return made

    def t(self) -> SparseTensor:
        if len(self._size) > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(self._size)}D")
        return self if len(self._size) < 2 else self.transpose(0, 1)

    T = property(t)
    mT = property(t)

    def matmul(self, other: Tensor) -> Tensor:
        return matmul(self, other)

    def mm(self, mat2: Tensor) -> Tensor:
        return matmul(self, mat2)

    def mv(self, vec: Tensor) -> Tensor:
        return matmul(self, vec)

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other) if isinstance(other, Tensor) else NotImplemented

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self) if isinstance(other, Tensor) else NotImplemented

    def mul(self, other: Any) -> SparseTensor:
        """The product with a number, a 0-d tensor, or, element by element, a dense tensor of the same shape."""
        if isinstance(other, SparseTensor):
            raise NotStrided("the product of two sparse tensors, element by element: call to_dense() on one of them")
        if isinstance(other, Tensor) and other.dim():
            other = other.expand(self._size)[tuple(self._places)]
        return self._with(self._elements * other)

    __mul__ = __rmul__ = mul

    def div(self, other: Any, *, rounding_mode: str | None = None) -> SparseTensor:
        """The quotient by a number or a 0-d tensor."""
        if isinstance(other, Tensor) and other.dim():
            raise NotStrided("the quotient of a sparse tensor by a tensor that has dimensions: call to_dense()")
        return self._with(self._elements.div(other, rounding_mode=rounding_mode))

    __truediv__ = div

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """The sum with another sparse tensor, which is sparse, or with a dense one, which is dense."""
        if type(other) in backends.namespaces:  # another gradient
            return self.to_dense()._array + other
        if not isinstance(other, Tensor):
            raise NotStrided("the sum of a sparse tensor and a number is not sparse: call to_dense()")
        if not isinstance(other, SparseTensor):
            return self.to_dense() + alpha * other
        if self._size != other._size:
            raise RuntimeError(f"add: expected sizes of 'self' and 'other' to match, but {self._size} != {other._size}")
        places = gradcu.cat([self._places, other._places], 1)
        values = gradcu.cat([self._elements, alpha * other._elements])
        return SparseTensor(places, values, self._size).coalesce()

    def __add__(self, other: Any) -> Tensor:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Tensor:
        return self.add(other, alpha=-1)

    def __rsub__(self, other: Any) -> Tensor:
        return (-self).add(other)

    def neg(self) -> SparseTensor:
        return self._with(-self._elements)

    __neg__ = neg

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: dtypes.dtype | None = None) -> Tensor:
        """The sum of all elements, or over dimensions, which is sparse if sparse dimensions are left."""
        from .functions import sum

        if keepdim:
            raise NotStrided("sum(keepdim=True) of a sparse tensor: call to_dense() on it first")
        return sum(self, dim, dtype)

    def __repr__(self, *, tensor_contents: object = None) -> str:  # type: ignore[override]
        parts = {"indices": self._places}
        if self._csr:
            parts = {"crow_indices": self.crow_indices(), "col_indices": self.col_indices()}
        grad_fn = self.grad_fn
        return format_sparse(
            {name: t.detach().cpu().numpy() for name, t in {**parts, "values": self._elements}.items()},
            size=self._size,
            dtype=self.dtype.name,
            default_dtype=dtypes.get_default_dtype().name,
            layout=repr(self.layout),
            device=None if self.device.type == "cpu" else f"{self.device.type}:{self.device.index or 0}",
            requires_grad=self.requires_grad and grad_fn is None,
            grad_fn=None if grad_fn is None else "SparseCooTensorWithDimsAndTensorsBackward0",
        )


def _of_values(name: str, coalesce: bool) -> Any:
    """The method of Tensor applied to the values, of a coalesced tensor if sums of values have other results."""

    def method(self: SparseTensor, *args: Any) -> SparseTensor:
        held = self.coalesce() if coalesce else self
        return held._with(getattr(held._elements, name)(*args))

    method.__name__ = name
    return method


# Other methods of Tensor ask for `_array`, which refuses.
for _name in "float double half bfloat16".split():
    setattr(SparseTensor, _name, _of_values(_name, False))
for _name in "abs sqrt sin tanh relu square".split():  # those that give 0 for 0
    setattr(SparseTensor, _name, _of_values(_name, True))


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product of two matrices, or of a matrix and a vector, of which one is sparse.

    Raises RuntimeError for shapes that do not fit and for different dtypes, NotImplementedError for two sparse ones.
    """
    if not isinstance(a, SparseTensor):
        assert isinstance(b, SparseTensor)
        if a.dim() == 1:
            return matmul(b.t(), a)
        return matmul(b.t(), a.t()).t()
    if isinstance(b, SparseTensor):
        raise NotStrided("the product of two sparse matrices: call to_dense() on one of them")
    if b.dim() == 1:
        return matmul(a, b.unsqueeze(-1)).squeeze(-1)
    pattern = a._pattern
    if b.dim() != 2:
        raise RuntimeError(f"addmm: Argument #3 (dense): Expected a matrix, got {b.dim()}-D tensor")
    if pattern.shape[1] != b.shape[0]:
        raise RuntimeError(f"addmm: Argument #3 (dense): Expected dim 0 size {pattern.shape[1]}, got {b.shape[0]}")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"addmm: expected scalar type {a.dtype.type_name} but found {b.dtype.type_name}: convert one of them"
        )
    if a.device != b.device:
        raise RuntimeError(f"addmm: expected all tensors to be on the same device, but found {a.device} and {b.device}")
    return spmm(a._elements, b, pattern)

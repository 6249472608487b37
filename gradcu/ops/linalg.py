"""Products of matrices and vectors; `contract` has those over more dimensions, `decompose` the factorisations."""

from __future__ import annotations

import math
from typing import Any

from ..graph.errors import broadcast_error
from ..graph.modes import state
from ..tensor import Tensor
from .arithmetic import mul
from .expose import expose
from .out import write_out
from .products import (
    addbmm_,
    addmm_,
    addmv_,
    addr_,
    baddbmm_,
    bmm_,
    dot_,
    linear_,
    linear_without_bias,
    matmul_,
    mm_,
    mv_,
    vdot_,
)
from .shape import matrix_transpose, reshape_, squeeze_

# --- errors ---


def type_name(t: Tensor) -> str:
    """The dtype as PyTorch's messages write it: Float, Long, ..."""
    return t.dtype.type_name


def not_tensor(name: str, **given: Any) -> TypeError:
    """The error for the first of the arguments that is no tensor."""
    for position, (argument, t) in enumerate(given.items(), 1):
        if not isinstance(t, Tensor):
            return TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(t).__name__}"
            )
    return TypeError(f"{name}() takes tensors")


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _no_bool(t: Tensor, kernel: str) -> None:
    if t._array.dtype.kind == "b":
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def _check_mm(x: Tensor, y: Tensor) -> None:
    """Two operands of `matmul`, the right one a matrix, fit."""
    a, b = x._array, y._array
    if a.dtype != b.dtype and not state.autocast:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {x.dtype.c_name} != {y.dtype.c_name}")
    if a.shape[-1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({math.prod(a.shape[:-1])}x{a.shape[-1]} and {_by(b.shape)})"
        )
    _no_bool(x, "addmm_impl_cpu_")


def _check_bmm(x: Tensor, y: Tensor, batch: tuple[int, ...]) -> None:
    a, b = x._array, y._array
    mismatch = None if a.shape[:-2] == b.shape[:-2] else broadcast_error([a.shape[:-2], b.shape[:-2]])
    if mismatch is not None:
        raise mismatch
    if a.shape[-1] != b.shape[-2]:
        n = math.prod(batch)
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {a.shape[-1]}] but got: "
            f"[{n}, {b.shape[-2]}]."
        )
    if a.dtype != b.dtype and not state.autocast:
        raise RuntimeError(f"expected scalar type {type_name(x)} but found {type_name(y)}")
    _no_bool(x, "bmm")


def _check_mv(x: Tensor, y: Tensor, first: Tensor | None = None) -> None:
    a, b, first = x._array, y._array, y if first is None else first
    if a.shape[-1] != b.shape[0]:
        rows = math.prod(a.shape[:-1])
        raise RuntimeError(f"size mismatch, got input ({rows}), mat ({rows}x{a.shape[-1]}), vec ({b.shape[0]})")
    if a.dtype != b.dtype or first._array.dtype != b.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {type_name(first)}, {type_name(x)}, and "
            f"{type_name(y)}"
        )
    _no_bool(x, "addmv_impl_cpu")


def _check_dot(x: Tensor, y: Tensor) -> None:
    a, b = x._array, y._array
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {type_name(x)} and {type_name(y)}"
        )
    if a.size != b.size:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.size}] and src [{b.size}] to have the same number of "
            f"elements, but got {a.size} and {b.size} elements respectively"
        )
    _no_bool(x, "dot")


def _check_expands(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """The tensor that is added broadcasts to the shape of the product."""
    own = x._array.shape
    if len(own) > len(shape):
        raise RuntimeError(
            f"{name}: the number of sizes provided ({len(shape)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({len(own)}): {list(own)} does not expand to {list(shape)}"
        )
    lead = len(shape) - len(own)
    for i, n in enumerate(own):
        if n not in (1, shape[lead + i]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[lead + i]}) must match the existing size ({n}) at "
                f"non-singleton dimension {lead + i}.  Target sizes: {list(shape)}.  Tensor sizes: {list(own)}"
            )


# --- products ---


def _of_sparse(name: str, out: Tensor | None, **operands: Any) -> Tensor:
    """The product where a matrix is sparse and has no array. Raises TypeError where an operand is no tensor."""
    scales = {n: operands.pop(n) for n in ("beta", "alpha") if n in operands}
    if not all(isinstance(t, Tensor) for t in operands.values()):
        raise not_tensor(name, **operands)
    from .. import sparse

    product = sparse.addmm if name == "addmm" else sparse.mm
    result = product(*operands.values(), **scales)
    return result if out is None else write_out(result, out, name, rule="same")


@expose("linalg.matmul")
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices, of a matrix and a vector, or of two vectors; leading dimensions are a batch.

    Shapes (..., n, k) and (..., k, m) give (..., n, m), the batches broadcast; a vector is a row on the left and a
    column on the right. Both have one dtype. Raises RuntimeError for shapes that do not fit, 0-d tensors and different
    dtypes.

    >>> matmul(ones(2, 3), ones(3))
    tensor([3., 3.])
    """
    try:
        a, b = input._array, other._array
    except AttributeError:
        return _of_sparse("matmul", out, input=input, other=other)
    m, n = a.ndim, b.ndim
    if n == 2 and m >= 2:
        dtype = a.dtype
        if dtype is not b.dtype or dtype.kind == "b":
            _check_mm(input, other)
        try:
            result = (mm_ if m == 2 else matmul_).record((input, other))
        except RuntimeError:
            _check_mm(input, other)  # in PyTorch's words
            raise
    elif m >= 2 and n > 2:
        if a.dtype is not b.dtype or a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2] or a.dtype.kind == "b":
            _check_bmm(input, other, a.shape[:-2] if m >= n else b.shape[:-2])
        result = bmm_.record((input, other))
    elif m == 0 or n == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D")
    elif n == 1:
        if a.dtype is not b.dtype or a.shape[-1] != b.shape[0] or a.dtype.kind == "b":
            (_check_dot if m == 1 else _check_mv)(input, other)
        result = (dot_ if m == 1 else mv_).record((input, other))
    else:
        row = reshape_.record((input,), ((1, a.shape[0]),))
        result = squeeze_.record((matmul(row, other),), ((-2,),))
    return result if out is None else write_out(result, out, "matmul", rule="same")


@expose()
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices, (n, k) and (k, m). Raises RuntimeError if they are none, or do not fit."""
    try:
        a, b = input._array, mat2._array
    except AttributeError:
        return _of_sparse("mm", out, input=input, mat2=mat2)
    if a.ndim != 2 or b.ndim != 2:
        raise RuntimeError(f"{'self' if a.ndim != 2 else 'mat2'} must be a matrix")
    _check_mm(input, mat2)
    result = mm_.record((input, mat2))
    return result if out is None else write_out(result, out, "mm", rule="same")


def _check_batches(name: str, x: Tensor, y: Tensor) -> None:
    for t, which in ((x, "batch1"), (y, "batch2")):
        if t._array.ndim != 3:
            raise RuntimeError(f"{which} must be a 3D tensor")
    a, b = x._array, y._array
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: "
            f"[{b.shape[0]}, {b.shape[1]}]."
        )
    if a.dtype != b.dtype and not state.autocast:
        raise RuntimeError(f"expected scalar type {type_name(x)} but found {type_name(y)}")
    _no_bool(x, name)


@expose()
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of matrices, pair by pair: (b, n, k) and (b, k, m) give (b, n, m). Nothing is broadcast."""
    if not isinstance(input, Tensor) or not isinstance(mat2, Tensor):
        raise not_tensor("bmm", input=input, mat2=mat2)
    _check_batches("bmm", input, mat2)
    result = bmm_.record((input, mat2))
    return result if out is None else write_out(result, out, "bmm", rule="same")


@expose(out="same")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (n, k) and a vector (k)."""
    if not isinstance(input, Tensor) or not isinstance(vec, Tensor):
        raise not_tensor("mv", input=input, vec=vec)
    if input._array.ndim != 2 or vec._array.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input._array.ndim}, {vec._array.ndim}")
    _check_mv(input, vec)
    return mv_.record((input, vec))


@expose(out="same")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' elements."""
    if not isinstance(input, Tensor) or not isinstance(tensor, Tensor):
        raise not_tensor("dot", input=input, tensor=tensor)
    _check_dot(input, tensor)
    return dot_.record((input, tensor))


@expose(out="same")
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """`dot` with the first vector conjugated."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise not_tensor("vdot", input=input, other=other)
    _check_dot(input, other)
    return (vdot_ if input.is_complex() else dot_).record((input, other))


@expose(out="same")
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions: (..., k) and (***, k) give (..., ***). 0-d tensors multiply."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise not_tensor("inner", input=input, other=other)
    a, b = input._array, other._array
    if a.dtype != b.dtype:
        raise RuntimeError("both inputs should have same dtype")
    if not a.ndim or not b.ndim:
        return mul(input, other)
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(a.shape)} and {list(b.shape)}"
        )
    if a.ndim == b.ndim == 1:
        return dot_.record((input, other))
    _no_bool(input, "addmm_impl_cpu_")
    left, right = (
        t if t._array.ndim == 2 else reshape_.record((t,), ((math.prod(t._array.shape[:-1]), a.shape[-1]),))
        for t in (input, other)
    )
    product = mm_.record((left, matrix_transpose.record((right,))))
    return reshape_.record((product,), (a.shape[:-1] + b.shape[:-1],))


@expose("ger", out=True)
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of all pairs of elements of two vectors, (n) and (m): (n, m)."""
    if not isinstance(input, Tensor) or not isinstance(vec2, Tensor):
        raise not_tensor("outer", input=input, vec2=vec2)
    for t, which in ((input, "self"), (vec2, "vec2")):
        if t._array.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {which}, but got {t._array.ndim}-D")
    return mul(reshape_.record((input,), ((input._array.shape[0], 1),)), vec2)


def _matmul(self: Tensor, other: Any) -> Any:
    if isinstance(other, Tensor):
        return matmul(self, other)
    return NotImplemented


def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__, Tensor.__rmatmul__ = _matmul, _rmatmul  # type: ignore[method-assign, assignment]


# --- a tensor plus a product ---


def _check_types(x: Tensor, y: Tensor, z: Tensor) -> None:
    if state.autocast:  # which makes them one
        return
    if y._array.dtype != z._array.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {type_name(y)} and {type_name(z)}")
    if x._array.dtype != z._array.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {type_name(x)} and {type_name(z)}")


@expose(inplace=True)
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)`; `input` broadcasts to the product and is not looked at if beta is 0."""
    try:
        x, a, b = input._array, mat1._array, mat2._array
    except AttributeError:
        return _of_sparse("addmm", out, input=input, mat1=mat1, mat2=mat2, beta=beta, alpha=alpha)
    for t, which in ((a, "mat1"), (b, "mat2")):
        if t.ndim != 2:
            raise RuntimeError(f"{which} must be a matrix, got {t.ndim}-D tensor")
    if a.dtype is not b.dtype or x.dtype is not b.dtype or a.shape[1] != b.shape[0] or a.dtype.kind == "b":
        if a.shape[1] == b.shape[0]:
            _check_types(input, mat1, mat2)
        _check_mm(mat1, mat2)
    if x.shape != b.shape[1:]:
        _check_expands("addmm", input, (a.shape[0], b.shape[1]))
    result = addmm_.record((input, mat1, mat2), (beta, alpha))
    return result if out is None else write_out(result, out, "addmm", rule="same")


@expose(inplace=True, out=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat @ vec)`."""
    if not (isinstance(input, Tensor) and isinstance(mat, Tensor) and isinstance(vec, Tensor)):
        raise not_tensor("addmv", input=input, mat=mat, vec=vec)
    shape = mat._array.shape
    if len(shape) != 2 or vec._array.ndim != 1 or input._array.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input._array.ndim}, {len(shape)}, {vec._array.ndim}"
        )
    _check_mv(mat, vec, input)
    if input._array.size not in (1, shape[0]):
        raise RuntimeError(
            f"size mismatch, got input ({input._array.size}), mat ({_by(shape)}), vec ({vec._array.shape[0]})"
        )
    return addmv_.record((input, mat, vec), (beta, alpha))


@expose(inplace=True, out=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`, promoted."""
    if not (isinstance(input, Tensor) and isinstance(vec1, Tensor) and isinstance(vec2, Tensor)):
        raise not_tensor("addr", input=input, vec1=vec1, vec2=vec2)
    for t, which in ((vec1, "vec1"), (vec2, "vec2")):
        if t._array.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {which}, but got {t._array.ndim}-D")
    common = max((input, vec1, vec2), key=lambda t: (t.dtype.category, t.dtype.itemsize)).dtype
    for number, which in ((beta, "beta"), (alpha, "alpha")):
        if isinstance(number, float) and common.category < 2:
            raise RuntimeError(f"For integral input tensors, argument {which} must not be a floating point number.")
        if isinstance(number, bool) and common.category:
            raise RuntimeError(f"Boolean {which} only supported for Boolean results.")
    _check_expands("addr", input, (vec1._array.shape[0], vec2._array.shape[0]))
    given: list[Any] = [input, vec1, vec2]
    return addr_.record([t.to(common) for t in given], (beta, alpha))


@expose(inplace=True)
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`beta * input + alpha * bmm(batch1, batch2)`."""
    if not (isinstance(input, Tensor) and isinstance(batch1, Tensor) and isinstance(batch2, Tensor)):
        raise not_tensor("baddbmm", input=input, batch1=batch1, batch2=batch2)
    _check_batches("baddbmm", batch1, batch2)
    if input._array.dtype != batch1._array.dtype and not state.autocast:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {input.dtype.c_name}, batch1: {batch1.dtype.c_name}, "
            f"batch2: {batch2.dtype.c_name}"
        )
    _check_expands("baddbmm", input, batch1._array.shape[:2] + batch2._array.shape[2:])
    result = baddbmm_.record((input, batch1, batch2), (beta, alpha))
    return result if out is None else write_out(result, out, "baddbmm", rule="same")


@expose(inplace=True, out=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * bmm(batch1, batch2).sum(0)`."""
    if not (isinstance(input, Tensor) and isinstance(batch1, Tensor) and isinstance(batch2, Tensor)):
        raise not_tensor("addbmm", input=input, batch1=batch1, batch2=batch2)
    a, b = batch1._array, batch2._array
    for t, which in ((a, "batch1"), (b, "batch2")):
        if t.ndim != 3:
            raise RuntimeError(f"{which} must be a 3D tensor")
    if a.shape[0] != b.shape[0]:
        raise RuntimeError(f"batch1 and batch2 must have same number of batches, got {a.shape[0]} and {b.shape[0]}")
    if a.shape[2] != b.shape[1]:
        raise RuntimeError(f"Incompatible matrix sizes for bmm ({_by(a.shape[1:])} and {_by(b.shape[1:])})")
    if not input._array.dtype == a.dtype == b.dtype and not state.autocast:
        wrong = batch2 if b.dtype != input._array.dtype else batch1
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {type_name(input)} and {type_name(wrong)}")
    _no_bool(input, "addbmm")
    _check_expands("addbmm", input, (a.shape[1], b.shape[2]))
    return addbmm_.record((input, batch1, batch2), (beta, alpha))


@expose(function=False, method=False, into="nn.functional")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`: (..., k) with weights (m, k), or (k), gives (..., m), or (...)."""
    try:
        a, w = input._array, weight._array
        b = None if bias is None else bias._array
    except AttributeError:
        raise not_tensor("linear", input=input, weight=weight, bias=bias) from None
    if a.ndim and w.ndim == 2:
        if a.shape[-1] != w.shape[1]:
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({math.prod(a.shape[:-1])}x{a.shape[-1]} and "
                f"{w.shape[1]}x{w.shape[0]})"
            )
        if a.dtype is not w.dtype or a.dtype.kind == "b":
            _check_mm(input, matrix_transpose.record((weight,)))
        if b is not None:
            if b.dtype is not w.dtype:
                _check_types(bias, input, weight)  # type: ignore[arg-type]
            if b.shape != w.shape[:1]:
                _check_expands("linear", bias, a.shape[:-1] + w.shape[:1])  # type: ignore[arg-type]
            return linear_.record((bias, input, weight))
        return linear_without_bias.record((input, weight))
    if not a.ndim or not w.ndim:
        raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {a.ndim}D and {w.ndim}D")
    if w.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {w.ndim}D")
    if bias is not None:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
    return matmul(input, weight)

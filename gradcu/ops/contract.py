"""Sums of products over named dimensions: einsum and its special cases. All of them end in products of matrices."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from ..graph.op import Primitive
from ..tensor import Tensor, wrap_dim
from .arithmetic import mul, multiply
from .expose import expose
from .linalg import not_tensor, type_name
from .products import bmm_, mm_
from .reduce import sum_
from .shape import permute_dims, reshape_, unbroadcast

# --- the diagonal ---

take_diagonal = Primitive(
    "take_diagonal",
    lambda xp, x: xp.diagonal(x, 0, -2, -1),
    {"x": lambda xp, g, x_shape: xp.put_diagonal(g, x_shape)},
    kind="linear",
    node="DiagonalBackward0",
    samples=lambda make: [(make(3, 3),), (make(2, 3),), (make(2, 3, 2),), (make(0, 2),)],
)


def _put_diagonal(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    out = xp.zeros(shape, dtype=x.dtype)
    i = xp.arange(x.shape[-1])
    out[..., i, i] = x
    return out


put_diagonal = Primitive(
    "put_diagonal",
    _put_diagonal,
    {"x": lambda xp, g: xp.take_diagonal(g)},
    kind="linear",
    node="DiagEmbedBackward0",
    samples=lambda make: [(make(3), (3, 3)), (make(2), (2, 3)), (make(2, 2), (2, 3, 2)), (make(0), (0, 2))],
)


# --- einsum ---

Labels = tuple[int, ...]

# Dimensions are named by numbers: 0 to 51 for the letters, higher ones for those that an ellipsis stands for.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NUMBERS = {letter: i for i, letter in enumerate(_LETTERS)}
_ELLIPSIS = -1


def _name(label: int) -> str:
    return _LETTERS[label] if label < len(_LETTERS) else "..."


def _parse_side(text: str, where: str) -> Labels:
    """The labels of one operand, or of the result; an ellipsis is -1."""
    labels: list[int] = []
    i = 0
    while i < len(text):
        c = text[i]
        if c in _NUMBERS:
            labels.append(_NUMBERS[c])
        elif c == ".":
            if text[i : i + 3] != "..." or _ELLIPSIS in labels:
                raise RuntimeError(f"einsum(): found '.' for {where} that is not part of any ellipsis")
            labels.append(_ELLIPSIS)
            i += 2
        elif c != " ":
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {i} in the equation string, subscripts must be in [a-zA-Z]"
            )
        i += 1
    return tuple(labels)


def _parse(equation: str) -> tuple[tuple[Labels, ...], Labels | None]:
    left, arrow, right = equation.partition("->")
    sides = tuple(_parse_side(part, f"operand {i}") for i, part in enumerate(left.split(",")))
    return sides, _parse_side(right, "the output") if arrow else None


def _labels(
    equation: str | tuple[tuple[Labels, ...], Labels | None], ndims: tuple[int, ...]
) -> tuple[tuple[Labels, ...], Labels]:
    """The labels of each operand's dimensions and of the result's.

    Raises RuntimeError where the equation does not fit the number of operands or of their dimensions.
    """
    sides, out = _parse(equation) if isinstance(equation, str) else equation
    if len(sides) != len(ndims):
        more = "fewer" if len(ndims) < len(sides) else "more"
        raise RuntimeError(f"einsum(): {more} operands were provided than specified in the equation")
    hidden = 0
    for i, (side, ndim) in enumerate(zip(sides, ndims)):
        named = len(side) - (_ELLIPSIS in side)
        if named > ndim or (_ELLIPSIS not in side and named != ndim):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) "
                + (
                    f"is more than the number of dimensions ({ndim}) for operand {i}"
                    if _ELLIPSIS in side
                    else f"does not match the number of dimensions ({ndim}) for operand {i} and no ellipsis was given"
                )
            )
        hidden = max(hidden, ndim - named)
    first = len(_LETTERS)

    def expanded(side: Labels, count: int) -> Labels:
        if _ELLIPSIS not in side:
            return side
        at = side.index(_ELLIPSIS)
        return side[:at] + tuple(range(first + hidden - count, first + hidden)) + side[at + 1 :]

    full = tuple(expanded(side, ndim - len(side) + 1) for side, ndim in zip(sides, ndims))
    flat = [label for side in full for label in side]
    if out is None:
        return full, (*range(first, first + hidden), *sorted(n for n in set(flat) if n < first and flat.count(n) == 1))
    for label in out:
        if label != _ELLIPSIS and label not in flat:
            raise RuntimeError(
                f"einsum(): output subscript {_name(label)} does not appear in the equation for any input operand"
            )
        if out.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {_name(label)} appears more than once in the output")
    return full, expanded(out, hidden)


class _Plan:
    """The operations of one einsum: (primitive, numbers of its operands, attributes), each giving the next number."""

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.shapes = list(shapes)
        self.steps: list[tuple[Primitive, tuple[int, ...], tuple]] = []

    def add(self, primitive: Primitive, operands: tuple[int, ...], attributes: tuple, shape: tuple[int, ...]) -> int:
        self.steps.append((primitive, operands, attributes))
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def reshaped(self, x: int, shape: tuple[int, ...]) -> int:
        return x if self.shapes[x] == shape else self.add(reshape_, (x,), (shape,), shape)

    def ordered(self, x: int, labels: Labels, order: Labels) -> int:
        if labels == order:
            return x
        axes = tuple(labels.index(n) for n in order)
        return self.add(permute_dims, (x,), (axes,), tuple(self.shapes[x][i] for i in axes))

    def summed(self, x: int, labels: Labels, wanted: Any) -> tuple[int, Labels]:
        """Summed over the labels that are not wanted."""
        axes = tuple(i for i, n in enumerate(labels) if n not in wanted)
        if not axes:
            return x, labels
        shape = tuple(n for i, n in enumerate(self.shapes[x]) if i not in axes)
        return self.add(sum_, (x,), (axes, False), shape), tuple(n for n in labels if n in wanted)

    def diagonal(self, x: int, labels: Labels) -> tuple[int, Labels]:
        """With each label once."""
        while len(set(labels)) < len(labels):
            twice = next(n for n in labels if labels.count(n) > 1)
            i = labels.index(twice)
            j = labels.index(twice, i + 1)
            rest = tuple(k for k in range(len(labels)) if k not in (i, j))
            shape = tuple(self.shapes[x][k] for k in (*rest, i, j))
            x = self.add(permute_dims, (x,), ((*rest, i, j),), shape)
            x = self.add(take_diagonal, (x,), (), shape[:-1])
            labels = (*(labels[k] for k in rest), twice)
        return x, labels

    def matrices(self, x: int, batch: int, rows: int) -> int:
        """The dimensions after the batch made into two, of which the first holds `rows` of them."""
        shape = self.shapes[x]
        middle = batch + rows
        return self.reshaped(x, (*shape[:batch], math.prod(shape[batch:middle]), math.prod(shape[middle:])))

    def pair(
        self, x: int, x_labels: Labels, y: int, y_labels: Labels, wanted: set[int], out: Labels
    ) -> tuple[int, Labels]:
        """The product of two operands, summed over what only they have.

        Both are arranged as matrices, (batch, left, contracted) and (batch, contracted, right), by transposing views;
        memory is copied only where several labels that do not lie together have to become one dimension.
        """
        x, x_labels = self.summed(x, x_labels, wanted.union(y_labels))
        y, y_labels = self.summed(y, y_labels, wanted.union(x_labels))
        place = {n: i for i, n in enumerate(out)}
        if y_labels and x_labels and place.get(x_labels[-1], 0) > place.get(y_labels[-1], 0):
            x, x_labels, y, y_labels = y, y_labels, x, x_labels  # the later labels of the result on the right
        sizes = dict(zip(x_labels + y_labels, self.shapes[x] + self.shapes[y]))
        shared = [n for n in x_labels if n in y_labels]
        batch = tuple(n for n in shared if n in wanted)
        contracted = tuple(n for n in shared if n not in wanted)
        left = tuple(n for n in x_labels if n not in shared)
        right = tuple(n for n in y_labels if n not in shared)
        labels = batch + left + right
        shape = tuple(sizes[n] for n in labels)
        if not contracted:
            x = self.ordered(x, x_labels, batch + left)
            y = self.ordered(y, y_labels, batch + right)
            x = self.reshaped(x, self.shapes[x] + (1,) * len(right))
            own = self.shapes[y]
            y = self.reshaped(y, own[: len(batch)] + (1,) * len(left) + own[len(batch) :])
            return self.add(multiply, (x, y), (), shape), labels
        x = self.matrices(self.ordered(x, x_labels, batch + left + contracted), len(batch), len(left))
        y = self.matrices(self.ordered(y, y_labels, batch + contracted + right), len(batch), len(contracted))
        made = (*shape[: len(batch)], self.shapes[x][-2], self.shapes[y][-1])
        return self.reshaped(self.add(bmm_ if batch else mm_, (x, y), (), made), shape), labels


@functools.lru_cache(1024)
def _plan(equation: Any, shapes: tuple[tuple[int, ...], ...]) -> _Plan:
    """What einsum does for operands of these shapes. Raises RuntimeError if the equation does not fit them."""
    sides, out = _labels(equation, tuple(map(len, shapes)))
    sizes: dict[int, int] = {}
    for i, (shape, side) in enumerate(zip(shapes, sides)):
        seen: dict[int, int] = {}
        for label, n in zip(side, shape):
            if seen.setdefault(label, n) != n:
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} is repeated for operand {i} but the sizes don't match, "
                    f"{n} != {seen[label]}"
                )
            known = sizes.setdefault(label, n)
            if known == 1:
                sizes[label] = n
            elif n not in (1, known):
                raise RuntimeError(
                    f"einsum(): subscript {_name(label)} has size {n} for operand {i} which does not broadcast with "
                    f"previously seen size {known}"
                )
    plan = _Plan(shapes)
    terms = []
    for i, side in enumerate(sides):
        x, labels = plan.diagonal(i, side)
        kept = tuple(k for k, n in enumerate(plan.shapes[x]) if n != 1)
        terms.append((plan.reshaped(x, tuple(plan.shapes[x][k] for k in kept)), tuple(labels[k] for k in kept)))
    while len(terms) > 1:
        i, j = _cheapest([labels for _, labels in terms], out, sizes) if len(terms) > 2 else (0, 1)
        (x, x_labels), (y, y_labels) = terms[i], terms[j]
        terms = [t for k, t in enumerate(terms) if k not in (i, j)]
        wanted = {n for _, labels in terms for n in labels}.union(out)
        terms.append(plan.pair(x, x_labels, y, y_labels, wanted, out))
    x, labels = plan.summed(*terms[0], out)
    x = plan.ordered(x, labels, tuple(n for n in out if n in labels))
    plan.reshaped(x, tuple(sizes[n] for n in out))  # again with the dimensions of length one
    return plan


def _cheapest(terms: Sequence[Labels], out: Labels, sizes: dict[int, int]) -> tuple[int, int]:
    """The two operands whose product grows memory least."""
    best, found = math.inf, (0, 1)
    for j in range(1, len(terms)):
        for i in range(j):
            wanted = {n for k, labels in enumerate(terms) if k not in (i, j) for n in labels}.union(out)
            made = math.prod(sizes[n] for n in {*terms[i], *terms[j]} if n in wanted)
            cost = made - math.prod(sizes[n] for n in terms[i]) - math.prod(sizes[n] for n in terms[j])
            if cost < best:
                best, found = cost, (i, j)
    return found


@expose(method=False)
def einsum(equation: Any, *operands: Any) -> Tensor:
    """The sum of products of the operands' elements, with dimensions named by letters.

    Dimensions that the part after `->` does not name are summed over; without it the result has those that are named
    once, in alphabetical order. `...` stands for dimensions that broadcast. Lists of numbers may name dimensions too:
    `einsum(x, [0, 1], y, [1, 2], [0, 2])`. Operands are contracted two by two, those that leave the least first.
    Raises RuntimeError if the equation does not fit the operands.

    >>> einsum("ij,j->i", eye(2), tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    if isinstance(equation, str):
        values = list(operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands)
    elif isinstance(equation, Tensor):
        values, equation = _numbered((equation, *operands))
    else:
        raise TypeError(f"einsum(): argument 'equation' (position 1) must be str, not {type(equation).__name__}")
    if not values:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its "
            "subscripts list"
        )
    try:
        plan = _plan(equation, tuple([t._array.shape for t in values]))
    except AttributeError:
        raise not_tensor("einsum", **{f"operands[{i}]": t for i, t in enumerate(values)}) from None
    if len(values) > 1:
        dtype = values[0]._array.dtype
        for t in values:
            if t._array.dtype is not dtype and t._array.dtype != dtype:
                raise RuntimeError(f"expected scalar type {type_name(values[0])} but found {type_name(t)}")
        if dtype.kind == "b":
            raise NotImplementedError("\"bmm\" not implemented for 'Bool'")
    for primitive, slots, attributes in plan.steps:
        values.append(primitive.record([values[i] for i in slots], attributes))
    return values[-1] if plan.steps else values[0].view_as(values[0])


def _numbered(flat: tuple) -> tuple[list[Any], Any]:
    """Operands and equation of `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""
    sides = [tuple(_ELLIPSIS if n is Ellipsis else n for n in labels) for labels in flat[1::2]]
    last = tuple(_ELLIPSIS if n is Ellipsis else n for n in flat[-1]) if len(flat) % 2 else None
    for n in (n for side in (*sides, last or ()) for n in side):
        if not _ELLIPSIS <= n < len(_LETTERS):
            raise RuntimeError(f"einsum(): subscripts must be within the range [0, 52), but got {n}")
    return list(flat[: 2 * len(sides) : 2]), (tuple(sides), last)


@expose(method=False, out="same")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over the last `dims` dimensions of `a` and the first of `b`, or over two lists of dimensions.

    Raises RuntimeError if the lengths of contracted dimensions differ.
    """
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        raise not_tensor("tensordot", a=a, b=b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    m, n = a._array.ndim, b._array.ndim
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(m, n):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        over_a, over_b = list(range(-dims, 0)), list(range(dims))
    else:
        over_a, over_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(over_a) != len(over_b):
        raise RuntimeError("both dimension lists should have same length")
    if a._array.dtype != b._array.dtype:
        raise RuntimeError("both inputs should have same dtype")
    for i, j in zip(over_a, over_b):
        p, q = a._array.shape[wrap_dim(i, m)], b._array.shape[wrap_dim(j, n)]
        if p != q and 1 not in (p, q):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {p} in dim {i} and second has size {q} in "
                f"dim {j}"
            )
    labels_a = list(range(m))
    labels_b = [m + i for i in range(n)]
    for i, j in zip(over_a, over_b):
        labels_b[wrap_dim(j, n)] = wrap_dim(i, m)
    out = [k for k in labels_a if k not in labels_b] + [k for k in labels_b if k >= m]
    return einsum(a, labels_a, b, labels_b, out)


@expose(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times all of `other`, in blocks; dimensions align at the last."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise not_tensor("kron", input=input, other=other)
    ndim = max(input._array.ndim, other._array.ndim)
    a, b = ((1,) * (ndim - t._array.ndim) + t._array.shape for t in (input, other))
    x = reshape_.record((input,), (tuple(n for pair in zip(a, (1,) * ndim) for n in pair),))
    y = reshape_.record((other,), (tuple(n for pair in zip((1,) * ndim, b) for n in pair),))
    return reshape_.record((mul(x, y),), (tuple(m * n for m, n in zip(a, b)),))


@expose(method=False, into="nn.functional")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input1 @ weight[k] @ input2 + bias[k]` for each k: (..., i), (..., j) and weights (o, i, j) give (..., o)."""
    for t, argument in ((input1, "input1"), (input2, "input2"), (weight, "weight")):
        if not isinstance(t, Tensor):
            raise not_tensor("bilinear", **{argument: t})
    a, b, w = input1._array.shape, input2._array.shape, weight._array.shape
    if len(a) != len(b):
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {len(a)} and {len(b)}")
    for i, (m, n) in enumerate(zip(a[:-1], b[:-1])):
        if m != n:
            raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {i}: got {m} and {n}")
    for which, n, expected in (("input1", a[-1], w[1]), ("input2", b[-1], w[2])):
        if n != expected:
            raise RuntimeError(f"bilinear(): {which} size does not match weight size: got {n} but expected {expected}")
    if bias is not None and bias._array.shape[0] != w[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias._array.shape[0]} but expected {w[0]}"
        )
    result: Any = einsum("...i,oij,...j->...o", input1, weight, input2)
    return result if bias is None else result + bias


# --- of vectors of three ---


def _cross_gradient(xp: Any, a: Any, b: Any, axis: int, shape: tuple[int, ...]) -> Any:
    return unbroadcast(xp, xp.cross(a, b, axis=axis), shape)


cross_ = Primitive(
    "cross",
    lambda xp, x, y, axis=-1: xp.cross(x, y, axis=axis),
    {
        "x": lambda xp, g, y, axis, x_shape: _cross_gradient(xp, y, g, axis, x_shape),
        "y": lambda xp, g, x, axis, y_shape: _cross_gradient(xp, g, x, axis, y_shape),
    },
    inputs=2,
    node="LinalgCrossBackward0",
    samples=lambda make: [(make(2, 3), make(2, 3), -1), (make(3, 2), make(3, 2), 0), (make(1, 3), make(4, 3), -1)],
)


@expose(out="same")
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along a dimension of length 3: the first such, unless named."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise not_tensor("cross", input=input, other=other)
    if dim is None:
        dim = next((i for i, n in enumerate(input._array.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return _cross(input, other, dim)


@expose(function=False, method=False, out="same", name="linalg.cross")
def _cross(input: Tensor, other: Tensor, dim: int = -1) -> Tensor:
    """The cross product along `dim`, which is 3 long; other dimensions broadcast."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise not_tensor("linalg_cross", input=input, other=other)
    a, b = input._array, other._array
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    axis = wrap_dim(dim, a.ndim)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[axis]} and {b.shape[axis]}"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected scalar type {type_name(input)} but found {type_name(other)}")
    return cross_.record((input, other), (axis,))


@expose(function=False, method=False, out=True, name="linalg.vecdot")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum over `dim` of conj(x) * y; other dimensions broadcast."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise not_tensor("linalg_vecdot", x=x, y=y)
    for t in (x, y):
        if not t._array.ndim or t.dtype.category < 2:
            raise RuntimeError(
                f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {type_name(t)}"
                if t._array.ndim
                else "linalg.vecdot: x and y must have at least 1 dimension"
            )
    if x._array.dtype != y._array.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{type_name(x)} and y of type {type_name(y)} instead"
        )
    left: Any = x
    product = mul(left.conj() if x.is_complex() else x, y)
    return sum_.record((product,), (wrap_dim(dim, product._array.ndim), False))


# --- the trace ---

trace_ = Primitive(
    "trace",
    lambda xp, x: xp.trace(x),
    {"x": lambda xp, g, x_shape: xp.put_diagonal(xp.broadcast_to(g, (min(x_shape),)), x_shape)},
    kind="linear",
    samples=lambda make: [(make(3, 3),), (make(2, 3),), (make(3, 0),)],
)


@expose()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal. Raises RuntimeError for other than two dimensions."""
    if not isinstance(input, Tensor):
        raise not_tensor("trace", input=input)
    if input._array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    if input._array.dtype.kind == "b":
        raise NotImplementedError("\"trace\" not implemented for 'Bool'")
    return trace_.record((input.long() if input.dtype.category == 1 else input,))

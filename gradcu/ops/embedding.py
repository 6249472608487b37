"""Embeddings: rows of a table by index, and sums of them."""

from __future__ import annotations

from typing import Any

from .. import backends
from ..graph.modes import no_grad
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .expose import expose, functions


def _indices(*values: Any) -> Tensor:
    return from_array(backends.host.array(values))


def _add_rows(xp: Any, x: Any, index: Any, rows: int, skip: int | None) -> Any:
    """A table in which each row of x is added to the row that `index` names; `skip` names one that stays zero."""
    table = xp.zeros((rows, *x.shape[index.ndim :]), dtype=x.dtype)
    xp.combine_at(table, index, x)
    if skip is not None:
        table[skip] = 0
    return table


def _take_rows(xp: Any, x: Any, index: Any, skip: int | None, sparse: bool) -> Any:
    return xp.take(x, index, axis=0)


def _sparse_rows(g: Any, index: Any, size: tuple[int, ...], skip: int | None) -> Tensor:
    """What `add_rows` gives, as a sparse tensor; `g` and `index` are arrays, or tensors in a backward with a graph."""
    from ..sparse import SparseTensor

    g, index = (t if isinstance(t, Tensor) else from_array(t) for t in (g, index))
    rows, places = g.reshape(-1, size[1]), index.reshape(-1).long()
    if skip is not None:
        kept = places != skip
        rows, places = rows[kept], places[kept]
    return SparseTensor(places[None], rows, size)


take_rows = Primitive(
    "take_rows",
    _take_rows,
    {
        "x": lambda xp, g, x_shape, index, skip, sparse: (
            _sparse_rows(g, index, x_shape, skip) if sparse else xp.add_rows(g, index, x_shape[0], skip)
        )
    },
    inputs=2,
    node="EmbeddingBackward0",
    saved={"index": "indices"},
    samples=lambda make: [(make(4, 3), _indices([1, 3], [1, 0]), None, False)],
)
add_rows = Primitive(
    "add_rows",
    _add_rows,
    {"x": lambda xp, g, index, skip: xp.take_rows_but(g, index, skip)},
    inputs=2,
    node="EmbeddingDenseBackward0",
    samples=lambda make: [(make(2, 2, 3), _indices([1, 3], [1, 0]), 4, None), (make(2, 3), _indices(2, 1), 4, 2)],
)


def _take_rows_but(xp: Any, x: Any, index: Any, skip: int | None) -> Any:
    rows = xp.take(x, index, axis=0)
    if skip is not None:
        rows[index == skip] = 0
    return rows


take_rows_but = Primitive(
    "take_rows_but",
    _take_rows_but,
    {"x": lambda xp, g, x_shape, index, skip: xp.add_rows(g, index, x_shape[0], skip)},
    inputs=2,
    samples=lambda make: [(make(4, 3), _indices([1, 3], [1, 0]), None), (make(4, 3), _indices(2, 1), 2)],
)


def _check(name: str, input: Tensor, weight: Tensor, padding_idx: int | None) -> int | None:
    for what, t in (("input", input), ("weight", weight)):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}(): argument '{what}' must be Tensor, not {type(t).__name__}")
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, but got {weight.ndim}-D")
    if input._array.dtype.kind not in "iu" or input._array.itemsize < 4:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{input.dtype} instead (while checking arguments for {name})"
        )
    rows, index = weight.shape[0], input._array
    if (
        backends.namespaces[type(index)] is backends.host
        and index.size
        and not (int(index.min()) >= 0 and int(index.max()) < rows)
    ):
        raise IndexError("index out of range in self")
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    return padding_idx


def _limit(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Shrink, in place, the rows that are used and longer than `max_norm`."""
    xp = backends.namespaces[type(weight._array)]
    used = xp.unique(input._array)
    with no_grad():
        rows = weight._array[used]
        length = xp.linalg.norm(rows, ord=norm_type, axis=1, keepdims=True)
        weight._array[used] = xp.where(length > max_norm, rows * (max_norm / (length + 1e-7)), rows)
        if weight._counter is not None:
            weight._counter.value += 1


def _by_frequency(rows: Tensor, input: Tensor, count: int) -> Tensor:
    """`rows` with a gradient divided by how often the index of each occurs."""
    xp = backends.namespaces[type(input._array)]
    often = xp.bincount(input._array.reshape(-1), minlength=count)[input._array]
    share = from_array((1 / often).astype(rows._array.dtype)[..., None])
    return rows * share + rows.detach() * (1 - share)


@expose(into="nn.functional", function=False, method=False)
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (V, D) at the indices `input` (*): (*, D).

    The row `padding_idx` gets no gradient. `max_norm` first shrinks, in place, the rows that are used. With `sparse`,
    the gradient of `weight` is a sparse tensor of these rows. Raises IndexError for an index outside of the table,
    RuntimeError where `sparse` meets a weight that is no leaf or `scale_grad_by_freq`.
    """
    padding_idx = _check("embedding", input, weight, padding_idx)
    if sparse and scale_grad_by_freq:
        raise RuntimeError("embedding: scale_grad_by_freq is not supported with sparse gradients")
    if sparse and not weight.is_leaf:
        raise RuntimeError(
            "embedding(sparse=True): the weight was computed by another operation, which would need a dense gradient. "
            "Pass sparse=False, or a leaf tensor as the weight"
        )
    if max_norm is not None:
        _limit(weight, input, max_norm, norm_type)
    rows = take_rows.record((weight, input), (padding_idx, sparse))
    return _by_frequency(rows, input, weight.shape[0]) if scale_grad_by_freq else rows


@expose(method=False, name="embedding")
def embedding_native(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`nn.functional.embedding` with the arguments of the native function."""
    return embedding(indices, weight, None if padding_idx < 0 else padding_idx, None, 2.0, scale_grad_by_freq, sparse)


@expose(into="nn.functional", function=False, method=False)
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of bags of rows: of each row of a 2-D input, or of a 1-D one cut at `offsets`.

    `per_sample_weights` scale the rows (mode "sum" only); indices equal to `padding_idx` do not count. Empty bags are
    zero. Raises ValueError for arguments that do not go together.
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None:
        if tuple(per_sample_weights.shape) != tuple(input.shape):
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({tuple(per_sample_weights.shape)}) is not None, then it must "
                f"have the same shape as the input ({tuple(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
                f"(got mode='{mode}'). Please open a feature request on GitHub."
            )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        bags, length = input.shape
        bag = backends.host.repeat(backends.host.arange(bags), length)
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        starts = backends.to_host(offsets._array)
        if len(starts) and int(starts[0]):
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
                f"However, got {int(starts[0])}"
            )
        bags = len(starts) - include_last_offset
        ends = backends.host.append(starts[1:], input.numel()) if not include_last_offset else starts[1:]
        bag = backends.host.repeat(backends.host.arange(bags), ends - starts[:bags])
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    xp = backends.namespaces[type(weight._array)]
    if weight.ndim != 2:
        raise ValueError("weight has to be a 2D Tensor")
    flat = input.reshape(-1)
    padding_idx = _check("embedding_bag", flat, weight, padding_idx)
    bag_index = from_array(xp.asarray(bag))
    if padding_idx is not None:
        kept = from_array(xp.flatnonzero(flat._array != padding_idx))
        flat, bag_index = flat[kept], bag_index[kept]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)[kept]
    rows = embedding(flat, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    if mode == "max":
        empty = functions["zeros"](bags, weight.shape[1], dtype=weight.dtype, device=weight.device)
        index = bag_index.reshape(-1, 1).expand(-1, weight.shape[1])
        return empty.scatter_reduce(0, index, rows, "amax", include_self=False)
    total = add_rows.record((rows, bag_index), (bags, None))
    if mode == "sum":
        return total
    counts = xp.maximum(xp.bincount(bag_index._array, minlength=bags), 1)
    return total / from_array(counts.astype(total._array.dtype)[:, None])

"""Into a `vmap` and out of it: an axis that is hidden from the operations between, which see one example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import backends
from ..backends.batched import Batched, Level, at_depth
from ..graph.op import Primitive
from ..tensor import Tensor, version_of


def _batch(xp: Any, x: Any, axis: int, depth: int) -> Any:
    return at_depth(depth)(backends.namespaces[type(x)].moveaxis(x, axis, 0))


def _unbatch(xp: Any, x: Any, axis: int, depth: int, size: int) -> Any:
    x = x if type(x) is at_depth(depth) else at_depth(depth)(x, True)
    below = backends.namespaces[type(x.array)]
    a = below.broadcast_to(x.array, (size, *x.shape)) if x.whole else x.array
    return below.moveaxis(a, 0, axis)


def _sum_of_examples(xp: Any, x: Any, depth: int) -> Any:
    if type(x) is not at_depth(depth):
        return x
    return x.array if x.whole else backends.namespaces[type(x.array)].sum(x.array, axis=0)


#: hides an axis: the result looks like one of the examples that lie along it
batch = Primitive(
    "batch",
    _batch,
    {"x": lambda xp, g, x_shape, axis, depth: xp.unbatch(g, axis, depth, x_shape[axis])},
    kind="linear",
    view=True,
)
#: shows it again
unbatch = Primitive(
    "unbatch",
    _unbatch,
    {"x": lambda xp, g, axis, depth: xp.batch(g, axis, depth)},
    kind="linear",
)
#: one tensor for all examples, whose gradients are summed
lift = Primitive(
    "lift",
    lambda xp, x, depth: at_depth(depth)(x, True),
    {"x": lambda xp, g, depth: xp.sum_of_examples(g, depth)},
    kind="linear",
)
sum_of_examples = Primitive(
    "sum_of_examples",
    _sum_of_examples,
    {"x": lambda xp, g, depth: xp.lift(g, depth)},
    kind="linear",
)


def raised(t: Tensor, depth: int) -> Tensor:
    """A tensor as one of a vmap, and of those around it: its gradient is summed over the examples of each."""
    for d in range(backends.namespaces[type(t._array)].depth + 1, depth + 1):
        t = lift.record((t,), (d,))
    return t


def lifted(inputs: Sequence[Any], kind: type[Batched]) -> list[Any] | None:
    """The operands with those lifted that have a history outside of a vmap; None if none have."""
    found: list[Any] | None = None
    for i, t in enumerate(inputs):
        if isinstance(t, Tensor) and type(t._array) is not kind and t.requires_grad:
            found = found or list(inputs)
            found[i] = raised(t, kind.depth)
    return found


def beside(x: Tensor, others: Sequence[Tensor]) -> Tensor:
    """A tensor as one of the innermost vmap that `others` are of."""
    depth = max((backends.namespaces[type(t._array)].depth for t in others), default=0)
    return raised(x, depth)


def outside(t: Tensor, axis: int, level: Level) -> Tensor:
    """A tensor of a vmap with all of its examples, which lie along `axis`."""
    inside = raised(t, level.depth)
    result = unbatch.record((inside,), (axis, level.depth, level.size))
    if result._counter is None and result._view is None:
        result._counter = version_of(inside)  # it shares the memory, of which something may have been saved
    return result

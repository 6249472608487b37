"""Into a `vmap` and out of it: an axis that is hidden from the operations between, which see one example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import backends
from ..backends.batched import Level, levels
from ..graph.op import Primitive
from ..tensor import Tensor, version_of


def _reached(x: Any, level: Level, function: Callable, axis: int = 0) -> Any:
    """What `function` makes of an array of a vmap, where that lies within arrays of vmaps further in.

    It gets the array, and where the axis of an example is in it.
    """
    kind = type(x)
    if backends.namespaces[kind].depth > level.depth:
        return kind(_reached(x.array, level, function, x.axis(axis)), x.whole)
    return function(x, axis)


def _own(x: Any, level: Level) -> Any:
    """An array as one of the vmap's; as one for all examples, if it knows nothing of them."""
    return x if type(x) is level.kind else level.kind(x, True)


def _batch(xp: Any, x: Any, level: Level, axis: int) -> Any:
    return _reached(x, level, lambda a, at: level.kind(backends.namespaces[type(a)].moveaxis(a, at, 0)), axis)


def _unbatch(xp: Any, x: Any, level: Level, axis: int) -> Any:
    def shown(a: Any, at: int) -> Any:
        a = _own(a, level)
        whole = a.below.broadcast_to(a.array, (level.size, *a.shape)) if a.whole else a.array
        return a.below.moveaxis(whole, 0, at)

    return _reached(x, level, shown, axis)


def _sum_of_examples(xp: Any, x: Any, level: Level) -> Any:
    def total(a: Any, _: int) -> Any:
        a = _own(a, level)
        return a.array if a.whole else a.below.sum(a.array, axis=0)

    return _reached(x, level, total)


#: hides an axis: the result looks like one of the examples that lie along it
batch = Primitive(
    "batch",
    _batch,
    {"x": lambda xp, g, level, axis: xp.unbatch(within(g, (level,)), level, axis)},
    kind="linear",
    view=True,
)
#: shows it again
unbatch = Primitive(
    "unbatch",
    _unbatch,
    {"x": lambda xp, g, level, axis: xp.batch(g, level, axis)},
    kind="linear",
)
#: one tensor for all examples, whose gradients are summed
lift = Primitive(
    "lift",
    lambda xp, x, level: _reached(x, level, lambda a, _: _own(a, level)),
    {"x": lambda xp, g, level: xp.sum_of_examples(within(g, (level,)), level)},
    kind="linear",
)
sum_of_examples = Primitive(
    "sum_of_examples",
    _sum_of_examples,
    {"x": lambda xp, g, level: xp.lift(g, level)},
    kind="linear",
)


def depths(array: Any) -> set[int]:
    """The depths of the vmaps whose examples an array holds."""
    found = set()
    while depth := backends.namespaces[type(array)].depth:
        found.add(depth)
        array = array.array
    return found


def within(t: Any, around: Iterable[Level]) -> Any:
    """A tensor as one of some vmaps: its gradient is summed over the examples of those that it knew nothing of."""
    if isinstance(t, Tensor):
        known = depths(t._array)
        for level in around:
            if level.depth not in known:
                t = lift.record((t,), (level,))
    return t


def together(inputs: Sequence[Any]) -> list[Any] | None:
    """The operands with those lifted that have a history but not the examples of all; None if there are none."""
    held = [depths(t._array) if isinstance(t, Tensor) else set() for t in inputs]
    everywhere = set().union(*held)
    found: list[Any] | None = None
    for i, (t, own) in enumerate(zip(inputs, held, strict=True)):
        if own != everywhere and isinstance(t, Tensor) and t.requires_grad:
            found = found or list(inputs)
            found[i] = within(t, [levels[d] for d in sorted(everywhere - own)])
    return found


def beside(x: Tensor, others: Sequence[Tensor]) -> Tensor:
    """A tensor as one of the vmaps that `others` are of."""
    return within(x, [levels[d] for d in sorted(set().union(*(depths(t._array) for t in others)))])


def outside(t: Tensor, axis: int, level: Level) -> Tensor:
    """A tensor of a vmap with all of its examples, which lie along `axis`."""
    inside = within(t, (level,))
    result = unbatch.record((inside,), (level, axis))
    if result._counter is None and result._view is None:
        result._counter = version_of(inside)  # it shares the memory, of which something may have been saved
    return result

"""Saved values that the user's hooks keep in another form: on another device, on disk, or recomputed.

While hooks are set, `node.make` hands each new node to `pack`. The node's `saved` becomes a `Packed`, and what runs the
node finds that it is no tuple and calls `reopen`. Without hooks none of this is met.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor, edge_of, from_array
from .errors import stale
from .modes import state
from .node import Freed, Node, watchers
from .version import Version

Hook = Callable[[Any], Any]


class _Local(threading.local):
    def __init__(self) -> None:
        self.hooks: list[tuple[Hook, Hook]] = []  # the innermost pair is last
        self.forbidden: str | None = None  # the message of `disable_saved_tensors_hooks`


local = _Local()


class Pack:
    """What a pack hook made of one tensor, and how to have a tensor again."""

    __slots__ = ("edge", "packed", "raw", "unpack")

    def __init__(self, value: Any, hooks: tuple[Hook, Hook]) -> None:
        """value: a tensor, or the raw array of a result, which comes back as one."""
        self.raw = not isinstance(value, Tensor)
        self.edge = None if self.raw else edge_of(value)
        given = from_array(value) if self.raw else value
        pack, self.unpack = hooks
        counter = given._counter
        version = 0 if counter is None else counter.value
        before = state.grad
        state.grad = False
        try:
            self.packed = pack(given)
        finally:
            state.grad = before
        counter = given._counter
        if counter is not None and counter.value != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook "
                "cannot be modified by in-place operations as this can lead to unexpected side-effects. Change a "
                "clone() of it instead."
            )

    def open(self) -> Any:
        """The value: a tensor with the history of the one that was packed, or a raw array."""
        value = self.unpack(self.packed)
        if not isinstance(value, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(value).__name__}"
            )
        if self.raw:
            return value._array
        t = from_array(value._array, self.edge, self.edge is not None)
        t._counter = t._counter or Version()  # here, since a leaf, unlike a node, would not learn of it
        return t


class Packed:
    """Stands where a node's saved values were, some of which are `Pack`s now; `version` counts the others' changes."""

    __slots__ = ("values", "version")

    def __init__(self, values: tuple, version: int) -> None:
        self.values, self.version = values, version


def pack(node: Node) -> None:
    """Hand the tensors that a new node saved to this thread's hooks."""
    if local.hooks and type(node.saved) is tuple:
        pack_at(node, range(len(node.saved)), local.hooks[-1])


def pack_at(node: Node, positions: Sequence[int], hooks: tuple[Hook, Hook]) -> None:
    """Hand the saved values at some positions to hooks."""
    sources = tuple(type(node).sources.values())
    saved = node.saved
    values, version = (list(saved.values), saved.version) if type(saved) is Packed else (list(saved), node.version)
    for i in positions:
        if sources:
            version -= _count(values[i])  # changes in place are the hooks' affair from now on
            values[i] = _packed(sources[i].startswith("out"), values[i], hooks)
        elif values[i][0] is not None:  # of a `Function`: (tensor, index, version)
            values[i] = (Pack(values[i][0], hooks), *values[i][1:])
    node.saved = Packed(tuple(values), version) if sources else tuple(values)


def _count(value: Any) -> int:
    if type(value) is tuple:
        return sum(map(_count, value))
    return value._counter.value if isinstance(value, Tensor) and value._counter is not None else 0


def _packed(result: bool, value: Any, hooks: tuple[Hook, Hook]) -> Any:
    if type(value) is tuple:
        return tuple(_packed(result, v, hooks) for v in value)
    return Pack(value, hooks) if isinstance(value, Tensor) or (result and value is not None) else value


def reopen(node: Node) -> tuple:
    """The saved values of a node that are not at hand. Raises RuntimeError if they were freed."""
    saved = node.saved
    if type(saved) is not Packed:
        raise stale(node)
    values = _all_opened(saved.values)
    node.version = saved.version
    for source, before, value in zip(type(node).sources.values(), saved.values, values):
        if source == "out" and value is not before:
            node.version += sum(counter.value for counter in node.output_version or ())
    return values


def _all_opened(values: tuple) -> tuple:
    return tuple(map(opened, values))


def opened(value: Any) -> Any:
    if type(value) is Pack:
        return value.open()
    return _all_opened(value) if type(value) is tuple and any(type(v) is Pack for v in value) else value


def at(node: Node, position: int) -> Any:
    """One saved value of a node. Raises RuntimeError if it was freed."""
    saved = node.saved
    if isinstance(saved, Freed):
        raise stale(node)
    return saved[position] if type(saved) is tuple else opened(saved.values[position])


def push(hooks: tuple[Hook, Hook]) -> None:
    """Let this thread's new nodes pack what they save. Raises RuntimeError where hooks are disabled."""
    if local.forbidden is not None:
        raise RuntimeError(local.forbidden)
    local.hooks.append(hooks)
    watchers.append(pack)


def pop() -> None:
    """Undo the last `push` of this thread."""
    local.hooks.pop()
    watchers.remove(pack)

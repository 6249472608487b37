"""What a node has saved, as `_raw_saved_*` shows it."""

from __future__ import annotations

from typing import Any

from ..graph.errors import stale
from ..graph.node import Freed, Node
from ..graph.saved import Hook, Pack, Packed, opened, pack_at
from ..tensor import Tensor, from_array


class SavedTensor:
    """`node._raw_saved_*`: one saved value, of which hooks may be set afterwards."""

    def __init__(self, node: Node, position: int) -> None:
        self._node, self._position = node, position

    def _kept(self) -> Any:
        saved = self._node.saved
        if isinstance(saved, Freed):
            raise stale(self._node)
        value = (saved.values if type(saved) is Packed else saved)[self._position]
        return value if type(self._node).sources else value[0]

    @property
    def data(self) -> Any:
        """What is kept: the tensor, or with hooks what `pack_hook` gave. Raises RuntimeError if it was freed."""
        value = self._kept()
        if type(value) is Pack:
            return value.packed
        return from_array(value) if self._is_result() and value is not None else value

    @property
    def unpack_hook(self) -> Hook | None:
        """The hook that is to open what is kept, None without hooks."""
        value = self._kept()
        return value.unpack if type(value) is Pack else None

    def unpack(self) -> Any:
        """The saved tensor. Raises RuntimeError if it was freed."""
        value = opened(self._kept())
        return value if isinstance(value, Tensor) or not self._is_result() else from_array(value)

    def _is_result(self) -> bool:
        sources = tuple(type(self._node).sources.values())
        return bool(sources) and sources[self._position] == "out"

    def register_hooks(self, pack_hook: Hook, unpack_hook: Hook) -> None:
        """Keep `pack_hook(tensor)` in place of the tensor, and `unpack_hook` of that when it is needed.

        Raises RuntimeError if the value was freed, is None, or has hooks already.
        """
        node, i = self._node, self._position
        if isinstance(node.saved, Freed):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
                "to backward through the graph a second time or if you need to access saved variables after calling "
                "backward."
            )
        value = self._kept()
        if value is None:
            raise RuntimeError("Calling register_hooks on a saved tensor with value None is forbidden")
        if type(value) is Pack:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of "
                "hooks is allowed at a time."
            )
        pack_at(node, (i,), (pack_hook, unpack_hook))


def raw_saved(node: Node, name: str) -> Any:
    """`node._raw_saved_<name>`."""
    if name == "tensors" and not type(node).sources:
        return tuple(SavedTensor(node, i) for i in range(len(node.saved)))
    if name not in type(node).saved_names:
        raise AttributeError(f"'{node.name()}' object has no attribute '_raw_saved_{name}'")
    return SavedTensor(node, type(node).saved_names.index(name))

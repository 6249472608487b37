"""`gradcu.autograd.graph`: nodes and edges, and hooks on what a graph saves and on several gradients at once."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .. import backends
from ..graph import saved
from ..graph.modes import state
from ..graph.node import AccumulateGrad, Node, Output, as_function
from ..graph.views import changed
from ..tensor import Tensor, edge_of, from_array

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class _Edge(NamedTuple):
    node: Node
    output_nr: int
    ownership_token: Any = None


class GradientEdge(_Edge):
    """Where the gradient of a tensor goes: a node and the number of its result.

    Takes the place of tensors in `backward` and `grad`, so that these need not be kept.
    """

    like: Tensor | None = None  # has the tensor's shape, dtype and device, and the memory of one element


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor: its `grad_fn`, or for a leaf the node that accumulates its gradient.

    Raises RuntimeError if the tensor does not require grad.

    >>> x = tensor([1.0], requires_grad=True)
    >>> get_gradient_edge(x * 2).node
    <MulBackward0 object at 0x...>
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    edge = GradientEdge(*as_function(edge_of(tensor)))
    a = tensor._array
    xp = backends.namespaces[type(a)]
    edge.like = from_array(xp.broadcast_to(xp.zeros((), dtype=a.dtype), a.shape))
    return edge


def edge_within(edge: GradientEdge) -> Any:
    """An edge as the graph itself has it: a node, an `Output`, or a leaf."""
    count = max(edge.node._outputs, 1)
    if not 0 <= edge.output_nr < count:
        raise RuntimeError(f"{edge.node.name()} has {count} results, and none of number {edge.output_nr}")
    if isinstance(edge.node, AccumulateGrad):
        return edge.node.variable
    return Output(edge.node, edge.output_nr) if edge.node._outputs > 1 else edge.node


class saved_tensors_hooks(contextlib.ContextDecorator):
    """A block in which `pack_hook(tensor)` is kept in place of each tensor saved for backward.

    `unpack_hook` is given what that returned and must return a tensor of the same values. Of nested blocks the
    innermost acts. Changes in place of a packed tensor are not noticed.

    >>> with saved_tensors_hooks(lambda t: t.numpy(), from_numpy):
    ...     y = x.exp()
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> Any:
        saved.push((self.pack_hook, self.unpack_hook))

    def __exit__(self, *exc: object) -> None:
        saved.pop()


class save_on_cpu(saved_tensors_hooks):
    """A block in which tensors saved for backward wait on the CPU, and come back to their device when needed.

    pin_memory: accepted; CuPy's transfers do not need it. device_type: the devices it is for.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Tensor) -> tuple[Any, Tensor]:
            return t.device, t.detach().clone() if t.device.type == "cpu" else t.detach().to("cpu")

        def unpack(packed: tuple[Any, Tensor]) -> Tensor:
            device, t = packed
            return t.to(device)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A block in which setting hooks on saved tensors raises RuntimeError with `error_message`; so do those set now."""
    if saved.local.hooks:
        raise RuntimeError(error_message)
    before = saved.local.forbidden
    saved.local.forbidden = error_message
    try:
        yield
    finally:
        saved.local.forbidden = before


class _MultiHandle:
    """Takes away a hook on several tensors."""

    def __init__(self, handles: tuple[Any, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor],
    fn: Callable[[Sequence[Tensor | None]], None] | Callable[[Tensor], None],
    *,
    mode: str = "all",
) -> _MultiHandle:
    """Call `fn` once per backward: when the gradients of all `tensors` are known, or of the first.

    mode: "all": `fn(grads)`, in the order of `tensors`, None for those that this backward does not reach; "any":
        `fn(grad)`.
    Raises ValueError for another mode, AssertionError for tensors that do not require grad.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    edges = []
    for t in tensors:
        edge = edge_of(t)
        assert edge is not None, "Expected gradient function to be set"
        edges.append(edge.node if type(edge) is Output else edge)
    lock = threading.Lock()
    underway: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()  # how many to come, and what has
    done: weakref.WeakSet[Any] = weakref.WeakSet()

    def arrived(index: int, g: Tensor) -> None:
        walk = state.walk
        assert walk is not None, "expected this hook to be called inside a backward call"
        with lock:
            if walk not in underway:
                underway[walk] = [sum(map(walk.reaches, edges)), [None] * len(edges)]
            left, grads = underway[walk]
            grads[index] = g
            underway[walk][0] = left - 1
            if left > 1:
                return
            del underway[walk]
        fn(grads)

    def first(g: Tensor) -> None:
        walk = state.walk
        assert walk is not None, "expected this hook to be called inside a backward call"
        with lock:
            if walk in done:
                return
            done.add(walk)
        fn(g)  # type: ignore[arg-type]

    if mode == "all":
        return _MultiHandle(tuple(t.register_hook(functools.partial(arrived, i)) for i, t in enumerate(tensors)))
    return _MultiHandle(tuple(t.register_hook(first) for t in tensors))


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Count a change in place that gradcu did not see, so that backward refuses values saved before it."""
    several = (tensor,) if isinstance(tensor, Tensor) else tensor
    if not isinstance(several, Iterable):
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input")
    for t in several:
        changed(t, "increment_version")


class _Key:
    """What a node holds of a copy."""


class _Copies:
    """What `allow_mutation_on_saved_tensors` gives: `clear()` lets the copies go."""

    def __init__(self) -> None:
        self.tensors: weakref.WeakKeyDictionary[_Key, Tensor] = weakref.WeakKeyDictionary()

    def clear(self) -> None:
        self.tensors.clear()


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Copies]:
    """A block in which tensors saved for backward may be changed in place: backward uses copies made as they are saved.

    Backward must run inside of the block. Raises RuntimeError if nested.
    """
    if getattr(_mutation, "active", False):
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    copies = _Copies()

    def pack(t: Tensor) -> _Key:
        key = _Key()
        copies.tensors[key] = t.detach().clone()
        return key

    def unpack(key: _Key) -> Tensor:
        assert key in copies.tensors, (
            "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in which the graph was "
            "originally recorded."
        )
        return copies.tensors[key]

    with saved_tensors_hooks(pack, unpack):
        _mutation.active = True
        try:
            yield copies
        finally:
            _mutation.active = False
            copies.clear()


_mutation = threading.local()

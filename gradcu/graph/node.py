"""Nodes of the graph: what an operation left behind for backward.

An edge says where a gradient goes on to: a `Node` (the operation that made the value), an `Output` (one of several
results of a node), a leaf tensor itself (its gradient is accumulated), or None (no gradient is wanted). Tensors hold
nodes and nodes hold edges and saved values; nothing points back, so graphs die by reference counting.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .hooks import Handle
from .version import Version

_new = object.__new__

#: falling numbers: of the nodes that wait in the engine the one with the least was recorded last and runs first
sequence = itertools.count(0, -1)

#: functions that are given each new node: while anomalies are looked for, and while hooks keep what is saved
watchers: list[Callable[[Node], None]] = []


class Freed:
    """Stands where saved values were, and says which call let them go."""

    __slots__ = ("by",)

    def __init__(self, by: str) -> None:
        self.by = by


class Output:
    """An edge to one of several results of a node."""

    __slots__ = ("index", "node")
    _outputs = -1

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index = node, index


class NodeHooks:
    """The hooks of one node; most nodes have none of these."""

    __slots__ = ("after", "before", "metadata", "retained", "runs", "tangents", "tensor")

    def __init__(self) -> None:
        self.tensor: dict[int, dict[int, Callable]] = {}  # by output number: of `Tensor.register_hook`
        self.retained: dict[int, Any] = {}  # by output number: weak reference to a tensor with retain_grad
        self.before: dict[int, Callable] = {}
        self.after: dict[int, Callable] = {}
        self.metadata: dict = {}
        self.tangents: tuple[Any, ...] = ()  # by result, in forward mode
        self.runs: Callable[[Any], Any] | None = None  # what runs it in surroundings of its own: a CUDA stream


class NodeType(type):
    def __repr__(cls) -> str:
        return f"<class '{cls.__name__}'>"


class Node(metaclass=NodeType):
    """`grad_fn` of a tensor. Subclasses, one per operation and set of inputs to differentiate, say how.

    `raw(node, g, xp)` maps the gradient of the result to those of the inputs on raw arrays, `raw0` on NumPy scalars
    (which 0-d arrays become as they are computed with), `guarded` on arrays of other libraries than NumPy, and
    `recorded` on tensors, when a graph of the backward is made. Those of declared operations are written when first
    needed.
    """

    __slots__ = ("__weakref__", "edges", "hooks", "order", "output_version", "saved", "shapes", "version")

    edges: tuple[Any, ...]
    hooks: NodeHooks | None
    order: int
    output_version: tuple[Version, ...] | None  # the counters of its results, where those have one
    saved: Any  # a tuple, or Freed
    shapes: tuple[tuple[int, ...] | None, ...] | None  # of the inputs that were broadcast
    version: int  # the sum of the counters of what it saved

    # Of the classes that declarations make:
    primitive: Any
    constants: dict[str, Any]  # further `_saved_*` attributes
    sources: Mapping[str, str] = MappingProxyType({})  # of what is saved: by its name in formulas where it comes from
    saves: bool
    save: Callable[..., tuple]
    count: Callable[[Sequence[Any]], int]  # the sum of the counters of what would be saved
    write: Callable[..., Callable]
    parts: dict[int, Part] | None = None  # by the inputs to differentiate, where one input can be without the others

    #: names under which `saved` is shown as `_saved_<name>`
    saved_names: tuple[str, ...] = ()
    _outputs = 1  # how many results; 0 for leaves and -1 for an `Output`, so that the engine tells edges apart at once
    releases = False  # whether backward lets the saved values go unless retain_graph is given

    def name(self) -> str:
        """The operation's name, as `AddBackward0`."""
        return type(self).__name__

    def __call__(self, *grads: Any) -> Any:
        """Run this node alone on gradients of its results."""
        from .engine import call_node

        return call_node(self, grads)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input, the node that made it and the number of the result it was."""
        return tuple(as_function(edge) for edge in self.edges)

    @property
    def requires_grad(self) -> bool:
        """Always true: only operations on tensors that require grad have nodes."""
        return True

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own notes."""
        return self.own_hooks().metadata

    def own_hooks(self) -> NodeHooks:
        if self.hooks is None:
            self.hooks = NodeHooks()
        return self.hooks

    def register_hook(self, hook: Callable) -> Handle:
        """Call `hook(grad_inputs, grad_outputs)` after this node ran; what it returns replaces grad_inputs."""
        return Handle(self.own_hooks().after, hook)

    def register_prehook(self, hook: Callable) -> Handle:
        """Call `hook(grad_outputs)` before this node runs; what it returns replaces grad_outputs."""
        return Handle(self.own_hooks().before, hook)

    def _register_hook_dict(self, tensor: Any) -> None:
        """Run the hooks of `tensor._backward_hooks`, a dict, on the gradient of that result from now on."""
        if not hasattr(tensor, "output_nr"):
            raise TypeError("_register_hook_dict expected a variable")
        self.own_hooks().tensor[tensor.output_nr] = tensor._backward_hooks

    def _sequence_nr(self) -> int:
        return -self.order

    def __getattr__(self, name: str) -> Any:
        if name in ("raw", "raw0", "guarded", "recorded"):
            function = type(self).write(name)
            setattr(type(self), name, staticmethod(function))
            return function
        if name.startswith("_saved_"):
            from .op import saved_value

            return saved_value(self, name.removeprefix("_saved_"))
        if name.startswith("_raw_saved_"):
            from ..autograd.saved_tensor import raw_saved

            return raw_saved(self, name.removeprefix("_raw_saved_"))
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(f"_saved_{name}" for name in self.saved_names)]


class Part:
    """What nodes of a class do for some of their inputs alone: `raw`, `recorded` and the like, written when needed."""

    def __init__(self, cls: type[Node], mask: int) -> None:
        self._cls, self._mask = cls, mask

    def __getattr__(self, name: str) -> Any:
        function = self._cls.write(name, self._mask)
        setattr(self, name, function)
        return function


def part(node: Node, reach: Any) -> Any:
    """The node, or, where only some of its inputs are in `reach`, what computes the gradients of those alone."""
    cls = type(node)
    if cls.parts is None:
        return node
    mask, all_of_them = 0, True
    for i, edge in enumerate(node.edges):
        if edge is not None:
            if (edge.node if type(edge) is Output else edge) in reach:
                mask |= 1 << i
            else:
                all_of_them = False
    if all_of_them:
        return node
    if mask not in cls.parts:
        cls.parts[mask] = Part(cls, mask)
    return cls.parts[mask]


def by_hand(node: Any, g: Any, xp: Any) -> Any:
    """`guarded` of nodes whose `raw` is written by hand."""
    return xp.guarded(lambda xp, g: node.raw(node, g, xp))(xp, g)


def by_array(node: Any, g: Any, xp: Any) -> Any:
    """`raw0` of nodes that know only arrays."""
    return node.raw(node, xp.asarray(g), xp)


def make(cls: type[Node], edges: tuple, saved: tuple, shapes: tuple | None = None, version: int = 0) -> Any:
    """A new node of a class, with the next sequence number."""
    node = _new(cls)
    node.edges, node.saved, node.shapes, node.version = edges, saved, shapes, version
    node.order = next(sequence)
    node.hooks = node.output_version = None
    if watchers:
        watched(node)
    return node


def watched(node: Node) -> None:
    """Show a new node to the watchers, each once."""
    for watch in dict.fromkeys(watchers):
        watch(node)


class AccumulateGrad(Node):
    """The end of the graph at a leaf: adds what arrives to `variable.grad`. Made on demand, to be looked at."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.edges = ()
        self.order = -(2**64)
        self.hooks = variable._extra().accumulate_hooks


def as_function(edge: Any) -> tuple[Any, int]:
    """An edge as PyTorch shows it: (node, number of its result)."""
    if edge is None:
        return None, 0
    if isinstance(edge, Node):
        return edge, 0
    if type(edge) is Output:
        return edge.node, edge.index
    return edge._extra().accumulator(edge), 0

"""The backward walk.

Nodes wait in a heap by the order in which they were recorded; the latest runs first. Since a node is always recorded
after the nodes it takes its inputs from, all of its gradient has arrived when its turn comes. The same walk serves
first-order backward, on raw arrays, and `create_graph`, on tensors.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

from .. import backends
from ..backends.batched import running
from ..tensor import OWN, Tensor, from_array
from .anomaly import check, report, settings as anomalies
from .modes import state
from .node import Freed, Node, Output, part
from .recorded import namespace as recorded_namespace
from .saved import local
from .views import changed

_host, _namespaces, _arrays = backends.host, backends.namespaces, backends.arrays
_ndarray = _host.ndarray

#: backwards within backwards, each a few calls deep, go on in another thread as often: Python bounds the stack of each
DEEP = 50

_adding = threading.Lock()  # several threads may add to one leaf


def _renew_lock() -> None:
    global _adding
    _adding = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)  # the thread that held it is not there

FREED_BY_BACKWARD, FREED_BY_GRAD = Freed("backward()"), Freed("autograd.grad()")


def walk(
    edges: Sequence[Any],
    grads: Sequence[Any],
    *,
    retain: bool,
    create: bool,
    captures: Sequence[Any] | None = None,
    by: Freed = FREED_BY_BACKWARD,
    record: bool | None = None,
) -> list[Any]:
    """Carry `grads` from `edges` to the leaves, or to the edges `captures` alone, and return what arrived there.

    The gradients are raw arrays, or tensors where `create` says that the walk itself is recorded (or, with
    `record=False`, that only tangents are carried along). `retain` keeps the saved values for another walk; `by` stands
    in their place if they are let go, and names the call.
    """
    before, outer = state.grad, state.walk
    state.grad, state.walk = create if record is None else record, Walk(edges, captures, retain, outer)
    try:
        if state.walk.depth % DEEP == 0:
            return in_another_thread(_walk, edges, grads, retain, create, captures, by)
        return _walk(edges, grads, retain, create, captures, by)
    except Exception:
        if anomalies.enabled and state.walk.node is not None:
            report(state.walk.node)
        raise
    finally:
        state.grad, state.walk = before, outer


class Walk:
    """A walk under way, for hooks to ask about."""

    __slots__ = ("__weakref__", "_runs", "captures", "depth", "edges", "node", "retain")

    def __init__(self, edges: Sequence[Any], captures: Sequence[Any] | None, retain: bool, outer: Walk | None) -> None:
        self.edges, self.captures, self.retain = edges, captures, retain
        self.depth: int = 1 if outer is None else outer.depth + 1  # of backwards within backwards
        self.node: Node | None = None  # the one that runs, while anomalies are looked for
        self._runs: set[Any] | None = None

    def reaches(self, node: Any) -> bool:
        """Whether a gradient may come to a node or leaf."""
        if self._runs is None:
            if self.captures is None:
                self._runs = _reached(self.edges)
            else:
                targets, needed = paths(self.edges, self.captures)
                self._runs = needed | targets.keys()
        return node in self._runs


def in_another_thread(function: Callable, *args: Any) -> Any:
    """`function(*args)` on a fresh stack, under this thread's modes."""
    result: list[Any] = []
    modes = [(of_thread, vars(of_thread).copy()) for of_thread in (state, local, running)]

    def run() -> None:
        for of_thread, values in modes:
            vars(of_thread).update(values)
        try:
            result.append((function(*args), None))
        except BaseException as error:
            result.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = result.pop()
    if error is not None:
        raise error
    return value


def _walk(
    edges: Sequence, grads: Sequence, retain: bool, create: bool, captures: Sequence | None, freed: Freed
) -> list:
    watching, shown = anomalies.enabled, state.interceptors
    buffers: dict[Any, Any] = {}  # what has arrived so far, by node (a list for several results) or leaf
    owned: set[Any] = set()  # those whose buffer this walk allocated and may add to in place
    waiting: list[tuple[int, Node]] = []
    targets, needed = (None, None) if captures is None else paths(edges, captures)
    reach = None if targets is None else needed | targets.keys()  # type: ignore[operator]
    caught: dict[tuple[Any, int], Any] = {}
    xp: Any = recorded_namespace

    for edge, g in zip(edges, grads, strict=True):
        if edge is not None:
            _deliver(edge, g, buffers, owned, waiting, reach, create)

    following: Any = None  # a node that waits outside of the heap, so that a chain never touches it
    while waiting or following is not None:
        if following is None:
            node = heappop(waiting)[1]
        elif waiting:
            node = heappushpop(waiting, (following.order, following))[1]
        else:
            node = following
        following = None
        g = buffers.pop(node)
        if watching:
            state.walk.node = node
        hooks = node.hooks
        if hooks is not None:
            g = _before(node, g, create)
        runner: Any = node
        if targets is not None:
            if node in targets:
                for index in targets[node]:
                    caught[node, index] = g[index] if node._outputs > 1 else g
            if node not in needed:  # type: ignore[operator]
                continue
            if node in targets and node._outputs == 1 and not create:
                g = g[...]  # another object, so that `CopySlices` does not take what was caught for its own
            runner = part(node, reach)
        if hooks is not None and hooks.runs is not None:
            runner = hooks.runs(runner)
        if shown:
            runner = shown[-1].around(runner, shown)
        if create:
            results = runner.recorded(node, g, xp)
        else:
            kind = type(g)
            if kind is list:
                kind = type(next(one for one in g if one is not None))
            if kind is _ndarray:
                xp = _host
                results = runner.raw(node, g, xp)
            else:
                xp = _namespaces[kind]
                results = (runner.guarded if kind in _arrays else runner.raw0)(node, g, xp)
        if node.shapes is not None:
            results = [
                r if shape is None or r is None or r.shape == shape else sum_to(r, shape, xp)
                for r, shape in zip(results, node.shapes)
            ]
        if hooks is not None and hooks.after:
            results = _after(node, results, g, create)
        if watching:
            check(node, results)
        if not retain and node.releases:
            node.saved = freed
        for edge, r in zip(node.edges, results):
            if edge is None or r is None:
                continue
            n = edge._outputs
            if n > 1 or n < 0 or edge in buffers:
                _deliver(edge, r, buffers, owned, waiting, reach, create)
            elif reach is not None and edge not in reach:
                continue
            elif n:
                buffers[edge] = r
                if following is None:
                    following = edge
                else:
                    heappush(waiting, (edge.order, edge))
            else:
                buffers[edge] = r
                if not create and r is not g and r.base is None:
                    owned.add(edge)

    if watching:
        state.walk.node = None
    if captures is None:
        others = []
        with _adding:
            for leaf, g in buffers.items():
                if leaf._grad is None and leaf._meta is None and leaf in owned:  # `accumulate`, for the common case
                    leaf._grad = from_array(g)
                else:
                    others.append(leaf)
        for leaf in others:
            accumulate(leaf, buffers[leaf], leaf in owned, create)
        return []
    return [_caught(edge, caught, buffers, create) for edge in captures]


def _deliver(edge: Any, g: Any, buffers: dict, owned: set, waiting: list, reach: Any, create: bool) -> None:
    """Add a gradient to what waits at the edge."""
    index = 0
    if type(edge) is Output:
        edge, index = edge.node, edge.index
    if reach is not None and edge not in reach:
        return
    if edge._outputs > 1:
        several = buffers.get(edge)
        if several is None:
            several = buffers[edge] = [None] * edge._outputs
            heappush(waiting, (edge.order, edge))
        several[index] = g if several[index] is None else several[index] + g
    elif edge not in buffers:
        buffers[edge] = g
        if edge._outputs:
            heappush(waiting, (edge.order, edge))
    elif edge in owned and type(buffers[edge]) is type(g):  # an array of all examples does not fit in one for each
        buffers[edge] += g
    else:
        total = buffers[edge] = buffers[edge] + g
        if not create and total.base is None:
            owned.add(edge)


def paths(edges: Sequence[Any], captures: Sequence[Any]) -> tuple[dict[Any, set[int]], set[Any]]:
    """The results to catch, by node or leaf, and the nodes that must run because they lead to one."""
    targets: dict[Any, set[int]] = {}
    for edge in captures:
        node, index = (edge.node, edge.index) if type(edge) is Output else (edge, 0)
        targets.setdefault(node, set()).add(index)
    needed: set[Any] = set()
    nodes = [node for node in _reached(edges) if node._outputs]
    for node in sorted(nodes, key=lambda n: n.order, reverse=True):  # the first recorded first
        for e in node.edges:
            below = e.node if type(e) is Output else e
            if below is not None and (below in targets or below in needed):
                needed.add(node)
                break
    return targets, needed


def _reached(edges: Sequence[Any]) -> set[Any]:
    """The nodes and leaves that edges lead to."""
    reached: set[Any] = set()
    stack = [e.node if type(e) is Output else e for e in edges if e is not None]
    while stack:
        node = stack.pop()
        if node not in reached:
            reached.add(node)
            if node._outputs:
                stack.extend(e.node if type(e) is Output else e for e in node.edges if e is not None)
    return reached


def _caught(edge: Any, caught: dict, buffers: dict, create: bool) -> Any:
    if type(edge) is Output:
        return caught.get((edge.node, edge.index))
    if edge._outputs:
        return caught.get((edge, 0))
    g = buffers.get(edge)
    return g if g is None else _leaf_hooks(edge, g, create)


def accumulate(leaf: Tensor, g: Any, owned: bool, create: bool) -> None:
    """What `AccumulateGrad` does: run the leaf's hooks and add to its `grad`."""
    extra = leaf._meta
    if extra is not None:
        g = _leaf_hooks(leaf, g, create)
        if extra.accumulate_hooks is not None and extra.accumulate_hooks.before:
            g = _run_hooks(extra.accumulate_hooks.before, g, create, 1)
        owned = False
    with _adding:
        old = leaf._grad
        if create:
            leaf._grad = g if old is None else old + g
        elif isinstance(g, Tensor):  # as sparse gradients are
            leaf._grad = g.clone() if old is None else old + g
        elif old is None:
            leaf._grad = from_array(g if owned else backends.namespaces[type(g)].copy(g))
        elif old.is_sparse:
            leaf._grad = old + from_array(g)
        else:
            old._array = backends.namespaces[type(g)].iadd(old._array, g)
            if old._counter is not None or old._node is not None:
                changed(old, "backward()")
    if extra is not None:
        for hook in list(extra.post_accumulate_hooks.values()):
            hook(leaf)
        if extra.accumulate_hooks is not None and extra.accumulate_hooks.after:
            for hook in list(extra.accumulate_hooks.after.values()):
                hook((), (wrap(g, create),))


def wrap(g: Any, create: bool) -> Any:
    """A gradient as users see it."""
    return g if create or g is None or isinstance(g, Tensor) else from_array(g)


def unwrap(g: Any, create: bool) -> Any:
    return g if create or g is None or g.is_sparse else g._array


def _run_hooks(hooks: dict[int, Callable], g: Any, create: bool, outputs: int) -> Any:
    """Prehooks of a node: each takes and may replace the tuple of gradients."""
    grads = tuple(wrap(one, create) for one in (g if outputs > 1 else [g]))
    grads = _replaced(hooks, grads)
    back = [unwrap(one, create) for one in grads]
    return back if outputs > 1 else back[0]


def _replaced(hooks: dict[int, Callable], grads: tuple, *others: Any) -> tuple:
    """The gradients after each hook saw them (and `others`) and replaced them, or did not, by as many."""
    for hook in list(hooks.values()):
        new = hook(grads, *others)
        if new is not None:
            if others and not isinstance(new, tuple):
                raise TypeError(f"expected tuple, but hook returned '{type(new).__name__}'")
            new = new if isinstance(new, tuple) else (new,)
            if len(new) != len(grads):
                raise RuntimeError(
                    f"hook '{_name(hook)}' has returned an incorrect number of values "
                    f"(got {len(new)}, but expected {len(grads)})"
                )
            for old, one in zip(grads, new):
                if old is not None and one is not None:
                    _check_change(hook, old, one)
            grads = new
    return grads


def _check_change(hook: Callable, old: Tensor, new: Any) -> None:
    """Refuse what a hook returned in place of a gradient, if it cannot stand there."""
    if not isinstance(new, Tensor):
        raise TypeError(f"expected Variable, but hook '{_name(hook)}' returned '{type(new).__name__}'")
    if new.shape != old.shape or new.dtype is not old.dtype or new.device != old.device:
        what = "size" if new.shape != old.shape else "type"
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the {what} of value (was {old.dtype}{list(old.shape)} on {old.device}, "
            f"got {new.dtype}{list(new.shape)} on {new.device})"
        )


def _name(hook: Callable) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def run_tensor_hooks(hooks: Iterable[Callable], g: Any, create: bool) -> Any:
    """Hooks of `Tensor.register_hook`: each may return another gradient of the same shape."""
    for hook in hooks:
        old = wrap(g, create)
        new = hook(old)
        if new is not None:
            _check_change(hook, old, new)
            g = unwrap(new, create)
    return g


def _leaf_hooks(leaf: Tensor, g: Any, create: bool) -> Any:
    extra = leaf._meta
    if extra is None:
        return g
    dtype = extra.grad_dtype
    if dtype is not None and dtype is not OWN:
        g = g.to(dtype) if create else g.astype(dtype.numpy)
    return run_tensor_hooks(list(extra.hooks.values()), g, create)


def _before(node: Node, g: Any, create: bool) -> Any:
    """Tensor hooks, then retain_grad, then prehooks, as PyTorch orders them."""
    hooks = node.own_hooks()
    several = g if node._outputs > 1 else [g]
    for index, own in hooks.tensor.items():
        if own:
            if several[index] is None:
                continue
            several[index] = run_tensor_hooks(list(own.values()), several[index], create)
    for index, reference in hooks.retained.items():
        tensor = reference()
        if tensor is not None and several[index] is not None:
            now = wrap(several[index], create)
            tensor._grad = now if tensor._grad is None else tensor._grad + now
    g = several if node._outputs > 1 else several[0]
    return _run_hooks(hooks.before, g, create, node._outputs) if hooks.before else g


def _after(node: Node, results: Sequence[Any], g: Any, create: bool) -> Sequence[Any]:
    """Posthooks: each takes gradients of inputs and of results, and may replace the former."""
    outputs = tuple(wrap(one, create) for one in (g if node._outputs > 1 else [g]))
    inputs = tuple(wrap(r, create) for r in results)
    inputs = _replaced(node.own_hooks().after, inputs, outputs)
    return [unwrap(r, create) for r in inputs]


def sum_to(g: Any, shape: tuple[int, ...], xp: Any) -> Any:
    """Undo broadcasting: sum `g` over the axes that `shape` lacks or has with length one."""
    lead = len(g.shape) - len(shape)
    if g.shape[lead:] == shape:
        return xp.sum(g, axis=0 if lead == 1 else tuple(range(lead)))
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1)
    return xp.reshape(xp.sum(g, axis=axes), shape)


def call_node(node: Node, grads: tuple[Any, ...]) -> Any:
    """`node(*grads)`: one step of backward by hand."""
    if len(grads) != node._outputs:
        raise TypeError(f"{node.name()} takes {node._outputs} gradients, got {len(grads)}")
    create = state.grad and any(g is not None and g.requires_grad for g in grads)
    given = [unwrap(g, create) for g in grads]
    g = given if node._outputs > 1 else given[0]
    if create:
        xp: Any = recorded_namespace
        results = node.recorded(node, g, xp)
    else:
        xp = _namespaces[type(next(one for one in given if one is not None))]
        results = (node.raw if xp is _host else node.guarded)(node, g, xp)
    if node.shapes is not None:
        results = [r if s is None or r is None else sum_to(r, s, xp) for r, s in zip(results, node.shapes)]
    wrapped = tuple(wrap(r, create) for r in results)
    return wrapped[0] if len(wrapped) == 1 else wrapped

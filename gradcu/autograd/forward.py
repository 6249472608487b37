"""Forward mode: tensors that carry a tangent, and the tangents of what is computed from them.

A tensor with a tangent is a `View` (of its primal, or of its own hidden self), since views are what recording asks
about anyway: an operation that meets one computes on the primals as usual and then has the tangent of its result made
here, from the vjp that it declares. No operation says anything about forward mode, and without tangents it costs
nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, dtypes
from ..backends import native
from ..graph.engine import sum_to, walk
from ..graph.errors import stale
from ..graph.modes import state
from ..graph.node import Node, Output, by_array, by_hand, make
from ..graph.op import saved_version
from ..graph.recorded import namespace
from ..graph.saved import local
from ..graph.views import View, replay
from ..graph.written import parameters
from ..tensor import Tensor, edge_of, from_array, version_of


class Level:
    """The time in which tangents live: a `dual_level` block. Those of a closed level are as good as none."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = True


class Tangent:
    """What a tensor's view holds in forward mode."""

    __slots__ = ("level", "value")

    def __init__(self, value: Tensor, level: Level) -> None:
        self.value, self.level = value, level

    def give_to(self, t: Tensor) -> Tensor:
        """A fresh tensor with this tangent: `t` itself if it is a view, else another one before it."""
        if t._view is None:
            hidden, t = t, from_array(t._array, t._node, t._rg)
            t._counter = version_of(hidden)
            t._view = View(hidden, (), "", t._counter.value)
        t._view.tangent = self
        return t

    @staticmethod
    def record(op: Any, inputs: Sequence[Any], attributes: tuple = ()) -> Any:
        """`op.record` where an input has a tangent."""
        result = _unrecorded(op, inputs, attributes)
        if result is not None:
            return result
        tensors = inputs[0] if op.variadic else inputs
        tangents = [tangent_of(t) if state.forward and not state.inference else None for t in tensors]
        primals = [primal_of(t) for t in tensors]
        result = op.record([primals] if op.variadic else primals, attributes)
        if op.vjp is None or all(t is None for t in tangents):
            return result
        several = result if isinstance(result, tuple) else (result,)
        if not any(several[i]._array.dtype.kind in "fcV" for i in op.differentiable or range(len(several))):
            return result
        found = _deferred(op, primals, tangents, attributes, several)
        if found is None:
            found = _tangents(op, primals, tangents, attributes, several)
        made = [None if t is None else Tangent(t, state.level) for t in found]
        _remember(tensors, primals, several, made)
        given = tuple(r if t is None else t.give_to(r) for r, t in zip(several, made, strict=True))
        return given if isinstance(result, tuple) else given[0]


def tangent_of(t: Any) -> Tensor | None:
    """The tangent of a tensor, if it has one and its level has not been left."""
    view = t._view if isinstance(t, Tensor) else None
    if view is None or view.tangent is None or not view.tangent.level.open:
        return None
    return view.tangent.value


def primal_of(t: Any) -> Any:
    """The same tensor (memory, history, version) without a tangent; anything without one is given back as it is."""
    view = t._view if isinstance(t, Tensor) else None
    if view is None or view.tangent is None:
        return t
    edge = view.edge(t)
    if not view.steps:
        return view.base
    primal = from_array(t._array, None if edge is t else edge, t._rg)
    primal._counter = t._counter
    primal._view = View(view.base, view.steps, view.kind, view.version)
    return primal


def check_shape(t: Tensor, tangent: Tensor) -> None:
    """Raise RuntimeError for a tangent of another shape than its tensor's."""
    if tangent._array.shape != t._array.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(t.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )


# --- where nothing is recorded: on raw arrays ---


def _unrecorded(op: Any, inputs: Sequence[Any], attributes: tuple) -> Tensor | None:
    """A result with its tangent, of float32 and float64 on the CPU; None where the general way is to be taken."""
    push = _pushes.get(op, op)
    if push is op:
        push = _pushes[op] = _write_push(op)
    if push is None or not state.forward or state.inference:
        return None
    arrays: list[Any] = []
    along: list[Any] = []
    for t in inputs:
        if not isinstance(t, Tensor):
            arrays.append(t)
            along.append(None)
            continue
        tangent = tangent_of(t)
        for one in (t,) if tangent is None else (t, tangent):
            a = one._array
            if type(a) is not _ndarray or (a.dtype is not _f32 and a.dtype is not _f64):
                return None
            if state.grad and one.requires_grad:
                return None
        arrays.append(t._array)
        along.append(None if tangent is None else tangent._array)
    try:
        out = _asarray(op.on_host(_host, *arrays, *attributes))
        if out.dtype.kind != "f":
            return None
        value = None if all(d is None for d in along) else push(along, arrays, attributes, out)
    except Exception:  # the general way says what is wrong
        return None
    result = from_array(out)
    return result if value is None else Tangent(from_array(value), state.level).give_to(result)


_host = backends.host
_ndarray, _asarray = _host.ndarray, _host.asarray
_f32, _f64 = dtypes.float32.numpy, dtypes.float64.numpy
_pushes: dict[Any, Callable | None] = {}


def _write_push(op: Any) -> Callable | None:
    """`(tangents, arrays, attributes, out) -> tangent of the result` of an operation; None if it has no formula."""
    if op.outputs != 1 or op.variadic or op.view or op.vjp is None:
        return None
    if op.jvp is not None:
        formula = _with_values(op, op.jvp, 1)
        return lambda along, arrays, attributes, out: _whole(formula(along, arrays, attributes, out), out.shape)
    if op.kind == "linear" and len(op.inputs) == 1:
        return lambda along, arrays, attributes, out: _asarray(op.forward(_host, along[0], *attributes))
    if op.kind == "multilinear":
        return functools.partial(_push_each, op)
    if op.kind == "elementwise" and not callable(op.vjp):
        parts = [_with_values(op, op.vjp[name], 2) if op.vjp.get(name) else None for name in op.inputs]
        return functools.partial(_push_diagonal, parts)
    return None


def _push_each(op: Any, along: list, arrays: list, attributes: tuple, out: Any) -> Any:
    total = None
    for i, d in enumerate(along):
        if d is not None:
            part = op.forward(_host, *arrays[:i], d, *arrays[i + 1 :], *attributes)
            total = part if total is None else total + part
    return _asarray(total)


def _push_diagonal(parts: list, along: list, arrays: list, attributes: tuple, out: Any) -> Any:
    total = None
    for d, part in zip(along, parts, strict=True):
        if d is not None and part is not None:
            d = d if d.shape == out.shape else _host.broadcast_to(d, out.shape)
            part = part(d, arrays, attributes, out)
            total = part if total is None else total + part
    return None if total is None else _whole(total, out.shape)


def _whole(value: Any, shape: tuple[int, ...]) -> Any:
    value = _asarray(value)
    return value if value.shape == shape else _host.broadcast_to(value, shape)


def _with_values(op: Any, formula: Callable, skipped: int) -> Callable:
    """A formula as a function of `(g, arrays, attributes, out)`: what it names is looked up in these.

    `skipped` parameters come before the names: xp, and for a vjp the gradient.
    """
    sources = {"out": "out"} | {name: f"attributes[{i}]" for i, name in enumerate(op.attributes)}
    for i, name in enumerate(op.inputs):
        sources |= {name: f"arrays[{i}]", f"{name}_shape": f"arrays[{i}].shape", f"{name}_dtype": f"arrays[{i}].dtype"}
        sources[f"d{name}"] = f"g[{i}]"
    names = ", ".join(sources[n] for n in parameters(formula)[skipped:])
    values = eval(f"lambda g, arrays, attributes, out: [{names}]")
    if skipped == 1:
        return lambda *given: formula(_host, *values(*given))
    kernel = native.Kernel(lambda xp, *values: [formula(xp, *values)])

    def pushed(g: Any, *given: Any) -> Any:
        named = values(g, *given)
        results = kernel(g, *named) if g.size >= native.SMALL else None
        return formula(_host, g, *named) if results is None else results[0]

    return pushed


# --- where it is: on raw arrays at first, too ---


class DeferredBackward(Node):
    """The history of a tangent that was computed on raw arrays: what it comes from is recorded when it is walked."""

    __slots__ = ("attributes", "op")
    op: Any
    attributes: tuple
    releases = True
    raw0, guarded = staticmethod(by_array), staticmethod(by_hand)

    @staticmethod
    def raw(node: DeferredBackward, g: Any, xp: Any) -> list[Any]:
        return node.pull(g, False)

    @staticmethod
    def recorded(node: DeferredBackward, g: Any, xp: Any) -> list[Any]:
        return node.pull(g, True)

    def pull(self, g: Any, create: bool) -> list[Any]:
        """The gradients of the primals and tangents, by the operations that compute the tangent from them."""
        from ..ops.index import alias

        if type(self.saved) is not tuple or self.version != _versions(self.saved):
            raise stale(self)
        before, state.grad = state.grad, True
        try:
            own = [t if e is None else alias.record((t,), (...,)) for t, e in zip(self.saved, self.edges, strict=True)]
            primals, tangents = own[: len(own) // 2], own[len(own) // 2 :]
            result = self.op.record(primals, self.attributes)
            (made,) = _tangents(self.op, primals, tangents, self.attributes, (result,))
        finally:
            state.grad = before
        grads: list[Any] = [None] * len(own)
        start = None if made is None else edge_of(made)
        if start is not None:
            places = [i for i, e in enumerate(self.edges) if e is not None]
            ends = [edge_of(own[i]) for i in places]
            found = walk([start], [g], retain=True, create=create, captures=ends)
            for i, one in zip(places, found, strict=True):
                grads[i] = one
        return grads


def _versions(saved: Sequence[Any]) -> int:
    return sum(saved_version(t._counter) for t in saved if isinstance(t, Tensor))


def _deferred(op: Any, primals: list, tangents: list, attributes: tuple, results: tuple) -> list[Tensor | None] | None:
    """The tangent of the result of one recorded call; None where it is to be made in the general way."""
    push, out = _pushes.get(op), results[0]._array
    if push is None or local.hooks or not state.grad or out.dtype.kind != "f":
        return None
    saved = (*primals, *tangents)
    edges = tuple(edge_of(t) if isinstance(t, Tensor) else None for t in saved)
    tensors = [t for t in saved if isinstance(t, Tensor)]
    if all(e is None for e in edges) or any(
        type(t._array) is not _ndarray or t.dtype is not results[0].dtype for t in tensors
    ):
        return None
    arrays = [t._array if isinstance(t, Tensor) else t for t in primals]
    value = push([None if t is None else t._array for t in tangents], arrays, attributes, out)
    if value is None:
        return None
    node = make(DeferredBackward, edges, saved, None, _versions(saved))
    node.op, node.attributes = op, attributes
    return [from_array(value, node, True)]


# --- in general ---


def _remember(inputs: Sequence[Any], primals: list, results: tuple, tangents: list) -> None:
    """Let the node of a call know the tangents of what it saved: its gradients have tangents of their own."""
    node = next((r._node for r in results if r._node is not None), None)
    node = node.node if type(node) is Output else node
    if not isinstance(node, Node) or type(node.saved) is not tuple:
        return
    duals = {id(p): t for p, t in zip(primals, inputs, strict=True) if p is not t}
    node.saved = tuple(
        tuple(duals.get(id(v), v) for v in value) if type(value) is tuple else duals.get(id(value), value)
        for value in node.saved
    )
    node.own_hooks().tangents = tuple(tangents)


def _tangents(op: Any, primals: list, tangents: list, attributes: tuple, results: tuple) -> list[Tensor | None]:
    """The tangents of the results of one call, None for those that have no gradient."""
    edges = [edge_of(p) if isinstance(p, Tensor) else None for p in primals]
    before = state.grad
    state.grad = before and any(edge_of(t) is not None for t in (*primals, *tangents) if isinstance(t, Tensor))
    try:
        if op.jvp is not None:
            return [_declared(op, primals, tangents, attributes, results[0])]
        if op.kind == "linear":
            return _linear(op, primals, tangents, attributes)
        if op.kind == "multilinear":
            return [_multilinear(op, primals, tangents, attributes)]
        diagonal = op.kind == "elementwise" and (op.holomorphic or results[0]._array.dtype.kind != "c")
        if diagonal and not any(isinstance(p, Tensor) and p._array.dtype.kind == "c" for p in primals):
            return [_diagonal(op, primals, tangents, edges, attributes, results[0])]
        return _general(op, primals, tangents, edges, attributes, results)
    finally:
        state.grad = before


def _linear(op: Any, primals: list, tangents: list, attributes: tuple) -> list[Tensor | None]:
    """A linear operation of tangents; what it is not differentiable by stays."""
    inputs = []
    for name, p, t in zip(op.inputs * len(primals) if op.variadic else op.inputs, primals, tangents, strict=True):
        if t is not None:
            inputs.append(t)
        elif p is None or not (callable(op.vjp) or op.vjp.get(name)):
            inputs.append(p)
        elif not isinstance(p, Tensor):
            inputs.append(0)
        else:
            inputs.append(zeros_like(p))
    made = op.record([inputs] if op.variadic else inputs, attributes)
    return list(made) if isinstance(made, tuple) else [made]


def _multilinear(op: Any, primals: list, tangents: list, attributes: tuple) -> Any:
    """The sum of the operations on all inputs but one, and the tangent of that."""
    total = None
    for i, t in enumerate(tangents):
        if t is not None:
            part = op.record([*primals[:i], t, *primals[i + 1 :]], attributes)
            total = part if total is None else total + part
    return total


def _declared(op: Any, primals: list, tangents: list, attributes: tuple, result: Tensor) -> Tensor:
    """By the operation's own formula, over tensors if it is to be recorded and else over raw arrays."""
    values = dict(zip(op.inputs, primals, strict=True)) | {"out": result}
    values |= {f"d{name}": t for name, t in zip(op.inputs, tangents, strict=True)}
    xp: Any = namespace
    if not state.grad:
        xp = backends.namespaces[type(result._array)]
        values = {name: v._array if isinstance(v, Tensor) else v for name, v in values.items()}
    values |= dict(zip(op.attributes, attributes, strict=True))
    formula = op.jvp if xp is backends.host or xp is namespace else xp.guarded(op.jvp, op)
    made = formula(xp, *(values[name] for name in op.jvp.__code__.co_varnames[1 : op.jvp.__code__.co_argcount]))
    made = made if state.grad else from_array(made)
    return made if made._array.shape == result._array.shape else made.expand(result._array.shape)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros of the same shape, dtype and device."""
    return from_array(backends.namespaces[type(t._array)].zeros_like(t._array))


def _node(op: Any, mask: int, primals: list, edges: list, attributes: tuple, results: tuple) -> Node:
    """A node of the call that gives back gradients for the inputs in `mask`, and whose own graph leads to `edges`."""
    mask |= sum(1 << i for i, e in enumerate(edges) if e is not None)
    raw = tuple(r._array for r in results)
    kind = raw[op.differentiable[0] if op.differentiable else 0].dtype.kind
    node = op.make_node(mask, primals, edges, attributes, raw[0] if op.outputs == 1 else raw, kind == "c")
    if not op.outputs:
        node._outputs = len(raw)
    return node


def _diagonal(op: Any, primals: list, tangents: list, edges: list, attributes: tuple, result: Tensor) -> Any:
    """Of a diagonal Jacobian: the vjp of the tangents."""
    shape, total = result._array.shape, None
    xp = backends.namespaces[type(result._array)]
    for i, t in enumerate(tangents):
        if t is None:
            continue
        node = _node(op, 1 << i, primals, edges, attributes, (result,))
        if state.grad:
            part = node.recorded(node, t.expand(shape), namespace)[i]
        else:
            a = t._array if t._array.shape == shape else xp.broadcast_to(t._array, shape)
            part = (node.raw if xp is backends.host else node.guarded)(node, a, xp)[i]
            part = None if part is None else from_array(part)
        if part is not None:
            total = part if total is None else total + part
    return total


def _general(
    op: Any, primals: list, tangents: list, edges: list, attributes: tuple, results: tuple
) -> list[Tensor | None]:
    """The vjp J^T u is linear in u; its own vjp by u, of the tangents, is J t."""
    mask = sum(1 << i for i, t in enumerate(tangents) if t is not None)
    node = _node(op, mask, primals, edges, attributes, results)
    positions = op.differentiable or range(len(results))
    seeds = [zeros_like(results[i]) for i in positions]
    for u in seeds:
        u._rg = u._array.dtype.kind in "fcV"
    create = state.grad
    state.grad = True
    grads = node.recorded(node, seeds if node._outputs > 1 else seeds[0], namespace)
    state.grad = create
    pairs = []
    for p, g, t in zip(primals, grads, tangents):
        if t is not None and g is not None and edge_of(g) is not None:
            if node.shapes is not None and g._array.shape != p._array.shape:
                state.grad = True
                g = sum_to(g, p._array.shape, namespace)
                state.grad = create
            pairs.append((edge_of(g), t if create else t._array))
    made: list[Tensor | None] = [None] * len(results)
    caught = walk(
        [e for e, _ in pairs], [t for _, t in pairs], retain=True, create=create, captures=[u for u in seeds if u._rg]
    )
    for i, t in zip([i for i, u in zip(positions, seeds) if u._rg], caught, strict=True):
        made[i] = zeros_like(results[i]) if t is None else t if create else from_array(t)
    return made


def write_tangent(t: Tensor, new: Any) -> None:
    """Let the tangent of `t`, over which `new` (a tensor or number) has just been written, follow."""
    tangent = tangent_of(new)
    if tangent is not None:
        start_tangent(t).copy_(tangent)
    elif tangent_of(t) is not None:
        t._view.tangent.value.zero_()


def start_tangent(t: Tensor) -> Tensor:
    """The tangent of a tensor; if it has none yet, zeros, which lie in the tangent of its base if it is a view."""
    old, view = tangent_of(t), t._view
    if old is not None:
        return old
    if view is None:
        hidden = from_array(t._array, t._node, t._rg)
        hidden._counter = version_of(t)
        view = t._view = View(hidden, (), "", hidden._counter.value)
    value = replay(start_tangent(view.base), view.steps) if view.steps else zeros_like(t)
    view.tangent = Tangent(value, state.level)
    return value

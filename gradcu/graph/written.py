"""The functions of operations that are written out as text, so that a call pays for no loop over its inputs.

`write_record` writes `Primitive.record` for one operation, `write_backward` what its nodes do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends
from ..backends import native
from ..tensor import Tensor, from_array
from .errors import explain, stale
from .modes import state
from .node import Node, Output, make
from .saved import reopen
from .views import mark_view


def parameters(function: Callable) -> tuple[str, ...]:
    """The names of a function's parameters."""
    code = getattr(function, "__wrapped__", function).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


@functools.cache
def write_record(op: Any) -> Callable:
    """`record(inputs, attributes)` of an operation with one result.

    For matmul, the part of each input being written for x alone:

        def record(inputs, attributes=()):
            x, y, = inputs
            mask, scalars, counted, xp = 0, 0, False, host
            if isinstance(x, Tensor):
                x_array = x._array
                if type(x_array) is not ndarray: xp = innermost(xp, type(x_array))
                if x._view is None: x_edge = x._node
                elif x._view.tangent is None: x_edge = x._view.edge(x)
                else: return x._view.tangent.record(op, inputs, attributes)
                if x_edge is None and x._rg: x_edge = x
                if x_edge is not None: mask |= 1
                if x._counter is not None: counted = True
            else:
                x_array, x_edge = x, None
                scalars |= 1
            ...
            if xp.depth:
                lifted = xp.bring(inputs)
                if lifted is not None: return record(lifted, attributes)
            try: result = (forward if xp is host else xp.guarded(forward, op))(xp, x_array, y_array)
            except Exception as error: raise explain(name, inputs, error) from error
            out = from_array(result)
            if mask and state.grad:
                result = out._array
                kind = result.dtype.kind
                if kind in "fcV":
                    key = (mask, scalars, kind == "c")
                    cls = nodes.get(key) or make_class(key, *key)
                    version = cls.count(inputs) if counted else 0
                    out._node = make(cls, (x_edge, y_edge), cls.save(inputs, attributes, result), None, version)
                    out._rg = True
            return out
    """
    lines = [
        "def record(inputs, attributes=()):",
        f"    {', '.join(op.inputs)}, = inputs",
        "    mask, scalars, counted, xp = 0, 0, False, host",
    ]
    for i, x in enumerate(op.inputs):
        lines += [
            f"    if isinstance({x}, Tensor):",
            f"        {x}_array = {x}._array",
            f"        if type({x}_array) is not ndarray: xp = innermost(xp, type({x}_array))",
            f"        if {x}._view is None: {x}_edge = {x}._node",
            f"        elif {x}._view.tangent is None: {x}_edge = {x}._view.edge({x})",
            f"        else: return {x}._view.tangent.record(op, inputs, attributes)",
            f"        if {x}_edge is None and {x}._rg: {x}_edge = {x}",
            f"        if {x}_edge is not None: mask |= {1 << i}",
            f"        if {x}._counter is not None: counted = True",
            "    else:",
            f"        {x}_array, {x}_edge = {x}, None",
            f"        scalars |= {1 << i}",
        ]
    arrays = ", ".join(f"{x}_array" for x in op.inputs)
    edges = ", ".join(f"{x}_edge" for x in op.inputs)
    settings = "".join(f", {a}" for a in op.attributes)
    if op.attributes:
        lines.append(f"    {', '.join(op.attributes)}, = attributes")
    lines += [
        "    if xp.depth:",
        "        lifted = xp.bring(inputs)",
        "        if lifted is not None: return record(lifted, attributes)",
        "    try:",
        f"        result = (forward if xp is host else xp.guarded(forward, op))(xp, {arrays}{settings})",
        "    except Exception as error:",
        "        raise explain(name, inputs, error) from error",
        "    out = from_array(result)",
    ]
    if op.vjp is not None:
        lines += [
            "    if mask and state.grad:",
            "        result = out._array",
            "        kind = result.dtype.kind",
            "        if kind in 'fcV':",
            "            key = (mask, scalars, kind == 'c')",
            "            cls = nodes.get(key) or make_class(key, *key)",
            "            version = cls.count(inputs) if counted else 0",
            f"            out._node = make(cls, ({edges},), cls.save(inputs, attributes, result), None, version)",
            "            out._rg = True",
        ]
    if op.view:
        when = "" if op.view != "maybe" else f"if xp.is_view(out._array, {op.inputs[0]}_array): "
        lines.append(f"    {when}mark_view(out, {op.inputs[0]}, op, attributes)")
    lines.append("    return out")
    scope = {
        "Tensor": Tensor,
        "innermost": backends.innermost,
        "ndarray": backends.host.ndarray,
        "host": backends.host,
        "forward": op.forward,
        "explain": explain,
        "name": op.name,
        "from_array": from_array,
        "state": state,
        "nodes": op._nodes,
        "make_class": op._make_class,
        "make": make,
        "mark_view": mark_view,
        "op": op,
    }
    return _compiled(lines, op.name, scope, "record")


def _compiled(lines: Sequence[str], op: str, scope: dict[str, Any], name: str) -> Callable:
    exec(compile("\n".join(lines), f"<gradcu {op}>", "exec"), scope)
    return scope[name]


def write_backward(
    op: Any,
    formulas: Sequence[Callable | None],
    wanted: Sequence[str],
    tensors: Sequence[str],
    needs: tuple[bool, ...],
    joint: bool,
    conjugate: bool,
    way: str,
    mask: int = -1,
) -> Callable:
    """The function that runs a node, as text: unpack, check versions, call the formulas.

    For multiply, on raw arrays:

        def raw(node, g, xp):
            saved = node.saved
            if type(saved) is not tuple: saved = reopen(node)
            y, x = saved
            version = 0
            if y._counter is not None: version += y._counter.value
            if x._counter is not None: version += x._counter.value
            if version != node.version: raise stale(node)
            return f0(xp, g, y._array), f1(xp, g, x._array)

    `raw0` is the same for 0-d results, whose gradients are NumPy scalars on the CPU: with scalars as partners (`[()]`)
    they are an order faster than with 0-d arrays. `guarded` lets the namespace run each formula. `recorded` hands over
    the saved tensors themselves.

    mask: a bit for each input whose gradient is to be computed, of those that have a formula.
    """
    needs = tuple(need and bool(mask >> i & 1) for i, need in enumerate(needs))
    if not joint:
        formulas = [f if mask >> i & 1 else None for i, f in enumerate(formulas)]
    inner = {"raw": "._array", "guarded": "._array", "raw0": "._array[()]", "recorded": ""}[way]
    lines = [f"def {way}(node, g, xp):", "saved = node.saved", "if type(saved) is not tuple: saved = reopen(node)"]
    if wanted:
        lines.append(f"{', '.join(wanted)}{',' if len(wanted) == 1 else ''} = saved")
    checks_out = "out" in wanted
    if tensors or checks_out:
        lines.append("version = 0")
        for n in tensors:
            if op.variadic:
                lines.append(f"version += sum(t._counter.value for t in {n} if t._counter is not None)")
            else:
                lines.append(f"if {n}._counter is not None: version += {n}._counter.value")
        if checks_out:
            lines.append("if node.output_version is not None: version += sum(v.value for v in node.output_version)")
        lines.append("if version != node.version: raise stale(node)")
    kernel = None
    pointwise = op.kind == "elementwise" and op.outputs == 1 and not (joint or conjugate or "needs" in wanted)
    if pointwise and way in ("raw", "guarded"):
        kernel, call = _kernel(op, formulas, wanted, tensors)
        lines.append(f"results = {call}{' if g.size >= small else None' if way == 'raw' else ''}")
        lines.append("if results is not None: return results")
    value = {}
    for n in wanted:
        value[n] = n
        if n in tensors:
            value[n] = f"[t{inner} for t in {n}]" if op.variadic else f"{n}{inner}"
        elif n == "out":
            value[n] = {
                "raw": "out",
                "guarded": "out",
                "raw0": "out" if op.outputs != 1 else "out[()]",
                "recorded": "rebuild(node, out)",
            }[way]
        elif n == "rest" and way == "recorded":
            value[n] = "rebuild(node, (None, *rest))[1:]"
    if conjugate:
        lines.append("g = [None if one is None else xp.conj(one) for one in g]" if op.several else "g = xp.conj(g)")
    calls = []
    for i, f in enumerate(formulas):
        if f is None:
            calls.append("None")
        else:
            names = ("needs" if n == "needs" else value[n] for n in parameters(f)[2:])
            called = f"xp.guarded(f{i}, op)" if way == "guarded" else f"f{i}"
            calls.append(f"{called}(xp, g{''.join(', ' + n for n in names)})")
    result = calls[0] if joint else f"({', '.join(calls)},)"
    if conjugate:
        result = f"[None if r is None else xp.conj(r) for r in {result}]"
    lines.append(f"return {result}")
    scope: dict[str, Any] = {"stale": stale, "reopen": reopen, "rebuild": rebuild, "needs": needs, "op": op}
    scope |= {"kernel": kernel, "small": native.SMALL}
    scope.update({f"f{i}": f for i, f in enumerate(formulas)})
    return _compiled([lines[0], *(f"    {line}" for line in lines[1:])], op.name, scope, way)


def _kernel(
    op: Any, formulas: Sequence[Callable | None], wanted: Sequence[str], tensors: Sequence[str]
) -> tuple[Any, str]:
    """The formulas as one kernel, for large arrays on the CPU and any on a device, and the text that calls it."""
    wanted_by = [(i, f, parameters(f)[2:]) for i, f in enumerate(formulas) if f is not None]

    def formula(xp: Any, g: Any, *values: Any) -> list[Any]:
        value = dict(zip(wanted, values, strict=True))
        return [f(xp, g, *(value[n] for n in names)) for _, f, names in wanted_by]

    compiled = native.Kernel(formula)

    def kernel(xp: Any, *values: Any) -> list[Any] | None:
        results = compiled(*values) if xp is backends.host else xp.fused(compiled, values)
        if results is None or len(results) == len(formulas):
            return results
        spread: list[Any] = [None] * len(formulas)
        for (i, _, _), r in zip(wanted_by, results, strict=True):
            spread[i] = r
        return spread

    return kernel, f"kernel(xp, g{''.join(f', {n}._array' if n in tensors else f', {n}' for n in wanted)})"


def rebuild(node: Node, out: Any) -> Any:
    """The saved result as a tensor around its node, when a graph of the backward is made."""
    tangents = () if node.hooks is None else node.hooks.tangents
    if type(out) is tuple:
        positions = node.primitive.differentiable
        several = len(positions) > 1
        rebuilt = tuple(
            None
            if a is None
            else from_array(a, (Output(node, positions.index(i)) if several else node), True)
            if i in positions
            else from_array(a)
            for i, a in enumerate(out)
        )
        return tuple(map(_with_tangent, rebuilt, tangents)) if tangents else rebuilt
    whole = from_array(out, node, True)
    return _with_tangent(whole, tangents[0]) if tangents else whole


def _with_tangent(t: Tensor | None, tangent: Any) -> Tensor | None:
    return t if t is None or tangent is None else tangent.give_to(t)

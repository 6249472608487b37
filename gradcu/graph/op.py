"""How an operation is declared, and what a declaration makes.

A declaration gives a forward formula and, per input, a vector-Jacobian product, all over an array namespace `xp`. The
names of a formula's parameters say what it needs, and only that is saved:

    x, y, ...        an input, by the name that the forward formula gives it
    out              the result (a tuple if there are several)
    rest             of several results those but the first, which users may then write to
    axis, ...        an attribute: a parameter of the forward formula that is no tensor
    x_shape, x_dtype the shape and raw dtype of the input x, without keeping x

From it come the primitive (recorded under its array-API name for formulas of higher order), and one `Node` class for
each set of inputs that need a gradient, whose `raw` and `recorded` functions are written out as text, as dataclasses
write `__init__`: a node pays for no loop over its inputs.

Formulas are those of real numbers. For complex ones the walk conjugates around them: if f is holomorphic, the gradient
is conj(f') g = conj(f' conj(g)). Operations that are not declare `holomorphic=False` and formulas in PyTorch's
(Wirtinger) convention.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import backends
from ..tensor import Tensor, from_array
from .errors import explain
from .modes import state
from .node import Node, NodeType, Output, make
from .recorded import namespace
from .saved import at
from .version import InferenceVersion
from .views import mark_view
from .written import parameters, rebuild, write_backward, write_record

_host, innermost = backends.host, backends.innermost
_ndarray = _host.ndarray

#: how PyTorch calls what formulas call x, y, out, axis, ... in `_saved_*`
_SHOWN = {"x": "self", "y": "other", "out": "result", "axis": "dim", "keepdims": "keepdim"}


class Primitive:
    """One declared operation; call it on tensors and attributes."""

    def __init__(
        self,
        name: str,
        forward: Callable,
        vjp: Mapping[str, Callable | None] | Callable | None = None,
        *,
        inputs: int = 1,
        kind: str = "general",
        node: str | dict[int, str] = "",
        outputs: int = 1,
        differentiable: Sequence[int] | None = None,
        variadic: bool = False,
        holomorphic: bool = True,
        view: bool | str = False,
        jvp: Callable | None = None,
        constants: dict[str, Any] | None = None,
        saved: dict[str, str] | None = None,
        domain: tuple[float, float] | Sequence[tuple[float, float]] = (-3.0, 3.0),
        samples: Callable | None = None,
        listed: bool = True,
    ) -> None:
        """Declare `name`.

        forward: `(xp, x, y, ..., axis, ...)`: the first `inputs` parameters after xp are tensors (numbers or None may
            stand in their place), the rest attributes. With `variadic` the one input is a list of tensors.
        vjp: by input `(xp, g, ...) -> gradient`; or one function `(xp, g, needs, ...) -> tuple` for all inputs, where
            `needs` says which are wanted. `g` is a list if several results are differentiable. None: no gradient.
        kind: "elementwise" (the Jacobian is diagonal: the jvp is the vjp), "linear" (the jvp is the operation itself),
            "multilinear" (linear in each input alone) or "general".
        jvp: `(xp, dx, dy, ..., x, out, ...) -> tangent of the result`, where `dx` is the tangent of x or None. Only for
            speed: without it the tangent follows from `kind`, for "general" by differentiating the vjp.
        node: the name of the node; `TanhBackward0` for tanh if not given. Where PyTorch's differs if operands are
            numbers: {0: the usual name, 1: if the first is a number, 2: if the second is, ...} (a bit mask).
        outputs, differentiable: the number of results, and the positions of those that may require grad (default all).
            With outputs=0 there are as many as the forward formula gives, two at least.
        view: the result shares the memory of x; "maybe" if the library decides; "memory" if it may show any of that
            memory, whatever part of it x is.
        constants: further `_saved_*` attributes of the node, the same for every call.
        saved: how PyTorch calls what a formula names in `_saved_*`, where that is not the usual: {"y": "exponent"}.
        domain: the range of values in which tests try it, for all inputs or one each.
        samples: `(make) -> list of argument tuples` for tests, where `make(*shape)` gives an input with values in the
            domain. Elementwise operations need none.
        listed: whether formulas can name it, as `xp.<name>`.
        """
        names = parameters(forward)[1:]
        self.on_host = forward  # what runs: the formula, if nothing better is put in its place
        self.name, self.forward, self.vjp, self.jvp, self.kind = name, forward, vjp, jvp, kind
        self.inputs, self.attributes = names[:inputs], names[inputs:]
        self.outputs, self.variadic, self.view, self.holomorphic = outputs, variadic, view, holomorphic
        self.differentiable = tuple(range(outputs)) if differentiable is None else tuple(differentiable)
        self.several = outputs != 1 and len(self.differentiable) != 1  # whether formulas get a list of gradients
        usual = "".join(p[:1].upper() + p[1:] for p in name.split("_")) + "Backward0"
        self.node_names = node if isinstance(node, dict) else {0: node or usual}
        self.constants, self.saved = constants or {}, _SHOWN | (saved or {})
        self.domain, self.samples = domain, samples
        self._nodes: dict[tuple, type[Node]] = {}
        defaults = forward.__defaults__ or ()
        self._defaults = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        self._defaults.update(forward.__kwdefaults__ or {})
        if listed:
            registry[name] = self
            setattr(namespace, name, self)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *args: Any, **attributes: Any) -> Any:
        """Apply to tensors in order, and attributes in order or by name."""
        n = len(self.inputs)
        if len(args) > n or attributes or len(args) < n + len(self.attributes):
            given = list(args[n:])
            for name in self.attributes[len(given) :]:
                given.append(attributes[name] if name in attributes else self._defaults[name])
            inputs = list(args[:n])
            for name in self.inputs[len(inputs) :]:
                inputs.append(attributes[name] if name in attributes else self._defaults[name])
            return self.record(inputs, tuple(given))
        return self.record(args, ())

    def record(self, inputs: Sequence[Any], attributes: tuple = ()) -> Any:
        """Compute, and leave a node behind if an input requires grad."""
        if self.outputs == 1 and not self.variadic and self.kind != "elementwise":
            written = write_record(self)
            vars(self).setdefault("record", written)  # unless an interceptor stands there
            return written(inputs, attributes)
        tensors = inputs[0] if self.variadic else inputs
        arrays, edges, mask, scalars, counted, bit, xp = [], [], 0, 0, False, 1, _host
        for t in tensors:
            if isinstance(t, Tensor):
                a = t._array
                arrays.append(a)
                if t._counter is not None:
                    counted = True
                if t._view is None:
                    edge = t._node
                elif t._view.tangent is None:
                    edge = t._view.edge(t)
                else:
                    return t._view.tangent.record(self, inputs, attributes)
                if edge is not None:
                    mask |= bit
                elif t._rg:
                    edge = t
                    mask |= bit
                edges.append(edge)
                if type(a) is not _ndarray:
                    xp = innermost(xp, type(a))
            else:
                scalars |= bit
                arrays.append(t)
                edges.append(None)
            bit <<= 1
        if xp.depth:
            lifted = xp.bring(tensors)
            if lifted is not None:
                return self.record([lifted] if self.variadic else lifted, attributes)
        try:
            forward = self.on_host if xp is _host else xp.guarded(self.forward, self)
            result = forward(xp, arrays, *attributes) if self.variadic else forward(xp, *arrays, *attributes)
        except Exception as error:
            raise explain(self.name, tensors, error) from error
        record = mask and self.vjp is not None and state.grad
        if self.outputs == 1:
            out = from_array(result)
            if record:
                kind = out._array.dtype.kind
                if kind in "fcV":
                    out._node = self.link(mask, scalars, counted, tensors, edges, attributes, out._array, kind == "c")
                    out._rg = True
            if self.view and (self.view != "maybe" or xp.is_view(out._array, arrays[0])):
                mark_view(out, tensors[0], self, attributes)
            return out
        outs = tuple(from_array(r) for r in result)
        if record:
            raw = tuple(o._array for o in outs)
            positions = self.differentiable or range(len(outs))
            complex_ = raw[positions[0]].dtype.kind == "c"
            node: Any = self.link(mask, scalars, counted, tensors, edges, attributes, raw, complex_)
            if not self.outputs:
                node._outputs = len(outs)
            for i, position in enumerate(positions):
                o = outs[position]
                if o._array.dtype.kind in "fcV":
                    o._node, o._rg = (Output(node, i) if self.several else node), True
        return outs

    def make_node(
        self,
        mask: int,
        tensors: Sequence[Any],
        edges: Sequence[Any],
        attributes: tuple,
        out: Any,
        complex_: bool = False,
    ) -> Node:
        """The node of a call made elsewhere: `mask` has a bit for each input that needs a gradient."""
        scalars = sum(1 << i for i, t in enumerate(tensors) if not isinstance(t, Tensor))
        return self.link(mask, scalars, True, tensors, edges, attributes, out, complex_)

    def link(
        self,
        mask: int,
        scalars: int,
        counted: bool,
        tensors: Sequence[Any],
        edges: Sequence[Any],
        attributes: tuple,
        out: Any,
        complex_: bool,
    ) -> Node:
        """The node of one call: edges, and of inputs, attributes and result what the wanted formulas name.

        `mask` has a bit for each input that needs a gradient, `scalars` for each that is no tensor; `counted` says
        that one of them has a version counter.
        """
        key = (complex_,) if self.variadic else (mask, scalars, complex_)
        cls = self._nodes.get(key) or self._make_class(key, mask, scalars, complex_)
        shapes = None
        if self.kind == "elementwise" and len(edges) > 1:
            own = tuple(t._array.shape if isinstance(t, Tensor) else () for t in tensors)
            full = (out if self.outputs == 1 else out[0]).shape
            if any(s != full for s, t in zip(own, tensors) if isinstance(t, Tensor)):
                shapes = own
        version = cls.count(tensors) if counted else 0
        return make(cls, tuple(edges), cls.save(tensors, attributes, out), shapes, version)

    def _make_class(self, key: tuple, mask: int, scalars: int, complex_: bool) -> type[Node]:
        """The class of nodes for one set of inputs that need a gradient."""
        joint = callable(self.vjp)
        formulas: list[Callable | None]
        if joint:
            formulas = [self.vjp]  # type: ignore[list-item]
        else:
            formulas = [
                self.vjp.get(n) if mask >> i & 1 else None  # type: ignore[union-attr]
                for i, n in enumerate(self.inputs)
            ]
        wanted: list[str] = []
        for f in formulas:
            if f is not None:
                wanted += [n for n in parameters(f)[2:] if n not in wanted and n != "needs"]
        # where each saved value comes from, as text over a call's `tensors`, `attributes` and `out`
        sources, tensors, counted = [], [], []
        for n in wanted:
            base = n[:-6]
            if n == "out":
                sources.append("out")
            elif n == "rest":
                sources.append("out[1:]")
            elif n in self.inputs:
                i = self.inputs.index(n)
                if self.variadic:
                    sources.append("tuple(tensors)")
                    tensors.append(n)
                else:
                    sources.append(f"tensors[{i}]")
                    if not scalars >> i & 1:
                        tensors.append(n)
                        counted.append(f"tensors[{i}]._counter")
            elif n in self.attributes:
                sources.append(f"attributes[{self.attributes.index(n)}]")
            elif base in self.inputs and n[-6:] in ("_shape", "_dtype"):
                i, what = self.inputs.index(base), n[-5:]
                if self.variadic:
                    sources.append(f"tuple(t._array.{what} for t in tensors)")
                else:
                    sources.append("()" if scalars >> i & 1 else f"tensors[{i}]._array.{what}")
            else:
                raise TypeError(f"{self.name}: a formula names '{n}', which is neither input, attribute nor out")
        if self.variadic and tensors:
            count = "sum(saved_version(t._counter) for t in tensors)"
        else:
            count = " + ".join(f"saved_version({c})" for c in counted) or "0"
        scope = {"saved_version": saved_version}
        saves = "".join(f"{source}, " for source in sources)
        needs = tuple(bool(mask >> i & 1) for i in range(len(self.inputs)))
        body: dict[str, Any] = {
            "__slots__": () if self.outputs else ("_outputs",),
            "sources": dict(zip(wanted, sources)),
            "saves": bool(sources),
            "save": staticmethod(eval(f"lambda tensors, attributes, out: ({saves})")),
            "count": staticmethod(eval(f"lambda tensors: {count}", scope)),
            "releases": bool(tensors) or "out" in wanted or "rest" in wanted,
            "saved_names": (*map(self.shown, wanted), *self.constants),
            "constants": self.constants,
            "primitive": self,
            "parts": None if self.variadic or len(self.inputs) == 1 else {},
            "write": staticmethod(
                functools.partial(
                    write_backward, self, formulas, wanted, tensors, needs, joint, complex_ and self.holomorphic
                )
            ),
        }
        if self.outputs:
            body["_outputs"] = len(self.differentiable)
        name = self.node_names.get(scalars, self.node_names[0])
        cls: Any = NodeType(name, (Node,), body)
        self._nodes[key] = cls
        return cls

    def shown(self, name: str) -> str:
        """The name in `_saved_*` of what formulas call `name`."""
        base = name.removesuffix("_shape")
        return self.saved.get(name, name) if base == name else f"{self.saved.get(base, base)}_sym_sizes"


registry: dict[str, Primitive] = {}


def saved_version(counter: Any) -> int:
    """The count of a value about to be saved. Raises RuntimeError for inference tensors."""
    if counter is None:
        return 0
    if type(counter) is InferenceVersion:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. To work around you can make a clone to get a "
            "normal tensor and use it in autograd."
        )
    return counter.value


def saved_value(node: Node, name: str) -> Any:
    """`node._saved_<name>`."""
    cls = type(node)
    if name in getattr(cls, "constants", ()):
        return cls.constants[name]
    if name not in cls.saved_names:
        raise AttributeError(f"'{cls.__name__}' object has no attribute '_saved_{name}'")
    position = cls.saved_names.index(name)
    value = at(node, position)
    return rebuild(node, value) if list(cls.sources)[position] == "out" else value

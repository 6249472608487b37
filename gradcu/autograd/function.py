"""`Function`: operations with a forward and a backward of the user's own."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from .. import backends
from ..graph.engine import sum_to
from ..graph.errors import stale
from ..graph.modes import no_grad, state
from ..graph.node import Node, NodeType, Output, by_array, make
from ..graph.op import saved_version
from ..graph.recorded import namespace as recorded
from ..graph.saved import Pack, local, pack
from ..graph.views import change, check_inplace
from ..tensor import Tensor, edge_of, from_array, version_of
from .forward import Tangent, check_shape, primal_of, tangent_of, zeros_like


class FunctionCtx:
    """`ctx`, which forward and backward of a `Function` share.

    All attributes but these are the user's own, under any name; the node (`grad_fn` of the result) shows them too.
    """

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    dirty_tensors: tuple[Tensor, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()
    to_save: tuple[Tensor | None, ...] = ()
    saved_for_forward: tuple[Tensor | None, ...] | None = None
    _forward_cls: type[Function]
    _node: Callable[[], FunctionNode | None] | None = None  # a weak reference: the node holds this

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or results for backward, where `saved_tensors` gives them back, checked against changes in place.

        Raises TypeError for anything that is no tensor: keep that as an attribute of ctx.
        """
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or results for `jvp`, where `saved_tensors` gives them."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward has changed in place; each must be returned."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default), or None, for results that nothing depends on."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept (in `jvp`, `save_for_forward`).

        Raises RuntimeError if it was freed or has been changed in place.
        """
        if self._node is None:
            return self.saved_for_forward or ()
        node = self._node()
        return () if node is None else node.open()

    saved_variables = saved_tensors

    def __getattr__(self, name: str) -> Any:
        node = None if self._node is None else self._node()
        if node is not None and name in _OF_THE_NODE:
            return getattr(node, name)
        raise AttributeError(f"'{self._forward_cls.__name__}Backward' object has no attribute '{name}'")


BackwardCFunction = FunctionCtx  # in PyTorch another class, in backward

#: what PyTorch's ctx has as it is the node itself
_OF_THE_NODE = frozenset(("metadata", "name", "next_functions", "register_hook", "register_prehook"))


class FunctionNode(Node):
    """The node of a `Function`."""

    __slots__ = ("_differentiable", "_inputs", "_outputs", "_results", "ctx")
    ctx: FunctionCtx
    _inputs: tuple[tuple | None, ...]  # (shape, dtype, device) of each argument that is a tensor
    _differentiable: tuple[bool, ...]  # for each result
    _results: tuple[Any, ...]  # a raw array's type, shape and dtype for each result that is a tensor
    releases = True

    def open(self) -> tuple[Tensor | None, ...]:
        """The saved tensors. Raises RuntimeError if they were freed or have been changed in place."""
        if type(self.saved) is not tuple:
            raise stale(self)
        found = []
        for t, index, version in self.saved:
            if type(t) is Pack:
                t = t.open()
            elif t is not None and t._counter is not None and t._counter.value != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"[{t.dtype} {list(t.shape)}], which {self.name()} saved, is at version {t._counter.value}; "
                    f"expected version {version} instead. It was changed by {t._counter.changed_by}."
                )
            if index is not None:  # a result: around this node again
                edge = Output(self, index) if self._outputs > 1 else self
                t = from_array(t._array, edge if self._differentiable[index] else None, self._differentiable[index])
            found.append(t)
        return tuple(found)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name[:5] in ("_save", "_raw_", "ctx") else getattr(self.ctx, name)

    raw0 = staticmethod(by_array)

    @staticmethod
    def raw(node: FunctionNode, g: Any, xp: Any) -> list[Any]:
        several = g if node._outputs > 1 else [g]
        results = node._run([None if one is None else from_array(one) for one in several])
        return [None if r is None else r._array for r in results]

    guarded = raw

    @staticmethod
    def recorded(node: FunctionNode, g: Any, xp: Any) -> list[Any]:
        return node._run(g if node._outputs > 1 else [g])

    def _run(self, grads: list[Tensor | None]) -> list[Tensor | None]:
        """The user's backward, and what it returned checked: one gradient, of the right kind, for each input tensor."""
        if type(self.saved) is not tuple:
            raise stale(self)
        ctx = self.ctx
        if ctx.materialize_grads:
            for i, (g, result) in enumerate(zip(grads, self._results, strict=True)):
                if g is None and result is not None:
                    kind, shape, dtype = result
                    grads[i] = from_array(backends.namespaces[kind].zeros(shape, dtype=dtype))
        returned = ctx._forward_cls._backward()(ctx, *grads)
        results = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        count = len(self._inputs)
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {count}, got {len(results)})"
            )
        checked = []
        for i, (r, described) in enumerate(zip(results, self._inputs, strict=True)):
            if described is None:
                if r is not None:
                    raise RuntimeError(
                        f"function {self.name()} returned a gradient different than None at position {i + 1}, but the "
                        "corresponding forward input was not a Variable"
                    )
                continue
            checked.append(r if r is None else self._fit(i, r, *described))
        return checked

    def _fit(self, i: int, r: Any, shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
        if not isinstance(r, Tensor):
            raise TypeError(f"expected Tensor or tuple of Tensor from {self.name()}, but got {type(r).__name__}")
        if r.device != device:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {i} - expected device {device} "
                f"but got {r.device}"
            )
        if r.is_complex() and not dtype.is_complex:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {i} - expected a real gradient but got "
                f"{r.dtype}"
            )
        if tuple(r.shape) != shape:
            try:
                r = sum_to(r, shape, recorded)
            except Exception:
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got {list(r.shape)} but "
                    f"expected shape compatible with {list(shape)}"
                ) from None
        return r if r.dtype is dtype else r.to(dtype)


class Function:
    """An operation with its own backward: subclass it, and call `apply`.

    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return 2 * g
    >>> Double.apply(tensor([1.0], requires_grad=True))
    tensor([2.], grad_fn=<DoubleBackward>)

    Either `forward(ctx, *args)` saves what backward needs, or `forward(*args)` leaves that to
    `setup_context(ctx, inputs, output)`. `backward(ctx, *grads)` returns one gradient, or None, per argument.
    """

    _node: type[FunctionNode]
    _ctx: type[FunctionCtx]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        cls._node = NodeType(name, (FunctionNode,), {"__slots__": ()})  # type: ignore[assignment]
        cls._ctx = type(name, (FunctionCtx,), {"_forward_cls": cls})

    def __call__(self, *args: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method: call Function.apply(...)."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the results; not recorded."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save on `ctx` what backward needs, when `forward` does not take ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments of `forward`, given those of its results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangents of the results, given those of the arguments of `forward`: for forward mode."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def _backward(cls) -> Callable:
        own = cls.backward is not Function.backward
        if own and cls.vjp is not Function.vjp:
            raise RuntimeError("Implementing both 'backward' and 'vjp' for a custom Function is not allowed.")
        return cls.vjp if not own else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward on the arguments, and record it if one of them requires grad."""
        ctx = cls._ctx()
        with_context = cls.setup_context is Function.setup_context
        if kwargs or not with_context:
            bound = inspect.signature(cls.forward).bind(*((ctx,) if with_context else ()), *args, **kwargs)
            if not with_context:
                bound.apply_defaults()
            args = bound.args[1:] if with_context else bound.args
        if state.forward and not state.inference and any(tangent_of(a) is not None for a in args):
            return cls._with_tangents(ctx, args)
        return cls._record(ctx, args)

    @classmethod
    def _record(cls, ctx: FunctionCtx, args: tuple) -> Any:
        with_context = cls.setup_context is Function.setup_context
        edges = [edge_of(a) if isinstance(a, Tensor) else None for a in args]
        record = state.grad and any(e is not None for e in edges)
        ctx.needs_input_grad = tuple(e is not None for e in edges)
        with no_grad():
            if with_context:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        if not record:
            for t in ctx.dirty_tensors:
                change(t, None, cls.__name__)
            ctx.to_save = ()
            return output
        single = not isinstance(output, tuple)
        results = (output,) if single else output
        node = make(cls._node, tuple(e for e, a in zip(edges, args, strict=True) if isinstance(a, Tensor)), ())
        node.ctx, ctx._node = ctx, weakref.ref(node)
        node._inputs = tuple((tuple(a.shape), a.dtype, a.device) if isinstance(a, Tensor) else None for a in args)
        node._outputs = len(results)
        node._results = tuple(
            (type(r._array), r._array.shape, r._array.dtype) if isinstance(r, Tensor) else None for r in results
        )
        wrapped = _attach(node, results, args, cls.__name__)
        node.saved = _saved(ctx, results, wrapped)
        if local.hooks:
            pack(node)
        ctx.dirty_tensors = ctx.non_differentiable = ctx.to_save = ()
        return wrapped[0] if single else tuple(wrapped)

    @classmethod
    def _with_tangents(cls, ctx: FunctionCtx, args: tuple) -> Any:
        """Record on the primals, and have `jvp` give the tangents of the results."""
        primals = tuple(map(primal_of, args))
        output = cls._record(ctx, primals)
        results = output if isinstance(output, tuple) else (output,)
        tangents = [tangent_of(a) for a in args]
        if ctx.materialize_grads:
            tangents = [
                zeros_like(p) if t is None and isinstance(p, Tensor) and p._array.dtype.kind in "fcV" else t
                for p, t in zip(primals, tangents, strict=True)
            ]
        node, ctx._node = ctx._node, None  # `saved_tensors` are those for forward mode
        made = cls.jvp(ctx, *tangents)
        ctx._node, ctx.saved_for_forward = node, None
        made = made if isinstance(made, tuple) else (made,)
        if len(made) != len(results):
            raise RuntimeError(
                f"Function's jvp returned an invalid number of forward gradients (expected {len(results)} "
                f"but got {len(made)})"
            )
        given = []
        for r, t in zip(results, made, strict=True):
            if t is not None and isinstance(r, Tensor):
                check_shape(r, t)
                own = next((a for a, p in zip(args, primals, strict=True) if p is r and a is not r), None)
                if own is not None:  # changed in place, or handed on
                    own._view.tangent = Tangent(t, state.level)
                    r = own
                else:
                    r = Tangent(t, state.level).give_to(r)
            given.append(r)
        return tuple(given) if isinstance(output, tuple) else given[0]


def _attach(node: FunctionNode, results: tuple, args: tuple, name: str) -> list[Any]:
    """Give the results that forward returned their history; the tensors that users get."""
    ctx = node.ctx
    wrapped, differentiable = [], []
    for t in ctx.dirty_tensors:
        if not any(t is r for r in results):
            raise RuntimeError("Some elements marked as dirty during the forward method were not returned as output.")
    for i, r in enumerate(results):
        if not isinstance(r, Tensor):
            wrapped.append(r)
            differentiable.append(False)
            continue
        edge = Output(node, i) if node._outputs > 1 else node
        can = r._array.dtype.kind in "fcV" and not any(r is n for n in ctx.non_differentiable)
        differentiable.append(can)
        if any(r is d for d in ctx.dirty_tensors):
            if not any(r is a for a in args):
                raise RuntimeError("mark_dirty: only tensors that are inputs can be marked as changed in place")
            check_inplace(r)
            change(r, edge if can else None, name)
        elif not can:
            r = r.detach() if r._node is not None or any(r is a for a in args) else r
            r._rg = False
        else:
            if any(r is a for a in args) or r._view is not None:  # another tensor around the same memory
                counter = version_of(r)
                r = from_array(r._array)
                r._counter = counter
            r._node, r._rg = edge, True
        wrapped.append(r)
    node._differentiable = tuple(differentiable)
    return wrapped


def _saved(ctx: FunctionCtx, originals: tuple, wrapped: list[Any]) -> tuple:
    """What was asked to be kept: results by their arrays, so that the node does not hold the tensor that holds it."""
    saved: list[tuple[Tensor | None, int | None, int]] = []
    for t in ctx.to_save:
        if t is None:
            saved.append((None, None, 0))
            continue
        index = next((i for i, (o, w) in enumerate(zip(originals, wrapped, strict=True)) if t is o or t is w), None)
        version = 0 if t._counter is None else saved_version(t._counter)
        if index is not None:
            counter = version_of(wrapped[index])
            version = counter.value
            t = from_array(wrapped[index]._array)
            t._counter = counter
        saved.append((t, index, version))
    return tuple(saved)


class _Twice(Node):
    """Ends the graph behind a gradient that cannot be differentiated again."""

    __slots__ = ()

    @staticmethod
    def raw(node: Node, g: Any, xp: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

    raw0 = guarded = recorded = raw


def once_differentiable(backward: Callable) -> Callable:
    """Decorator of a `backward` that must not be differentiated: doing so raises RuntimeError."""

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not state.grad or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return results
        several = results if isinstance(results, tuple) else (results,)
        node = make(_Twice, tuple(edge_of(g) for g in grads if isinstance(g, Tensor)), ())
        marked = tuple(from_array(r._array, node, True) if isinstance(r, Tensor) else r for r in several)
        return marked if isinstance(results, tuple) else marked[0]

    return wrapper

"""`Function`: operations with a forward and a backward of the user's own."""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from ..backends.batched import Level, innermost_level
from ..graph.modes import no_grad, state
from ..graph.node import Node, NodeType, Output, make
from ..graph.op import saved_version
from ..graph.saved import local, pack
from ..graph.views import change, check_inplace
from ..ops.batch import batch, outside, together
from ..ops.index import alias
from ..tensor import Tensor, edge_of, from_array, version_of
from .forward import Tangent, check_shape, primal_of, tangent_of, zeros_like
from .function_node import BackwardCFunction as BackwardCFunction, FunctionCtx, FunctionNode


class VmapInfo(NamedTuple):
    """What `Function.vmap` is told of the vmap it runs in."""

    batch_size: int
    randomness: str


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

    generate_vmap_rule: bool = False
    """Whether `forward`, `backward` and `jvp` may run on tensors that stand for all examples of a `vmap`."""

    _node: type[FunctionNode]
    _ctx: type[FunctionCtx]

    #: let the saved tensors go as soon as they are read: `ctx.saved_tensors` can then be read only once
    clear_saved_tensors_on_access = False
    #: call `backward(ctx, grads)` with one list, from which it may drop what it needs no more
    boxed_grads_call = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        cls._node = NodeType(name, (FunctionNode,), {"__slots__": ()})  # type: ignore[assignment]
        cls._ctx = type(name, (FunctionCtx,), {"_forward_cls": cls})

    def __call__(self, *args: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
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

    @staticmethod
    def vmap(info: VmapInfo, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        """What to do with all examples of a `vmap`: (results, where the dimension of examples is in each).

        info: `batch_size` and `randomness` of the vmap. in_dims: where that dimension is in each argument, None for
        what has none. With `generate_vmap_rule = True` it is not needed.
        """
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod "
            "or set generate_vmap_rule=True."
        )

    @classmethod
    def _for_examples(cls, level: Level, args: tuple) -> Any:
        """The results of `vmap` for arguments that hold the examples of a level."""
        from ..utils._pytree import flatten, spread, unflatten

        if cls.vmap is Function.vmap:
            raise RuntimeError(
                f"You tried to vmap over {cls.__name__}, but it does not have vmap support. Please override and "
                "implement the vmap staticmethod or set generate_vmap_rule=True."
            )
        inside = [isinstance(a, Tensor) and type(a._array) is level.kind and not a._array.whole for a in args]
        given = [outside(a, 0, level) if isinstance(a, Tensor) and type(a._array) is level.kind else a for a in args]
        with level.left():
            made = cls.vmap(VmapInfo(level.size, level.randomness), tuple(0 if b else None for b in inside), *given)
        if not isinstance(made, tuple) or len(made) != 2:
            got = f"{len(made)} returns" if isinstance(made, tuple) else f"a {type(made)}"
            raise RuntimeError(
                "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure "
                f"compatible with the output. Got {got} instead"
            )
        results, structure = flatten(made[0])
        dims = spread(made[1], structure)
        if dims is None:
            raise RuntimeError(
                f"The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. "
                f"Expected out_dims={made[1]} to be compatible with the structure of `output`: {structure}"
            )
        shown = [
            r if d is None or not isinstance(r, Tensor) else batch.record((r,), (level, d % r.dim()))
            for r, d in zip(results, dims, strict=True)
        ]
        return unflatten(shown, structure)

    @classmethod
    def _backward(cls) -> Callable:
        own = cls.backward is not Function.backward
        if own and cls.vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of them."
            )
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
        level = innermost_level(args)
        if level is not None:
            if cls.generate_vmap_rule and cls.vmap is not Function.vmap:
                raise RuntimeError(
                    f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an overridden "
                    "vmap staticmethod. Please set generate_vmap_rule=False or delete the overridden vmap staticmethod "
                    "to avoid ambiguity."
                )
            if not cls.generate_vmap_rule:
                return cls._for_examples(level, args)
            args = tuple(together(args) or args)
        if state.forward and not state.inference and any(tangent_of(a) is not None for a in args):
            return cls._with_tangents(ctx, args)
        return cls._record(ctx, args)[0]

    @classmethod
    def _record(cls, ctx: FunctionCtx, args: tuple) -> tuple[Any, tuple[bool, ...]]:
        """The output, and which of the results can have a gradient."""
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
        single = not isinstance(output, tuple)
        results = (output,) if single else output
        _check_dirty(ctx, results, args)
        differentiable = tuple(
            isinstance(r, Tensor) and r._array.dtype.kind in "fcV" and not _among(r, ctx.non_differentiable)
            for r in results
        )
        if not record:
            given = [_constant(r, ctx, args, cls.__name__) if isinstance(r, Tensor) else r for r in results]
            return (given[0] if single else tuple(given)), differentiable
        node = make(cls._node, tuple(e for e, a in zip(edges, args, strict=True) if isinstance(a, Tensor)), ())
        node.ctx, ctx._node = ctx, weakref.ref(node)
        node._inputs = tuple((tuple(a.shape), a.dtype, a.device) if isinstance(a, Tensor) else None for a in args)
        node._outputs = len(results)
        node._results = tuple(
            (type(r._array), r._array.shape, r._array.dtype) if isinstance(r, Tensor) else None for r in results
        )
        node._differentiable = differentiable
        given = []
        for i, r in enumerate(results):
            if differentiable[i]:
                r = _linked(r, Output(node, i) if node._outputs > 1 else node, node, args)
            elif isinstance(r, Tensor):
                r = _constant(r, ctx, args, cls.__name__)
            given.append(r)
        node.saved = _saved(ctx, results, given)
        if local.hooks:
            pack(node)
        ctx.dirty_tensors = ctx.non_differentiable = ctx.to_save = ()
        return (given[0] if single else tuple(given)), differentiable

    @classmethod
    def _with_tangents(cls, ctx: FunctionCtx, args: tuple) -> Any:
        """Record on the primals, and have `jvp` give the tangents of the results."""
        primals = tuple(map(primal_of, args))
        output, differentiable = cls._record(ctx, primals)
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
        given, kept = [], []
        for i, (r, t) in enumerate(zip(results, made, strict=True)):
            position = next((j for j, p in enumerate(primals) if p is r), None)
            changed = None if position is None else tangents[position]
            tangent = None
            if t is not None:
                _check_tangent(i, r, t, differentiable[i], changed)
                tangent = Tangent(t, state.level)
                own = None if position is None else args[position]
                if own is not None and own is not r:  # changed in place
                    own._view.tangent = tangent
                    r = own
                else:
                    r = tangent.give_to(r)
            given.append(r)
            kept.append(tangent)
        if node is not None:
            _remember(node(), primals, args, tuple(kept))
        return tuple(given) if isinstance(output, tuple) else given[0]


class InplaceFunction(Function):
    """A `Function` with a note of the user's: whether it works in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _among(t: Any, several: tuple) -> bool:
    return any(t is one for one in several)


def _check_dirty(ctx: FunctionCtx, results: tuple, args: tuple) -> None:
    """Refuse marks that cannot be true."""
    for t in ctx.dirty_tensors:
        if not _among(t, args):
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated "
                "should be passed to ctx.mark_dirty().",
                stacklevel=4,
            )
        if not _among(t, results):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that "
                "are modified inplace must all be outputs of the Function."
            )
        if len(results) > 1 and _among(t, args) and t._is_view() and state.grad:
            raise RuntimeError(
                "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot "
                "return more than one Tensor. This is not supported by the current autograd engine. You should either "
                "make sure the input is not a view (using .clone() for example) or make your Function only return one "
                "Tensor (potentially splitting it into two Functions: one doing the inplace that returns a single "
                "Tensor and a second one that does the other operations)."
            )


def _constant(r: Tensor, ctx: FunctionCtx, args: tuple, name: str) -> Tensor:
    """What users get for a result without a gradient: never an input that forward has not changed."""
    dirty = _among(r, ctx.dirty_tensors)
    if dirty:
        change(r, None, name)
    if r.requires_grad:
        return r.detach()
    return r if dirty or not _among(r, args) else _alias(r)


def _alias(r: Tensor) -> Tensor:
    """Another tensor around the same memory."""
    with no_grad():
        return alias.record((r,), (...,))


def _linked(r: Tensor, edge: Any, node: FunctionNode, args: tuple) -> Tensor:
    """What users get for a result with a gradient, which comes from `edge`.

    An input or a view is another tensor around the same memory. It must not be changed in place: its own history, made
    anew from that of its base, would pass by the backward of the `Function`.
    """
    if _among(r, node.ctx.dirty_tensors) and _among(r, args):
        check_inplace(r, recorded=True)
        change(r, edge, node.ctx._forward_cls.__name__)
        return r
    if _among(r, args) or r._view is not None:
        r = _alias(r)
        r._view.kind = "multi" if sum(node._differentiable) > 1 else "function"
    r._node, r._rg = edge, True
    return r


def _check_tangent(i: int, r: Any, t: Any, differentiable: bool, changed: Tensor | None) -> None:
    """Refuse what `jvp` returned for the result `r` if it cannot be its tangent.

    changed: the tangent of the input that `r` is, changed in place.
    """
    if not isinstance(t, Tensor):
        raise RuntimeError(f"expected Variable or None (got {type(t).__name__}) for grad output {i}.")
    if not differentiable:
        raise RuntimeError(
            f"Function's jvp returned a gradient at position {i}, but the corresponding forward output is not a "
            "differentiable Tensor. You should return None at that position instead."
        )
    check_shape(r, t)
    if changed is not None:
        if t._array is not changed._array:
            raise RuntimeError(
                "An inplace custom Function is not modifying the forward mode gradients inplace. If the forward is "
                "modifying an input inplace, then the jvp function must modify the corresponding gradient inplace."
            )
    elif r._is_view() and not t._is_view():
        raise RuntimeError(
            "A custom Function's forward is returning a view (or an input as-is) but the jvp is not returning a view."
        )


def _remember(node: FunctionNode | None, primals: tuple, args: tuple, tangents: tuple) -> None:
    """Let a node know the tangents of what it saved: its gradients have tangents of their own."""
    if node is None or type(node.saved) is not tuple:
        return
    duals = {id(p): a for p, a in zip(primals, args, strict=True) if p is not a}
    node.saved = tuple((duals.get(id(t), t), index, version) for t, index, version in node.saved)
    node.own_hooks().tangents = tangents


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

"""What a `Function` leaves behind: its node, and the `ctx` that its forward and backward share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import backends
from ..graph.engine import sum_to
from ..graph.errors import stale
from ..graph.modes import state
from ..graph.node import Freed, Node, Output, by_array
from ..graph.recorded import namespace as recorded
from ..graph.saved import Pack
from ..tensor import Tensor, from_array

if TYPE_CHECKING:
    from .function import Function

FREED_BY_CTX, FREED_BY_ACCESS = Freed("maybe_clear_saved_tensors()"), Freed("look at saved_tensors")


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
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or results for `jvp`, where `saved_tensors` gives them.

        Raises AssertionError for anything that is no tensor: keep that as an attribute of ctx.
        """
        for t in tensors:
            assert t is None or isinstance(t, Tensor), (
                "save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes on "
                "ctx."
            )
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward has changed in place; each must be returned.

        Raises RuntimeError for anything that is no tensor.
        """
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise RuntimeError(f"mark_dirty can only accept variables, but argument {i} is of type {type(t)}")
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient.

        Raises RuntimeError for anything that is no tensor.
        """
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise RuntimeError(
                    f"mark_non_differentiable only accepts variable arguments, but got {type(t)} as argument {i}"
                )
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

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`; gives a DeprecationWarning."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors

    def maybe_clear_saved_tensors(self) -> None:
        """In backward: let the saved tensors go now, rather than afterwards, unless `retain_graph` is given."""
        node = None if self._node is None else self._node()
        if node is not None and state.walk is not None and not state.walk.retain:
            node.saved = FREED_BY_CTX

    def __getattr__(self, name: str) -> Any:
        node = None if self._node is None else self._node()
        if node is not None and name in _OF_THE_NODE:
            return getattr(node, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


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
                tangents = () if self.hooks is None else self.hooks.tangents
                if tangents and tangents[index] is not None:
                    t = tangents[index].give_to(t)
            found.append(t)
        if self.ctx._forward_cls.clear_saved_tensors_on_access:
            self.saved = FREED_BY_ACCESS
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
        cls = ctx._forward_cls
        returned = cls._backward()(ctx, grads) if cls.boxed_grads_call else cls._backward()(ctx, *grads)
        results = list(returned) if isinstance(returned, tuple) else [returned]
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
            raise RuntimeError(f"expected Variable or None (got {type(r).__name__}) from {self.name()}")
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

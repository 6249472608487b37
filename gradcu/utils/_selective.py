"""Selective checkpoints: a policy says which operations' results are kept, and so not computed again."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from ..graph.modes import state
from ..graph.node import Output
from ..graph.op import Primitive
from ..graph.version import Version
from ..ops.intercept import Interceptor, OpName, op_name
from ..tensor import Tensor, edge_of, from_array


class CheckpointPolicy(enum.Enum):
    """What becomes of the result of an operation in a checkpointed part; must and prefer are the same here."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4  # kept in the host's memory
    PREFER_CPU_OFFLOAD = 5


_SAVE = (CheckpointPolicy.MUST_SAVE, CheckpointPolicy.PREFER_SAVE)
_OFFLOAD = (CheckpointPolicy.MUST_CPU_OFFLOAD, CheckpointPolicy.PREFER_CPU_OFFLOAD)


class SelectiveCheckpointContext:
    """What a policy is told besides the operation: its result, and whether it runs again."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


class _Context(Interceptor):
    """An interceptor for a `with` block."""

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _Kept:
    """One kept result, and the version at which it was kept."""

    def __init__(self, t: Tensor, offload: bool) -> None:
        self.like = t.detach()
        self.counter: Version = self.like._counter  # type: ignore[assignment]  # `detach` shares it
        self.version, self.device = self.counter.value, t.device
        if offload and t.is_cuda:
            self.like, self.counter = self.like.cpu(), Version()
            self.version = 0

    def array(self, mutable: bool) -> Any:
        if self.counter.value != self.version and not mutable:
            raise RuntimeError("Tensor cached during selective activation checkpoint has been mutated")
        return self.like.to(self.device)._array


class _Keeping(_Context):
    """Forward: keeps what the policy says."""

    def __init__(self, policy: Callable[..., CheckpointPolicy | bool]) -> None:
        self.policy = policy
        self.kept: dict[str, list[tuple[_Kept, ...] | None]] = {}  # by operation, in the order of its calls

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        result = run()
        if op.view:
            return result
        name = op_name(op)
        policy = self.policy(
            SelectiveCheckpointContext(is_recompute=False, op_output=result), name, *inputs, *attributes
        )
        kept = None
        if policy is True or policy in _SAVE or policy in _OFFLOAD:
            several = result if isinstance(result, tuple) else (result,)
            kept = tuple(_Kept(t, policy in _OFFLOAD) for t in several)
        self.kept.setdefault(name, []).append(kept)
        return result


class _Reusing(_Context):
    """The part again: takes what was kept in place of computing it, once."""

    def __init__(self, keeping: _Keeping, mutable: bool) -> None:
        self.keeping, self.mutable = keeping, mutable
        self.used = False
        self.calls: dict[str, int] = {}

    def start(self) -> None:
        if self.used:
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any region computed under "
                "selective activation checkpoint."
            )
        self.used = True
        super().start()

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        name = op_name(op)
        calls = self.keeping.kept.get(name, ())
        at = self.calls.get(name, 0)
        if op.view or at >= len(calls):
            return run()
        self.calls[name] = at + 1
        kept, calls[at] = calls[at], None  # type: ignore[index]
        return run() if kept is None else given(op, inputs, attributes, [k.array(self.mutable) for k in kept])


def given(op: Primitive, inputs: Sequence[Any], attributes: tuple, arrays: Sequence[Any]) -> Any:
    """What `op.record` gives, from results that were computed before."""
    tensors = inputs[0] if op.variadic else inputs
    edges = [edge_of(t) if isinstance(t, Tensor) else None for t in tensors]
    mask = sum(1 << i for i, edge in enumerate(edges) if edge is not None)
    results = tuple(map(from_array, arrays))
    if mask and op.vjp is not None and state.grad:
        positions = op.differentiable or range(len(arrays))
        out = arrays[0] if op.outputs == 1 else tuple(arrays)
        node: Any = op.make_node(mask, tensors, edges, attributes, out, arrays[positions[0]].dtype.kind == "c")
        if not op.outputs:
            node._outputs = len(arrays)
        for i, position in enumerate(positions):
            t = results[position]
            if t._array.dtype.kind in "fcV":
                t._node, t._rg = (Output(node, i) if op.several else node), True
    return results[0] if op.outputs == 1 else results


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Callable[..., CheckpointPolicy | bool] | list[OpName], allow_cache_entry_mutation: bool = False
) -> tuple[Any, Any]:
    """For `context_fn` of `checkpoint`: the contexts that keep the results a policy picks, and use them again.

    policy_fn_or_list: `policy(ctx, op, *args)`, where `op` is as `gradcu.ops.aten.mm.default` and ctx a
        `SelectiveCheckpointContext`, that returns a `CheckpointPolicy` or whether to keep; or the list of operations to
        keep. It is not asked about views, which cost nothing.
    allow_cache_entry_mutation: let kept results be changed in place.

    Raises TypeError for another policy, ValueError for entries of the list that are no operations.

    >>> keep = [gradcu.ops.aten.mm.default]
    >>> checkpoint(f, x, use_reentrant=False, context_fn=lambda: create_selective_checkpoint_contexts(keep))
    """
    if isinstance(policy_fn_or_list, list):
        for op in policy_fn_or_list:
            if not isinstance(op, OpName):
                raise ValueError(
                    "Expected op in `op_list` to be an operation, as gradcu.ops.aten.mm.default, but got: "
                    f"{op} of type {type(op)}."
                )
        chosen = frozenset(policy_fn_or_list)
        keeping = _Keeping(lambda ctx, op, *args: op in chosen)
    elif callable(policy_fn_or_list):
        keeping = _Keeping(policy_fn_or_list)
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    return keeping, _Reusing(keeping, allow_cache_entry_mutation)

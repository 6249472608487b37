"""Hooks around the backward of a module."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ..graph.op import Primitive
from ..ops.creation import zeros
from ..tensor import Tensor


class BackwardHooks:
    """Watches one call of a module: identities before and after it have nodes that the module's hooks are put on."""

    def __init__(self, module: Any, before: list[Callable], after: list[Callable]) -> None:
        self.module, self.before, self.after = module, before, after
        self.grad_outputs: tuple = ()
        self.inputs = _Boundary(())

    def on_inputs(self, args: tuple) -> tuple:
        """The arguments, from behind a node that calls the backward hooks."""
        self.inputs = _Boundary(args)
        if self.inputs.node is not None:
            self.inputs.node.register_hook(lambda grads, _: self._finish(grads))
        return self.inputs.passed

    def on_outputs(self, result: Any) -> Any:
        """The result, from behind a node that notes its gradients and calls the backward pre-hooks."""
        single = isinstance(result, Tensor)
        outputs = _Boundary((result,) if single else tuple(result) if isinstance(result, (tuple, list)) else ())
        if outputs.node is None:
            return result

        def begin(grads: tuple) -> tuple:
            full = outputs.spread(grads)
            for hook in self.before:
                changed = hook(self.module, full)
                if changed is not None:
                    full = changed if isinstance(changed, tuple) else (changed,)
            self.grad_outputs = full
            if self.inputs.node is None and self.after:
                warnings.warn(
                    "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                    "inputs require gradients.",
                    stacklevel=2,
                )
                self._finish(())
            return tuple(full[i] for i in outputs.positions)

        outputs.node.register_prehook(begin)
        if single:
            return outputs.passed[0]
        return type(result)(*outputs.passed) if hasattr(result, "_fields") else type(result)(outputs.passed)

    def _finish(self, grads: tuple) -> tuple:
        inputs = self.inputs
        full = (None,) * len(inputs.passed) if inputs.node is None else inputs.spread(grads)
        for hook in self.after:
            changed = hook(self.module, full, self.grad_outputs)
            if changed is not None:
                if inputs.node is None:
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None "
                        "for all gradients."
                    )
                full = changed if isinstance(changed, tuple) else (changed,)
        return tuple(full[i] for i in inputs.positions)


class _Boundary:
    """Values of which the tensors that require grad, at `positions`, have passed through one node."""

    def __init__(self, values: tuple) -> None:
        self.positions = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        self.node, passed = None, list(values)
        if self.positions:
            through = _identity(len(self.positions)).record(([values[i] for i in self.positions],))
            through = through if isinstance(through, tuple) else (through,)
            for i, t in zip(self.positions, through, strict=True):
                passed[i] = t
            self.node = through[0].grad_fn
        self.passed = tuple(passed)
        #: how to make zeros in the place of a gradient that did not come; None for what is no tensor
        self.kinds = [
            {"size": v.shape, "dtype": v.dtype, "device": v.device} if isinstance(v, Tensor) else None for v in values
        ]

    def spread(self, grads: Any) -> tuple:
        """The gradients at their positions, zeros for the other tensors."""
        grads = grads if isinstance(grads, (tuple, list)) else (grads,)
        full: list[Any] = [None] * len(self.kinds)
        for position, grad in zip(self.positions, grads, strict=True):
            full[position] = grad
        return tuple(
            zeros(kind["size"], dtype=kind["dtype"], device=kind["device"]) if grad is None and kind else grad
            for grad, kind in zip(full, self.kinds, strict=True)
        )


_identities: dict[int, Primitive] = {}


def _identity(count: int) -> Primitive:
    """The identity of `count` tensors as one operation."""
    if count not in _identities:
        _identities[count] = Primitive(
            f"module_boundary_{count}",
            (lambda xp, x: x[0]) if count == 1 else lambda xp, x: tuple(x),
            (lambda xp, g: (g,)) if count == 1 else lambda xp, g: tuple(g),
            variadic=True,
            outputs=count,
            kind="linear",
            node="BackwardHookFunctionBackward",
        )
    return _identities[count]

"""Seeing operations and nodes as they run: for the profiler, the flop counter, autocast and selective
checkpoints.

While nobody looks, nothing is tested for it: the first interceptor puts a function before each operation's `record` and
closes the short ways past it, the last one takes them away again.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..graph.modes import state
from ..graph.node import Node
from ..graph.op import Primitive, registry
from . import inplace, pointwise

_lock = threading.Lock()
_looking = 0  # how many interceptors there are, in all threads


class Interceptor:
    """Between `start` and `stop`, is asked to run each operation and each backward node of the thread."""

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        """What to give for `op` on these inputs: `run()`, or something else."""
        return run()

    def node(self, node: Node, g: Any, recorded: bool, run: Callable[[], Any]) -> Any:
        """The gradients of a node's inputs: `run()`. `recorded`: it runs as operations, which are intercepted too."""
        return run()

    @staticmethod
    def around(runner: Any, interceptors: tuple[Interceptor, ...]) -> Any:
        """A node, or what computes a part of it, that is run through interceptors."""
        return _Shown(runner, interceptors)

    def start(self) -> None:
        """Be asked from now on, before those that started earlier."""
        global _looking
        with _lock:
            if not _looking:
                for op in registry.values():
                    op.record = functools.partial(_seen, op)  # type: ignore[method-assign]
                pointwise.short = inplace.short = None
            _looking += 1
        state.interceptors = (*state.interceptors, self)

    def stop(self) -> None:
        """Be asked no longer."""
        global _looking
        state.interceptors = tuple(i for i in state.interceptors if i is not self)
        with _lock:
            _looking -= 1
            if not _looking:
                for op in registry.values():
                    vars(op).pop("record", None)
                pointwise.short = inplace.short = pointwise.HOST


class _Shown:
    """Runs a node, or a part of one, through interceptors."""

    def __init__(self, runner: Any, interceptors: tuple) -> None:
        self._runner, self._interceptors = runner, interceptors

    def __getattr__(self, way: str) -> Callable:
        def run(node: Node, g: Any, xp: Any) -> Any:
            function = getattr(self._runner, way)

            def ask(interceptors: tuple) -> Any:
                if not interceptors:
                    return function(node, g, xp)
                return interceptors[-1].node(node, g, way == "recorded", lambda: ask(interceptors[:-1]))

            return ask(self._interceptors)

        return run


def _seen(op: Primitive, inputs: Sequence[Any], attributes: tuple = ()) -> Any:
    def ask(interceptors: tuple[Interceptor, ...]) -> Any:
        if not interceptors:
            return type(op).record(op, inputs, attributes)
        return interceptors[-1].operation(op, inputs, attributes, lambda: ask(interceptors[:-1]))

    return ask(state.interceptors)


class OpName(str):
    """An operation as PyTorch's dispatcher calls it, as text: "aten.mm". Overloads (`.default`, ...) are the same."""

    __slots__ = ()

    def __getattr__(self, overload: str) -> OpName:
        if overload.startswith("__"):
            raise AttributeError(overload)
        return self


class _Aten:
    def __getattr__(self, name: str) -> OpName:
        if name.startswith("__"):
            raise AttributeError(name)
        return OpName(f"aten.{name}")


#: `gradcu.ops.aten.mm`, ...: what policies of selective checkpoints, and flop counts, name operations by
aten = _Aten()


@functools.cache
def op_name(op: Primitive) -> OpName:
    """The name of an operation, from that of its node."""
    name = op.node_names[0].removesuffix("s").rstrip("0123456789").removesuffix("Backward")
    return OpName("aten." + "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"))

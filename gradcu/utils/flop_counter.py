"""`gradcu.utils.flop_counter`: how many floating-point operations a program's matrix products and convolutions take."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..graph.hooks import Handle
from ..graph.node import Node, Output
from ..graph.op import Primitive
from ..nn.hooks import register_module_forward_hook, register_module_forward_pre_hook
from ..nn.module import Module
from ..ops.intercept import Interceptor, OpName, aten, op_name
from ..tensor import Tensor

__all__ = ["FlopCounterMode"]

Shape = tuple[int, ...]

#: of products: PyTorch's name, and by input the axis of its gradient along which the forward product sums
_PRODUCTS: dict[str, tuple[OpName, dict[int, int]]] = {
    "mm": (aten.mm, {0: -1, 1: -2}),
    "matmul": (aten.mm, {0: -1, 1: -2}),
    "bmm": (aten.bmm, {0: -1, 1: -2}),
    "linear_without_bias": (aten.mm, {0: -1, 1: -1}),
    "linear": (aten.addmm, {1: -1, 2: -1}),
    "addmm": (aten.addmm, {1: -1, 2: -2}),
    "baddbmm": (aten.baddbmm, {1: -1, 2: -2}),
}
#: for convolutions, whether the positions of the kernel are counted in the input (or in the result)
_CONVOLUTIONS = {"convolution": False, "convolution_input": True}


class FlopCounterMode(Interceptor):
    """A block that counts the floating-point operations (a multiplication and an addition are two) run in it.

    mods: not needed. depth: how far down the table goes into modules. display: print the table at the end.
    custom_mapping: `{gradcu.ops.aten.exp: formula}` for further operations; the formula is given the arguments, and the
    result as `out_val`.

    Counted are matrix products and convolutions, forward and backward, and what is made of them (`linear`, attention),
    with PyTorch's counts: pointwise operations, products with vectors and the tangents of forward mode
    count nothing.

    >>> with FlopCounterMode(display=False) as counter:
    ...     _ = ones(3, 4) @ ones(4, 5)
    >>> counter.get_total_flops()
    120
    """

    def __init__(
        self,
        mods: Any = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[OpName, Callable] | None = None,
    ) -> None:
        self.depth, self.display, self.custom = depth, display, custom_mapping or {}
        self.flop_counts: dict[str, dict[OpName, int]] = {"Global": {}}
        self._modules = _Modules()

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts = {"Global": {}}
        self._modules.start()
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._modules.stop()
        if self.display:
            print(self.get_table(self.depth))

    def get_total_flops(self) -> int:
        """The sum of all."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[OpName, int]]:
        """By module (the whole is "Global") and operation."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as text, modules down to `depth`."""
        depth = 999999 if depth is None else depth
        modules = sorted(m for m in self.flop_counts if m != "Global" and m.count(".") < depth)
        total = self.get_total_flops()
        inside = max((sum(self.flop_counts[m].values()) for m in modules), default=0)
        if inside < total or not modules:  # something ran outside of every module
            modules = ["Global", *modules]
        rows = []
        for module in modules:
            counts, indent = self.flop_counts[module], " " * module.count(".")
            if "Global" in modules and module != "Global":
                indent += " "
            for name, n in [(module, sum(counts.values())), *((f" - {k}", v) for k, v in counts.items())]:
                rows.append((indent + name, _short(n, total), f"{n / total:.2%}" if total else "0%"))
        return _columns(("Module", "FLOP", "% Total"), rows)

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        """Count an operation that runs forward."""
        before = self.get_total_flops()
        result = run()
        modules = self._modules.open
        if self.get_total_flops() != before:
            return result  # it was made of operations, as in forward mode, and they were counted
        if op_name(op) in self.custom:
            self._count(op_name(op), self.custom[op_name(op)](*inputs, *attributes, out_val=result), modules)
        elif op.name in _PRODUCTS:
            name, by = _PRODUCTS[op.name]
            first = min(by)
            x, y = inputs[first : first + 2]
            if name == aten.addmm or min(x.ndim, y.ndim) > 1:
                self._count(_batched(name, y.ndim), 2 * result.numel() * x.shape[-1], modules)
        elif op.name in _CONVOLUTIONS:
            x, w = inputs[0].shape, inputs[1].shape
            self._count(aten.convolution, _convolved(w, _places(op.name, x, result.shape), x[0]), modules)
        elif op.name == "convolution_weight":
            x, g = inputs[0].shape, inputs[1].shape
            self._count(aten.convolution_backward, _convolved((g[1], x[1], *result.shape[2:]), g[2:], g[0]), modules)
        if modules and isinstance(result, Tensor) and result._node is not None:
            node = result._node
            self._modules.made_in[node.node if type(node) is Output else node] = modules
        return result

    def node(self, node: Node, g: Any, recorded: bool, run: Callable[[], Any]) -> Any:
        """Count what a node computes on raw arrays; what it records is counted as operations."""
        op: Any = getattr(type(node), "primitive", None)
        name = "" if op is None else op.name
        if recorded or (name not in _PRODUCTS and name not in _CONVOLUTIONS):
            return run()
        modules = self._modules.made_in.get(node, ())
        saved = dict(zip(type(node).sources, node.saved)) if type(node.saved) is tuple else {}
        results = run()
        if name in _PRODUCTS:
            by = _PRODUCTS[name][1]
            for i, axis in by.items():
                r = results[i]
                if r is not None and (r.ndim > 1 or name == "linear"):
                    second = saved[op.inputs[i + 1]] if i == min(by) else r  # of the two that were multiplied
                    self._count(_batched(aten.mm, second.ndim), 2 * math.prod(g.shape) * r.shape[axis], modules)
            return results
        gx, gw = results[:2]
        if gx is not None:
            flops = _convolved(saved["w"].shape, _places(name, gx.shape, g.shape), g.shape[0])
            self._count(aten.convolution_backward, flops, modules)
        if gw is not None:
            x = saved["x"].shape
            flops = _convolved((g.shape[1], x[1], *gw.shape[2:]), _places(name, x, g.shape), x[0])
            self._count(aten.convolution_backward, flops, modules)
        return results

    def _count(self, name: OpName, flops: int, modules: Sequence[str]) -> None:
        for module in ("Global", *modules):
            counts = self.flop_counts.setdefault(module, {})
            counts[name] = counts.get(name, 0) + flops


def _batched(name: OpName, ndim: int) -> OpName:
    """A product with a stack of matrices, rather than with one, is another operation of PyTorch's."""
    return aten.bmm if name == aten.mm and ndim > 2 else name


def _places(name: str, x: Shape, out: Shape) -> Shape:
    return (x if _CONVOLUTIONS[name] else out)[2:]


def _convolved(w: Shape, places: Shape, batch: int) -> int:
    return 2 * batch * math.prod(w) * math.prod(places)


class _Modules:
    """Which modules are running, by PyTorch's names for them: the outermost's class, then the way from there."""

    def __init__(self) -> None:
        self.open: tuple[str, ...] = ()
        self.made_in: weakref.WeakKeyDictionary[Node, tuple[str, ...]] = weakref.WeakKeyDictionary()
        self._names: weakref.WeakKeyDictionary[Module, str] = weakref.WeakKeyDictionary()
        self._outer: list[tuple[str, ...]] = []
        self._handles: tuple[Handle, ...] = ()

    def start(self) -> None:
        def enter(module: Module, args: Any) -> None:
            self._outer.append(self.open)
            self.open = (*self.open, *({self._name(module)} - {*self.open}))

        def leave(module: Module, args: Any, output: Any) -> None:
            self.open = self._outer.pop()

        self._handles = (
            register_module_forward_pre_hook(enter),
            register_module_forward_hook(leave, always_call=True),
        )

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _name(self, module: Module) -> str:
        if module not in self._names:
            for path, inner in module.named_modules():
                self._names.setdefault(inner, f"{type(module).__name__}.{path}".rstrip("."))
        return self._names[module]


def _short(number: int, total: int) -> str:
    """A number in the unit that suits the total."""
    unit = max(0, min((len(str(total)) - 2) // 3, 4))
    return f"{number / 1000**unit:.3f}{'KMBT'[unit - 1]}" if unit else str(number)


def _columns(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:]))])

    return "\n".join([line(head), "  ".join("-" * w for w in widths), *map(line, rows)])

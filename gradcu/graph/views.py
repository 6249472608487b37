"""Views, and changes in place that go through them.

A view remembers its base and the operations that lead from one to the other. When memory is changed in place, the base
gets a new history (through `CopySlices` if the change was made through a view) and the counter that all of them share
goes up; a view whose history is older than that is given a new one, made from the base's, when next it is used.
"""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, edge_of, version_of
from .modes import state
from .node import Node, Output, as_function, by_array, by_hand, make
from .version import InferenceVersion


class View:
    """How a tensor lies in its base: `steps` are (primitive, attributes), applied in turn."""

    __slots__ = ("base", "kind", "steps", "tangent", "version")

    def __init__(self, base: Tensor, steps: tuple, kind: str, version: int, tangent: Any = None) -> None:
        self.base, self.steps, self.kind, self.version = base, steps, kind, version
        self.tangent = tangent  # in forward mode: takes over the recording of operations

    def edge(self, tensor: Tensor) -> Any:
        """The tensor's edge, renewed if the memory has been changed since it was made."""
        now = tensor._counter.value  # type: ignore[union-attr]  # views share their base's
        if self.version != now:
            above = self.base._view
            if self.tangent is None and self.steps and above is not None and above.tangent and above.tangent.level.open:
                raise RuntimeError("This view is older than the tangent of its base, and has none: make the view anew.")
            if edge_of(self.base) is not None:
                if self.kind:
                    if not state.grad:
                        return tensor._node
                    raise forbidden(tensor, "its base or another view of its base has been modified inplace")
                before = state.grad
                state.grad = True
                try:
                    again = replay(self.base, self.steps)
                finally:
                    state.grad = before
                old, self.version = tensor._node, now
                tensor._node, tensor._rg = again._node, True
                if tensor.retains_grad:
                    _retain_anew(tensor, old)
            self.version = now
        node = tensor._node
        return tensor if node is None and tensor._rg else node


_FORBIDDEN = {
    "multi": "This view is the output of a function that returns multiple views. Such functions do not allow the "
    "output views to be modified inplace. You should replace the inplace operation by an out-of-place one.",
    "function": "This view was created inside a custom Function (or because an input was returned as-is): its new "
    "history would pass by the backward of that. You can fix this by cloning the output of the custom Function.",
    "no_grad": "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by "
    "moving the view and the inplace either both inside the no_grad block or both outside (if it is to be tracked).",
}
_FORBIDDEN["inference"] = _FORBIDDEN["no_grad"].replace("no_grad", "inference_mode")


def forbidden(t: Tensor, what: str) -> RuntimeError:
    """The error for a view that PyTorch does not follow through changes in place; `what` was done to it."""
    kind, node = t._view.kind, t._node
    name = "" if node is None else (node.node if type(node) is Output else node).name()
    output = f"Output {t.output_nr} of {name.removesuffix('Backward0').removesuffix('Backward')} is a view"
    if kind in ("multi", "function"):
        happened = f"{output} and {what}."
    else:
        mode, then = ("no_grad", "with grad mode enabled") if kind == "no_grad" else ("inference", "in normal mode")
        start = f"{output} of a view which was created in" if name else "A view was created in"
        happened = f"{start} {mode} mode and {what} {then}."
    return RuntimeError(f"{happened} {_FORBIDDEN[kind]}")


def replay(whole: Any, steps: tuple) -> Any:
    """The view's operations on another tensor."""
    for primitive, attributes in steps:
        whole = primitive.record((whole,), attributes)
    return whole


def replay_array(xp: Any, whole: Any, steps: tuple) -> Any:
    """The view's operations on a raw array."""
    for primitive, attributes in steps:
        whole = primitive.forward(xp, whole, *attributes)
    return whole


def mark_view(result: Tensor, source: Tensor, primitive: Any, attributes: tuple, kind: str = "") -> None:
    """Make `result`, which shares the memory of `source`, a view of it."""
    counter = version_of(source)
    result._counter = counter
    if type(counter) is InferenceVersion:
        return
    if not state.grad:
        kind = "inference" if state.inference else "no_grad"
        result._rg = result._array.dtype.kind in "fcV" and source.requires_grad  # a leaf of its own, as PyTorch's
    view = source._view
    tangent = None if result._view is None else result._view.tangent
    if view is None:
        result._view = View(source, ((primitive, attributes),), kind, counter.value, tangent)
    else:
        steps = followed(source, view, primitive, attributes)
        result._view = View(view.base, steps, kind or view.kind, counter.value, tangent)


def followed(t: Tensor, view: View, primitive: Any, attributes: tuple) -> tuple:
    """The steps that lead from the base of `t` to a view of it; `as_strided` leads there from the base at once."""
    base = view.base
    if primitive.view == "memory" and base.dtype is t.dtype:
        return ((primitive, (attributes[0], (base._array.shape, base.stride(), base.storage_offset()))),)
    return (*view.steps, (primitive, attributes))


class CopySlices(Node):
    """The history of a base after a change through a view: the rest of it comes from before, the view's part is new."""

    __slots__ = ("layout", "own", "steps")
    own: Any  # the gradient that the change before left to this one, to write in
    steps: tuple
    layout: tuple[tuple[int, ...], int] | None  # strides and offset of the base, for steps that are views of such
    raw0, guarded = staticmethod(by_array), staticmethod(by_hand)

    @staticmethod
    def raw(node: CopySlices, g: Any, xp: Any) -> tuple[Any, Any]:
        before, value = node.edges
        own, node.own = node.own, None
        if before is None:
            return None, replay_array(xp, xp.lay_out(g, node.layout), node.steps)
        # A loop that fills a tensor part by part leaves a chain of these; one copy of the gradient serves all of it.
        rest = g if g is own and node.hooks is None else xp.lay_out(g, node.layout)
        part = replay_array(xp, rest, node.steps)
        new = None if value is None else xp.copy(part)
        part[...] = 0
        if type(before) is CopySlices:
            before.own = rest
        return rest, new

    @staticmethod
    def recorded(node: CopySlices, g: Any, xp: Any) -> tuple[Any, Any]:
        rest, laid_out = xp.lay_out(g, node.layout), xp.lay_out(g, node.layout)
        replay(rest, node.steps).zero_()
        return rest, replay(laid_out, node.steps)


def check_inplace(t: Tensor, part: bool = False, recorded: bool = False) -> None:
    """Raise RuntimeError where PyTorch forbids to change `t`, or a part of it, in place.

    recorded: whether the change has a history of its own.
    """
    if type(t._counter) is InferenceVersion:
        if not state.inference:
            raise RuntimeError(
                "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone "
                "to get a normal tensor before doing inplace update."
            )
        return
    if not state.grad:
        return
    view = t._view
    if view is None:
        if t._rg and t._node is None:
            what = "a view of a leaf Variable" if part else "a leaf Variable"
            raise RuntimeError(f"{what} that requires grad is being used in an in-place operation.")
        return
    if view.kind and (recorded or t.requires_grad):
        raise forbidden(t, "is being modified inplace")
    base = view.base
    if base._rg and base._node is None and base._view is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if view.steps and view.steps[0][0].view == "memory":
        view.version = -1  # it may show more than the view it was made from: its edge shall come from the base


def changed(t: Tensor, by: str) -> None:
    """Count a change of the memory of `t`."""
    counter = version_of(t)
    counter.value += 1
    counter.changed_by = by


def rebase(t: Tensor, edge: Any, steps: tuple = ()) -> None:
    """Give `t`, just changed in place (and counted), a history: its part at `steps` comes from `edge` now.

    If `t` is a view, the base gets the history; the view's own is made anew from it when it is next asked for, as its
    version is old now.
    """
    while t._view is not None:  # a base that has a tangent has one of its own
        t, steps = t._view.base, (*t._view.steps, *steps)
    if not steps:
        t._node, t._rg = edge, True
        return
    copy = make(CopySlices, (edge_of(t), edge), ())
    copy.steps, copy.own = steps, None
    offset = t.storage_offset() if steps[0][0].view == "memory" else 0
    copy.layout = (t.stride(), offset) if offset or not t._array.flags.c_contiguous else None
    t._node, t._rg = copy, True


def change(t: Tensor, edge: Any, by: str, steps: tuple = ()) -> None:
    """Count a change of the memory of `t`, or of its part at `steps`, and record that its value comes from `edge`.

    Without an edge the new value is a constant; the change of a part is recorded then if the rest requires grad.
    """
    recorded = edge is not None
    if steps and not recorded and state.grad:
        recorded = edge_of(t if t._view is None else t._view.base) is not None
    retained = edge_of(t) if recorded and t.retains_grad else None
    changed(t, by)
    if recorded:
        rebase(t, edge, steps)
    if retained is not None:
        _retain_anew(t, retained)


def _retain_anew(t: Tensor, old: Any) -> None:
    """Let `retain_grad` keep the gradient of the new value of `t`, not that of the old one, which came from `old`."""
    node, index = as_function(old)
    node.hooks.retained.pop(index, None)
    t._meta.retains_grad = False  # type: ignore[union-attr]
    t.retain_grad()

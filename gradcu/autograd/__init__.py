"""`gradcu.autograd`: backward, grad, and functions of one's own."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from typing import Any, overload

from .. import backends
from ..backends.batched import Level
from ..graph import engine
from ..graph.modes import enable_grad, inference_mode, no_grad, set_grad_enabled, state
from ..ops.batch import batch, outside
from ..tensor import Tensor, edge_of, from_array
from . import functional, grad_mode, graph
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, once_differentiable
from .grad_mode import _unsafe_preserve_version_counter as _unsafe_preserve_version_counter, set_multithreading_enabled
from .gradcheck import gradcheck, gradgradcheck
from .graph import GradientEdge, edge_within
from .variable import Variable

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

Roots = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]


def backward(
    tensors: Roots,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Roots | dict[str, Tensor] | None = None,
) -> None:
    """Accumulate the gradients of leaves (or of `inputs` alone) in their `grad`.

    tensors: what to differentiate. grad_tensors: the gradient of some scalar by each of them, of the same shape; may be
    left out for tensors of one element. retain_graph: keep saved values for another backward; as create_graph unless
    given. create_graph: record the backward itself, so that it can be differentiated.

    Raises RuntimeError if a gradient is missing or misshapen, or if the graph was freed or a saved value changed.
    """
    tensors = _several(tensors)
    if grad_tensors is None:
        grad_tensors = grad_variables
    tensorial = create_graph or state.level is not None  # gradients have tangents where forward mode is on
    edges, grads = _roots(tensors, grad_tensors, tensorial)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        engine.walk(edges, grads, retain=retain, create=tensorial, record=create_graph)
        return
    wanted = _several(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    found = engine.walk(edges, grads, retain=retain, create=tensorial, record=create_graph, captures=_captures(wanted))
    for t, g in zip(wanted, found, strict=True):
        if isinstance(t, GradientEdge):
            t = getattr(t.node, "variable", None)
        if t is not None and g is not None:
            engine.accumulate(t, g, False, tensorial)


def _method(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate the gradients of the leaves (or of `inputs`) that this tensor depends on in their `grad`.

    `gradient` is that of some scalar by this tensor; it may be left out for one element. See
    `gradcu.autograd.backward`.
    """
    a = self._array
    if gradient is None and inputs is None and not create_graph and a.size == 1 and a.dtype.kind == "f":
        edge = edge_of(self)
        if edge is not None and state.level is None:  # what `backward` comes to for a loss
            engine.walk((edge,), (backends.namespaces[type(a)].seed(a),), retain=bool(retain_graph), create=False)
            return
    backward((self,), None if gradient is None else (gradient,), retain_graph, create_graph, inputs=inputs)


_method.__name__ = _method.__qualname__ = "backward"
Tensor.backward = _method  # type: ignore[method-assign, assignment]


@overload
def grad(outputs: Roots, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> dict[str, Tensor]: ...
@overload
def grad(outputs: Roots, inputs: Roots, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]: ...
def grad(
    outputs: Roots,
    inputs: Roots | dict[str, Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...] | dict[str, Tensor]:
    """The gradients of `outputs` by `inputs`, as a tuple, or a dict if that is what `inputs` are.

    Nothing is accumulated in `grad`, whatever the old argument `only_inputs` says.

    allow_unused: give None for inputs that no output depends on, rather than raise RuntimeError.
    materialize_grads: give zeros for them. is_grads_batched: grad_outputs have one more dimension, in front, and so
        have the results: one backward for each gradient along it.

    >>> x = tensor(3.0, requires_grad=True)
    >>> grad(x**2, x)
    (tensor(6.),)
    >>> grad(x**2, {"x": x})
    {'x': tensor(6.)}
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use gradcu.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if allow_unused is False and materialize_grads:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if is_grads_batched:
        options = {"allow_unused": allow_unused, "materialize_grads": materialize_grads, "create_graph": create_graph}
        return _as_given(inputs, _batched(outputs, _several(inputs), grad_outputs, retain_graph, options))
    outputs, wanted = _several(outputs), _several(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    tensorial = create_graph or state.level is not None
    edges, grads = _roots(outputs, grad_outputs, tensorial)
    retain = create_graph if retain_graph is None else retain_graph
    found = engine.walk(
        edges,
        grads,
        retain=retain,
        create=tensorial,
        record=create_graph,
        captures=_captures(wanted),
        by=engine.FREED_BY_GRAD,
    )
    results = []
    for t, g in zip(wanted, found, strict=True):
        if g is None and materialize_grads:
            if isinstance(t, GradientEdge):
                raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
            results.append(from_array(backends.namespaces[type(t._array)].zeros_like(t._array)))
        elif g is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                "if this is the desired behavior."
            )
        else:
            results.append(engine.wrap(g, tensorial))
    return _as_given(inputs, results)


def _as_given(inputs: Any, results: Sequence[Any]) -> Any:
    """The results as a dict with the names of the inputs, if they have any."""
    return dict(zip(inputs, results, strict=True)) if isinstance(inputs, dict) else tuple(results)


def _batched(outputs: Roots, inputs: Roots, vectors: Any, retain: bool | None, options: dict) -> tuple[Any, ...]:
    """`grad` for several gradients of the outputs at once, which lie along the first dimension of `vectors`."""
    given = (vectors,) if isinstance(vectors, Tensor) else tuple(vectors)
    size = next(v.shape[0] for v in given if v is not None)
    with Level(size, "different") as level:
        rows = [None if v is None else batch.record((v,), (level, 0)) for v in given]
        found = grad(outputs, inputs, rows, retain, **options)
        return tuple(None if g is None else outside(g, 0, level) for g in found)


def _several(tensors: Roots | dict[str, Tensor]) -> tuple[Any, ...]:
    if isinstance(tensors, dict):
        return tuple(tensors.values())
    return (tensors,) if isinstance(tensors, (Tensor, GradientEdge)) else tuple(tensors)


def _edge(t: Tensor | GradientEdge) -> Any:
    return edge_within(t) if isinstance(t, GradientEdge) else edge_of(t)


def _captures(inputs: Sequence[Tensor | GradientEdge]) -> list[Any]:
    edges = [_edge(t) for t in inputs]
    for edge in edges:
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    return edges


def _roots(tensors: Sequence[Tensor | GradientEdge], grads: Any, create: bool) -> tuple[list[Any], list[Any]]:
    """Edges to start from, and their gradients as raw arrays (as tensors if the walk is recorded)."""
    if grads is None:
        grads = (None,) * len(tensors)
    elif isinstance(grads, Tensor):
        grads = (grads,)
    if len(grads) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    edges, starts = [], []
    for i, (t, g) in enumerate(zip(tensors, grads, strict=True)):
        edge = _edge(t)
        if isinstance(t, GradientEdge):
            t = g if t.like is None else t.like
            if t is None:
                raise RuntimeError(
                    f"a gradient must be given for output {i}: the shape at its GradientEdge is not known"
                )
        a = t._array
        if g is None:
            if edge is None:
                raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
            if a.size != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs, but output "
                    f"{i} has shape {tuple(a.shape)}: give backward() a gradient of that shape, or reduce it first"
                )
            if a.dtype.kind == "c":
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {t.dtype}")
            edges.append(edge)
            one = backends.namespaces[type(a)].seed(a)
            starts.append(from_array(one) if create else one)
            continue
        if not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        if edge is None:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        if g._array.shape != a.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of "
                f"{t.shape}."
            )
        if (g._array.dtype.kind == "c") != (a.dtype.kind == "c"):
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in "
                f"dtype: grad_output[{i}] has a dtype of {g.dtype} and output[{i}] has a dtype of {t.dtype}."
            )
        if type(g._array) is not type(a) and g.device != t.device:
            raise RuntimeError(f"grad_output[{i}] is on {g.device}, but output[{i}] is on {t.device}")
        if g._array.dtype != a.dtype:
            g = g.to(t.dtype)
        edges.append(edge)
        starts.append(g if create else g._array)
    return edges, starts


def __getattr__(name: str) -> Any:
    if name in ("forward_ad", "profiler"):  # imported when first used
        return importlib.import_module(f"gradcu.autograd.{name}")
    raise AttributeError(f"module 'gradcu.autograd' has no attribute '{name}'")

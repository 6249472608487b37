"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..nn.container import ModuleList
from ..nn.module import Module
from ..nn.norm import _BatchNorm
from ..ops import functions
from ..tensor import Tensor


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with other parameters and buffers, by their full names; its own are untouched.

    args: one argument, or a tuple of them. tie_weights: parameters that are one tensor under several names are replaced
    under all of them. strict: raise RuntimeError for names that are missing or unknown.

    >>> functional_call(nn.Linear(2, 1), {"weight": ones(1, 2), "bias": zeros(1)}, ones(2))
    tensor([2.])
    """
    given = _merged(parameter_and_buffer_dicts)
    places = {
        f"{prefix}.{name}" if prefix else name: (store, name)
        for prefix, m in module.named_modules(remove_duplicate=False)
        for store in (m._parameters, m._buffers)
        for name, t in store.items()
        if t is not None
    }
    if strict:
        missing, unknown = [n for n in places if n not in given], [n for n in given if n not in places]
        if missing or unknown:
            about = [f"Missing key(s): {', '.join(map(repr, missing))}."] if missing else []
            about += [f"Unexpected key(s): {', '.join(map(repr, unknown))}."] if unknown else []
            raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(about))
    own = {n: store[name] for n, (store, name) in places.items()}
    new = {n: t for n, t in given.items() if n in places}
    if tie_weights:
        tied = {id(own[n]): t for n, t in new.items()}
        new = {n: tied[id(t)] for n, t in own.items() if id(t) in tied} | new
    try:
        for n, t in new.items():
            store, name = places[n]
            store[name] = t  # type: ignore[assignment]
        return module(*(() if args is None else args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for n in new:
            store, name = places[n]
            store[name] = own[n]  # type: ignore[assignment]


def _merged(dicts: Any) -> dict[str, Tensor]:
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, (list, tuple)):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}"
        )
    names = [n for d in dicts for n in d]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{twice} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {n: t for d in dicts for n, t in d.items()}


def stack_module_state(models: Sequence[Module] | ModuleList) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one class, each stacked along a new first dimension.

    With `vmap` and `functional_call` the modules run as one. Raises RuntimeError for no models, of different classes,
    or some in training mode and some not.
    """
    several = list(models)
    if not several:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in several}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(m) for m in several}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = {
        name: functions["stack"]([m.get_parameter(name) for m in several]).detach().requires_grad_(p.requires_grad)
        for name, p in several[0].named_parameters()
    }
    buffers = {
        name: functions["stack"]([m.get_buffer(name) for m in several]).detach()
        for name, _ in several[0].named_buffers()
    }
    return parameters, buffers


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let every batch normalisation in `root` use the statistics of the batch alone, so that vmap can run it.

    Their running statistics are dropped, in place; returns `root`.
    """
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return root

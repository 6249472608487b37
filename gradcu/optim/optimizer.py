"""What all optimizers share: parameter groups, state, hooks, and the loop over parameters."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from .. import backends, dtypes
from ..graph.hooks import Handle
from ..graph.modes import enable_grad, no_grad
from ..graph.views import changed
from ..nn.module import clear_grad, typename
from ..tensor import Tensor, from_array

#: what optimizers take: tensors, parameter groups, or tensors with names
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


#: the default of a setting that each parameter group has to give
required = _Required()

#: elements that one step works on at a time: what it reads and writes of them stays in the cache
BLOCK = 65536


class _Hooks:
    """The hooks of one optimizer, or of all."""

    def __init__(self) -> None:
        self.before: dict[int, Callable] = {}  # a step
        self.after: dict[int, Callable] = {}
        self.before_saving: dict[int, Callable] = {}
        self.after_saving: dict[int, Callable] = {}
        self.before_loading: dict[int, Callable] = {}
        self.after_loading: dict[int, Callable] = {}


#: the hooks around the steps of every optimizer
_everywhere = _Hooks()


class Optimizer:
    """The base of all optimizers. A subclass defines `_update`, the step of one parameter on raw arrays, or `step`.

    params: tensors, pairs of name and tensor, or dicts (parameter groups) that may give settings of their own.
    defaults: the settings of groups that do not give them.

    Raises TypeError or ValueError for what cannot be optimized.
    """

    #: whether there was a step: schedules warn if there was none
    _opt_called = False

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if defaults.get("fused"):
            if defaults.get("differentiable"):
                raise RuntimeError("`fused` does not support `differentiable`")
            if defaults.get("foreach"):
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._hooks = _Hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + typename(params)
            )
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the hooks run around a `step` that the subclass defines."""
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    # --- groups ---

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own where the group gives them.

        Raises TypeError for what is no dict of tensors, ValueError for tensors that are no leaves, are in a group
        already, or lack a required setting.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        members = list(params)
        named = [p for p in members if isinstance(p, tuple)]
        if named and len(named) != len(members):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        if named:
            param_group["param_names"] = [name for name, _ in named]
            members = [p for _, p in named]
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if named else 'without'} names to the optimizer"
            )
        param_group["params"] = members
        for p in members:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {typename(p)}")
            if not (p.is_leaf or p.retains_grad):
                if self.defaults.get("differentiable"):
                    raise NotImplementedError(
                        "differentiable=True: steps are not recorded, so no gradient would flow through them. Write "
                        "the update with tensor operations, on parameters given to gradcu.func.functional_call"
                    )
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, value in self.defaults.items():
            if value is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, value)
        if len(set(members)) != len(members):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        if not set(members).isdisjoint(p for group in self.param_groups for p in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Take the gradients of all parameters away, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                else:
                    clear_grad(p, False)

    # --- the step ---

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; returns what `closure`, called first, returns.

        `closure` computes the loss anew: it clears the gradients, calls backward() and returns the loss.
        """
        loss = self._evaluate(closure)
        by = f"{type(self).__name__}.step()"
        for group in self.param_groups:
            params = [p for p in group["params"] if p._grad is not None]
            for p in [p for p in params if p._grad.is_sparse]:
                params.remove(p)
                self._update_rows(p, group)
                changed(p, by)
            if not self._update_all(params, group):
                for p in params:
                    array, g = p._array, p._grad._array
                    state = self.state.get(p, {})
                    xp = backends.namespaces[type(array)]
                    self._update(xp, array, -g if group.get("maximize") else g, state, group)
                    if state:
                        self.state[p] = state
            for p in params:
                changed(p, by)
        return loss

    def _update_all(self, params: list[Tensor], group: dict[str, Any]) -> bool:
        """Update these, which have gradients, in one pass of a compiled loop; False if there is none for them."""
        return False

    def _update_rows(self, p: Tensor, group: dict[str, Any]) -> None:
        """The step by a sparse gradient: `_update` of the rows that it has, as if they were a parameter."""
        slots = self._row_slots(group)
        grad, array, state = p._grad.coalesce(), p._array, self.state.get(p, {})  # type: ignore[union-attr]
        rows = tuple(index._array for index in grad._indices())
        xp, g = backends.namespaces[type(array)], grad._values()._array
        whole = {name: slot(xp, state, name, array, value) for name, value in slots.items()}
        part, held = array[rows], state | {name: from_array(a[rows]) for name, a in whole.items()}
        self._update(xp, part, -g if group.get("maximize") else g, held, group)
        array[rows] = part
        for name, a in whole.items():
            a[rows] = held.pop(name)._array
        if held or whole:
            self.state[p] = state | held

    def _row_slots(self, group: dict[str, Any]) -> dict[str, float]:
        """The state that has a row for each of the parameter's, and its first value; others do not change in a step.

        Raises RuntimeError if rows without a gradient would.
        """
        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def _together(self, name: str, params: list[Tensor], group: dict[str, Any], slots: list[str]) -> Any:
        """The kernel `name` for all of these parameters; false if there is none."""
        xp = backends.namespaces[type(params[0]._array)] if params else backends.host
        if xp is not backends.host:
            from ..backends.gpu import optim

            return optim.Together(xp, name, self.state, params, slots)
        from ..backends.cpu.optim import Addresses
        from .together import Together

        known = self.__dict__.setdefault("_known", {})  # by group, while arrays stay the same
        return Together(name, self.state, params, slots, known.setdefault(id(group), defaultdict(Addresses)))

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the raw array `p` in place by the gradient `g`; `state`, kept from step to step, starts empty."""
        raise NotImplementedError

    @staticmethod
    def _evaluate(closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            return None
        with enable_grad():
            return closure()

    def register_step_pre_hook(self, hook: Callable) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new `(args, kwargs)`."""
        return Handle(self._hooks.before, hook)

    def register_step_post_hook(self, hook: Callable) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return Handle(self._hooks.after, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` before `state_dict`."""
        return Handle(self._hooks.before_saving, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; what it returns takes the place of that."""
        return Handle(self._hooks.after_saving, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` before `load_state_dict`; what it returns is loaded instead."""
        return Handle(self._hooks.before_loading, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return Handle(self._hooks.after_loading, hook, prepend)

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """{"state": by number of the parameter, "param_groups": with those numbers}, as PyTorch's; memory is shared."""
        for hook in list(self._hooks.before_saving.values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            settings = {k: v for k, v in group.items() if k != "params"}
            groups.append({**settings, "params": [numbers[id(p)] for p in group["params"]]})
        state = {(numbers[id(k)] if isinstance(k, Tensor) else k): v for k, v in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in list(self._hooks.after_saving.values()):
            replaced = hook(self, result)
            result = result if replaced is None else replaced
        return result

    @no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take copies of the state and settings in `state_dict`, which may be PyTorch's.

        Raises ValueError if it is of other groups of parameters.
        """
        state_dict = dict(state_dict)
        for hook in list(self._hooks.before_loading.values()):
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        saved = [dict(group) for group in state_dict["param_groups"]]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(saved, self.param_groups)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        owners = {
            number: p
            for theirs, mine in zip(saved, self.param_groups)
            for number, p in zip(theirs["params"], mine["params"])
        }
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            p = owners.get(key)
            if p is None:
                state[key] = value
            else:
                state[p] = {name: _suited(v, p, name) for name, v in value.items()}
        groups = []
        for theirs, mine in zip(saved, self.param_groups):
            theirs["params"] = mine["params"]
            if "param_names" in mine:
                theirs.setdefault("param_names", mine["param_names"])
            groups.append(theirs)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in list(self._hooks.after_loading.values()):
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.pop("_known", None)
        self.__dict__.setdefault("_hooks", _Hooks())

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"


def _with_hooks(step: Callable) -> Callable:
    """`step` with the optimizer's hooks around it."""

    @functools.wraps(step)
    def around(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        own = self._hooks
        for hook in (*_everywhere.before.values(), *own.before.values()) if _everywhere.before or own.before else ():
            replaced = hook(self, args, kwargs)
            if replaced is not None:
                if not isinstance(replaced, tuple) or len(replaced) != 2:
                    raise RuntimeError(
                        f"{step} must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
                    )
                args, kwargs = replaced
        result = step(self, *args, **kwargs)
        for hook in (*own.after.values(), *_everywhere.after.values()) if _everywhere.after or own.after else ():
            hook(self, args, kwargs)
        return result

    return around


Optimizer.step = _with_hooks(Optimizer.step)  # type: ignore[method-assign]


def register_optimizer_step_pre_hook(hook: Callable) -> Handle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer, before its own hooks."""
    return Handle(_everywhere.before, hook)


def register_optimizer_step_post_hook(hook: Callable) -> Handle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer, after its own hooks."""
    return Handle(_everywhere.after, hook)


def _suited(value: Any, p: Tensor, name: str = "") -> Any:
    """A copy of a value from a state dict, as the parameter needs it; counts and other numbers stay as they are."""
    if isinstance(value, Tensor):
        if name == "step" or (value.dim() == 0 and p.dim()):
            return value.detach().clone()
        return value.detach().to(p.device, p.dtype if p.is_floating_point() else None, copy=True)
    if isinstance(value, dict):
        return {k: _suited(v, p) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_suited(v, p) for v in value)
    return copy.deepcopy(value)


# --- for settings ---


def check(betas: Sequence[float] = (), **settings: Any) -> None:
    """Raise ValueError for a negative setting, and for a beta outside of [0, 1)."""
    if isinstance(settings.get("lr"), Tensor) and settings["lr"].numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    for name, value in settings.items():
        if value < 0:
            words = {"lr": "learning rate", "eps": "epsilon value"}
            raise ValueError(f"Invalid {words.get(name, f'{name} value')}: {value}")
    for i, beta in enumerate(betas):
        if not 0 <= beta < 1:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


# --- for the formulas of steps ---


def slot(xp: Any, state: dict[str, Any], name: str, p: Any, value: float = 0.0) -> Any:
    """The raw array that `state` holds under a name, made like `p` and filled with `value` at the first step."""
    if name not in state:
        state[name] = from_array(xp.full(p.shape, value, dtype=p.dtype))
    return state[name]._array


def number(state: dict[str, Any], name: str, value: float) -> Any:
    """The 0-d array that `state` holds under a name, at first `value`; float32 as PyTorch keeps its numbers."""
    if name not in state:
        state[name] = from_array(backends.host.full((), value, dtype=dtypes.get_default_dtype().numpy))
    return state[name]._array


def next_step(state: dict[str, Any]) -> int:
    """Count a step in `state` and return the new count."""
    count = number(state, "step", 0)
    count += 1
    return int(count)


def decayed(p: Any, g: Any, lr: float, decay: float, decoupled: bool) -> Any:
    """The gradient with the decay of weights in it; if that is decoupled, p shrinks in place instead."""
    if decay and decoupled:
        p *= 1 - lr * decay
    return g + decay * p if decay and not decoupled else g


def blocks(xp: Any, *arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Corresponding parts of arrays of one shape, then scratch of that size, small enough to stay in the cache.

    Complex numbers come as pairs of real ones, as PyTorch optimizes them.
    """
    if not all(a.flags.c_contiguous for a in arrays):
        arrays = tuple(map(_real, arrays))
        yield *arrays, xp.empty_like(arrays[0])
        return
    flat = [_real(a.reshape(-1)) for a in arrays]
    n = flat[0].size
    if n <= BLOCK or xp is not backends.host:
        yield *flat, xp.empty_like(flat[0])
        return
    scratch = xp.empty(BLOCK, dtype=flat[0].dtype)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        yield *(a[start:stop] for a in flat), scratch[: stop - start]


def _real(x: Any) -> Any:
    return x.view(x.real.dtype) if x.dtype.kind == "c" else x

"""Hooks of modules: around the forward and the backward of one module or of all, and on what modules register."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ..graph.hooks import Handle
from ..tensor import Tensor
from .backward import BackwardHooks


class Hooks:
    """The hooks of one module, by number; most modules have none of these."""

    def __init__(self) -> None:
        self.forward_pre: dict[int, Callable] = {}
        self.forward: dict[int, Callable] = {}
        self.with_kwargs: set[int] = set()  # numbers of forward hooks and pre-hooks
        self.always_call: set[int] = set()
        self.backward_pre: dict[int, Callable] = {}
        self.backward: dict[int, Callable] = {}
        self.result_backward: dict[int, Callable] = {}  # those of `register_backward_hook`
        self.state_dict_pre: dict[int, Callable] = {}
        self.state_dict_post: dict[int, tuple[Callable, bool]] = {}  # hook, may replace
        self.load_pre: dict[int, tuple[Callable, bool]] = {}  # hook, with_module
        self.load_post: dict[int, Callable] = {}

    def add(self, name: str, hook: Any, *, prepend: bool = False, **marks: bool) -> Handle:
        """Register under `name`; `marks` says into which sets the hook's number goes."""
        if name in ("backward", "result_backward"):
            other = self.result_backward if name == "backward" else self.backward
            if other:
                raise RuntimeError(
                    "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use "
                    "only one of them."
                )
        handle = Handle(getattr(self, name), hook, prepend)
        for mark, set_ in marks.items():
            if set_:
                getattr(self, mark).add(handle.id)
        return handle


#: the hooks that run for every module, once there were any
everywhere: Hooks | None = None
#: the hooks on registering, by what is registered: each `hook(module, name, value)` may return another value
registration: dict[str, dict[int, Callable]] = {
    "parameter": {},
    "buffer": {},
    "module": {},
}


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """What the hooks make of a parameter, buffer or module that is about to be registered."""
    for hook in list(registration[kind].values()):
        changed = hook(module, name, value)
        value = value if changed is None else changed
    return value


class Hooked:
    """What calling a module does: its hooks, those of all modules first, around its `forward`."""

    _hooks: Hooks | None = None
    forward: Callable

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None and everywhere is None:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks([h for h in (everywhere, self._hooks) if h is not None], args, kwargs)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False) -> Handle:
        """Call `hook(module, args)` before `forward`; what it returns replaces the arguments.

        with_kwargs: `hook(module, args, kwargs)` that returns None or `(args, kwargs)`. prepend: before other hooks.
        """
        return self._own_hooks().add("forward_pre", hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Handle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        with_kwargs: `hook(module, args, kwargs, output)`. prepend: before other hooks. always_call: even if an error
        is on its way, with None as the output.
        """
        return self._own_hooks().add("forward", hook, prepend=prepend, with_kwargs=with_kwargs, always_call=always_call)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` before the module's backward; what it returns replaces grad_output."""
        return self._own_hooks().add("backward_pre", hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs are known.

        What it returns replaces `grad_input`, which has None where an argument is no tensor that requires grad.
        Raises RuntimeError where there is a hook of `register_backward_hook`.
        """
        return self._own_hooks().add("backward", hook, prepend=prepend)

    def register_backward_hook(self, hook: Callable) -> Handle:
        """Call `hook(module, grad_input, grad_output)` in the backward of the node that made the module's result.

        `register_full_backward_hook` is what one wants: this one sees only the last operation of the module. Raises
        RuntimeError where there is a full hook.
        """
        return self._own_hooks().add("result_backward", hook)

    # As scripts read and clear them.

    @property
    def _forward_pre_hooks(self) -> dict[int, Callable]:
        return self._own_hooks().forward_pre

    @property
    def _forward_hooks(self) -> dict[int, Callable]:
        return self._own_hooks().forward

    @property
    def _backward_pre_hooks(self) -> dict[int, Callable]:
        return self._own_hooks().backward_pre

    @property
    def _backward_hooks(self) -> dict[int, Callable]:
        return self._own_hooks().backward

    @property
    def _state_dict_hooks(self) -> dict[int, tuple[Callable, bool]]:
        return self._own_hooks().state_dict_post

    @property
    def _load_state_dict_pre_hooks(self) -> dict[int, tuple[Callable, bool]]:
        return self._own_hooks().load_pre

    def _call_with_hooks(self, several: list[Hooks], args: tuple, kwargs: dict) -> Any:
        called: set[int] = set()
        result = None
        try:
            for hooks in several:
                for number, hook in list(hooks.forward_pre.items()):
                    if number in hooks.with_kwargs:
                        args, kwargs = _replaced_arguments(hook(self, args, kwargs), args, kwargs)
                    else:
                        changed = hook(self, args)
                        if changed is not None:
                            args = changed if isinstance(changed, tuple) else (changed,)
            before = [hook for hooks in several for hook in hooks.backward_pre.values()]
            after = [hook for hooks in several for hook in hooks.backward.values()]
            watch = BackwardHooks(self, before, after) if before or after else None
            if watch:
                args = watch.on_inputs(args)
            result = self.forward(*args, **kwargs)
            for hooks in several:
                for number, hook in list(hooks.forward.items()):
                    called.add(number)
                    changed = _call(hooks, number, hook, self, args, kwargs, result)
                    result = result if changed is None else changed
            if watch:
                result = watch.on_outputs(result)
            _hook_result([hook for hooks in several for hook in hooks.result_backward.values()], self, result)
            return result
        except Exception:
            for hooks in several:
                for number, hook in list(hooks.forward.items()):
                    if number in hooks.always_call and number not in called:
                        try:
                            _call(hooks, number, hook, self, args, kwargs, result)
                        except Exception as error:
                            warnings.warn(
                                "module forward hook with ``always_call=True`` raised an exception that was silenced "
                                f"as another error was raised in forward: {error}",
                                stacklevel=2,
                            )
            raise


def _call(hooks: Hooks, number: int, hook: Callable, module: Any, args: tuple, kwargs: dict, result: Any) -> Any:
    """Call a forward hook in the way in which it was registered."""
    return hook(module, args, kwargs, result) if number in hooks.with_kwargs else hook(module, args, result)


def _replaced_arguments(changed: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments after a forward pre-hook with keywords."""
    if changed is None:
        return args, kwargs
    if isinstance(changed, tuple) and len(changed) == 2:
        return changed
    raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}.")


def _hook_result(hooks: list[Callable], module: Any, result: Any) -> None:
    """Put the hooks of `register_backward_hook` on the node of the first tensor in a result."""
    if not hooks:
        return
    while not isinstance(result, Tensor):
        result = next(v for v in result.values() if isinstance(v, Tensor)) if isinstance(result, dict) else result[0]
    if result.grad_fn is not None:
        for hook in hooks:
            result.grad_fn.register_hook(lambda inputs, outputs, hook=hook: hook(module, inputs, outputs))


# --- for all modules ---


def _everywhere() -> Hooks:
    global everywhere
    if everywhere is None:
        everywhere = Hooks()
    return everywhere


def register_module_forward_pre_hook(hook: Callable) -> Handle:
    """Call `hook(module, args)` before the forward of every module, before its own hooks; for debugging."""
    return _everywhere().add("forward_pre", hook)


def register_module_forward_hook(hook: Callable, *, with_kwargs: bool = False, always_call: bool = False) -> Handle:
    """Call `hook(module, args, output)` after the forward of every module, before its own hooks; for debugging."""
    return _everywhere().add("forward", hook, with_kwargs=with_kwargs, always_call=always_call)


def register_module_full_backward_pre_hook(hook: Callable) -> Handle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _everywhere().add("backward_pre", hook)


def register_module_full_backward_hook(hook: Callable) -> Handle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    return _everywhere().add("backward", hook)


def register_module_backward_hook(hook: Callable) -> Handle:
    """As `register_module_full_backward_hook`, but on the node of the module's result alone."""
    return _everywhere().add("result_backward", hook)


def register_module_parameter_registration_hook(hook: Callable) -> Handle:
    """Call `hook(module, name, parameter)` when a module registers a parameter; what it returns takes its place."""
    return Handle(registration["parameter"], hook)


def register_module_buffer_registration_hook(hook: Callable) -> Handle:
    """Call `hook(module, name, buffer)` when a module registers a buffer; what it returns takes its place."""
    return Handle(registration["buffer"], hook)


def register_module_module_registration_hook(hook: Callable) -> Handle:
    """Call `hook(module, name, submodule)` when a module registers a submodule; what it returns takes its place."""
    return Handle(registration["module"], hook)

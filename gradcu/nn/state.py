"""The state of modules: `state_dict`, `load_state_dict`, and the hooks around them."""

from __future__ import annotations

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..graph.hooks import Handle
from ..graph.modes import no_grad
from ..tensor import Tensor
from .hooks import Hooks
from .parameter import Parameter


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict(strict=False)` did not find, and what it did not use."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"

    __str__ = __repr__


class Stateful:
    """What a module saves and loads."""

    #: of the layout of the state_dict; kept in its metadata, so that `_load_from_state_dict` can read older ones
    _version = 1
    _hooks: Hooks | None
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _own_hooks: Callable[[], Hooks]

    def get_extra_state(self) -> Any:
        """Further state to keep in `state_dict`, for subclasses that define it together with `set_extra_state`."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    # --- saving ---

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """The parameters and persistent buffers by dotted name, detached unless `keep_vars`; memory is shared.

        >>> list(Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            given: Any = (*args, *(destination, prefix, keep_vars)[len(args) :])
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        hooks = self._hooks
        for hook in list(hooks.state_dict_pre.values()) if hooks else ():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook, may_replace in list(hooks.state_dict_post.values()) if hooks else ():
            replaced = hook(self, destination, prefix, metadata)
            if replaced is not None:
                if not may_replace:
                    raise RuntimeError("state_dict post-hook must return None")
                destination = replaced
        return destination

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        """Put the state of this module alone into `destination`."""
        for name, t in self._own_state():
            if t is not None:
                destination[prefix + name] = t if keep_vars else t.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + "_extra_state"] = self.get_extra_state()

    def _own_state(self) -> Iterator[tuple[str, Tensor | None]]:
        yield from self._parameters.items()
        for name, buffer in self._buffers.items():
            if name not in self._non_persistent_buffers_set:
                yield name, buffer

    # --- loading ---

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the values of `state_dict` into parameters and buffers; `assign=True` takes its tensors themselves.

        Returns the keys that were missing and those that were unexpected. Raises RuntimeError that lists them all if
        there are any (unless `strict` is false) and for shapes that differ.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata  # type: ignore[attr-defined]
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []

        def load(module: Any, local: dict, prefix: str) -> None:
            about = {} if metadata is None else metadata.get(prefix[:-1], {})
            if assign:
                about["assign_to_params_buffers"] = True
            module._load_from_state_dict(local, prefix, about, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = f"{prefix}{name}."
                    load(child, {k: v for k, v in local.items() if k.startswith(below)}, below)
            for hook in list(module._hooks.load_post.values()) if module._hooks else ():
                if hook(module, _IncompatibleKeys(missing, unexpected)) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                        "values, if incompatible_keys need to be modified, it should be done inplace."
                    )

        load(self, state, "")
        if strict:
            for what, keys in (("Unexpected", unexpected), ("Missing", missing)):
                if keys:
                    errors.insert(
                        0, f"{what} key(s) in state_dict: {', '.join(f'{chr(34)}{k}{chr(34)}' for k in keys)}. "
                    )
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}")
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take the state of this module alone; subclasses override it to read older layouts."""
        about = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook, with_module in list(self._hooks.load_pre.values()) if self._hooks else ():
            hook(self, *about) if with_module else hook(*about)
        assign = local_metadata.get("assign_to_params_buffers", False)
        known = set()
        for name, t in self._own_state():
            if t is None:
                continue
            known.add(name)
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
            else:
                problem = self._take(name, key, t, state_dict[key], assign)
                if problem:
                    error_msgs.append(problem)
        extra = prefix + "_extra_state"
        if type(self).set_extra_state is not Stateful.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
            known.add("_extra_state")
        if strict:
            for key in state_dict:
                if key.startswith(prefix):
                    head, dot, _ = key[len(prefix) :].partition(".")
                    if head not in (self._modules if dot else known):
                        unexpected_keys.append(key)

    def _take(self, name: str, key: str, own: Tensor, given: Any, assign: bool) -> str:
        """Put one value of a state_dict in its place; what is wrong with it, or ""."""
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected gradcu.Tensor or Tensor-like object from '
                f"checkpoint but received {type(given)}"
            )
        if own.dim() == 0 and given.shape == (1,):  # as PyTorch's before 0.4 wrote them
            given = given[0]
        if own.shape != given.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in "
                f"current model is {own.shape}."
            )
        if not assign:
            try:
                with no_grad():
                    own.copy_(given)
            except Exception as error:
                return (
                    f'While copying the parameter named "{key}", whose dimensions in the model are {own.size()} and '
                    f"whose dimensions in the checkpoint are {given.size()}, an exception occurred : {error.args}."
                )
        elif isinstance(own, Parameter):
            if not isinstance(given, Parameter):
                given = Parameter(given, requires_grad=own.requires_grad)
            self._parameters[name] = given.requires_grad_(own.requires_grad)
        else:
            self._buffers[name] = given
        return ""

    # --- hooks ---

    def register_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """Call `hook(module, prefix, keep_vars)` before the module's state is collected."""
        return self._own_hooks().add("state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable) -> Handle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after the module's state was collected."""
        return self._own_hooks().add("state_dict_post", (hook, False))

    def _register_state_dict_hook(self, hook: Callable) -> Handle:
        """As `register_state_dict_post_hook`; what the hook returns replaces the state_dict."""
        return self._own_hooks().add("state_dict_post", (hook, True))

    def register_load_state_dict_pre_hook(self, hook: Callable) -> Handle:
        """Call `hook(module, ...)` with the arguments of `_load_from_state_dict`, before it."""
        return self._own_hooks().add("load_pre", (hook, True))

    def _register_load_state_dict_pre_hook(self, hook: Callable, with_module: bool = False) -> Handle:
        """As `register_load_state_dict_pre_hook`; the hook takes the module first only if `with_module`."""
        return self._own_hooks().add("load_pre", (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable) -> Handle:
        """Call `hook(module, incompatible_keys)` after `load_state_dict`; it may change the lists of keys."""
        return self._own_hooks().add("load_post", hook)

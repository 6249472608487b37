"""Parameters computed from others: `register_parametrization(layer, "weight", Symmetric())`."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

from ...graph.modes import no_grad
from ...tensor import Tensor
from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

_caching = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed once, when it is first used."""
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_like(problem: str, given: Tensor, like: Tensor, names: tuple[str, str], shape: bool = True) -> None:
    """Raise ValueError, which says `problem`, if dtype or shape differ; `names` says what the two tensors are."""
    for what in ("dtype", "shape")[: 1 + shape]:
        a, b = getattr(like, what), getattr(given, what)
        if a != b:
            raise ValueError(f"{problem.format(what=what)}\n{names[0].format(what)}: {a}\n{names[1].format(what)}: {b}")


def _check_tensor(value: Any, what: str) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{what} Got {type(value).__name__}.")


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other, and what they are applied to.

    That is `original`, or `original0`, `original1`, ... where the first one's `right_inverse` returns several tensors.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach().clone()
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with contextlib.suppress(NotImplementedError):  # then the tensor starts where it is
                        new = module.right_inverse(new)
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if isinstance(new, Tensor):
            for what in ("dtype", "device"):
                a, b = getattr(original, what), getattr(new, what)
                if a != b:
                    raise ValueError(
                        f"When `right_inverse` outputs one tensor, it may not change the {what}.\noriginal.{what}: {a}"
                        f"\nright_inverse(original).{what}: {b}"
                    )
            original.data = new.detach()
            _register(self, "original", original)
        else:
            for i, value in enumerate(new):
                if not isinstance(value, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                        f"{i} of the sequence with type {type(value).__name__}."
                    )
                value = value.detach()
                value = Parameter(value, original.requires_grad) if isinstance(original, Parameter) else value
                _register(self, f"original{i}", value.requires_grad_(original.requires_grad))
        if not unsafe:
            result = self()
            _check_tensor(result, "A parametrization must return a tensor.")
            _check_like(
                "Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is "
                "enabled.",
                result,
                before,
                ("unparametrized {}", "parametrized {}"),
            )

    def _originals(self) -> list[Tensor]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    @no_grad()
    def right_inverse(self, value: Any) -> None:
        """Set the originals so that `value` is what comes out, as far as the parametrizations can undo themselves.

        Raises RuntimeError if one has no `right_inverse`, ValueError if one returns what does not fit.
        """
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
            value = module.right_inverse(value)
        if self.is_tensor:
            if not isinstance(value, Tensor):
                raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
            if value.dtype != self.original.dtype:
                raise ValueError(
                    f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                    f"{self.original.dtype}"
                )
            self.original.data = value.detach()
            return
        if not isinstance(value, Sequence):
            raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
        if len(value) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                f"length {len(value)}."
            )
        for i, (t, original) in enumerate(zip(value, self._originals(), strict=True)):
            if not isinstance(t, Tensor):
                raise ValueError(
                    f"`right_inverse` must return a sequence of tensors. Got element {i} of type {type(t)}"
                )
            if t.dtype != original.dtype:
                raise ValueError(
                    f"Tensor {i} returned by `right_inverse` has dtype {t.dtype} while `original{i}` has dtype "
                    f"{original.dtype}"
                )
            original.data = t.detach()

    def forward(self) -> Any:
        first, *rest = self
        value = first(*self._originals())
        for module in rest:
            value = module(value)
        return value


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make a parameter or buffer the result of `parametrization`, applied to what it was; several are applied in turn.

    `parametrization.right_inverse`, if there is one, says what to start from, and lets the tensor be assigned to. The
    module's class becomes a subclass of its own. unsafe: shape and dtype may change.

    Raises ValueError for an unknown name, and unless `unsafe` for a result of another shape or dtype.

    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        several = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        setattr(type(module), tensor_name, _property(tensor_name))
        module.parametrizations[tensor_name] = several
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_further(module: Module, name: str, parametrization: Any) -> None:
    """Raise ValueError if one more parametrization, or its inverse, changes dtype or shape."""
    before = getattr(module, name)
    after = parametrization(before)
    _check_tensor(after, "A parametrization must return a tensor.")
    own = f"module.{name}."
    _check_like(
        "Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is enabled.",
        after,
        before,
        (own + "{}", f"parametrization(module.{name}).{{}}"),
    )
    if hasattr(parametrization, "right_inverse"):
        with contextlib.suppress(NotImplementedError):
            back = parametrization.right_inverse(after)
            if not isinstance(back, Tensor):
                raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
            _check_like(
                f"The tensor returned by parametrization.right_inverse must have the same {{what}} as module.{name}, "
                "unless the `unsafe` flag is enabled.",
                back,
                before,
                (own + "{}", "returned {}"),
            )


def _give_own_class(module: Module) -> None:
    """Make the module the only one of a new class, which can have properties."""
    base = type(module)

    def __getstate__(self: Module) -> Any:
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict().")

    def __deepcopy__(self: Module, memo: dict) -> Module:
        other = memo[id(self)] = object.__new__(type(self))
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    members = {"__getstate__": __getstate__, "__module__": base.__module__}
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = __deepcopy__
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), members)


def _property(name: str) -> property:
    def get(module: Any) -> Tensor:
        compute = module.parametrizations[name]
        if not _caching:
            return compute()
        key = id(module), name
        if key not in _cache:
            _cache[key] = compute()
        return _cache[key]

    def assign(module: Any, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(get, assign)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the tensor of that name, or any of the module's, is parametrized."""
    several = getattr(module, "parametrizations", None)
    if not isinstance(several, ModuleDict):
        return False
    return len(several) > 0 if tensor_name is None else tensor_name in several


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a tensor an ordinary one again, with the value that it has, or (`leave_parametrized=False`) its original.

    Raises ValueError for a tensor that is not parametrized, or whose original is several tensors and shall be left.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    several = module.parametrizations[tensor_name]
    value = getattr(module, tensor_name)
    if several.is_tensor:
        original = several.original
        if leave_parametrized:
            original.data = value.detach()
    elif leave_parametrized:
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Make tensors of `to_module`, one or all that `from_module` parametrizes, share parametrizations and originals."""
    if not is_parametrized(from_module):
        return to_module
    for name in from_module.parametrizations if tensor_name is None else [tensor_name]:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization, unsafe=source.unsafe)
        for original in [n for store in (source._parameters, source._buffers) for n in store]:
            setattr(to_module.parametrizations[name], original, getattr(source, original))
    return to_module

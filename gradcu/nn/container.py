"""Modules that hold modules or parameters."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from ..tensor import Tensor
from .module import Module, typename
from .parameter import Parameter


def _position(index: Any, length: int) -> int:
    """A position counted from the front. Raises IndexError out of range."""
    i = operator.index(index)
    if not -length <= i < length:
        raise IndexError(f"index {i} is out of range")
    return i % length


class _Positions:
    """Members under the names "0", "1", ..., kept in `_modules`."""

    _modules: dict[str, Any]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        members = list(self._modules.values())
        if isinstance(index, slice):
            return type(self)(*members[index]) if isinstance(self, Sequential) else type(self)(members[index])  # type: ignore[call-arg]
        return members[_position(index, len(members))]

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, list(self._modules)[_position(index, len(self))], module)

    def __delitem__(self, index: Any) -> None:
        members = list(self._modules.values())
        if isinstance(index, slice):
            del members[index]
        else:
            del members[_position(index, len(members))]
        self._renumber(members)

    def _renumber(self, members: Iterable[Any]) -> None:
        self.__dict__["_modules"] = {str(i): member for i, member in enumerate(members)}

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)  # type: ignore[attr-defined]
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add a module before the one at `index`."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        members = list(self._modules.values())
        members.insert(index, module)
        self._renumber(members)
        return self

    def pop(self, index: int | slice = -1) -> Any:
        """Take out the module at `index` and return it."""
        found = self[index]
        del self[index]
        return found

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, modules: Iterable[Module]) -> Self:
        both = [*self, *modules]
        return type(self)(*both) if isinstance(self, Sequential) else type(self)(both)  # type: ignore[call-arg]


class Sequential(_Positions, Module):
    """Modules in a row: each takes what the one before it returns.

    `Sequential(a, b)`, or `Sequential(OrderedDict(first=a, second=b))` to name them.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def _renumber(self, members: Iterable[Any]) -> None:
        """New names only if the old ones were numbers."""
        names = list(self._modules)
        if names == [str(i) for i in range(len(names))]:
            return super()._renumber(members)
        by_id = {id(m): n for n, m in self._modules.items()}
        self.__dict__["_modules"] = {by_id.get(id(m), str(i)): m for i, m in enumerate(members)}

    def __mul__(self, times: int) -> Sequential:
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return type(self)(*(list(self) * times))

    __rmul__ = __mul__

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_Positions, Module):
    """A list of modules that are registered."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __repr__(self) -> str:
        """As any module's, but equal neighbours are shown once: `(0-3): 4 x Linear(...)`."""
        runs: list[list[Any]] = []  # first, last, text
        for i, text in enumerate(map(repr, self)):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return f"{self._get_name()}()"
        lines = [f"({a}): {text}" if a == b else f"({a}-{b}): {b - a + 1} x {text}" for a, b, text in runs]
        return f"{self._get_name()}(\n  " + "\n  ".join(line.replace("\n", "\n  ") for line in lines) + "\n)"


class ModuleDict(Module):
    """A dictionary of modules that are registered, in the order in which they were put in."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        return self._modules.pop(key)  # type: ignore[return-value]

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """The names and modules."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Put modules in: a mapping, or pairs of name and module."""
        for key, module in _pairs(modules, "ModuleDict"):
            self[key] = module


class _Mixed(Module):
    """Holds parameters, and any other values, under names of its own; tensors become parameters."""

    def _put(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, Parameter):
            value = Parameter(value)
        setattr(self, name, value)

    @staticmethod
    def _line(name: Any, value: Any, kind: Callable[[Tensor], Any]) -> str:
        """What `repr` says of one value; `kind` names the dtype of a tensor."""
        if not isinstance(value, Tensor):
            return f"  ({name}): Object of type: {type(value).__name__}"
        size = "x".join(map(str, value.shape))
        place = f" ({value.device})" if value.is_cuda else ""
        what = "Parameter" if isinstance(value, Parameter) else "Tensor"
        return f"  ({name}): {what} containing: [{kind(value)} of size {size}{place}]"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{type(self).__name__} should not be called.")


class ParameterList(_Mixed):
    """A list of parameters that are registered; tensors become parameters, other values are kept as they are."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([getattr(self, str(i)) for i in range(self._size)[index]])
        return getattr(self, str(_position(index, self._size)))

    def __setitem__(self, index: int, value: Any) -> None:
        self._put(str(_position(index, self._size)), value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self._size))

    def __iadd__(self, values: Iterable[Any]) -> Self:
        return self.extend(values)

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(self._line(i, value, lambda t: t.dtype) for i, value in enumerate(self))


class ParameterDict(_Mixed):
    """A dictionary of parameters that are registered; tensors become parameters, other values are kept as they are."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._keys[key] = None
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: Any) -> ParameterDict:
        both = type(self)(self)
        both.update(other)
        return both

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        """The values."""
        return [self[key] for key in self._keys]

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names and values."""
        return [(key, self[key]) for key in self._keys]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of that name, or `default`."""
        return self[key] if key in self._keys else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of that name, which `default` becomes if there is none."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a value out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last name and value out and return them."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all values out."""
        for key in list(self._keys):
            del self[key]

    def copy(self) -> ParameterDict:
        """Another one that holds the same values."""
        return type(self)(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """One that holds `default` under each of `keys`."""
        return type(self)((key, default) for key in keys)

    def update(self, parameters: Any) -> None:
        """Put values in: a mapping, or pairs of name and value."""
        if type(parameters) is dict:
            parameters = sorted(parameters.items())
        for key, value in _pairs(parameters, "ParametersDict"):
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(self._line(key, value, typename) for key, value in self.items())


def _pairs(given: Any, owner: str) -> Iterable[tuple[str, Any]]:
    """The names and values of a mapping or of pairs. Raises TypeError for what is neither, ValueError for no pair."""
    if isinstance(given, (Mapping, ModuleDict, ParameterDict)):
        return given.items()
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{owner}.update should be called with an iterable of key/value pairs, but got {typename(given)}"
        )
    pairs = list(given)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{owner} update sequence element #{i} should be Iterable; is {typename(pair)}")
        if len(list(pair)) != 2:
            raise ValueError(f"{owner} update sequence element #{i} has length {len(list(pair))}; 2 is required")
    return pairs

"""Unpicklers: one that runs nothing from a file, and one that runs what the file says, as pickles do."""

from __future__ import annotations

import importlib
import pickle
import pickletools
from collections import Counter, OrderedDict
from typing import Any

from . import names, rebuild

_UNTRUSTED = ("sys", "os", "posix", "nt")  # modules that nobody can declare safe


_PythonsUnpickler: Any = pickle._Unpickler  # the one written in Python: its opcodes can be exchanged


_MISSING_DTYPES = ("float8", "float4", "complex32", "qint", "quint", "bits")  # how the names of PyTorch's others begin


class _Dispatch(dict):
    def __missing__(self, opcode: int) -> Any:
        raise pickle.UnpicklingError(f"Unsupported operand {opcode}")


#: the opcodes of protocol 2 that build plain data, as Python's own unpickler runs them
_PLAIN = (
    "MARK PROTO STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINSTRING BINUNICODE TUPLE "
    "TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BINPUT LONG_BINPUT BINGET LONG_BINGET"
).split()


class WeightsUnpickler(_PythonsUnpickler):
    """Unpickles plain data, tensors, and what the user declared safe; refuses everything else by name.

    It is Python's unpickler with the opcodes left out that checkpoints do not need, and those that look up, call or
    change objects written anew. Raises UnpicklingError.
    """

    dispatch = _Dispatch(
        {getattr(pickle, name)[0]: _PythonsUnpickler.dispatch[getattr(pickle, name)[0]] for name in _PLAIN}
    )

    def __init__(self, file: Any, persistent_load: Any, **settings: Any) -> None:
        super().__init__(file, **settings)
        self.persistent_load = persistent_load
        self._trusted = names.trusted()
        callables = (*names.CALLABLE.values(), *self._trusted.values())
        self._callables = {id(function) for function in callables}

    def load(self) -> Any:
        try:
            return super().load()
        except EOFError:
            raise EOFError("Ran out of input") from None
        except (pickle.UnpicklingError, RuntimeError):
            raise
        except Exception as error:
            raise pickle.UnpicklingError(f"corrupt pickle: {type(error).__name__}: {error}") from error

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if module in _UNTRUSTED:
            raise pickle.UnpicklingError(f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked.")
        for table in (names.ALLOWED, self._trusted):
            if full in table:
                return table[full]
        if module == "torch" and name.startswith(_MISSING_DTYPES):
            raise pickle.UnpicklingError(f"the file has tensors of {full}, a dtype that gradcu does not have")
        shown = full.removeprefix("builtins.")
        raise pickle.UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
            f"`gradcu.serialization.add_safe_globals([{shown}])` or the `gradcu.serialization.safe_globals([{shown}])` "
            "context manager to allowlist this global if you trust this class/function."
        )

    def _load_global(self) -> None:
        module, name = _python3_name(*(self.readline()[:-1].decode("utf-8") for _ in range(2)))
        self.append(self.find_class(module, name))

    def _load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if id(function) not in self._callables:
            raise pickle.UnpicklingError(f"Trying to call reduce for unrecognized function {function}")
        self.stack[-1] = function(*arguments)

    def _load_newobj(self) -> None:
        arguments = self.stack.pop()
        cls = self.stack.pop()
        if not self._is_trusted(cls):
            raise pickle.UnpicklingError(
                f"Can only create new object for classes allowlisted via `add_safe_globals` but got {cls}"
            )
        self.append(cls.__new__(cls, *arguments))

    def _load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if type(made) is OrderedDict:
            made.__dict__.update(state)
        elif not self._is_trusted(type(made)):
            raise pickle.UnpicklingError(
                f"Can only build OrderedDict or types allowlisted via `add_safe_globals`, but got {type(made)}"
            )
        elif hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
            made.__dict__.update(attributes or {})
            for name, value in (slots or {}).items():
                setattr(made, name, value)

    def _is_trusted(self, cls: Any) -> bool:
        return any(cls is trusted for trusted in self._trusted.values())

    def _load_append(self) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise pickle.UnpicklingError(f"Can only append to lists, but got {type(self.stack[-1])}")
        self.stack[-1].extend(items)

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise pickle.UnpicklingError(
                f"Can only SETITEM for dict, collections.OrderedDict, collections.Counter, but got {type(target)}"
            )
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[rebuild.hashable(key)] = value

    def _load_binpersid(self) -> None:
        self.append(self.persistent_load(self.stack.pop()))

    for _opcode, _method in (
        (pickle.GLOBAL, _load_global),
        (pickle.REDUCE, _load_reduce),
        (pickle.NEWOBJ, _load_newobj),
        (pickle.BUILD, _load_build),
        (pickle.APPEND, _load_append),
        (pickle.APPENDS, _load_appends),
        (pickle.SETITEM, _load_setitem),
        (pickle.SETITEMS, _load_setitems),
        (pickle.BINPERSID, _load_binpersid),
    ):
        dispatch[_opcode[0]] = _method
    del _opcode, _method


def _python3_name(module: str, name: str) -> tuple[str, str]:
    """A name as pickles of protocol 2 have it (`__builtin__.set`) in today's Python (`builtins.set`)."""
    import _compat_pickle

    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def globals_of(file: Any) -> set[str]:
    """The full names that the pickle in a file refers to. Raises UnpicklingError if it is none."""
    found: set[str] = set()
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL" and isinstance(argument, str):
                found.add(".".join(_python3_name(*argument.split(" ", 1))))
            elif opcode.name == "STACK_GLOBAL":
                found.add(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    except ValueError as error:
        raise pickle.UnpicklingError(f"corrupt pickle: {error}") from None
    return found


def unrestricted(base: Any) -> Any:
    """An unpickler that imports, calls and builds what the pickle says; PyTorch's classes become gradcu's."""

    class Unpickler(base):
        def __init__(self, file: Any, persistent_load: Any, **settings: Any) -> None:
            super().__init__(file, **settings)
            self._load = persistent_load

        def persistent_load(self, pid: Any) -> Any:
            return self._load(pid)

        def find_class(self, module: str, name: str) -> Any:
            if module.partition(".")[0] != "torch":
                return super().find_class(module, name)
            found = names.ALLOWED.get(f"{module}.{name}")
            return _counterpart(module, name) if found is None else found

    return Unpickler


def _counterpart(module: str, name: str) -> Any:
    """gradcu's object of a name in PyTorch: `torch.nn.modules.linear.Linear` is `gradcu.nn.Linear`."""
    parts = module.split(".")[1:]
    for depth in range(len(parts), -1, -1):
        try:
            found = importlib.import_module(".".join((__package__.partition(".")[0], *parts[:depth])))
            return getattr(found, name)
        except (ImportError, AttributeError):
            continue
    raise pickle.UnpicklingError(f"{module}.{name} of PyTorch has no counterpart in gradcu")

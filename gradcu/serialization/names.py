"""What a checkpoint's pickle refers to by name: PyTorch's names, and what stands for them here.

One table serves both ways: `gradcu.save` writes these names, so that PyTorch reads its files, and `gradcu.load` takes
them, and no others unless the user says so, for what it knows to be harmless.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import devices, dtypes
from ..nn.parameter import Parameter
from ..ops.interchange import UntypedStorage
from ..tensor import Size, Tensor
from . import rebuild


class StorageType:
    """The type of a storage whose elements have a dtype: `torch.FloatStorage` for float32."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: dtypes.dtype) -> None:
        self.dtype = dtype


@functools.cache
def storage_type(dtype: dtypes.dtype) -> Any:
    """The type of a storage of such elements: newer dtypes have none of their own and lie in untyped ones."""
    return UntypedStorage if dtype.name.startswith(("uint16", "uint32", "uint64", "float8")) else StorageType(dtype)


#: what a pickle may call
CALLABLE: dict[str, Callable] = {
    "torch._utils._rebuild_tensor": rebuild.tensor,
    "torch._utils._rebuild_tensor_v2": rebuild.tensor_v2,
    "torch._utils._rebuild_tensor_v3": rebuild.tensor_v3,
    "torch._utils._rebuild_sparse_tensor": rebuild.sparse,
    "torch._utils._rebuild_parameter": rebuild.parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild.parameter_with_state,
    "torch._tensor._rebuild_from_type_v2": rebuild.from_type,
    "torch.serialization._get_layout": rebuild.layout,
    "torch.Size": Size,
    "torch.device": devices.device,
    "collections.OrderedDict": rebuild.ordered_dict,
    "collections.Counter": rebuild.counter,
    "builtins.set": rebuild.set_of,
    "builtins.complex": complex,
    "builtins.bytearray": rebuild.byte_array,
    "_codecs.encode": rebuild.encode,
}

#: what it may only mention
MENTIONED: dict[str, Any] = {
    "torch.Tensor": Tensor,
    "torch.nn.parameter.Parameter": Parameter,
    "torch.storage.UntypedStorage": UntypedStorage,
}
for _dtype in dtypes.dtype.by_name.values():
    MENTIONED[f"torch.{_dtype.name}"] = _dtype
    if isinstance(_type := storage_type(_dtype), StorageType):
        MENTIONED[f"torch.{_dtype.type_name}Storage"] = _type
        MENTIONED[f"torch.cuda.{_dtype.type_name}Storage"] = _type

ALLOWED: dict[str, Any] = CALLABLE | MENTIONED

#: the names under which `save` writes what Python would name otherwise (of two, the first)
NAMES: dict[int, str] = {}
for _name, _object in ALLOWED.items():
    if _name.startswith("torch."):
        NAMES.setdefault(id(_object), _name)


# --- what the user trusts ---

_trusted: list[Any] = []


def _path(entry: Any) -> tuple[str, Any]:
    """The name in pickles, and the object, of what was passed to `add_safe_globals`."""
    if not isinstance(entry, tuple):
        return f"{entry.__module__}.{entry.__qualname__}", entry
    if len(entry) != 2:
        raise ValueError(
            f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(entry)}"
        )
    if type(entry[1]) is not str:
        raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(entry[1])}")
    return entry[1], entry[0]


def trusted() -> dict[str, Any]:
    """By name, the classes and functions that the user declared safe."""
    return dict(map(_path, _trusted))


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let `load(..., weights_only=True)` make objects of these classes and call these functions.

    Each is a class or a function, or a pair of one and the full name under which checkpoints refer to it.

    >>> add_safe_globals([complex])
    """
    _trusted.extend(entry for entry in safe_globals if entry not in _trusted)


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` was given."""
    return list(_trusted)


def clear_safe_globals() -> None:
    """Trust nothing but what `load` knows by itself."""
    _trusted.clear()


class safe_globals:
    """A block in which `load` trusts these classes and functions; arguments as for `add_safe_globals`."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        self._added = [entry for entry in self.safe_globals if entry not in _trusted]
        _trusted.extend(self._added)

    def __exit__(self, *exc: object) -> None:
        for entry in self._added:
            if entry in _trusted:
                _trusted.remove(entry)

"""`save_file` and `load_file`: tensors and what holds them, in one safetensors file.

Any safetensors reader finds the tensors in it under names like "model.weight"; how they were nested, and what is no
tensor, is JSON in the file's metadata. Nothing in a file is ever executed.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from .. import backends, devices, dtypes
from ..tensor import Size, Tensor, from_array

_METADATA = "gradcu"


def save_file(tensors: Any, filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Write tensors, numbers, strings, None, and dicts, lists and tuples of such to a path or a binary file.

    Tensors that are one object stay one. `metadata` are strings for other readers. Needs the package safetensors.
    Raises TypeError, naming the place, for anything else.

    >>> save_file({"weight": ones(2), "epoch": 3}, "model.safetensors")
    """
    writer = _Writer()
    tree = writer.encode(tensors, "")
    content = _safetensors().numpy.save(writer.arrays, {**(metadata or {}), _METADATA: json.dumps(tree)})
    if hasattr(filename, "write"):
        filename.write(content)
    else:
        with open(filename, "wb") as file:
            file.write(content)


def load_file(filename: Any, device: Any = None) -> Any:
    """Read what `save_file` wrote; of another program's safetensors file, a dict of its tensors.

    `device` is where tensors go, as `load`'s `map_location`: a device, a dict from saved devices to others, or a
    function of a tensor (on the CPU) and its saved device that returns the tensor to use.

    Raises FileNotFoundError, RuntimeError for what is no such file or for tensors of a device that is not there.
    """
    if hasattr(filename, "read"):
        content, name = filename.read(), "the file"
    else:
        name = os.fspath(filename)
        with open(filename, "rb") as file:
            content = file.read()
    library = _safetensors()
    try:
        entries = library.deserialize(content)
    except library.SafetensorError as error:
        raise RuntimeError(f"{name} is no safetensors file: {error}") from None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    arrays = {key: _array(name, key, entry) for key, entry in entries}
    tree = header.get("__metadata__", {}).get(_METADATA)
    reader = _Reader(arrays, device)
    if tree is None:
        return {key: reader.tensor({"name": key}) for key in header if key != "__metadata__"}
    return reader.decode(json.loads(tree))


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError('safetensors files need the package safetensors: pip install "gradcu[io]"') from None
    return safetensors


#: the dtypes of the format's names
_DTYPES = {
    "F64": dtypes.float64, "F32": dtypes.float32, "F16": dtypes.float16, "BF16": dtypes.bfloat16, "I64": dtypes.int64,
    "I32": dtypes.int32, "I16": dtypes.int16, "I8": dtypes.int8, "U8": dtypes.uint8, "BOOL": dtypes.bool,
    "C64": dtypes.complex64,
}  # fmt: skip


def _array(file: str, name: str, entry: dict[str, Any]) -> Any:
    """One tensor of the file."""
    if entry["dtype"] not in _DTYPES:
        raise RuntimeError(f"{file}: '{name}' has the dtype {entry['dtype']}, which gradcu has not")
    raw = _DTYPES[entry["dtype"]].numpy
    return backends.host.frombuffer(bytearray(entry["data"]), dtype=raw).reshape(entry["shape"])


# What JSON cannot say is an object {"kind": ..., ...}; all dicts become such objects, too.


class _Writer:
    """Turns what is saved into JSON, and gathers its tensors by name."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.names: dict[int, str] = {}

    def encode(self, value: Any, place: str) -> Any:
        if value is None or (isinstance(value, (bool, int, float, str)) and type(value) in (bool, int, float, str)):
            return value
        if isinstance(value, Tensor):
            return self.tensor(value, place)
        if isinstance(value, Mapping):
            kind = "OrderedDict" if isinstance(value, OrderedDict) else "dict"
            items = [[self.encode(k, place), self.encode(v, _join(place, k))] for k, v in value.items()]
            coded: dict[str, Any] = {"kind": kind, "items": items}
            metadata = getattr(value, "_metadata", None)
            if metadata is not None:
                coded["metadata"] = self.encode(metadata, place)
            return coded
        if isinstance(value, Size):
            return {"kind": "Size", "items": list(value)}
        if type(value) in (list, tuple, set, frozenset):
            items = [self.encode(v, _join(place, i)) for i, v in enumerate(value)]
            return items if type(value) is list else {"kind": type(value).__name__, "items": items}
        if isinstance(value, complex):
            return {"kind": "complex", "items": [value.real, value.imag]}
        if isinstance(value, dtypes.dtype):
            return {"kind": "dtype", "name": value.name}
        if isinstance(value, devices.device):
            return {"kind": "device", "name": str(value)}
        if isinstance(value, backends.host.generic):
            return self.encode(value.item(), place)
        raise TypeError(
            f"save_file takes tensors, numbers, strings, None, and dicts, lists and tuples of them: found "
            f"{type(value).__module__}.{type(value).__qualname__} at '{place or 'the top'}'. Save a module's or an "
            "optimizer's state_dict() in its place."
        )

    def tensor(self, t: Tensor, place: str) -> dict[str, Any]:
        from ..nn.parameter import Parameter

        coded: dict[str, Any] = {"kind": "Parameter" if isinstance(t, Parameter) else "Tensor"}
        if id(t) not in self.names:
            name = self.names[id(t)] = self.free_name(place or "tensor")
            array = backends.host.asarray(backends.to_host(t._array), order="C")
            self.arrays[name] = array.reshape(*array.shape, 1).view(array.real.dtype) if t.is_complex() else array
        coded["name"] = self.names[id(t)]
        if t.is_complex():
            coded["dtype"] = t.dtype.name
        if t.requires_grad:
            coded["requires_grad"] = True
        if t.device.type != "cpu":
            coded["device"] = str(t.device)
        return coded

    def free_name(self, name: str) -> str:
        """The name, or that with a number behind it if it is taken."""
        free, n = name, 1
        while free in self.arrays:
            free, n = f"{name}.{n}", n + 1
        return free


def _join(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


class _Reader:
    """Turns JSON and the tensors it names back into what was saved."""

    def __init__(self, arrays: dict[str, Any], map_location: Any) -> None:
        self.arrays, self.map_location = arrays, map_location
        self.made: dict[str, Tensor] = {}

    def decode(self, coded: Any) -> Any:
        if isinstance(coded, list):
            return [self.decode(c) for c in coded]
        if not isinstance(coded, dict):
            return coded
        kind = coded["kind"]
        if kind in ("Tensor", "Parameter"):
            return self.tensor(coded)
        if kind in ("dict", "OrderedDict"):
            items = ((self.decode(k), self.decode(v)) for k, v in coded["items"])
            made: Any = OrderedDict(items) if kind == "OrderedDict" else dict(items)
            if "metadata" in coded:
                made._metadata = self.decode(coded["metadata"])
            return made
        if kind in _MAKERS:
            return _MAKERS[kind]([self.decode(c) for c in coded["items"]])
        return dtypes.dtype.by_name[coded["name"]] if kind == "dtype" else devices.device(coded["name"])

    def tensor(self, coded: dict[str, Any]) -> Tensor:
        name = coded["name"]
        if name not in self.made:
            array = self.arrays[name]
            if "dtype" in coded:
                array = array.view(dtypes.dtype.by_name[coded["dtype"]].numpy).reshape(array.shape[:-1])
            t = self.place(from_array(array), coded.get("device", "cpu"))
            if coded.get("kind") == "Parameter":
                from ..nn.parameter import Parameter

                t = Parameter(t, requires_grad=False)
            self.made[name] = t.requires_grad_(coded.get("requires_grad", False))
        return self.made[name]

    def place(self, t: Tensor, saved: str) -> Tensor:
        """The tensor on the device where it should be."""
        wanted: Any = self.map_location
        if wanted is None:
            if saved.startswith("cuda") and not _cuda_works():
                raise RuntimeError(
                    "Attempting to deserialize object on a CUDA device but gradcu.cuda.is_available() is False. If you "
                    "are running on a CPU-only machine, please use gradcu.load with "
                    "map_location=gradcu.device('cpu') to map your storages to the CPU."
                )
            wanted = saved
        elif isinstance(wanted, Mapping):
            wanted = wanted.get(saved, saved)
        elif isinstance(wanted, Callable):  # type: ignore[arg-type]
            moved = wanted(t, saved)
            return t if moved is None else moved
        return t.to(wanted)


_MAKERS: dict[str, Callable[[list], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "Size": Size,
    "complex": lambda parts: complex(*parts),
}


def _cuda_works() -> bool:
    from .. import cuda

    return cuda.is_available()

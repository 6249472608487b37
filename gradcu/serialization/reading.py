"""`load`: what `gradcu.save` or `torch.save` wrote, without PyTorch and without running what is in the file."""

from __future__ import annotations

import contextlib
import io
import mmap as mappings
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from .. import backends, devices, dtypes
from ..ops.interchange import UntypedStorage
from . import archive, names, rebuild, safetensors
from .unpickler import WeightsUnpickler, globals_of, unrestricted
from .writing import LEGACY_START


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `gradcu.save` or `torch.save` wrote (in the zip format or the one before it), or a safetensors file.

    f: a path, or a binary file that can seek.
    map_location: where tensors go that were saved on another device: a device or its name, a dict from names to names,
        or a function of (storage on the CPU, name) that returns the storage to use, or None for where it was.
    weights_only: whether to refuse what is neither tensors, plain data nor declared safe by `add_safe_globals`. With
        False the file is an arbitrary program, which is run: only for files that you trust.
    mmap: map the file into memory, so that tensors are read when first used. Checksums are not compared then.
    pickle_module: whose Unpickler to take with weights_only=False.

    Raises FileNotFoundError; UnpicklingError for what is refused, by name; RuntimeError for a file that is cut off,
    corrupt or contradicts itself, and for tensors of a device that is not there.
    """
    weights_only = pickle_module is None if weights_only is None else weights_only
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    pickle_load_args.setdefault("encoding", "utf-8")

    def unpickle(file: Any, persistent_load: Callable) -> Any:
        kind = WeightsUnpickler if weights_only else unrestricted((pickle_module or pickle).Unpickler)
        return kind(file, persistent_load, **pickle_load_args).load()

    with _opened(f) as file:
        place = _Restore(map_location)
        start = file.tell()
        head = file.read(9)
        file.seek(start)
        if head[8:] == b"{":
            return safetensors.load_file(file, map_location)
        try:
            if head[:4] == b"PK\3\4":
                return _load_zip(file, place, unpickle, bool(mmap), f)
            if mmap:
                raise RuntimeError(
                    "mmap can only be used with files saved in the zip format, as gradcu.save and torch.save write it"
                )
            return _load_legacy(file, place, unpickle, weights_only)
        except pickle.UnpicklingError as error:
            if not weights_only:
                raise
            raise pickle.UnpicklingError(_explained(str(error))) from None


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a checkpoint that `load` refuses unless they are declared safe. Nothing is loaded."""
    with _opened(f) as file:
        content = io.BytesIO(_open_zip(file).read("data.pkl"))
    return sorted(globals_of(content) - names.ALLOWED.keys() - names.trusted().keys())


def _explained(reason: str) -> str:
    if "Unsupported global" not in reason:
        return f"Weights only load failed. WeightsUnpickler error: {reason}"
    return (
        "Weights only load failed. This file can still be loaded, to do so you have two options, do those steps only "
        "if you trust the source of the checkpoint.\n\t(1) `gradcu.load` with `weights_only=False` will likely "
        "succeed, but it can result in arbitrary code execution.\n\t(2) To load with `weights_only=True`, follow "
        f"the steps in this message.\n\tWeightsUnpickler error: {reason}"
    )


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[IO[bytes]]:
    """The file to read."""
    if isinstance(f, (str, bytes, os.PathLike)):
        with open(f, "rb") as file:
            yield file
        return
    for needed in ("read", "seek", "tell"):
        if not hasattr(f, needed):
            raise AttributeError(
                "You can only load from a file that is seekable. Please pre-load the data into a buffer like "
                f"io.BytesIO and try to load from it instead: '{type(f).__name__}' object has no attribute '{needed}'"
            )
    yield f


# --- the zip format ---


def _open_zip(file: Any) -> archive.Reader:
    reader = archive.Reader(file)
    if "constants.pkl" in reader:
        raise RuntimeError("the file is a TorchScript archive: only PyTorch can run that")
    return reader


def _load_zip(file: Any, place: _Restore, unpickle: Callable, mapped: bool, path: Any) -> Any:
    reader = _open_zip(file)
    order = reader.read("byteorder") if "byteorder" in reader else b"little"
    if order not in (b"little", b"big"):
        raise ValueError(f"Unknown endianness type: {order!r}")
    swapped = order != sys.byteorder.encode()
    mapping: Any = None
    if mapped:
        if file is path:
            raise ValueError("f must be a file path in order to use the mmap argument")
        mapping = mappings.mmap(file.fileno(), 0, access=mappings.ACCESS_COPY)
    storages: dict[str, tuple[Any, UntypedStorage]] = {}

    def persistent_load(pid: Any) -> UntypedStorage:
        kind, key, location, numel = _storage_id(pid, 4)
        if key not in storages:
            name, dtype = f"data/{key}", _element(kind)
            if reader.size(name) != numel * dtype.itemsize:
                raise RuntimeError(
                    f"storage '{key}' is said to have {numel} elements of {dtype.itemsize} bytes, but its record has "
                    f"{reader.size(name)} bytes"
                )
            if mapping is not None and numel and not reader.offset(name) % dtype.itemsize:
                memory = backends.host.frombuffer(mapping, dtype, numel, reader.offset(name))
            else:
                memory = backends.host.empty(numel, dtype)
                reader.read_into(name, memory.view(backends.host.uint8))
            if swapped:
                memory.byteswap(inplace=True)
            storages[key] = kind, place(UntypedStorage(memory), location)
        known, storage = storages[key]
        if known is not kind:
            raise RuntimeError(f"storage '{key}' is said to hold two different types")
        return storage

    return unpickle(io.BytesIO(reader.read("data.pkl")), persistent_load)


def _storage_id(pid: Any, length: int) -> tuple:
    """What a pickle says of a storage: its type, key, location and number of elements, and what follows."""
    if type(pid) is not tuple or len(pid) != length + 1 or pid[0] not in ("storage", b"storage"):
        raise pickle.UnpicklingError(f"Only persistent_load of storage is allowed, but got {type(pid)}")
    kind, key, location, numel, *more = pid[1:]
    location = location.decode() if isinstance(location, bytes) else location
    if not isinstance(key, str) or not isinstance(location, str) or type(numel) is not int or numel < 0:
        raise pickle.UnpicklingError(f"storage {key!r} of {numel!r} elements at {location!r} cannot be")
    return kind, key, location, numel, *more


def _element(kind: Any) -> Any:
    """The NumPy dtype of a type of storages."""
    if kind is UntypedStorage:
        return dtypes.uint8.numpy
    if not isinstance(kind, names.StorageType):
        raise pickle.UnpicklingError(f"{kind} is no type of storages")
    return kind.dtype.numpy


# --- the format before it: pickles, and the bytes of the storages after them ---


def _load_legacy(file: Any, place: _Restore, unpickle: Callable, weights_only: bool) -> Any:
    storages: dict[str, tuple[Any, UntypedStorage]] = {}  # the memory to fill, and what the pickle was given
    views: dict[str, UntypedStorage] = {}
    start = file.tell()
    unclaimed = file.seek(0, os.SEEK_END) - start
    file.seek(start)

    def persistent_load(pid: Any) -> Any:
        nonlocal unclaimed
        if not weights_only and isinstance(pid, tuple) and pid[:1] == ("module",):
            return pid[1]  # a class, with its source text
        kind, key, location, numel, view = _storage_id(pid, 5)
        dtype = _element(kind)
        if key not in storages:
            unclaimed -= numel * dtype.itemsize
            if unclaimed < 0:
                raise RuntimeError(f"storage '{key}' is said to have {numel} elements, more than are in the file")
            memory = backends.host.empty(numel, dtype)
            storages[key] = memory, place(UntypedStorage(memory), location)
        memory, storage = storages[key]
        if memory.dtype != dtype:
            raise RuntimeError(f"storage '{key}' is said to hold two different types")
        if view is None:
            return storage
        view_key, offset, length = view
        if not 0 <= offset <= offset + length <= memory.size:
            raise RuntimeError(f"a view of storage '{key}' is out of bounds")
        return views.setdefault(view_key, UntypedStorage(storage._array[offset : offset + length]))

    def plain() -> Any:
        return WeightsUnpickler(file, persistent_load, encoding="utf-8").load()

    magic_number, version, _ = LEGACY_START
    try:
        if plain() != magic_number:
            raise pickle.UnpicklingError
    except pickle.UnpicklingError:
        raise RuntimeError("Invalid magic number; corrupt file?") from None
    if (found := plain()) != version:
        raise RuntimeError(f"Invalid protocol version: {found}")
    plain()  # the sizes of C types
    reset = rebuild.unread.set(True)
    try:
        result = unpickle(file, persistent_load)
    finally:
        rebuild.unread.reset(reset)
    keys = plain()
    if type(keys) is not list:
        raise pickle.UnpicklingError("there is no list of the storages")
    for key in keys:
        if key not in storages:
            raise RuntimeError(f"storage '{key}' is in the file, but nothing refers to it")
        memory, storage = storages[key]
        numel = bytearray(8)
        archive.read_into(file, numel)
        if int.from_bytes(numel, "little") != memory.size:
            raise RuntimeError(f"storage '{key}' is said to have two different sizes")
        archive.read_into(file, memory.view(backends.host.uint8))
        if storage._array is not memory:  # it was moved before it was filled
            storage._array[...] = backends.namespaces[type(storage._array)].from_host(memory, storage.device)
    if set(keys) != storages.keys():
        raise RuntimeError(f"the file ends before the storages {sorted(storages.keys() - set(keys))}")
    return result


# --- devices ---


class _Restore:
    """Moves a storage, as read, to where `map_location` says."""

    def __init__(self, map_location: Any) -> None:
        self._wanted = map_location

    def __call__(self, storage: UntypedStorage, location: str) -> UntypedStorage:
        wanted = self._wanted
        if wanted is None:
            return _moved(storage, location)
        if isinstance(wanted, Mapping):
            return _moved(storage, wanted.get(location, location))
        if isinstance(wanted, (str, devices.device)):
            return _moved(storage, wanted)
        result = wanted(storage, location)
        return _moved(storage, location) if result is None else result


def _moved(storage: UntypedStorage, location: Any) -> UntypedStorage:
    from .. import cuda

    try:
        device = devices.device(location)
    except RuntimeError:
        raise RuntimeError(
            f"don't know how to restore data location of gradcu.storage.UntypedStorage (tagged with {location})"
        ) from None
    if device.type == "cpu":
        return storage.cpu()
    if not cuda.is_available():
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but gradcu.cuda.is_available() is False. If you are "
            "running on a CPU-only machine, please use gradcu.load with map_location=gradcu.device('cpu') to map your "
            "storages to the CPU."
        )
    if (device.index or 0) >= cuda.device_count():
        raise RuntimeError(
            f"Attempting to deserialize object on CUDA device {device.index} but gradcu.cuda.device_count() is "
            f"{cuda.device_count()}. Please use gradcu.load with map_location to map your storages to an existing "
            "device."
        )
    return storage.cuda(device)

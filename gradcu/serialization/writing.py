"""`save`: any object with tensors in it as a file that PyTorch and gradcu read."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from types import FunctionType
from typing import IO, Any, ClassVar

from .. import backends, devices, dtypes, layouts
from ..nn.parameter import Buffer, Parameter, _Uninitialized
from ..ops.interchange import UntypedStorage
from ..tensor import Size, Tensor, contiguous_strides
from . import archive, names, rebuild

#: the first pickles of a file of the format from before PyTorch 1.6: a magic number, a version, sizes of C types
LEGACY_START = (
    0x1950A86A20F9469CFC6C,
    1001,
    {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}},
)


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj` to a path or a binary file, in the zip format of `torch.save`, which PyTorch reads as its own.

    Tensors may be anywhere in dicts, lists and objects. Those that share memory share it again when loaded, and all of
    that memory is written: save `x.clone()` for a small part of a large tensor. A file at a path is replaced when the
    new one is complete, never half written. Objects other than tensors are pickled by Python.

    Raises RuntimeError if the folder does not exist or if tensors show the same memory as different dtypes,
    AttributeError for what is neither a path nor a file, PicklingError for what cannot be pickled.

    >>> save({"weight": ones(2), "epoch": 3}, "checkpoint.pt")
    """
    if pickle_module is not pickle:
        raise NotImplementedError("gradcu.save pickles with Python's pickle alone")
    content = io.BytesIO()
    pickler = _Pickler(content, pickle_protocol, () if _use_new_zipfile_serialization else (None,))
    pickler.dump(obj)
    with _opened(f) as file:
        write = _write_zip if _use_new_zipfile_serialization else _write_legacy
        write(file, content.getvalue(), pickler, pickle_protocol)


def _write_zip(file: Any, content: bytes, pickler: _Pickler, protocol: int) -> None:
    with archive.Writer(file) as writer:
        writer.write("data.pkl", content)
        writer.write("byteorder", sys.byteorder.encode())
        for key, memory in enumerate(pickler.storages.values()):
            writer.write(f"data/{key}", _bytes(memory))
        writer.write("version", b"3\n")


def _write_legacy(file: Any, content: bytes, pickler: _Pickler, protocol: int) -> None:
    for what in LEGACY_START:
        pickle.dump(what, file, protocol)
    file.write(content)
    pickle.dump([str(key) for key in range(len(pickler.storages))], file, protocol)
    for memory in pickler.storages.values():
        file.write(memory.size.to_bytes(8, "little"))
        file.write(_bytes(memory))


def _bytes(memory: Any) -> memoryview:
    return memoryview(backends.to_host(memory).view(backends.host.uint8))


@contextlib.contextmanager
def _opened(f: Any) -> Iterator[IO[bytes]]:
    """The file to write to; a path's old file stays until the new one is complete."""
    if not isinstance(f, (str, bytes, os.PathLike)):
        if not hasattr(f, "write"):
            raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
        yield f
        return
    path = os.path.realpath(os.fsdecode(f))  # a link stays a link
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe, a device
        with open(path, "wb") as file:
            yield file
        return
    temporary = f"{path}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


_PythonsPickler: Any = pickle._Pickler  # the one written in Python: it can write names of modules that are not there


class _Pickler(_PythonsPickler):
    """Pickles under PyTorch's names, and gathers the memory of the tensors in `storages`."""

    dispatch: ClassVar[dict] = dict(_PythonsPickler.dispatch)

    def __init__(self, file: Any, protocol: int, after: tuple) -> None:
        super().__init__(file, protocol)
        self._after = after  # what follows in the name of each storage
        self.storages: dict[tuple, Any] = {}  # by address and length
        self._keys: dict[tuple, tuple[str, dtypes.dtype]] = {}  # what each is called, and what it holds

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is not UntypedStorage:
            return None
        memory, dtype = obj._array, dtypes.from_numpy(obj._array.dtype)
        xp, kind = backends.namespaces[type(memory)], names.storage_type(dtype)
        place = str(xp.device_of(memory)), xp.data_ptr(memory), memory.nbytes
        self.storages.setdefault(place, memory.view(xp.uint8) if kind is UntypedStorage else memory)
        key, known = self._keys.setdefault(place, (str(len(self._keys)), dtype))
        if known is not dtype:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types: "
                f"{known} and {dtype}"
            )
        return "storage", kind, key, place[0], self.storages[place].size, *self._after

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj)
        if type(obj) is Size:
            return Size, (tuple(obj),)
        if type(obj) is devices.device:
            return devices.device, ((obj.type,) if obj.index is None else (obj.type, obj.index))
        if type(obj) is layouts.layout:
            return rebuild.layout, (f"torch.{obj.name}",)
        return NotImplemented

    def _reduce_tensor(self, t: Tensor) -> tuple:
        kind, state = type(t), t.__dict__
        if isinstance(t, _Uninitialized):
            return kind, (t._rg,)
        arguments: tuple
        if t.is_sparse or t.is_sparse_csr:
            return rebuild.sparse, (t.layout, _parts(t))
        if kind is Parameter:
            arguments = t.detach(), t.requires_grad, OrderedDict()
            return (rebuild.parameter_with_state, (*arguments, state)) if state else (rebuild.parameter, arguments)
        memory, shape, strides, offset = _placed(t._array)
        arguments = UntypedStorage(memory), offset, shape, strides, t.requires_grad, OrderedDict()
        function: Any = rebuild.tensor_v2
        if names.storage_type(t.dtype) is UntypedStorage:
            function, arguments = rebuild.tensor_v3, (*arguments, t.dtype)
        if kind is Tensor and not state:
            return function, arguments
        return rebuild.from_type, (function, Tensor if kind is Buffer else kind, arguments, state)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        known = names.NAMES.get(id(obj))
        if known is None:
            super().save_global(obj, name)
            return
        self.write(pickle.GLOBAL + "{}\n{}\n".format(*known.rsplit(".", 1)).encode())
        self.memoize(obj)

    for _kind in (FunctionType, dtypes.dtype, names.StorageType):
        dispatch[_kind] = save_global
    del _kind


def _parts(t: Any) -> tuple:
    """What a sparse tensor is made of, as PyTorch lists it."""
    if t.is_sparse_csr:
        return t.crow_indices(), t.col_indices(), t.values().detach(), t.shape
    return t._indices(), t._values().detach(), t.shape, t.is_coalesced()


def _placed(array: Any) -> tuple[Any, tuple[int, ...], tuple[int, ...], int]:
    """The memory that an array shares with its views, as a vector of its dtype, and shape, strides and offset there."""
    xp, size = backends.namespaces[type(array)], array.itemsize
    memory = xp.memory(array)
    start = xp.data_ptr(array) - xp.data_ptr(memory)
    bytes_off = (memory.nbytes, start, *array.strides)
    if array.size and all(n >= 0 and n % size == 0 for n in bytes_off) and start <= memory.nbytes:
        return memory.view(array.dtype), array.shape, tuple(s // size for s in array.strides), start // size
    return xp.copy(array).reshape(-1), array.shape, contiguous_strides(array.shape), 0

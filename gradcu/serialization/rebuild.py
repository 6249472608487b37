"""The functions that the pickles of PyTorch's checkpoints call, each checking what the file claims."""

from __future__ import annotations

import math
import pickle
from collections import Counter, OrderedDict
from contextvars import ContextVar
from typing import Any

from .. import backends, dtypes, layouts
from ..nn.parameter import Parameter
from ..ops.interchange import UntypedStorage
from ..tensor import Size, Tensor, fill, from_array

_DEEPEST = 32  # tuples within tuples that may be a key


#: whether the bytes of storages are read only when all tensors have been made
unread: ContextVar[bool] = ContextVar("unread", default=False)


def tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Tensor:
    """The tensor that lies so in a storage."""
    return tensor_v2(storage, storage_offset, size, stride)


def tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: bool = False,
    backward_hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """The tensor that lies so in a storage; hooks are never in a file."""
    return tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, None, metadata)


def tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """The tensor of a dtype that lies so in a storage of bytes; `metadata` says if it is to be conjugated or negated.

    Raises RuntimeError for a place that is not in the storage.
    """
    if not isinstance(storage, UntypedStorage) or not isinstance(dtype, dtypes.dtype | None):
        raise pickle.UnpicklingError("a tensor needs a storage and a dtype")
    memory = storage._array
    kind = memory.dtype if dtype is None else dtype.numpy
    numbers = (storage_offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise RuntimeError(f"tensor of size {size} with stride {stride} and offset {storage_offset} cannot be")
    count = math.prod(size)
    end = (storage_offset + 1 + sum((n - 1) * s for n, s in zip(size, stride))) * kind.itemsize if count else 0
    if end > memory.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {storage_offset}, and itemsize "
            f"{kind.itemsize} requiring a storage size of {end} are out of bounds for storage of size {memory.nbytes}"
        )
    xp = backends.namespaces[type(memory)]
    if not count:
        storage_offset, stride = 0, (0,) * len(size)
    array = xp.strided(memory, tuple(size), tuple(stride), storage_offset, kind)
    for name, function in (("conj", xp.conj), ("neg", xp.negative)):
        if metadata and metadata.get(name):
            if unread.get() or count > memory.size:
                raise RuntimeError(
                    f"a lazy {name} of an expanded tensor, or in the format from before PyTorch 1.6, is not read: save "
                    f"x.resolve_{name}() in its place"
                )
            array = function(array)
    return from_array(array).requires_grad_(bool(requires_grad))


def sparse(layout: Any, data: Any) -> Tensor:
    """The sparse tensor of these parts: indices, values, size and whether it is coalesced, or those of CSR.

    Raises RuntimeError for parts that do not fit.
    """
    from ..sparse import sparse_coo_tensor, sparse_csr_tensor

    if unread.get():
        raise RuntimeError(
            "a sparse tensor in the format from before PyTorch 1.6 is not read: save x.to_dense() instead"
        )
    if layout is layouts.sparse_csr:
        crow_indices, col_indices, values, size = data
        return sparse_csr_tensor(crow_indices, col_indices, values, _checked_size(size))
    if layout is not layouts.sparse_coo:
        raise pickle.UnpicklingError(f"a sparse tensor of the layout {layout} is not read")
    indices, values, size, *more = data
    made = sparse_coo_tensor(indices, values, _checked_size(size))
    if any(more):
        if not bool((made._flat().diff() > 0).all()):
            raise RuntimeError("a sparse tensor is said to be coalesced, but its indices are not in order")
        made._coalesced = True
    return made


def _checked_size(size: Any) -> Size:
    if not all(type(n) is int and n >= 0 for n in size):
        raise RuntimeError(f"a sparse tensor of size {size} cannot be")
    return Size(size)


def parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Parameter:
    """A parameter over the memory of a tensor."""
    return Parameter(data, bool(requires_grad))


def parameter_with_state(data: Any, requires_grad: Any, backward_hooks: Any, state: Any) -> Parameter:
    """The same with the attributes that the user gave it."""
    return _with_state(parameter(data, requires_grad, backward_hooks), state)


def from_type(function: Any, kind: Any, args: Any, state: Any) -> Tensor:
    """A tensor of a subclass, or one with attributes."""
    if function not in (tensor_v2, tensor_v3, parameter) or not issubclass(kind, Tensor):
        raise pickle.UnpicklingError(f"{function} makes no tensor of type {kind}")
    made = function(*args)
    if type(made) is not kind:
        made = fill(object.__new__(kind), made._array, None, made._rg)
    return _with_state(made, state)


def _with_state(made: Any, state: Any) -> Any:
    if isinstance(state, tuple):  # (attributes, slots)
        state = state[0]
    made.__dict__.update(state or {})
    return made


def layout(name: Any) -> layouts.layout:
    """The layout of a name such as "torch.strided"."""
    found = getattr(layouts, str(name).removeprefix("torch."), None)
    if not isinstance(found, layouts.layout):
        raise pickle.UnpicklingError(f"there is no layout {name}")
    return found


def encode(text: str, encoding: str) -> bytes:
    """How bytes are written in pickles of protocol 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r} are not read")
    return text.encode("latin1")


def byte_array(*data: Any) -> bytearray:
    """A bytearray of bytes, or of text and its encoding; never of a length alone."""
    return bytearray(encode(*data) if len(data) == 2 else bytes(memoryview(*data)))


def ordered_dict(items: Any = ()) -> OrderedDict:
    """An OrderedDict of pairs."""
    return OrderedDict((hashable(key), value) for key, value in items)


def counter(counts: Any = ()) -> Counter:
    """A Counter of a dict."""
    return Counter(dict(counts))


def set_of(items: Any = ()) -> set:
    """A set."""
    return set(map(hashable, items))


def hashable(key: Any) -> Any:
    """The key, if it can be hashed. Raises UnpicklingError for tuples so deep that hashing them overflows the stack."""
    level = [key]
    for _ in range(_DEEPEST):
        level = [part for t in level if isinstance(t, tuple) for part in t]
        if not level:
            return key
    raise pickle.UnpicklingError(f"a key of more than {_DEEPEST} nested tuples")

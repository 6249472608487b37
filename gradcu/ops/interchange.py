"""Tensors among others: copies and pickles that keep shared memory shared, and questions about memory and dtypes."""

from __future__ import annotations

import copy
from typing import Any

from .. import backends, devices, dtypes
from ..backends import shared
from ..backends.lookup import owner_of
from ..graph.views import replay_array
from ..tensor import Tensor, fill, from_array
from .convert import of_tensor_type
from .expose import expose

# --- the memory behind tensors ---


class UntypedStorage:
    """The memory that a tensor and its views share."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return backends.namespaces[type(self._array)].data_ptr(self._array)

    def nbytes(self) -> int:
        """How many bytes it holds."""
        return self._array.nbytes

    size = __len__ = nbytes

    @property
    def device(self) -> devices.device:
        """Where it is."""
        return backends.namespaces[type(self._array)].device_of(self._array)

    def cpu(self) -> UntypedStorage:
        """The same on the CPU: itself if it is there."""
        return self if self.device.type == "cpu" else UntypedStorage(backends.to_host(self._array))

    def cuda(self, device: Any = None) -> UntypedStorage:
        """The same on a CUDA device: itself if it is there."""
        wanted = devices.device("cuda" if device is None else device)
        if self.device.type == "cuda" and wanted.index in (None, self.device.index):
            return self
        return UntypedStorage(backends.cuda().from_host(backends.to_host(self._array), wanted))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self._array is other._array

    def __hash__(self) -> int:
        return id(self._array)


@expose(function=False)
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that the tensor shares with its views."""
    return UntypedStorage(owner_of(self._array))


@expose(function=False)
def is_shared(self: Tensor) -> bool:
    """Whether other processes see changes: True after `share_memory_`, and on CUDA devices."""
    return self.is_cuda or shared.mapping_of(self._array) is not None


@expose(function=False)
def share_memory_(self: Tensor) -> Tensor:
    """Move the elements to memory that other processes can share, of a view all those of its base; see
    `gradcu.multiprocessing`. Other views made before keep the old memory.
    """
    if not is_shared(self) and self._array.size:
        base = self._base
        if base is None:
            self._array = shared.copy_of(self._array)
        else:
            self._array = replay_array(backends.host, share_memory_(base)._array, self._view.steps)
    return self


@expose(function=False)
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in memory from which a CUDA device can read while Python goes on; itself if it is there already.

    Raises RuntimeError where there is no such device, and for tensors that are on one.
    """
    if self.is_cuda:
        raise RuntimeError(f"cannot pin '{self.type()}': only dense CPU tensors can be pinned")
    return self if is_pinned(self) else from_array(backends.cuda().pinned(self._array))


@expose(function=False)
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether `pin_memory` made it."""
    base = owner_of(self._array).base
    return not self.is_cuda and type(getattr(base, "obj", base)).__module__.startswith("cupy")


# --- copies and pickles ---


def _place(array: Any) -> tuple[Any, tuple | None]:
    """An array as the contiguous memory behind it, and where in it the array lies (None: it is all of it).

    An array over memory that is laid out in another way counts as memory of its own.
    """
    memory = owner_of(array)
    if memory is array or not memory.flags.c_contiguous:
        return array, None
    xp, size = backends.namespaces[type(array)], array.itemsize
    offset = (xp.data_ptr(array) - xp.data_ptr(memory)) // size
    return memory, (array.shape, tuple(s // size for s in array.strides), offset, array.dtype)


def _rebuild(
    cls: type, memory: Any, place: tuple | None, device: str, requires_grad: bool, attributes: dict[str, Any]
) -> Tensor:
    xp = backends.for_device(devices.device(device))
    array = xp.from_host(memory if place is None else backends.host.strided(memory, *place), devices.device(device))
    t = fill(object.__new__(cls), array, None, requires_grad)
    t.__dict__.update(attributes)
    return t


def _reduce_ex(self: Tensor, protocol: Any) -> tuple:
    """Pickle: tensors that share memory share it again. A result of an operation comes back as a leaf."""
    a = self._array
    memory, place = (backends.to_host(a), None) if self.is_cuda else _place(a)
    return _rebuild, (type(self), memory, place, str(self.device), self.requires_grad, self.__dict__)


def _deepcopy(self: Tensor, memo: dict) -> Tensor:
    """A copy of a leaf with its gradient; tensors that share memory share it in the copies.

    Raises RuntimeError for results of operations.
    """
    if self.grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because an operation computes one of its weights."
        )
    if id(self) in memo:
        return memo[id(self)]
    memory, place = _place(self._array)
    xp = backends.namespaces[type(memory)]
    copied = memo.get(id(memory))
    if copied is None:
        copied = memo[id(memory)] = xp.array(memory, order="K")
    result = fill(object.__new__(type(self)), copied if place is None else xp.strided(copied, *place), None, self._rg)
    memo[id(self)] = result
    result.__dict__.update(copy.deepcopy(self.__dict__, memo))
    if self._grad is not None:
        result._grad = copy.deepcopy(self._grad, memo)
    return result


Tensor.__reduce_ex__ = _reduce_ex  # type: ignore[method-assign, assignment]
Tensor.__deepcopy__ = _deepcopy  # type: ignore[method-assign, assignment]

# --- questions ---


@expose(method=False)
def is_tensor(obj: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


@expose(method=False)
def is_storage(obj: Any) -> bool:
    """Whether it is the memory behind a tensor."""
    return isinstance(obj, UntypedStorage)


def _question(name: str) -> None:
    method = getattr(Tensor, name)

    def function(input: Tensor) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return method(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = method.__doc__
    function.__annotations__["return"] = method.__annotations__["return"]
    expose(method=False)(function)


for _name in ("is_floating_point", "is_complex", "is_signed", "is_conj", "is_neg", "is_inference", "numel"):
    _question(_name)


@expose(method=False)
def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of `tensor1 + tensor2`, where each is a tensor or a number.

    >>> result_type(tensor([1, 2]), 1.0)
    gradcu.float32
    """
    return dtypes.promote(
        [
            ((0 if t._array.ndim else 1), t.dtype) if isinstance(t, Tensor) else (2, dtypes.of_scalar(t))
            for t in (tensor1, tensor2)
        ]
    )


@expose(method=False)
def set_default_tensor_type(t: Any) -> None:
    """PyTorch's old way to say `set_default_dtype` and `set_default_device`: a class such as `gradcu.DoubleTensor`."""
    device, dtype = of_tensor_type(t)
    dtypes.set_default_dtype(dtype)
    devices.set_default_device(None if device == "cpu" else device)

"""Tensors from data: numbers, nested sequences, arrays, buffers, other libraries' tensors."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from .. import backends, devices, dtypes
from ..layouts import strided
from ..tensor import Size, Tensor, fill, from_array
from .creation import finish, sizes, zeros
from .expose import expose

_host = backends.host

# --- copies ---


@expose(method=False)
def tensor(
    data: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor that copies `data`: a number, nested sequences, an array, a tensor.

    Python floats become the default dtype, integers int64. Raises ValueError for ragged sequences, TypeError or
    RuntimeError for what is no number.

    >>> tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    return finish(_copied(data, dtype, device, "tensor", "gradcu.tensor(sourceTensor)"), requires_grad, pin_memory)


@expose(function=False)
def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = strided,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor that copies `data`, of this one's dtype and device unless named."""
    where = self.device if device is None else device
    array = _copied(data, dtype or self.dtype, where, "new_tensor", "tensor.new_tensor(sourceTensor)")
    return finish(array, requires_grad, pin_memory)


def _copied(data: Any, dtype: Any, device: Any, name: str, spelled: str) -> Any:
    """A new array of `data`."""
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            f"sourceTensor.detach().clone().requires_grad_(True), rather than {spelled}.",
            UserWarning,
            stacklevel=3,
        )
    shared = array_of(data, None if dtype is None else dtypes.as_dtype(dtype, name))
    where = shared_device(data, device)
    made = on_device(shared, where)
    is_new = made is not shared or not (isinstance(data, Tensor) or hasattr(data, "__array__"))
    return made if is_new else backends.namespaces[type(made)].array(made, order="K")


def shared_device(data: Any, device: Any) -> devices.device:
    """Where a tensor of `data` is to be: as asked, else where a tensor already is, else the default device."""
    if device is None and isinstance(data, Tensor):
        return data.device
    return devices.resolve(device)


def on_device(array: Any, where: devices.device) -> Any:
    """The array on a device: itself if it is there."""
    here = backends.namespaces[type(array)].device_of(array)
    if here.type == where.type and where.index in (None, here.index or 0):
        return array
    return backends.for_device(where).from_host(backends.to_host(array), where)


def array_of(data: Any, dtype: dtypes.dtype | None) -> Any:
    """The raw array of `data`, in `dtype` if that is given; it shares memory where it can."""
    if isinstance(data, Tensor):
        array = data._array
    elif isinstance(data, _host.ndarray):
        array = checked(_host.asarray(data))  # which leaves subclasses behind
    elif hasattr(data, "__cuda_array_interface__"):
        array = backends.cuda().asarray(data)
    elif (hasattr(data, "__array__") or hasattr(data, "__array_interface__")) and not isinstance(data, _host.generic):
        array = checked(_host.asarray(data))
    else:
        return from_sequence(data, dtype)
    return array if dtype is None else array.astype(dtype.numpy, copy=False)


def checked(array: Any) -> Any:
    """A NumPy array that a tensor can hold. Raises TypeError, ValueError if its dtype or strides are not ours."""
    dtypes.from_numpy(array.dtype)
    if array.flags.c_contiguous:
        return array
    if any(s < 0 for s in array.strides) and array.size:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array  with "
            "array.copy().) "
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
            "memory."
        )
    return array


# --- nested sequences ---

_PYTHON = {bool: dtypes.bool, int: dtypes.int64}


def from_sequence(data: Any, dtype: dtypes.dtype | None) -> Any:
    """An array of a number or of nested sequences, of numbers, arrays or tensors of one element."""
    found: set[dtypes.dtype] = set()
    holds_tensors = _leaves((data,), found, outermost=True)
    if holds_tensors:
        data = _plain(data)
    if dtype is None:
        dtype = functools.reduce(dtypes.promote_types, found) if found else dtypes.get_default_dtype()
    raw = dtype.numpy
    try:
        return _host.array(data, dtype=raw)
    except OverflowError:
        return _wrapped(data, dtype)
    except (ValueError, TypeError) as error:
        if "NaN" in str(error):
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow") from None
        _complain_of_shape(data, dtype)
        raise


def _leaves(data: Any, found: set[dtypes.dtype], outermost: bool = False) -> bool:
    """Collect the dtypes of what nested sequences hold; returns whether there are tensors among it."""
    holds_tensors = False
    for kind in set(map(type, data)):
        if kind in _PYTHON:
            found.add(_PYTHON[kind])
        elif issubclass(kind, _host.generic):
            found.add(dtypes.from_numpy(_host.dtype(kind)))
        elif issubclass(kind, (int, float, complex)):
            found.add(dtypes.of_scalar(kind(0)))
        elif issubclass(kind, (Tensor, _host.ndarray)):
            holds_tensors |= issubclass(kind, Tensor)
            found.update(
                d.dtype if isinstance(d, Tensor) else dtypes.from_numpy(d.dtype) for d in data if type(d) is kind
            )
        elif issubclass(kind, str):
            if outermost or not isinstance(next(iter(data)), str):
                raise TypeError(f"new(): invalid data type '{kind.__name__}'")
            raise ValueError(f"too many dimensions '{kind.__name__}'")
        elif _is_sequence(next(d for d in data if type(d) is kind)):
            for d in data:
                if type(d) is kind:
                    holds_tensors |= _leaves(d, found)
        else:
            raise RuntimeError(f"Could not infer dtype of {kind.__name__}")
    return holds_tensors


def _is_sequence(data: Any) -> bool:
    return hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (str, bytes, dict))


def _plain(data: Any) -> Any:
    """Nested sequences with the numbers of tensors in the place of tensors."""
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        if data.requires_grad:
            warnings.warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first.",
                UserWarning,
                stacklevel=2,
            )
        return data.item()
    return [_plain(d) for d in data] if _is_sequence(data) and not isinstance(data, _host.ndarray) else data


def _wrapped(data: Any, dtype: dtypes.dtype) -> Any:
    """Integers beyond the dtype: negative ones wrap in unsigned dtypes. Raises RuntimeError for what overflows."""
    try:
        array = _host.array(data, dtype=dtypes.int64.numpy)
    except OverflowError as error:
        if "infinity" in str(error):
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow") from None
        raise ValueError("Overflow when unpacking long long") from None
    low, high = dtypes.limits(dtype)
    if array.max() > high or array.min() < (low or -high):
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
    return array.astype(dtype.numpy)


def _complain_of_shape(data: Any, dtype: dtypes.dtype) -> None:
    """Raise the error that tells where nested sequences are ragged, if they are."""
    lengths, inner = [], data
    while _is_sequence(inner):
        lengths.append(len(inner))
        if not len(inner):
            break
        inner = inner[0]

    def visit(part: Any, dim: int) -> None:
        if dim == len(lengths):
            if _is_sequence(part):
                kind = type(part).__name__
                raise TypeError(
                    f"'{kind}' object cannot be interpreted as an integer"
                    if dtype.category == 1
                    else f"must be real number, not {kind}"
                )
            return
        if not _is_sequence(part):
            raise TypeError("not a sequence")
        if len(part) != lengths[dim]:
            raise ValueError(f"expected sequence of length {lengths[dim]} at dim {dim} (got {len(part)})")
        for p in part:
            visit(p, dim + 1)

    visit(data, 0)


# --- sharing memory ---


@expose(method=False)
def as_tensor(data: Any, dtype: dtypes.dtype | None = None, device: Any = None) -> Tensor:
    """A tensor of `data` that shares its memory, and its history, where dtype and device allow."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    array = array_of(data, None if dtype is None else dtypes.as_dtype(dtype, "as_tensor"))
    if isinstance(data, _host.ndarray):
        warn_if_read_only(array, "NumPy array")
    return from_array(on_device(array, shared_device(data, device)))


@expose(method=False)
def asarray(
    obj: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of a tensor, array, DLPack producer, buffer, number or sequence, sharing memory where it can.

    `copy=True` copies in any case, `copy=False` raises ValueError where that is needed. Unlike `as_tensor` the result
    is no part of the graph of `obj` unless `requires_grad`.
    """
    is_buffer = isinstance(obj, (bytes, bytearray, memoryview))
    if is_buffer:
        source = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
    elif isinstance(obj, Tensor):
        source = obj if requires_grad else obj.detach()
    elif isinstance(obj, _host.ndarray):
        source = from_numpy(obj)
    elif hasattr(obj, "__dlpack__") and not isinstance(obj, _host.generic):
        source = from_dlpack(obj)
    elif copy is False:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    else:
        source = as_tensor(obj, dtype, device)
    result = as_tensor(source, dtype, device)
    if copy is False and result is not source:
        if result.dtype is not source.dtype:
            raise ValueError(
                f"can't alias tensor with dtype '{source.dtype.type_name}' into dtype '{result.dtype.type_name}'."
            )
        raise ValueError(f"can't alias tensor with device '{source.device}' into device '{result.device}'.")
    if copy and result is source:
        result = result.clone()
    return result if result.requires_grad == requires_grad else finish(result._array, requires_grad)


@expose(method=False)
def from_numpy(ndarray: Any) -> Tensor:
    """A tensor that shares the memory of a NumPy array: changes to one are seen in the other.

    Raises TypeError for other types and dtypes, ValueError for negative strides; warns if the array is read-only.
    """
    if not isinstance(ndarray, _host.ndarray):
        raise TypeError(
            f"expected np.ndarray (got {'numpy.' * isinstance(ndarray, _host.generic)}{type(ndarray).__name__})"
        )
    array = checked(ndarray)
    warn_if_read_only(array, "NumPy array")
    return from_array(array.view(_host.ndarray))


@expose(method=False)
def frombuffer(
    buffer: Any, *, dtype: dtypes.dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor that shares the memory of a buffer: `count` elements (-1: all) from the byte `offset`.

    Raises ValueError where the buffer does not hold that many.
    """
    try:
        length = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    raw = dtypes.as_dtype(dtype, "frombuffer").numpy
    size = raw.itemsize
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        )
    if count < 0:
        if (length - offset) % size:
            raise ValueError(
                f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a multiple of element "
                f"size ({size})"
            )
        count = (length - offset) // size
    if offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than "
            f"actual buffer length ({length} bytes)"
        )
    array = _host.frombuffer(buffer, dtype=raw, count=count, offset=offset)
    warn_if_read_only(array, "buffer")
    return finish(array, requires_grad)


def warn_if_read_only(array: Any, what: str) -> None:
    """Say that writing to a tensor which shares read-only memory will fail."""
    if isinstance(array, _host.ndarray) and not array.flags.writeable:
        warnings.warn(
            f"The given {what} is not writable, so that writing to the tensor will fail. You may want to copy it to "
            "protect its data or make it writable before converting it to a tensor.",
            UserWarning,
            stacklevel=3,
        )


@expose(method=False)
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's (NumPy, CuPy, PyTorch, JAX), on the CPU or a GPU.

    `copy=True` copies in any case, `copy=False` raises BufferError where that is needed. Raises RuntimeError for
    objects without `__dlpack__`.
    """
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise RuntimeError(f"from_dlpack received an object without __dlpack__: {type(ext_tensor).__name__}")
    kind, _ = ext_tensor.__dlpack_device__()
    where = None if device is None else devices.device(device)
    is_cuda = kind in (2, 3, 13)  # kDLCUDA, kDLCUDAHost, kDLCUDAManaged
    if where is not None and copy is False and (where.type == "cuda") != is_cuda:
        raise BufferError(f"cannot make a tensor on {where} without copying")
    xp = backends.cuda() if is_cuda else _host
    array = checked(xp.from_dlpack(ext_tensor)) if xp is _host else xp.from_dlpack(ext_tensor)
    made = array if where is None else on_device(array, where)
    if copy and made is array:
        made = xp.copy(array)
    return from_array(made)


# --- PyTorch's old constructors ---


def legacy_constructor(
    cls: type, data: tuple, device: Any, dtype: dtypes.dtype | None = None, size: Any = None
) -> Tensor:
    """`Tensor(2, 3)` (sizes), `Tensor([1.0, 2.0])` (data), `Tensor()`, all of the default dtype."""
    dtype = dtype or dtypes.get_default_dtype()
    only = data[0] if len(data) == 1 else None
    if isinstance(only, Tensor):
        made = only.detach()
    elif only is None or isinstance(only, (int, Size)) or size is not None:
        made = zeros(sizes(data or ((0,),), size, "new"), dtype=dtype, device=device)
    elif _is_sequence(only) or isinstance(only, (str, _host.ndarray)):
        made = tensor(only, dtype=dtype, device=device)
    else:
        raise TypeError(f"new(): data must be a sequence (got {type(only).__name__})")
    return made if cls is Tensor else fill(object.__new__(cls), made._array, None, False)


@expose(function=False)
def new(self: Tensor, *data: Any, size: Any = None, device: Any = None) -> Tensor:
    """`tensor.new(2, 3)` (sizes) or `tensor.new([1.0, 2.0])` (data), of this one's dtype and device."""
    return legacy_constructor(Tensor, data, self.device if device is None else device, self.dtype, size)


class _TypedConstructor(type):
    """The type of FloatTensor and its kin: `isinstance` asks for the dtype and the device."""

    dtype: dtypes.dtype
    device: str

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.device.type == cls.device

    def __call__(cls, *data: Any, device: Any = None, size: Any = None) -> Tensor:
        return legacy_constructor(Tensor, data, cls.device if device is None else device, cls.dtype, size)

    def __repr__(cls) -> str:
        return f"<class 'gradcu.{cls.__name__}'>"


def typed_constructor(name: str, dtype: dtypes.dtype, device: str = "cpu") -> type:
    """A class such as `gradcu.FloatTensor`: it makes tensors of a dtype, as `Tensor` does of the default one."""
    return _TypedConstructor(name, (), {"dtype": dtype, "device": device, "__doc__": f"Makes {dtype} tensors."})


for _name, _dtype in {
    "Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16,
    "Byte": dtypes.uint8, "Char": dtypes.int8, "Short": dtypes.int16, "Int": dtypes.int32, "Long": dtypes.int64,
    "Bool": dtypes.bool,
}.items():  # fmt: skip
    expose(method=False, name=f"{_name}Tensor")(typed_constructor(f"{_name}Tensor", _dtype))

"""Copies: to another dtype, to another device, of the same."""

from __future__ import annotations

from typing import Any

from .. import backends, devices, dtypes
from ..graph.op import Primitive
from ..layouts import contiguous_format, memory_format, preserve_format, sparse_csr
from ..tensor import Tensor
from .expose import expose, functions


def _cast_back(xp: Any, g: Any, x_dtype: Any, dtype: Any) -> Any:
    """A gradient in the dtype of the input: its real part if that was real."""
    return xp.astype(xp.real(g) if x_dtype.kind != "c" and dtype.kind == "c" else g, x_dtype)


astype = Primitive(
    "astype",
    lambda xp, x, dtype, copy=True: xp.astype(x, dtype),
    {"x": _cast_back},
    kind="linear",
    node="ToCopyBackward0",
    holomorphic=False,
    samples=lambda make: [(make(2, 3), dtypes.float64.numpy, True), (make(), dtypes.float64.numpy, True)],
)
to_device = Primitive(
    "to_device",
    lambda xp, x, device, source: backends.for_device(device).from_host(xp.to_host(x), device),
    {"x": lambda xp, g, device, source: xp.to_device(g, source, device)},
    kind="linear",
    node="ToCopyBackward0",
    samples=lambda make: [(make(2, 3), devices.cpu, devices.cpu), (make(), devices.cpu, devices.cpu)],
)
clone_ = Primitive(
    "clone",
    lambda xp, x: xp.array(x, order="K"),
    {"x": lambda xp, g: g},
    kind="linear",
    node="CloneBackward0",
    samples=lambda make: [(make(2, 3),), (make(),), (make(0, 2),)],
)
contiguous_ = Primitive(
    "contiguous",
    lambda xp, x: xp.copy(x),
    {"x": lambda xp, g: g},
    kind="linear",
    node="CloneBackward0",
    samples=lambda make: [(make(2, 3),), (make(),), (make(0, 2),)],
)


@expose()
def clone(input: Tensor, *, memory_format: memory_format = preserve_format) -> Tensor:
    """A copy; gradients flow through it."""
    return contiguous_.record((input,)) if memory_format is contiguous_format else clone_.record((input,))


@expose(function=False)
def contiguous(input: Tensor, memory_format: memory_format = contiguous_format) -> Tensor:
    """The tensor itself if its elements lie in row-major order, else a copy that does."""
    return input if input._array.flags.c_contiguous else contiguous_.record((input,))


@expose(function=False)
def is_contiguous(input: Tensor, memory_format: memory_format = contiguous_format) -> bool:
    """Whether the elements lie in row-major order."""
    return input._array.flags.c_contiguous


@expose(function=False)
def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`to(dtype)`, `to(device)`, `to(device, dtype)`, `to(other)`: converted, or itself if it is that already.

    `non_blocking` lets a copy run on while Python goes on, where the device can; `copy=True` copies in any case.
    Raises RuntimeError, naming what to install, if the device cannot be used.
    """
    device, dtype, copy = parse_to(*args, **kwargs)
    result = input
    here = input.device
    if device is not None and (device.type != here.type or device.index not in (None, here.index or 0)):
        result = to_device.record((result,), (device, here))
    if dtype is not None and dtype.numpy != result._array.dtype:
        result = astype.record((result,), (dtype.numpy, True))
    if copy and result is input:
        result = clone(input)
    return result


def parse_to(
    *args: Any,
    device: Any = None,
    dtype: dtypes.dtype | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[devices.device | None, dtypes.dtype | None, bool]:
    """The device, dtype and copy that the arguments of `to` ask for."""
    rest = []
    for a in args:
        if isinstance(a, dtypes.dtype):
            dtype = a
        elif isinstance(a, (str, devices.device)) or (isinstance(a, int) and not isinstance(a, bool)):
            device = a
        elif isinstance(a, Tensor):
            device, dtype = a.device, a.dtype
        elif isinstance(a, bool):
            rest.append(a)
        elif a is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got {type(a).__name__}")
    if len(rest) > 1:
        copy = rest[1]
    if dtype is not None and not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"to() received an invalid combination of arguments - got dtype={type(dtype).__name__}")
    return (None if device is None else devices.device(device)), dtype, copy


@expose(function=False)
def cpu(input: Tensor, memory_format: Any = None) -> Tensor:
    """On the CPU: the tensor itself if it is there."""
    return to(input, devices.cpu)


@expose(function=False)
def cuda(input: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """On a CUDA device, the current one unless named."""
    return to(input, devices.device("cuda") if device is None else devices.device(device))


@expose(function=False)
def numpy(input: Tensor, *, force: bool = False) -> Any:
    """The NumPy array that shares the tensor's memory.

    Raises RuntimeError if it requires grad, TypeError if it is on another device; `force=True` detaches and copies.
    """
    if force:
        return backends.to_host(input._array)
    if input.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if backends.namespaces[type(input._array)].depth:
        raise RuntimeError("numpy(): this tensor stands for each example of a vmap, and cannot be looked at within it")
    if type(input._array) is not backends.host.ndarray:
        raise TypeError(
            f"can't convert {input.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            "memory first."
        )
    return input._array


@expose(function=False, name="type")
def type_(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name as PyTorch writes it ("gradcu.FloatTensor"), or the tensor as a type or in a dtype.

    A type is `gradcu.FloatTensor`, `gradcu.cuda.LongTensor` and so on, or the name of one. Raises ValueError for other
    names, TypeError for what is neither.
    """
    if dtype is None:
        name = input.dtype.type_name
        return f"gradcu.{'cuda.' if input.is_cuda else ''}{name}Tensor"
    if isinstance(dtype, dtypes.dtype):
        return to(input, dtype)
    return to(input, *of_tensor_type(dtype))


def of_tensor_type(kind: Any) -> tuple[str, dtypes.dtype]:
    """The device and the dtype that a class such as `FloatTensor`, or its name, stands for."""
    if not isinstance(kind, (str, type)):
        raise TypeError("dtype must be a type, str, or dtype object")
    name = kind if isinstance(kind, str) else kind.__name__
    by_name = {f"{d.type_name}Tensor": d for d in dtypes.dtype.by_name.values()} | {
        "Tensor": dtypes.get_default_dtype()
    }
    dtype = by_name.get(name.rpartition(".")[2])
    if dtype is None:
        raise ValueError(f"invalid type: '{name}'")
    return "cuda" if "cuda." in name else "cpu", dtype


@expose(function=False)
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """In the dtype, and on the device, of `other`."""
    return to(input, other)


for _name in ("detach", "detach_", "get_device"):
    functions[_name] = getattr(Tensor, _name)


def _conversion(name: str, dtype: dtypes.dtype) -> None:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return to(self, dtype)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In {dtype}: the tensor itself if it is that already."
    setattr(Tensor, name, method)


for _name, _dtype in {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16,
    "long": dtypes.int64, "int": dtypes.int32, "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8,
    "bool": dtypes.bool, "cfloat": dtypes.complex64, "cdouble": dtypes.complex128,
}.items():  # fmt: skip
    _conversion(_name, _dtype)


# --- layouts ---


@expose(function=False)
def to_sparse(input: Tensor, sparse_dim: int | None = None, *, layout: Any = None) -> Tensor:
    """The elements that are not zero as a sparse tensor: in coordinates of the first `sparse_dim` dimensions, or CSR.

    >>> eye(2).to_sparse()
    tensor(indices=tensor([[0, 1],
                           [0, 1]]),
           values=tensor([1., 1.]),
           size=(2, 2), nnz=2, layout=gradcu.sparse_coo)
    """
    from ..sparse.functions import from_dense

    made = from_dense(input, sparse_dim)
    return made.to_sparse_csr() if layout is sparse_csr else made


@expose(function=False)
def to_sparse_csr(input: Tensor, dense_dim: int | None = None) -> Tensor:
    """The elements of a matrix that are not zero as a sparse tensor in compressed rows."""
    return to_sparse(input, layout=sparse_csr)


@expose(function=False)
def to_dense(input: Tensor, dtype: dtypes.dtype | None = None) -> Tensor:
    """The tensor itself, which is dense, in a dtype if one is given."""
    return input if dtype is None else to(input, dtype)

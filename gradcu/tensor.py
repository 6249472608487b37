"""`Tensor`: what a user holds. Operations are attached to it by `gradcu.ops`; here is what the graph needs to know."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import backends, devices, dtypes
from .backends.lookup import owner_of
from .graph.hooks import Handle
from .graph.modes import state
from .graph.node import AccumulateGrad, Node, NodeHooks, Output, as_function
from .graph.version import InferenceVersion, Version

_new = object.__new__
_arrays, _asarray = backends.arrays, backends.host.asarray


class Size(tuple):
    """The lengths of a tensor's dimensions: a tuple that prints as `gradcu.Size([2, 3])`."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self:
            count *= n
        return count

    def __repr__(self) -> str:
        return f"gradcu.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        part = tuple.__getitem__(self, index)
        return Size(part) if isinstance(index, slice) else part

    def __add__(self, other: tuple) -> Size:
        return Size(tuple.__add__(self, other))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple:
        return Size, (tuple(self),)


OWN = object()  #: as a `grad_dtype`: that of the tensor


class Extra:
    """What few tensors have: hooks, retain_grad, the node that is shown for a leaf."""

    __slots__ = ("_accumulator", "accumulate_hooks", "grad_dtype", "hooks", "post_accumulate_hooks", "retains_grad")

    def __init__(self) -> None:
        self.hooks: dict[int, Callable] = {}
        self.post_accumulate_hooks: dict[int, Callable] = {}
        self.accumulate_hooks = NodeHooks()
        self.retains_grad = False
        self.grad_dtype: Any = OWN  # or a dtype, or None for any
        self._accumulator: Any = None

    def accumulator(self, tensor: Tensor) -> AccumulateGrad:
        """The leaf's `AccumulateGrad`: one object for as long as somebody holds it."""
        node = None if self._accumulator is None else self._accumulator()
        if node is None:
            node = AccumulateGrad(tensor)
            self._accumulator = weakref.ref(node)
        return node


if TYPE_CHECKING:
    from ._methods import TensorMethods
else:
    TensorMethods = object


class Tensor(TensorMethods):
    """An array on a device that can take part in a recorded computation.

    Make one with `gradcu.tensor`, `gradcu.zeros` and their kin. As in PyTorch, `requires_grad=True` marks a leaf whose
    gradient `backward()` accumulates in `grad`.
    """

    _array: Any  # the raw NumPy or CuPy array
    _node: Any  # what made it (a Node, an Output), None for leaves
    _rg: bool  # whether it requires grad
    _grad: Tensor | None  # the accumulated gradient
    _counter: Version | None  # None until first needed
    _view: Any  # a views.View, if it is one
    _meta: Extra | None  # None for most
    __slots__ = ("__dict__", "__weakref__", "_array", "_counter", "_grad", "_meta", "_node", "_rg", "_view")

    __array_priority__ = 1000
    _outputs = 0  # as an edge of the graph: a leaf

    def __new__(cls, *data: Any, device: Any = None, size: Any = None) -> Tensor:
        from .ops import data as constructors

        return constructors.legacy_constructor(cls, data, device, size=size)

    # --- data ---

    @property
    def shape(self) -> Size:
        """The lengths of the dimensions."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        found = dtypes.dtype.by_numpy.get(self._array.dtype)
        return dtypes.from_numpy(self._array.dtype) if found is None else found

    @property
    def device(self) -> devices.device:
        """Where the memory is."""
        return backends.namespaces[type(self._array)].device_of(self._array)

    def get_device(self) -> int:
        """The number of the CUDA device, -1 on the CPU."""
        return self.device.index or 0 if self.is_cuda else -1

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the memory is on the CPU."""
        return self.device.type == "cpu"

    @property
    def layout(self) -> Any:
        """`strided`; sparse tensors have others."""
        from .layouts import strided

        return strided

    is_sparse = is_sparse_csr = is_quantized = is_meta = is_mkldnn = is_nested = False
    names = None

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        if dim is None:
            return Size(self._array.shape)
        return self._array.shape[wrap_dim(dim, self._array.ndim)]

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def element_size(self) -> int:
        """The bytes of one element."""
        return self._array.itemsize

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._array.size * self._array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """The step in elements along each dimension, or along one."""
        a = self._array
        steps = contiguous_strides(a.shape) if a.flags.c_contiguous else tuple(s // a.itemsize for s in a.strides)
        return steps if dim is None else steps[wrap_dim(dim, a.ndim)]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return backends.namespaces[type(self._array)].data_ptr(self._array)

    def storage_offset(self) -> int:
        """The position of the first element in the memory that the tensor shares, in elements."""
        owner = owner_of(self._array)
        xp = backends.namespaces[type(owner)]
        start = xp.data_ptr(owner) + sum(
            s * (n - 1) for s, n in zip(owner.strides, owner.shape, strict=True) if s < 0 and n
        )
        return (xp.data_ptr(self._array) - start) // self._array.itemsize if owner.size else 0

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative numbers."""
        return self.dtype.is_signed

    def is_conj(self) -> bool:
        """False: conjugation is never lazy here."""
        return False

    is_neg = is_conj

    def is_inference(self) -> bool:
        """Whether it was made in `inference_mode`."""
        return type(self._counter) is InferenceVersion

    @property
    def data(self) -> Tensor:
        """The same memory outside of the graph, with a version counter of its own."""
        result = from_array(self._array)
        result._counter = InferenceVersion() if self.is_inference() else None
        return result

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self._rg and not (value.dtype.is_floating_point or value.dtype.is_complex):
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self._array = value._array

    # --- graph ---

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded."""
        if self._rg or self._view is None:
            return self._rg
        return self._array.dtype.kind in "fcV" and self._view.base._rg

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self._array.dtype.kind in "biu":
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Mark a leaf as requiring grad, or not; returns the tensor itself.

        Raises RuntimeError for results of recorded operations and for dtypes that are not floating or complex.
        """
        if self.grad_fn is not None:
            if not requires_grad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                    "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            return self
        if requires_grad and self._array.dtype.kind in "biu":
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if requires_grad and self.is_inference() and not state.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self._rg = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made it; None for leaves."""
        if self._view is not None:
            self._view.edge(self)
        node = self._node
        if type(node) is Output:
            return node.node
        return node if node is None or node._outputs else None  # a leaf that hooks packed and unpacked leads to itself

    @property
    def output_nr(self) -> int:
        """Which result of `grad_fn` it is."""
        return self._node.index if type(self._node) is Output else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` accumulated, or None."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for "
                "a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            wanted = self.dtype if self._meta is None or self._meta.grad_dtype is OWN else self._meta.grad_dtype
            if wanted is not None and value.dtype is not wanted:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor with grad_dtype "
                    f"'{wanted}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype). "
                    "You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype."
                )
            if value.device != self.device:
                raise RuntimeError(
                    f"attempting to assign a gradient on {value.device} to a tensor on {self.device}. "
                    "Please ensure that the gradient and the tensor are on the same device"
                )
            if value.shape != self.shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of size "
                    f"'{list(self.shape)}'. Please ensure that the gradient and the tensor are the same size"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def grad_dtype(self) -> dtypes.dtype | None:
        """The dtype that `grad` has: that of the tensor unless set; None allows any.

        Backward converts what arrives at this leaf. Raises RuntimeError for tensors that are not leaves, for what is no
        dtype, and where there is a gradient of another dtype.
        """
        if self.grad_fn is not None:
            raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
        return self.dtype if self._meta is None or self._meta.grad_dtype is OWN else self._meta.grad_dtype

    @grad_dtype.setter
    def grad_dtype(self, value: dtypes.dtype | None) -> None:
        if self.grad_fn is not None:
            raise RuntimeError("grad_dtype can only be set on leaf tensors.")
        if value is not None and not isinstance(value, dtypes.dtype):
            raise RuntimeError(f"grad_dtype must be a gradcu.dtype or None, but got {type(value).__name__}")
        if value is not None and self._grad is not None and self._grad.dtype is not value:
            raise RuntimeError(
                f"Cannot set grad_dtype to '{value}' because there is already a gradient with dtype "
                f"'{self._grad.dtype}'. Please clear the gradient (.grad = None) before changing grad_dtype, or ensure "
                "the new grad_dtype matches the existing gradient's dtype."
            )
        self._extra().grad_dtype = value

    def _extra(self) -> Extra:
        if self._meta is None:
            self._meta = Extra()
        return self._meta

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return 0 if self._counter is None else self._counter.value

    @property
    def _base(self) -> Tensor | None:
        return self._view.base if self._is_view() else None

    def _is_view(self) -> bool:
        return self._view is not None and bool(self._view.steps)  # one without steps is there to hold a tangent

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on a tensor that is not a leaf."""
        return self._meta is not None and self._meta.retains_grad

    def retain_grad(self) -> None:
        """Keep the gradient of a result in `grad`, as if it were a leaf.

        Raises RuntimeError if it does not require grad.
        """
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self.grad_fn
        if node is None or self.retains_grad:
            return
        self._extra().retains_grad = True
        node.own_hooks().retained[self.output_nr] = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook(grad)` when the gradient is known; what it returns, if anything, replaces it.

        >>> x = tensor([1.0], requires_grad=True)
        >>> handle = x.register_hook(lambda g: 2 * g)
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node = self.grad_fn
        if node is None:
            return Handle(self._extra().hooks, hook)
        return Handle(node.own_hooks().tensor.setdefault(self.output_nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        """Call `hook(tensor)` each time the gradient of this leaf was accumulated."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return Handle(self._extra().post_accumulate_hooks, hook)

    def detach(self) -> Tensor:
        """The same memory and version outside of the graph."""
        result = from_array(self._array)
        result._counter = version_of(self)
        return result

    def detach_(self) -> Tensor:
        """Take this tensor itself out of the graph.

        Raises RuntimeError for views.
        """
        if self._is_view():
            raise RuntimeError(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
                "training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets."
            )
        self._node, self._rg = None, False
        return self

    # --- Python ---

    def __repr__(self, *, tensor_contents: object = None) -> str:
        from .autograd.forward import tangent_of
        from .printing import format_tensor

        if backends.namespaces[type(self._array)].depth:
            return self._array.described(lambda array: repr(from_array(array)))
        try:
            grad_fn = None if self.grad_fn is None else self.grad_fn.name()
        except RuntimeError:  # a view that must not be used any more can still be looked at
            grad_fn = "Invalid"
        tangent = tangent_of(self)
        current = devices.get_default_device()
        shown = None if self.device.type == "cpu" == current.type else f"{self.device.type}:{self.device.index or 0}"
        text = format_tensor(
            backends.to_host(self._array),
            dtype=self.dtype.name,
            default_dtype=dtypes.get_default_dtype().name,
            device="cpu" if self.device.type == "cpu" != current.type else shown,
            requires_grad=self.requires_grad and grad_fn is None,
            grad_fn=grad_fn,
            tangent=None if tangent is None else f"{tangent}",
        )
        return text

    def __format__(self, spec: str) -> str:
        if self.dim() == 0:
            return format(self.item(), spec)
        return object.__format__(self, spec) if spec else repr(self)

    __hash__ = object.__hash__  # by identity, though `==` compares elements

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self) -> Tensor:
        return self if self._array.ndim == 0 else self.flip(0)

    def item(self) -> Any:
        """The one element as a Python number.

        Raises RuntimeError if there is not exactly one.
        """
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        value = self._array.item()
        return value if self._array.dtype.kind != "V" else float(value)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; one number for a 0-d tensor."""
        array = backends.to_host(self._array)
        return (array.astype("float32") if array.dtype.kind == "V" else array).tolist()

    def __bool__(self) -> bool:
        if self._array.size != 1:
            if self._array.size == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._array.item())

    def __float__(self) -> float:
        value = self._scalar()
        if isinstance(value, complex) and value.imag:
            raise RuntimeError("value cannot be converted to type double without overflow")
        return float(value.real)

    def __int__(self) -> int:
        return int(float(self)) if self.dtype.is_complex else int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def _scalar(self) -> Any:
        if self._array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self) -> int:
        if self._array.dtype.kind not in "biu" or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __contains__(self, element: Any) -> bool:
        if isinstance(element, (Tensor, int, float, complex)):
            return bool((self == element).any())
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def fill(t: Tensor, array: Any, node: Any, rg: bool) -> Tensor:
    """Set every field of a blank tensor."""
    t._array, t._node, t._rg = array, node, rg
    t._grad = t._counter = t._view = t._meta = None
    return t


def from_array(array: Any, node: Any = None, rg: bool = False) -> Tensor:
    """A tensor around a raw array (or a NumPy scalar, which becomes a 0-d array)."""
    t = _new(Tensor)
    t._array = array if type(array) in _arrays else _asarray(array)
    t._node, t._rg = node, rg
    t._grad = t._counter = t._view = t._meta = None
    if state.inference:
        t._counter = InferenceVersion()
    return t


def version_of(t: Tensor) -> Version:
    """The tensor's version counter, made now if it had none; the node that made the tensor learns of it."""
    counter = t._counter
    if counter is None:
        counter = t._counter = Version()
        node = t._node
        if node is not None:
            node = node.node if type(node) is Output else node
            node.output_version = (*(node.output_version or ()), counter)
    return counter


def edge_of(t: Tensor) -> Any:
    """Where a gradient of `t` goes: the node that made it, `t` itself if it is a leaf, None if no grad is required."""
    if t._view is not None:
        return t._view.edge(t)
    node = t._node
    return t if node is None and t._rg else node


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a row-major array, as PyTorch counts them."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= max(n, 1)
    return tuple(reversed(steps))


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front. Raises IndexError outside of [-ndim, ndim - 1] (0-d counts as one)."""
    if type(dim) is not int:
        if not hasattr(dim, "__index__") or isinstance(dim, bool):
            raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
        dim = dim.__index__()
    n = ndim or 1
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return dim + n if dim < 0 else dim


__all__ = ["Size", "Tensor", "as_function", "edge_of", "fill", "from_array", "version_of", "wrap_dim"]

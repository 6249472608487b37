"""NumPy's and DLPack's protocols: what happens when other libraries meet a tensor.

NumPy's ufuncs on tensors become our operations and give tensors, with gradients. Its other functions give arrays, as
they do with PyTorch's tensors, unless a gradient would be lost: then ours is taken where there is one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from .. import backends, dtypes
from ..tensor import Tensor, from_array
from .creation import full
from .data import as_tensor
from .expose import functions, namespaces
from .pointwise import is_number

_host = backends.host


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """`numpy.asarray(tensor)`: the memory itself where it can be. Raises RuntimeError if a gradient would be lost."""
    a = self.numpy()
    if dtype is not None and a.dtype != dtype:
        if copy is False:
            raise ValueError(f"Unable to avoid copy while creating an array of {dtype} from a tensor of {self.dtype}.")
        return a.astype(dtype)
    return a.copy() if copy else a


def _array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    return from_array(array)


# --- ufuncs ---

_OPERATORS: dict[str, Callable] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "power": operator.pow, "matmul": operator.matmul,
    "greater": operator.gt, "greater_equal": operator.ge, "less": operator.lt, "less_equal": operator.le,
    "equal": operator.eq, "not_equal": operator.ne, "bitwise_and": operator.and_, "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor, "left_shift": operator.lshift, "right_shift": operator.rshift,
}  # fmt: skip
_OTHER_NAMES = {
    "absolute": "abs", "fabs": "abs", "rint": "round", "invert": "bitwise_not", "conjugate": "conj",
    "degrees": "rad2deg", "radians": "deg2rad", "amax": "max", "amin": "min", "concatenate": "cat", "copy": "clone",
    "transpose": "permute", "expand_dims": "unsqueeze", "norm": "linalg.norm", "array_equal": "equal",
}  # fmt: skip


def _named(name: str) -> Callable | None:
    """Our function of a ufunc of NumPy or scipy.special."""
    name = _OTHER_NAMES.get(name, name)
    return functions.get(name) or namespaces.get("special", {}).get(name)


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method == "__call__" and not kwargs:
        name = ufunc.__name__
        if name in _OPERATORS:
            x, y = map(_operand, inputs)
            if name == "matmul":  # which promotes no operands by itself
                common = dtypes.promote_types(x.dtype, y.dtype)
                x, y = x.to(common), y.to(common)
            return _OPERATORS[name](x, y)
        function = _named(name)
        if function is not None:
            several = len(inputs) > 1
            return function(*(full((), o) if several and is_number(o) else o for o in map(_operand, inputs)))
    given = kwargs.get("out", ())
    if any(isinstance(x, Tensor) for x in given):
        raise TypeError("return arrays must be of ArrayType")
    result = getattr(ufunc, method)(*_without_tensors(inputs, ufunc.__name__), **kwargs)
    if given:
        return result
    return tuple(map(from_array, result)) if isinstance(result, tuple) else from_array(result)


def _operand(x: Any) -> Any:
    """An operand beside a tensor: an array as a tensor of its own, a NumPy scalar as a Python number."""
    if isinstance(x, _host.ndarray):
        return from_array(x) if x.dtype in dtypes.dtype.by_numpy and _steps_forward(x) else as_tensor(x.copy())
    return x.item() if isinstance(x, _host.generic) else x


def _steps_forward(x: Any) -> bool:
    return x.flags.c_contiguous or min(x.strides) >= 0


def _without_tensors(value: Any, name: str) -> Any:
    """`value` with tensors, also those inside lists, as arrays. Raises TypeError where a gradient would be lost."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            ours = _OTHER_NAMES.get(name, name)
            known = ours in functions or "." in ours
            instead = f"use gradcu.{ours}" if known else "use operations of gradcu"
            raise TypeError(
                f"numpy.{name} would lose the gradient of a tensor that requires grad: {instead}, or detach() it first."
            )
        return value.numpy()
    if isinstance(value, (list, tuple)):
        converted = [_without_tensors(v, name) for v in value]
        return type(value)(*converted) if hasattr(value, "_fields") else type(value)(converted)
    if isinstance(value, dict):
        return {k: _without_tensors(v, name) for k, v in value.items()}
    return value


# --- other functions ---


def _array_function(self: Tensor, function: Any, types: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    if not all(issubclass(t, (Tensor, _host.ndarray)) for t in types):
        return NotImplemented
    name = function.__name__
    ours = _WITH_GRADIENTS.get(name)
    if ours is not None and (name in _GIVE_TENSORS or _require_grad((args, kwargs))):
        return ours(*args, **kwargs)
    return function(*_without_tensors(args, name), **_without_tensors(kwargs, name))


def _require_grad(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.requires_grad
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return False
    return any(map(_require_grad, value))


def _reduction(name: str) -> Callable:
    def function(a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
        options = {} if dtype is None else {"dtype": dtypes.from_numpy(_host.dtype(dtype))}
        return functions[name](a, axis, keepdims, **options) if axis is not None else functions[name](a, **options)

    return function


def _spread(name: str) -> Callable:
    def function(
        a: Tensor, axis: Any = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False
    ) -> Tensor:
        return functions[name](a, axis, correction=ddof, keepdim=keepdims)

    return function


def _extremum(name: str) -> Callable:
    def function(a: Tensor, axis: Any = None, out: None = None, keepdims: bool = False) -> Tensor:
        return functions[name](a, () if axis is None else axis, keepdims)

    return function


#: those that give tensors in any case, as NumPy leaves them to a method of the tensor
_GIVE_TENSORS = frozenset(("reshape", "transpose", "swapaxes", "squeeze", "clip"))
#: NumPy's functions, with its arguments, that record gradients
_WITH_GRADIENTS: dict[str, Callable] = {
    "sum": _reduction("sum"),
    "prod": _reduction("prod"),
    "mean": _reduction("mean"),
    "std": _spread("std"),
    "var": _spread("var"),
    "max": _extremum("amax"),
    "amax": _extremum("amax"),
    "min": _extremum("amin"),
    "amin": _extremum("amin"),
    "cumsum": lambda a, axis: functions["cumsum"](a, axis),
    "concatenate": lambda arrays, axis=0: functions["cat"]([*map(_operand, arrays)], axis),
    "stack": lambda arrays, axis=0: functions["stack"]([*map(_operand, arrays)], axis),
    "where": lambda condition, x, y: functions["where"](*map(_operand, (condition, x, y))),
    "clip": lambda a, a_min=None, a_max=None: functions["clamp"](a, a_min, a_max),
    "dot": lambda a, b: functions["matmul"](_operand(a), _operand(b)),
    "outer": lambda a, b: functions["outer"](_operand(a), _operand(b)),
    "einsum": lambda equation, *operands: functions["einsum"](equation, *map(_operand, operands)),
    "norm": lambda x, ord=None, axis=None, keepdims=False: namespaces["linalg"]["norm"](x, ord, axis, keepdims),
    "reshape": lambda a, shape: a.reshape(shape),
    "ravel": lambda a: a.reshape(-1),
    "transpose": lambda a, axes=None: a.permute(axes or tuple(range(a.ndim))[::-1]),
    "swapaxes": lambda a, axis1, axis2: a.transpose(axis1, axis2),
    "expand_dims": lambda a, axis: a.unsqueeze(axis),
    "squeeze": lambda a, axis=None: a.squeeze(axis),
    "copy": lambda a: a.clone(),
    "shape": lambda a: tuple(a.shape),
    "ndim": lambda a: a.ndim,
    "size": lambda a, axis=None: a.numel() if axis is None else a.shape[axis],
}

# --- DLPack and CUDA ---


def _dlpack(
    self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """The memory for another library, which takes it with its `from_dlpack`.

    Raises BufferError for tensors that require grad.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    return self._array.__dlpack__(**{k: v for k, v in asked.items() if v is not None})


def _dlpack_device(self: Tensor) -> tuple:
    """DLPack's (device type, index)."""
    return self._array.__dlpack_device__()


def _cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """What Numba, CuPy and others need to read the memory of a tensor on a CUDA device.

    Raises AttributeError for other devices, RuntimeError for tensors that require grad.
    """
    if not self.is_cuda:
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on non-CUDA tensor type: {self.type()} "
            "If CUDA data is required use tensor.cuda() to copy tensor to device memory."
        )
    if self.requires_grad:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. If gradients aren't required, use "
            "var.detach() to get Variable that doesn't require grad."
        )
    return self._array.__cuda_array_interface__


for _method, _function in {
    "__array__": _array,
    "__array_wrap__": _array_wrap,
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "__dlpack__": _dlpack,
    "__dlpack_device__": _dlpack_device,
    "__cuda_array_interface__": property(_cuda_array_interface),
}.items():
    setattr(Tensor, _method, _function)

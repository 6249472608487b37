"""Making tensors of a given size: filled, ranges, identity, uninitialised."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, devices, dtypes
from ..layouts import layout as Layout, memory_format as MemoryFormat, preserve_format, strided
from ..tensor import Tensor, from_array
from .expose import expose
from .out import write_out
from .pointwise import is_number
from .shape import as_shape


def finish(array: Any, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A new leaf around an array."""
    t = from_array(array)
    if pin_memory:
        t = t.pin_memory()
    if requires_grad:
        if array.dtype.kind in "biu":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        t._rg = True
    return t


def on(device: devices.device, name: str, *args: Any, **kwargs: Any) -> Any:
    """An array made by the function `name` of a device's library, on that device."""
    xp = backends.for_device(device)
    if device.type == "cpu" or device.index is None:
        return getattr(xp, name)(*args, **kwargs)
    with xp.using(device):
        return getattr(xp, name)(*args, **kwargs)


def sizes(size: tuple, keyword: Any, name: str) -> tuple[int, ...]:
    """The shape that `f(2, 3)`, `f((2, 3))` or `f(size=(2, 3))` asks for."""
    if keyword is not None:
        size = (keyword,)
    elif not size:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    try:
        shape = as_shape(size)
    except TypeError:
        first = size[0] if not isinstance(size[0], (tuple, list)) else next(n for n in size[0] if type(n) is not int)
        raise TypeError(
            f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(first).__name__}"
        ) from None
    if shape and min(shape) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {next(n for n in shape if n < 0)}: {list(shape)}"
        )
    return shape


def raw_dtype(dtype: Any, out: Tensor | None, name: str) -> Any:
    """The NumPy dtype that a `dtype=` argument and `out=` ask for; None if neither does."""
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype, name)
    if out is None:
        return None if dtype is None else dtype.numpy
    if dtype is not None and dtype is not out.dtype:
        raise RuntimeError(f"dtype {dtype.type_name} does not match dtype of out parameter ({out.dtype.type_name})")
    return out._array.dtype


def deliver(array: Any, out: Tensor | None, name: str, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """The array as a new tensor, or written to `out`."""
    if out is not None:
        return write_out(from_array(array), out, name, rule="any shape")
    return finish(array, requires_grad, pin_memory)


def number(value: Any, raw: Any) -> Any:
    """A number that fits the dtype: cut to an integer, wrapped if negative, as PyTorch converts scalars.

    Raises RuntimeError where it does not fit.
    """
    d = dtypes.from_numpy(raw)
    kind = raw.kind
    if isinstance(value, complex) and kind != "c":
        if value.imag:
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
        value = value.real
    if kind in "iu":
        try:
            value = int(value)
        except (OverflowError, ValueError):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow") from None
        low, high = dtypes.limits(d)
        if not (low or -high) <= value <= high:
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
        return value & high if kind == "u" else value
    if kind == "b":
        return bool(value)
    if kind != "c" and math.isfinite(value) and abs(value) > dtypes.limits(d)[1]:
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    return value


def scalar(value: Any, name: str, argument: str = "fill_value", position: int = 2) -> Any:
    """A Python number given as such, as a NumPy scalar or as a 0-d tensor."""
    if isinstance(value, Tensor) and value._array.ndim == 0:
        return value.item()
    if not is_number(value):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Number, not {type(value).__name__}"
        )
    return value.item() if isinstance(value, backends.host.generic) else value


# --- filled with one value ---

_CONTENTS = {"zeros": "all 0", "ones": "all 1", "empty": "not initialised"}


def _filled(name: str) -> Callable:
    def function(
        *size: Any,
        out: Tensor | None = None,
        dtype: dtypes.dtype | None = None,
        layout: Layout = strided,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: MemoryFormat | None = None,
        **keyword: Any,
    ) -> Tensor:
        shape = sizes(size, keyword.pop("size", None), name)
        if keyword:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(keyword))}'")
        where = devices.resolve(device) if out is None else out.device
        raw = raw_dtype(dtype, out, name) or dtypes.get_default_dtype().numpy
        return deliver(on(where, name, shape, dtype=raw), out, name, requires_grad, pin_memory)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A tensor of the given size, {_CONTENTS[name]}. Raises RuntimeError for a negative size."
    return function


def _like(name: str) -> Callable:
    def function(
        input: Tensor,
        *,
        dtype: dtypes.dtype | None = None,
        layout: Layout | None = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: MemoryFormat = preserve_format,
    ) -> Tensor:
        return finish(array_like(input, name, f"{name}_like", dtype, device, memory_format), requires_grad, pin_memory)

    function.__name__ = function.__qualname__ = f"{name}_like"
    function.__doc__ = (
        f"A tensor, {_CONTENTS[name]}, of the shape, strides, dtype and device of `input` unless named otherwise."
    )
    return function


def array_like(
    input: Any,
    made: str,
    name: str,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    memory_format: MemoryFormat = preserve_format,
) -> Any:
    """An array made by `zeros`, `ones` or `empty` that is like that of `input`."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    a = input._array
    raw = a.dtype if dtype is None else raw_dtype(dtype, None, name)
    if device is None and type(a) is backends.host.ndarray:
        where = devices.cpu
    else:
        where = input.device if device is None else devices.device(device)
    if memory_format is not preserve_format or a.flags.c_contiguous or 0 in a.strides:
        return for_each(a, on(where, made, a.shape, dtype=raw))
    order = sorted(range(a.ndim), key=lambda d: -a.strides[d])
    sorted_ = on(where, made, [a.shape[d] for d in order], dtype=raw)
    return for_each(a, sorted_.transpose(sorted(range(a.ndim), key=order.__getitem__)))


def for_each(like: Any, made: Any) -> Any:
    """A new array as it is, or within a vmap one for each example that `like` has, to be written to."""
    xp = backends.namespaces[type(like)]
    return xp.for_each(like, made) if xp.depth else made


def _new(name: str) -> Callable:
    def function(
        self: Tensor,
        *size: Any,
        dtype: dtypes.dtype | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Layout = strided,
        pin_memory: bool = False,
        **keyword: Any,
    ) -> Tensor:
        shape = sizes(size, keyword.pop("size", None), f"new_{name}")
        if keyword:
            raise TypeError(f"new_{name}() got an unexpected keyword argument '{next(iter(keyword))}'")
        where = self.device if device is None else devices.device(device)
        raw = raw_dtype(dtype, None, f"new_{name}") or self._array.dtype
        made = for_each(self._array, on(where, name, shape, dtype=raw))
        return finish(made, requires_grad, pin_memory)

    function.__name__ = function.__qualname__ = f"new_{name}"
    function.__doc__ = f"A tensor of the given size, {_CONTENTS[name]}, of this one's dtype and device unless named."
    return function


zeros, ones, empty = (expose(method=False)(_filled(_n)) for _n in _CONTENTS)
zeros_like, ones_like, empty_like = (expose(method=False)(_like(_n)) for _n in _CONTENTS)
new_zeros, new_ones, new_empty = (expose(function=False)(_new(_n)) for _n in _CONTENTS)


@expose(method=False)
def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of the given size filled with a number, of whose kind the dtype is unless given.

    Raises RuntimeError if the number does not fit the dtype.

    >>> full((2,), 3.5)
    tensor([3.5000, 3.5000])
    """
    value = scalar(fill_value, "full")
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
    shape = sizes((size,), None, "full")
    raw = raw_dtype(dtype, out, "full") or dtypes.of_scalar(value).numpy
    where = devices.resolve(device) if out is None else out.device
    return deliver(on(where, "full", shape, number(value, raw), dtype=raw), out, "full", requires_grad, pin_memory)


@expose(method=False)
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: dtypes.dtype | None = None,
    layout: Layout | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: MemoryFormat = preserve_format,
) -> Tensor:
    """A tensor filled with a number, of the shape, strides, dtype and device of `input` unless named otherwise."""
    made = array_like(input, "empty", "full_like", dtype, device, memory_format)
    made.fill(number(scalar(fill_value, "full_like"), made.dtype))
    return finish(made, requires_grad, pin_memory)


@expose(function=False)
def new_full(
    self: Tensor,
    size: Sequence[int],
    fill_value: Any,
    *,
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Layout = strided,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of the given size filled with a number, of this one's dtype and device unless named."""
    made = full(size, fill_value, dtype=dtype or self.dtype, device=self.device if device is None else device)
    return finish(for_each(self._array, made._array), requires_grad, pin_memory)


@expose(method=False)
def scalar_tensor(
    s: Any,
    *,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A 0-d tensor of a number, of the default dtype unless given."""
    return full(
        (),
        s,
        dtype=dtype or dtypes.get_default_dtype(),
        device=device,
        pin_memory=pin_memory,
        requires_grad=requires_grad,
    )


# --- uninitialised, with strides ---


def _strided(size: Any, stride: Any, raw: Any, where: devices.device) -> Any:
    shape, steps = sizes((size,), None, "empty_strided"), as_shape((stride,))
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})"
        )
    if any(s < 0 for s in steps):
        raise RuntimeError(
            f"empty_strided: strides must be non-negative, got sizes={list(shape)} and strides={list(steps)}"
        )
    length = 1 + sum((n - 1) * s for n, s in zip(shape, steps)) if 0 not in shape else 0
    memory = on(where, "empty", (length,), dtype=raw)
    return backends.for_device(where).strided(memory, shape, steps)


@expose(method=False)
def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialised tensor of the given size and strides (in elements); strides may make elements share memory."""
    raw = raw_dtype(dtype, None, "empty_strided") or dtypes.get_default_dtype().numpy
    return finish(_strided(size, stride, raw, devices.resolve(device)), requires_grad, pin_memory)


@expose(function=False)
def new_empty_strided(
    self: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    dtype: dtypes.dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Layout = strided,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialised tensor of the given size and strides, of this one's dtype and device unless named."""
    raw = raw_dtype(dtype, None, "new_empty_strided") or self._array.dtype
    where = self.device if device is None else devices.device(device)
    return finish(_strided(size, stride, raw, where), requires_grad, pin_memory)


@expose(method=False)
def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialised dense tensor whose dimensions lie in memory in the order `physical_layout`, outermost first."""
    shape = sizes((size,), None, "empty_permuted")
    if len(physical_layout) != len(shape):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; "
            f"i.e. len(size) = {len(shape)} is not equal to len(physical_layout) = {len(physical_layout)}"
        )
    seen: list[int] = []
    for d in physical_layout:
        if not 0 <= d < len(shape):
            raise RuntimeError(f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {d})")
        if d in seen:
            raise RuntimeError("Duplicate dim not allowed")
        seen.append(d)
    inside = empty([shape[d] for d in seen], dtype=dtype, device=device)
    return finish(inside._array.transpose([seen.index(d) for d in range(len(shape))]), requires_grad, pin_memory)


# --- ranges ---


def _bound(value: Any, name: str, argument: str) -> Any:
    """One end of a range: a Python number, from a number or a 0-d tensor."""
    if type(value) is int or type(value) is float:
        return value
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {argument} with "
                f"{value._array.ndim} dimension(s)."
            )
        return value.item()
    return scalar(value, name, argument, 1)


@expose(method=False)
def arange(
    start: Any = None,
    end: Any = None,
    step: Any = None,
    *,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from `start` (0) up to but without `end`, `step` (1) apart: int64 if all are integers.

    Raises RuntimeError if `step` is zero or leads away from `end`, or if an end is infinite.

    >>> arange(1, 2.5, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    if end is None:
        start, end = None, start
    if end is None:
        raise TypeError('arange() missing 1 required positional arguments: "end"')
    start, end, step = (
        default if v is None else _bound(v, "arange", n)
        for v, n, default in ((start, "start", 0), (end, "end", 0), (step, "step", 1))
    )
    if any(isinstance(v, complex) for v in (start, end, step)):
        raise RuntimeError("value cannot be converted to type double without overflow")
    raw = raw_dtype(dtype, out, "arange")
    whole = all(isinstance(v, int) for v in (start, end, step))
    if raw is None:
        raw = (dtypes.int64 if whole else dtypes.get_default_dtype()).numpy
    if raw == dtypes.int64.numpy:
        if step != 0 and int(step) == 0:
            raise ValueError("step must be nonzero")
        start, end, step = (int(v) if math.isfinite(v) else v for v in (start, end, step))
    elif raw.kind in "bc":
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{dtypes.from_numpy(raw).type_name}'")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    span = end - start
    if span * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = -(-span // step) if isinstance(span, int) and isinstance(step, int) else math.ceil(span / step)
    where = devices.resolve(device) if out is None else out.device
    if raw.kind in "iu":
        made = on(where, "arange", count, dtype=dtypes.int64.numpy)
        made *= int(step)
        made += int(start)
    else:
        made = on(where, "arange", count, dtype=dtypes.float64.numpy)
        made *= step
        made += start
    if out is not None and out.numel() not in (0, count):
        warnings.warn(
            f"The number of elements in the out tensor of shape {list(out.shape)} is {out.numel()} which does not "
            f"match the computed number of elements {count}. Note that this may occur as a result of rounding "
            f"error. The out tensor will be resized to a tensor of shape ({count},).",
            UserWarning,
            stacklevel=2,
        )
    return deliver(made.astype(raw, copy=False), out, "arange", requires_grad, pin_memory)


@expose(method=False, name="range")
def range_(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: dtypes.dtype | None = None, **options: Any
) -> Tensor:
    """The numbers from `start` to `end`, that included, `step` apart, in a floating dtype. `arange` is preferred."""
    warnings.warn(
        "gradcu.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use gradcu.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    count = math.floor((end - start) / step) + 1
    dtype = dtype or dtypes.get_default_dtype()
    return arange(start, start + count * step - step / 2, step, dtype=dtype, **options)


def _steps(name: str, start: Any, end: Any, steps: Any, dtype: Any, out: Tensor | None) -> tuple[Any, Any, Any]:
    """The ends as numbers and the raw dtype of linspace and logspace."""
    if steps is None or isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({type(start).__name__}, "
            f"{type(end).__name__}, {type(steps).__name__}), but expected (Number start, Number end, int steps, ...)"
        )
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = _bound(start, name, "start"), _bound(end, name, "end")
    raw = raw_dtype(dtype, out, name)
    is_complex = isinstance(start, complex) or isinstance(end, complex)
    if raw is None:
        default = dtypes.get_default_dtype()
        raw = (default.to_complex() if is_complex else default).numpy
    elif is_complex and raw.kind != "c":
        raise RuntimeError(
            f"gradcu.{name}(): inferred dtype {dtypes.get_default_dtype().to_complex()} can't be safely cast to passed "
            f"dtype {dtypes.from_numpy(raw)}"
        )
    return start, end, raw


@expose(method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included. The ends may be 0-d tensors.

    >>> linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, end, raw = _steps("linspace", start, end, steps, dtype, out)
    where = devices.resolve(device) if out is None else out.device
    return deliver(_spaced(where, start, end, steps, raw).astype(raw), out, "linspace", requires_grad, pin_memory)


def _spaced(where: devices.device, start: Any, end: Any, steps: Any, raw: Any) -> Any:
    """Evenly spaced numbers in double precision; those of integers start from integers."""
    if raw.kind in "iu":
        start, end = int(start), int(end)
    wide = dtypes.complex128.numpy if raw.kind == "c" else dtypes.float64.numpy
    return on(where, "linspace", start, end, int(steps), dtype=wide)


@expose(method=False)
def logspace(
    start: Any,
    end: Any,
    steps: int | None = None,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """`base` to the power of `steps` numbers evenly spaced from `start` to `end`.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    start, end, raw = _steps("logspace", start, end, steps, dtype, out)
    where = devices.resolve(device) if out is None else out.device
    powers = _spaced(where, start, end, steps, raw)
    return deliver((base**powers).astype(raw), out, "logspace", requires_grad, pin_memory)


@expose(method=False)
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Layout = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """The (n, m) matrix, square unless `m` is given, with ones on the diagonal and zeros elsewhere."""
    m = n if m is None else m
    for letter, length in (("n", n), ("m", m)):
        if length < 0:
            raise RuntimeError(f"{letter} must be greater or equal to 0, got {length}")
    where = devices.resolve(device) if out is None else out.device
    raw = raw_dtype(dtype, out, "eye") or dtypes.get_default_dtype().numpy
    return deliver(on(where, "eye", n, m, dtype=raw), out, "eye", requires_grad, pin_memory)

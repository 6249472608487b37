"""Data types, their properties and PyTorch's promotion rules."""

from __future__ import annotations

import builtins
import functools
from typing import Any, ClassVar

import numpy as np

builtin_bool = builtins.bool
builtin_int = builtins.int
builtin_float = builtins.float

_CATEGORIES = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}  # promotion never falls to a lower category


_TYPE_NAMES = {
    "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double", "complex64": "ComplexFloat",
    "complex128": "ComplexDouble", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
    "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "bool": "Bool",
}  # fmt: skip
_C_NAMES = {
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>", "uint8": "unsigned char",
    "int8": "signed char", "int16": "short int", "int32": "int", "int64": "long int", "uint16": "short unsigned int",
    "uint32": "unsigned int", "uint64": "long unsigned int", "bool": "bool",
}  # fmt: skip


class dtype:
    """The type of a tensor's elements, such as `gradcu.float32`; one object each, compared by identity."""

    __slots__ = ("_numpy", "category", "is_complex", "is_floating_point", "is_signed", "itemsize", "name")
    by_name: ClassVar[dict[str, dtype]] = {}
    by_numpy: ClassVar[dict[np.dtype, dtype]] = {}

    def __init__(self, name: str, kind: str, itemsize: builtins.int) -> None:
        self.name, self.itemsize = name, itemsize
        self.category = _CATEGORIES[kind]
        self.is_complex = kind == "c"
        self.is_floating_point = kind == "f"
        self.is_signed = kind in "ifc"
        self._numpy: np.dtype | None = None
        dtype.by_name[name] = self
        if name != "bfloat16":
            self._numpy = np.dtype(name)
            dtype.by_numpy[self._numpy] = self

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype; bfloat16 needs the package ml_dtypes."""
        if self._numpy is None:
            try:
                import ml_dtypes
            except ImportError:
                raise RuntimeError("bfloat16 needs the package ml_dtypes: pip install ml_dtypes") from None
            self._numpy = np.dtype(ml_dtypes.bfloat16)
            dtype.by_numpy[self._numpy] = self
        return self._numpy

    def to_real(self) -> dtype:
        """The dtype of the real part."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this precision, complex64 at least. Raises RuntimeError for integers."""
        if self.is_complex:
            return self
        if not self.is_floating_point:
            raise RuntimeError(f"Unknown Complex ScalarType for {self.type_name}")
        return complex128 if self is float64 else complex64

    @property
    def type_name(self) -> str:
        """What error messages and `tensor.type()` call it: "Float", "Long"."""
        return _TYPE_NAMES[self.name]

    @property
    def c_name(self) -> str:
        """What some error messages call it: "float", "long int"."""
        return _C_NAMES[self.name]

    def __repr__(self) -> str:
        return f"gradcu.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: dict) -> dtype:
        return self


float16 = half = dtype("float16", "f", 2)
bfloat16 = dtype("bfloat16", "f", 2)
float32 = float = dtype("float32", "f", 4)
float64 = double = dtype("float64", "f", 8)
complex64 = cfloat = dtype("complex64", "c", 8)
complex128 = cdouble = dtype("complex128", "c", 16)
uint8 = dtype("uint8", "u", 1)
uint16 = dtype("uint16", "u", 2)
uint32 = dtype("uint32", "u", 4)
uint64 = dtype("uint64", "u", 8)
int8 = dtype("int8", "i", 1)
int16 = short = dtype("int16", "i", 2)
int32 = int = dtype("int32", "i", 4)
int64 = long = dtype("int64", "i", 8)
bool = dtype("bool", "b", 1)

_default = float32


def get_default_dtype() -> dtype:
    """The floating dtype of tensors made from Python floats (float32 unless `set_default_dtype` says otherwise)."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the dtype that Python floats and integer division give.

    Raises TypeError unless `d` is a floating dtype.
    """
    global _default
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default = d


def from_numpy(d: np.dtype) -> dtype:
    """The dtype of a NumPy dtype; raises TypeError where there is none."""
    found = dtype.by_numpy.get(d)
    if found is None:
        if d.name == "bfloat16":
            assert bfloat16.numpy == d
            return bfloat16
        if not d.isnative:
            raise ValueError(
                f"given numpy array has byte order different from the native byte order ({d}): "
                "convert it with array.astype(array.dtype.newbyteorder('='))"
            )
        raise TypeError(
            f"can't convert np.ndarray of type {d}. The only supported types are: " + ", ".join(sorted(dtype.by_name))
        )
    return found


def as_dtype(value: Any, function: str) -> dtype:
    """The dtype of a `dtype=` argument: one of ours, or Python's float, int, bool or complex.

    Raises TypeError for anything else.
    """
    if type(value) is dtype:
        return value
    found = {builtin_float: float64, builtin_int: int64, builtin_bool: bool, complex: complex128}.get(value)
    if found is None:
        raise TypeError(f"{function}(): argument 'dtype' must be gradcu.dtype, not {type(value).__name__}")
    return found


def of_scalar(value: Any) -> dtype:
    """The dtype that a Python number has as a tensor of its own."""
    if isinstance(value, builtin_bool):
        return bool
    if isinstance(value, builtin_int):
        return int64
    if isinstance(value, builtin_float):
        return _default
    if isinstance(value, complex):
        return _default.to_complex()
    if isinstance(value, np.generic):
        return from_numpy(value.dtype)
    raise TypeError(f"expected a number, got {type(value).__name__}")


_UNSIGNED = frozenset((uint16, uint32, uint64))  # which PyTorch promotes with floating dtypes only


def _unsupported(a: dtype, b: dtype) -> RuntimeError:
    return RuntimeError(
        "Promotion for uint16, uint32, uint64 types is not supported, "
        f"attempted to promote {a.type_name} and {b.type_name}"
    )


@functools.cache
def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype that both convert to without loss of kind, as `torch.promote_types`.

    >>> promote_types(int32, float16)
    gradcu.float16
    """
    for position, d in ((1, a), (2, b)):
        if not isinstance(d, dtype):
            raise TypeError(
                f"promote_types(): argument 'type{position}' (position {position}) must be gradcu.dtype, "
                f"not {type(d).__name__}"
            )
    if a is b:
        return a
    low, high = sorted((a, b), key=lambda d: (d.category, d.itemsize))
    if low.category < high.category:
        if (high.category == 1 and high in _UNSIGNED) or (high.is_complex and low in _UNSIGNED):
            raise _unsupported(a, b)
        if high.is_complex and low is float64:
            return complex128
        return high
    if high.category == 1 and _UNSIGNED & {low, high}:
        raise _unsupported(a, b)
    if high.category == 1 and uint8 in (low, high):
        other = high if low is uint8 else low
        return int16 if other is int8 else other
    if {low, high} == {float16, bfloat16}:
        return float32
    return high


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether a value of one dtype may be written in place into another: never to a lower category."""
    return from_.category <= to.category


def promote(ranked: list[tuple[builtins.int, dtype]]) -> dtype:
    """The common dtype of operands given as (rank, dtype): 0 for tensors with dimensions, 1 for 0-d, 2 for numbers.

    A lower rank decides, unless a higher one has a higher category (bool < integer < floating < complex).
    """
    best: dtype | None = None
    for rank in (0, 1, 2):
        here = [d for r, d in ranked if r == rank]
        if not here:
            continue
        mine = functools.reduce(promote_types, here)
        if best is None:
            best = mine
        elif mine.category > best.category:
            if mine.is_complex and best.is_floating_point:
                mine = best.to_complex()  # what has no dimensions gives the kind only, not the precision
            best = promote_types(best, mine)
    assert best is not None
    return best


class finfo:
    """Limits of a floating dtype: `bits eps max min tiny smallest_normal resolution dtype`."""

    def __init__(self, type: dtype | None = None) -> None:
        d = _default if type is None else type
        if not isinstance(d, dtype):
            raise TypeError(f"finfo(): argument 'type' (position 1) must be gradcu.dtype, not {d.__class__.__name__}")
        if not (d.is_floating_point or d.is_complex):
            raise TypeError(f"gradcu.finfo() requires a floating point input type. Use gradcu.iinfo to handle '{d}'")
        d = d.to_real()
        if d is bfloat16:
            import ml_dtypes

            info: Any = ml_dtypes.finfo(d.numpy)
        else:
            info = np.finfo(d.numpy)
        self.bits, self.dtype = d.itemsize * 8, d.name
        self.eps, self.max, self.min = (builtin_float(v) for v in (info.eps, info.max, info.min))
        self.tiny = self.smallest_normal = builtin_float(info.smallest_normal)
        self.resolution = builtin_float(f"1e-{info.precision}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: `bits max min dtype`."""

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype):
            raise TypeError(
                f"iinfo(): argument 'type' (position 1) must be gradcu.dtype, not {type.__class__.__name__}"
            )
        if type is bool:
            raise TypeError("gradcu.bool is not supported by gradcu.iinfo")
        if type.category != 1:
            raise TypeError(f"gradcu.iinfo() requires an integer input type. Use gradcu.finfo to handle '{type}'")
        info = np.iinfo(type.numpy)
        self.bits, self.max, self.min, self.dtype = info.bits, builtin_int(info.max), builtin_int(info.min), type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


@functools.cache
def limits(d: dtype) -> tuple[Any, Any]:
    """The least and the greatest finite number of a real dtype."""
    if d is bool:
        return 0, 1
    info = iinfo(d) if d.category == 1 else finfo(d)
    return info.min, info.max

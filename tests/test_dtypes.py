"""Dtypes: promotion, casting and limits are PyTorch's."""

from __future__ import annotations

import copy
import itertools
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradcu

FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
INTS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
UNSIGNED = ["uint16", "uint32", "uint64"]
ALL = FLOATS + COMPLEX + INTS
PAIRS = list(itertools.product(ALL, ALL))
SCALARS = [True, 2, 2.5, 2j]


@pytest.fixture(autouse=True)
def _defaults_restored() -> Iterator[None]:
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_default_dtype(sys.modules["torch"].float32)
    gradcu.set_default_dtype(gradcu.float32)
    gradcu.set_default_device(None)


def name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def promoted(lib: Any, a: str, b: str) -> str:
    """The promoted dtype, or the words of the error."""
    try:
        return name(lib.promote_types(getattr(lib, a), getattr(lib, b)))
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("a", ALL + UNSIGNED)
def test_promote_types_is_pytorchs(original: Any, a: str) -> None:
    for b in ALL + UNSIGNED:
        outcomes = [promoted(lib, a, b) for lib in (gradcu, original)]
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("shapes", [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())])
def test_result_type_ranks_tensors_as_pytorch(original: Any, shapes: tuple) -> None:
    for a, b in PAIRS:
        if "float16" in (a, b) and {a, b} & {*COMPLEX} and shapes[0] != shapes[1]:
            continue  # PyTorch has a complex32
        pairs = [
            (lib.ones(shapes[0], dtype=getattr(lib, a)), lib.ones(shapes[1], dtype=getattr(lib, b)))
            for lib in (gradcu, original)
        ]
        ours, theirs = gradcu.result_type(*pairs[0]), original.result_type(*pairs[1])
        assert name(ours) == name(theirs), (a, b)


@pytest.mark.parametrize("default", ["float32", "float64", "float16"])
@pytest.mark.parametrize("scalar", SCALARS)
def test_result_type_with_numbers(original: Any, scalar: Any, default: str) -> None:
    for lib in (gradcu, original):
        lib.set_default_dtype(getattr(lib, default))
    for shape, a in itertools.product([(2,), ()], ALL):
        if isinstance(scalar, complex) and "float16" in (default, a):
            continue  # PyTorch has a complex32
        ours = gradcu.result_type(gradcu.ones(shape, dtype=getattr(gradcu, a)), scalar)
        theirs = original.result_type(original.ones(shape, dtype=getattr(original, a)), scalar)
        assert name(ours) == name(theirs), (shape, a)


@pytest.mark.parametrize("a", ALL)
def test_operators_give_the_result_type(a: str) -> None:
    for b in ALL:
        x, y = gradcu.ones(2, dtype=getattr(gradcu, a)), gradcu.ones((), dtype=getattr(gradcu, b))
        assert (x * y).dtype is gradcu.result_type(x, y)
        assert (y * x).dtype is gradcu.result_type(y, x)


def test_can_cast_is_pytorchs(original: Any) -> None:
    for a, b in PAIRS:
        assert gradcu.can_cast(getattr(gradcu, a), getattr(gradcu, b)) == original.can_cast(
            getattr(original, a), getattr(original, b)
        ), (a, b)


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
def test_finfo_is_pytorchs(original: Any, dtype: str) -> None:
    ours, theirs = gradcu.finfo(getattr(gradcu, dtype)), original.finfo(getattr(original, dtype))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("dtype", INTS[1:] + UNSIGNED)
def test_iinfo_is_pytorchs(original: Any, dtype: str) -> None:
    ours, theirs = gradcu.iinfo(getattr(gradcu, dtype)), original.iinfo(getattr(original, dtype))
    assert (ours.bits, ours.max, ours.min, ours.dtype) == (theirs.bits, theirs.max, theirs.min, theirs.dtype)
    assert repr(ours) == repr(theirs)


def test_limits_refuse_the_other_kind() -> None:
    with pytest.raises(TypeError, match="requires a floating point input type"):
        gradcu.finfo(gradcu.int32)
    with pytest.raises(TypeError, match="requires an integer input type"):
        gradcu.iinfo(gradcu.float32)
    with pytest.raises(TypeError, match="not supported"):
        gradcu.iinfo(gradcu.bool)
    assert gradcu.finfo().dtype == "float32"


@pytest.mark.parametrize("dtype", ALL)
def test_attributes_are_pytorchs(original: Any, dtype: str) -> None:
    ours, theirs = getattr(gradcu, dtype), getattr(original, dtype)
    for field in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert name(ours.to_real()) == name(theirs.to_real())
    assert repr(ours) == repr(theirs).replace("torch", "gradcu")
    assert pickle.loads(pickle.dumps(ours)) is ours is copy.deepcopy(ours)


def test_default_dtype_decides_what_floats_become() -> None:
    gradcu.set_default_dtype(gradcu.float64)
    assert gradcu.get_default_dtype() is gradcu.float64
    assert gradcu.tensor(1.5).dtype is gradcu.float64
    assert gradcu.zeros(2).dtype is gradcu.float64
    assert gradcu.tensor(1j).dtype is gradcu.complex128
    assert (gradcu.ones(2, dtype=gradcu.int64) / 2).dtype is gradcu.float64
    for wrong in (gradcu.int32, gradcu.complex64, "float32"):
        with pytest.raises(TypeError, match="only floating-point types are supported"):
            gradcu.set_default_dtype(wrong)


def test_set_default_tensor_type() -> None:
    gradcu.set_default_tensor_type(gradcu.DoubleTensor)
    assert gradcu.get_default_dtype() is gradcu.float64
    gradcu.set_default_tensor_type("gradcu.FloatTensor")
    assert gradcu.get_default_dtype() is gradcu.float32


@pytest.mark.parametrize(
    ("python", "dtype"), [(float, "float64"), (int, "int64"), (bool, "bool"), (complex, "complex128")]
)
def test_pythons_types_name_dtypes(python: type, dtype: str) -> None:
    assert gradcu.zeros(2, dtype=python).dtype is getattr(gradcu, dtype)
    with pytest.raises(TypeError, match=r"zeros\(\): argument 'dtype' must be gradcu.dtype, not str"):
        gradcu.zeros(2, dtype="float32")


METHODS = "float double half bfloat16 long int short char byte bool cfloat cdouble".split()


@pytest.mark.parametrize("dtype", ALL)
def test_conversion_methods(original: Any, dtype: str) -> None:
    values = [0.0, 1.0, 2.0, 100.0]
    x = gradcu.tensor(values).to(getattr(gradcu, dtype))
    for method in (
        "float",
        "double",
        "half",
        "bfloat16",
        "long",
        "int",
        "short",
        "char",
        "byte",
        "bool",
        "cfloat",
        "cdouble",
    ):
        if dtype in COMPLEX and method not in ("cfloat", "cdouble"):
            continue  # PyTorch warns that it discards the imaginary part
        ours = getattr(x, method)()
        theirs = getattr(original.tensor(values).to(getattr(original, dtype)), method)()
        assert name(ours.dtype) == name(theirs.dtype)
        assert ours.tolist() == theirs.tolist()
        assert getattr(ours, method)() is ours


def test_unsigned_integers_hold_what_numpy_gives() -> None:
    x = gradcu.from_numpy(np.array([0, 40000], dtype=np.uint16))
    assert x.dtype is gradcu.uint16
    assert x.to(gradcu.float32).tolist() == [0.0, 40000.0]


@pytest.mark.parametrize("kind", ["FloatTensor", "LongTensor", "BoolTensor", "Tensor"])
def test_type_takes_the_old_classes_and_their_names(torch, kind):
    x = torch.tensor([0, 3], dtype=torch.int16)
    made, named = x.type(getattr(torch, kind)), x.type(f"{torch.__name__}.{kind}")
    assert made.type() == named.type() == f"{torch.__name__}.{'FloatTensor' if kind == 'Tensor' else kind}"


def test_modules_take_the_old_classes(torch):
    assert torch.nn.Linear(1, 1).type(torch.DoubleTensor).weight.dtype is torch.float64


def test_what_is_no_type(refused_alike):
    refused_alike(lambda torch: torch.ones(2).type("nonsense"))
    refused_alike(lambda torch: torch.ones(2).type("torch.FooTensor"))
    refused_alike(lambda torch: torch.ones(2).type(3))

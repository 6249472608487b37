"""Tensors made of sizes, numbers, sequences and arrays are as PyTorch makes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import gradcu


@pytest.fixture(autouse=True)
def _device_restored() -> Iterator[None]:
    yield
    gradcu.set_default_device(None)


def described(t: Any) -> tuple:
    """What is compared of a tensor of either library, but for its values."""
    return tuple(t.shape), str(t.dtype).rpartition(".")[2], t.stride(), t.requires_grad


MADE: dict[str, Callable] = {
    "zeros": lambda t: t.zeros(2, 3),
    "zeros of a list": lambda t: t.zeros([2, 3], dtype=t.int32),
    "zeros by keyword": lambda t: t.zeros(size=(2,)),
    "zeros 0-d": lambda t: t.zeros(()),
    "ones empty": lambda t: t.ones(0, 3),
    "ones with grad": lambda t: t.ones(2, dtype=t.complex64, requires_grad=True),
    "zeros out": lambda t: t.zeros(2, 2, out=t.ones(3, dtype=t.float64)),
    "full int": lambda t: t.full((2,), 3),
    "full bool": lambda t: t.full((2,), True),
    "full float": lambda t: t.full((2, 1), 2.5),
    "full complex": lambda t: t.full((2,), 2j),
    "full of a tensor": lambda t: t.full((2,), t.tensor(3.0)),
    "full cut": lambda t: t.full((2,), 1.7, dtype=t.int32),
    "full infinite": lambda t: t.full((2,), float("-inf"), dtype=t.float16),
    "full wrapped": lambda t: t.full((2,), -1, dtype=t.uint8),
    "zeros_like": lambda t: t.zeros_like(t.ones(2, 3, dtype=t.int8)),
    "zeros_like transposed": lambda t: t.zeros_like(t.ones(2, 3).t()),
    "zeros_like contiguous": lambda t: t.zeros_like(t.ones(2, 3).t(), memory_format=t.contiguous_format),
    "ones_like expanded": lambda t: t.ones_like(t.ones(2, 3).expand(4, 2, 3)),
    "full_like": lambda t: t.full_like(t.ones(2, 3, dtype=t.int32), 2.5),
    "full_like permuted": lambda t: t.full_like(t.ones(2, 3, 4).permute(2, 0, 1), 7),
    "new_zeros": lambda t: t.ones(1, dtype=t.float64).new_zeros(2, 3),
    "new_ones": lambda t: t.ones(1, dtype=t.float64).new_ones((2, 3), dtype=t.int16),
    "new_full": lambda t: t.ones(1, dtype=t.int32).new_full((2,), 3.5),
    "new_tensor": lambda t: t.ones(1, dtype=t.int32).new_tensor([3.5, 1.0]),
    "new sizes": lambda t: t.ones(1, dtype=t.float64).new([1, 2]),
    "arange": lambda t: t.arange(5),
    "arange float": lambda t: t.arange(1, 4, 0.5),
    "arange from a float zero": lambda t: t.arange(0.0, 3),
    "arange uint8 of fractions": lambda t: t.arange(0.5, 5, 2, dtype=t.uint8),
    "arange down": lambda t: t.arange(5, -1, -2),
    "arange int8": lambda t: t.arange(5, dtype=t.int8),
    "arange of a float as int64": lambda t: t.arange(2.5, 5, dtype=t.int64),
    "arange half": lambda t: t.arange(0, 1, 0.1, dtype=t.float16),
    "arange fractions": lambda t: t.arange(0.0, 1.0, 0.1),
    "arange of a tensor": lambda t: t.arange(t.tensor(3)),
    "arange empty": lambda t: t.arange(3, 3),
    "arange out": lambda t: t.arange(3, out=t.empty(0)),
    "linspace": lambda t: t.linspace(0, 1, 5),
    "linspace down": lambda t: t.linspace(3, -1, 3, dtype=t.float64),
    "linspace int": lambda t: t.linspace(0, 10, 4, dtype=t.int64),
    "linspace complex": lambda t: t.linspace(1j, 2, 3),
    "linspace of tensors": lambda t: t.linspace(t.tensor(1.0), t.tensor(2.0, dtype=t.float64), 3),
    "linspace one": lambda t: t.linspace(2, 5, 1),
    "linspace none": lambda t: t.linspace(2, 5, 0),
    "logspace": lambda t: t.logspace(0, 4, 5, base=2),
    "logspace int": lambda t: t.logspace(0, 3, 4, dtype=t.int32),
    "eye": lambda t: t.eye(2, 3, dtype=t.int64),
    "scalar_tensor": lambda t: t.scalar_tensor(3),
    "tensor of a number": lambda t: t.tensor(2.5),
    "tensor of an int": lambda t: t.tensor(3),
    "tensor nested": lambda t: t.tensor([[1, 2], [3, 4]]),
    "tensor mixed": lambda t: t.tensor([True, 2, 3.5]),
    "tensor complex": lambda t: t.tensor([1, 2j]),
    "tensor of nothing": lambda t: t.tensor([]),
    "tensor of two nothings": lambda t: t.tensor([[], []]),
    "tensor of a range": lambda t: t.tensor(range(3)),
    "tensor of tuples": lambda t: t.tensor(((1.0, 2.0), (3.0, 4.0)), dtype=t.float16),
    "tensor of float64": lambda t: t.tensor(np.float64(1)),
    "tensor of float64s": lambda t: t.tensor([1, np.float64(2)]),
    "tensor of float32 and float": lambda t: t.tensor([np.float32(1), 2.0]),
    "tensor of float16 and int": lambda t: t.tensor([np.float16(1), 2]),
    "tensor of an array": lambda t: t.tensor(np.arange(6, dtype=np.int16).reshape(2, 3).T),
    "tensor of tensors": lambda t: t.tensor([t.tensor(1.0, dtype=t.float64), 2]),
    "tensor to bool": lambda t: t.tensor([0.0, 1.5], dtype=t.bool),
    "tensor wraps": lambda t: t.tensor(-1, dtype=t.uint8),
    "tensor beyond float32": lambda t: t.tensor(1e300),
    "as_tensor": lambda t: t.as_tensor([1, 2]),
    "asarray": lambda t: t.asarray([1.0, 2.0], dtype=t.float64),
    "asarray with grad": lambda t: t.asarray(np.ones(2), requires_grad=True),
    "frombuffer": lambda t: t.frombuffer(bytearray(range(8)), dtype=t.int16, offset=2, count=2),
    "Tensor": lambda t: t.Tensor([1, 2]),
    "FloatTensor": lambda t: t.FloatTensor([[1, 2]]),
    "LongTensor": lambda t: t.LongTensor([1.5, 2]),
}  # fmt: skip


@pytest.mark.parametrize("what", MADE)
def test_values_and_layout_are_pytorchs(original: Any, what: str) -> None:
    ours, theirs = MADE[what](gradcu), MADE[what](original)
    assert described(ours) == described(theirs)
    np.testing.assert_allclose(np.array(ours.tolist()), np.array(theirs.tolist()), rtol=1e-6)


UNINITIALISED: dict[str, Callable] = {
    "empty": lambda t: t.empty(2, 3, dtype=t.float16),
    "empty_like": lambda t: t.empty_like(t.ones(3, 2).t()),
    "new_empty": lambda t: t.ones(2, dtype=t.int8).new_empty(3, 1),
    "empty_strided": lambda t: t.empty_strided((2, 3), (1, 2)),
    "empty_strided overlapping": lambda t: t.empty_strided((2, 3), (0, 1)),
    "new_empty_strided": lambda t: t.ones(2).new_empty_strided((2, 3), (6, 2), dtype=t.int32),
    "empty_permuted": lambda t: t.empty_permuted((2, 3, 4), (0, 2, 1)),
    "empty_permuted of four": lambda t: t.empty_permuted((2, 3, 4, 5), (2, 0, 3, 1)),
    "Tensor of sizes": lambda t: t.Tensor(2, 3),
    "Tensor of nothing": lambda t: t.Tensor(),
    "LongTensor of sizes": lambda t: t.LongTensor(2),
}  # fmt: skip


@pytest.mark.parametrize("what", UNINITIALISED)
def test_layout_of_uninitialised_tensors(original: Any, what: str) -> None:
    assert described(UNINITIALISED[what](gradcu)) == described(UNINITIALISED[what](original))


REFUSED: dict[str, Callable] = {
    "negative size": lambda t: t.empty(2, -3),
    "no size": lambda t: t.zeros(),
    "float size": lambda t: t.zeros(2.0),
    "grad of integers": lambda t: t.zeros(2, requires_grad=True, dtype=t.int32),
    "zeros_like of a list": lambda t: t.zeros_like([1]),
    "full of a vector": lambda t: t.full((2,), t.tensor([3.0])),
    "full of a string": lambda t: t.full((2,), "a"),
    "full of a number of sizes": lambda t: t.full(2, 1.0),
    "eye negative": lambda t: t.eye(-1),
    "eye negative columns": lambda t: t.eye(2, -1),
    "strides of another length": lambda t: t.empty_strided((2, 3), (1,)),
    "permuted twice": lambda t: t.empty_permuted((2, 3), (0, 0)),
    "permuted too few": lambda t: t.empty_permuted((2, 3), (0,)),
    "arange away": lambda t: t.arange(0, -3),
    "arange no step": lambda t: t.arange(0, 3, 0),
    "arange infinite": lambda t: t.arange(0, float("inf")),
    "linspace negative": lambda t: t.linspace(0, 1, steps=-1),
    "linspace of vectors": lambda t: t.linspace(t.ones(1), 2, 3),
    "tensor of None": lambda t: t.tensor(None),
    "tensor of a dict": lambda t: t.tensor({}),
    "tensor of a string": lambda t: t.tensor("a"),
    "tensor of strings": lambda t: t.tensor(["a"]),
    "tensor ragged": lambda t: t.tensor([[1, 2], [3]]),
    "tensor ragged deeper": lambda t: t.tensor([[[1, 2], [3, 4]], [[1, 2], [3]]]),
    "tensor of a number and a list": lambda t: t.tensor([1, [2]]),
    "tensor of a list and a number": lambda t: t.tensor([[1], 2]),
    "tensor of vectors": lambda t: t.tensor([t.ones(2), t.ones(2)]),
    "tensor too large": lambda t: t.tensor(2**63),
    "tensor overflows": lambda t: t.tensor(300, dtype=t.uint8),
    "tensor NaN as int": lambda t: t.tensor(float("nan"), dtype=t.int64),
    "negative strides": lambda t: t.tensor(np.arange(3)[::-1]),
    "from_numpy of a list": lambda t: t.from_numpy([1]),
    "from_numpy of a scalar": lambda t: t.from_numpy(np.float32(1)),
    "from_numpy reversed": lambda t: t.from_numpy(np.arange(3)[::-1]),
    "frombuffer ragged": lambda t: t.frombuffer(bytearray(7), dtype=t.float32),
    "frombuffer too short": lambda t: t.frombuffer(bytearray(8), dtype=t.float32, count=3),
    "frombuffer beyond": lambda t: t.frombuffer(bytearray(8), dtype=t.float32, offset=9),
    "frombuffer empty": lambda t: t.frombuffer(bytearray(0), dtype=t.float32),
    "frombuffer of a list": lambda t: t.frombuffer([1], dtype=t.float32),
    "asarray without copying": lambda t: t.asarray([1, 2], copy=False),
    "asarray of another dtype without copying": lambda t: t.asarray(t.ones(2), copy=False, dtype=t.int32),
    "Tensor of a float": lambda t: t.Tensor(2.5),
    "fill_ with a vector": lambda t: t.ones(2).fill_(t.ones(1)),
    "fill_ of a leaf": lambda t: t.ones(2, requires_grad=True).fill_(1),
    "copy_ of another shape": lambda t: t.ones(2).copy_(t.ones(3)),
    "copy_ of more dimensions": lambda t: t.ones(2).copy_(t.ones(1, 2)),
    "copy_ of a list": lambda t: t.ones(2).copy_([1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_errors_are_pytorchs(refused_alike: Any, what: str) -> None:
    refused_alike(REFUSED[what])


def test_numbers_that_do_not_fit_are_refused() -> None:
    for value, dtype in [(300, gradcu.uint8), (1e40, gradcu.float32), (1j, gradcu.float32), (1e5, gradcu.float16)]:
        with pytest.raises(RuntimeError, match="without overflow"):
            gradcu.full((2,), value, dtype=dtype)
        with pytest.raises(RuntimeError, match="without overflow"):
            gradcu.zeros(2, dtype=dtype).fill_(value)


def test_tensor_copies_and_as_tensor_shares() -> None:
    a = np.zeros(3)
    shared, copied = gradcu.as_tensor(a), gradcu.tensor(a)
    a[0] = 5
    assert shared.tolist() == [5, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    assert gradcu.as_tensor(shared) is shared
    assert gradcu.asarray(a).data_ptr() == a.ctypes.data
    assert gradcu.asarray(a, copy=True).data_ptr() != a.ctypes.data


def test_from_numpy_shares_both_ways() -> None:
    a = np.zeros(3, dtype=np.float32)
    t = gradcu.from_numpy(a)
    t.fill_(2.0)
    assert a.tolist() == [2, 2, 2]
    assert gradcu.from_numpy(np.arange(6).reshape(2, 3).T).stride() == (1, 3)


def test_read_only_memory_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="NumPy array is not writable"):
        gradcu.from_numpy(np.broadcast_to(1.0, (3,)))
    with pytest.warns(UserWarning, match="buffer is not writable"):
        gradcu.frombuffer(b"1234", dtype=gradcu.uint8)


def test_a_tensor_is_no_data_for_tensor() -> None:
    x = gradcu.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        y = gradcu.tensor(x)
    assert not y.requires_grad
    with pytest.warns(UserWarning, match="requires_grad=True to a scalar"):
        gradcu.tensor([x.sum()])


def test_long_lists_of_numbers_are_not_looked_at_one_by_one() -> None:
    rows = [[float(i)] * 1000 for i in range(300)]
    assert gradcu.tensor(rows).shape == (300, 1000)


def test_objects_with_arrays_inside_are_taken() -> None:
    class Holder:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.arange(3.0)

    assert gradcu.tensor(Holder()).tolist() == [0, 1, 2]
    assert gradcu.as_tensor(Holder()).dtype is gradcu.float64


def test_default_device_names_where_tensors_are_made() -> None:
    with gradcu.device("cpu"):
        assert gradcu.zeros(2).device == gradcu.device("cpu")
    gradcu.set_default_device("cuda:1")
    assert gradcu.get_default_device() == gradcu.device("cuda", 1)


def test_typed_constructors_are_classes() -> None:
    assert isinstance(gradcu.ones(2), gradcu.FloatTensor)
    assert not isinstance(gradcu.ones(2), gradcu.LongTensor)


# --- writing ---


def test_fill_and_zero_cut_the_gradient(original: Any) -> None:
    for lib in (gradcu, original):
        x = lib.ones(3, requires_grad=True)
        y = x * 2
        y[1:].zero_()
        y[:1].fill_(5.0)
        y.sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
        assert y.tolist() == [5, 0, 0]


def test_fill_with_a_tensor_gives_that_a_gradient() -> None:
    v = gradcu.tensor(2.0, requires_grad=True)
    y = (gradcu.ones(3, requires_grad=True) * 1).fill_(v)
    y.sum().backward()
    assert v.grad.item() == 3
    assert gradcu.fill(gradcu.ones(2), v).tolist() == [2, 2]


def test_copy_sends_gradients_to_the_source(original: Any) -> None:
    results = []
    for lib in (gradcu, original):
        base = lib.zeros(2, 3, requires_grad=True)
        source = lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64, requires_grad=True)
        y = base * 1
        y[0].copy_(source)
        (y * lib.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
        results.append((y.tolist(), base.grad.tolist(), source.grad.tolist(), str(source.grad.dtype)[-7:]))
        assert y.grad_fn.name().endswith("CopySlices")
    assert results[0] == results[1]


def test_copy_converts_and_broadcasts() -> None:
    x = gradcu.zeros(2, 2, dtype=gradcu.int32)
    assert x.copy_(gradcu.tensor([1.7, -2.5])) is x
    assert x.tolist() == [[1, -2], [1, -2]]
    x[0, :1] = 7
    assert x._version == 2


def test_nothing_warns_on_ordinary_use() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradcu.tensor([1.0]).copy_(gradcu.ones(1)).fill_(2).zero_()
        gradcu.as_tensor(np.ones(2))
        gradcu.tensor(np.float32(3))

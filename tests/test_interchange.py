"""Tensors among NumPy, other libraries, pickles and copies."""

from __future__ import annotations

import copy
import io
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradcu

# --- NumPy ---


def test_numpy_shares_memory() -> None:
    t = gradcu.zeros(3)
    a = t.numpy()
    t.fill_(2.0)
    assert a.tolist() == [2, 2, 2]
    assert np.asarray(t).ctypes.data == t.data_ptr()
    assert np.asarray(t, copy=False).ctypes.data == t.data_ptr()
    assert np.array(t).ctypes.data != t.data_ptr()


def test_array_converts_when_asked() -> None:
    t = gradcu.ones(3)
    assert np.asarray(t, dtype=np.int16).dtype == np.int16
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype=np.float64, copy=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own __array__
@pytest.mark.parametrize("convert", [lambda t: t.numpy(), np.asarray, np.array, lambda t: t.__array__()])
def test_gradients_are_not_lost_silently(original: Any, convert: Callable) -> None:
    for lib in (gradcu, original):
        x = lib.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
            convert(x)
        assert x.numpy(force=True).tolist() == [1, 1]


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.eq, operator.lt]


@pytest.mark.parametrize("op", OPERATORS)
def test_arrays_beside_tensors(op: Callable) -> None:
    a = np.array([1.0, 2.0, 3.0])
    t = gradcu.tensor([2.0, 2.0, 2.0])
    for result, expected in [(op(t, a), op(t.numpy(), a)), (op(a, t), op(a, t.numpy()))]:
        assert isinstance(result, gradcu.Tensor)
        np.testing.assert_array_equal(result.numpy(), expected)
        assert result.numpy().dtype == expected.dtype


def test_matrix_products_with_arrays() -> None:
    a, t = np.arange(6.0).reshape(2, 3), gradcu.ones(3)
    assert (a @ t).tolist() == [3, 12]
    assert (t @ a.T).tolist() == [3, 12]


def test_numpy_scalars_count_as_numbers(original: Any) -> None:
    for lib in (gradcu, original):
        t = lib.ones(2)
        for result in (np.float64(2) * t, t * np.float64(2), np.float32(2) * t, np.int64(2) * t):
            assert str(result.dtype).endswith("float32")
            assert result.tolist() == [2, 2]
        assert (np.float64(2) ** lib.arange(3)).tolist() == [1, 2, 4]


def test_ufuncs_record_gradients() -> None:
    x = gradcu.tensor([1.0, 2.0], requires_grad=True)
    y = np.add(np.exp(x), np.array([1.0, 1.0])) * np.float32(3)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.exp([1.0, 2.0]), rtol=1e-6)
    assert np.maximum(x, 1.5).tolist() == [1.5, 2.0]
    assert np.multiply(np.array([3.0, 4.0]), x).requires_grad


def test_ufuncs_that_are_not_ours() -> None:
    x = gradcu.tensor([1.0, 2.0])
    assert np.spacing(x).tolist() == np.spacing(x.numpy()).tolist()
    assert np.add.reduce(x).item() == 3
    with pytest.raises(TypeError, match=r"numpy\.spacing would lose the gradient"):
        np.spacing(x.requires_grad_())
    with pytest.raises(TypeError, match=r"numpy\.add would lose the gradient .* use gradcu\.add"):
        np.add(x, 1, out=np.zeros(2))


def test_ufuncs_write_to_arrays() -> None:
    a = np.ones(2)
    a += gradcu.ones(2)
    assert a.tolist() == [2, 2]
    assert np.add(a, gradcu.ones(2), out=a) is a
    with pytest.raises(TypeError, match="must be of ArrayType"):
        np.add(a, a, out=gradcu.ones(2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own __array__
def test_functions_of_numpy_give_arrays(original: Any) -> None:
    for lib in (gradcu, original):
        t = lib.tensor([3.0, 1.0, 2.0])
        for result in (
            np.concatenate([t, t]),
            np.sort(t),
            np.where(t > 1, t, 0),
            np.median(t),
            np.percentile(t, [5, 95]),
        ):
            assert isinstance(result, (np.ndarray, np.generic))
        assert isinstance(np.reshape(t, (3, 1)), lib.Tensor)
        assert isinstance(np.clip(t, 0, 1), lib.Tensor)


FUNCTIONS: dict[str, Callable] = {
    "sum": lambda np, x: np.sum(x),
    "sum axis": lambda np, x: np.sum(x, axis=0, keepdims=True),
    "mean": lambda np, x: np.mean(x, axis=1),
    "std": lambda np, x: np.std(x),
    "var": lambda np, x: np.var(x, axis=0, ddof=1),
    "max": lambda np, x: np.max(x, axis=1),
    "min": lambda np, x: np.min(x),
    "prod": lambda np, x: np.prod(x),
    "cumsum": lambda np, x: np.cumsum(x, axis=1),
    "concatenate": lambda np, x: np.concatenate([x, x], axis=1),
    "stack": lambda np, x: np.stack([x, x]),
    "where": lambda np, x: np.where(x > 0, x, 2 * x),
    "clip": lambda np, x: np.clip(x, -1, 1),
    "dot": lambda np, x: np.dot(x, x.T),
    "outer": lambda np, x: np.outer(x[0], x[1]),
    "einsum": lambda np, x: np.einsum("ij,ij->i", x, x),
    "norm": lambda np, x: np.linalg.norm(x),
    "transpose": lambda np, x: np.transpose(x),
    "ravel": lambda np, x: np.ravel(x),
    "expand_dims": lambda np, x: np.expand_dims(x, 1),
    "shape": lambda np, x: np.ones(np.shape(x)) * x,
}  # fmt: skip


@pytest.mark.parametrize("what", FUNCTIONS)
def test_functions_of_numpy_record_gradients(what: str) -> None:
    a = np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]])
    x = gradcu.tensor(a, requires_grad=True)
    y = FUNCTIONS[what](np, x)
    assert y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), FUNCTIONS[what](np, a))
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_unknown_functions_refuse_gradients() -> None:
    x = gradcu.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"numpy\.percentile would lose the gradient .* or detach\(\) it first"):
        np.percentile(x, 5)
    with pytest.raises(TypeError, match=r"use gradcu\.sort"):
        np.sort(x)


# --- Python's numbers ---


def test_conversions_to_numbers(original: Any) -> None:
    for lib in (gradcu, original):
        assert (float(lib.tensor(2.5)), int(lib.tensor(2.5)), complex(lib.tensor(2.5))) == (2.5, 2, 2.5 + 0j)
        assert [10, 20, 30][lib.tensor(1)] == 20
        assert f"{lib.tensor(2.5):.2f}" == "2.50"
        assert lib.tensor([[True]]).item() is True
        assert lib.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
        assert lib.zeros(2).bfloat16().tolist() == [0.0, 0.0]
        for wrong, error in [(float, ValueError), (int, ValueError), (bool, RuntimeError), (operator.index, TypeError)]:
            with pytest.raises(error):
                wrong(lib.ones(2))
        with pytest.raises(RuntimeError, match="a Tensor with 2 elements cannot be converted to Scalar"):
            lib.ones(2).item()
        with pytest.raises(RuntimeError, match="without overflow"):
            float(lib.tensor(1j))


def test_questions(original: Any) -> None:
    for lib in (gradcu, original):
        assert lib.is_tensor(lib.ones(1))
        assert not lib.is_tensor(np.ones(1))
        assert lib.is_floating_point(lib.ones(1))
        assert lib.is_complex(lib.tensor(1j))
        assert lib.numel(lib.ones(2, 3)) == 6
        with pytest.raises(TypeError, match="must be Tensor, not int"):
            lib.is_floating_point(3)


# --- DLPack, CUDA's interface ---


def test_dlpack_shares_memory_both_ways() -> None:
    t = gradcu.arange(3)
    a = np.from_dlpack(t)
    t.fill_(7)
    assert a.tolist() == [7, 7, 7]
    source = np.arange(4.0)
    assert gradcu.from_dlpack(source).data_ptr() == source.ctypes.data
    assert gradcu.from_dlpack(source, copy=True).data_ptr() != source.ctypes.data
    assert t.__dlpack_device__()[0] == 1


def test_dlpack_with_pytorch(original: Any) -> None:
    theirs = original.arange(6.0).reshape(2, 3).t()
    ours = gradcu.from_dlpack(theirs)
    assert ours.stride() == theirs.stride()
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9
    assert original.from_dlpack(gradcu.ones(2, 3)).sum().item() == 6


def test_dlpack_refuses() -> None:
    with pytest.raises(BufferError, match="Can't export tensors"):
        np.from_dlpack(gradcu.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="from_dlpack received"):
        gradcu.from_dlpack(3)


def test_no_cuda_interface_on_the_cpu() -> None:
    assert not hasattr(gradcu.ones(2), "__cuda_array_interface__")
    with pytest.raises(AttributeError, match=r"on non-CUDA tensor type: gradcu\.FloatTensor"):
        gradcu.ones(2).__cuda_array_interface__  # noqa: B018


# --- memory ---


def test_views_share_a_storage() -> None:
    t = gradcu.arange(6.0)
    v = t.reshape(2, 3)
    assert t.untyped_storage() == v.untyped_storage()
    assert t.untyped_storage().data_ptr() == t.data_ptr()
    assert v.untyped_storage().nbytes() == len(t.untyped_storage()) == 24
    assert t.untyped_storage() != t.clone().untyped_storage()


def test_shared_memory_is_seen_by_children() -> None:
    import os

    t = gradcu.zeros(3)
    assert not t.is_shared()
    assert t.share_memory_() is t
    assert t.is_shared()
    child = os.fork()
    if child == 0:
        t.fill_(4.0)
        os._exit(0)
    os.waitpid(child, 0)
    assert t.tolist() == [4, 4, 4]


def test_nothing_is_pinned_without_being_asked() -> None:
    assert not gradcu.ones(2).is_pinned()


# --- copies and pickles ---

COPIES: dict[str, Callable] = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "pickle 2": lambda x: pickle.loads(pickle.dumps(x, protocol=2)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_keep_what_a_leaf_is(way: str) -> None:
    x = gradcu.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=gradcu.float64).t().detach().requires_grad_()
    x.note = ["kept"]
    y = COPIES[way](x)
    assert y.tolist() == x.tolist()
    assert (y.dtype, y.stride(), y.requires_grad, y.is_leaf, y.note) == (x.dtype, x.stride(), True, True, ["kept"])
    assert y.note is not x.note
    y.detach().fill_(0)
    assert x[0, 0].item() == 1


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("way", COPIES)
def test_copies_of_every_dtype_and_shape(way: str, dtype: str) -> None:
    for shape in ((), (0,), (3,), (2, 0, 2)):
        x = gradcu.ones(shape, dtype=getattr(gradcu, dtype))
        y = COPIES[way](x)
        assert (y.dtype, y.shape, y.tolist()) == (x.dtype, x.shape, x.tolist())


@pytest.mark.parametrize("way", COPIES)
def test_copies_share_memory_where_the_originals_did(way: str) -> None:
    base = gradcu.arange(6.0)
    base2, view2, again2 = COPIES[way]([base, base[2:4], base])
    assert again2 is base2
    view2.fill_(-1.0)
    assert base2.tolist() == [0, 1, -1, -1, 4, 5]
    assert base.tolist() == [0, 1, 2, 3, 4, 5]


def test_shallow_copies_share_memory(original: Any) -> None:
    for lib in (gradcu, original):
        x = lib.ones(2, requires_grad=True)
        assert copy.copy(x).data_ptr() == x.data_ptr()
        assert copy.copy(x).requires_grad


def test_deepcopy_takes_the_gradient_along_and_refuses_results(original: Any) -> None:
    for lib in (gradcu, original):
        x = lib.ones(2, requires_grad=True)
        (x * 3).sum().backward()
        y = copy.deepcopy(x)
        assert y.grad.tolist() == [3, 3]
        assert y.grad is not x.grad
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(x * 2)


def test_results_are_pickled_as_leaves(original: Any) -> None:
    for lib in (gradcu, original):
        y = pickle.loads(pickle.dumps(lib.ones(2, requires_grad=True) * 2))
        assert y.is_leaf
        assert y.requires_grad
        assert y.tolist() == [2, 2]


def test_parameters_stay_parameters() -> None:
    p = gradcu.nn.Parameter(gradcu.ones(2))
    for way in COPIES.values():
        q = way(p)
        assert type(q) is gradcu.nn.Parameter
        assert q.requires_grad
        assert q.tolist() == [1, 1]


def test_a_pickle_of_a_view_of_numpys_memory_is_readable() -> None:
    t = gradcu.from_numpy(np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    buffer = io.BytesIO()
    pickle.dump(t, buffer)
    buffer.seek(0)
    assert pickle.load(buffer).tolist() == t.tolist()

"""Tensors print exactly as PyTorch prints them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradcu.printing import format_tensor, get_printoptions, printoptions, set_printoptions

FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
INTS = ["bool", "uint8", "int8", "int16", "int32", "int64"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"profile": "short"},
    {"profile": "full"},
    {"profile": "full", "precision": 7},
    {"precision": 0},
    {"precision": 9, "linewidth": 120},
    {"threshold": 5},
    {"threshold": 0, "edgeitems": 1},
    {"threshold": 10, "edgeitems": 0},
    {"linewidth": 20},
    {"linewidth": 5, "edgeitems": 2, "threshold": 20},
    {"sci_mode": True},
    {"sci_mode": False, "linewidth": 60},
]


@pytest.fixture(autouse=True)
def options_restored() -> Iterator[None]:
    with printoptions(profile="default"):
        yield


@pytest.fixture
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    yield torch
    torch.set_default_dtype(torch.float32)
    torch.set_printoptions(profile="default")


def to_numpy(tensor: Any) -> np.ndarray:
    """The values of a PyTorch tensor, bfloat16 included."""
    tensor = tensor.detach()
    if str(tensor.dtype) != "torch.bfloat16":
        return tensor.numpy()
    ml_dtypes = pytest.importorskip("ml_dtypes")
    return tensor.float().numpy().astype(ml_dtypes.bfloat16)


def random_shape(rng: np.random.Generator) -> tuple[int, ...]:
    kind = rng.integers(8)
    if kind == 0:
        return ()
    if kind == 1:  # over the threshold of 1000
        sizes = [(1001,), (3000,), (3, 400), (400, 3), (40, 50), (7, 20, 9), (2, 7, 2, 40), (6, 6, 6, 6)]
        return sizes[rng.integers(len(sizes))]
    ndim = int(rng.integers(1, 5))
    largest = [0, 40, 9, 5, 4][ndim]
    return tuple(int(n) for n in rng.integers(0 if kind == 2 else 1, largest + 1, ndim))


def random_reals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Reals of one of the kinds that PyTorch prints differently, sometimes with special values among them."""
    low, high = [(0, 1), (-6, 0), (0, 12), (-30, 30), (-3, 3), (3.9, 4.1), (7.9, 8.1), (-4.1, -3.9)][rng.integers(8)]
    x = rng.standard_normal(shape) * 10.0 ** rng.uniform(low, high, shape)
    x = [x, np.round(x), np.abs(x), np.sign(x) * 10.0 ** rng.integers(-30, 30), np.round(x * 4) / 4][rng.integers(5)]
    x = np.array(x)
    for special in (0.0, -0.0, math.nan, math.inf, -math.inf):
        if rng.random() < 0.2:
            x[rng.random(shape) < rng.choice([0.1, 0.5, 1.0])] = special
    return x


def random_tensor(rng: np.random.Generator, torch: Any) -> Any:
    shape, dtype = random_shape(rng), str(rng.choice(FLOATS + COMPLEX + INTS))
    if dtype == "bool":
        return torch.from_numpy(np.asarray(rng.random(shape) < 0.5))
    if dtype in INTS:
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if rng.random() < 0.5 else (max(info.min, -11), 100)
        return torch.from_numpy(np.asarray(rng.integers(low, high, shape, dtype=dtype)))
    values = torch.from_numpy(random_reals(rng, shape))
    if dtype in COMPLEX:
        values = torch.complex(values, torch.from_numpy(random_reals(rng, shape)))
    tensor = values.to(getattr(torch, dtype))
    if rng.random() < 0.2:
        tensor = tensor.transpose(0, -1) if tensor.ndim else tensor
    if rng.random() < 0.4:
        tensor.requires_grad_()
        tensor = tensor * 1 if rng.random() < 0.5 else tensor
    return tensor


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_random_tensors_print_as_in_torch(torch: Any, options: dict[str, Any]) -> None:
    rng = np.random.default_rng([7, OPTIONS.index(options)])
    set_printoptions(**options)
    torch.set_printoptions(**options)
    for _ in range(80):
        tensor = random_tensor(rng, torch)
        default = str(rng.choice(["float32", "float32", "float64", "float16"]))
        torch.set_default_dtype(getattr(torch, default))
        text = format_tensor(
            to_numpy(tensor),
            dtype=str(tensor.dtype).removeprefix("torch."),
            default_dtype=default,
            requires_grad=tensor.requires_grad,
            grad_fn=tensor.grad_fn and tensor.grad_fn.name(),
        )
        assert text == repr(tensor).replace("torch.", "gradcu.")


@pytest.mark.parametrize("prefix", ["tensor(", "MyOwnTensor("])
@pytest.mark.parametrize("n", range(12, 22))
def test_suffix_moves_to_a_new_line_as_in_torch(torch: Any, n: int, prefix: str) -> None:
    class MyOwnTensor(torch.Tensor):  # type: ignore[misc, name-defined]
        pass

    for shape in [(n,), (2, n)]:
        tensor = torch.ones(shape, dtype=torch.float64)
        if prefix != "tensor(":
            tensor = tensor.as_subclass(MyOwnTensor)
        tensor.requires_grad_()
        text = format_tensor(np.ones(shape), dtype="float64", requires_grad=True, prefix=prefix)
        assert text == repr(tensor).replace("torch.", "gradcu.")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # PyTorch's own forward mode warns
def test_tangent_is_shown_as_in_torch(torch: Any) -> None:
    ones = np.ones((2, 2), np.float32)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.from_numpy(ones), torch.from_numpy(ones))
        tangent = format_tensor(ones, dtype="float32")
        assert format_tensor(ones, dtype="float32", tangent=tangent) == repr(dual)


@pytest.mark.parametrize(
    ("data", "suffixes", "expected"),
    [
        (np.float32(2), {}, "tensor(2.)"),
        (np.array([1, 2.5], "f4"), {}, "tensor([1.0000, 2.5000])"),
        (np.array([1, 1e-5], "f4"), {}, "tensor([1.0000e+00, 1.0000e-05])"),
        (np.array([math.nan, -0.0], "f4"), {}, "tensor([nan, -0.])"),
        (np.array([1 + 2j], "c8"), {}, "tensor([1.+2.j])"),
        (np.array([True, False]), {}, "tensor([ True, False])"),
        (np.zeros((0, 3), "f4"), {}, "tensor([], size=(0, 3))"),
        (np.zeros(0, "i8"), {}, "tensor([], dtype=gradcu.int64)"),
        (np.ones(1, "f8"), {"default_dtype": "float64"}, "tensor([1.])"),
        (np.ones(1, "f8"), {"package": "torch"}, "tensor([1.], dtype=torch.float64)"),
        (np.ones(1, "f4"), {"device": "cuda:0"}, "tensor([1.], device='cuda:0')"),
        (
            np.ones(1, "f8"),
            {"device": "cuda:0", "grad_fn": "AddBackward0", "requires_grad": True},
            "tensor([1.], device='cuda:0', dtype=gradcu.float64, grad_fn=<AddBackward0>)",
        ),
        (np.eye(2, dtype="f4"), {"indent": 4}, "tensor([[1., 0.],\n            [0., 1.]])"),
    ],
)
def test_known_texts(data: np.ndarray, suffixes: dict[str, Any], expected: str) -> None:
    data = np.asarray(data)
    assert format_tensor(data, dtype=data.dtype.name, **suffixes) == expected


def test_only_the_shown_elements_are_read() -> None:
    # A broadcast view of 10^15 elements: to copy it whole, or even one row of it, could not succeed.
    data = np.broadcast_to(np.float32(1), (10, 10**4, 10**10))
    lines = format_tensor(data, dtype="float32").splitlines()
    assert lines[0] == "tensor([[[1., 1., 1.,  ..., 1., 1., 1.],"
    assert lines.count("        ...,") == 1
    assert lines.count("         ...,") == 6


def test_options_persist_and_the_context_manager_restores_them() -> None:
    value = np.array([1.12345], "f4")
    set_printoptions(precision=2)
    assert format_tensor(value, dtype="float32") == "tensor([1.12])"
    before = get_printoptions()

    def print_and_fail() -> None:
        with printoptions(precision=6, sci_mode=True):
            assert format_tensor(value, dtype="float32") == "tensor([1.123450e+00])"
            raise KeyError

    with pytest.raises(KeyError):
        print_and_fail()
    assert get_printoptions() == before == {**before, "precision": 2, "sci_mode": None}


@pytest.mark.parametrize("options", [*OPTIONS, {"profile": "no such profile"}], ids=str)
def test_options_read_back_as_in_torch(torch: Any, options: dict[str, Any]) -> None:
    from torch._tensor_str import get_printoptions as torch_options

    for sequence in ([options], [{"sci_mode": True, "precision": 3}, options]):
        for each in sequence:
            set_printoptions(**each)
            torch.set_printoptions(**each)
        assert get_printoptions() == torch_options()

"""Calls against PyTorch: both libraries evaluate every line of tests/calls/*.txt, with gradients of both orders.

A line is an expression over `torch`, `F` (torch.nn.functional) and the values that `values` makes. Lines that start
with `!` must raise the same class of error in both. `#` starts a comment. A line whose result has no gradient (an
index, a comparison) is compared by value and dtype alone. Where PyTorch has no second derivative, only the first is
compared.
"""

import importlib
import pathlib

import numpy as np
import pytest

LINES = [
    pytest.param(line, id=f"{path.stem}: {line}")
    for path in sorted((pathlib.Path(__file__).parent / "calls").glob("*.txt"))
    for line in path.read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


def values(torch):
    """The names that lines may use, the same numbers in every library."""
    rng = np.random.default_rng(7)

    def real(*shape, low=-2.0, high=2.0):
        return rng.uniform(low, high, shape)

    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    names = {
        "x": leaf(real(3, 4)),  # two matrices,
        "y": leaf(real(3, 4)),
        "v": leaf(real(4)),  # a vector,
        "s": leaf(real()),  # a 0-d tensor,
        "m": leaf(real(4, 4)),  # a square matrix,
        "p": leaf(real(3, 4, low=0.1, high=0.9)),  # values between 0 and 1,
        "t": leaf(real(2, 3, 4)),  # three dimensions,
        "u": leaf(real(2, 4, 3)),
        "e": leaf(real(0, 4)),  # an empty one,
        "img": leaf(real(2, 3, 8, 8)),  # images and filters
        "w": leaf(real(4, 3, 3, 3)),
        "c": leaf(real(3, 4) + 1j * real(3, 4)),  # complex
        "d": leaf(real(4) + 1j * real(4)),
        "i": torch.tensor(rng.integers(0, 3, (3, 4))),  # integers usable as indices of a dimension of 3
        "j": torch.tensor(rng.integers(-9, 9, (3, 4))),
        "k": torch.tensor(rng.integers(0, 4, (3,))),  # classes for rows of x
        "b": torch.tensor(rng.integers(0, 2, (3, 4)).astype(bool)),
        "f": torch.tensor(real(3, 4).astype(np.float32), requires_grad=True),
    }
    square = real(2, 3, 3)
    names["q"] = leaf(square)  # square matrices, and positive definite ones
    names["spd"] = leaf(square @ square.transpose(0, 2, 1) + np.eye(3))
    names["n"] = leaf(real(4, 6)).t()[::2]  # not contiguous: 3 x 4
    return names


def leaves_of(names):
    return [t for t in names.values() if t.requires_grad and t.is_leaf]


def flat(result):
    if isinstance(result, (tuple, list)):
        return [one for part in result for one in flat(part)]
    return [result]


def numpy(t):
    return (t.float() if "bfloat16" in str(t.dtype) else t).numpy(force=True)


def evaluate(torch, line):
    """The results of a line, their gradients by all values, and the gradients of those."""
    names = values(torch)
    result = eval(line, {"torch": torch, "F": torch.nn.functional} | names)  # globals, so that lambdas see them
    tensors = [t for t in flat(result) if hasattr(t, "requires_grad")]
    plain = [t for t in flat(result) if not hasattr(t, "requires_grad")]
    rng = np.random.default_rng(11)
    total, leaves = 0, leaves_of(names)
    for t in tensors:
        weights = rng.uniform(-1, 1, tuple(t.shape))
        if t.requires_grad:
            part = (t * torch.tensor(weights).to(t.dtype)).sum()
            total = total + (part.real if part.is_complex() else part).to(torch.float64)
    first, second = [], []
    if hasattr(total, "requires_grad") and total.requires_grad:
        first = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
        again = 0
        for g in first:
            if g is not None and g.requires_grad:
                part = (g * g.conj()).real if g.is_complex() else g * g
                again = again + part.sum().to(torch.float64)
        if hasattr(again, "requires_grad") and again.requires_grad:
            try:
                second = torch.autograd.grad(again, leaves, allow_unused=True)
            except RuntimeError as error:  # a few operations of PyTorch have a first derivative only
                if "not implemented" not in str(error):
                    raise
    return tensors, plain, first, second


def precision(tensors):
    """How closely results must agree that were computed in the coarsest dtype among `tensors`."""
    names = " ".join(str(t.dtype) for t in tensors)
    return 1e-2 if "float16" in names else 1e-4 if "float32" in names or "complex64" in names else 1e-8


def same(got, want, what, tolerance):
    if want is None or got is None:
        for other in (want, got):
            assert other is None or not numpy(other).any(), f"{what}: one is None, the other not zero"
        return
    assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1], f"{what}: {got.dtype}, not {want.dtype}"
    np.testing.assert_allclose(numpy(got), numpy(want), rtol=tolerance, atol=tolerance, err_msg=what)
    assert tuple(got.shape) == tuple(want.shape), what


@pytest.mark.parametrize("line", LINES)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore:.*jit.script.*:DeprecationWarning")  # PyTorch's own
def test_call(line, original):
    gradcu = importlib.import_module("gradcu")
    if line.startswith("!"):
        expression = line[1:].strip()
        with pytest.raises(Exception) as theirs:  # any: which one is what is asked
            evaluate(original, expression)
        kind = gradcu.linalg.LinAlgError if theirs.type is original.linalg.LinAlgError else theirs.type
        with pytest.raises(kind):
            evaluate(gradcu, expression)
        return
    want, got = evaluate(original, line), evaluate(gradcu, line)
    assert len(got[0]) == len(want[0])
    assert got[1] == want[1]
    tolerance = precision(want[0])
    for a, b in zip(got[0], want[0], strict=True):
        same(a, b, "value", tolerance)
        assert a.requires_grad == b.requires_grad
        if b.grad_fn is not None and b.grad_fn.next_functions and a.grad_fn is None:
            pytest.fail("the result has no grad_fn")
    for order, slack in ((2, 10.0), (3, 1e3)):
        if want[order]:
            for a, b in zip(got[order] or [None] * len(want[order]), want[order], strict=True):
                same(a, b, f"gradient of order {order - 1}", tolerance * slack)

"""Random numbers: seeds and states, distributions, arguments and errors."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradcu

stats = pytest.importorskip("scipy.stats")
N = 4000


@pytest.fixture(autouse=True)
def _seeded() -> None:
    gradcu.manual_seed(12345)


# --- generators ---


def test_a_seed_repeats_its_stream() -> None:
    g = gradcu.Generator().manual_seed(3)
    first = [gradcu.rand(5, generator=g), gradcu.randint(100, (5,), generator=g), gradcu.randn(5, generator=g)]
    g.manual_seed(3)
    again = [gradcu.rand(5, generator=g), gradcu.randint(100, (5,), generator=g), gradcu.randn(5, generator=g)]
    assert [t.tolist() for t in first] == [t.tolist() for t in again]
    assert gradcu.rand(5, generator=g.manual_seed(4)).tolist() != first[0].tolist()


def test_a_state_goes_back_to_the_middle_of_a_stream() -> None:
    g = gradcu.Generator().manual_seed(-1)
    assert g.initial_seed() == 2**64 - 1
    gradcu.rand(3, generator=g)  # leaves half a word behind
    state = g.get_state()
    expected = gradcu.randn(7, generator=g).tolist()
    other = gradcu.Generator()
    other.set_state(state)
    assert other.initial_seed() == g.initial_seed()
    assert gradcu.randn(7, generator=other).tolist() == expected
    assert state.dtype is gradcu.uint8
    assert state.numel() < 200


def test_generators_are_copied_and_pickled_where_they_stand() -> None:
    g = gradcu.Generator().manual_seed(5)
    gradcu.rand(3, generator=g)
    others = [copy.deepcopy(g), pickle.loads(pickle.dumps(g)), g.clone_state()]
    expected = gradcu.rand(3, generator=g).tolist()
    assert [gradcu.rand(3, generator=o).tolist() for o in others] == [expected] * 3


def test_the_default_generator() -> None:
    assert gradcu.manual_seed(7) is gradcu.default_generator
    assert gradcu.initial_seed() == gradcu.random.initial_seed() == 7
    state = gradcu.get_rng_state()
    expected = gradcu.rand(3).tolist()
    with gradcu.random.fork_rng():
        gradcu.manual_seed(1)
        gradcu.rand(10)
    gradcu.set_rng_state(state)
    with gradcu.random.fork_rng():
        gradcu.rand(10)
    assert gradcu.rand(3).tolist() == expected
    assert gradcu.seed() == gradcu.initial_seed() != 7
    assert gradcu.Generator().device == gradcu.device("cpu")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda g: g.manual_seed(1.5), RuntimeError, "manual_seed expected a long, but got float"),
        (lambda g: g.manual_seed(2**64), ValueError, "Overflow when unpacking long long"),
        (lambda g: g.set_state(gradcu.ones(3)), TypeError, "must be a gradcu.ByteTensor"),
        (lambda g: g.set_state(gradcu.ones(3, dtype=gradcu.uint8)), RuntimeError, "RNG state is wrong size"),
        (lambda g: gradcu.rand(2, generator=3), TypeError, "must be gradcu.Generator, not int"),
    ],
)
def test_generators_refuse(call: Callable, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        call(gradcu.Generator())


# --- distributions ---

DISTRIBUTIONS: dict[str, tuple[Callable, Any]] = {
    "rand": (lambda: gradcu.rand(N), stats.uniform()),
    "rand float64": (lambda: gradcu.rand(N, dtype=gradcu.float64), stats.uniform()),
    "rand_like": (lambda: gradcu.rand_like(gradcu.ones(N)), stats.uniform()),
    "randn": (lambda: gradcu.randn(N), stats.norm()),
    "randn_like": (lambda: gradcu.randn_like(gradcu.ones(N)), stats.norm()),
    "randn complex": (lambda: gradcu.randn(N, dtype=gradcu.complex64).real, stats.norm(scale=math.sqrt(0.5))),
    "normal": (lambda: gradcu.normal(2.0, 3.0, (N,)), stats.norm(2, 3)),
    "normal of tensors": (lambda: gradcu.normal(gradcu.full((N,), 2.0), gradcu.tensor(3.0)), stats.norm(2, 3)),
    "uniform_": (lambda: gradcu.empty(N).uniform_(-2, 5), stats.uniform(-2, 7)),
    "normal_": (lambda: gradcu.empty(N).normal_(1, 2), stats.norm(1, 2)),
    "exponential_": (lambda: gradcu.empty(N).exponential_(2.0), stats.expon(scale=0.5)),
    "cauchy_": (lambda: gradcu.empty(N).cauchy_(1.0, 2.0), stats.cauchy(1, 2)),
    "log_normal_": (lambda: gradcu.empty(N).log_normal_(0.5, 0.3), stats.lognorm(0.3, scale=math.exp(0.5))),
}  # fmt: skip
DISCRETE: dict[str, tuple[Callable, Any]] = {
    "randint": (lambda: gradcu.randint(-2, 4, (N,)), stats.randint(-2, 4)),
    "randint_like": (lambda: gradcu.randint_like(gradcu.ones(N), 5), stats.randint(0, 5)),
    "random_": (lambda: gradcu.empty(N).random_(3, 7), stats.randint(3, 7)),
    "geometric_": (lambda: gradcu.empty(N, dtype=gradcu.int64).geometric_(0.3), stats.geom(0.3)),
    "bernoulli": (lambda: gradcu.bernoulli(gradcu.full((N,), 0.3)), stats.bernoulli(0.3)),
    "bernoulli of a number": (lambda: gradcu.empty(N).bernoulli(0.3), stats.bernoulli(0.3)),
    "bernoulli_": (lambda: gradcu.empty(N).bernoulli_(0.8), stats.bernoulli(0.8)),
    "bernoulli_ of a tensor": (lambda: gradcu.empty(N).bernoulli_(gradcu.tensor(0.1)), stats.bernoulli(0.1)),
    "poisson": (lambda: gradcu.poisson(gradcu.full((N,), 2.5)), stats.poisson(2.5)),
    "binomial": (lambda: gradcu.binomial(gradcu.full((N,), 6.0), gradcu.tensor(0.4)), stats.binom(6, 0.4)),
    "multinomial": (
        lambda: gradcu.multinomial(gradcu.tensor([1.0, 2.0, 1.0]), N, replacement=True) + 0,
        stats.rv_discrete(values=([0, 1, 2], [0.25, 0.5, 0.25])),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DISTRIBUTIONS)
def test_continuous_distributions(what: str) -> None:
    make, distribution = DISTRIBUTIONS[what]
    assert stats.kstest(make().tolist(), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("what", DISCRETE)
def test_discrete_distributions(what: str) -> None:
    make, distribution = DISCRETE[what]
    values, counts = np.unique(np.array(make().tolist()), return_counts=True)
    expected = distribution.pmf(values) * N
    assert (expected > 0).all()
    assert distribution.cdf(values.max()) > 1 - 20 / N
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 5).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_stay_inside_their_interval(dtype: str) -> None:
    d = getattr(gradcu, dtype)
    u = gradcu.rand(20000, dtype=d)
    assert u.dtype is d
    assert 0 <= min(u.tolist()) < 0.01
    assert 0.99 < max(u.tolist()) < 1
    assert min(gradcu.empty(20000, dtype=d).exponential_().tolist()) > 0


def test_a_probability_of_zero_or_one_is_certain() -> None:
    p = gradcu.tensor([0.0, 1.0]).expand(500, 2)
    assert gradcu.bernoulli(p).sum(0).tolist() == [0, 500]
    assert gradcu.empty(500).bernoulli_(1.0).sum().item() == 500


def test_random_without_bounds_covers_the_dtype() -> None:
    for dtype, top in [("uint8", 255), ("int8", 127), ("bool", 1), ("float16", 2**11), ("float32", 2**24)]:
        x = gradcu.empty(20000, dtype=getattr(gradcu, dtype)).random_()
        values = x.to(gradcu.float64).tolist()
        assert 0 <= min(values) <= 0.01 * top
        assert 0.99 * top <= max(values) <= top
    assert max(gradcu.empty(100, dtype=gradcu.int64).random_().tolist()) > 2**60


# --- shapes, dtypes, memory ---


def test_shapes_dtypes_strides() -> None:
    assert gradcu.rand(2, 3).shape == gradcu.rand((2, 3)).shape == gradcu.rand(size=(2, 3)).shape == (2, 3)
    assert gradcu.rand(()).shape == ()
    assert gradcu.rand(0, 2).numel() == 0
    assert gradcu.rand_like(gradcu.ones(2, 3).t()).stride() == (1, 3)
    assert gradcu.randint(3, (2,), dtype=gradcu.float32).dtype is gradcu.float32
    assert gradcu.randint(high=3, size=(2,)).dtype is gradcu.int64
    assert gradcu.rand(2, requires_grad=True).requires_grad
    assert gradcu.normal(gradcu.zeros(2, 1), gradcu.ones(1, 3)).shape == (2, 3)
    out = gradcu.ones(5)
    assert gradcu.rand(2, out=out) is out
    assert out.shape == (2,)


def test_randperm_is_a_permutation() -> None:
    order = gradcu.randperm(100)
    assert sorted(order.tolist()) == list(range(100)) != order.tolist()
    assert gradcu.randperm(3, dtype=gradcu.float32).dtype is gradcu.float32
    assert gradcu.randperm(0).shape == (0,)


def test_multinomial_without_replacement_draws_each_once() -> None:
    weights = gradcu.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 5.0, 1.0]])
    first = gradcu.multinomial(weights, 2)
    assert first.shape == (2, 2)
    assert first.dtype is gradcu.int64
    assert sorted(first[1].tolist()) == [2, 3]
    assert all(3 not in gradcu.multinomial(weights[0], 3).tolist() for _ in range(20))
    heavy = sum(gradcu.multinomial(gradcu.tensor([1.0, 9.0]), 1).item() for _ in range(500))
    assert 410 < heavy < 490


def test_multinomial_with_replacement_never_draws_zero_weights() -> None:
    weights = gradcu.tensor([[0.0, 1.0, 0.0, 3.0, 0.0]]).expand(50, 5)
    drawn = gradcu.multinomial(weights, 200, replacement=True)
    assert drawn.shape == (50, 200)
    assert set(drawn.reshape(-1).tolist()) == {1, 3}
    assert 0.7 < (drawn == 3).to(gradcu.float32).sum().item() / drawn.numel() < 0.8


REFUSED: dict[str, Callable] = {
    "rand int": lambda t: t.rand(2, dtype=t.int32),
    "randn int": lambda t: t.randn(2, dtype=t.int64),
    "randint empty": lambda t: t.randint(3, 3, (2,)),
    "randint too large": lambda t: t.randint(0, 300, (2,), dtype=t.bool),
    "randperm negative": lambda t: t.randperm(-1),
    "normal negative": lambda t: t.normal(0.0, -1.0, (2,)),
    "normal negative tensor": lambda t: t.normal(t.zeros(2), -t.ones(2)),
    "normal shapes": lambda t: t.normal(t.zeros(2), t.ones(3)),
    "normal int": lambda t: t.normal(t.zeros(2, dtype=t.int64), 1.0),
    "bernoulli int": lambda t: t.bernoulli(t.tensor([0, 1])),
    "bernoulli_ above one": lambda t: t.ones(2).bernoulli_(1.5),
    "multinomial too many": lambda t: t.multinomial(t.ones(3), 4),
    "multinomial negative": lambda t: t.multinomial(t.tensor([-1.0, 1.0]), 1),
    "multinomial zero": lambda t: t.multinomial(t.zeros(3), 1),
    "multinomial int": lambda t: t.multinomial(t.tensor([1, 0]), 1),
    "multinomial 3-d": lambda t: t.multinomial(t.ones(2, 2, 2), 1),
    "multinomial none": lambda t: t.multinomial(t.ones(2), 0),
    "poisson negative": lambda t: t.poisson(t.tensor([-1.0])),
    "poisson int": lambda t: t.poisson(t.tensor([1])),
    "uniform_ backwards": lambda t: t.ones(2).uniform_(2, 1),
    "uniform_ int": lambda t: t.ones(2, dtype=t.int32).uniform_(),
    "normal_ negative": lambda t: t.ones(2).normal_(0, -1),
    "exponential_ negative": lambda t: t.ones(2).exponential_(-1),
    "exponential_ int": lambda t: t.ones(2, dtype=t.int32).exponential_(),
    "cauchy_ negative": lambda t: t.ones(2).cauchy_(0, -1),
    "geometric_ above one": lambda t: t.ones(2).geometric_(2),
    "log_normal_ negative": lambda t: t.ones(2).log_normal_(0, -1),
    "random_ empty": lambda t: t.ones(2).random_(3, 2),
    "a leaf": lambda t: t.ones(2, requires_grad=True).uniform_(),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_errors_are_pytorchs(refused_alike: Any, what: str) -> None:
    refused_alike(REFUSED[what])


# --- gradients ---


@pytest.mark.parametrize(
    "method",
    ["uniform_", "normal_", "exponential_", "cauchy_", "log_normal_", "random_", "bernoulli_"],
)
def test_random_values_cut_the_gradient(original: Any, method: str) -> None:
    names = []
    for lib in (gradcu, original):
        x = lib.ones(3, requires_grad=True)
        y = x * 2
        getattr(y, method)()
        names.append(y.grad_fn.name().rstrip("0123456789"))
        y.sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    "sample", [lambda t, x: t.bernoulli(x), lambda t, x: t.poisson(x), lambda t, x: t.normal(x, x)]
)
def test_samples_give_their_parameters_no_gradient(original: Any, sample: Callable) -> None:
    for lib in (gradcu, original):
        x = lib.full((3,), 0.5, requires_grad=True)
        sample(lib, x).sum().backward()
        assert x.grad.tolist() == [0, 0, 0]


# --- windows ---

WINDOWS: dict[str, Callable] = {
    **{
        f"{n} {m} {sym}": (lambda t, n=n, m=m, sym=sym: getattr(t.signal.windows, n)(m, sym=sym, dtype=t.float64))
        for n in ("bartlett", "blackman", "cosine", "exponential", "gaussian", "hamming", "hann", "kaiser", "nuttall")
        for m, sym in ((0, True), (1, True), (6, True), (7, False))
    },
    "general_cosine": lambda t: t.signal.windows.general_cosine(6, a=[0.4, 0.3, 0.2], sym=False),
    "general_hamming": lambda t: t.signal.windows.general_hamming(6, alpha=0.7),
    "exponential centred": lambda t: t.signal.windows.exponential(6, center=1, sym=False, tau=2.0),
    "gaussian wide": lambda t: t.signal.windows.gaussian(6, std=3.0),
    "kaiser flat": lambda t: t.signal.windows.kaiser(6, beta=0.5),
    **{
        f"{n} {m}": (lambda t, n=n, m=m: getattr(t, n)(*m))
        for n in ("hann_window", "hamming_window", "blackman_window", "bartlett_window", "kaiser_window")
        for m in ((0,), (1,), (5,), (6, False))
    },
    "hamming_window by numbers": lambda t: t.hamming_window(6, True, 0.6, 0.4),
    "kaiser_window by a number": lambda t: t.kaiser_window(6, True, 3.0),
}


@pytest.mark.parametrize("what", WINDOWS)
def test_windows_are_pytorchs(original: Any, what: str) -> None:
    ours, theirs = WINDOWS[what](gradcu), WINDOWS[what](original)
    assert str(ours.dtype)[-7:] == str(theirs.dtype)[-7:]
    assert ours.tolist() == pytest.approx(theirs.tolist(), rel=1e-6, abs=2e-7)


BAD_WINDOWS: dict[str, Callable] = {
    "negative": lambda t: t.signal.windows.hann(-1),
    "int": lambda t: t.signal.windows.bartlett(5, dtype=t.int32),
    "sparse": lambda t: t.signal.windows.hann(5, layout=t.sparse_coo),
    "std": lambda t: t.signal.windows.gaussian(5, std=-1),
    "beta": lambda t: t.signal.windows.kaiser(5, beta=-1),
    "tau": lambda t: t.signal.windows.exponential(5, tau=-1),
    "center": lambda t: t.signal.windows.exponential(5, center=1),
    "coefficients": lambda t: t.signal.windows.general_cosine(5, a=[]),
    "coefficient": lambda t: t.signal.windows.general_cosine(5, a=3),
    "old negative": lambda t: t.hann_window(-1),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_WINDOWS)
def test_windows_refuse_what_pytorchs_do(refused_alike: Any, what: str) -> None:
    refused_alike(BAD_WINDOWS[what])

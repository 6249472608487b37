"""What NumPy computes where nothing can be compiled: formulas in parts, sums by products, rows by turns."""

import math

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends import compiler, native, parts
from gradcu.expr import blocks
from gradcu.graph.op import registry

F = gradcu.nn.functional
HOST = backends.host


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch):
    monkeypatch.setattr(compiler, "library", lambda source: None)
    monkeypatch.setattr("gradcu.backends.cpu.Loop.function", lambda self, dtype: None)
    monkeypatch.setattr(registry["erf"].kernel, "_built", {})  # forget what was compiled before


@pytest.fixture
def in_small_parts(monkeypatch):
    """From when it is called on, parts are of about 300 elements, of arrays of any size, by a number of threads."""
    before = native.get_num_threads()

    def begin(threads):
        native.set_num_threads(threads)
        monkeypatch.setattr(parts, "LEAST", 0)
        monkeypatch.setattr(parts, "SHORT", 1)
        monkeypatch.setattr(blocks, "BLOCK", 300)
        monkeypatch.setattr(blocks, "SHARED", 300)

    yield begin
    native.set_num_threads(before)


# --- the error function ---


@pytest.mark.parametrize("size", [100, 300_000])
def test_erf_of_float32_is_within_4_ulp(size):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=size) * 2, np.geomspace(1e-37, 20, 1000), -np.geomspace(1e-37, 20, 1000)])
    x = x.astype(np.float32)
    got = gradcu.erf(gradcu.from_numpy(x)).numpy()
    want = np.array([math.erf(v) for v in x.tolist()])
    assert got.dtype == np.float32
    assert (np.abs(got - want) <= 4 * np.finfo(np.float32).eps * np.abs(want)).all()


@pytest.mark.parametrize("size", [8, 300_000])
def test_erf_of_what_is_no_common_number(size):
    x = np.zeros(size, np.float32)
    x[:8] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, -3e38]
    got = gradcu.erf(gradcu.from_numpy(x)).numpy()[:8]
    np.testing.assert_array_equal(got[[0, 1, 2, 3, 4, 6, 7]], [np.nan, 1, -1, 0, 0, 1, -1])
    np.testing.assert_array_equal(np.signbit(got[3:5]), [False, True])
    assert 1e-40 < got[5] < 1.3e-40


# --- parts ---

RNG = np.random.default_rng(0)


def leaf(*shape):
    return gradcu.from_numpy(RNG.normal(size=shape).astype(np.float32)).requires_grad_(True)


IMAGE = lambda: [leaf(6, 8, 5, 7), leaf(8), leaf(8)]  # noqa: E731
CASES = {
    "softmax": (lambda x: gradcu.softmax(x, -1), lambda: [leaf(40, 50)]),
    "softmax 0": (lambda x: gradcu.softmax(x, 0), lambda: [leaf(40, 50)]),
    "log_softmax": (lambda x: gradcu.log_softmax(x, 1), lambda: [leaf(3, 40, 50)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (50,), w, b), lambda: [leaf(40, 50), leaf(50), leaf(50)]),
    "layer_norm of two": (lambda x, w: F.layer_norm(x, (5, 10), w), lambda: [leaf(40, 5, 10), leaf(5, 10)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (50,), w), lambda: [leaf(40, 50), leaf(50)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), IMAGE),
    "batch_norm of rows": (lambda x: F.batch_norm(x, None, None, training=True), lambda: [leaf(50, 40)]),
    "group_norm": (lambda x, w, b: F.group_norm(x, 4, w, b), IMAGE),
    "instance_norm": (lambda x: F.instance_norm(x), lambda: [leaf(6, 8, 5, 7)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, gradcu.arange(40) % 50), lambda: [leaf(40, 50)]),
    "cross_entropy of pixels": (
        lambda x: F.cross_entropy(x, gradcu.arange(3 * 20).reshape(3, 20) % 50, reduction="none"),
        lambda: [leaf(3, 50, 20)],
    ),
    "cumsum": (lambda x: gradcu.cumsum(x, 1), lambda: [leaf(300, 20)]),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_parts_give_what_the_whole_gives(name, threads, in_small_parts):
    function, make = CASES[name]
    leaves = make()

    def run():
        out = function(*leaves)
        direction = gradcu.from_numpy(np.cos(np.arange(out.numel(), dtype=np.float32)).reshape(out.shape))
        return [t.numpy() for t in (out.detach(), *gradcu.autograd.grad(out, leaves, direction))]

    wanted = run()
    in_small_parts(threads)
    for got, want in zip(run(), wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def test_parts_put_results_together_and_add_sums_up(in_small_parts):
    in_small_parts(2)
    x, w = np.arange(6000.0).reshape(60, 100), np.arange(100.0)[None]
    seen = []

    def compute(x, w):
        seen.append(len(x))
        return x * w, x.sum(1, keepdims=True), x.sum(0, keepdims=True), None

    product, rows, columns, nothing = parts.in_parts(compute, {1}, (x, w), {2: (0,)})
    assert max(seen) <= 3
    assert sum(seen) == 60
    np.testing.assert_array_equal(product, x * w)
    np.testing.assert_array_equal(rows, x.sum(1, keepdims=True))
    np.testing.assert_array_equal(columns, x.sum(0, keepdims=True))
    assert nothing is None


def test_an_error_in_a_part_is_raised(in_small_parts):
    in_small_parts(2)

    def compute(x):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        parts.in_parts(compute, {1}, [np.ones((60, 100))])


# --- sums, running sums ---


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (1, 2), (0, 2), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("layout", ["whole", "cut", "transposed"])
def test_sums_over_axes(axis, keepdims, layout):
    x = RNG.normal(size=(12, 34, 56)).astype(np.float32)
    x = {"whole": x, "cut": x[:, 3:20], "transposed": x.transpose(2, 0, 1)}[layout]
    got = HOST.sum(x, axis=axis, keepdims=keepdims)
    want = x.astype(np.float64).sum(axis=axis, keepdims=keepdims)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=1e-6 * np.abs(x).sum(axis=axis).max())


def test_sums_of_infinities_and_nan():
    x = np.ones((100, 100), np.float32)
    x[0, 3], x[1, 4], x[2, 5:7] = np.inf, np.nan, (np.inf, -np.inf)
    got = HOST.sum(x, axis=1, keepdims=True)
    np.testing.assert_array_equal(got[:4, 0], [np.inf, np.nan, np.nan, 100])


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("shape", [(30, 40, 50), (300, 1, 300), (2, 3, 4), (0, 3, 4)])
def test_running_sums_are_those_of_numpy(axis, shape):
    x = RNG.normal(size=shape).astype(np.float32)
    for y in (x, x[::-1], x.swapaxes(0, 2), np.where(x > 3, np.inf, x).astype(np.float32)):
        np.testing.assert_array_equal(HOST.cumsum(y, axis=axis), np.cumsum(y, axis=axis))


# --- repeated indices ---


@pytest.mark.parametrize("count", [1, 15, 16, 17, 500])
def test_rows_are_added_as_often_as_they_are_named(count):
    places = np.concatenate([np.full(count, 3), np.arange(10), np.full(16, 7), np.full(17, 0)])
    RNG.shuffle(places)
    rows = RNG.normal(size=(len(places), 5, 2))
    table, want = np.ones((10, 5, 2)), np.ones((10, 5, 2))
    HOST.combine_at(table, places, rows)
    np.add.at(want, places, rows)
    np.testing.assert_allclose(table, want, atol=1e-12)


def test_indices_from_the_end_or_out_of_range():
    table = np.zeros((4, 3))
    HOST.combine_at(table, np.array([-1, 3, 0]), np.ones((3, 3)))
    np.testing.assert_array_equal(table[:, 0], [1, 0, 0, 2])
    for far in (4, 2**62):
        with pytest.raises(IndexError):
            HOST.combine_at(table, np.array([0, far]), np.ones((2, 3)))


# --- depthwise convolutions ---


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (0, 1)), ((3, 3), (4, 4))])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_adjoint_of_convolutions_of_one_channel_a_group(multiplier, padding, dilation):
    """<conv(x, w), y> = <x, adjoint(y, w)>; with the wider paddings by columns, with the others by a convolution."""
    groups, size = 3, (7, 8)
    x, w = RNG.normal(size=(2, groups * multiplier, *size)), RNG.normal(size=(groups, multiplier, 3, 2))
    settings = ((1, 1), padding, dilation, groups)
    forward = registry["convolution"].forward(HOST, x, w, None, *settings)
    y = RNG.normal(size=forward.shape)
    back = registry["convolution_input"].forward(HOST, y, w, size, *settings)
    assert back.shape == x.shape
    np.testing.assert_allclose((forward * y).sum(), (x * back).sum())

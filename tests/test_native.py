"""Compiled CPU kernels: they compute what NumPy computes, and whatever goes wrong with them NumPy takes over."""

import itertools
import math
import multiprocessing
import os
import pathlib
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends import compiler, native
from gradcu.expr import NotPointwise, Trace, blocks, kernel_source, steps
from gradcu.graph.op import registry
from gradcu.graph.written import parameters
from gradcu.ops.pointwise import Elementwise

F = gradcu.nn.functional
ROOT = pathlib.Path(__file__).parent.parent
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
needs_compiler = pytest.mark.skipif(compiler.find() is None, reason="no C++ compiler, or GRADCU_NATIVE=0")


# --- every declared formula against NumPy ---

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, -3e38, 7.0, -20.0, 90.0]

#: Formulas that take the difference of nearly equal numbers somewhere in their domain, near a zero of the result: there
#: the last bit of an exponential decides, which the C library and NumPy round differently. They may differ by the same
#: amount near other values.
CANCELLING = """
    tanhshrink sinc_x logaddexp silu_x mish_x gelu gelu_x gelu_tanh gelu_tanh_x entr_x lgamma lgamma_x digamma igamma_y
    igammac_y
""".split()


def formulas():
    """Name, formula over (xp, *arguments), names of arrays and settings: of each forward and each mask's backward."""
    for p in list(registry.values()):
        if not isinstance(p, Elementwise) or "f" not in p.kinds:
            continue
        yield p, p.name, lambda xp, *a, p=p: [xp.apply(p, *a)], p.inputs, p.attributes
        if not isinstance(p.vjp, dict):
            continue
        names = [n for n in p.vjp if p.vjp[n] is not None]
        for mask in itertools.chain(*(itertools.combinations(names, r) for r in range(1, len(names) + 1))):
            parts = [p.vjp[n] for n in mask]
            wanted = list(dict.fromkeys(n for f in parts for n in parameters(f)[2:]))
            if any(n.endswith(("_shape", "_dtype")) for n in wanted):
                continue
            arrays = [n for n in wanted if n in p.inputs or n == "out"]
            settings = [n for n in wanted if n not in arrays]

            def backward(xp, g, *values, parts=parts, order=(*arrays, *settings)):
                value = dict(zip(order, values, strict=True))
                return [f(xp, g, *(value[n] for n in parameters(f)[2:])) for f in parts]

            yield p, f"{p.name}_{''.join(mask)}", backward, ("g", *arrays), settings


@pytest.fixture(scope="module")
def everything():
    """All formulas for both dtypes, compiled as one library: (primitive, name, formula, arrays, settings, function)."""
    texts, cases = [], []
    for dtype, (p, name, formula, arrays, settings) in itertools.product((SINGLE, DOUBLE), formulas()):
        values = [None] * len(arrays) + [p._defaults[s] for s in settings]
        for number in (True, False):  # numbers as arguments, or where the formula branches on them as constants
            kinds = ["array"] * len(arrays)
            kinds += ["number" if number and type(v) in (int, float) else (type(v), v) for v in values[len(arrays) :]]
            written = native.Kernel(formula).source(dtype, kinds, values, f"kernel{len(cases)}")
            if written is not None:
                texts.append(written[0])
                cases.append((p, name, formula, arrays, settings, dtype, kinds, written[1]))
                break
    library = compiler.library("\n".join(texts))
    return [(*case[:6], compiler.caller(getattr(library, f"kernel{i}"), *case[5:])) for i, case in enumerate(cases)]


def samples(p, dtype, size=8197):
    """Values of every input in its domain, led by all combinations of special ones; the result; a gradient."""
    rng = np.random.default_rng(0)
    ranges = [p.domain] * len(p.inputs) if isinstance(p.domain[0], (int, float)) else p.domain
    count = min(size, len(SPECIAL) ** len(p.inputs))
    made = {n: rng.uniform(*r, size).astype(dtype) for n, r in zip(p.inputs, ranges, strict=True)}
    for i, n in enumerate(p.inputs):
        made[n][:count] = np.resize(np.repeat(SPECIAL, len(SPECIAL) ** i), count)
    made["out"] = np.asarray(p.forward(backends.host, *made.values(), *(p._defaults[a] for a in p.attributes)), dtype)
    made["g"] = rng.uniform(-2, 2, size).astype(dtype)
    return made


def assert_same(got, want, name, slack=None):
    """NaN, infinities, signs of zeros and truth are the same; other values within 4 ulp, or 4 of a larger `slack`."""
    want = np.broadcast_to(want, got.shape)
    assert got.dtype == want.dtype, name
    if got.dtype == bool:
        np.testing.assert_array_equal(got, want, name)
        return
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), name)
    finite = np.isfinite(got) & np.isfinite(want)
    both = ~np.isnan(want)
    np.testing.assert_array_equal(got[~finite & both], want[~finite & both], name)
    zero = (got == 0) & (want == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(want[zero]), name)
    size = np.maximum(np.abs(got), np.abs(want))[finite]
    if slack is not None:
        size = np.maximum(size, slack[finite])
    eps = np.finfo(got.dtype).eps
    error = np.abs(got[finite] - want[finite])
    assert (error <= 4 * eps * size).all(), f"{name}: {np.nanmax(error / size) / eps} ulp"


@needs_compiler
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_formula_agrees_with_numpy(everything):
    assert len(everything) > 400
    for p, name, formula, arrays, settings, dtype, function in everything:
        made = samples(p, dtype)
        values = [*(made[n] for n in arrays), *(p._defaults[s] for s in settings)]
        slack = None
        if name in CANCELLING:
            slack = 4 * np.max([np.ones_like(made["g"]), *(np.abs(made[n]) for n in arrays)], axis=0)
        want = p.forward(backends.host, *values) if name == p.name else formula(backends.host, *values)
        wanted = [want] if name == p.name else want
        for got, one in zip(function(values, values[0]), wanted, strict=True):
            assert_same(got, one, f"{name} {dtype}", slack)


# --- the way into a kernel ---


def gelu_numpy(x):
    return registry["gelu"].forward(backends.host, x)


@pytest.fixture
def threads():
    """Any number of threads, set back afterwards."""
    before = native.get_num_threads()
    yield native.set_num_threads
    native.set_num_threads(before)


@needs_compiler
@pytest.mark.parametrize("size", [0, 1, 7, 4095, 4096, 4097, 65535, 65536, 3 * 32768 + 5, 300_000])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_size_and_number_of_threads(threads, size, count):
    threads(count)
    x = np.random.default_rng(1).normal(size=size).astype(np.float32)
    t = gradcu.tensor(x, requires_grad=True)
    out = F.gelu(t)
    np.testing.assert_allclose(out.detach().numpy(), gelu_numpy(x), rtol=1e-5, atol=1e-6)
    g = np.random.default_rng(2).normal(size=size).astype(np.float32)
    out.backward(gradcu.tensor(g))
    want = registry["gelu"].vjp["x"](backends.host, g, x)
    np.testing.assert_allclose(t.grad.numpy(), want, rtol=1e-5, atol=2e-6)


@needs_compiler
@pytest.mark.parametrize("layout", ["transposed", "stepped", "reversed", "mixed", "broadcast", "unaligned"])
def test_memory_order_does_not_matter(layout):
    base = np.random.default_rng(1).normal(size=(200, 100))
    other = np.random.default_rng(2).normal(size=(200, 100))
    x, y = {
        "transposed": (base.T, other.T),
        "stepped": (np.repeat(base, 2, 1)[:, ::2], np.repeat(other, 2, 1)[:, ::2]),
        "reversed": (base[::-1], other[::-1]),
        "mixed": (base, np.asfortranarray(other)),
        "broadcast": (base, np.broadcast_to(other[:1, :1], base.shape)),
        "unaligned": (np.frombuffer(b"0" + base.tobytes(), np.float64, offset=1).reshape(base.shape), other),
    }[layout]
    out = registry["lerp"].large(x, y, 0.25)
    np.testing.assert_allclose(out, x + 0.25 * (y - x), rtol=1e-12, atol=1e-14)


LAYOUTS = {
    "row": lambda make: (make(300, 64), make(64)),
    "column": lambda make: (make(300, 64), make(300, 1)),
    "channels": lambda make: (make(8, 16, 10, 10), make(16, 1, 1)),
    "middle": lambda make: (make(20, 1, 30), make(20, 15, 30)),
    "outer": lambda make: (make(150, 1), make(1, 90)),
    "lead": lambda make: (make(1, 9000), make(9000)),
    "scalar": lambda make: (make(9000), make()),
    "several": lambda make: (make(30, 20, 16), make(30, 1, 16), make(1, 20, 1)),
    "transposed": lambda make: (make(100, 90).T, make(100, 90).T, make(100)),
    "mixed": lambda make: (make(100, 90).T, make(90, 100), make(100)),
    "permuted": lambda make: (make(20, 30, 16).transpose(1, 0, 2), make(20, 16)),
    "stepped": lambda make: (make(180, 200)[::2, ::2], make(90, 100), make(90, 1)),
    "vectors": lambda make: (make(18_000)[::2], make(9000)[::-1]),
    "reversed": lambda make: (make(90, 100)[:, ::-1], make(100)),
}


@needs_compiler
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("count", [1, 2])
def test_operands_that_broadcast_or_are_strided(threads, monkeypatch, layout, dtype, count):
    threads(count)
    monkeypatch.setattr(native, "SHARE", 1000)
    rng = np.random.default_rng(0)
    arrays = LAYOUTS[layout](lambda *shape: rng.normal(size=shape).astype(dtype))

    def formula(xp, *a):
        return [sum(a) * a[-1] + 1, xp.where(a[0] > a[1], a[0] * a[1], 0.5)]

    got = native.Kernel(formula)(*arrays)
    wide = "float32" if dtype == "float16" else dtype
    for one, want in zip(got, formula(np, *(a.astype(wide) for a in arrays)), strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, want.astype(dtype))


@needs_compiler
def test_an_argument_as_result_has_the_shape_of_the_result():
    x, y = np.ones((1, 9000)), np.ones(9000)
    first, second = native.Kernel(lambda xp, x, y: [y, x + y + 1])(x, y)
    assert first.shape == second.shape == (1, 9000)


@needs_compiler
def test_bytes_in_another_order_are_left_to_numpy():
    x = np.linspace(-3, 3, 9000).astype(np.dtype("f4").newbyteorder())
    assert native.Kernel(lambda xp, x: [xp.exp(x) * 2])(x) is None


@needs_compiler
def test_one_element_of_two_bytes():
    raw = pytest.importorskip("ml_dtypes").bfloat16
    x = np.linspace(-3, 3, 9000).astype(raw)
    (got,) = native.Kernel(lambda xp, x, y: [x * y + 1])(x, np.asarray(0.5, raw))
    np.testing.assert_array_equal(got, (x.astype("f4") * np.float32(0.5) + 1).astype(raw))


@needs_compiler
def test_rows_that_are_too_short_are_left_to_numpy():
    assert native.Kernel(lambda xp, x, y: [x * y + y])(np.ones((3000, 3)), np.ones(3)) is None


@needs_compiler
@pytest.mark.parametrize("shape", [(9000,), (90, 100), (90, 1), ()])
def test_masks_are_operands(shape):
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(90, 100)), rng.normal(size=shape) > 0
    x, mask = (x.reshape(9000), mask) if len(shape) == 1 else (x, mask)
    kernel = native.Kernel(lambda xp, m, x: [xp.where(m, x * 2, 0), m & (x > 0), x + xp.astype(m, x.dtype)])
    got = kernel(np.asarray(mask), x)
    for one, want in zip(got, [np.where(mask, x * 2, 0), mask & (x > 0), x + mask], strict=True):
        assert one.dtype == want.dtype
        np.testing.assert_array_equal(one, want)


@needs_compiler
def test_where_backward_in_one_kernel():
    rng = np.random.default_rng(0)
    mask = rng.normal(size=(90, 100)) > 0
    x, y = gradcu.tensor(rng.normal(size=(90, 100)), requires_grad=True), gradcu.zeros(100, requires_grad=True).double()
    y.retain_grad()
    gradcu.where(gradcu.tensor(mask), x, y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), mask.astype(float))
    np.testing.assert_array_equal(y.grad.numpy(), (~mask).sum(0))


def halves(name):
    """Every number of a floating type of two bytes."""
    return np.arange(1 << 16).astype(np.uint16).view(gradcu.dtypes.dtype.by_name[name].numpy)


@needs_compiler
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32(name):
    """All of them are read as they are; results are rounded once, to the nearest, NaN and infinities too."""
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = halves(name)
    wide = x.astype(np.float32)
    scale = np.random.default_rng(0).uniform(0.5, 2, 2)
    results = native.Kernel(lambda xp, x, a, b: [xp.where(x == x, x, 1.5), (x * a) * b, x > 1])(x, *map(float, scale))
    a, b = scale.astype(np.float32)
    with np.errstate(all="ignore"):
        wanted = np.where(wide == wide, wide, 1.5).astype(x.dtype), (wide * a * b).astype(x.dtype), wide > 1
    for got, want in zip(results, wanted, strict=True):
        assert got.dtype == want.dtype
        if got.dtype != bool:
            nan = np.isnan(want.astype(np.float32))
            np.testing.assert_array_equal(np.isnan(got.astype(np.float32)), nan)
            got, want = got.view(np.uint16)[~nan], want.view(np.uint16)[~nan]
        np.testing.assert_array_equal(got, want)


@needs_compiler
def test_numbers_are_arguments():
    """A new value of a setting, or of a number beside an array, needs no new kernel."""
    x, y = (np.random.default_rng(i).normal(size=9000) for i in range(2))
    kernel, softplus = native.Kernel(lambda xp, x, y, a: [(x * a + y) * a]), registry["softplus"]
    for value in (0.5, 1.5, 3, -2):
        np.testing.assert_array_equal(kernel(x, y, value)[0], (x * value + y) * value)
        np.testing.assert_array_equal(kernel(x, value, 2.0)[0], (x * 2.0 + value) * 2.0)
        want = np.where(x * abs(value) > 20, x, np.log1p(np.exp(x * abs(value))) / abs(value))
        np.testing.assert_allclose(softplus.large(x, abs(value), 20.0), want, rtol=1e-14)
    assert len(kernel._built) == 2
    assert len(softplus.kernel._built) == 1


@needs_compiler
def test_numbers_on_which_a_formula_branches_are_constants():
    x = np.linspace(-3, 3, 9000)
    for slope in (0.1, 0.0, -0.0, 2.0, -1.0):
        want = np.where(x > 0, x, slope * x)
        got = registry["leaky_relu"].large(x, slope)
        np.testing.assert_array_equal(got, want)


@needs_compiler
def test_what_changes_all_the_time_is_left_to_numpy():
    kernel = native.Kernel(lambda xp, x, n: [xp.exp(x) + (1 if n > 0 else 2)])
    x = np.linspace(-3, 3, 9000)
    for n in range(3 * native.VARIANTS):
        kernel._built[n] = None  # as if it had been compiled so often
    assert kernel(x, 1.0) is None


@needs_compiler
def test_numbers_are_doubles_until_they_meet_an_array():
    """As in Python: 1e30 * 1e30 does not overflow, and 0.1 + 0.2 is not rounded to float32 first."""
    kernel = native.Kernel(lambda xp, x, a, b: [(x + 1.0) * (a * b), (x + 1.0) * (a / b)])
    x = np.ones(9000, np.float32)
    big, small = kernel(x, 1e30, 1e30), kernel(x, 1e30, 1e-30)
    assert np.isinf(big[0]).all()
    np.testing.assert_array_equal(big[1], np.float32(2.0))
    np.testing.assert_array_equal(small[0], np.float32(2.0))


@needs_compiler
def test_results_that_are_arguments_or_booleans():
    kernel = native.Kernel(lambda xp, x, y: [x, (x * 2 < y) & (y > 0), x * 2 + y])
    x, y = np.linspace(-1, 1, 9000), np.linspace(1, -1, 9000)
    first, second, third = kernel(x, y)
    assert first is x
    assert second.dtype == bool
    np.testing.assert_array_equal(second, (x * 2 < y) & (y > 0))
    np.testing.assert_array_equal(third, x * 2 + y)


@needs_compiler
def test_gradients_that_one_number_fills():
    """`sum().backward()` gives a broadcast gradient: it is an argument, not an array of its own."""
    x = gradcu.randn(100, 100, requires_grad=True)
    F.gelu(x).sum().backward()
    a = x.detach().numpy()
    np.testing.assert_allclose(x.grad.numpy(), registry["gelu"].vjp["x"](backends.host, np.float32(1), a), atol=2e-6)


@needs_compiler
def test_several_python_threads_at_once():
    arrays = [np.random.default_rng(i).normal(size=200_000) for i in range(4)]
    wants, wrong = [gelu_numpy(a) for a in arrays], []

    def work(a, want):
        for _ in range(10):
            if not np.allclose(registry["gelu"].large(a), want, rtol=1e-12, atol=1e-14):
                wrong.append(a)

    workers = [threading.Thread(target=work, args=pair) for pair in zip(arrays, wants, strict=True)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def _in_child(queue):
    x = np.linspace(-3, 3, 200_000)
    queue.put(float(registry["gelu"].large(x).sum()))


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python's, on forking with threads
def test_fork_after_threads_were_used(threads):
    threads(2)
    want = float(registry["gelu"].large(np.linspace(-3, 3, 200_000)).sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == want
    child.join()


def test_number_of_threads(threads):
    gradcu.set_num_threads(3)
    assert gradcu.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        gradcu.set_num_threads(0)
    with pytest.raises(TypeError, match="set_num_threads"):
        gradcu.set_num_threads(1.5)


@needs_compiler
def test_adding_in_place(threads):
    threads(2)
    x, y = (np.random.default_rng(i).normal(size=(600, 600)) for i in range(2))
    want, fixed = x + y, np.broadcast_to(x[:1], x.shape)
    assert native.add_into(x, y)
    np.testing.assert_array_equal(x, want)
    assert native.add_into(x, np.broadcast_to(1.0, x.shape))
    np.testing.assert_array_equal(x, want + 1)
    assert not native.add_into(fixed, y)
    assert not native.add_into(x, x[::-1])
    wide = np.zeros((600, 1200))
    assert not native.add_into(wide[:, ::2], wide[:, 1::2].copy())
    assert not native.add_into(wide[:, ::2], np.ones((600, 1200))[:, ::2])
    y.flags.writeable = False
    assert not native.add_into(y, x)


def softplus_thrice(xp, x):
    return xp.softplus(xp.softplus(xp.softplus(x)))


@needs_compiler
def test_only_a_mask_is_kept_between_functions():
    x = np.linspace(-3, 3, 10_000, dtype=np.float32)
    (got,) = native.Kernel(lambda xp, x: [xp.exp(xp.exp(x) > 1)])(x)
    np.testing.assert_allclose(got, np.where(x > 0, np.float32(math.e), 1), rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("name", ["exp", "log1p", "erf"])
def test_own_functions_of_float_are_exact_to_4_units(name):
    """All magnitudes, subnormal results among them, and what is not finite exactly."""
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.linspace(-110, 100, 100_001, dtype=np.float32), np.float32([0, -0.0, -1])])
    with np.errstate(all="ignore"):
        exact = np.vectorize(math.erf)(np.float64(x)) if name == "erf" else getattr(np, name)(np.float64(x))
        want = exact.astype(np.float32)
        (got,) = native.Kernel(lambda xp, x: [getattr(xp, name)(x)], 0)(x)
        np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])
        np.testing.assert_array_equal(np.signbit(got)[want == 0], np.signbit(want)[want == 0])
        finite = np.isfinite(want)
        assert (np.abs(got - exact)[finite] <= 4 * np.spacing(np.abs(want[finite]))).all()


@needs_compiler
@pytest.mark.parametrize(
    ("formula", "kinds", "dtype"),
    [
        (softplus_thrice, ["array"], "float32"),
        (lambda xp, x: xp.sin(x) * xp.cos(x), ["array"], "float32"),
        (lambda xp, x: xp.erf(x) + xp.exp(xp.minimum(x, 2.0)), ["array"], "float64"),
        (lambda xp, m, x: xp.where(m, x, 0.5), ["array bool", "row"], "float32"),
        (lambda xp, x, y: (x > y) & (y > 0), ["array", "column"], "float32"),
        (lambda xp, x: xp.gelu(x), ["array"], "float16"),
    ],
)
def test_loops_become_vector_instructions(tmp_path, formula, kinds, dtype):
    """Where the compiler is GCC, which says so: without them they would take ten times as long."""
    path = compiler.find()
    if "clang" in compiler.identity(path) or compiler.vectors(path) < 2:
        pytest.skip("no GCC, or no vector functions")
    kernel = native.Kernel(lambda xp, *args: [formula(xp, *args)])
    text, _ = kernel.source(np.dtype(dtype), kinds, [None] * len(kinds))
    (tmp_path / "kernel.cpp").write_text(text)
    command = [path, *compiler.FLAGS, *compiler._native(path), "-DVECTORS=2", "-fopt-info-vec-optimized"]
    command += [str(tmp_path / "kernel.cpp"), "-o", str(tmp_path / "kernel.so"), "-lmvec", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loops = {line for line in done.stderr.splitlines() if "loop vectorized" in line}
    assert len({line.split(": optimized")[0] for line in loops}) == text.count("#pragma omp simd")


# --- expressions ---


def traced(formula, *kinds):
    xp = Trace(SINGLE)
    return xp, formula(xp, *(xp.argument(k, f"a{i}") for i, k in enumerate(kinds)))


def test_equal_parts_are_computed_once():
    xp, out = traced(lambda xp, x: xp.exp(-x) / (1 + xp.exp(-x)), "array")
    assert steps([out]) == 4
    assert kernel_source(xp, [out], "k", "float32").count("= near_expf(") == 1


def test_composite_functions_are_traced_through():
    xp, out = traced(lambda xp, x: xp.gelu(xp.silu(x)), "array")
    source = kernel_source(xp, [out], "k", "float32")
    assert "= near_expf(" in source
    assert "= near_erff(" in source


def test_what_numbers_give_stands_before_the_loop():
    xp, out = traced(lambda xp, x, a, b: x * xp.exp(a * b), "array", "number", "number")
    before, inside = kernel_source(xp, [out], "k", "float32").split("#pragma omp simd\n")
    assert "exp(t0)" in before
    assert "exp" not in inside


@pytest.mark.parametrize(
    "formula",
    [
        lambda xp, x: x if x > 0 else -x,
        lambda xp, x: xp.sum(x),
        lambda xp, x: x.reshape(-1),
        lambda xp, x: x[0],
        lambda xp, x: xp.round(x, 2),
        lambda xp, x: x * 1j,
        lambda xp, x: np.exp(x),
        lambda xp, x: np.float32(2) * x,
        lambda xp, x: xp.fmod(x, 2.0),
        lambda xp, x: xp.astype(x, np.int32),
    ],
)
def test_what_is_not_pointwise_is_refused(formula):
    with pytest.raises(TypeError):
        traced(formula, "array")
    kernel = native.Kernel(lambda xp, x: [formula(xp, x)], least=0)
    assert kernel.source(SINGLE, ["array"], [None]) is None


def test_a_power_by_an_argument_is_not_traced():
    """How it is computed depends on the exponent, which must be a constant."""
    with pytest.raises(NotPointwise):
        traced(lambda xp, x, n: x**n, "array", "number")


# --- without a compiler ---


@pytest.fixture
def without_compiler(monkeypatch):
    """Formulas of several steps are computed by NumPy in blocks: here in small ones, of arrays of any size."""
    monkeypatch.setattr(compiler, "library", lambda source: None)
    monkeypatch.setattr(blocks, "BLOCK", 1000)
    monkeypatch.setattr(blocks, "SHARED", 2000)
    monkeypatch.setattr(blocks, "LEAST", 0)
    monkeypatch.setattr(blocks, "LEAST_STEPS", 0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_formula_in_blocks_agrees_with_numpy(without_compiler, threads):
    threads(2)
    count = 0
    for dtype, (p, name, formula, arrays, settings) in itertools.product((SINGLE, DOUBLE), formulas()):
        made = samples(p, dtype)
        values = [*(made[n] for n in arrays), *(p._defaults[s] for s in settings)]
        got = native.Kernel(formula, 1)(*values)
        if got is None:
            continue
        count += 1
        slack = None
        if name in CANCELLING:
            slack = 4 * np.max([np.ones_like(made["g"]), *(np.abs(made[n]) for n in arrays)], axis=0)
        want = p.forward(backends.host, *values) if name == p.name else formula(backends.host, *values)
        for one, other in zip(got, [want] if name == p.name else want, strict=True):
            assert_same(one, other, f"{name} {dtype}", slack)
    assert count > 400


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_operands_in_blocks(without_compiler, threads, layout, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    threads(2)
    rng = np.random.default_rng(0)
    raw = gradcu.dtypes.dtype.by_name[dtype].numpy
    arrays = LAYOUTS[layout](lambda *shape: rng.normal(size=shape).astype(raw))

    def formula(xp, n, *a):
        return [sum(a) * (n * n), a[0] > 0, xp.where((a[0] > a[1]) & (a[-1] < 1), a[0] * a[1], n), xp.exp(a[0])]

    got = native.Kernel(formula)(0.5, *arrays)
    wanted = formula(np, 0.5, *(a.astype(np.float32) for a in arrays))
    for one, want in zip(got, wanted, strict=True):
        want = np.broadcast_to(want, one.shape)
        np.testing.assert_array_equal(one, want.astype(raw) if want.dtype != bool else want)


def test_results_of_blocks_may_be_arguments_or_numbers(without_compiler):
    kernel = native.Kernel(lambda xp, m, x: [m, x, xp.zeros_like(x), xp.where(m, 1.0, 0.0)], 1)
    x = np.linspace(-1, 1, 9000)
    mask, same, zeros, ones = kernel(x > 0, x)
    assert np.shares_memory(same, x)
    np.testing.assert_array_equal(mask, x > 0)
    np.testing.assert_array_equal(zeros, np.zeros(9000))
    np.testing.assert_array_equal(ones, (x > 0) * 1.0)


# --- what can be wrong with a machine ---


def run(code, **environment):
    """Run a script in a process of its own, with warnings shown once; what it wrote, and its warnings."""
    values = {k: v for k, v in os.environ.items() if not k.startswith("GRADCU_") and k != "CXX"}
    values |= {k: str(v) for k, v in environment.items()}
    values |= {"PYTHONPATH": str(ROOT)}
    code = "import gradcu, numpy as np\nx = gradcu.linspace(-3, 3, 10_000)\n" + textwrap.dedent(code)
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(command, env=values, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split(), done.stderr


GELU = "print(round(gradcu.nn.functional.gelu(x).sum().item(), 1))"
SILU = "print(round(gradcu.nn.functional.silu(x).sum().item(), 1))"


@pytest.fixture(scope="module")
def expected():
    x = gradcu.linspace(-3, 3, 10_000)
    return [str(round(f(x).sum().item(), 1)) for f in (F.gelu, F.silu)]


def test_turned_off(tmp_path, expected):
    out, errors = run(f"{GELU}\n{SILU}", GRADCU_CACHE=tmp_path, GRADCU_NATIVE=0)
    assert out == expected
    assert not errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cxx", ["/bin/false", "/bin/true", "/no/such/compiler"])
@pytest.mark.skipif(not os.path.exists("/bin/false"), reason="no /bin/false")
def test_broken_compiler(tmp_path, expected, cxx):
    """One warning, and NumPy does the work."""
    out, errors = run(f"{GELU}\n{SILU}", GRADCU_CACHE=tmp_path, CXX=cxx)
    assert out == expected
    assert errors.count("UserWarning") == 1
    assert cxx in errors


def test_no_compiler(tmp_path, expected):
    """One note that there is none, which GRADCU_NATIVE=0 silences (see test_turned_off)."""
    out, errors = run(f"{GELU}\n{SILU}", GRADCU_CACHE=tmp_path, PATH="")
    assert out == expected
    assert errors.count("UserWarning: a C++ compiler (g++, c++ or clang++) was not found") == 1


@needs_compiler
def test_kept_on_disk(tmp_path, expected):
    """The second process compiles nothing, even where the folder has become read-only."""
    folder = tmp_path / "made"
    out, errors = run(GELU, GRADCU_CACHE=folder)
    assert (out, errors) == (expected[:1], "")
    made = {f: f.stat().st_mtime_ns for f in folder.glob("*")}
    assert made
    out, errors = run(GELU, GRADCU_CACHE=folder)
    assert (out, errors) == (expected[:1], "")
    assert {f: f.stat().st_mtime_ns for f in folder.glob("*")} == made


@needs_compiler
def test_damaged_file_is_made_anew(tmp_path, expected):
    run(GELU, GRADCU_CACHE=tmp_path)
    for made in tmp_path.glob("*"):
        made.write_bytes(b"no library")
    out, errors = run(GELU, GRADCU_CACHE=tmp_path)
    assert (out, errors) == (expected[:1], "")


@needs_compiler
def test_folder_that_cannot_be_made(tmp_path, expected):
    (tmp_path / "file").write_text("")
    out, errors = run(GELU, HOME=tmp_path / "file", XDG_CACHE_HOME="")
    assert (out, errors) == (expected[:1], "")
    out, errors = run(GELU, GRADCU_CACHE=tmp_path / "file" / "below")
    assert (out, errors) == (expected[:1], "")


@needs_compiler
def test_processes_compiling_at_once(tmp_path, expected):
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(run(f"{GELU}\n{SILU}", GRADCU_CACHE=tmp_path))) for _ in range(3)
    ]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert results == [(expected, "")] * 3
    assert {f.suffix for f in tmp_path.iterdir()} == {".so"}  # nothing unfinished is left


@needs_compiler
@pytest.mark.parametrize("level", [0, 1])
def test_without_vector_functions(monkeypatch, level):
    """Where the C library has none, or the first ones alone, formulas that need others stay with NumPy."""
    monkeypatch.setattr(compiler, "vectors", lambda path: level)
    monkeypatch.setattr(compiler, "_libraries", {})
    x = np.linspace(-3, 3, 10_000)
    assert native.Kernel(lambda xp, x: [xp.tanh(x) * 2])(x) is None
    exponential = native.Kernel(lambda xp, x: [xp.exp(x) * 2])(x)
    assert (exponential is None) == (level == 0)
    if level:
        np.testing.assert_allclose(exponential[0], np.exp(x) * 2, rtol=1e-15)
    np.testing.assert_array_equal(native.Kernel(lambda xp, x: [xp.sqrt(abs(x)) * 2])(x)[0], np.sqrt(abs(x)) * 2)


@needs_compiler
def test_which_vector_functions_there_are(tmp_path, monkeypatch):
    """It is found out by linking, not from a version."""
    monkeypatch.setattr(compiler, "folder", lambda: tmp_path)
    level = compiler.vectors.__wrapped__(compiler.find())
    missing = "void no_such_function();\nvoid f() { no_such_function(); }"
    monkeypatch.setattr(compiler, "vectors_probe", lambda level: missing if level else "")
    assert level == compiler.vectors(compiler.find())
    assert compiler.vectors.__wrapped__(compiler.find()) == 0


def test_import_needs_no_tools():
    """`import gradcu` does not load what only compiling needs."""
    out, _ = run("import sys; print('gradcu.backends.compiler' in sys.modules, 'concurrent.futures' in sys.modules)")
    assert out == ["False", "False"]

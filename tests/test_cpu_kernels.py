"""Kernels written for the CPU compute what the formulas compute for which they stand."""

import copy
import ctypes
import importlib
import itertools
import math

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends import compiler, cpu, host, native
from gradcu.backends.cpu import scatter
from gradcu.ops import conv, cross_entropy, norm, recurrent, resample, scan, softmax

pytestmark = [
    pytest.mark.skipif(compiler.find() is None, reason="no C++ compiler, or GRADCU_NATIVE=0"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
F = gradcu.nn.functional
DTYPES = [np.float32, np.float64]


def normal(*shape, dtype=np.float32, seed=0, scale=3.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


@pytest.fixture
def formulas(monkeypatch):
    """Called: from then on NumPy computes everything."""
    return lambda: monkeypatch.setattr(cpu, "SMALL", math.inf)


def assert_close(got, want):
    """Equal within the rounding of sums; NaN and infinities in the same places."""
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for one, other in zip(got, want):
            assert_close(one, other)
    elif isinstance(want, resample.Band):
        assert_close((got.starts, got.weights), (want.starts, want.weights))
    elif not isinstance(want, np.ndarray | np.generic):
        assert got == want
    else:
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        finite = np.abs(want[np.isfinite(want)])
        eps = 50 * np.finfo(want.dtype).eps if want.dtype.kind == "f" else 0
        np.testing.assert_allclose(got, want, rtol=eps, atol=eps * finite.max(initial=0))


def check(formula, family, args, formulas):
    """The kernel takes these arguments, and gives what the formula gives."""
    kernel = getattr(importlib.import_module(f"gradcu.backends.cpu.{family}"), formula.__name__.lstrip("_"))
    before = copy.deepcopy(args)
    got = kernel(*args)
    assert got is not None
    assert_close(args, before)  # nothing that was given has changed
    formulas()
    assert_close(got, formula.__wrapped__(backends.host, *args))


LAYOUTS = {
    "rows": ((70, 33), 1),
    "long rows": ((3, 5000), 1),
    "columns": ((33, 70), 0),
    "middle": ((3, 40, 5, 7), 1),
    "one": ((2000, 1), 1),
    "wide": ((2, 3, 1000), 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(formulas, name, layout, dtype):
    shape, axis = LAYOUTS[layout]
    x, g = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    out = getattr(softmax, f"_{name}")(backends.host, x, axis)
    check(getattr(softmax, f"_{name}_x"), "softmax", (g, out, axis), formulas)
    check(getattr(softmax, f"_{name}"), "softmax", (x, axis), formulas)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_values_that_are_not_finite(formulas, name, axis):
    x = normal(64, 64)
    for i, value in enumerate([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0]):
        x[5 * i, 7 * i] = x[5 * i + 1, 2] = value
    x[40], x[:, 41] = -np.inf, -np.inf
    check(getattr(softmax, f"_{name}"), "softmax", (x, axis), formulas)


def test_exponential_of_floats():
    """Within one unit in the last place, also where it is subnormal; exact at the ends."""
    loop = "for (ptrdiff_t i = 0; i < n; i++) out[i] = exp_of(x[i]);"
    function = f'extern "C" void f(const float* x, float* out, ptrdiff_t n) {{ {loop} }}'
    text = f"#include <cstddef>\n{cpu._text('functions.h')}{function}"
    x = np.concatenate([np.linspace(-105, 89, 1_000_003), [0, -0.0, 1e-30, np.inf, -np.inf, np.nan]]).astype(np.float32)
    out = np.empty_like(x)
    compiler.library(text).f(*map(ctypes.c_void_p, map(compiler.data, (x, out))), ctypes.c_ssize_t(x.size))
    with np.errstate(over="ignore"):
        exact = np.exp(x.astype(np.float64))
        want = exact.astype(np.float32)
    finite = want < np.inf
    assert (np.abs(out[finite] - exact[finite]) <= 1.01 * np.spacing(want[finite])).all()
    np.testing.assert_array_equal(out[-6:], [1, 1, 1, np.inf, 0, np.nan])
    assert (out[exact > np.finfo(np.float32).max] == np.inf).all()


@pytest.mark.parametrize("layout", ["transposed", "stepped", "reversed", "broadcast", "unaligned"])
def test_strides(formulas, layout):
    base = normal(64, 64, dtype=np.float64)
    x = {
        "transposed": base.T,
        "stepped": np.repeat(base, 2, 1)[:, ::2],
        "reversed": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[:1], base.shape),
        "unaligned": np.frombuffer(b"0" + base.tobytes(), np.float64, offset=1).reshape(base.shape),
    }[layout]
    check(softmax._softmax, "softmax", (x, 1), formulas)
    check(norm._standardize, "norm", (x, None, None, (1,), (1, 64), 1e-5, True), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("size", [(), (37,), (5, 30)])
def test_cross_entropy(formulas, size, total, dtype):
    n, classes = (300, 10) if not size else (4, 12)
    x = normal(n, classes, *size, dtype=dtype)
    target = np.random.default_rng(1).integers(0, classes, (n, *size))
    shares = np.random.default_rng(2).random((n, 1, *size)).astype(dtype)
    shares[0], shares[1] = 0, np.nan  # what is ignored, and the mean over nothing
    g = np.asarray(0.7, dtype) if total else normal(n, *size, dtype=dtype, seed=3)
    check(cross_entropy._cross_entropy, "cross_entropy", (x, target, shares, total), formulas)
    check(cross_entropy._cross_entropy_x, "cross_entropy", (g, x, target, shares, total), formulas)


#: shape, axes, the shape of weight and bias
NORMS = {
    "layer": ((40, 65), (1,), (1, 65)),
    "layer over two": ((20, 13, 9), (1, 2), (1, 13, 9)),
    "long layer": ((2, 3000), (1,), (1, 3000)),
    "one layer": ((3000,), (0,), (3000,)),
    "group": ((3, 4, 2, 70), (2, 3), (1, 4, 2, 1)),
    "single group": ((3, 1, 8, 70), (2, 3), (1, 1, 8, 1)),
    "instance": ((3, 5, 9, 10), (2, 3), (1, 5, 1, 1)),
    "batch": ((4, 5, 9, 10), (0, 2, 3), (1, 5, 1, 1)),
    "batch of vectors": ((50, 300), (0,), (1, 300)),
    "batch of one channel": ((2000, 1), (0,), (1, 1)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("case", NORMS)
def test_norms(formulas, case, center, dtype):
    shape, axes, affine = NORMS[case]
    if not center and axes[0] == 0 and len(shape) > 1:
        pytest.skip("batches have no norm without centre")
    channels = [n for n in affine if n > 1] or [1]
    x, w, b = (normal(*s, dtype=dtype, seed=i) for i, s in enumerate((shape, channels, channels)))
    x += 10 if center else 0
    for weights in ((w, b), (w, None), (None, None)):
        check(norm._standardize, "norm", (x, *weights, axes, affine, 1e-5, center), formulas)
    rest = norm._standardize.__wrapped__(backends.host, x, w, b, axes, affine, 1e-5, center)[1:]
    g = normal(*shape, dtype=dtype, seed=5)
    for needs in itertools.product((True, False), repeat=3):
        if any(needs):
            of = [x.dtype] * 3
            check(norm._vjp, "norm", ([g, None, None], needs, x, w, b.shape, *of, axes, affine, center, rest), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(), (7,), (9, 11)])
def test_norm_by_known_statistics(formulas, size, dtype):
    w, b = normal(13, dtype=dtype, seed=1), normal(13, dtype=dtype, seed=2)
    check(norm._rescale, "norm", (normal(90, 13, *size, dtype=dtype), w, b, (1, 13, *(1,) * len(size))), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("shape", [(40, 50, 60), (3, 20_000, 5), (70_000, 2, 1), (5, 7, 2_000)])
def test_reductions(shape, axis, turned, dtype):
    """Sums, means, extremes and their places, of NaN and equal elements too, are those of NumPy in double precision."""
    x = normal(*shape, dtype=dtype).round(2)
    x[-1, 1] = x[0, 1]
    x = np.asfortranarray(x) if turned else x
    for keepdims in (False, True):
        for name in ("sum", "mean"):
            got, want = getattr(host, name)(x, axis, keepdims), getattr(np.float64(x), name)(axis, keepdims=keepdims)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * x.size if name == "sum" else 1e-5)
            assert got.shape == want.shape
        for poisoned in (False, True):
            if poisoned:
                x[1, 1, 0] = x[2, 0, 0] = np.nan
            for name in ("max", "min"):
                np.testing.assert_array_equal(
                    getattr(host, name)(x, axis, keepdims), getattr(np, name)(x, axis, keepdims=keepdims)
                )
            for name in ("argmax", "argmin") if type(axis) is not tuple else ():
                got = getattr(host, name)(x, axis, keepdims)
                np.testing.assert_array_equal(got, getattr(np, name)(x, axis, keepdims=keepdims))


def test_empty_and_scalar_inputs_are_left_to_formulas():
    for shape in ((0, 5000), (5000, 0), ()):
        x = gradcu.zeros(shape, requires_grad=True)
        out = gradcu.softmax(x, 0).sum() + gradcu.log_softmax(x, -1).sum()
        out.backward()
        assert x.grad.shape == shape
    assert F.layer_norm(gradcu.zeros(0, 4096), (4096,)).shape == (0, 4096)


def test_results_do_not_depend_on_threads():
    x, w, b = (gradcu.tensor(normal(*s), requires_grad=True) for s in ((700, 300), (300,), (300,)))
    labels = gradcu.tensor(np.arange(700) % 300)
    found, before = [], native.get_num_threads()
    for count in (1, 2, 3):
        native.set_num_threads(count)
        loss = F.cross_entropy(gradcu.softmax(F.layer_norm(x, (300,), w, b), 1), labels)
        found.append([loss.detach().numpy(), *(g.numpy() for g in gradcu.autograd.grad(loss, (x, w, b)))])
    native.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other):
            np.testing.assert_array_equal(one, two)


def test_second_derivatives_pass_through_kernels(formulas):
    """Of a graph that was made by kernels: they are those of the formulas."""

    def second():
        x, w = (gradcu.tensor(normal(*s, dtype=np.float64), requires_grad=True) for s in ((40, 60), (60,)))
        labels = gradcu.tensor(np.arange(40))
        loss = F.cross_entropy(F.layer_norm(x, (60,), w) * gradcu.softmax(x, 0), labels)
        gradient = gradcu.autograd.grad(loss, (x, w), create_graph=True)
        (gradient[0].pow(2).sum() + gradient[1].pow(2).sum()).backward()
        return x.grad.numpy(), w.grad.numpy()

    with_kernels = second()
    formulas()
    for got, want in zip(with_kernels, second(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
]
SIZES = [(3,), (70, 40), (), (0, 5), (9000,), (1, 1)]


def trained(lib, name, settings, dtype):
    """Parameters and state after steps with new gradients; one parameter gets its first later, one has none."""
    params = [lib.tensor(normal(*s, dtype=dtype, seed=i), requires_grad=True) for i, s in enumerate([*SIZES, (8,)])]
    optimizer = getattr(lib.optim, name)(params, **settings)
    for step in range(4):
        for i, p in enumerate(params[:-1]):
            p.grad = None if i == 1 and step == 0 else lib.tensor(normal(*p.shape, dtype=dtype, seed=step * 50 + i))
        optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.5
    states = [[optimizer.state[p][k].numpy() for k in sorted(optimizer.state[p]) if optimizer.state[p][k] is not None]
              for p in params[:-1]]  # fmt: skip
    return [p.detach().numpy() for p in params], states


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_optimizers(formulas, name, settings, dtype):
    with_kernels = trained(gradcu, name, settings, dtype)
    formulas()
    assert_close(with_kernels, trained(gradcu, name, settings, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "settings"), OPTIMIZERS)
def test_optimizers_equal_pytorchs(original, name, settings, dtype):
    assert_close(trained(gradcu, name, settings, dtype)[0], trained(original, name, settings, dtype)[0])


def test_optimizer_goes_on_where_arrays_change(formulas):
    """New memory for parameters, a loaded state, and parameters in another order between steps."""

    def steps():
        p = gradcu.tensor(normal(80, 40), requires_grad=True)
        optimizer = gradcu.optim.Adam([p], lr=0.1)
        for step in range(4):
            if step == 1:
                p.data = p.data.clone()
            if step == 2:
                optimizer.load_state_dict(optimizer.state_dict())
            if step == 3:
                p.data = p.data.t().contiguous().t()
            p.grad = gradcu.tensor(normal(80, 40, seed=step))
            optimizer.step()
        return p.detach().numpy()

    with_kernels = steps()
    formulas()
    assert_close(with_kernels, steps())


#: shapes of input and weight, padding, dilation, groups
CONVOLUTIONS = {
    "two dimensions": ((2, 3, 9, 10), (5, 3, 3, 3), ((1, 1), (1, 1)), (1, 1), 1),
    "many channels": ((2, 35, 12, 20), (19, 35, 3, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "uneven padding": ((2, 3, 20, 31), (4, 3, 2, 4), ((0, 1), (2, 1)), (1, 1), 1),
    "dilation": ((1, 4, 30, 40), (3, 4, 3, 3), ((2, 2), (0, 0)), (2, 3), 1),
    "groups": ((2, 6, 15, 16), (9, 2, 3, 3), ((1, 1), (1, 1)), (1, 1), 3),
    "depthwise": ((2, 9, 20, 20), (9, 1, 3, 3), ((1, 1), (1, 1)), (1, 1), 9),
    "one dimension": ((3, 5, 700), (11, 5, 7), ((3, 3),), (1,), 1),
    "three dimensions": ((2, 2, 6, 20, 20), (3, 2, 2, 3, 3), ((1, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
    "planes of 4096 bytes": ((2, 20, 32, 32), (8, 20, 3, 3), ((0, 0), (0, 0)), (1, 1), 1),
    "long rows": ((1, 2, 3, 3000), (2, 2, 2, 5), ((0, 0), (0, 0)), (1, 1), 1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(formulas, case, dtype):
    x_shape, w_shape, padding, dilation, groups = CONVOLUTIONS[case]
    x, w, b = normal(*x_shape, dtype=dtype), normal(*w_shape, dtype=dtype, seed=1), normal(w_shape[0], dtype=dtype)
    stride = (1,) * len(dilation)
    out = conv.out_size(x_shape[2:], w_shape[2:], stride, padding, dilation)
    y = normal(x_shape[0], w_shape[0], *out, dtype=dtype, seed=2)
    place = stride, padding, dilation, groups
    check(conv._forward, "conv", (x, w, b, *place), formulas)
    check(conv._forward, "conv", (x, w, None, *place), formulas)
    check(conv._input_adjoint, "conv", (y, w, x_shape[2:], *place), formulas)
    check(conv._weight_adjoint, "conv", (x, y, w_shape[2:], *place), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(5, 20, 30), (1, 33, 40), (12, 1, 100), (2, 70, 16)])
def test_lstm(formulas, sizes, dtype):
    steps, n, size = sizes
    shapes = (steps, n, 4 * size), (n, size), (n, size), (4 * size, size)
    x, h, c, w = (normal(*shape, dtype=dtype, seed=i, scale=0.5) for i, shape in enumerate(shapes))
    x[0, 0] = np.resize([np.inf, -np.inf, 200, -200, 0], 4 * size)
    out = recurrent._lstm(backends.host, x, h, c, w)
    g_hs, g_cs = (normal(steps, n, size, dtype=dtype, seed=i) for i in (5, 6))
    formula, kernel = recurrent._vjp.__wrapped__, importlib.import_module("gradcu.backends.cpu.recurrent").vjp
    for g in ([g_hs, g_cs, None], [g_hs, None, None]):
        assert_close(kernel(g, (True,) * 4, h, c, w, out), formula(backends.host, g, (True,) * 4, h, c, w, out))
    check(recurrent._lstm, "recurrent", (x, h, c, w), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_running_sums(formulas, layout, reverse, dtype):
    shape, axis = LAYOUTS[layout]
    check(scan._running_sum, "scan", (normal(*shape, dtype=dtype), axis, reverse), formulas)


BANDS = {
    "nearest": ((3, 40, 50), (resample.nearest(40, 90, 40 / 90, False), resample.nearest(50, 20, 2.5, True))),
    "linear": ((2, 3, 700), (resample.interpolating(700, 1100, 700 / 1100, False, False, False),)),
    "cubic": ((3, 30, 40), tuple(resample.interpolating(n, 60, n / 60, True, False, False) for n in (30, 40))),
    "antialias": ((2, 90, 80), tuple(resample.interpolating(n, 31, n / 31, False, False, True) for n in (90, 80))),
    "averages": ((2, 10, 15, 16), (resample.averaging(10, 3), None, resample.averaging(16, 7))),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BANDS)
def test_resampling(formulas, case, dtype):
    shape, bands = BANDS[case]
    x = normal(*shape, dtype=dtype)
    out = resample._resample(backends.host, x, bands)
    back = tuple(band and band.transposed for band in bands)
    check(resample._resample, "resample", (normal(*out.shape, dtype=dtype, seed=1), back), formulas)
    check(resample._resample, "resample", (x, bands), formulas)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_adding_at_repeated_indices(dtype, axis):
    x = normal(30, 20, 10, dtype=dtype)
    places = np.random.default_rng(1).integers(-10, 10, (5, 7))
    index = (*[slice(None)] * axis, places)
    values = normal(*x[index].shape, dtype=dtype, seed=2)
    for added in (values, values[..., :1], np.broadcast_to(values[:1, :1, :1], values.shape)):
        got, want = x.copy(), x.copy()
        assert scatter.add_at(got, index, added)
        np.add.at(want, index, added)
        assert_close(got, want)


def test_indices_out_of_range_are_left_to_numpy():
    x = np.zeros((100, 20), np.float32)
    for places in ([100, 0], [-101]):
        assert not scatter.add_at(x, np.array(places), np.float32(1))
        with pytest.raises(IndexError):
            backends.host.combine_at(x, np.array(places), np.float32(1))
    assert not x.any()


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, np.int32])
def test_adding_rows_of_other_dtypes(dtype):
    places = np.array([3, 1, 3, 3, 0])
    values = np.arange(15).reshape(5, 3).astype(dtype)
    got, want = np.zeros((4, 3), dtype), np.zeros((4, 3), dtype)
    backends.host.combine_at(got, places, values)
    np.add.at(want, places, values)
    np.testing.assert_array_equal(got, want)


def test_names_of_numpy_hide_none_of_pythons():
    xp, x = backends.host, np.zeros((2, 2))
    assert xp.all(xp.ones(1))  # looked up once, it may not hide Python's `all`
    xp.combine_at(x, np.eye(2, dtype=bool), 1.0, "maximum")
    assert x.tolist() == [[1, 0], [0, 1]]

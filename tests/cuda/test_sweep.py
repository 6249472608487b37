"""The registry sweep on CuPy's arrays: what every primitive gives on a CUDA device is what it gives on the CPU.

On a real device `tests/gpu` calls the same functions.
"""

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.tensor import Tensor, from_array
from tests.cuda import hostcupy
from tests.cuda.nvrtc import ARCHITECTURES
from tests.test_ops import DIFFERENTIABLE, PRIMITIVES, by_name, floats, like, run, samples, split

TOLERANCE = {"float32": 2e-5, "float64": 1e-10}
both_precisions = pytest.mark.parametrize("dtype", TOLERANCE)


@pytest.fixture(scope="module")
def earlier(cupy):
    """How many sources had been compiled before these tests."""
    return len(hostcupy.sources)


@pytest.fixture(scope="module")
def device(earlier):
    """The device under test: here the host's memory under CuPy's arrays."""
    backends.cuda()
    return "cuda"


def on(device, inputs):
    """Inputs or attributes as they are in a sample, with tensors, arrays and devices those of the device."""

    def moved(t):
        if isinstance(t, gradcu.device):
            return gradcu.device(device)
        if isinstance(t, np.ndarray):
            return from_array(t).to(device)._array
        return t.detach().to(device).requires_grad_(t.requires_grad) if isinstance(t, Tensor) else t

    return [[moved(t) for t in one] if isinstance(one, list) else moved(one) for one in inputs]


def same(got, want, dtype, name):
    assert got.device.type == "cuda", f"{name}: the result is on {got.device}"
    assert got.dtype is want.dtype, f"{name}: {got.dtype}, on the CPU {want.dtype}"
    assert got.shape == want.shape, name
    got, want = got.detach().cpu().numpy(), want.detach().numpy()
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name)
    else:
        np.testing.assert_array_equal(got, want, err_msg=name)


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def cases(p, dtype):
    """The samples as (inputs, attributes), one alone of float32; those of operations on integers are made integers."""
    for sample in samples(p, dtype)[: None if dtype == "float64" else 1]:
        inputs, attributes = split(p, sample)
        if "f" not in getattr(p, "kinds", "f"):
            inputs = [t.long() for t in inputs]
        yield inputs, attributes


def check_value(p, dtype, device):
    for inputs, attributes in cases(p, dtype):
        want = as_tuple(p.record(inputs, attributes))
        try:
            got = as_tuple(p.record(on(device, inputs), tuple(on(device, attributes))))
        except NotImplementedError as error:
            pytest.skip(str(error))
        for a, b in zip(got, want, strict=True):
            same(a, b, dtype, f"{p.name}{attributes}")


def check_gradient(p, dtype, device):
    for inputs, attributes in cases(p, dtype):
        inputs = like(inputs, [t._array for t in floats(inputs)])
        grads = []
        for where in ("cpu", device):
            leaves, rest = on(where, inputs), tuple(on(where, attributes))
            try:
                outs = [out for out in run(p, leaves, rest) if out.requires_grad]
            except NotImplementedError as error:
                pytest.skip(str(error))
            if not outs:
                break
            weights = [gradcu.ones_like(out) for out in outs]
            try:
                grads.append(gradcu.autograd.grad(outs, floats(leaves), weights, allow_unused=True))
            except RuntimeError as error:
                if "derivative" not in str(error) or "not implemented" not in str(error):
                    raise
                break  # it is an error on every device
        for want, got in zip(*grads, strict=True):
            assert (want is None) == (got is None), p.name
            if want is not None:
                same(got, want, dtype, f"gradient of {p.name}{attributes}")


@by_name(PRIMITIVES)
@both_precisions
def test_value(p, dtype, device):
    check_value(p, dtype, device)


@by_name(DIFFERENTIABLE)
@both_precisions
def test_gradient(p, dtype, device):
    check_gradient(p, dtype, device)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_nvrtc_compiles_what_ran(compiler, device, earlier, arch):
    """Of the sources that these tests made CuPy run on the host, each architecture gets its share."""
    sources = sorted({source.text: source for source in hostcupy.sources[earlier:]}.values())
    step = max(len(ARCHITECTURES), len(sources) // 80)
    for text, options, names in sources[ARCHITECTURES.index(arch) :: step]:
        compiler.compile_source(text, arch, options=options, name_expressions=names)

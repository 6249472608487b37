"""Formulas as one CUDA kernel: the results of composite operations, of fused functions, and the user's own CUDA C++."""

import re

import numpy as np
import pytest

import gradcu
from gradcu import backends
from gradcu.backends.gpu import C_TYPES
from gradcu.backends.native import Kernel
from gradcu.graph.op import registry
from gradcu.ops.pointwise import Elementwise
from tests.cuda import hostcupy
from tests.cuda.nvrtc import ARCHITECTURES
from tests.cuda.resources import KERNELS

F = gradcu.nn.functional


@pytest.fixture
def device(cupy):
    backends.cuda()
    return "cuda"


@gradcu.fuse
def gated(x, y, mask, scale=2.0):
    return gradcu.where(mask, F.gelu(x) * y, gradcu.exp(-x) + scale)


def arguments(device, dtype):
    rng = np.random.default_rng(0)
    x, y = (gradcu.tensor(rng.normal(size=s)).to(dtype).to(device).requires_grad_() for s in ((3, 4), (4,)))
    return x, y, gradcu.tensor(rng.normal(size=(3, 1)) > 0).to(device)


@pytest.mark.parametrize("dtype", [gradcu.float16, gradcu.bfloat16, gradcu.float32, gradcu.float64])
def test_a_fused_function_gives_what_it_gives_on_the_cpu(device, dtype):
    if dtype is gradcu.bfloat16:
        pytest.importorskip("ml_dtypes")
    results = []
    for where in ("cpu", device):
        x, y, mask = arguments(where, dtype)
        out = gated(x, y, mask, 0.5)
        out.sum().backward()
        results.append([t.detach().cpu().double().numpy() for t in (out, x.grad, y.grad)])
    tolerance = {2: 1e-2, 4: 2e-5, 8: 1e-10}[dtype.itemsize]
    for got, want in zip(*results[::-1], strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def kernels(since):
    return [s.text for s in hostcupy.sources[since:]]


def test_one_kernel_forward_and_one_backward(device):
    """A new number needs no new one; a broadcast input needs a sum after it."""
    before = len(hostcupy.sources)
    own = gradcu.fuse(lambda x, y, scale: gradcu.tanh(x * 0.123) * y + scale)  # which no other test has compiled
    for scale in (0.25, 0.75):
        x, y, _ = arguments(device, gradcu.float32)
        own(x, y, scale).backward(gradcu.ones(3, 4).to(device))
    assert len({text for text in kernels(before) if "pointwise" in text}) == 2


def test_composite_operations_run_as_one_kernel(device):
    x = gradcu.linspace(-2, 2, 5).to(device).requires_grad_()
    before = len(hostcupy.sources)
    F.mish(x).backward(gradcu.ones(5).to(device))
    assert len(kernels(before)) <= 3  # forward, backward, and the ones
    want = gradcu.linspace(-2, 2, 5).requires_grad_()
    F.mish(want).backward(gradcu.ones(5))
    np.testing.assert_allclose(x.grad.cpu().numpy(), want.grad.numpy(), rtol=1e-5)


def test_scalars_are_operands(device):
    x = gradcu.tensor([[1.0, -2.0], [3.0, -4.0]]).to(device)
    one = gradcu.tensor(0.5).to(device)
    got = gradcu.lerp(x, x * 2, one) + F.hardtanh(x, -1.0, 1.0)
    np.testing.assert_allclose(got.cpu().numpy(), [[2.5, -4.0], [5.5, -7.0]])


PACKED = ("-std=c++17", f"-I{KERNELS}")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_packs_are_moved_by_instructions_of_16_bytes(compiler, dtype):
    from gradcu.expr.cuda import packed_source

    raw = gradcu.dtypes.dtype.by_name[dtype].numpy
    trace, results, _ = SEVERAL.trace(raw, ["array", "array", "array bool", "number"], [None] * 4)
    text = packed_source(trace, results, C_TYPES[dtype], [False, False, False, True])
    found = compiler.ptx(text, "sm_90", options=PACKED)
    assert len(re.findall(r"ld\.global(?:\.nc)?\.v[24]\.[usfb](?:32|64)", found)) == 2  # the rest are those of the tail
    assert len(re.findall(r"st\.global\.v[24]\.[usfb](?:32|64)", found)) == 2


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nvrtc_compiles_every_formula(compiler, arch, dtype):
    """Each composite elementwise operation, as CuPy would be given it: all forward formulas in one kernel."""
    import cupy

    from gradcu.expr.cuda import elementwise_source, packed_source

    raw = gradcu.dtypes.dtype.by_name[dtype].numpy
    chosen = [p for p in registry.values() if isinstance(p, Elementwise) and "f" in p.kinds and p.vjp]
    compiled = 0
    for p in chosen[ARCHITECTURES.index(arch) :: len(ARCHITECTURES) * 2]:
        values = [None] * len(p.inputs) + list(p._defaults.values())
        kinds = ["array"] * len(p.inputs) + [(type(v), v) for v in p._defaults.values()]
        try:
            trace, results, _ = Kernel(lambda xp, *a, p=p: [xp.apply(p, *a)]).trace(raw, kinds, values)
        except Exception:
            continue
        if results[0].boolean:
            continue
        kernel = cupy.ElementwiseKernel(*elementwise_source(trace, results), "pointwise")
        assert compiler.compile_elementwise(kernel, raw, arch).startswith(b"\x7fELF")
        if compiled % 4 == 0:  # the same statements in another frame
            text = packed_source(trace, results, C_TYPES[dtype], [False] * len(trace.arguments))
            assert compiler.compile_source(text, arch, options=PACKED).startswith(b"\x7fELF")
        compiled += 1
    assert compiled > 10


def several(xp, x, y, mask, scale):
    return [xp.where(mask, xp.tanh(x) * y, xp.exp(-x) + scale), xp.logical_and(mask, x > y), 1 / y + x * scale]


SEVERAL = Kernel(several)

#: how operands lie in memory, and of which one element stands for all; None where they cannot be read in packs
OPERANDS = {
    "alike": (lambda xp, x, y, mask: (x, y, mask), (False, False, False)),
    "matrices": (lambda xp, *operands: tuple(a[:, None] for a in operands), (False, False, False)),
    "one element": (lambda xp, x, y, mask: (x, y[0], mask), (False, True, False)),
    "repeated": (lambda xp, x, y, mask: (x, xp.broadcast_to(y[:1], x.shape), mask), (False, True, False)),
    "one mask": (lambda xp, x, y, mask: (x, y, mask[0]), (False, False, True)),
    "between packs": (lambda xp, x, y, mask: (x, xp.concatenate([y[:1], y])[1:], mask), None),
    "mask between packs": (lambda xp, x, y, mask: (x, y, xp.concatenate([mask[:1], mask])[1:]), None),
    "every other": (lambda xp, x, y, mask: (x, y.repeat(2)[::2], mask), None),
    "broadcast": (lambda xp, x, y, mask: (x, xp.stack([y, y]), mask), None),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("operands", OPERANDS)
def test_packs_give_what_single_elements_give(device, monkeypatch, operands, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    xp, rng = backends.cuda(), np.random.default_rng(0)
    raw = gradcu.dtypes.dtype.by_name[dtype].numpy
    place, alone = OPERANDS[operands]
    for size in (3, 4, 5, 8, 19, *([0, 1, 8191] if operands == "alike" else [])):
        x, y = (xp.asarray(rng.normal(size=size).astype(raw)) for _ in range(2))
        given = *place(xp, x, y, xp.asarray(rng.normal(size=size) > 0)), 0.75
        want = xp.fused(SEVERAL, given)
        with monkeypatch.context() as patch, hostcupy.schedule(size % 3):
            patch.setattr(xp._Pointwise, "LARGE", 1)
            got = xp.fused(SEVERAL, given)
            fits = xp._alone(x.shape if operands != "matrices" else (size, 1), given)
        assert fits == (None if alone is None else (*alone, True)) or size <= 1
        (made,) = (made for kind, made in SEVERAL._built.items() if kind[1] == raw)
        assert not size or alone is None or (*alone, True) in made.packed
        assert [a.dtype for a in got] == [raw, bool, raw]
        for a, b in zip(got, want, strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a.get(), b.get())


SOURCE = """
template <class T> __global__ void scaled_square(const T* x, T* y, double scale, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) y[i] = T(scale) * x[i] * x[i];
}
template <class T> __global__ void back(const T* g, const T* x, T* dx, double scale, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) dx[i] = T(scale) * 2 * g[i] * x[i];
}
"""


@pytest.mark.parametrize("dtype", [gradcu.float32, gradcu.float64])
def test_own_cuda_source_is_an_operation(device, dtype):
    square = gradcu.cuda.RawKernel(SOURCE, "scaled_square", "back")
    x = gradcu.linspace(-1, 1, 600, dtype=dtype).to(device).reshape(20, 30).t().requires_grad_()
    out = square(x, 3.0)
    out.sum().backward()
    np.testing.assert_allclose(out.detach().cpu().numpy(), 3 * x.detach().cpu().numpy() ** 2, rtol=1e-6)
    np.testing.assert_allclose(x.grad.cpu().numpy(), 6 * x.detach().cpu().numpy(), rtol=1e-6)
    assert square(x.detach(), 1.0).dtype is dtype
    assert square.source() == SOURCE


def test_own_cuda_source_without_a_backward_says_so(device):
    square = gradcu.cuda.RawKernel(SOURCE, "scaled_square")
    x = gradcu.ones(3).to(device).requires_grad_()
    with pytest.raises(RuntimeError, match="has no gradient"):
        square(x, 1.0).sum().backward()


def test_own_cuda_source_refuses_what_it_cannot_take(device):
    with pytest.raises(ValueError, match="no function 'missing'"):
        gradcu.cuda.RawKernel(SOURCE, "missing")
    square = gradcu.cuda.RawKernel(SOURCE, "scaled_square")
    with pytest.raises(RuntimeError, match="tensors of one CUDA device"):
        square(gradcu.ones(3), 1.0)
    with pytest.raises(TypeError, match="numbers after"):
        square(1.0, gradcu.ones(3).to(device))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_own_cuda_source_compiles(compiler, arch):
    names = [f"{f}<float>" for f in ("scaled_square", "back")]
    assert compiler.compile_source(SOURCE, arch, name_expressions=names).startswith(b"\x7fELF")

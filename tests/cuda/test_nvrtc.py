"""NVRTC compiles the kernels of this project, generated and written, for each architecture, without a GPU."""

import re

import pytest

from gradcu.backends.gpu.instances import INSTANCES
from tests.cuda import hostcupy, resources
from tests.cuda.nvrtc import ARCHITECTURES
from tests.cuda.resources import KERNELS

ELF = b"\x7fELF"


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("family", sorted(path.stem for path in KERNELS.glob("*.cu")))
def test_written_kernels(compiler, family, arch):
    for function in re.findall(r"__global__\s+void\s+(\w+)", (KERNELS / f"{family}.cu").read_text()):
        assert function in INSTANCES[family], f"say in gpu/instances.py for which types {family}.cu gives {function}"
    binary, needs = resources.compiled(family, arch)
    assert binary.startswith(ELF)
    known = resources.recorded()
    for name, own in needs.items():
        before = known.get((name, arch))
        assert before is not None, f"{name} is not in resources.txt: run python -m tests.cuda.resources"
        # Other releases of NVRTC need a few registers more; a stack or shared memory does not come by chance.
        within = own.registers <= before.registers + 16 and own.stack <= before.stack and own.shared <= before.shared
        assert within, f"{name} on {arch} needs {own}, and needed {before}: see tests/cuda/resources.py if it has to"


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_elementwise_kernel(compiler, dtype, arch):
    pytest.importorskip("ml_dtypes")
    import cupy

    kernel = cupy.ElementwiseKernel("T x, float32 a", "T y, bool m", "m = x > 0; y = m ? x : T(a * exp(x))", "elu")
    assert compiler.compile_elementwise(kernel, dtype, arch, scalars=["a"], ndim=2, contiguous=False).startswith(ELF)


def test_elementwise_source_is_what_cupy_generates(compiler, request):
    cupy = request.getfixturevalue("cupy")
    kernel = cupy.ElementwiseKernel("T x, U g, float32 a", "T y", "y = x + g * a", "same_source")
    kernel(cupy.zeros((2, 3), "f4"), cupy.zeros(3, "i4"), 2.0)
    called = next(source.text for source in hostcupy.sources if "same_source" in source.text)
    generated = compiler.elementwise_source(kernel, {"T": "f4", "U": "i4"}, ndim=2, scalars=["a"])
    assert generated.split("typedef", 1)[0] == called.split("typedef", 1)[0]
    assert "CArray<int, 2" in called
    assert "CArray<int, 2" in generated


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_source_that_was_run_on_the_host(compiler, request, arch):
    cupy = request.getfixturevalue("cupy")
    cupy.ElementwiseKernel("T x", "T y", "y = tanh(x)", "run_on_host")(cupy.zeros(3, "f2"))
    source = next(source for source in hostcupy.sources if "run_on_host" in source.text)
    binary = compiler.compile_source(
        source.text, arch, options=source.options, name_expressions=source.name_expressions
    )
    assert binary.startswith(ELF)


@pytest.mark.parametrize(("dtype", "several"), [("__half", 8), ("__nv_bfloat16", 8), ("float", 4), ("double", 2)])
def test_packs_are_read_and_written_by_instructions_of_16_bytes(compiler, dtype, several):
    found = compiler.ptx(KERNELS / "softmax.cu", "sm_90", name_expressions=[f"softmax_x<{dtype}, {several}>"])
    assert len(re.findall(r"ld\.global(?:\.nc)?\.v[24]", found)) == 4  # g and y, each of them twice
    assert len(re.findall(r"st\.global\.v[24]", found)) == 1
    assert not re.findall(r"(?:ld|st)\.(?:global(?:\.nc)?\.[usfb]\d|local)", found)


def test_templates_are_compiled_by_name(compiler):
    source = "template <class T> __global__ void f(T *x) { *x = T(1); }"
    assert b"f" in compiler.compile_source(source, "sm_90", name_expressions=["f<float>", "f<double>"])


def test_a_file_includes_headers_of_its_folder(compiler, tmp_path):
    (tmp_path / "common.cuh").write_text("__device__ int twice(int x) { return 2 * x; }")
    (tmp_path / "f.cu").write_text('#include "common.cuh"\nextern "C" __global__ void f(int *x) { *x = twice(*x); }')
    assert compiler.compile_source(tmp_path / "f.cu", "sm_90").startswith(ELF)


def test_an_error_shows_the_line(compiler):
    import cupy

    with pytest.raises(
        cupy.cuda.compiler.CompileException, match=r'kernel.cu\(2\): error: identifier "missing" is undefined'
    ):
        compiler.compile_source('extern "C" __global__ void f() {\n missing = 1; }', "sm_90")

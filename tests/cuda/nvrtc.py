"""Compiles CUDA sources with NVRTC for real architectures; it needs neither GPU nor driver.

For CuPy's kernel objects the source is the one that CuPy generates for given types. The private parts of CuPy that this
takes are used in this file only. They are those of CuPy 14.2, so the version is pinned where tests are installed."""

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")  # A100, H100, B200


def missing() -> str | None:
    """What this machine lacks to compile with NVRTC, as the reason to skip a test; None where all is there."""
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed (pip install '.[test-cuda]')"
    from cupy_backends.cuda.libs import nvrtc

    try:
        nvrtc.getVersion()
    except RuntimeError as error:
        return f"NVRTC is not installed (pip install '.[test-cuda]'): {error}"
    return None


def compile_source(
    source: str | Path, arch: str, *, options: Sequence[str] = (), name_expressions: Sequence[str] = ()
) -> bytes:
    """The binary of a CUDA source, or of the file at a path, compiled as CuPy's RawModule compiles it.

    A file may include headers of its folder.
    `name_expressions` name the instances of templates to compile, as for RawModule. Raises
    cupy.cuda.compiler.CompileException with NVRTC's log."""
    from cupy._core import core
    from cupy.cuda import compiler

    if isinstance(source, Path):
        name, text, folder = source.name, source.read_text(), (f"-I{source.parent}",)
    else:
        name, text, folder = "kernel.cu", source, ()
    flags = dict.fromkeys((*options, *folder, *core.assemble_cupy_compiler_options(())))  # each once
    program = compiler._NVRTCProgram(text, name, name_expressions=tuple(name_expressions), method="cubin")
    return program.compile((*flags, "-ftz=true", f"-arch={arch}", "--device-as-default-execution-space"))[0]


def compile_elementwise(
    kernel: Any,
    dtypes: Mapping[str, Any] | Any,
    arch: str,
    *,
    ndim: int = 1,
    contiguous: bool = True,
    scalars: Collection[str] = (),
) -> bytes:
    """The binary of a `cupy.ElementwiseKernel` for one dtype, or for one of each type letter (`{"T": "float32"}`).

    The parameters named in `scalars` are Python numbers in the call, the others arrays of `ndim` dimensions."""
    return compile_source(elementwise_source(kernel, dtypes, ndim=ndim, contiguous=contiguous, scalars=scalars), arch)


def elementwise_source(
    kernel: Any,
    dtypes: Mapping[str, Any] | Any,
    *,
    ndim: int = 1,
    contiguous: bool = True,
    scalars: Collection[str] = (),
) -> str:
    """The source that CuPy generates for such a call of a `cupy.ElementwiseKernel`."""
    import cupy
    from cupy._core import _carray, _kernel, _scalar, core

    array_kind, indexer_kind, scalar_kind = 1, 2, 3
    infos, known = [], []
    for parameter in kernel.params[: kernel.nin + kernel.nout]:
        dtype = parameter.dtype or (dtypes[parameter.ctype] if isinstance(dtypes, Mapping) else dtypes)
        if parameter.name in scalars:
            info = _kernel._ArgInfo(scalar_kind, _scalar.CScalar, np.dtype(dtype), 0, True, True)
        else:
            info = _kernel._ArgInfo(array_kind, cupy.ndarray, np.dtype(dtype), ndim, contiguous, True)
        infos.append(info)
        known.append(np.dtype(dtype))
    infos.append(_kernel._ArgInfo(indexer_kind, _carray.Indexer, None, ndim, True, True))
    types = kernel._decide_params_type(tuple(known[: kernel.nin]), tuple(known[kernel.nin :]))[2]
    text = _kernel._get_elementwise_kernel_code(
        tuple(infos), types, kernel.params, kernel.operation, kernel.name, kernel.preamble, **kernel.kwargs
    )
    return "".join(f"#include <{header}>\n" for header in core._cupy_header_list) + text

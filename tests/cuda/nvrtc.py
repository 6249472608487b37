"""Compiles CUDA sources with NVRTC for real architectures; it needs neither GPU nor driver.

For CuPy's kernel objects the source is the one that CuPy generates for given types. The private parts of CuPy that this
takes are used in this file only. They are those of CuPy 14.2, so the version is pinned where tests are installed."""

import importlib.util
import struct
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
    return _compile(source, arch, options, name_expressions)[0]


def ptx(
    source: str | Path, arch: str, *, options: Sequence[str] = ("-std=c++17",), name_expressions: Sequence[str] = ()
) -> str:
    """The instructions of a source before registers are assigned, as text."""
    return _compile(source, arch.replace("sm", "compute"), options, name_expressions, "ptx")[0].decode()


def _compile(
    source: str | Path, arch: str, options: Sequence[str], name_expressions: Sequence[str], method: str = "cubin"
) -> tuple[bytes, dict[str, str]]:
    """The binary, and how the instances of templates are called in it."""
    from cupy._core import core
    from cupy.cuda import compiler

    if isinstance(source, Path):
        name, text, folder = source.name, source.read_text(), (f"-I{source.parent}",)
    else:
        name, text, folder = "kernel.cu", source, ()
    flags = dict.fromkeys((*options, *folder, *core.assemble_cupy_compiler_options(())))  # each once
    program = compiler._NVRTCProgram(text, name, name_expressions=tuple(name_expressions), method=method)
    return program.compile((*flags, "-ftz=true", f"-arch={arch}", "--device-as-default-execution-space"))


class Resources(NamedTuple):
    """What each thread of a kernel needs in registers and bytes of stack, and each block in bytes of shared memory.

    The stack holds spilled registers, and arrays that are indexed at run time."""

    registers: int
    stack: int
    shared: int


def resources(
    source: str | Path, arch: str, *, options: Sequence[str] = (), name_expressions: Sequence[str]
) -> tuple[bytes, dict[str, Resources]]:
    """The binary of a source, and what each instance needs; dynamic shared memory does not count."""
    binary, symbols = _compile(source, arch, options, name_expressions)
    per_symbol = _needs(binary)
    return binary, {expression: per_symbol[symbol] for expression, symbol in symbols.items()}


def _needs(binary: bytes) -> dict[str, Resources]:
    """What the kernels of a binary need, by symbol: from its ELF sections `.nv.info` and `.nv.shared.<symbol>`."""
    start, (size, count, names) = struct.unpack_from("<Q", binary, 40)[0], struct.unpack_from("<HHH", binary, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", binary, start + size * i) for i in range(count)]

    def text(at: int) -> str:
        return binary[at : binary.index(b"\0", at)].decode()

    sections = {text(headers[names][4] + header[0]): header for header in headers}
    found: dict[str, dict[int, int]] = {}
    table, strings = sections[".symtab"], sections[".strtab"]
    _, _, _, _, at, length, *_ = sections[".nv.info"]
    end = at + length
    registers, frame = 0x2F, 0x11  # EIATTR_REGCOUNT and EIATTR_FRAME_SIZE: a symbol and a number, 4 bytes each
    while at < end:
        form, attribute, value = struct.unpack_from("<BBH", binary, at)
        at += 4
        if form == 4:  # `value` bytes follow
            if attribute in (registers, frame):
                symbol, number = struct.unpack_from("<II", binary, at)
                name = text(strings[4] + struct.unpack_from("<I", binary, table[4] + 24 * symbol)[0])
                found.setdefault(name, {})[attribute] = number
            at += value
    shared = {name.removeprefix(".nv.shared."): header[5] for name, header in sections.items()}
    kernels = ((name, own) for name, own in found.items() if registers in own)
    return {name: Resources(own[registers], own.get(frame, 0), shared.get(name, 0)) for name, own in kernels}


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

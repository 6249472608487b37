"""Real CuPy on a machine without GPU, driver or CUDA toolkit: device memory is host memory, kernels run on the CPU.

`install()`, called before anything imports cupy, puts stand-ins under CuPy; all above them is the real thing:

- the CUDA runtime and driver: `hostcuda/runtime.cpp`, whose functions replace the pointers that CuPy's Cython modules
  take from `cupy_backends.cuda.api`. Memory, copies, streams and launches work on host memory, for one device;
- NVRTC: each source that CuPy generates (ufuncs, reductions, ElementwiseKernel, ...) or is given (RawModule) is
  compiled by g++ behind `hostcuda/device.h`, once, and kept on disk under its content's hash;
- the libraries that come without source (cuBLAS, cuSOLVER, cuFFT, Thrust): NumPy on the same memory, `hostlibs.py`.

So dispatch, type rules, strides, errors, and what CuPy refuses (`np.asarray` of a device array, mixed operands) are
CuPy's own. Not seen here: the rounding of a GPU's instructions, races, and the libraries themselves, CUB's reductions
(which CuPy prefers on a real device) among them.
"""

import ctypes
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

SOURCES = Path(__file__).parent / "hostcuda"
CACHE = Path(os.environ.get("HOSTCUPY_CACHE") or Path(tempfile.gettempdir()) / f"hostcupy-{os.getuid()}")
# glibc's checked longjmp, which some distributions turn on, refuses to change stacks: fibers do.
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-w", "-fno-gnu-unique", "-ffp-contract=off", "-U_FORTIFY_SOURCE")


def missing() -> str | None:
    """What this machine lacks to run CuPy on the host, as the reason to skip a test; None where all is there."""
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed (pip install '.[test-cuda]')"
    if not _cuda_headers():
        return "the CUDA headers are not installed (pip install '.[test-cuda]')"
    if shutil.which("g++") is None:
        return "there is no g++"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's own headers are not installed (python3-dev)"
    return None


def installed() -> bool:
    """Whether `import cupy` gives the host-backed CuPy."""
    return install.cache_info().currsize == 1


@functools.cache
def install() -> None:
    """Makes `import cupy` give the host-backed CuPy for the rest of this process."""
    if "cupy" in sys.modules:
        raise RuntimeError("hostcupy.install() must come before the first import of cupy")
    os.environ["CUPY_ACCELERATORS"] = ""  # CUB's reductions exist in compiled form only
    _replace_calls(_runtime())
    from tests.cuda import hostlibs

    hostlibs.install()
    import cupy

    cupy.cuda.set_allocator(None)  # no pool, so that each array is a block of its own, with its guard
    cupy.cuda.compiler._compile_module_with_cache = _compile_module


@contextmanager
def schedule(order: int) -> Iterator[None]:
    """Runs threads in another order: 0 is ascending, 1 descending (of blocks too), others seed random orders of warps.

    A kernel that misses a barrier gives different results under different schedules."""
    setting = ctypes.c_int.in_dll(_runtime(), "host_schedule")
    before, setting.value = setting.value, order
    try:
        yield
    finally:
        setting.value = before


# ---- the CUDA runtime and driver ------------------------------------------------------------------------------------

_CTYPES = {
    "PyObject *": ctypes.py_object,
    "intptr_t": ctypes.c_ssize_t,
    "size_t": ctypes.c_size_t,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "float": ctypes.c_float,
}
_signatures: list[bytes] = []  # a capsule keeps only the address of its name


@functools.cache
def _runtime() -> ctypes.PyDLL:
    text = (SOURCES / "runtime.cpp").read_text()
    path = _build(text, ("-shared", f"-I{sysconfig.get_paths()['include']}"), "runtime.so")
    return ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _replace_calls(library: ctypes.PyDLL) -> None:
    """Puts each function `MODULE_NAME` of the library in the place of CuPy's `NAME`, for its C and Python callers."""
    name_of, new = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_New
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    for short in ("runtime", "driver"):
        module = importlib.import_module(f"cupy_backends.cuda.api.{short}")
        for name, capsule in list(module.__pyx_capi__.items()):
            function = getattr(library, f"{short}_{name}", None)
            if function is None:
                continue
            signature = name_of(capsule)
            _signatures.append(signature)
            module.__pyx_capi__[name] = new(ctypes.cast(function, ctypes.c_void_p), signature, None)
            if hasattr(module, name):
                setattr(module, name, _python_call(function, signature.decode()))


def _python_call(function: Any, signature: str) -> Callable[..., Any]:
    """The function for Python callers: they give what stands before `__pyx_skip_dispatch`, and no optional argument."""
    result, visible, optional = re.fullmatch(r"(.*?) ?\((.*?)(?:, )?int __pyx_skip_dispatch(.*)\)", signature).groups()
    types = [_CTYPES[text] for text in visible.split(", ") if text]
    hidden = (0, None) if optional else (0,)
    function.restype = _CTYPES[result]
    function.argtypes = [*types, ctypes.c_int, ctypes.c_void_p][: len(types) + len(hidden)]
    return lambda *args: function(*args[: len(types)], *hidden)


# ---- the compiler ---------------------------------------------------------------------------------------------------

_KERNEL = re.compile(
    r'(template\s*<[^{};]*>\s*)?(?:extern\s+"C"\s+)?__global__\s+'
    r"(?:(?:void|__launch_bounds__\s*\([^)]*\))\s+)+(\w+)\s*\("
)
_DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_OWN_MACROS = re.compile(r'^\s*#\s*(?:define|include\s*"(?!cupy/))', re.MULTILINE)


class Source(NamedTuple):
    """What CuPy asks to compile."""

    text: str
    options: tuple[str, ...]
    name_expressions: tuple[str, ...]


sources: list[Source] = []  # all that was compiled in this process, for a check by NVRTC


class CompileError(Exception):
    """g++ refused a text."""


def _build(text: str, options: tuple[str, ...], name: str) -> Path:
    """The file of that name which g++ makes of a C++ text; made once, then found in the cache."""
    key = hashlib.sha256(repr((text, FLAGS, options, _compiler_version())).encode()).hexdigest()[:24]
    target = CACHE / key / name
    if target.exists():
        return target
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        source = Path(folder) / "source.cpp"
        source.write_text(text)
        _gxx(*options, str(source), "-o", f"{folder}/{name}")
        target.parent.mkdir(exist_ok=True)
        os.replace(f"{folder}/{name}", target)  # another process may have made the same one meanwhile
    return target


def _gxx(*options: str, text: str | None = None) -> str:
    """What g++ prints, given the text as its input."""
    run = subprocess.run(["g++", *FLAGS, *options], input=text, capture_output=True, text=True)
    if run.returncode:
        raise CompileError(run.stderr)
    return run.stdout


@functools.cache
def _compiler_version() -> str:
    return _gxx("-dumpfullversion")


def _cuda_headers() -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in spec.submodule_search_locations] if spec else []
    headers = [found.parents[1] for folder in folders for found in folder.glob("cu*/include/crt/host_defines.h")]
    return headers[0] if headers else None


@functools.cache
def _header_options() -> tuple[str, ...]:
    """The options to find `device.h`, precompiled, and all that it and CuPy's sources include."""
    import cupy
    from cupy._core import core

    includes = tuple(option for option in core.assemble_cupy_compiler_options(()) if option.startswith("-I"))
    includes += (f"-I{_cuda_headers()}",)
    text = f"// for CuPy {cupy.__version__}\n" + (SOURCES / "device.h").read_text()
    precompiled = _build(text, ("-x", "c++-header", *includes), "device.h.gch")
    return (f"-I{precompiled.parent}", f"-I{SOURCES}", *includes)


def _compile_module(source: str, options: tuple[str, ...] = (), *, name_expressions=None, **_: Any) -> Any:
    """Stands for `cupy.cuda.compiler._compile_module_with_cache`: the loaded module of a CUDA source."""
    from cupy.cuda import compiler, function

    sources.append(Source(source, tuple(options), tuple(name_expressions or ())))
    includes = (*_header_options(), *(option for option in options if option.startswith("-I")))
    defines = [f"#define {option[2:].replace('=', ' ', 1)}" for option in options if option.startswith("-D")]
    text = "\n".join((*defines, '#line 1 "kernel.cu"', source))
    mapping = {expression: f"expression_{i}" for i, expression in enumerate(name_expressions or ())}
    try:
        if _OWN_MACROS.search(source):
            text = _expand(text, includes)
        kernels = {name: name for template, name in _KERNEL.findall(text) if not template}
        kernels |= {symbol: expression for expression, symbol in mapping.items()}
        exports = [f"HOST_KERNEL({symbol}, {expression})" for symbol, expression in kernels.items()]
        text = _DYNAMIC_SHARED.sub(r"\1 *\2 = (\1 *)host_dynamic_shared;", text)
        path = _build("\n".join(('#include "device.h"', text, *exports)), ("-shared", *includes), "kernel.so")
    except CompileError as error:
        raise compiler.CompileException(str(error), source, "kernel.cu", options, "g++") from None
    module = function.Module()
    module.load(os.fsencode(path))
    module._set_mapping(mapping)
    return module


def _expand(text: str, includes: tuple[str, ...]) -> str:
    """A source with its macros and included files in place: so their kernels are seen, and their changes."""
    marker = "host_source_begins_here"
    text = f'#include "device.h"\n#undef __global__\n#undef __shared__\n{marker}\n{text}'
    return _gxx("-E", "-P", *includes, "-x", "c++", "-", text=text).split(marker)[1]

"""gradcu: autograd on NumPy and CuPy under PyTorch's names. `import gradcu as torch`."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from . import version as version
from .autograd import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .autograd.anomaly_mode import (
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
    is_anomaly_enabled as is_anomaly_enabled,
)
from .backends import (
    get_float32_matmul_precision as get_float32_matmul_precision,
    set_float32_matmul_precision as set_float32_matmul_precision,
)
from .backends.native import (
    get_num_interop_threads as get_num_interop_threads,
    get_num_threads as get_num_threads,
    set_num_interop_threads as set_num_interop_threads,
    set_num_threads as set_num_threads,
)
from .devices import (
    OutOfMemoryError as OutOfMemoryError,
    device as device,
    get_default_device as get_default_device,
    set_default_device as set_default_device,
)
from .dtypes import (
    bfloat16 as bfloat16,
    bool as bool,
    can_cast as can_cast,
    cdouble as cdouble,
    cfloat as cfloat,
    complex64 as complex64,
    complex128 as complex128,
    double as double,
    dtype as dtype,
    finfo as finfo,
    float as float,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    get_default_dtype as get_default_dtype,
    half as half,
    iinfo as iinfo,
    int as int,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    long as long,
    promote_types as promote_types,
    set_default_dtype as set_default_dtype,
    short as short,
    uint8 as uint8,
    uint16 as uint16,
    uint32 as uint32,
    uint64 as uint64,
)
from .graph.modes import is_grad_enabled as is_grad_enabled, is_inference_mode_enabled as is_inference_mode_enabled
from .layouts import (
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    sparse_coo as sparse_coo,
    sparse_csr as sparse_csr,
    strided as strided,
)
from .ops import functions as _functions
from .printing import set_printoptions as set_printoptions
from .tensor import Size as Size, Tensor as Tensor
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import (
        accelerator as accelerator,
        amp as amp,
        autograd as autograd,
        backends as backends,
        compiler as compiler,
        cuda as cuda,
        distributed as distributed,
        distributions as distributions,
        fft as fft,
        func as func,
        hub as hub,
        jit as jit,
        library as library,
        linalg as linalg,
        masked as masked,
        multiprocessing as multiprocessing,
        nn as nn,
        onnx as onnx,
        optim as optim,
        overrides as overrides,
        profiler as profiler,
        random as random,
        serialization as serialization,
        signal as signal,
        sparse as sparse,
        special as special,
        testing as testing,
        types as types,
        utils as utils,
    )
    from ._functions import *
    from .aliasing import install_as_torch as install_as_torch
    from .amp import (
        GradScaler as GradScaler,
        autocast as autocast,
        get_autocast_dtype as get_autocast_dtype,
        is_autocast_enabled as is_autocast_enabled,
    )
    from .compiler import compile as compile
    from .determinism import (
        are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
        get_deterministic_debug_mode as get_deterministic_debug_mode,
        is_deterministic_algorithms_warn_only_enabled as is_deterministic_algorithms_warn_only_enabled,
        set_deterministic_debug_mode as set_deterministic_debug_mode,
        use_deterministic_algorithms as use_deterministic_algorithms,
    )
    from .func import vmap as vmap
    from .fusion import elementwise as elementwise, fuse as fuse
    from .serialization import load as load, save as save
    from .sparse import (
        sparse_coo_tensor as sparse_coo_tensor,
        sparse_csr_tensor as sparse_csr_tensor,
        spmm as spmm,
    )

globals().update(_functions)

e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None

#: imported when first used: `import gradcu` alone stays quick
_SUBMODULES = frozenset(
    """accelerator amp autograd backends compiler cuda distributed distributions fft func hub jit library linalg masked
    multiprocessing nn onnx optim overrides profiler random serialization signal sparse special testing types
    utils""".split()
)
#: names that such a module brings
_LATE = {
    "GradScaler": "amp",
    "are_deterministic_algorithms_enabled": "determinism",
    "autocast": "amp",
    "compile": "compiler",
    "elementwise": "fusion",
    "fuse": "fusion",
    "get_autocast_dtype": "amp",
    "get_deterministic_debug_mode": "determinism",
    "install_as_torch": "aliasing",
    "is_autocast_enabled": "amp",
    "is_deterministic_algorithms_warn_only_enabled": "determinism",
    "load": "serialization",
    "save": "serialization",
    "set_deterministic_debug_mode": "determinism",
    "sparse_coo_tensor": "sparse",
    "sparse_csr_tensor": "sparse",
    "spmm": "sparse",
    "use_deterministic_algorithms": "determinism",
    "vmap": "func",
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"gradcu.{name}")
    if name in _LATE:
        return getattr(importlib.import_module(f"gradcu.{_LATE[name]}"), name)
    if name in _functions:  # declared since: an operation of the user's own
        return _functions[name]
    raise AttributeError(f"module 'gradcu' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LATE})

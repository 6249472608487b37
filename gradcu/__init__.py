"""gradcu: autograd on NumPy and CuPy under PyTorch's names. `import gradcu as torch`."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

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
from .backends.native import get_num_threads as get_num_threads, set_num_threads as set_num_threads
from .devices import (
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
        autograd as autograd,
        backends as backends,
        cuda as cuda,
        fft as fft,
        func as func,
        linalg as linalg,
        masked as masked,
        multiprocessing as multiprocessing,
        nn as nn,
        optim as optim,
        profiler as profiler,
        random as random,
        serialization as serialization,
        signal as signal,
        special as special,
        utils as utils,
    )
    from ._functions import *
    from .fusion import elementwise as elementwise, fuse as fuse
    from .serialization import load as load, save as save

globals().update(_functions)

e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None

#: imported when first used: `import gradcu` alone stays quick
_SUBMODULES = frozenset(
    (
        "accelerator",
        "autograd",
        "backends",
        "cuda",
        "fft",
        "func",
        "linalg",
        "masked",
        "multiprocessing",
        "nn",
        "optim",
        "profiler",
        "random",
        "serialization",
        "signal",
        "special",
        "utils",
    )
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"gradcu.{name}")
    if name in ("save", "load"):
        return getattr(importlib.import_module("gradcu.serialization"), name)
    if name in ("fuse", "elementwise"):
        return getattr(importlib.import_module("gradcu.fusion"), name)
    if name in _functions:  # declared since: an operation of the user's own
        return _functions[name]
    raise AttributeError(f"module 'gradcu' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, "elementwise", "fuse", "load", "save"})

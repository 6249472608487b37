"""gradcu: autograd on NumPy and CuPy under PyTorch's names. `import gradcu as torch`."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from .autograd import enable_grad, inference_mode, no_grad, set_grad_enabled
from .devices import device, get_default_device, set_default_device
from .dtypes import (
    bfloat16,
    bool,
    can_cast,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    dtype,
    finfo,
    float,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .graph.modes import is_grad_enabled, is_inference_mode_enabled
from .layouts import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    sparse_csr,
    strided,
)
from .ops import functions as _functions
from .printing import set_printoptions
from .tensor import Size, Tensor
from .version import __version__

if TYPE_CHECKING:
    from . import autograd, backends, cuda, fft, linalg, nn, optim, random, special, utils
    from ._functions import *
    from .serialization import load, save

globals().update(_functions)

e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None

#: imported when first used: `import gradcu` alone stays quick
_SUBMODULES = frozenset(
    (
        "autograd",
        "backends",
        "cuda",
        "fft",
        "linalg",
        "nn",
        "optim",
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
    if name in _functions:  # declared since: an operation of the user's own
        return _functions[name]
    raise AttributeError(f"module 'gradcu' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, "load", "save"})

"""CUDA devices, under the names of `torch.cuda`: what there is, which is current, memory, streams.

Without CuPy, a driver or a device all behaves as in a PyTorch that was built for the CPU: questions are answered (not
available, 0 devices, 0 bytes), and what needs a device raises RuntimeError with the command that mends it.
"""

from __future__ import annotations

import importlib
from typing import Any

from .. import backends, devices, dtypes
from ..devices import OutOfMemoryError
from ..ops import functions
from ..ops.data import typed_constructor
from ..random import generator_of
from ..tensor import Tensor
from .memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_max_memory_allocated,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
)
from .raw import RawKernel
from .streams import Event, Stream, current_stream, default_stream, stream

__all__ = [
    "Event",
    "OutOfMemoryError",
    "RawKernel",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_max_memory_allocated",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "stream",
    "synchronize",
    "warmup",
]


# --- what there is ---


def is_available() -> bool:
    """Whether a CUDA device can be used. Never raises; `init()` says what is missing."""
    try:
        backends.cuda()
    except RuntimeError:
        return False
    return True


def device_count() -> int:
    """The number of CUDA devices that can be used."""
    return backends.cuda().device_count() if is_available() else 0


def is_initialized() -> bool:
    """Whether a CUDA device has been used."""
    return backends.cuda_in_use()


def init() -> None:
    """Get ready for CUDA devices; the first use of one does so as well.

    Raises RuntimeError, with the command that mends it, if CuPy, a driver, a device or NVRTC is missing.
    """
    backends.cuda()


def warmup(*types: dtypes.dtype) -> int:
    """Compile the kernels for tensors of these dtypes (float32 if none is given) ahead of their first use.

    Returns how many there are. What is compiled is kept on disk by CuPy, so that it takes long only once; kernels that
    are made from formulas are still compiled when first used. Raises RuntimeError without a CUDA device.

    >>> warmup(float32, bfloat16)  # doctest: +SKIP
    132
    """
    from ..backends.gpu import C_TYPES
    from ..backends.gpu.instances import instances

    xp = backends.cuda()
    found = list(instances(C_TYPES[t.numpy.name] for t in types or (dtypes.float32,) if t.numpy.name in C_TYPES))
    for family, function in found:
        xp.kernel(family, function)
    return len(found)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current device computes in bfloat16: from compute capability 8.0 in hardware."""
    return is_available() and (including_emulation or get_device_capability() >= (8, 0))


def _cuda_device(device: Any) -> devices.device:
    """What a `device=` argument names: a number, "cuda:1", a device; the current one for None, -1 and "cuda".

    Raises ValueError for a device that is no CUDA device, RuntimeError for one that is not there.
    """
    found = devices.device("cuda" if device is None or device == -1 else device)
    if found.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {found}")
    return devices.device("cuda", backends.cuda().using(found).id)


def get_device_properties(device: Any = None) -> Any:
    """The properties of a device: name, major, minor, total_memory, multi_processor_count, warp_size, ..."""
    return backends.cuda().properties(_cuda_device(device).index)


def get_device_name(device: Any = None) -> str:
    """The name of a device, such as "NVIDIA H100"."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a device, such as (9, 0)."""
    found = get_device_properties(device)
    return found.major, found.minor


# --- which is current ---


def current_device() -> int:
    """The index of the device that "cuda" stands for."""
    return backends.cuda().current_device()


def set_device(device: Any) -> None:
    """Make "cuda" stand for this device from now on."""
    backends.cuda().using(_cuda_device(device)).use()


class device:
    """A block in which "cuda" stands for the given device; None and negative numbers change nothing.

    >>> with device(0):
    ...     x = zeros(3, device="cuda")
    """

    def __init__(self, device: Any) -> None:
        changes = not (device is None or (isinstance(device, int) and device < 0))
        self.idx: int = _cuda_device(device).index if changes else -1  # type: ignore[assignment]

    def __enter__(self) -> None:
        if self.idx >= 0:
            self._before = current_device()
            set_device(self.idx)

    def __exit__(self, *exc: object) -> None:
        if self.idx >= 0:
            set_device(self._before)


class device_of(device):
    """A block in which "cuda" stands for the device of a tensor; one on the CPU changes nothing."""

    def __init__(self, obj: Tensor) -> None:
        super().__init__(obj.device if obj.is_cuda else None)


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it."""
    backends.cuda().using(_cuda_device(device)).synchronize()


# --- random numbers ---


def manual_seed(seed: int) -> None:
    """Seed the generator of the current device; nothing happens without one."""
    if is_available():
        generator_of(_cuda_device(None)).manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices; nothing happens without one."""
    for index in range(device_count()):
        generator_of(_cuda_device(index)).manual_seed(int(seed))


def seed() -> None:
    """Seed the generator of the current device with a number that the operating system picks."""
    if is_available():
        generator_of(_cuda_device(None)).seed()


def seed_all() -> None:
    """Seed the generators of all devices with numbers that the operating system picks."""
    for index in range(device_count()):
        generator_of(_cuda_device(index)).seed()


def initial_seed() -> int:
    """The seed of the current device's generator."""
    return generator_of(_cuda_device(None)).initial_seed()


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a device's generator, a tensor of bytes on the CPU."""
    return generator_of(_cuda_device(device)).get_state()


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Set the state of a device's generator."""
    generator_of(_cuda_device(device)).set_state(new_state)


# --- typed constructors, and what few scripts need ---


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("gradcu.cuda.amp")
    if name.endswith("Tensor") and name in functions:  # FloatTensor and its kin
        globals()[name] = typed_constructor(f"cuda.{name}", functions[name].dtype, "cuda")  # type: ignore[attr-defined]
        return globals()[name]
    raise AttributeError(f"module 'gradcu.cuda' has no attribute '{name}'")

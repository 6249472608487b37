"""`autocast` and its kin: blocks in which products are computed in half precision."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..graph.modes import state
from ..ops.autocast import Casting
from ..tensor import Tensor

__all__ = [
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
]

_dtypes = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}


def _device_type(device_type: str, where: str) -> str:
    if device_type not in _dtypes:
        raise RuntimeError(f"{where}: unsupported autocast device_type '{device_type}', expected 'cpu' or 'cuda'")
    return device_type


class autocast:
    """A block, or the calls of a decorated function, in which operations choose the dtype that they compute in.

    Products of matrices and convolutions convert float operands to `dtype` (bfloat16 on the CPU, float16 on CUDA),
    losses and what else half precision is too coarse for to float32, others take what they get; float64 stays
    (`gradcu.ops.autocast` lists them). Parameters keep their dtype, and so do their gradients. On the CPU this saves
    memory, not time. Raises RuntimeError for other devices than "cpu" and "cuda".

    >>> with autocast("cpu"):
    ...     y = ones(2, 2) @ ones(2, 2)
    >>> y.dtype
    gradcu.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtypes.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = _device_type(device_type, "autocast")
        self.fast_dtype = _dtypes[device_type] if dtype is None else dtype
        if enabled and self.fast_dtype not in (dtypes.bfloat16, dtypes.float16):
            warnings.warn(
                f"In {self.device.upper()} autocast, but the target dtype {self.fast_dtype} is not supported. "
                "Disabling autocast: it takes bfloat16 and float16.",
                UserWarning,
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._entered: list[tuple[dict, dtypes.dtype, Casting | None]] = []

    def __enter__(self) -> autocast:
        casting = Casting() if self._enabled and not state.autocast else None
        self._entered.append((state.autocast, _dtypes[self.device], casting))
        others = {device: dtype for device, dtype in state.autocast.items() if device != self.device}
        state.autocast = others | ({self.device: self.fast_dtype} if self._enabled else {})
        _dtypes[self.device] = self.fast_dtype
        if casting is not None:
            casting.start()
        return self

    def __exit__(self, *exc: object) -> None:
        state.autocast, _dtypes[self.device], casting = self._entered.pop()
        if casting is not None:
            casting.stop()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with autocast(self.device, self.fast_dtype, self._enabled):
                return function(*args, **kwargs)

        return inside


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` takes this kind of device."""
    return device_type in _dtypes


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether the call is inside of an `autocast` block of this kind of device."""
    return _device_type(device_type, "is_autocast_enabled") in state.autocast


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The dtype that `autocast` names for this kind of device."""
    return _dtypes[_device_type(device_type, "get_autocast_dtype")]


def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: dtypes.dtype | None = None) -> Callable:
    """Decorator of a `Function`'s forward that says how it behaves in `autocast`.

    With `cast_inputs`, floating tensors of that kind of device are converted to it, and `autocast` is off inside.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    function = fwd

    def cast(value: Any) -> Any:
        if isinstance(value, Tensor):
            eligible = value.is_floating_point() and value.device.type == device_type and value.dtype != dtypes.float64
            return value.to(cast_inputs) if eligible else value
        if isinstance(value, dict):
            return {cast(k): cast(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(cast, value))
        return value

    @functools.wraps(function)
    def forward(*args: Any, **kwargs: Any) -> Any:
        args[0]._dtype = get_autocast_dtype(device_type)
        within = is_autocast_enabled(device_type)
        args[0]._fwd_used_autocast = within and cast_inputs is None
        if cast_inputs is None or not within:
            return function(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return function(*cast(args), **cast(kwargs))

    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Decorator of a `Function`'s backward: it runs under the `autocast` state that its forward had."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    function = bwd

    @functools.wraps(function)
    def backward(*args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, args[0]._dtype, args[0]._fwd_used_autocast):
            return function(*args, **kwargs)

    return backward

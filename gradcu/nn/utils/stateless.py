"""The old place of `gradcu.func.functional_call`."""

from __future__ import annotations

import warnings
from typing import Any

from ..module import Module


def functional_call(
    module: Module, parameters_and_buffers: Any, args: Any = None, kwargs: Any = None, **more: Any
) -> Any:
    """`gradcu.func.functional_call` under its old name."""
    from ...func import functional_call as call  # gradcu.func takes nn.Module

    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return call(module, parameters_and_buffers, args, kwargs, **more)

"""Wrappers of modules for several devices, of which gradcu uses one."""

from __future__ import annotations

from typing import Any

from .module import Module


class DataParallel(Module):
    """Calls `module`, which stays reachable under that name.

    PyTorch splits the batch over several GPUs; the result is the same on one, and gradcu computes there.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module, self.device_ids, self.output_device, self.dim = module, device_ids, output_device, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

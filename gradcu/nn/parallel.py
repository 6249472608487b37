"""Wrappers of modules for several devices, of which gradcu uses one."""

from __future__ import annotations

from typing import Any, NoReturn

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


class DistributedDataParallel(Module):
    """A name that scripts import; raises RuntimeError when made, since gradcu trains in one process."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "DistributedDataParallel: gradcu trains in one process, where a module needs no wrapper; "
            "gradcu.distributed.is_available() is False"
        )


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """`module` called with `inputs`, one or a tuple of them, as `DataParallel` calls it."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))

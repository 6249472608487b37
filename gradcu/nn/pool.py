"""Pooling."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .conv import per_dim
from .module import Module


class _Pool(Module):
    """What pooling layers share: the function that they call is theirs in snake case, by the number of dimensions."""

    dims: int
    shown: tuple[str, ...]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)


class _MaxPool(_Pool):
    shown = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"max_pool{self.dims}d")(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices,
        )  # fmt: skip


class MaxPool1d(_MaxPool):
    """(N, C, L) -> (N, C, L_out): the greatest of each window; `return_indices` gives where it was, too."""

    dims = 1


class MaxPool2d(_MaxPool):
    """(N, C, H, W) -> (N, C, H_out, W_out): the greatest of each window; `return_indices` gives where it was, too."""

    dims = 2


class MaxPool3d(_MaxPool):
    """(N, C, D, H, W) -> (N, C, ...): the greatest of each window; `return_indices` gives where it was, too."""

    dims = 3


class _MaxUnpool(_Pool):
    shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        n = self.dims
        self.kernel_size, self.padding = per_dim(kernel_size, n), per_dim(padding, n)
        self.stride = self.kernel_size if stride is None else per_dim(stride, n)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = getattr(F, f"max_unpool{self.dims}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool1d(_MaxUnpool):
    """(N, C, L) -> (N, C, L_out): values put back where `MaxPool1d` found them, 0 elsewhere."""

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """(N, C, H, W) -> (N, C, H_out, W_out): values put back where `MaxPool2d` found them, 0 elsewhere."""

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """(N, C, D, H, W) -> (N, C, ...): values put back where `MaxPool3d` found them, 0 elsewhere."""

    dims = 3


class AvgPool1d(_Pool):
    """(N, C, L) -> (N, C, L_out): the mean of each window."""

    dims = 1
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.padding = per_dim(kernel_size, 1), per_dim(padding, 1)
        self.stride = self.kernel_size if stride is None else per_dim(stride, 1)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class _AvgPool(_Pool):
    shown = ("kernel_size", "stride", "padding")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"avg_pool{self.dims}d")(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPool):
    """(N, C, H, W) -> (N, C, H_out, W_out): the mean of each window."""

    dims = 2


class AvgPool3d(_AvgPool):
    """(N, C, D, H, W) -> (N, C, ...): the mean of each window."""

    dims = 3


class _LPPool(_Pool):
    shown = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        pool = getattr(F, f"lp_pool{self.dims}d")
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """(N, C, L) -> (N, C, L_out): the p-norm of each window."""

    dims = 1


class LPPool2d(_LPPool):
    """(N, C, H, W) -> (N, C, H_out, W_out): the p-norm of each window."""

    dims = 2


class LPPool3d(_LPPool):
    """(N, C, D, H, W) -> (N, C, ...): the p-norm of each window."""

    dims = 3


class _FractionalMaxPool(_Pool):
    shown = ()

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self.dims
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size, self.return_indices = per_dim(kernel_size, n), return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else per_dim(output_size, n)
        self.output_ratio = None if output_ratio is None else per_dim(output_ratio, n)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"fractional_max_pool{self.dims}d")(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            _random_samples=self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPool):
    """(N, C, H, W) -> (N, C, H_out, W_out): the greatest of each of randomly placed windows: Graham, 2014."""

    dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """(N, C, D, H, W) -> (N, C, ...): the greatest of each of randomly placed windows: Graham, 2014."""

    dims = 3


class _AdaptivePool(_Pool):
    shown = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size


class _AdaptiveAvgPool(_AdaptivePool):
    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, f"adaptive_avg_pool{self.dims}d")(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """(N, C, L) -> (N, C, output_size): means over windows of nearly equal length."""

    dims = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """(N, C, H, W) -> (N, C, *output_size): means over windows of nearly equal size; None keeps a length."""

    dims = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """(N, C, D, H, W) -> (N, C, *output_size): means over windows of nearly equal size; None keeps a length."""

    dims = 3


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.dims}d")(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """(N, C, L) -> (N, C, output_size): the greatest of windows of nearly equal length."""

    dims = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """(N, C, H, W) -> (N, C, *output_size): the greatest of windows of nearly equal size; None keeps a length."""

    dims = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """(N, C, D, H, W) -> (N, C, *output_size): the greatest of windows of nearly equal size; None keeps a length."""

    dims = 3

"""Images: resizing, sampling at points of a grid, and channels traded for pixels.

Resizing is a linear map along each dimension, one primitive with all its derivatives (`resample`).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from .. import backends, dtypes
from ..tensor import Tensor, from_array
from .expose import expose, functions, namespaces
from .resample import interpolating, nearest, resample

# --- resizing ---


_LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5, "bicubic": 4}


@expose(into="nn.functional", function=False, method=False)
def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, ...) resized to `size`, or by `scale_factor`, in all dimensions but the first two.

    Modes: "nearest", "nearest-exact", "area" (1 to 3 dimensions), "linear" (1), "bilinear", "bicubic" (2), "trilinear"
    (3). Raises ValueError for arguments that do not go together, NotImplementedError for a mode of other dimensions.
    """
    d = input.ndim - 2
    if mode in ("nearest", "nearest-exact", "area") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    align = bool(align_corners)
    shape = tuple(input.shape[2:])
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    scales: list[Any] | None = None
    if size is not None:
        sizes: list[Any] = list(size) if isinstance(size, (list, tuple)) else [size] * d
        if len(sizes) != d:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input with spatial "
                "dimensions "
                f"of {list(shape)} and output size of {size}. Please provide input tensor in (N, C, d1, d2, ...,dK) "
                "format and output size in (o1, o2, ...,oK) format."
            )
    elif scale_factor is not None:
        scales = list(scale_factor) if isinstance(scale_factor, (list, tuple)) else [scale_factor] * d
        if len(scales) != d:
            raise ValueError(
                "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial "
                f"dimensions of {list(shape)} and scale_factor of shape {scale_factor}. Please provide input tensor in "
                "(N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
            )
        sizes = [math.floor(n * float(s)) for n, s in zip(shape, scales)]
        if recompute_scale_factor:
            scales = None
    else:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    if (mode not in _LINEAR and mode not in ("nearest", "nearest-exact", "area")) or d not in (1, 2, 3):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact "
            f"(got {mode})"
        )
    if mode in _LINEAR and _LINEAR[mode] != input.ndim:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {_LINEAR[mode]}D input")
    if any(n < 1 for n in (*shape, *sizes)):
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({', '.join(map(str, shape))}) output "
            f"({', '.join(map(str, sizes))})"
        )
    if mode == "area":
        return namespaces["nn.functional"][f"adaptive_avg_pool{d}d"](input, tuple(sizes))
    steps = [n / m if scales is None else 1 / s for n, m, s in zip(shape, sizes, scales or sizes)]
    if mode in _LINEAR and align:
        steps = [(n - 1) / (m - 1) if m > 1 else 0.0 for n, m in zip(shape, sizes)]
    bands: list[Any] = []
    for n, m, step in zip(shape, sizes, steps):
        if n == m and (step == 1 or (mode in _LINEAR and align)):
            bands.append(None)
        elif mode in _LINEAR:
            bands.append(interpolating(n, m, step, mode == "bicubic", align, antialias))
        else:
            bands.append(nearest(n, m, step, mode == "nearest-exact"))
    if mode not in _LINEAR or input.dtype.category > 1:
        return resample.record((input,), (tuple(bands),))
    if input.dtype is not dtypes.uint8:
        raise NotImplementedError(f"\"upsample_{mode}{d}d\" not implemented for '{input.dtype.type_name}'")
    values = resample.record((input.to(dtypes.float32),), (tuple(bands),))
    return functions["round"](values).clamp(0, 255).to(dtypes.uint8)


@expose(into="nn.functional", function=False, method=False)
def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate`, by its name of old."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


@expose(into="nn.functional", function=False, method=False)
def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode "nearest"."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, "nearest")


@expose(into="nn.functional", function=False, method=False)
def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode "bilinear" with aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, "bilinear", True)


# --- channels and pixels ---


def _check_pixels(name: str, input: Tensor, **factor: int) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)"
        )
    for what, r in factor.items():
        if r <= 0:
            raise RuntimeError(f"{name} expects a positive {what}, but got {r}")


@expose(into="nn.functional", method=False)
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r^2, H, W) to (*, C, H r, W r). Raises RuntimeError unless r^2 divides the channels (Shi et al. 2016)."""
    r = upscale_factor
    _check_pixels("pixel_shuffle", input, upscale_factor=r)
    *lead, channels, h, w = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    k = len(lead)
    parts = input.reshape(*lead, channels // (r * r), r, r, h, w)
    parts = parts.permute(*range(k + 1), k + 3, k + 1, k + 4, k + 2)
    return parts.reshape(*lead, channels // (r * r), h * r, w * r)


@expose(into="nn.functional", method=False)
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of `pixel_shuffle`. Raises RuntimeError unless the factor divides height and width."""
    r = downscale_factor
    _check_pixels("pixel_unshuffle", input, downscale_factor=r)
    *lead, channels, h, w = input.shape
    for what, d, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but input.size({d})={n} is not "
                f"divisible by {r}"
            )
    k = len(lead)
    parts = input.reshape(*lead, channels, h // r, r, w // r, r)
    parts = parts.permute(*range(k + 1), k + 2, k + 4, k + 1, k + 3)
    return parts.reshape(*lead, channels * r * r, h // r, w // r)


@expose("native_channel_shuffle", into="nn.functional", method=False)
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of (N, C, ...) as a matrix of `groups` rows, transposed. Raises RuntimeError unless they divide."""
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    parts = input.reshape(n, groups, channels // groups, *rest)
    return parts.transpose(1, 2).reshape(n, channels, *rest)


# --- sampling ---


@expose(into="nn.functional", function=False, method=False)
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where `grid_sample` is to sample for affine maps theta: (N, H, W, 2) of (N, 2, 3), (N, D, H, W, 3) of (N, 3, 4).

    Raises ValueError for other shapes.
    """
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    d = len(size) - 2
    if d not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{list(size)}."
        )
    if theta.ndim != 3 or tuple(theta.shape[1:]) != (d, d + 1):
        raise ValueError(
            f"Expected a batch of {d}D affine matrices of shape Nx{d}x{d + 1} for size {tuple(size)}. Got "
            f"{tuple(theta.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    host = backends.host
    axes = []
    for n in size[2:]:
        points = host.linspace(-1, 1, n) if n > 1 else host.zeros(1)
        axes.append(points if align_corners or n == 1 else points * ((n - 1) / n))
    grids = host.meshgrid(*axes, indexing="ij")[::-1]
    base = host.stack([*grids, host.ones(grids[0].shape)], axis=-1).reshape(-1, d + 1)
    xp = backends.namespaces[type(theta._array)]
    base = from_array(xp.asarray(base, dtype=theta._array.dtype))
    return (base @ theta.mT).reshape(size[0], *size[2:], d)


def _reflected(x: Tensor, n: int, align: bool) -> Tensor:
    """Coordinates folded back into the image at its border pixels' centres, or at their outer edges."""
    low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
    span = high - low
    if span <= 0:
        return x * 0
    folded = (x - low).abs()
    times = (folded / span).detach().floor()
    rest = folded - times * span
    return functions["where"](times % 2 == 0, rest + low, high - rest).clamp(0, n - 1)


def _limited(x: Tensor, n: int, padding: str, align: bool) -> Tensor:
    if padding == "border":
        return x.clamp(0, n - 1)
    return _reflected(x, n, align) if padding == "reflection" else x


def _pixels(flat: Tensor, size: Sequence[int], at: Sequence[Tensor], padding: str, align: bool) -> Tensor:
    """The pixels (N, C, P) at whole coordinates (N, P) each; zero outside of the image."""
    index: Any = None
    inside: Any = None
    for x, n in zip(at, size):
        x = _limited(x.detach(), n, padding, align)
        ok = (x >= 0) & (x <= n - 1)
        whole = x.where(ok, 0).long()
        index = whole if index is None else index * n + whole
        inside = ok if inside is None else inside & ok
    index = index.unsqueeze(1).expand(-1, flat.shape[1], -1)
    return flat.gather(2, index) * inside.unsqueeze(1).to(flat.dtype)


@expose(into="nn.functional", function=False, method=False)
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """(N, C, H, W) sampled at the points (x, y) of grid (N, H', W', 2), from -1 to 1; or the same in three dimensions.

    Modes: "bilinear", "nearest", "bicubic" (two dimensions only). Outside are "zeros", the "border", or the image's
    "reflection". Raises ValueError for other modes, RuntimeError for shapes that do not fit (Jaderberg et al. 2015).
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    d = input.ndim - 2
    if d not in (2, 3) or grid.ndim != input.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.dtype is not grid.dtype:
        raise RuntimeError(f"expected scalar type {input.dtype.type_name} but found {grid.dtype.type_name}")
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != d:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {d} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if mode == "bicubic" and d == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    align = bool(align_corners)
    n, channels, *size = input.shape
    out = tuple(grid.shape[1:-1])
    flat = input.reshape(n, channels, math.prod(size))
    points = grid.reshape(n, math.prod(out), d)
    at = []
    for axis, m in enumerate(size):
        x = points[..., d - 1 - axis]
        x = (x + 1) * ((m - 1) / 2) if align else ((x + 1) * m - 1) / 2
        at.append(x if mode == "bicubic" else _limited(x, m, padding_mode, align))
    if mode == "nearest":
        whole = [x.round() for x in at]
        return _pixels(flat, size, whole, "zeros", align).reshape(n, channels, *out)
    base = [x.detach().floor() for x in at]
    cubic = mode == "bicubic"
    total: Any = 0.0
    for corner in itertools.product(range(-1, 3) if cubic else range(2), repeat=d):
        weight: Any = 1.0
        for x, b, step in zip(at, base, corner):
            weight = weight * (
                _cubic_weight(x - b - step, step in (0, 1)) if cubic else (x - b if step else 1 - (x - b))
            )
        pixels = _pixels(
            flat, size, [b + step for b, step in zip(base, corner)], padding_mode if cubic else "zeros", align
        )
        total = total + pixels * weight.unsqueeze(1)
    return total.reshape(n, channels, *out)


def _cubic_weight(x: Tensor, near: bool, a: float = -0.75) -> Tensor:
    """Keys' kernel at distances below 1 (`near`) or from 1 to 2."""
    x = x.abs()
    return ((a + 2) * x - (a + 3)) * x * x + 1 if near else a * (((x - 5) * x + 8) * x - 4)


_MODES, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def _sampler(d: int) -> None:
    def sampler(
        input: Tensor,
        grid: Tensor,
        interpolation_mode: int,
        padding_mode: int,
        align_corners: bool,
    ) -> Tensor:
        return grid_sample(input, grid, _MODES[interpolation_mode], _PADDINGS[padding_mode], align_corners)

    sampler.__name__ = sampler.__qualname__ = f"grid_sampler_{d}d"
    sampler.__doc__ = "`nn.functional.grid_sample` with the modes as numbers."
    expose(method=False)(sampler)


_sampler(2)
_sampler(3)

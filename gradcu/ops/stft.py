"""The short-time Fourier transform and its inverse."""

from __future__ import annotations

import warnings

from .. import dtypes
from ..tensor import Tensor
from .expose import expose, functions, namespaces
from .reduce import tensor_or_raise


def _settings(
    name: str,
    given: str,
    n_fft: int,
    hop_length: int | None,
    win_length: int | None,
    window: Tensor | None,
    like: Tensor,
) -> tuple[int, Tensor]:
    """The hop, and the window, centred in n_fft samples."""
    hop, length = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    if hop <= 0:
        raise RuntimeError(f"{name}({given}): expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}({given}): expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is None:
        real = dtypes.float64 if like.dtype in (dtypes.float64, dtypes.complex128) else dtypes.float32
        window = functions["ones"](length, dtype=real, device=like.device)
    elif tuple(window.shape) != (length,):
        raise RuntimeError(
            f"{name}({given}): expected a 1D window tensor of size equal to win_length={length}, but got window with "
            f"size {list(window.shape)}"
        )
    left = (n_fft - length) // 2
    return hop, namespaces["nn.functional"]["pad"](window, (left, n_fft - length - left))


@expose()
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:
    """The Fourier transforms (..., frequencies, frames) of signals (..., time), in windows `hop_length` apart.

    With `center`, the signal is padded so that frame t is centred at sample t * hop_length. `onesided` (the default for
    real signals) leaves out what is redundant; `normalized` divides by the root of n_fft. Raises RuntimeError for other
    shapes, lengths that do not fit, and real signals without `return_complex`.
    """
    shape = tensor_or_raise(input, "stft").shape
    given = f"{input.dtype.name}{list(shape)}, n_fft={n_fft}, hop_length={hop_length}, win_length={win_length}"
    if len(shape) not in (1, 2):
        raise RuntimeError(f"stft({given}): expected a 1D or 2D tensor")
    if input.dtype.category < 2:
        raise RuntimeError(f"stft({given}): expected a tensor of floating point or complex values")
    is_complex = input.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    x = input if len(shape) == 2 else input.unsqueeze(0)
    if center:
        around = (n_fft // 2, n_fft // 2)
        x = namespaces["nn.functional"]["pad"](x.unsqueeze(1), around, mode=pad_mode).squeeze(1)
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"stft({given}): expected 0 < n_fft <= {x.shape[-1]}, but got n_fft={n_fft}")
    hop, taper = _settings("stft", given, n_fft, hop_length, win_length, window, input)
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    frames = x.unfold(-1, n_fft, hop) * taper
    transform = namespaces["fft"]["fft" if is_complex or onesided is False else "rfft"]
    result = transform(frames, norm="ortho" if normalized else None).transpose(1, 2)
    result = result if len(shape) == 2 else result.squeeze(0)
    return functions["view_as_real"](result) if return_complex is False else result


@expose()
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signals (..., time) of which `stft` gives `input`: the frames added up, over the sum of squared windows.

    Raises RuntimeError for real input, for sizes that do not fit, and where the windows leave gaps (Griffin, Lim 1984).
    """
    shape = tensor_or_raise(input, "istft").shape
    given = f"{input.dtype.name}{list(shape)}, n_fft={n_fft}, hop_length={hop_length}, win_length={win_length}"
    if not input.dtype.is_complex:
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if len(shape) not in (2, 3) or 0 in shape:
        raise RuntimeError(f"istft({given}): expected a non-empty tensor with 2 or 3 dimensions")
    onesided = shape[-2] != n_fft if onesided is None else onesided
    if shape[-2] != (n_fft // 2 + 1 if onesided else n_fft):
        raise RuntimeError(f"istft({given}): expected the frequency dimension to match n_fft with onesided={onesided}")
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided input if window or output is complex")
    hop, taper = _settings("istft", given, n_fft, hop_length, win_length, window, input)
    x = input if len(shape) == 3 else input.unsqueeze(0)
    x = x if return_complex else x[:, : n_fft // 2 + 1]  # of a real signal the rest is redundant
    inverse = namespaces["fft"]["ifft" if return_complex else "irfft"]
    frames = inverse(x.transpose(1, 2), n=n_fft, norm="ortho" if normalized else None) * taper
    weights = taper.square().expand(1, shape[-1], n_fft)
    total, weight = (_overlapped(t, hop) for t in (frames, weights))
    start = n_fft // 2 if center else 0
    stop = total.shape[-1] - start if length is None else min(start + length, total.shape[-1])
    total, weight = total[:, start:stop], weight[:, start:stop]
    if not weight.numel() or weight.abs().min().item() < 1e-11:
        raise RuntimeError(f"istft({given}): window overlap add min: 1")
    y = total / weight
    if length is not None and y.shape[-1] < length:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings.",
            stacklevel=2,
        )
        y = namespaces["nn.functional"]["pad"](y, (0, length - y.shape[-1]))
    return y if len(shape) == 3 else y.squeeze(0)


def _overlapped(frames: Tensor, hop: int) -> Tensor:
    """Frames (N, count, size) added up where they overlap."""
    n, count, size = frames.shape
    fold = namespaces["nn.functional"]["fold"]
    length = size + hop * (count - 1)
    return fold(frames.transpose(1, 2), (1, length), (1, size), stride=(1, hop)).reshape(n, length)

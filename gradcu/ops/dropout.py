"""Dropout: of elements, of channels, and the variant that keeps mean and variance."""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import backends
from ..random import generator_of
from ..tensor import Tensor, from_array
from .expose import expose, namespaces
from .inplace import inplace


def _noise(input: Tensor, p: float, channels: bool, scale: float) -> Tensor:
    """`scale` with probability 1 - p, else zero; for each element, or the same for a whole channel of (N, C, ...)."""
    shape = input._array.shape
    if channels:
        shape = (*shape[:2], *(1,) * (len(shape) - 2))
    xp, source = backends.for_device(input.device), generator_of(input.device, None).source
    return from_array(xp.dropout_noise(source, shape, input._array.dtype, 1 - p, scale))


def _plain(input: Tensor, p: float, channels: bool) -> Tensor:
    return input * _noise(input, p, channels, 0.0 if p == 1 else 1 / (1 - p))


#: minus what selu(x) tends to for large negative x
_ALPHA = 1.7580993408473766


def _alpha(input: Tensor, p: float, channels: bool) -> Tensor:
    """Dropped elements become the lowest value of selu; an affine map restores mean 0 and variance 1."""
    if p == 1:
        return input * 0.0
    a = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    kept = _noise(input, p, channels, 1.0)
    return input * (kept * a) + ((kept - 1) * (_ALPHA * a) + _ALPHA * a * p)


def _checked(name: str, input: Tensor, p: float, training: bool, channels: bool, formula: Callable) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if channels and training and p > 0 and input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return formula(input, p, channels) if training and p > 0 and input.numel() else input


def _declare(name: str, formula: Callable, channels: bool, functional_default: bool, doc: str) -> None:
    """`gradcu.<name>(input, p, train)`, its in-place form, and `nn.functional.<name>(input, p, training, inplace)`."""

    def native(input: Tensor, p: float, train: bool) -> Tensor:
        return _checked(name, input, p, train, channels, formula)

    native.__name__ = native.__qualname__ = name
    native.__doc__ = doc
    expose(method=False)(native)
    in_place = inplace(native, f"{name}_")
    in_place.__doc__ = f"`{name}` in place."
    expose(method=False, name=f"{name}_")(in_place)

    def functional(
        input: Tensor,
        p: float = 0.5,
        training: bool = functional_default,
        inplace: bool = False,
    ) -> Tensor:
        return (in_place if inplace else native)(input, p, training)

    functional.__name__ = functional.__qualname__ = name
    functional.__doc__ = doc
    expose(function=False, method=False, into="nn.functional")(functional)


_declare(
    "dropout",
    _plain,
    False,
    True,
    "Zero each element with probability `p` and scale the others by 1 / (1 - p), in training; else the input "
    "itself.\n\n"
    "Raises ValueError unless 0 <= p <= 1 (Srivastava et al. 2014).",
)
_declare(
    "feature_dropout",
    _plain,
    True,
    True,
    "`dropout` of whole channels of (N, C, ...). Raises RuntimeError for fewer than two dimensions.",
)
_declare(
    "alpha_dropout",
    _alpha,
    False,
    False,
    "Dropout that keeps mean 0 and variance 1, for selu (Klambauer et al. 2017). Raises ValueError unless 0 <= p <= 1.",
)
_declare(
    "feature_alpha_dropout",
    _alpha,
    True,
    False,
    "`alpha_dropout` of whole channels of (N, C, ...). Raises RuntimeError for fewer than two dimensions.",
)
del namespaces["nn.functional"]["feature_dropout"]


def _channel_dropout(d: int) -> None:
    def dropout(
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        batched = input.ndim != d + 1
        x = input if batched else input.unsqueeze(0)
        out = _checked(name, x, p, training, True, _plain)
        out = out if batched else out.squeeze(0)
        return input.copy_(out) if inplace else out

    name = dropout.__name__ = dropout.__qualname__ = f"dropout{d}d"
    dropout.__doc__ = (
        f"Zero whole channels of (N, C, ...) or (C, ...), with {d} more dimensions, with probability `p`, in training; "
        "the others are scaled by 1 / (1 - p)."
    )
    expose(function=False, method=False, into="nn.functional")(dropout)


for _d in (1, 2, 3):
    _channel_dropout(_d)

"""Dropout: Hinton et al., 2012."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    function: str

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return getattr(F, self.function)(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each element is 0 with probability p, else divided by 1 - p; in evaluation nothing is done.

    Raises ValueError unless 0 <= p <= 1.
    """

    function = "dropout"


class Dropout1d(_Dropout):
    """(N, C, L) or (C, L): in training whole channels are 0 with probability p, else divided by 1 - p."""

    function = "dropout1d"


class Dropout2d(_Dropout):
    """(N, C, H, W): in training whole channels are 0 with probability p, else divided by 1 - p."""

    function = "dropout2d"


class Dropout3d(_Dropout):
    """(N, C, D, H, W): in training whole channels are 0 with probability p, else divided by 1 - p."""

    function = "dropout3d"


class AlphaDropout(_Dropout):
    """Dropout that keeps mean and variance of SELU's outputs: Klambauer et al., 2017."""

    function = "alpha_dropout"


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels."""

    function = "feature_alpha_dropout"

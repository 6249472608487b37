"""Von Mises distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradcu

from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, broadcast_all

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles in [-pi, pi) around `loc`, the closer the greater `concentration` is. Needs SciPy.

    Sampled by rejection from a wrapped Cauchy distribution: Best and Fisher, "Efficient simulation of the von Mises
    distribution", 1979.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        """The circular variance, 1 minus the length of the mean direction."""
        return 1 - gradcu.special.i1e(self.concentration) / gradcu.special.i0e(self.concentration)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with gradcu.no_grad():
            kappa, loc = (p.double().expand(shape) for p in (self.concentration, self.loc))
            tau = 1 + (1 + 4 * kappa**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
            r = gradcu.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))  # rounding spoils small rho
            angle, missing = gradcu.zeros_like(kappa), gradcu.ones_like(kappa, dtype=gradcu.bool)
            while missing.any():
                u, v, w = gradcu.rand((3, *shape), dtype=gradcu.float64, device=kappa.device)
                z = gradcu.cos(math.pi * u)
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accepted = ((c * (2 - c) - v > 0) | ((c / v).log() + 1 - c >= 0)) & missing
                angle = gradcu.where(accepted, (w - 0.5).sign() * f.clamp(-1, 1).acos(), angle)
                missing = missing & ~accepted
            return ((angle + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        kappa = self.concentration
        log_bessel = gradcu.special.i0e(kappa).log() + kappa
        return kappa * gradcu.cos(value - self.loc) - math.log(2 * math.pi) - log_bessel

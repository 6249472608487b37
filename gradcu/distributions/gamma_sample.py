"""Samples of the gamma distribution, with their gradient by its shape."""

from __future__ import annotations

from typing import Any

from .. import backends
from ..autograd.function import Function, once_differentiable
from ..random import generator_of
from ..tensor import Tensor, from_array

__all__ = ["standard_log_gamma"]

_BETWEEN = 16  # terms of the series between two looks at whether it has converged


class _StandardLogGamma(Function):
    """The logarithm of a gamma variate of rate 1.

    A variate of shape a is one of shape a + 1 times u ** (1 / a), where u is uniform: the logarithm does not underflow
    as the variate itself would for small a. Its gradient is implicit: with F the cumulative distribution,
    F(z(a), a) stays constant, so dz/da = -(dF/da) / (dF/dz) (Figurnov, Mohamed and Mnih, "Implicit Reparameterization
    Gradients", 2018).
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        a = concentration._array.astype("float64")
        source = generator_of(concentration.device).source
        xp = backends.namespaces[type(concentration._array)]
        log_z = xp.log(_standard_gamma(xp, source, a + 1)) - source.standard_exponential(a.shape) / a
        made = from_array(xp.asarray(log_z, dtype=concentration._array.dtype))
        ctx.save_for_backward(concentration, made)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        concentration, log_z = ctx.saved_tensors
        xp = backends.namespaces[type(g._array)]
        a, log_z = (xp.asarray(t._array, dtype="float64") for t in (concentration, log_z))
        return from_array(g._array * log_slope(xp, a, log_z).astype(g._array.dtype))


def _standard_gamma(xp: Any, source: Any, a: Any) -> Any:
    """Gamma variates of shapes of at least 1.

    On CUDA by rejection: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
    """
    if xp is backends.host:
        return source.standard_gamma(a)
    d = a - 1 / 3
    z, missing = xp.zeros_like(a), xp.ones_like(a, dtype=bool)
    while missing.any():
        x, u = source.standard_normal(a.shape), source.random(a.shape)
        v = (1 + x / xp.sqrt(9 * d)) ** 3
        rise = xp.log(xp.where(v > 0, v, 1.0))
        accepted = (v > 0) & (xp.log1p(-u) < 0.5 * x * x + d * (1 - v + rise)) & missing
        z = xp.where(accepted, d * v, z)
        missing = missing & ~accepted
    return z


def log_slope(xp: Any, a: Any, log_z: Any) -> Any:
    """d log(z) / da at constant F, of arrays of float64.

    F is z**a exp(-z) / gamma(a + 1) times the sum S of t(n) = z**n / ((a + 1) ... (a + n)), so that with S' = dS/da

        d log(z) / da = -((log(z) - digamma(a + 1)) S + S') / a.
    """
    z = xp.exp(log_z)
    term, total = xp.ones_like(z), xp.ones_like(z)
    harmonic, slope = xp.zeros_like(z), xp.zeros_like(z)  # of t(n): minus its logarithmic derivative by a; S'
    n = 0
    while n == 0 or (xp.isfinite(total) & (term > 1e-17 * total)).any():
        for _ in range(_BETWEEN):
            n += 1
            term = term * (z / (a + n))
            harmonic = harmonic + 1 / (a + n)
            total = total + term
            slope = slope - term * harmonic
    return -((log_z - xp.digamma(a + 1)) * total + slope) / a


def standard_log_gamma(concentration: Tensor) -> Tensor:
    """The logarithms of samples of gamma distributions of these shapes and rate 1, with their gradient."""
    return _StandardLogGamma.apply(concentration)

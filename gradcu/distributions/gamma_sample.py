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
        log_z = xp.log(source.standard_gamma(a + 1)) - source.standard_exponential(a.shape) / a
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

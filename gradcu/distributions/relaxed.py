"""Continuous relaxations of Bernoulli and OneHotCategorical, whose samples have a gradient.

Maddison, Mnih and Teh, "The Concrete Distribution", and Jang, Gu and Poole, "Categorical Reparameterization with
Gumbel-Softmax", both 2017. The lower the `temperature`, the closer samples are to 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gradcu

from ..tensor import Tensor
from . import constraints
from .categorical import Categorical, OfCategorical
from .distribution import Binary, Distribution, broadcast_all, clamp_probs
from .transformed_distribution import TransformedDistribution
from .transforms import ExpTransform, SigmoidTransform

__all__ = ["ExpRelaxedCategorical", "LogitRelaxedBernoulli", "RelaxedBernoulli", "RelaxedOneHotCategorical"]


class LogitRelaxedBernoulli(Binary, Distribution):
    """The logits of RelaxedBernoulli's samples."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._temperature = (temperature,)  # of no batch: not to be expanded
        super().__init__(self._set_success(probs, logits).shape, validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1 samples are."""
        return self._temperature[0]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(gradcu.rand(shape, dtype=probs.dtype, device=probs.device))
        return (u.log() - (-u).log1p() + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value.mul(self.temperature)
        log_temperature = gradcu.as_tensor(self.temperature, dtype=logits.dtype, device=logits.device).log()
        return log_temperature + difference - 2 * difference.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1) that are near 1 with probability `probs`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    base_dist: LogitRelaxedBernoulli

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform(), validate_args)

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1 samples are."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probability of a number nearer to 1."""
        return self.base_dist.probs

    @property
    def logits(self) -> Tensor:
        """`log(probs / (1 - probs))`."""
        return self.base_dist.logits


class ExpRelaxedCategorical(OfCategorical, Distribution):
    """The logarithms of RelaxedOneHotCategorical's samples."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._temperature = (temperature,)
        self._categorical = Categorical(probs, logits)
        n = self._categorical.param_shape[-1:]
        super().__init__(self._categorical.batch_shape, n, validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1 samples are."""
        return self._temperature[0]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = clamp_probs(
            gradcu.rand(self._extended_shape(sample_shape), dtype=self.logits.dtype, device=self.logits.device)
        )
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n = self._event_shape[0]
        logits, value = gradcu.broadcast_tensors(self.logits, value)
        temperature = gradcu.as_tensor(self.temperature, dtype=logits.dtype, device=logits.device)
        scale = math.lgamma(n) - temperature.log().mul(-(n - 1))
        score = logits - value.mul(temperature)
        return (score - score.logsumexp(-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """Vectors in the simplex that are near a one-hot one, by `probs`."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True
    base_dist: ExpRelaxedCategorical

    def __init__(
        self,
        temperature: Any,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How far from 0 and 1 samples are."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probability of each outcome."""
        return self.base_dist.probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return self.base_dist.logits

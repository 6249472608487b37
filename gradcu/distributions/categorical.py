"""One of several outcomes: Categorical, OneHotCategorical, Multinomial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradcu

from ..tensor import Size, Tensor
from . import constraints
from .distribution import Distribution, OneOfMany

__all__ = ["Categorical", "Multinomial", "OneHotCategorical", "OneHotCategoricalStraightThrough"]

_OUTCOMES = {"probs": constraints.simplex, "logits": constraints.real_vector}


class Categorical(OneOfMany, Distribution):
    """An index from 0 to n - 1, by the last dimension of `probs`, weights that are normalised, or of `logits`.

    >>> Categorical(probs=tensor([1.0, 3.0])).log_prob(tensor(1))
    tensor(-0.2877)
    """

    arg_constraints = _OUTCOMES
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        given = self._set_outcomes(probs, logits)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return (self.probs if "probs" in self.__dict__ else self.logits).shape

    @property
    def mean(self) -> Tensor:
        return gradcu.full(self._batch_shape, float("nan"), dtype=self.probs.dtype, device=self.probs.device)

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with gradcu.no_grad():
            drawn = gradcu.multinomial(self.probs.reshape(-1, self._num_events), Size(sample_shape).numel(), True)
            return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        value = value.long().unsqueeze(-1)
        shape = gradcu.broadcast_shapes(value.shape[:-1], self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self._num_events)
        return logits.gather(-1, value.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = gradcu.clamp(self.logits, min=gradcu.finfo(self.logits.dtype).min)  # 0 * -inf is to be 0
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(gradcu.arange(self._num_events, device=self.probs.device), expand)


class OfCategorical:
    """Mixin: the parameters of what is made of the Categorical in `_categorical`."""

    _categorical: Categorical

    @property
    def probs(self) -> Tensor:
        """The probability of each outcome."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape


class OneHotCategorical(OfCategorical, Distribution):
    """A vector of zeros with a single one, by the last dimension of `probs` or `logits`."""

    arg_constraints = _OUTCOMES
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _one_hot(self, index: Tensor) -> Tensor:
        return gradcu.nn.functional.one_hot(index, self._event_shape[0]).to(self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self._event_shape[0]
        values = gradcu.eye(n, dtype=self.probs.dtype, device=self.probs.device)
        values = values.reshape(n, *[1] * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose samples have the gradient of `probs`: Bengio et al., 2013, "straight through"."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(OfCategorical, Distribution):
    """How often each outcome comes in `total_count` draws, by the last dimension of `probs` or `logits`."""

    arg_constraints = _OUTCOMES

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        draws = self._categorical.sample((self.total_count, *sample_shape))
        return gradcu.nn.functional.one_hot(draws, self._event_shape[0]).sum(0).to(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = gradcu.broadcast_tensors(self.logits, value)
        choices = gradcu.lgamma(value.sum(-1) + 1) - gradcu.lgamma(value + 1).sum(-1)
        impossible = (value == 0) & (logits == -float("inf"))
        return choices + (gradcu.where(impossible, gradcu.zeros_like(logits), logits) * value).sum(-1)

    def entropy(self) -> Tensor:
        from .bernoulli import Binomial

        n = gradcu.tensor(self.total_count)
        counts = Binomial(self.total_count, self.probs, validate_args=False)
        values = counts.enumerate_support(expand=False)[1:]
        expected = (counts.log_prob(values).exp() * gradcu.lgamma(values + 1)).sum((0, -1))
        return n * self._categorical.entropy() - gradcu.lgamma(n + 1) + expected

"""Trials that succeed or fail: Bernoulli, Geometric, Binomial, NegativeBinomial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradcu

from ..tensor import Tensor
from . import constraints
from .distribution import Binary, Distribution, broadcast_all, one_of

__all__ = ["Bernoulli", "Binomial", "Geometric", "NegativeBinomial"]


class Bernoulli(Binary, Distribution):
    """1 with probability `probs` (whose logit is `logits`), else 0.

    >>> Bernoulli(0.25).log_prob(tensor(1.0))
    tensor(-1.3863)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(self._set_success(probs, logits).shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        mode = (self.probs >= 0.5).to(self.probs)
        return gradcu.where(self.probs == 0.5, gradcu.full_like(mode, float("nan")), mode)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._batch_shape

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with gradcu.no_grad():
            return gradcu.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -gradcu.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return gradcu.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerated(gradcu.arange(2, dtype=self.probs.dtype, device=self.probs.device), expand)


class Geometric(Binary, Distribution):
    """How many trials fail before the first success, each trial with probability `probs`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._set_success(probs, logits)
        super().__init__(given.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(
                f"Expected parameter probs (Tensor of shape {tuple(given.shape)}) of distribution {self!r} to be "
                f"positive but found invalid values:\n{given}"
            )

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return gradcu.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with gradcu.no_grad():
            u = gradcu.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
            return ((-u).log1p() / (-self.probs).log1p()).floor()  # u < 1, so never infinite

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        base = gradcu.where((probs == 1) & (value == 0), gradcu.zeros_like(probs), probs)
        return value * (-base).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        cross = gradcu.nn.functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return cross / self.probs


class Binomial(Binary, Distribution):
    """How many of `total_count` trials succeed, each with probability `probs`."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of(probs, logits)
        given, self.total_count = broadcast_all(logits if probs is None else probs, total_count)
        self.total_count = self.total_count.type_as(given)
        if probs is None:
            self.logits = given
        else:
            self.probs = given
        super().__init__(given.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with gradcu.no_grad():
            return gradcu.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n, logits = self.total_count, self.logits
        choices = gradcu.lgamma(n + 1) - gradcu.lgamma(value + 1) - gradcu.lgamma(n - value + 1)
        return choices + value * logits + n * gradcu.nn.functional.logsigmoid(-logits)

    def entropy(self) -> Tensor:
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        values = gradcu.arange(1 + count, dtype=self.total_count.dtype, device=self.total_count.device)
        return self._enumerated(values, expand)


class NegativeBinomial(Binary, Distribution):
    """How many trials succeed, each with probability `probs`, before `total_count` have failed."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of(probs, logits)
        self.total_count, given = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = self.total_count.type_as(given)
        if probs is None:
            self.logits = given
        else:
            self.probs = given
        super().__init__(given.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * gradcu.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / gradcu.sigmoid(-self.logits)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        from .gamma import Gamma

        with gradcu.no_grad():
            rates = Gamma(self.total_count, gradcu.exp(-self.logits), validate_args=False)
            return gradcu.poisson(rates.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n = self.total_count
        unnormalised = n * gradcu.nn.functional.logsigmoid(-self.logits)
        unnormalised = unnormalised + value * gradcu.nn.functional.logsigmoid(self.logits)
        choices = gradcu.lgamma(n + value) - gradcu.lgamma(1.0 + value) - gradcu.lgamma(n)
        return unnormalised + gradcu.where(n + value == 0, gradcu.zeros_like(choices), choices)

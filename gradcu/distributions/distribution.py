"""`Distribution`: what all distributions share."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gradcu

from ..tensor import Size, Tensor
from . import constraints
from .constraints import Constraint

__all__ = ["Distribution"]


class Distribution:
    """A family of distributions, of `batch_shape` independent ones whose values have the shape `event_shape` each.

    Parameters may be numbers or tensors, which broadcast. With `validate_args`, which is on unless
    `set_default_validate_args(False)`, parameters and values outside of their constraints raise ValueError.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = constraints.dependent
    _validate_by_default: ClassVar[bool] = __debug__

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        self._validate_args = Distribution._validate_by_default if validate_args is None else validate_args
        if self._validate_args:
            self._validate_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments unless told otherwise."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_by_default = value

    def _validate_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if name not in self.__dict__:
                continue  # made from another parameter, when needed
            if constraints.is_dependent(constraint):
                constraint = getattr(self, f"_{name}_constraint", constraint)
                if constraints.is_dependent(constraint):
                    continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    # --- shapes ---

    @property
    def batch_shape(self) -> Size:
        """The shape of the distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one value."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The distribution with its parameters expanded to this `batch_shape`."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._batch_shape = Size(batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Distribution):
                made.__dict__[name] = value.expand(batch_shape)
            elif isinstance(value, Tensor):
                own = len(value.shape) - len(self._batch_shape)
                made.__dict__[name] = value.expand(*batch_shape, *value.shape[value.dim() - own :])
        return made

    # --- what a distribution says of itself ---

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples of the shape `sample_shape + batch_shape + event_shape`, without a gradient."""
        with gradcu.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples with a gradient by the parameters. Raises NotImplementedError where `has_rsample` is False."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample: its samples have no gradient")

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, under an older name."""
        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead", UserWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number that is at most `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The number below which one is with the probability `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, along a new first dimension, each once for each distribution unless `expand` is False."""
        raise NotImplementedError(f"{type(self).__name__} has no enumerate_support")

    def _enumerated(self, values: Tensor, expand: bool) -> Tensor:
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        """`exp(entropy())`."""
        return self.entropy().exp()

    def _validate_sample(self, value: Tensor) -> None:
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        split = value.dim() - len(self._event_shape)
        if value.shape[split:] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {Size(value.shape)} vs {self._event_shape}."
            )
        for n, expected in zip(reversed(value.shape), reversed(self._batch_shape + self._event_shape)):
            if 1 != n != expected != 1:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{Size(value.shape)} vs {self._batch_shape + self._event_shape}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = ((name, self.__dict__[name]) for name in self.arg_constraints if name in self.__dict__)
        inside = ", ".join(f"{name}: {p.item() if p.numel() == 1 else p.size()}" for name, p in shown)
        return f"{type(self).__name__}({inside})"


# --- for the families ---


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers in the dtype and on the device of the first tensor.

    Raises ValueError for anything else.
    """
    if not all(isinstance(v, (Tensor, int, float)) for v in values):
        raise ValueError("Input arguments must all be instances of Number or gradcu.Tensor.")
    like = next((v for v in values if isinstance(v, Tensor)), gradcu.zeros(()))
    return gradcu.broadcast_tensors(*(v if isinstance(v, Tensor) else like.new_tensor(v) for v in values))


class lazy(functools.cached_property):
    """A property that is computed once, with its graph, even if it is first asked for in a `no_grad` block."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with gradcu.enable_grad():
            return super().__get__(instance, owner)


def one_of(probs: Any, logits: Any) -> None:
    """Raise ValueError unless exactly one of them is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1, so that their logarithms are finite."""
    eps = gradcu.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


class Binary:
    """Mixin: `probs` and `logits` of a success, each made from the other when needed."""

    def _set_success(self, probs: Any, logits: Any) -> Tensor:
        """Keep the one that is given, and return it."""
        one_of(probs, logits)
        if probs is None:
            (self.logits,) = broadcast_all(logits)
            return self.logits
        (self.probs,) = broadcast_all(probs)
        return self.probs

    @lazy
    def probs(self) -> Tensor:
        """The probability of a success."""
        return gradcu.sigmoid(self.logits)

    @lazy
    def logits(self) -> Tensor:
        """`log(probs / (1 - probs))`."""
        probs = clamp_probs(self.probs)
        return gradcu.log(probs) - gradcu.log1p(-probs)


class OneOfMany:
    """Mixin: `probs` and `logits` of each of several outcomes, normalised, each made from the other when needed."""

    def _set_outcomes(self, probs: Tensor | None, logits: Tensor | None) -> Tensor:
        """Keep the one that is given, normalised, and return it."""
        one_of(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        assert given is not None
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is None:
            self.logits = given - given.logsumexp(-1, keepdim=True)
            return self.logits
        self.probs = given / given.sum(-1, keepdim=True)
        return self.probs

    @lazy
    def probs(self) -> Tensor:
        """The probability of each outcome."""
        return gradcu.softmax(self.logits, -1)

    @lazy
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return gradcu.log(clamp_probs(self.probs))

"""`biject_to` and `transform_to`: from unconstrained numbers to those that a constraint admits.

>>> transform_to(constraints.positive)(tensor(0.0))
tensor(1.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints, transforms
from .constraints import Constraint
from .transforms import Transform

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Transforms by constraint: call it on a constraint; `register` adds to it."""

    def __init__(self) -> None:
        self._factories: dict[type[Constraint], Callable[[Any], Transform]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Transform] | None = None) -> Any:
        """Say what transform `factory(constraint)` gives for a class of constraints (or that of an instance).

        Without a factory, a decorator. Raises TypeError for what is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._factories[kind] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        """A transform onto the constraint. Raises NotImplementedError where none is known."""
        factory = self._factories.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


def _above(constraint: Any) -> Transform:
    exp = transforms.ExpTransform()
    return transforms.ComposeTransform([exp, transforms.AffineTransform(constraint.lower_bound, 1)])


def _below(constraint: Any) -> Transform:
    exp = transforms.ExpTransform()
    return transforms.ComposeTransform([exp, transforms.AffineTransform(constraint.upper_bound, -1)])


def _between(constraint: Any) -> Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    sigmoid = transforms.SigmoidTransform()
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return sigmoid
    return transforms.ComposeTransform([sigmoid, transforms.AffineTransform(low, high - low)])


def _positive(constraint: Any) -> Transform:
    bound = constraint.lower_bound
    return transforms.ExpTransform() if isinstance(bound, (int, float)) and bound == 0 else _above(constraint)


#: bijections
biject_to = ConstraintRegistry()
#: transforms that need not be one to one, and may be simpler
transform_to = ConstraintRegistry()

for _registry in (biject_to, transform_to):
    _registry.register(constraints.real, lambda constraint: transforms.identity_transform)
    _registry.register(constraints.GreaterThan, _positive)
    _registry.register(constraints.GreaterThanEq, _positive)
    _registry.register(constraints.LessThan, _below)
    _registry.register(constraints.Interval, _between)
    _registry.register(constraints.HalfOpenInterval, _between)
    _registry.register(constraints.LowerCholesky, lambda constraint: transforms.LowerCholeskyTransform())
    _registry.register(
        constraints.IndependentConstraint,
        lambda constraint, registry=_registry: transforms.IndependentTransform(  # type: ignore[misc]
            registry(constraint.base_constraint), constraint.reinterpreted_batch_ndims
        ),
    )
biject_to.register(constraints.simplex, lambda constraint: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: transforms.SoftmaxTransform())

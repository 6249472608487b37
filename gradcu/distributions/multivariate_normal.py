"""Normal distributions of vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import gradcu

from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, lazy

__all__ = ["MultivariateNormal"]


def squared_length(scale_tril: Tensor, vector: Tensor) -> Tensor:
    """The squared length of `inverse(scale_tril) @ vector`, vectors along the last dimension."""
    return gradcu.linalg.solve_triangular(scale_tril, vector.unsqueeze(-1), upper=False).pow(2).sum((-2, -1))


def half_log_det(scale_tril: Tensor) -> Tensor:
    """Half of the logarithm of the covariance's determinant."""
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """Normal vectors of mean `loc`, of which one matrix says how they vary.

    covariance_matrix, its inverse precision_matrix, or its Cholesky factor scale_tril, with which all is computed.
    Raises ValueError unless exactly one is given.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        matrices = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: m for name, m in matrices.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch = gradcu.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand(*batch, -1)
        self.__dict__[name] = matrix.expand(*batch, -1, -1)
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)

    @lazy
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        if "covariance_matrix" in self.__dict__:
            return gradcu.linalg.cholesky(self.covariance_matrix)
        # Of the inverse: the factor of the matrix turned around gives an upper one, whose inverse is lower.
        turned = gradcu.linalg.cholesky(self.precision_matrix.flip((-2, -1)))
        upper = turned.flip((-2, -1)).mT
        eye = gradcu.eye(self._event_shape[0], dtype=self.loc.dtype, device=self.loc.device)
        return gradcu.linalg.solve_triangular(upper, eye.expand(upper.shape), upper=False)

    @lazy
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self.scale_tril @ self.scale_tril.mT

    @lazy
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return gradcu.cholesky_inverse(self.scale_tril)

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.pow(2).sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        noise = gradcu.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        distance = squared_length(self.scale_tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - half_log_det(self.scale_tril)

    def entropy(self) -> Tensor:
        return 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half_log_det(self.scale_tril)

"""Parametrizations at hand: orthogonal, spectral and weight normalization."""

from __future__ import annotations

from typing import Any, TypeVar

from ...dtypes import finfo
from ...graph.modes import no_grad
from ...ops import functions, namespaces
from ...ops.creation import eye, zeros_like
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, output_dim, power_iteration, random_unit
from .weight_norm import norm_except_dim, weight_of

M = TypeVar("M", bound=Module)
_linalg = namespaces["linalg"]


def _tensor(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    return bool((q.mH @ q).allclose(eye(k, dtype=q.dtype, device=q.device), atol=10.0 * n * finfo(q.dtype).eps))


def _orthogonalized(a: Tensor) -> Tensor:
    """The orthogonal factor of QR whose R has a positive diagonal."""
    q, r = _linalg["qr"](a)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    base: Any

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        q = self._map(x.mT if wide else x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def _map(self, x: Tensor) -> Tensor:
        n, k = x.shape[-2:]
        if self.orthogonal_map == "householder":
            a = x.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (a * a).sum(dim=-2))
            q = _linalg["householder_product"](a, tau)
            return q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)  # the diagonal is ±1: no gradient
        x = x.tril()
        if n != k:
            x = functions["cat"]([x, x.new_zeros((*x.shape[:-1], n - k))], -1)
        skew = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            return _linalg["matrix_exp"](skew)[..., :k]
        identity = eye(n, dtype=skew.dtype, device=skew.device)
        return _linalg["solve"](identity - 0.5 * skew, identity + 0.5 * skew)[..., :k]

    @no_grad()
    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        if hasattr(self, "base"):
            return self._start_at(q)
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        wide = q.shape[-2] < q.shape[-1]
        a, tau = functions["geqrf"](q.mT if wide else q)
        diagonal = a.diagonal(dim1=-2, dim2=-1)
        diagonal.copy_(diagonal.sign() * (1 - 2 * (tau == 0).to(a.dtype)))  # tau = 0: no reflection, so the other sign
        return a.mT if wide else a

    def _start_at(self, q: Tensor) -> Tensor:
        """Make `base` this matrix, completed to a square one, so that the map starts at (minus) the identity."""
        tall = q.mT if q.shape[-2] < q.shape[-1] else q
        n, k = tall.shape[-2:]
        if n != k:
            noise = tall.new_empty((*tall.shape[:-1], n - k)).normal_()
            self.base = _orthogonalized(functions["cat"]([tall, noise], -1))
        else:
            self.base = tall.clone() if _is_orthogonal(tall) else _orthogonalized(tall)
        start = zeros_like(q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep a matrix, or a batch of them, (semi-)orthogonal: Lezcano-Casado, 2019.

    orthogonal_map: "matrix_exp" (of a skew-symmetric matrix), "cayley" ((I - A/2)⁻¹ (I + A/2)) or "householder" (a
    product of reflections); the first for square and complex matrices, the last for others. use_trivialization: the map
    is taken around the value at hand. Raises ValueError for what is no matrix and for other maps.
    """
    weight = _tensor(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, parametrization, unsafe=True)
    return module


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_of(weight_g, weight_v, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Magnitude (`original0`, one number for each index of `dim`) times direction: Salimans and Kingma, 2016.

    States of the old `nn.utils.weight_norm` load.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def read_old(state_dict: dict, prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{name}_{end}" for end in "gv"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(read_old)
    return module


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        n = weight.ndim
        if not -n <= dim < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{n}, {n - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % n, eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            for end, length in zip("uv", matrix.shape):
                self.register_buffer(f"_{end}", random_unit(matrix, length, eps))
            power_iteration(matrix, self._u, self._v, 15, eps, u_first=True)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_iteration(matrix, self._u, self._v, self.n_power_iterations, self.eps, u_first=True)
        u, v = self._u.clone(), self._v.clone()  # backward needs those of this step
        return weight / u.vdot(matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value  # which has norm 1 already, as one may hope


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a tensor by its greatest singular value, which power iterations follow in training: Miyato et al., 2018.

    dim: the dimension of outputs, found from the kind of layer. Raises ValueError without iterations and for no tensor,
    IndexError for no dimension.
    """
    weight = _tensor(module, name)
    dim = output_dim(module) if dim is None else dim
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module

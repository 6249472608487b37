"""Spectral normalization by a hook before the forward; `nn.utils.parametrizations.spectral_norm` is the newer one."""

from __future__ import annotations

from typing import Any, TypeVar

from ...graph.modes import no_grad
from ...tensor import Tensor
from .. import functional as F
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from ..parameter import Parameter

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """(size of `dim`, all others)."""
    return (weight.movedim(dim, 0) if dim else weight).flatten(1)


def output_dim(module: Module) -> int:
    """The dimension of a layer's weight that counts its outputs."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def random_unit(weight: Tensor, length: int, eps: float) -> Tensor:
    """A random vector of norm 1, of the weight's dtype and device."""
    return F.normalize(weight.new_empty(length).normal_(0, 1), dim=0, eps=eps)


@no_grad()
def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, count: int, eps: float, u_first: bool) -> None:
    """Move u and v in place towards the left and right singular vectors of the greatest singular value."""
    for _ in range(count):
        for side in (u, v) if u_first else (v, u):
            product = matrix.mv(v) if side is u else matrix.mH.mv(u)
            side.copy_(F.normalize(product, dim=0, eps=eps))


class SpectralNorm:
    """The hook: sets the weight to `{name}_orig` over its greatest singular value. Miyato et al., 2018."""

    _version = 1

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight of norm 1; `do_power_iteration` brings the singular vectors nearer first."""
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            power_iteration(matrix, u, v, self.n_power_iterations, self.eps, u_first=False)
            u, v = u.clone(), v.clone()  # backward needs those of this step
        return weight / u.dot(matrix.mv(v))

    def remove(self, module: Module) -> None:
        """Put the weight back as a parameter."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for end in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + end)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))

    def note_version(self, module: Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
        """A hook on state_dict: its metadata say that `_v` is kept, too."""
        local_metadata.setdefault("spectral_norm", {})[self.name + ".version"] = self._version

    @no_grad()
    def complete(self, state_dict: dict, prefix: str, local_metadata: dict, *others: Any) -> None:
        """A hook on loading: states from before PyTorch 1.0 have the weight in place of `_v`, which follows from it.

        u and v are such that weight_orig v is along u and u · weight_orig v = sigma, the ratio of the two weights.
        """
        keys = [prefix + self.name + end for end in ("", "_orig", "_u")]
        if local_metadata.get("spectral_norm", {}).get(self.name + ".version") or not all(
            k in state_dict for k in keys
        ):
            return
        weight, original, u = (state_dict[key] for key in keys)
        del state_dict[keys[0]]
        matrix = as_matrix(original, self.dim)
        v = matrix.pinverse().mv(u)
        state_dict[prefix + self.name + "_v"] = v * (original.norm() / weight.norm() / u.dot(matrix.mv(v)))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a parameter by its greatest singular value, which power iterations follow during training.

    dim: the dimension of outputs, found from the kind of layer. Raises RuntimeError where there is one already,
    ValueError without iterations and for a parameter that is None.
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    norm = SpectralNorm(name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    rows, columns = as_matrix(weight.detach(), norm.dim).shape
    u, v = (random_unit(weight.detach(), n, eps) for n in (rows, columns))
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.data)  # a plain attribute, which the hook sets anew
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(norm)
    module._register_state_dict_hook(norm.note_version)
    module._register_load_state_dict_pre_hook(norm.complete)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`. Raises ValueError where there is none."""
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
                for key, (method, _) in list(hooks.items()):
                    if getattr(method, "__self__", None) is hook:
                        del hooks[key]
            return module
    raise ValueError(f"spectral_norm of '{name}' not found in {module}")

"""Keeping gradients from growing too large."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

from ... import backends
from ...graph.modes import no_grad
from ...graph.views import changed
from ...ops import functions
from ...ops.creation import zeros
from ...tensor import Tensor, from_array


def _several(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _kernels(tensors: list[Tensor]) -> tuple[Any, Any]:
    """The namespace of the tensors, and its kernels over many arrays."""
    xp = backends.namespaces[type(tensors[0]._array)]
    if xp is backends.host:
        from ...backends.cpu import optim

        return xp, optim
    from ...backends.gpu import optim as on_device

    return xp, on_device


@no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as one vector: of order 2, of another number, or inf.

    error_if_nonfinite: raise RuntimeError if it is infinite or NaN. foreach: of PyTorch, without effect.

    >>> get_total_norm([tensor([3.0]), tensor([4.0])])
    tensor(5.)
    """
    several, norm_type = _several(tensors), float(norm_type)
    if not several:
        return zeros(())
    xp, kernels = _kernels(several)
    together = kernels.norms(xp, [t._array for t in several], norm_type)
    if together is None:
        device = several[0].device
        norms = functions["stack"]([t.norm(norm_type).to(device) for t in several])
    else:
        norms = from_array(together)
    total = norms.norm(norm_type).to(several[0].dtype)
    if error_if_nonfinite and not total.isfinite():
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients of `parameters`, whose norm is `total_norm`, in place so that it is at most `max_norm`."""
    scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    grads = [p.grad for p in _several(parameters) if p.grad is not None]
    if grads:
        xp, kernels = _kernels(grads)
        if scale.device == grads[0].device and kernels.rescale(xp, [g._array for g in grads], scale._array):
            for g in grads:
                changed(g, "mul_")
            return
    for g in grads:
        g.mul_(scale.to(g.device))


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together in place so that their norm is at most `max_norm`; returns what it was.

    Raises RuntimeError with `error_if_nonfinite` if it is infinite or NaN. From Pascanu et al., 2013.
    """
    several = _several(parameters)
    if isinstance(parameters, GeneratorType) and not several:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    total = get_total_norm([p.grad for p in several if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(several, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp each element of the gradients in place to ±`clip_value`."""
    for p in _several(parameters):
        if p.grad is not None:
            p.grad.clamp_(-float(clip_value), float(clip_value))


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """The old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)

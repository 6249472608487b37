"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops import functions
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of all parameters in one dimension. Raises TypeError for parameters on different devices."""
    several = list(parameters)
    _check_devices(several)
    return functions["cat"]([p.reshape(-1) for p in several])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parts of a vector the data of the parameters, in the order of `parameters_to_vector`.

    Raises TypeError for what is no tensor, and for parameters on different devices.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__module__}.{type(vec).__qualname__}")
    several = list(parameters)
    _check_devices(several)
    start = 0
    for p in several:
        p.data = vec[start : start + p.numel()].view_as(p).data
        start += p.numel()


def _check_devices(parameters: list[Tensor]) -> None:
    if len({p.device for p in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported. Move them to one device."
        )

"""`gradcu.autograd.forward_ad`: derivatives along one direction, computed with the values themselves.

>>> with dual_level():
...     x = make_dual(tensor([1.0, 2.0]), tensor([1.0, 0.0]))
...     y = unpack_dual(x * x)
>>> y.tangent
tensor([2., 0.])
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..graph.modes import state
from ..ops.index import alias
from ..tensor import Tensor, edge_of
from .forward import Level, Tangent, check_shape, primal_of, tangent_of

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "set_fwd_grad_enabled",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Begin a level, in which tensors can have tangents, and return its number, 0.

    Raises RuntimeError within another: levels do not nest.
    """
    if state.level is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    state.level = Level()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Leave the level; the tangents made in it are gone."""
    if state.level is None:
        raise RuntimeError("Dual level must be a positive number.")
    if level not in (None, 0):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    state.level.open = False
    state.level = None


class dual_level:
    """A `with` block that is a level: tensors can have tangents inside, which are gone afterwards."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


class set_fwd_grad_enabled:
    """Switch on or off, at once as a function or for a `with` block, that results get tangents."""

    def __init__(self, mode: bool) -> None:
        self._before, state.forward = state.forward, mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        state.forward = self._before


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A view of `tensor` with a tangent, a tensor of the same shape.

    Raises RuntimeError outside of a level, for another shape, and if either has a tangent already; ValueError for
    dtypes that are neither floating nor complex.
    """
    if level is None and state.level is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    for what, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")
    if state.level is None or level not in (None, 0):
        raise RuntimeError("Invalid level given to _make_dual")
    if tangent_of(tensor) is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not "
            "supported."
        )
    if tangent_of(tangent) is not None:
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level0 is not supported."
        )
    check_shape(tensor, tangent)
    dual = alias.record((tensor,), (...,))
    if dual._view is not None:  # there are no views in inference mode, nor tangents
        dual._view.tangent = Tangent(tangent, state.level)
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The primal and the tangent of a tensor; the tangent is None if it has none, or outside of a level."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"_unpack_dual(): argument 'dual' (position 1) must be Tensor, not {type(tensor).__name__}")
    if level not in (None, 0):
        raise RuntimeError("Invalid level given to _fw_primal")
    if state.level is None:
        return UnpackedDualTensor(tensor, None)
    edge_of(tensor)  # refuses views whose tangent is not known
    return UnpackedDualTensor(primal_of(tensor), tangent_of(tensor))

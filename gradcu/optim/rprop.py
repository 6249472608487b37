"""Rprop, which looks at signs only."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, slot


class Rprop(Optimizer):
    """Each element has a step of its own, which grows while the gradient keeps its sign: Riedmiller and Braun, 1993.

    Where the sign changes the step shrinks and the element rests for one step. Raises ValueError for settings out of
    range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        (shrink, grow), (least, most) = group["etas"], group["step_sizes"]
        next_step(state)
        before, size = slot(xp, state, "prev", p), slot(xp, state, "step_size", p, float(group["lr"]))
        for p, g, before, size, s in blocks(xp, p, g, before, size):  # noqa: B020
            xp.multiply(g, before, out=s)
            size *= xp.where(s > 0, grow, xp.where(s < 0, shrink, 1.0)).astype(size.dtype)
            xp.clip(size, least, most, out=size)
            before[...] = xp.where(s < 0, 0, g)
            p -= xp.sign(before) * size

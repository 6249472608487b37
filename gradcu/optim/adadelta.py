"""Adadelta."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, slot


class Adadelta(Optimizer):
    """Steps of the size of the last ones, so that no rate has to be chosen: Zeiler, 2012.

        v = rho · v + (1 - rho) · g²
        d = sqrt(u + eps) / sqrt(v + eps) · g
        u = rho · u + (1 - rho) · d²
        p -= lr · d

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0 <= rho <= 1:
            raise ValueError(f"Invalid rho value: {rho}")
        check(lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, rho, eps, decay = float(group["lr"]), group["rho"], group["eps"], group["weight_decay"]
        next_step(state)
        v, u = slot(xp, state, "square_avg", p), slot(xp, state, "acc_delta", p)
        for p, g, v, u, _ in blocks(xp, p, g, v, u):  # noqa: B020
            g = g + decay * p if decay else g
            v *= rho
            v += (1 - rho) * g * g
            d = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
            u *= rho
            u += (1 - rho) * d * d
            p -= lr * d

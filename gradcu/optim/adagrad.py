"""Adagrad."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, slot


class Adagrad(Optimizer):
    """v += g², p -= lr / (1 + (t - 1) · lr_decay) · g / (sqrt(v) + eps): Duchi et al., 2011.

    Raises ValueError for negative settings.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        check(initial_accumulator_value=initial_accumulator_value)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        decay, eps = group["weight_decay"], group["eps"]
        lr = float(group["lr"]) / (1 + (next_step(state) - 1) * group["lr_decay"])
        v = slot(xp, state, "sum", p, group["initial_accumulator_value"])
        for p, g, v, s in blocks(xp, p, g, v):  # noqa: B020
            g = g + decay * p if decay else g
            v += xp.multiply(g, g, out=s)
            xp.sqrt(v, out=s)
            s += eps
            xp.divide(g, s, out=s)
            s *= lr
            p -= s

    def _row_slots(self, group: dict[str, Any]) -> dict[str, float]:
        if group["weight_decay"]:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        return {"sum": group["initial_accumulator_value"]}

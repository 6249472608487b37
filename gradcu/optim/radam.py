"""RAdam."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, decayed, next_step, slot


class RAdam(Optimizer):
    """Adam that starts as plain momentum until the variance of its scale is bounded: Liu et al., 2020.

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2), eps, decay = float(group["lr"]), group["betas"], group["eps"], group["weight_decay"]
        t = next_step(state)
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        scale = lr / (1 - beta1**t)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)  # of the average that v is
        adapts = length > 5
        if adapts:
            scale *= math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            scale *= math.sqrt(1 - beta2**t)
        for p, g, m, v, s in blocks(xp, p, g, m, v):  # noqa: B020
            g = decayed(p, g, lr, decay, group["decoupled_weight_decay"])
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            xp.multiply(m, scale, out=s)
            if adapts:
                s /= xp.sqrt(v) + eps
            p -= s

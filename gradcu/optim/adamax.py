"""Adamax."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, slot


class Adamax(Optimizer):
    """Adam with the greatest decayed gradient in the place of the root mean square: Kingma and Ba, 2015.

        m = beta1 · m + (1 - beta1) · g
        u = max(beta2 · u, |g| + eps)
        p -= lr / (1 - beta1^t) · m / u

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), eps, decay = group["betas"], group["eps"], group["weight_decay"]
        scale = float(group["lr"]) / (1 - beta1 ** next_step(state))
        m, u = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_inf", p)
        for p, g, m, u, s in blocks(xp, p, g, m, u):  # noqa: B020
            g = g + decay * p if decay else g
            m += (1 - beta1) * (g - m)
            u *= beta2
            xp.abs(g, out=s)
            s += eps
            xp.maximum(u, s, out=u)
            xp.divide(m, u, out=s)
            s *= scale
            p -= s

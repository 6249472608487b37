"""NAdam."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, decayed, next_step, number, slot


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose strength follows a schedule: Dozat, 2016.

        a_t = beta1 (1 - 0.96^(t · momentum_decay) / 2)
        d  = (1 - a_t) / (1 - a_1 ... a_t) · g + a_{t+1} / (1 - a_1 ... a_{t+1}) · m
        p -= lr · d / (sqrt(v / (1 - beta2^t)) + eps)

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2), eps, decay = float(group["lr"]), group["betas"], group["eps"], group["weight_decay"]
        t = next_step(state)
        now, after = (beta1 * (1 - 0.5 * 0.96 ** (s * group["momentum_decay"])) for s in (t, t + 1))
        product = number(state, "mu_product", 1)
        product *= now
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        of_g, of_m = lr * (1 - now) / (1 - float(product)), lr * after / (1 - float(product) * after)
        for p, g, m, v, s in blocks(xp, p, g, m, v):  # noqa: B020
            g = decayed(p, g, lr, decay, group["decoupled_weight_decay"])
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            xp.sqrt(v / (1 - beta2**t), out=s)
            s += eps
            p -= (of_g * g + of_m * m) / s

"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, decayed, next_step, slot


class Adam(Optimizer):
    """Steps along the running mean of the gradient over the root of that of its square: Kingma and Ba, 2015.

        g += weight_decay · p                              (AdamW: p -= lr · weight_decay · p)
        m  = beta1 · m + (1 - beta1) · g
        v  = beta2 · v + (1 - beta2) · g²                  (amsgrad: the greatest v so far)
        p -= lr · (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    amsgrad: Reddi et al., 2018. Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, decay, (beta1, beta2) = float(group["lr"]), group["weight_decay"], group["betas"]
        decoupled, amsgrad = group["decoupled_weight_decay"], group["amsgrad"]
        t = next_step(state)
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        greatest = slot(xp, state, "max_exp_avg_sq", p) if amsgrad else v
        # m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) = scale · m / (sqrt(v) + root · eps)
        root = math.sqrt(1 - beta2**t)
        scale = lr * root / (1 - beta1**t)
        for p, g, m, v, greatest, s in blocks(xp, p, g, m, v, greatest):  # noqa: B020
            g = decayed(p, g, lr, decay, decoupled)
            xp.subtract(g, m, out=s)
            s *= 1 - beta1
            m += s
            xp.multiply(g, g, out=s)
            s *= 1 - beta2
            v *= beta2
            v += s
            if amsgrad:
                xp.maximum(greatest, v, out=greatest)
            xp.sqrt(greatest, out=s)
            s += root * group["eps"]
            xp.divide(m, s, out=s)
            s *= scale
            p -= s


class AdamW(Adam):
    """Adam whose weight decay acts on the parameter itself, apart from the gradient: Loshchilov and Hutter, 2019.

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

"""RMSprop."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, slot


class RMSprop(Optimizer):
    """g over the root of the running mean of its square: Tieleman and Hinton, 2012.

        v = alpha · v + (1 - alpha) · g²        (centered: less the square of the running mean of g)
        p -= lr · g / (sqrt(v) + eps)           (momentum: of this quotient)

    Raises ValueError for negative settings.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, alpha, eps, decay = float(group["lr"]), group["alpha"], group["eps"], group["weight_decay"]
        momentum, centered = group["momentum"], group["centered"]
        next_step(state)
        v = slot(xp, state, "square_avg", p)
        b = slot(xp, state, "momentum_buffer", p) if momentum else v
        m = slot(xp, state, "grad_avg", p) if centered else v
        for p, g, v, b, m, s in blocks(xp, p, g, v, b, m):  # noqa: B020
            g = g + decay * p if decay else g
            v *= alpha
            xp.multiply(g, g, out=s)
            s *= 1 - alpha
            v += s
            if centered:
                m += (1 - alpha) * (g - m)
                xp.sqrt(v - m * m, out=s)
            else:
                xp.sqrt(v, out=s)
            s += eps
            xp.divide(g, s, out=s)
            if momentum:
                b *= momentum
                b += s
                xp.multiply(b, lr, out=s)
            else:
                s *= lr
            p -= s

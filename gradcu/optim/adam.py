"""Adam."""

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

    def _prepare(self, xp: Any, p: Any, state: dict[str, Any], group: dict[str, Any]) -> tuple[Any, ...]:
        """Count a step. The arrays m, v and the greatest v, and two numbers:

        m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) = scale · m / (sqrt(v) + root · eps)
        """
        beta1, beta2 = group["betas"]
        t = next_step(state)
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        greatest = slot(xp, state, "max_exp_avg_sq", p) if group["amsgrad"] else v
        root = math.sqrt(1 - beta2**t)
        return m, v, greatest, float(group["lr"]) * root / (1 - beta1**t), root * group["eps"]

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, decay, (beta1, beta2) = float(group["lr"]), group["weight_decay"], group["betas"]
        decoupled, amsgrad = group["decoupled_weight_decay"], group["amsgrad"]
        m, v, greatest, scale, eps = self._prepare(xp, p, state, group)
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
            s += eps
            xp.divide(m, s, out=s)
            s *= scale
            p -= s

    def _update_all(self, params: list[Tensor], group: dict[str, Any]) -> bool:
        slots = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"][: 2 + group["amsgrad"]]
        together = self._together("adam", params, group, slots)
        if not together:
            return False
        found = [self._prepare(together.xp, p._array, self.state[p], group) for p in params]
        m, v, greatest, scale, eps = map(list, zip(*found))
        lr, decay, (beta1, beta2) = float(group["lr"]), float(group["weight_decay"]), group["betas"]
        decoupled = group["decoupled_weight_decay"]
        together.run(
            {"exp_avg": m, "exp_avg_sq": v, "max_exp_avg_sq": greatest if group["amsgrad"] else None}, [scale, eps],
            float(beta1), float(beta2), 0.0 if decoupled else decay, 1 - lr * decay if decoupled else 1.0,
            -1.0 if group["maximize"] else 1.0,
        )  # fmt: skip
        return True

    def _row_slots(self, group: dict[str, Any]) -> dict[str, float]:
        raise RuntimeError(
            f"{type(self).__name__} does not support sparse gradients, please consider SparseAdam instead"
        )

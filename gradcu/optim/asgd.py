"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, next_step, number, slot


class ASGD(Optimizer):
    """Gradient descent whose steps shrink, and the average of the parameters since step t0: Polyak and Juditsky, 1992.

    The averages are in `state[p]["ax"]`. Raises ValueError for negative settings.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, lambd, decay = float(group["lr"]), group["lambd"], group["weight_decay"]
        t, eta, mu = next_step(state), number(state, "eta", lr), number(state, "mu", 1)
        step, weight = float(eta), float(mu)
        average = slot(xp, state, "ax", p)
        for p, g, average, s in blocks(xp, p, g, average):  # noqa: B020
            g = g + decay * p if decay else g
            p *= 1 - lambd * step
            p -= xp.multiply(g, step, out=s)
            average += weight * (p - average)
        eta[...] = lr / (1 + lambd * lr * t) ** group["alpha"]
        mu[...] = 1 / max(1, t - group["t0"])

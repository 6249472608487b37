"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, slot


class SGD(Optimizer):
    """p -= lr · g, with weight decay, momentum and Nesterov's momentum: Sutskever et al., 2013.

        g += weight_decay · p
        b  = momentum · b + (1 - dampening) · g      (the first b is g)
        p -= lr · b                                   (nesterov: lr · (g + momentum · b))

    Raises ValueError for negative settings, and for nesterov without momentum or with dampening.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, decay, momentum = float(group["lr"]), float(group["weight_decay"]), group["momentum"]
        fresh = 1 if "momentum_buffer" not in state else 1 - group["dampening"]
        b = slot(xp, state, "momentum_buffer", p) if momentum else g
        for p, g, b, s in blocks(xp, p, g, b):  # noqa: B020
            if decay:
                xp.multiply(p, decay, out=s)
                g = xp.add(s, g, out=s)
            if momentum:
                b *= momentum
                b += g if fresh == 1 else fresh * g
                g = g + momentum * b if group["nesterov"] else b
            xp.multiply(g, lr, out=s)
            p -= s

    def _update_all(self, params: list[Tensor], group: dict[str, Any]) -> bool:
        momentum = float(group["momentum"])
        together = self._together("sgd", params, group, ["momentum_buffer"] if momentum else [])
        if not together:
            return False
        states = [self.state[p] for p in params] if momentum else []
        fresh = [1 - group["dampening"] if "momentum_buffer" in s else 1.0 for s in states]
        buffers = [slot(together.xp, s, "momentum_buffer", p._array) for s, p in zip(states, params)]
        together.run(
            {"momentum_buffer": buffers if momentum else None}, [fresh], float(group["lr"]), momentum,
            float(group["weight_decay"]), -1.0 if group["maximize"] else 1.0, int(group["nesterov"]),
        )  # fmt: skip
        return True

    def _row_slots(self, group: dict[str, Any]) -> dict[str, float]:
        if group["momentum"] or group["weight_decay"]:
            raise RuntimeError("SGD with momentum or weight_decay does not support sparse gradients")
        return {}

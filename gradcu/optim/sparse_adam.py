"""SparseAdam."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, check, slot


class SparseAdam(Optimizer):
    """Adam for sparse gradients: rows of a parameter, and of its state, that a gradient leaves out stay as they are.

        m = beta1 · m + (1 - beta1) · g
        v = beta2 · v + (1 - beta2) · g²
        p -= lr · sqrt(1 - beta2^t) / (1 - beta1^t) · m / (sqrt(v) + eps)

    Raises ValueError for settings out of range and complex parameters, RuntimeError for dense gradients.

    >>> table = nn.Embedding(1000, 2, sparse=True)
    >>> optimizer = optim.SparseAdam(table.parameters())
    >>> table(tensor([3, 5])).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps)
        if not lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [([i, j], p) for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"])]
        if found := [place for place, p in places if p.is_sparse]:
            raise ValueError(f"Sparse params at indices {found}: SparseAdam requires dense parameter tensors")
        if found := [place for place, p in places if p.is_complex()]:
            raise ValueError(f"Complex params at indices {found}: SparseAdam does not support complex parameters")

    def _update_all(self, params: list[Tensor], group: dict[str, Any]) -> bool:
        if params:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        return True

    def _row_slots(self, group: dict[str, Any]) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        t = state["step"] = state.get("step", 0) + 1
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        scale = float(group["lr"]) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        p -= scale * (m / (xp.sqrt(v) + group["eps"]))

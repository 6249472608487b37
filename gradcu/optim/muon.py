"""Muon: momentum, orthogonalised."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..tensor import Tensor, from_array
from .optimizer import Optimizer, check, slot


class Muon(Optimizer):
    """For matrices: steps along the nearest orthogonal matrix to the momentum: Jordan et al., 2024.

        b  = momentum · b + (1 - momentum) · g           (nesterov: u = g + momentum · (b - g), else u = b)
        p -= lr · weight_decay · p
        p -= lr · ratio · orthogonal(u)

    The orthogonal matrix comes from `ns_steps` of a Newton-Schulz iteration in bfloat16. adjust_lr_fn: the ratio is
    max(1, rows / columns) ** 0.5 ("original", None) or 0.2 · max(rows, columns) ** 0.5 ("match_rms_adamw").

    Raises ValueError for settings out of range and for parameters that are no matrices.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(ns_coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}"
                    )

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if p.dtype.kind == "c":
            raise RuntimeError("Muon does not support complex parameters")
        lr, momentum = float(group["lr"]), group["momentum"]
        b = slot(xp, state, "momentum_buffer", p)
        b += (1 - momentum) * (g - b)
        u = g + momentum * (b - g) if group["nesterov"] else b
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        p *= 1 - lr * group["weight_decay"]
        p -= (lr * ratio) * orthogonal(from_array(u), group).to(dtypes.from_numpy(p.dtype))._array


def orthogonal(u: Any, group: dict[str, Any]) -> Any:
    """About U Vᵀ, where u = U S Vᵀ: the polynomial a·x + b·x³ + c·x⁵ moves each singular value towards 1."""
    a, b, c = group["ns_coefficients"]
    wide = u.shape[0] <= u.shape[1]
    x = (u if wide else u.T).to(dtypes.bfloat16)
    x = x / x.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        square = x @ x.T
        x = x.addmm(square.addmm(square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T

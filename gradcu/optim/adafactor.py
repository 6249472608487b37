"""Adafactor: the second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, check, next_step, slot


class Adafactor(Optimizer):
    """Adam without momentum, whose state is of the size of a row and a column: Shazeer and Stern, 2018.

        v  += t^beta2_decay · (g² - v)        (of more than one dimension: of the means over rows and over columns)
        u   = g / max(eps1, sqrt(v))
        p  -= lr · weight_decay · p
        p  -= min(lr, 1 / sqrt(t)) · max(eps2, rms(p)) · u / max(1, rms(u) / d)

    eps: (eps1, eps2), where None is the precision of the dtype. Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check(lr=lr, weight_decay=weight_decay)
        if beta2_decay > 0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and eps[0] < 0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if eps[1] < 0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if d < 1:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if p.dtype.kind == "c":
            raise RuntimeError("Adafactor does not support complex parameters")
        lr, (eps1, eps2) = float(group["lr"]), group["eps"]
        if eps1 is None:
            eps1 = float(xp.finfo(p.dtype).eps)
        t = next_step(state)
        share = t ** group["beta2_decay"]
        rate = min(lr, 1 / math.sqrt(t)) * max(eps2, _rms(xp, p))
        if group["weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        square = g * g
        if p.ndim > 1:
            rows, columns = (square.mean(axis=axis, keepdims=True) for axis in (-1, -2))
            r, c = slot(xp, state, "row_var", rows), slot(xp, state, "col_var", columns)
            r += share * (rows - r)
            c += share * (columns - c)
            v = (r * c) / xp.maximum(r.mean(axis=-2, keepdims=True), eps1)
        else:
            v = slot(xp, state, "variance", p)
            v += share * (square - v)
        u = g / xp.sqrt(xp.maximum(v, eps1 * eps1))
        p -= (rate / max(1.0, _rms(xp, u) / group["d"])) * u


def _rms(xp: Any, x: Any) -> float:
    """The root of the mean of squares."""
    return math.sqrt(float((x * x).mean())) if x.size else 0.0

"""Optimizers that scale each element's step by the size of its gradients."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, blocks, check, decayed, next_step, number, slot


class Adagrad(Optimizer):
    """v += g², p -= lr / (1 + (t - 1) · lr_decay) · g / (sqrt(v) + eps): Duchi et al., 2011.

    Raises ValueError for negative settings.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        check(initial_accumulator_value=initial_accumulator_value)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        decay, eps = group["weight_decay"], group["eps"]
        lr = float(group["lr"]) / (1 + (next_step(state) - 1) * group["lr_decay"])
        v = slot(xp, state, "sum", p, group["initial_accumulator_value"])
        for p, g, v, s in blocks(xp, p, g, v):  # noqa: B020
            g = g + decay * p if decay else g
            v += xp.multiply(g, g, out=s)
            xp.sqrt(v, out=s)
            s += eps
            xp.divide(g, s, out=s)
            s *= lr
            p -= s


class Adadelta(Optimizer):
    """Steps of the size of the last ones, so that no rate has to be chosen: Zeiler, 2012.

        v = rho · v + (1 - rho) · g²
        d = sqrt(u + eps) / sqrt(v + eps) · g
        u = rho · u + (1 - rho) · d²
        p -= lr · d

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0 <= rho <= 1:
            raise ValueError(f"Invalid rho value: {rho}")
        check(lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, rho, eps, decay = float(group["lr"]), group["rho"], group["eps"], group["weight_decay"]
        next_step(state)
        v, u = slot(xp, state, "square_avg", p), slot(xp, state, "acc_delta", p)
        for p, g, v, u, _ in blocks(xp, p, g, v, u):  # noqa: B020
            g = g + decay * p if decay else g
            v *= rho
            v += (1 - rho) * g * g
            d = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
            u *= rho
            u += (1 - rho) * d * d
            p -= lr * d


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


class RAdam(Optimizer):
    """Adam that starts as plain momentum until the variance of its scale is bounded: Liu et al., 2020.

    Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check(betas, lr=lr, eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2), eps, decay = float(group["lr"]), group["betas"], group["eps"], group["weight_decay"]
        t = next_step(state)
        m, v = slot(xp, state, "exp_avg", p), slot(xp, state, "exp_avg_sq", p)
        scale = lr / (1 - beta1**t)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)  # of the average that v is
        adapts = length > 5
        if adapts:
            scale *= math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            scale *= math.sqrt(1 - beta2**t)
        for p, g, m, v, s in blocks(xp, p, g, m, v):  # noqa: B020
            g = decayed(p, g, lr, decay, group["decoupled_weight_decay"])
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            xp.multiply(m, scale, out=s)
            if adapts:
                s /= xp.sqrt(v) + eps
            p -= s

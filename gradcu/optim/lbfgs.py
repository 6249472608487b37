"""L-BFGS, a quasi-Newton method."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..graph.modes import enable_grad, no_grad
from ..ops import functions
from ..tensor import Tensor
from .optimizer import Optimizer, check


class LBFGS(Optimizer):
    """Steps along an estimate of Newton's direction from the last `history_size` changes: Liu and Nocedal, 1989.

    One `step` makes up to `max_iter` iterations and calls its closure up to `max_eval` times (1.25 · max_iter). It ends
    early where the largest gradient is below `tolerance_grad`, or the step or the loss changes by less than
    `tolerance_change`. line_search_fn: None, for steps of length lr, or "strong_wolfe".

    Raises ValueError for several parameter groups and for a negative lr, RuntimeError for another line search.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check(lr=lr)
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:
        """Minimise; `closure` clears the gradients, calls backward() and returns the loss. Returns the first loss."""
        group = self.param_groups[0]
        search, tiny = group["line_search_fn"], group["tolerance_change"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        closure = enable_grad()(closure)
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first = closure()
        loss, g = float(first), self._gradient()
        state["func_evals"] += 1
        if g.abs().max() <= group["tolerance_grad"]:
            return first
        evaluations, count = 1, 0
        while count < group["max_iter"]:
            count += 1
            state["n_iter"] += 1
            d = self._direction(state, g, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = g.clone(), loss
            lr = group["lr"]
            t: Any = min(1.0, 1.0 / g.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = g.dot(d)
            state["d"], state["t"] = d, t
            if slope > -tiny:
                break
            used = 0
            before = loss
            if search is not None:
                at = [p.clone() for p in self._params]

                def evaluate(t: Any) -> Point:
                    self._move(d, t)  # noqa: B023
                    value = float(closure())
                    gradient = self._gradient()
                    for p, old in zip(self._params, at):  # noqa: B023
                        p.copy_(old)
                    return Point(t, value, gradient, gradient.dot(d))  # noqa: B023

                found, used = strong_wolfe(evaluate, t, Point(0, loss, g, slope), float(d.abs().max()))
                t, loss, g = found.t, found.f, found.g
                self._move(d, t)
                state["t"] = t
            else:
                self._move(d, t)
                if count != group["max_iter"]:
                    loss, g, used = float(closure()), self._gradient(), 1
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or g.abs().max() <= group["tolerance_grad"]
                or (d * t).abs().max() <= tiny
                or abs(loss - before) < tiny
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], g: Tensor, size: int) -> Tensor:
        """Minus the gradient times the estimate of the inverse Hessian, which first learns from the last step."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -g
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
        ys = y.dot(s)
        if ys > 1e-10:
            if len(changes) == size:
                for past in (changes, steps, ro):
                    past.pop(0)
            changes.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            state["H_diag"] = ys / y.dot(y)
        shares = state.setdefault("al", [None] * size)
        q = -g
        for i in reversed(range(len(changes))):
            shares[i] = steps[i].dot(q) * ro[i]
            q = q - shares[i] * changes[i]
        d = q * state["H_diag"]
        for i in range(len(changes)):
            d = d + (shares[i] - changes[i].dot(d) * ro[i]) * steps[i]
        return d

    def _gradient(self) -> Tensor:
        """The gradients of all parameters in one vector, complex numbers as pairs."""
        parts = [functions["zeros_like"](p) if p._grad is None else p._grad for p in self._params]
        return functions["cat"]([_real(part).reshape(-1) for part in parts])

    def _move(self, d: Tensor, t: Any) -> None:
        """Add `t * d` to the parameters."""
        offset = 0
        for p in self._params:
            r = _real(p)
            n = r.numel()
            r.add_(d[offset : offset + n].reshape(r.shape) * t)
            offset += n


def _real(t: Tensor) -> Tensor:
    return functions["view_as_real"](t) if t.is_complex() else t


# --- the line search ---


class Point(NamedTuple):
    """A step length, and there the loss, its gradient and its slope along the direction."""

    t: Any
    f: float
    g: Tensor
    slope: Any


def strong_wolfe(
    evaluate: Callable[[Any], Point], t: Any, start: Point, scale: float, c1: float = 1e-4, c2: float = 0.9
) -> tuple[Point, int]:
    """A point where the loss falls enough and the slope is flat enough, and how many were tried (25, and two more).

    Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6, with cubic interpolation. scale: the largest
    element of the direction, by which a bracket counts as empty.
    """

    def falls_short(p: Point) -> bool:
        return p.f > start.f + c1 * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    limit = 25
    before, p = start, evaluate(t)
    tried, rounds = 1, 0
    while rounds < limit:
        if falls_short(p) or (rounds > 1 and p.f >= before.f) or (p.slope >= 0 and not flat(p)):
            break
        if flat(p):
            return p, tried
        t = cubic(before, p, p.t + 0.01 * (p.t - before.t), p.t * 10)
        before, p = p, evaluate(t)
        tried += 1
        rounds += 1
    else:
        before = start
    low, high = (before, p) if before.f <= p.f else (p, before)
    stuck = False
    while rounds < limit and abs(high.t - low.t) * scale >= 1e-9:
        near, far = min(low.t, high.t), max(low.t, high.t)
        t = cubic(before, p, near, far)
        margin = 0.1 * (far - near)
        if min(far - t, t - near) >= margin:
            stuck = False
        elif stuck or t >= far or t <= near:
            t = far - margin if abs(t - far) < abs(t - near) else near + margin
            stuck = False
        else:
            stuck = True
        new = evaluate(t)
        tried += 1
        rounds += 1
        old_low = low
        if falls_short(new) or new.f >= low.f:
            low, high = (low, new) if low.f <= new.f else (new, low)
        else:
            if flat(new):
                return new, tried
            low, high = new, old_low if new.slope * (high.t - low.t) >= 0 else high
        before, p = low, high
    return low, tried


def cubic(a: Point, b: Point, low: Any, high: Any) -> Any:
    """Where the cubic through two points with their slopes is least, within bounds."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)

"""Connectionist temporal classification."""

from __future__ import annotations

import math
from typing import Any

from .. import backends, dtypes
from ..tensor import Tensor, from_array
from .expose import expose, functions
from .loss import check_reduction


@expose(into="nn.functional", method=False)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log-probability of all alignments of targets with log_probs (T, N, C) or (T, C) (Graves et al. 2006).

    targets: (N, S), or all in a row. The mean divides each loss by its target's length first. `zero_infinity` makes
    losses without any alignment, and their gradients, zero. Raises RuntimeError where lengths do not fit.
    """
    check_reduction(reduction)
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
    steps, n, classes = log_probs.shape
    if not log_probs.dtype.is_floating_point:
        raise RuntimeError(f"\"ctc_loss\" not implemented for '{log_probs.dtype}'")
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    host = backends.host
    rows, lengths = (_lengths(x) for x in (input_lengths, target_lengths))
    if len(rows) != n:
        raise RuntimeError(f"input_lengths must be of size batch_size, but got {len(rows)} for a batch of {n}")
    if len(lengths) != n:
        raise RuntimeError(f"target_lengths must be of size batch_size, but got {len(lengths)} for a batch of {n}")
    if any(r > steps for r in rows):
        raise RuntimeError(f"Expected input_lengths to have value at most {steps}, but got value {max(rows)}")
    if any(m < 0 for m in (*rows, *lengths)):
        raise RuntimeError("Expected input_lengths and target_lengths to have non-negative values")
    labels = backends.to_host(targets._array)
    flat = labels.ndim == 1 and not (single and len(labels) >= lengths[0])
    longest = max(lengths, default=0)
    if not flat and labels.size and labels.shape[-1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {labels.shape[-1]}"
        )
    # Each target with blanks around its labels; paths move on by at most one label.
    table = host.full((n, 2 * longest + 1), blank)
    starts = host.cumsum([0, *lengths])
    for i, m in enumerate(lengths):
        table[i, 1 : 2 * m : 2] = (
            labels[starts[i] : starts[i] + m] if flat else labels.reshape(-1, labels.shape[-1])[i, :m]
        )
    skips = host.zeros(table.shape, dtype=bool)
    skips[:, 2:] = (table[:, 2:] != blank) & (table[:, 2:] != table[:, :-2])
    xp = backends.namespaces[type(log_probs._array)]
    allowed = from_array(xp.asarray(skips))
    # So low that it counts for nothing, and yet finite: its derivatives are zero and not NaN.
    never = -1e30 if log_probs.dtype is not dtypes.float16 else -1e4
    seen = log_probs.gather(2, from_array(xp.asarray(table)).unsqueeze(0).expand(steps, -1, -1)).clamp(min=never)
    at = from_array(xp.arange(table.shape[1]))
    alpha = functions["where"](at < 2, seen[0], never) if steps else seen.new_full((n, table.shape[1]), never)
    history = [alpha]
    pad = alpha.new_full((n, 2), never)
    for t in range(1, steps):
        before = functions["cat"]([pad, alpha], 1)
        stay, one, two = before[:, 2:], before[:, 1:-1], functions["where"](allowed, before[:, :-2], never)
        alpha = functions["logsumexp"](functions["stack"]([stay, one, two]), 0) + seen[t]
        history.append(alpha)
    ends = functions["stack"](history)
    batch = from_array(xp.arange(n))
    last = from_array(xp.asarray([max(r - 1, 0) for r in rows]))
    size = from_array(xp.asarray(lengths))
    final = ends[last, batch, 2 * size]
    label = functions["where"](size > 0, ends[last, batch, (2 * size - 1).clamp(min=0)], never)
    loss = -functions["logaddexp"](final, label)
    # PyTorch's gradient takes log_probs for the result of log_softmax: it has the derivative of their sum of
    # probabilities in it, which is one.
    within = xp.arange(steps)[:, None] < xp.asarray(rows)[None, :]
    mass = (log_probs.exp() * from_array(within[:, :, None].astype(log_probs._array.dtype))).sum((0, 2))
    loss = loss + (mass - mass.detach())
    dead = loss > -never / 2
    if zero_infinity or bool(dead.any()):
        loss = loss.masked_fill(dead, 0.0 if zero_infinity else math.inf)
    if reduction == "mean":
        return (loss / size.clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss


def _lengths(x: Any) -> list[int]:
    if isinstance(x, Tensor):
        if x._array.dtype.kind not in "iu":
            raise RuntimeError("input_lengths and target_lengths must be integral")
        x = x.reshape(-1).tolist()
    return [int(v) for v in x]

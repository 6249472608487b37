"""Attention, and its gradients: `kernels/attention.cu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import FLOATS, instance, wide

TILE, ROWS = 32, 4  # as in kernels/attention.cu
SHARED = 96 << 10  # bytes of shared memory that every device from compute capability 8.0 has for a block


def suits(q: Any, k: Any, v: Any) -> bool:
    """Whether (N, heads, positions, features) arrays are for these kernels."""
    itemsize = 8 if q.dtype.name == "float64" else 4
    return (
        q.ndim == 4
        and bool(q.size and k.size and v.size)
        and q.dtype == k.dtype == v.dtype
        and q.dtype.name in FLOATS
        and q.shape[0] == k.shape[0]
        and k.shape[:3] == v.shape[:3]
        and q.shape[1] % k.shape[1] == 0
        and 2 * TILE * (q.shape[3] + v.shape[3] + 2) * itemsize <= SHARED
    )


def _launch(
    xp: Any, function: str, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, before: Any, after: Any
) -> None:
    """Launch a kernel with the arrays `before` and `after` the mask."""
    (n, heads, queries, features), (keys, values) = q.shape, v.shape[2:]
    over_keys = function == "attention_keys"
    blocks = n * (k.shape[1] if over_keys else heads) * -(-(keys if over_keys else queries) // TILE)
    itemsize = np.dtype(wide(q.dtype)).itemsize
    sides = (2, 1) if function == "attention" else (2, 2)
    memory = TILE * itemsize * (sides[0] * (features + 1) + sides[1] * (values + 1))
    if mask is None:
        masks: Any = np.int64(0), np.int64(0), *[np.int64(0)] * 4
    else:
        mask = xp.broadcast_to(mask, (n, heads, queries, keys))
        kinds = (mask, np.int64(0)) if mask.dtype.kind == "b" else (np.int64(0), mask)
        masks = *kinds, *(np.int64(s // mask.itemsize) for s in mask.strides)
    kernel = xp.kernel("attention", instance(function, q.dtype, str(-(-max(features, values) // 32))))
    if memory > 48 << 10:
        kernel.max_dynamic_shared_size_bytes = memory
    sizes = (
        *map(np.int64, (queries, keys, heads, heads // k.shape[1])), np.int32(features), np.int32(values), causal,
        np.float64(scale),
    )  # fmt: skip
    kernel((blocks,), (TILE // ROWS * 32,), (*before, *masks, *after, *sizes), shared_mem=memory)


def attention(
    xp: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, added: bool, scale: float
) -> tuple[Any, Any] | None:
    """softmax(scale q k^T + mask) v, and of each query log(sum(exp(scores))), which the gradients need.

    q is (N, heads, L, E), k (N, heads of keys, S, E), v (N, heads of keys, S, V); a boolean mask says what may be seen,
    one that is `added` has the dtype of q; both broadcast to (N, heads, L, S). With `causal` query i sees keys 0 to i,
    whatever the mask says.
    """
    if not suits(q, k, v) or (added and mask.dtype != q.dtype):
        return None
    mask = None if causal else mask
    q, k, v = (xp.ascontiguousarray(a) for a in (q, k, v))
    out = xp.empty((*q.shape[:3], v.shape[3]), dtype=q.dtype)
    log_sums = xp.empty((*q.shape[:3], 1), dtype=wide(q.dtype))
    _launch(xp, "attention", q, k, v, mask, causal, scale, (q, k, v), (out, log_sums))
    return out, log_sums


def attention_vjp(
    xp: Any, g: Any, needs: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, added: bool, scale: float, out: Any
) -> tuple[Any, ...] | None:
    """The gradients of q, k and v, from that of the result; a mask that is added gets none."""
    if not suits(q, k, v) or (added and mask.dtype != q.dtype):
        return None
    mask = None if causal else mask
    result, log_sums = out
    g, q, k, v, result = (xp.ascontiguousarray(a) for a in (g, q, k, v, result))
    dq, dk, dv, products = xp.empty_like(q), xp.empty_like(k), xp.empty_like(v), xp.empty_like(log_sums)
    rest = q, k, v, mask, causal, scale
    _launch(xp, "attention_queries", *rest, (g, q, k, v), (result, log_sums, dq, products))
    _launch(xp, "attention_keys", *rest, (g, q, k, v), (log_sums, products, dk, dv))
    return dq, dk, dv, None

"""Attention."""

from __future__ import annotations

import math

from .. import dtypes
from ..tensor import Tensor
from .expose import expose, functions, namespaces


@expose(into="nn.functional", function=False, method=False)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T * scale + mask) value, for query (..., L, E), key (..., S, E), value (..., S, V).

    A boolean mask tells what may be attended to, another is added; `is_causal` lets position i see 0..i. `scale` is
    1 / sqrt(E) unless given. With `enable_gqa` groups of query heads share a head of key and value. Raises RuntimeError
    for a mask beside `is_causal`, and for dtypes that differ (Vaswani et al. 2017).
    """
    for t in (key, value):
        if t.dtype is not query.dtype:
            raise RuntimeError(
                "Expected query, key, and value to have the same dtype, but got query.dtype: "
                f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
            )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim(): "
            f"{query.ndim}, key.dim(): {key.ndim} and value.dim(): {value.ndim} instead."
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(times, -3) for t in (key, value))  # type: ignore[attr-defined]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.mT  # type: ignore[attr-defined, operator]
    dead = None
    if is_causal:
        attn_mask = functions["ones"](scores.shape[-2:], dtype=dtypes.bool, device=query.device).tril()
    if attn_mask is not None:
        if attn_mask.dtype is dtypes.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
            dead = ~attn_mask.any(-1, keepdim=True)
        else:
            scores = scores + attn_mask
    weights = functions["softmax"](scores, -1)
    if dead is not None:
        weights = weights.masked_fill(dead, 0.0)  # a position that may see nothing gets zero, not NaN
    if dropout_p > 0:
        weights = namespaces["nn.functional"]["dropout"](weights, dropout_p)
    return weights @ value

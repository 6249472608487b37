"""Attention."""

from __future__ import annotations

import math
from typing import Any

from .. import backends, dtypes
from ..backends.cpu import compiled
from ..graph.modes import state
from ..graph.op import Primitive
from ..tensor import Tensor, from_array
from .expose import expose, functions, namespaces


def _scores(xp: Any, q: Any, k: Any, mask: Any, added: bool, scale: float) -> Any:
    s = xp.matmul(q * scale, xp.matrix_transpose(k))
    if mask is None:
        return s
    return s + mask if added else xp.where(mask, s, -math.inf)


def _weights(xp: Any, s: Any) -> Any:
    """The softmax of scores; zero, not NaN, for a position that may see nothing."""
    dead = xp.max(s, axis=-1, keepdims=True) == -math.inf
    return xp.where(dead, 0.0, xp.softmax(xp.where(dead, 0.0, s), -1))


@compiled("attention")
def _attention(xp: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, added: bool, scale: float) -> tuple[Any, Any]:
    """The result, and of each query log(sum(exp(scores))), by which kernels find weights again."""
    s = _scores(xp, q, k, mask, added, scale)
    top = xp.max(s, axis=-1, keepdims=True)
    return xp.matmul(_weights(xp, s), v), top + xp.log(xp.sum(xp.exp(s - top), axis=-1, keepdims=True))


@compiled("attention")
def _attention_vjp(
    xp: Any, g: Any, needs: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, added: bool, scale: float, out: Any
) -> tuple[Any, ...]:
    p = _weights(xp, _scores(xp, q, k, mask, added, scale))
    dp = xp.matmul(g, xp.matrix_transpose(v))
    ds = p * (dp - xp.sum(dp * p, axis=-1, keepdims=True)) * scale
    mt = xp.matrix_transpose
    return xp.matmul(ds, k), xp.matmul(mt(ds), q), xp.matmul(mt(p), g), None


def _samples(make: Any) -> list[tuple]:
    mask = from_array(backends.host.array([[True, False], [True, True], [False, True]]))
    q, k, v = (2, 1, 3, 4), (2, 1, 2, 4), (2, 1, 2, 3)
    return [(make(*q), make(*k), make(*v), m, False, False, 0.5) for m in (None, mask)]


#: (N, heads, L, E), (N, heads, S, E), (N, heads, S, V) and a mask that broadcasts to (N, heads, L, S), which gets no
#: gradient and is added or, boolean, says what may be seen; with `causal` it is the lower triangle
attention_ = Primitive(
    "attention",
    _attention,
    _attention_vjp,
    inputs=4,
    outputs=2,
    differentiable=(0,),
    node="ScaledDotProductEfficientAttentionBackward0",
    samples=_samples,
)


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
        if t.dtype is not query.dtype and not state.autocast:
            raise RuntimeError(
                "Expected query, key, and value to have the same dtype, but got query.dtype: "
                f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
            )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim(): "
            f"{query.ndim}, key.dim(): {key.ndim} and value.dim(): {value.ndim} instead."
        )
    if attn_mask is not None and not (attn_mask.dtype.is_floating_point or attn_mask.dtype is dtypes.bool):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{attn_mask.dtype} and  query.dtype: {query.dtype} instead."
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(times, -3) for t in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if (
        query.is_cuda
        and query.ndim == 4
        and tuple(query.shape[:2]) == tuple(key.shape[:2]) == tuple(value.shape[:2])
        and not dropout_p
        and not (attn_mask is not None and attn_mask.requires_grad)
    ):  # without an array of all weights
        if is_causal:
            shape = query.shape[-2], key.shape[-2]
            attn_mask = functions["ones"](shape, dtype=dtypes.bool, device=query.device).tril()
        added = attn_mask is not None and attn_mask.dtype is not dtypes.bool
        return attention_.record((query, key, value, attn_mask), (is_causal, added, scale))[0]
    scores = (query * scale) @ key.mT
    dead = None
    if is_causal:  # which leaves at least one position for each to see
        shape = scores.shape[-2:]
        attn_mask = functions["full"](shape, -math.inf, dtype=scores.dtype, device=scores.device).triu(1)
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


@expose(into="nn.functional", function=False, method=False)
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes, of query (L, N, E), key and value (S, N, E), or the same without N.

    Returns the output (L, N, E) and, with `need_weights`, the attention weights (N, L, S), averaged over the heads or
    (N, heads, L, S). Boolean masks tell what may *not* be attended to. Raises AssertionError where shapes
    do not fit.
    """
    F = namespaces["nn.functional"]
    single = query.ndim == 2
    if single:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    if query.ndim != 3:
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query tensor"
        )
    target, n, width = query.shape
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    head = width // num_heads
    if head * num_heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    packed: Any = in_proj_weight
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else packed.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (F["linear"](t, w, b) for t, w, b in zip((query, key, value), weights, biases))
    if bias_k is not None and bias_v is not None:
        k, v = (functions["cat"]([t, b.expand(1, n, width)]) for t, b in ((k, bias_k), (v, bias_v)))
    q, k, v = (t.reshape(t.shape[0], n, num_heads, head).permute(1, 2, 0, 3) for t in (q, k, v))
    if static_k is not None:
        k = static_k.reshape(n, num_heads, -1, head)
    if static_v is not None:
        v = static_v.reshape(n, num_heads, -1, head)
    if add_zero_attn:
        k, v = (F["pad"](t, (0, 0, 0, 1)) for t in (k, v))
    source = k.shape[2]
    mask = None
    for given in (attn_mask, key_padding_mask):
        if given is None:
            continue
        if given is key_padding_mask:
            part = given.reshape(n, 1, 1, -1)
        else:
            part = given if given.ndim == 2 else given.reshape(n, num_heads, *given.shape[1:])
        if part.dtype is dtypes.bool:
            part = functions["zeros"](part.shape, dtype=q.dtype, device=q.device).masked_fill(part, -math.inf)
        if part.shape[-1] < source:  # what was added may be attended to
            part = F["pad"](part, (0, source - part.shape[-1]))
        mask = part if mask is None else mask + part
    scores = (q * head**-0.5) @ k.transpose(-2, -1)
    attention = functions["softmax"](scores if mask is None else scores + mask, -1)
    dropped = F["dropout"](attention, dropout_p) if training and dropout_p > 0 else attention
    mixed = (dropped @ v).permute(2, 0, 1, 3).reshape(target, n, width)
    out = F["linear"](mixed, out_proj_weight, out_proj_bias)
    shown = None
    if need_weights:
        shown = dropped.mean(1) if average_attn_weights else dropped
    if single:
        return out.squeeze(1), None if shown is None else shown.squeeze(0)
    return out, shown

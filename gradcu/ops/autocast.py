"""What `amp.autocast` does to operations: the dtype that each computes in, by kind of device, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..graph.modes import state
from ..graph.op import Primitive
from ..tensor import Tensor
from .intercept import Interceptor

#: products, which compute in the narrow dtype
_NARROW = frozenset(
    """addbmm addmm attention baddbmm bmm convolution convolution_input linear linear_without_bias lstm matmul mm
    recurrence""".split()
)
#: those that also do on CUDA
_NARROW_ON_CUDA = _NARROW | {"addmv", "addr", "gru", "mv", "prelu"}
#: what half precision is too coarse for: float32 (losses of other kinds convert in `loss.operands`)
_WIDE = frozenset(["binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "mse_loss", "nll"])
_WIDE_ON_CUDA = _WIDE | frozenset(
    """acos asin cosh erfinv exp expm1 group_normal layer_normal log log10 log1p log2 log_softmax pow reciprocal
    running_product running_sum rsqrt sinh softmax softplus sum sum_all tan vector_norm""".split()
)
#: the widest dtype among the operands
_WIDEST = frozenset(["concat", "index_copy", "stack"])
_WIDEST_ON_CUDA = _WIDEST | {"addcdiv", "addcmul", "atan2", "cross", "dot", "put_indexed", "scatter_add", "vdot"}

_RULES = {
    "cpu": (_NARROW, _WIDE, _WIDEST),
    "cuda": (_NARROW_ON_CUDA, _WIDE_ON_CUDA, _WIDEST_ON_CUDA),
}


class Casting(Interceptor):
    """Converts the operands of each operation to the dtype that it computes in while `state.autocast` names a device.

    Parameters are converted once: each has one conversion, and one node, until `stop`.
    """

    def __init__(self) -> None:
        self._converted: dict[int, tuple[Tensor, Tensor]] = {}

    def operation(self, op: Primitive, inputs: Sequence[Any], attributes: tuple, run: Callable[[], Any]) -> Any:
        operands: Sequence[Any] = inputs[0] if op.variadic else inputs
        here = next((t.device.type for t in operands if isinstance(t, Tensor)), None)
        if here is None or here not in state.autocast:
            return run()
        narrow, wide, widest = _RULES[here]
        suited = [t for t in operands if _suited(t, here)]
        dtype = dtypes.float32
        if op.name in narrow:
            dtype = state.autocast[here]
            if suited and any(t.dtype is dtypes.float64 for t in operands if isinstance(t, Tensor)):
                raise RuntimeError(
                    f"expected the operands of {op.name} to have the same dtype, but got double != {dtype.c_name}: "
                    "autocast leaves float64 as it is"
                )
        elif op.name in widest:
            dtype = max((t.dtype for t in suited), key=lambda d: d.itemsize, default=dtype)
        elif op.name not in wide:
            return run()
        if all(t.dtype is dtype for t in suited):
            return run()
        converted = [self._convert(t, dtype) if _suited(t, here) else t for t in operands]
        return op.record([converted] if op.variadic else converted, attributes)

    def _convert(self, t: Tensor, dtype: dtypes.dtype) -> Tensor:
        if t.dtype is dtype or not (t.is_leaf and t.requires_grad and state.grad and dtype.itemsize == 2):
            return t.to(dtype)
        if id(t) not in self._converted:
            self._converted[id(t)] = t, t.to(dtype)
        return self._converted[id(t)][1]

    def stop(self) -> None:
        super().stop()
        self._converted.clear()


def _suited(t: Any, device: str) -> bool:
    return isinstance(t, Tensor) and t.dtype.is_floating_point and t.dtype.itemsize <= 4 and t.device.type == device

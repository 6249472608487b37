"""`gradcu.autograd.function`: where PyTorch keeps `Function`."""

from ..graph.function import Function, FunctionNode, once_differentiable

FunctionCtx = BackwardCFunction = FunctionNode

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "once_differentiable"]

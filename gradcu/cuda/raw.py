"""CUDA C++ of the user's own as an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backends
from ..autograd.function import Function, once_differentiable
from ..tensor import Tensor, from_array

THREADS = 256  # in a block


class RawKernel:
    """An operation from CUDA C++ source: one function forward, and one backward.

    forward: the name of the `__global__` function that is called as `(inputs..., result, numbers..., n)`: pointers to
        contiguous arrays, Python's numbers as `double` or `long long`, and as a `long long` the number of elements of
        the result. At least n threads run it, in blocks of 256.
    backward: that which is called as `(gradient, inputs..., gradients of the inputs..., numbers..., n)`. The gradients
        it writes to have the inputs' shapes and are zero before. Without it, a backward raises RuntimeError.
    shape: from the shapes of the inputs that of the result; by default it is the first input's.

    The functions are `extern "C"`, or templates over the element type of the first input, whose dtype the result has.

    >>> square = gradcu.cuda.RawKernel('''
    ... template <class T> __global__ void square(const T* x, T* y, long long n) {
    ...     long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    ...     if (i < n) y[i] = x[i] * x[i];
    ... }
    ... template <class T> __global__ void back(const T* g, const T* x, T* dx, long long n) {
    ...     long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    ...     if (i < n) dx[i] = g[i] * 2 * x[i];
    ... }''', "square", "back")
    >>> square(gradcu.ones(3, device="cuda"))
    tensor([1., 1., 1.], device='cuda:0')
    """

    def __init__(
        self,
        source: str,
        forward: str,
        backward: str | None = None,
        *,
        shape: Callable[..., tuple[int, ...]] = lambda first, *others: first,
    ) -> None:
        self._source, self._forward, self._backward, self._shape = source, forward, backward, shape
        for name in filter(None, (forward, backward)):
            if name not in source:
                raise ValueError(f"RawKernel: the source has no function '{name}'")

    def source(self) -> str:
        """The CUDA C++ text."""
        return self._source

    def __call__(self, *args: Tensor | float) -> Tensor:
        """Run it on CUDA tensors, followed by numbers. Raises TypeError or RuntimeError for anything else."""
        count = sum(isinstance(a, Tensor) for a in args)
        tensors, numbers = args[:count], args[count:]
        if not count or not all(isinstance(t, Tensor) for t in tensors):
            raise TypeError(f"{self._forward}(): expected tensors, and numbers after them")
        if not all(isinstance(n, (int, float)) for n in numbers):
            raise TypeError(f"{self._forward}(): expected numbers after the tensors")
        places = {t.device for t in tensors if isinstance(t, Tensor)}
        if len(places) > 1 or next(iter(places)).type != "cuda":
            raise RuntimeError(f"{self._forward}(): a CUDA kernel takes tensors of one CUDA device, not {places}")
        return _Call.apply(self, numbers, *tensors)

    def launch(self, name: str, arrays: list[Any], numbers: tuple, size: int) -> None:
        """Run a function of the source on raw arrays, in `size` threads or a few more."""
        backends.cuda().launch_source(self._source, name, arrays, numbers, size, THREADS)


class _Call(Function):
    @staticmethod
    def forward(ctx: Any, kernel: RawKernel, numbers: tuple, *tensors: Tensor) -> Tensor:
        ctx.kernel, ctx.numbers = kernel, numbers
        ctx.save_for_backward(*tensors)
        xp = backends.cuda()
        arrays = [xp.ascontiguousarray(t._array) for t in tensors]
        out = xp.empty(kernel._shape(*(a.shape for a in arrays)), dtype=arrays[0].dtype)
        kernel.launch(kernel._forward, [*arrays, out], numbers, out.size)
        return from_array(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple:
        kernel = ctx.kernel
        if kernel._backward is None:
            raise RuntimeError(f"{kernel._forward}() has no gradient: give RawKernel a function for backward")
        xp = backends.cuda()
        arrays = [xp.ascontiguousarray(t._array) for t in (g, *ctx.saved_tensors)]
        made = [xp.zeros(a.shape, dtype=a.dtype) for a in arrays[1:]]
        kernel.launch(kernel._backward, [*arrays, *made], ctx.numbers, g._array.size)
        return (None, None, *map(from_array, made))

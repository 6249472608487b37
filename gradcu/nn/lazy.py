"""Layers that learn the number of their input features from the first input, and are ordinary ones from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .parameter import UninitializedBuffer, UninitializedParameter, _Uninitialized


class LazyModuleMixin(Module):
    """What makes a module lazy: `class LazyLinear(LazyModuleMixin, Linear)`.

    A subclass registers `UninitializedParameter`s and defines `initialize_parameters(*inputs)`, which is called with
    the first inputs and materializes them; then the module's class becomes `cls_to_become`, if that is given.
    """

    cls_to_become: type[Module] | None = None

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the shapes that these inputs call for."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of the module has no shape yet."""
        return any(isinstance(t, _Uninitialized) for t in (*self._parameters.values(), *self._buffers.values()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {type(self).__name__} has not been fully initialized")
        if self.cls_to_become is None:
            return super().__call__(*args, **kwargs)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        return self(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        waiting = [name for name, t in self._buffers.items() if isinstance(t, UninitializedBuffer)]
        super()._apply(fn, recurse)
        for name in waiting:  # buffers are replaced
            self._buffers[name].__class__ = UninitializedBuffer
        return self

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *more: Any) -> None:
        for name, t in self._own_state():
            given = state_dict.get(prefix + name)
            if isinstance(t, _Uninitialized) and isinstance(given, Tensor) and not isinstance(given, _Uninitialized):
                t.materialize(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *more)


class _Lazy(LazyModuleMixin):
    """A layer made for 0 input features: the arrays of its uninitialized parameters have 0 where those belong."""

    unknown: str

    def _wait(self) -> None:
        """Make all parameters, and the buffers without elements, uninitialized ones."""
        for p in self._parameters.values():
            if p is not None:
                p.__class__ = UninitializedParameter
        for b in self._buffers.values():
            if b is not None and b.dim():
                b.__class__ = UninitializedBuffer

    def reset_parameters(self) -> None:
        """Draw new values, once the shapes are known."""
        if getattr(self, self.unknown):
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        size = self._features(input)
        if not getattr(self, self.unknown):
            setattr(self, self.unknown, size)
        if self.has_uninitialized_params():
            for _, t in self._own_state():
                if isinstance(t, _Uninitialized):
                    t.materialize([n or self._share(size) for n in t._array.shape])
            self.reset_parameters()

    def _features(self, input: Tensor) -> int:
        raise NotImplementedError

    def _share(self, size: int) -> int:
        """What of `size` input features is a dimension of the weight."""
        return size


class LazyLinear(_Lazy, Linear):
    """`Linear` whose in_features is the last dimension of the first input.

    >>> layer = LazyLinear(3)
    >>> layer(zeros(2, 5)).shape, layer
    (gradcu.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become, unknown = Linear, "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._wait()

    def _features(self, input: Tensor) -> int:
        return input.shape[-1]


class _LazyConv(_Lazy):
    unknown = "in_channels"

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *args, **kwargs)
        self._wait()

    def _features(self, input: Tensor) -> int:
        n = self.dims
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, but got input of "
                f"size: {input.shape}"
            )
        return input.shape[-n - 1]

    def _share(self, size: int) -> int:
        if size % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        return size if self.transposed else size // self.groups


class _LazyNorm(_Lazy):
    unknown = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._wait()

    def _features(self, input: Tensor) -> int:
        self._check_input_dim(input)
        return input.shape[1]


def _lazy(base: Any, plain: Any, what: str) -> Any:
    """The lazy form of a layer."""
    body = {
        "cls_to_become": plain,
        "__module__": __name__,
        "__doc__": f"`{plain.__name__}` whose {base.unknown} are the {what} of the first input.",
    }
    return type(f"Lazy{plain.__name__}", (base, plain), body)


LazyConv1d, LazyConv2d, LazyConv3d = (_lazy(_LazyConv, c, "channels") for c in (Conv1d, Conv2d, Conv3d))
LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = (
    _lazy(_LazyConv, c, "channels") for c in (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
)
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (
    _lazy(_LazyNorm, c, "channels") for c in (BatchNorm1d, BatchNorm2d, BatchNorm3d)
)
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (
    _lazy(_LazyNorm, c, "channels") for c in (InstanceNorm1d, InstanceNorm2d, InstanceNorm3d)
)

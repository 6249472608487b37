"""Tensors that a module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

from ..ops.creation import empty
from ..tensor import Tensor, fill, version_of


class Parameter(Tensor):
    """A tensor that a `Module` counts among its parameters when it is assigned to an attribute.

    It shares the memory of `data` and, unless said otherwise, requires grad.

    >>> Parameter(tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        t = _around(cls, data)
        if requires_grad and t._array.dtype.kind in "biu":
            raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
        return t.requires_grad_(requires_grad)  # type: ignore[return-value]

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__(**kwargs)

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self._rg)
        return memo[id(self)]


class Buffer(Tensor):
    """A tensor that a `Module` counts among its buffers when it is assigned: state that is not trained.

    `persistent=False` keeps it out of the module's `state_dict`.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        t = _around(cls, data)
        t.persistent = persistent  # type: ignore[attr-defined]
        return t.requires_grad_(data is not None and data.requires_grad)  # type: ignore[return-value]


def _around(cls: Any, data: Tensor | None) -> Tensor:
    """A leaf of class `cls` over the memory of `data`."""
    if data is None:
        data = empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(f"{cls.__name__}() takes a Tensor, not {type(data).__name__}")
    t = fill(object.__new__(cls), data._array, None, False)
    t._counter = version_of(data)
    return t


class _Uninitialized(Tensor):
    """A tensor whose shape is not known yet: its array, in the meantime, has length 0 in the unknown dimensions."""

    cls_to_become: type[Tensor]

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or buffer of that shape, whose values are not set yet."""
        self._array = empty(*shape, device=device or self.device, dtype=dtype or self.dtype)._array
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet; `materialize` gives it one."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        return _around(cls, empty(0, device=device, dtype=dtype)).requires_grad_(requires_grad)  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = _around(type(self), self.detach().clone()).requires_grad_(self._rg)
        return memo[id(self)]


class UninitializedBuffer(_Uninitialized):
    """A buffer whose shape is not known yet; `materialize` gives it one."""

    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        t = _around(cls, empty(0, device=device, dtype=dtype))
        t.persistent = persistent  # type: ignore[attr-defined]
        return t.requires_grad_(requires_grad)  # type: ignore[return-value]


def is_lazy(param: object) -> bool:
    """Whether the shape of a parameter or buffer is not known yet."""
    return isinstance(param, _Uninitialized)

"""`device`: where a tensor's memory is."""

from __future__ import annotations

import re


class device:
    """`device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device("cuda", 1)`; also a context manager.

    Inside `with device("cuda"):` tensors are created there unless a call says otherwise.
    Raises RuntimeError for a name that is no device.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __new__(cls, type: str | int | device, index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            index, type = type, "cuda"
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        found = re.fullmatch(r"([a-z]+)(?::(\d+))?", type)
        if not found:
            raise RuntimeError(f"Invalid device string: '{type}'")
        name, number = found.groups()
        if name not in ("cpu", "cuda"):
            raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {name}")
        if number is not None:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            index = int(number)
        if name == "cpu" and index not in (None, 0):
            raise RuntimeError(f"CPU device index must be -1 or zero, got {index}")
        self = object.__new__(cls)
        object.__setattr__(self, "type", name)
        object.__setattr__(self, "index", index)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"attribute '{name}' of 'gradcu.device' objects is not writable")

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple:
        return device, (str(self),)

    def __enter__(self) -> device:
        _stack.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _stack.pop()


cpu = device("cpu")
_stack = [cpu]


def get_default_device() -> device:
    """The device on which tensors are created where no `device=` is given."""
    return _stack[-1]


def set_default_device(d: device | str | int | None) -> None:
    """Create tensors on `d` from now on (None: on the CPU)."""
    _stack[-1] = cpu if d is None else device(d)


def resolve(d: device | str | int | None) -> device:
    """The device a `device=` argument names."""
    return _stack[-1] if d is None else d if isinstance(d, device) else device(d)


class OutOfMemoryError(RuntimeError):
    """A CUDA device has no memory left for a tensor."""


OutOfMemoryError.__module__ = "gradcu"

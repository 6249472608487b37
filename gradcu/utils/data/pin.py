"""Batches in memory from which a CUDA device can read while Python goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .collate import like


def pin_memory(data: Any) -> Any:
    """Tensors pinned, in the tuples, lists and dicts they came in; what has a method `pin_memory` does it itself."""
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return like(data, {key: pin_memory(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(pin_memory, data))
    if isinstance(data, tuple):
        return [pin_memory(value) for value in data]
    if isinstance(data, Sequence):
        return like(data, [pin_memory(value) for value in data])
    return data

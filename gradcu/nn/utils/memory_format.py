"""PyTorch's ways to reorder the weights of convolutions in memory, which gradcu keeps in one order."""

from __future__ import annotations

from typing import Any, TypeVar

from ..module import Module

M = TypeVar("M", bound=Module)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module itself: memory formats are a hint, which changes no value."""
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """The module itself: memory formats are a hint, which changes no value."""
    return module

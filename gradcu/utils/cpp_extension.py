"""`gradcu.utils.cpp_extension`: refuses, and says what to do."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["BuildExtension", "CUDAExtension", "CppExtension", "load", "load_inline"]


def load(name: str = "", *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: an extension of PyTorch needs PyTorch's C++ library."""
    raise RuntimeError(
        f"gradcu has no C++ library for the extension '{name}' to be built against. Write a "
        "gradcu.autograd.Function over NumPy or CuPy arrays (a cupy.RawKernel runs CUDA C++)."
    )


load_inline = CppExtension = CUDAExtension = load


class BuildExtension:
    """Raises RuntimeError when made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        load(*args)

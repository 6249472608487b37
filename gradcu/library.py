"""`gradcu.library`: refuses, and says what to do. Operations of one's own are `autograd.Function`s."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Library", "custom_op", "define", "impl", "register_autograd", "register_fake"]


def custom_op(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: there is no dispatcher to register operations with."""
    raise RuntimeError(
        f"gradcu.library cannot register '{name}': gradcu has no dispatcher. Write a gradcu.autograd.Function with "
        "forward and backward."
    )


define = impl = register_autograd = register_fake = Library = custom_op

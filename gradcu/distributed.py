"""`gradcu.distributed`, for scripts that ask whether there is one: gradcu trains in one process."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["init_process_group", "is_available", "is_initialized", "is_torchelastic_launched"]

_REFUSAL = "gradcu trains in one process: gradcu.distributed.is_available() is False, so ask it first"


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False: there are no process groups."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError."""
    raise RuntimeError(f"gradcu.distributed.init_process_group: {_REFUSAL}")


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(f"module 'gradcu.distributed' has no attribute '{name}': {_REFUSAL}")

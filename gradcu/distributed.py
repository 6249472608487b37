"""`gradcu.distributed`, for scripts that ask whether there is one: gradcu trains in one process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NoReturn

#: what scripts import, and call only when there are several processes
_REFUSED = (
    "all_gather", "all_reduce", "barrier", "broadcast", "destroy_process_group", "gather", "get_rank", "get_world_size",
    "init_process_group", "new_group", "recv", "reduce", "reduce_scatter", "scatter", "send",
)  # fmt: skip
__all__ = ["is_available", "is_initialized", "is_torchelastic_launched", *_REFUSED]

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


def _refuse(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(f"gradcu.distributed.{name}: {_REFUSAL}")


def __getattr__(name: str) -> Callable[..., NoReturn]:
    if name in _REFUSED:
        return functools.partial(_refuse, name)
    raise AttributeError(f"module 'gradcu.distributed' has no attribute '{name}': {_REFUSAL}")

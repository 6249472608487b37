"""`use_deterministic_algorithms` and its kin.

On the CPU every operation gives the same bits for the same inputs. On CUDA, sums into rows that are named more than
once (the gradient of an embedding, `index_add`, `scatter_add`) are atomic and may differ in their last bits between
runs: in deterministic mode they are made in the order of the index, which takes a sort, so none has to raise.
"""

from __future__ import annotations

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_deterministic_debug_mode",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_deterministic_debug_mode",
    "use_deterministic_algorithms",
]

_MODES = {"default": 0, "warn": 1, "error": 2}
_mode = 0


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Have every operation give the same bits for the same inputs from now on; `warn_only` is kept to be asked for."""
    global _mode
    _mode = 0 if not mode else 1 if warn_only else 2


def are_deterministic_algorithms_enabled() -> bool:
    """Whether every operation is to give the same bits for the same inputs."""
    return _mode > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _mode == 1


def get_deterministic_debug_mode() -> int:
    """0 if the mode is off, 1 if it is on with `warn_only`, 2 if it is on."""
    return _mode


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set what `get_deterministic_debug_mode` gives, as a number or as "default", "warn", "error".

    Raises RuntimeError for anything else.
    """
    global _mode
    number = _MODES.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if number not in _MODES.values():
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1 or 2 or one of {list(_MODES)}: {debug_mode!r}")
    _mode = number

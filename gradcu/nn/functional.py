"""`gradcu.nn.functional`: the functions behind the layers. They live in `gradcu.ops`, one block per operation."""

from __future__ import annotations

from typing import Any

from ..ops import namespaces

globals().update(namespaces["nn.functional"])


def __getattr__(name: str) -> Any:
    """Functions that were declared since: an operation of the user's own."""
    if name in namespaces["nn.functional"]:
        return namespaces["nn.functional"][name]
    raise AttributeError(f"module 'gradcu.nn.functional' has no attribute '{name}'")

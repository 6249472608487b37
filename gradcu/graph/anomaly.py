"""Anomaly detection: which line of the forward pass made the node whose backward failed or gave NaN."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from .. import backends
from .modes import state
from .node import Node, watchers

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Settings:
    """For all threads, as PyTorch's."""

    enabled = False
    check_nan = True


settings = _Settings()


def switch(enabled: bool, check_nan: bool) -> None:
    """Turn anomaly detection on or off."""
    if enabled and not settings.enabled:
        watchers.append(remember)
    elif settings.enabled and not enabled:
        watchers.remove(remember)
    settings.enabled, settings.check_nan = enabled, check_nan


def user_frame() -> Any:
    """The innermost frame that is not gradcu's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<gradcu ")):
        frame = frame.f_back
    return frame


def remember(node: Node) -> None:
    """Note where a new node is made: the stack up to the user's line, and the node whose backward makes it."""
    metadata = node.own_hooks().metadata
    metadata["traceback_"] = traceback.format_stack(user_frame())
    if state.walk is not None and state.walk.node is not None:
        metadata["parent_"] = state.walk.node


def check(node: Node, results: Sequence[Any]) -> None:
    """Raise RuntimeError if a gradient that a node returned (a raw array or a tensor) has a NaN in it."""
    if not settings.check_nan:
        return
    for i, r in enumerate(results):
        array = getattr(r, "_array", r)
        if array is not None and array.dtype.kind in "fcV":
            xp = backends.namespaces[type(array)]
            if bool(xp.any(xp.isnan(array))):
                raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def report(node: Node) -> None:
    """Warn that the backward of `node` failed, and show the forward calls that led to it, one warning each."""
    asked: Node | None = node
    what, done = "Error detected in", "caused the error"
    while asked is not None:
        stack = asked.metadata.get("traceback_")
        if stack is None:
            shown = (
                "No forward pass information available. Enable detect anomaly during forward pass for more information."
            )
        else:
            shown = f"Traceback of forward call that {done}:\n{''.join(stack)}"
        warnings.warn(f"{what} {asked.name()}. {shown}", UserWarning, stacklevel=2)
        what, done = "\n\nPrevious calculation was induced by", "induced the previous calculation"
        asked = None if stack is None else asked.metadata.get("parent_")

"""Version counters: how often the memory of a tensor was changed in place, so that stale saved values are noticed."""

from __future__ import annotations


class Version:
    """One counter for a tensor and all that share its memory; made when first needed, so most tensors have none."""

    __slots__ = ("changed_by", "value")

    def __init__(self) -> None:
        self.value = 0
        self.changed_by = ""  # the op that made the last change, for the error message


class InferenceVersion(Version):
    """Marks inference tensors: they cannot be saved for backward, nor changed in a recorded operation."""

    __slots__ = ()

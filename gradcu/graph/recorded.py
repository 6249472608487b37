"""The namespace of recorded operations: formulas that meet it build a graph of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Recorded:
    """Holds every declared primitive under its array-API name; `op.primitive` fills it."""

    def __init__(self) -> None:
        self.primitives_: dict[str, Any] = {}

    def declare_(self, name: str, function: Callable) -> None:
        setattr(self, name, function)
        self.primitives_[name] = function


namespace = Recorded()

"""The namespace of recorded operations: formulas that meet it build a graph of their own."""

from __future__ import annotations

from typing import Any


class Recorded:
    """Has every declared primitive as an attribute, under its array-API name: declaring one sets it."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no operation '{name}' is declared: formulas that are recorded may not use it")


namespace = Recorded()

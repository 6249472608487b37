"""Handles that take a registered hook away again."""

from __future__ import annotations

import itertools
from typing import Any

_numbers = itertools.count()


class Handle:
    """What registering a hook returns: `remove()` it, or use it in a `with` block.

    Hooks run in the order in which they were registered, those with `prepend` before the others.
    """

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.id = next(_numbers)
        self._hooks = hooks
        if prepend:
            later = dict(hooks)
            hooks.clear()
            hooks[self.id] = hook
            hooks.update(later)
        else:
            hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; doing it twice is harmless."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

"""The vmaps that run."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .examples import each
from .namespace import at_depth

#: those that there are, by depth
levels: weakref.WeakValueDictionary[int, Level] = weakref.WeakValueDictionary()


class Level:
    """One vmap, while it runs and as long as a graph that was made in it is there.

    Its depth is greater than that of all others there are: what walks a graph knows its own examples from the graph's.
    """

    def __init__(self, size: int, randomness: str) -> None:
        self.size, self.randomness = size, randomness
        self.depth = max(levels, default=0) + 1
        self.kind = at_depth(self.depth)
        levels[self.depth] = self

    def __enter__(self) -> Level:
        running.levels.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        running.levels.pop()

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """Run what stands in the `with` outside of this vmap, and of those within it."""
        before = running.levels
        running.levels = before[: before.index(self)]
        try:
            yield
        finally:
            running.levels = before

    def source(self, below: Any) -> Any:
        """The random numbers that a function in this vmap is to draw from.

        Raises RuntimeError if it may not draw any.
        """
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                "'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        return below if self.randomness == "same" else Source(self, below)


class Source:
    """Random numbers of which each example gets its own."""

    def __init__(self, level: Level, below: Any) -> None:
        self._level, self._below = level, below

    def __getattr__(self, name: str) -> Callable:
        draw, size, kind = getattr(self._below, name), self._level.size, self._level.kind

        def batched(*args: Any, **attributes: Any) -> Any:
            if name in ("random", "standard_normal", "standard_exponential"):
                shape = args[0] if args else attributes.pop("size", ())
                shape = shape if isinstance(shape, tuple) else (shape,)
                return kind(draw((size, *shape), *args[1:], **attributes))
            return each(draw, kind, size, args, attributes)

        return batched


class _Running(threading.local):
    def __init__(self) -> None:
        self.levels: list[Level] = []  # the innermost is last


running = _Running()


def innermost_level(tensors: Any) -> Level | None:
    """The innermost vmap whose examples are among tensors (and other values); None if there is none."""
    if not running.levels:
        return None
    depths = [type(t._array).depth for t in tensors if hasattr(getattr(t, "_array", None), "whole")]
    return levels[max(depths)] if depths else None

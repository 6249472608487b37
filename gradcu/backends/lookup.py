"""What both backends share: names that neither defines itself, whose memory an array shows, where kernels are."""

from __future__ import annotations

import builtins
import functools
import sys
from pathlib import Path
from typing import Any


def owner_of(array: Any) -> Any:
    """The array whose memory a view shares."""
    while True:
        base = getattr(array, "base", None)
        if type(base) is not type(array):
            base = getattr(base, "base", None)  # `stride_tricks` puts an object of its own between
            if type(base) is not type(array):
                return array
        array = base


def declared(name: str) -> Any:
    """The primitive of a name, None if there is none."""
    from ..graph.op import registry

    return registry.get(name)


@functools.cache
def lookup(name: str, library: Any, backend: str) -> Any:
    """A declared primitive, applied to raw arrays of the module `backend`, or what the library has.

    It is kept in the module for next time, unless it would hide one of Python's own there, such as `all`.

    Raises AttributeError if there is neither.
    """
    module, primitive = sys.modules[backend], declared(name)
    if primitive is not None and not hasattr(library, name):
        found = functools.partial(primitive.forward, module)
    else:
        found = getattr(library, name)
    if not hasattr(builtins, name):
        setattr(module, name, found)
    return found


@functools.cache
def kernels() -> Path:
    """The folder of sources: in the package where it is installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "kernels", package.parent / "kernels") if folder.is_dir())

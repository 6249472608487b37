"""The named tuples that operations with several results return; they print as PyTorch's do."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def _repr(self: Any) -> str:
    inside = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
    return f"gradcu.return_types.{type(self).__name__}(\n{inside})"


def named(name: str, fields: str) -> Any:
    """The type of results called `name`, kept here under that name.

    >>> named("eigh", "eigenvalues eigenvectors")(tensor(1.0), tensor(2.0))
    gradcu.return_types.eigh(
    eigenvalues=tensor(1.),
    eigenvectors=tensor(2.))
    """
    made = globals().get(name)
    if made is None:
        base: Any = namedtuple(name, fields)  # type: ignore[misc]
        made = type(name, (base,), {"__slots__": (), "__repr__": _repr, "__module__": __name__})
        globals()[name] = made
    return made

"""Nested dicts, lists and tuples as flat lists of what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """The shape of a tree: what a leaf, which is anything but a dict, list or tuple, has `kind` None for."""

    kind: Any = None
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        inside = ", ".join(map(str, self.children))
        if issubclass(self.kind, dict):
            inside = ", ".join(f"{k!r}: {c}" for k, c in zip(self.keys, self.children, strict=True))
            return f"{{{inside}}}"
        return f"[{inside}]" if issubclass(self.kind, list) else f"({inside})"


LEAF = Structure()


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves, in order, and the structure to put others into with `unflatten`."""
    if isinstance(tree, dict):
        keys, children = tuple(tree), list(tree.values())
    elif isinstance(tree, (list, tuple)):
        keys, children = (), list(tree)
    else:
        return [tree], LEAF
    leaves, structures = [], []
    for child in children:
        more, structure = flatten(child)
        leaves += more
        structures.append(structure)
    return leaves, Structure(type(tree), keys, tuple(structures))


def unflatten(leaves: Any, structure: Structure) -> Any:
    """The tree of that structure with these leaves."""
    return _build(iter(leaves), structure)


def _build(leaves: Any, structure: Structure) -> Any:
    kind = structure.kind
    if kind is None:
        return next(leaves)
    children = [_build(leaves, child) for child in structure.children]
    if issubclass(kind, dict):
        return kind(zip(structure.keys, children, strict=True))
    return kind(*children) if hasattr(kind, "_fields") else kind(children)


def tree_map(function: Callable, tree: Any) -> Any:
    """The tree with `function` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten([function(leaf) for leaf in leaves], structure)


def spread(prefix: Any, structure: Structure) -> list[Any] | None:
    """One value per leaf from a tree that may stop early, where a leaf stands for all below it; None if it differs."""
    if not isinstance(prefix, (dict, list, tuple)):
        return [prefix] * _count(structure)
    if type(prefix) is not structure.kind or len(prefix) != len(structure.children):
        return None
    if isinstance(prefix, dict) and prefix.keys() != set(structure.keys):
        return None
    values: list[Any] = []
    parts = [prefix[k] for k in structure.keys] if isinstance(prefix, dict) else prefix
    for part, child in zip(parts, structure.children, strict=True):
        below = spread(part, child)
        if below is None:
            return None
        values += below
    return values


def _count(structure: Structure) -> int:
    return 1 if structure.kind is None else sum(map(_count, structure.children))

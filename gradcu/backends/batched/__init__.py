"""Arrays of many examples that look like one: what `vmap` computes on.

A `Batched` has the shape of one example and holds all of them, along the first axis of an array of the library below
(NumPy's, CuPy's, or another `Batched` for a vmap within a vmap). It is a backend like the others: formulas get its
namespace as their `xp`, so graph, backward and forward mode are what they are for one example. There is one rule for
each kind of function (`rules`): pointwise, on the last axes, along axes, of shapes, by index. What has no rule is
computed example by example (`examples`): a function of the library, or the whole formula if that asks for something
else.
"""

from .arrays import Batched
from .levels import Level, Source, innermost_level, levels, running
from .namespace import PASSAGES, Namespace, at_depth

__all__ = ["PASSAGES", "Batched", "Level", "Namespace", "Source", "at_depth", "innermost_level", "levels", "running"]

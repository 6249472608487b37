"""The step of many parameters in one pass of a compiled loop."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ..backends.cpu import optim
from ..tensor import Tensor


class Together:
    """The parameters of a group, their gradients, and a kernel `name` of `kernels/cpu/optim.cpp` that takes them.

    False if there is no such kernel, or some array, of the `slots` of the state too, is none for it.
    """

    def __init__(self, name: str, state: Any, params: list[Tensor], slots: list[str], kept: dict) -> None:
        """`kept` holds from step to step what is known of arrays that stay the same."""
        self.loop, self.kept = getattr(optim, name), kept
        self.arrays = [p._array for p in params]
        self.places: list[Any] = []
        if optim.worth(self.loop, self.arrays) and len(set(map(id, params))) == len(params):
            gradients = optim.addresses([p._grad._array for p in params], self.arrays)
            self.places = [self._addresses("p", self.arrays), gradients]
            for slot in slots:
                held = [(s[slot]._array, p._array) for p in params if slot in (s := state.get(p, ()))]
                self.places.append(optim.addresses(*zip(*held)) if 0 < len(held) < len(params) else True)
                if len(held) == len(params):
                    self.places[-1] = self._addresses(slot, [a for a, _ in held])

    def __bool__(self) -> bool:
        return bool(self.places) and all(p is not None for p in self.places)

    def _addresses(self, name: str, arrays: list[Any]) -> Any:
        return self.kept[name].of(arrays, self.arrays)

    def run(self, slots: dict[str, list[Any] | None], each: list[list[float]], *numbers: Any) -> None:
        """Take the step: arrays of the state by name (or None), numbers of each parameter, and of all."""
        lists = [None if arrays is None else self._addresses(name, arrays) for name, arrays in slots.items()]
        starts = optim.starts(self.arrays)
        values = [np.array(e, np.float64) for e in each]
        self.loop(
            self.arrays[0].dtype, int(starts[-1]), *self.places[:2], *lists, starts, *values, len(self.arrays), *numbers
        )


def known() -> dict:
    """What `Together` keeps, at first."""
    return defaultdict(optim.Addresses)

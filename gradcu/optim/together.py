"""The step of many parameters in one pass of a compiled loop."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ..backends import host
from ..backends.cpu import optim
from ..tensor import Tensor


class Together:
    """Parameters, their gradients and the arrays of their state, for the kernel `name` of `kernels/cpu/optim.cpp`.

    It is false if there is no such kernel, or one of the arrays is none for it. On CUDA devices `gpu.optim.Together`
    does the same.
    """

    xp = host

    def __init__(
        self, name: str, state: Any, params: list[Tensor], slots: list[str], known: defaultdict[str, optim.Addresses]
    ) -> None:
        """`slots`: what of the `state` of each parameter the kernel takes; `known`: addresses from the step before."""
        self.loop, self.known = getattr(optim, name), known
        self.arrays = [p._array for p in params]
        self.places: list[Any] = []
        if not optim.worth(self.loop, self.arrays) or len(set(map(id, params))) < len(params):
            return
        grads = [p._grad._array for p in params]  # type: ignore[union-attr]  # these all have one
        self.places = [known["p"].of(self.arrays, self.arrays), optim.addresses(grads, self.arrays)]
        for slot in slots:
            held = [(state[p][slot]._array, p._array) for p in params if slot in state.get(p, ())]
            if held:
                self.places.append(optim.addresses(*zip(*held)))

    def __bool__(self) -> bool:
        return bool(self.places) and all(p is not None for p in self.places)

    def run(self, slots: dict[str, list[Any] | None], each: list[list[float]], *numbers: Any) -> None:
        """Take the step, by arrays of the state or None for each slot, numbers of each parameter, and those of all."""
        lists = [None if a is None else self.known[slot].of(a, self.arrays) for slot, a in slots.items()]
        starts, values = optim.starts(self.arrays), [np.array(e, np.float64) for e in each]
        count, work = len(self.arrays), int(starts[-1])
        self.loop(self.arrays[0].dtype, work, *self.places[:2], *lists, starts, *values, count, *numbers)

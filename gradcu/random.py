"""Random number generators: their seeds and their states.

The numbers are those of Philox, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2,
3", 2011): a state is a few words, and a seed costs nothing to set. They are not PyTorch's numbers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from . import backends, devices
from .backends.batched import running
from .tensor import Tensor, from_array

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

_FIRST_SEED = 67280421310721  # PyTorch's, of a generator that nobody seeded


class Generator:
    """A stream of random numbers on a device, for the `generator=` argument of `rand` and its kin.

    >>> g = Generator().manual_seed(7)
    >>> bool((rand(3, generator=g) == rand(3, generator=g.manual_seed(7))).all())
    True
    """

    __slots__ = ("__weakref__", "_device", "_seed", "_source")

    def __init__(self, device: Any = "cpu") -> None:
        self._device = devices.device(device)
        self._seed, self._source = _FIRST_SEED, None
        backends.for_device(self._device)

    @property
    def device(self) -> devices.device:
        """Where its numbers are made."""
        return self._device

    @property
    def source(self) -> Any:
        """What draws the numbers: the array library's own generator, or within a vmap one that minds the examples."""
        return running.levels[-1].source(self._own()) if running.levels else self._own()

    def _own(self) -> Any:
        """The array library's own generator, made when first needed."""
        if self._source is None:
            self._source = backends.for_device(self._device).random_source(self._seed)
        return self._source

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed`, an integer of 64 bits; returns the generator itself."""
        if not isinstance(seed, int):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError("Overflow when unpacking long long")
        self._seed, self._source = seed % (1 << 64), None
        return self

    def seed(self) -> int:
        """Start the stream of a seed that the operating system picks, and return that."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and position in the stream, a 1-d tensor of bytes on the CPU."""
        host = backends.host
        words = [self._seed, *backends.for_device(self._device).random_state(self._own())]
        return from_array(host.array(words, dtype=host.uint64).view(host.uint8))

    def set_state(self, new_state: Tensor) -> None:
        """Go to where the stream was when `get_state` gave `new_state`.

        Raises TypeError for what is no tensor of bytes, RuntimeError for one of another length.
        """
        host = backends.host
        if not isinstance(new_state, Tensor) or new_state._array.dtype != host.uint8:
            raise TypeError("RNG state must be a gradcu.ByteTensor")
        expected = self.get_state().numel()
        if new_state.numel() != expected:
            raise RuntimeError(f"RNG state is wrong size: expected {expected} bytes, got {new_state.numel()}")
        first, *words = backends.to_host(new_state._array).copy().view(host.uint64).tolist()
        self._seed = first
        self._source = backends.for_device(self._device).random_source(first, words)

    def clone_state(self) -> Generator:
        """Another generator at the same place of the same stream."""
        other = Generator(self._device)
        other.set_state(self.get_state())
        return other

    def __deepcopy__(self, memo: dict) -> Generator:
        return self.clone_state()

    def __reduce__(self) -> tuple:
        return _restored, (str(self._device), self.get_state())

    def __repr__(self) -> str:
        return f"<gradcu.Generator object at {id(self):#x}>"


def _restored(device: str, state: Tensor) -> Generator:
    generator = Generator(device)
    generator.set_state(state)
    return generator


#: the CPU's; other devices get theirs when first used
default_generator = Generator()
_defaults = {devices.cpu: default_generator}


def generator_of(device: devices.device, generator: Generator | None = None) -> Generator:
    """The generator to use on a device: the one given, else the device's own.

    Raises RuntimeError if the one given belongs to another kind of device.
    """
    if generator is not None:
        if not isinstance(generator, Generator):
            raise TypeError(f"argument 'generator' must be gradcu.Generator, not {type(generator).__name__}")
        if generator.device.type != device.type:
            raise RuntimeError(
                f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'"
            )
        return generator
    if device.type == "cpu":
        return default_generator
    device = devices.device(device.type, device.index or 0)
    found = _defaults.get(device)
    if found is None:
        found = _defaults[device] = Generator(device).manual_seed(default_generator.initial_seed())
    return found


def manual_seed(seed: int) -> Generator:
    """Seed the default generators of all devices; returns the CPU's.

    >>> _ = manual_seed(0)
    """
    for generator in _defaults.values():
        generator.manual_seed(int(seed))
    return default_generator


def seed() -> int:
    """Seed the default generators with a number that the operating system picks, and return that."""
    return manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()


def initial_seed() -> int:
    """The seed of the CPU's default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the CPU's default generator, a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the CPU's default generator."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    device_type: str = "cuda",
) -> Iterator[None]:
    """A block after which the default generators (the CPU's, and those of `devices` or all) are as before it.

    >>> with fork_rng():
    ...     _ = manual_seed(3)
    """
    if not enabled:
        yield
        return
    wanted = None if devices is None else {(device_type, d) if isinstance(d, int) else str(d) for d in devices}
    forked = [
        g
        for d, g in _defaults.items()
        if d.type == "cpu" or wanted is None or (d.type, d.index) in wanted or str(d) in wanted
    ]
    states = [g.get_state() for g in forked]
    try:
        yield
    finally:
        for g, state in zip(forked, states):
            g.set_state(state)

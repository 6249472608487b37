"""Sequences of several lengths in one batch: padded to the longest, or packed step by step for recurrent layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...ops import functions
from ...ops.creation import arange, empty_like
from ...ops.data import tensor
from ...tensor import Tensor


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """The elements of a batch of sequences, those of the first step, those of the second, ...: no padding.

    data: (total length, *). batch_sizes: for each step, the number of sequences that are that long. sorted_indices: the
    order of falling length in which the sequences lie; unsorted_indices undoes it. `pack_sequence` makes one.
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data` moved or converted as by `Tensor.to`; itself if there is nothing to do."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order, back = (None if t is None else t.to(data.device) for t in self[2:])
        return type(self)(data, self.batch_sizes, order, back)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu", *args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On a CUDA device."""
        return self.to(self.data.cuda(*args, **kwargs).device)

    def pin_memory(self) -> PackedSequence:
        """In memory from which a CUDA device can read."""
        order, back = (None if t is None else t.pin_memory() for t in self[2:])
        return type(self)(self.data.pin_memory(), self.batch_sizes, order, back)

    @property
    def is_cuda(self) -> bool:
        """Whether the data are on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data are in pinned memory."""
        return self.data.is_pinned()


def _convert(name: str) -> Any:
    def convert(self: PackedSequence) -> PackedSequence:
        return self.to(getattr(self.data, name)().dtype)

    convert.__doc__ = f"With data converted as by `Tensor.{name}`."
    return convert


for _name in "double float half long int short char byte".split():
    setattr(PackedSequence, _name, _convert(_name))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one."""
    if permutation is None:
        return None
    inverse = empty_like(permutation)
    inverse[permutation] = arange(permutation.numel(), dtype=permutation.dtype, device=permutation.device)
    return inverse


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that are padded to one length: input (L, N, *), or (N, L, *) with `batch_first`.

    enforce_sorted: the sequences must come in order of falling length; False sorts them. Raises RuntimeError for
    lengths that do not fit.
    """
    counts: list[int] = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    order = None
    if not enforce_sorted:
        order = tensor(sorted(range(len(counts)), key=lambda i: -counts[i]), device=input.device)
        counts = sorted(counts, reverse=True)
        input = input.index_select(0 if batch_first else 1, order)
    x = input.transpose(0, 1) if batch_first else input
    if len(counts) != x.shape[1]:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={x.shape[1]})"
        )
    if not counts or counts[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if any(a < b for a, b in itertools.pairwise(counts)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if counts[0] > x.shape[0]:
        raise RuntimeError(f"Expected lengths of at most {x.shape[0]}, the padded length, but got {counts[0]}")
    sizes = [sum(n > step for n in counts) for step in range(counts[0])]
    data = functions["cat"]([x[step, :size] for step, size in enumerate(sizes)])
    return PackedSequence(data, tensor(sizes), order, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: the padded sequences (L, N, *), or (N, L, *) with `batch_first`, and their lengths.

    total_length: the length to pad to, if not the longest. Raises ValueError if it is too short.
    """
    sizes = sequence.batch_sizes.tolist()
    if total_length is not None and total_length < len(sizes):
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {len(sizes)}"
        )
    batch = sizes[0]
    steps = [
        functions["cat"]([part, part.new_full((batch - size, *part.shape[1:]), padding_value)])
        if size < batch
        else part
        for part, size in zip(sequence.data.split(sizes), sizes)
    ]
    rest = (total_length or len(sizes)) - len(sizes)
    steps += [sequence.data.new_full((batch, *sequence.data.shape[1:]), padding_value)] * rest
    padded = functions["stack"](steps, 1 if batch_first else 0)
    lengths = tensor([sum(size > i for size in sizes) for i in range(batch)])
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return padded, lengths


def pad_sequence(
    sequences: Tensor | list[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Tensors (L_i, *) as one, (L, N, *), or (N, L, *) with `batch_first`, filled up to the longest.

    >>> pad_sequence([ones(2), zeros(1)], padding_value=7.0)
    tensor([[1., 0.],
            [1., 7.]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    if isinstance(sequences, Tensor):
        sequences = list(sequences.unbind(0))
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    several = list(sequences)
    if not several:
        raise RuntimeError("received an empty list of sequences")
    longest = max(len(s) for s in several)

    def filled(s: Tensor) -> Tensor:
        if len(s) == longest:
            return s
        rest = s.new_full((longest - len(s), *s.shape[1:]), padding_value)
        return functions["cat"]([s, rest] if padding_side == "right" else [rest, s])

    return functions["stack"]([filled(s) for s in several], 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch (L, N, *), or (N, L, *) with `batch_first`, each of its own length."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [s[: int(n)] for s, n in zip(x, lengths, strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (L_i, *); with `enforce_sorted` they must come in order of falling length.

    >>> pack_sequence([tensor([1, 2]), tensor([3])]).data
    tensor([1, 3, 2])
    """
    return pack_padded_sequence(pad_sequence(sequences), [len(s) for s in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)

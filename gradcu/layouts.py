"""Layouts and memory formats: names that PyTorch programs pass around; tensors here are always strided."""

from __future__ import annotations


class layout:
    """How a tensor's elements are stored."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"gradcu.{self.name}"


class memory_format(layout):
    """The order in which dimensions lie in memory."""


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")

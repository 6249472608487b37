"""Seconds per pass over a data set that worker processes read, gradcu's over PyTorch's, in turn in one process.

    python benchmarks/dataloader.py --workers 2 --rounds 7

Below 1 is faster. Both get the same samples of NumPy, collate them, and have each batch summed where it arrives.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import gradcu

Sample = Callable[[int], Any]


class Samples:
    """A data set of `count` samples, which a function makes."""

    def __init__(self, count: int, make: Sample) -> None:
        self.count, self.make = count, make

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        return self.make(i)


def images(*shape: int) -> Sample:
    """Float images with a label."""
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return lambda i: (image, i)


#: name: samples, their number, batch size
WORKLOADS: dict[str, tuple[Sample, int, int]] = {
    "numbers": (lambda i: i, 100_000, 100),
    "rows of 10, and a label": (images(10), 50_000, 64),
    "images of 3x32x32": (images(3, 32, 32), 10_000, 64),
    "images of 3x224x224": (images(3, 224, 224), 500, 16),
    "dicts with text": (lambda i: {"text": f"sample {i}", "tokens": np.arange(64)}, 20_000, 64),
}


def one_pass(loader: Any) -> float:
    """Seconds for all batches."""
    started = time.perf_counter()
    for batch in loader:
        part = batch
        while isinstance(part, (list, dict)):
            part = [*part.values()][-1] if isinstance(part, dict) else part[0]
        part.sum()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the workers need the cores
    gradcu.set_num_threads(1)
    print(f"{'':26}{'gradcu ms':>10}{'PyTorch ms':>12}{'ratio':>8}")
    for name, (make, count, size) in WORKLOADS.items():
        settings = {"batch_size": size, "num_workers": options.workers, "persistent_workers": options.workers > 0}
        loaders = [lib.utils.data.DataLoader(Samples(count, make), **settings) for lib in (gradcu, torch)]  # type: ignore[attr-defined]
        for loader in loaders:
            one_pass(loader)  # starts the workers
        times = [[one_pass(loader) for loader in loaders] for _ in range(options.rounds)]
        ours, theirs = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(ours / theirs for ours, theirs in times)
        print(f"{name:26}{ours:10.1f}{theirs:12.1f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()

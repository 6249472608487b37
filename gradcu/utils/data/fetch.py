"""From the numbers of samples to a batch, in this process or in a worker."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from ... import backends
from ...tensor import from_array
from .collate import default_collate
from .dataset import Dataset, IterableDataset, TensorDataset


class Exhausted(Exception):
    """There are no more samples."""


def fetcher(dataset: Dataset, batches: bool, collate_fn: Callable, drop_last: bool) -> Callable[[Any], Any]:
    """A function from what the sampler gives (numbers, if `batches`, else one) to a batch.

    Of an iterable data set it gives what comes next, and raises Exhausted at the end.
    """
    if isinstance(dataset, IterableDataset):
        samples = iter(dataset)

        def fetch_next(numbers: Any) -> Any:
            batch = list(islice(samples, len(numbers) if batches else 1))
            if not batch or (batches and drop_last and len(batch) < len(numbers)):
                raise Exhausted
            return collate_fn(batch if batches else batch[0])

        return fetch_next
    if not batches:
        return lambda number: collate_fn(dataset[number])
    if type(dataset) is TensorDataset and collate_fn is default_collate:
        tensors = dataset.tensors
        if not any(t.requires_grad for t in tensors):  # the rows at once: what stacking them gives

            def fetch_rows(numbers: Any) -> Any:
                where = backends.host.asarray(list(numbers))
                return [from_array(t._array[where]) for t in tensors]

            return fetch_rows
    many: Any = getattr(dataset, "__getitems__", None)
    if many:
        return lambda numbers: collate_fn(many(numbers))
    return lambda numbers: collate_fn([dataset[i] for i in numbers])

"""`DataLoader`: batches of a data set."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any

from ... import cuda
from ...ops.random import randint
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import Exhausted, fetcher
from .parallel import ParallelIterator
from .pin import pin_memory
from .sampler import BatchSampler, RandomSampler, SequentialSampler

#: what says how a loader reads, and stays as it was given
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader:
    """Iterates over a data set in batches; each pass starts anew, with `shuffle` in a new order.

    With `num_workers` so many processes make the batches, each up to `prefetch_factor` ahead, and pass them in shared
    memory. They are stopped after each pass unless `persistent_workers`. In a worker Python's, NumPy's and gradcu's
    random numbers start from `base_seed + worker_id`, where the base is drawn for each pass from `generator` (or the
    default one), then `worker_init_fn(worker_id)` is called. `in_order=False` gives batches as they come.
    Where processes are not forked (`multiprocessing_context`), data set and functions must be ones that can be pickled.

    Raises ValueError for settings that contradict each other. When iterated, an error in a worker is raised with its
    class and traceback; RuntimeError for a worker that died, or that gave nothing for `timeout` seconds.

    >>> [x for (x,) in DataLoader(TensorDataset(arange(5)), batch_size=2)]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
                "multiprocessing, otherwise set prefetch_factor to None."
            )
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if multiprocessing_context is not None:
            _check_context(multiprocessing_context, num_workers)
        streams = isinstance(dataset, IterableDataset)
        if streams:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if streams:
            sampler = _Endless()
        elif sampler is None:
            whole: Any = dataset
            sampler = RandomSampler(whole, generator=generator) if shuffle else SequentialSampler(whole)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator, self.collate_fn = (
            sampler,
            batch_sampler,
            generator,
            collate_fn,
        )
        self.num_workers, self.prefetch_factor, self.persistent_workers = (
            num_workers,
            prefetch_factor,
            persistent_workers,
        )
        self.pin_memory, self.pin_memory_device, self.timeout = pin_memory, pin_memory_device, timeout
        self.worker_init_fn, self.multiprocessing_context, self.in_order = (
            worker_init_fn,
            multiprocessing_context,
            in_order,
        )
        self._iterator: ParallelIterator | None = None  # of persistent workers
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_ready" in self.__dict__:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        object.__setattr__(self, name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    @property
    def _pins(self) -> bool:
        """Whether to pin: there is no need to without a CUDA device."""
        return self.pin_memory and cuda.is_available()

    def __iter__(self) -> Iterator[Any]:
        if self._iterator is not None and self._iterator.alive:
            self._iterator.restart()
            return self._iterator
        base_seed = int(randint(2**63 - 1, (), generator=self.generator).item())  # PyTorch draws it in any case, too
        if not self.num_workers:
            return self._batches()
        iterator = ParallelIterator(self, base_seed)
        if self.persistent_workers:
            self._iterator = iterator
        return iterator

    def _batches(self) -> Iterator[Any]:
        """The batches, made here."""
        fetch = fetcher(self.dataset, self._auto_collation, self.collate_fn, self.drop_last)
        for numbers in self._index_sampler:
            try:
                batch = fetch(numbers)
            except Exhausted:
                return
            yield pin_memory(batch) if self._pins else batch

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            n = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self._index_sampler)


def _check_context(context: Any, num_workers: int) -> None:
    if not num_workers:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    if isinstance(context, str):
        valid = multiprocessing.get_all_start_methods()
        if context not in valid:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {valid!r}, but got "
                f"multiprocessing_context={context!r}"
            )
    elif not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got multiprocessing_context={context}"
        )


class _Endless:
    """Stands for the order in which an iterable data set gives its samples."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None

"""Data sets, samplers and loaders: which samples come, in which order, in which batches."""

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pytest

import gradcu


class Squares:
    """A data set of the user's own: any class with these two methods."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"x": i, "y": float(i * i), "name": f"n{i}"}


@dataclass
class Point:
    x: float


class Pair(NamedTuple):
    x: float
    y: object


def rows(torch, n=7):
    return torch.utils.data.TensorDataset(torch.arange(n), torch.arange(2 * n).reshape(n, 2))


def test_batches_in_order(torch):
    batches = list(torch.utils.data.DataLoader(rows(torch), batch_size=3))
    assert [x.tolist() for x, _ in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [tuple(y.shape) for _, y in batches] == [(3, 2), (3, 2), (1, 2)]
    assert all(isinstance(batch, list) for batch in batches)


@pytest.mark.parametrize(("drop_last", "count"), [(False, 3), (True, 2)])
def test_length_is_the_number_of_batches(torch, drop_last, count):
    loader = torch.utils.data.DataLoader(rows(torch), batch_size=3, drop_last=drop_last)
    assert len(loader) == len(list(loader)) == count


def test_shuffle_gives_each_sample_once_in_a_new_order_each_pass(torch):
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(rows(torch, 50), batch_size=8, shuffle=True)
    passes = [[i for x, _ in loader for i in x.tolist()] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(50))
    assert passes[0] != passes[1] != list(range(50))


def test_the_seed_decides_the_order(torch):
    def order():
        generator = torch.Generator().manual_seed(5)
        loader = torch.utils.data.DataLoader(rows(torch, 50), shuffle=True, generator=generator)
        return [x.item() for x, _ in loader]

    assert order() == order()


def test_samples_keep_their_containers(torch):
    first = next(iter(torch.utils.data.DataLoader(Squares(), batch_size=2)))
    assert first["x"].tolist() == [0, 1]
    assert first["x"].dtype is torch.int64
    assert first["y"].dtype is torch.float64
    assert first["name"] == ["n0", "n1"]


def test_arrays_and_bare_numbers_are_collated(torch):
    collate = torch.utils.data.default_collate
    assert collate([np.ones(2, "f4"), np.zeros(2, "f4")]).tolist() == [[1, 1], [0, 0]]
    assert collate([np.float32(1), np.float32(2)]).dtype is torch.float32
    assert collate([True, False]).dtype is torch.bool
    assert [part.tolist() for part in collate([(1, [2, 3]), (4, [5, 6])])[1]] == [[2, 5], [3, 6]]


def test_collated_containers_are_of_the_samples_kind(torch):
    pair = torch.utils.data.default_collate([Pair(1.0, {"a": "s"}), Pair(2.0, {"a": "t"})])
    assert type(pair) is Pair
    assert pair.x.tolist() == [1, 2]
    assert pair.y == {"a": ["s", "t"]}
    ordered = torch.utils.data.default_collate([OrderedDict(b=1, a=2)] * 2)
    assert (type(ordered), list(ordered)) == (OrderedDict, ["b", "a"])
    counts = defaultdict(list, n=1)
    assert torch.utils.data.default_collate([counts, counts]).default_factory is list
    assert type(torch.utils.data.default_collate([(1, [2])] * 2)) is list
    assert torch.utils.data.default_collate([b"a", b"b"]) == [b"a", b"b"]


def test_converting_leaves_what_is_no_array(torch):
    class Other:
        pass

    other = Other()
    array, text, pair, rest = torch.utils.data.default_convert(
        [np.ones(2), np.array(["a"]), Pair(1.0, np.int64(3)), other]
    )
    assert array.tolist() == [1, 1]
    assert isinstance(text, np.ndarray)
    assert (type(pair), pair.y.item(), rest) == (Pair, 3, other)
    assert torch.utils.data.default_convert((1, "a")) == [1, "a"]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [1, 3, 7, 8])
def test_distributed_samplers_share_out_the_data(torch, n, drop_last):
    def parts(shuffle, epoch=0):
        samplers = [torch.utils.data.DistributedSampler(range(n), 3, r, shuffle, 5, drop_last) for r in range(3)]
        for sampler in samplers:
            sampler.set_epoch(epoch)
        assert len({len(s) for s in samplers}) == 1
        return [list(s) for s in samplers]

    ours, order = parts(False), [*range(n)] * 3
    assert ours == [order[r : len(ours[0]) * 3 : 3] for r in range(3)]
    shuffled = parts(True)
    assert len([*chain(*shuffled)]) == len([*chain(*ours)])
    assert set(chain(*shuffled)) <= set(range(n))
    assert parts(True) == shuffled


def test_epochs_of_distributed_samplers_differ(torch):
    sampler = torch.utils.data.distributed.DistributedSampler(range(100), num_replicas=2, rank=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_stacked_data_sets(torch):
    data = torch.utils.data
    assert data.StackDataset(range(3), "abc")[1] == (1, "b")
    assert data.StackDataset(x=range(3), y="abc")[2] == {"x": 2, "y": "c"}
    chained = data.ChainDataset([stream(torch), stream(torch)])
    assert list(chained) == [0, 1, 2] * 2


def test_collate_fn_sees_the_samples(torch):
    loader = torch.utils.data.DataLoader(rows(torch), batch_size=4, collate_fn=lambda batch: len(batch))
    assert list(loader) == [4, 3]


def test_batch_size_none_gives_samples(torch):
    assert list(torch.utils.data.DataLoader(["a", "b"], batch_size=None)) == ["a", "b"]


def test_iterable_data_sets(torch):
    class Count(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(5))

    batches = list(torch.utils.data.DataLoader(Count(), batch_size=2))
    assert [b.tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    assert len(list(torch.utils.data.DataLoader(Count(), batch_size=2, drop_last=True))) == 2
    assert list(Count() + Count()) == [0, 1, 2, 3, 4] * 2


def test_concatenated_data_sets_and_subsets(torch):
    data = torch.utils.data
    both = data.ConcatDataset([rows(torch, 3), rows(torch, 4)])
    assert len(both) == 7
    assert [both[i][0].item() for i in (0, 2, 3, -1)] == [0, 2, 0, 3]
    part = data.Subset(both, [6, 0])
    assert [x.item() for x, _ in part] == [3, 0]
    assert next(iter(data.DataLoader(part, batch_size=2)))[0].tolist() == [3, 0]


@pytest.mark.parametrize("lengths", [[5, 2], [0.7, 0.3]])
def test_random_split_shares_out_every_sample_once(torch, lengths):
    parts = torch.utils.data.random_split(rows(torch), lengths, generator=torch.Generator().manual_seed(1))
    assert [len(p) for p in parts] == [5, 2]
    assert sorted(x.item() for part in parts for x, _ in part) == list(range(7))


def test_samplers(torch):
    data = torch.utils.data
    assert list(data.SequentialSampler(range(3))) == [0, 1, 2]
    assert sorted(data.SubsetRandomSampler([4, 7])) == [4, 7]
    assert set(data.WeightedRandomSampler([0.0, 1.0, 1.0], 100)) == {1, 2}
    assert sorted(data.WeightedRandomSampler([0.1, 1.0, 1.0], 3, replacement=False)) == [0, 1, 2]
    assert len(list(data.RandomSampler(range(3), replacement=True, num_samples=20))) == 20
    assert sorted(list(data.RandomSampler(range(3), num_samples=6))[:3]) == [0, 1, 2]
    assert list(data.BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]


def test_a_batch_sampler_decides_the_batches(torch):
    loader = torch.utils.data.DataLoader(rows(torch), batch_sampler=[[0, 6], [3]])
    assert [x.tolist() for x, _ in loader] == [[0, 6], [3]]
    assert len(loader) == 2


def test_rows_that_require_grad_carry_their_graph():
    x = gradcu.ones(4, 2, requires_grad=True)
    (batch,) = next(iter(gradcu.utils.data.DataLoader(gradcu.utils.data.TensorDataset(x), batch_size=2)))
    batch.sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def stream(lib):
    return type("Stream", (lib.utils.data.IterableDataset,), {"__iter__": lambda self: iter(range(3))})()


MISTAKES = {
    "shuffle and sampler": lambda lib, d: d.DataLoader(rows(lib), shuffle=True, sampler=[1]),
    "batch sampler and size": lambda lib, d: d.DataLoader(rows(lib), batch_sampler=[[1]], batch_size=2),
    "nothing to drop": lambda lib, d: d.DataLoader(rows(lib), batch_size=None, drop_last=True),
    "batch size": lambda lib, d: d.DataLoader(rows(lib), batch_size=0),
    "workers": lambda lib, d: d.DataLoader(rows(lib), num_workers=-1),
    "shuffled stream": lambda lib, d: d.DataLoader(stream(lib), shuffle=True),
    "sizes": lambda lib, d: d.TensorDataset(lib.ones(2), lib.ones(3)),
    "split": lambda lib, d: d.random_split(rows(lib), [1, 2]),
    "no data sets": lambda lib, d: d.ConcatDataset([]),
    "objects": lambda lib, d: d.default_collate([object()]),
    "ragged": lambda lib, d: d.default_collate([[1, 2], [3]]),
    "no samples": lambda lib, d: d.RandomSampler(range(3), num_samples=0),
    "weights": lambda lib, d: d.WeightedRandomSampler([[1.0]], 1),
    "abstract": lambda lib, d: d.Dataset()[0],
    "timeout": lambda lib, d: d.DataLoader(rows(lib), timeout=-1),
    "prefetch without workers": lambda lib, d: d.DataLoader(rows(lib), prefetch_factor=2),
    "nothing to persist": lambda lib, d: d.DataLoader(rows(lib), persistent_workers=True),
    "no start method": lambda lib, d: d.DataLoader(rows(lib), num_workers=1, multiprocessing_context="spoon"),
    "no context": lambda lib, d: d.DataLoader(rows(lib), num_workers=1, multiprocessing_context=3),
    "context without workers": lambda lib, d: d.DataLoader(rows(lib), multiprocessing_context="spawn"),
    "data classes": lambda lib, d: d.default_collate([Point(1.0), Point(2.0)]),
    "text in arrays": lambda lib, d: d.default_collate([np.array(["a"]), np.array(["b"])]),
    "two kinds of stack": lambda lib, d: d.StackDataset(rows(lib), x=rows(lib)),
    "fraction": lambda lib, d: d.random_split(rows(lib), [1.5, -0.5]),
    "rank": lambda lib, d: d.DistributedSampler(range(3), 2, 2),
    "fixed": lambda lib, d: setattr(d.DataLoader(rows(lib)), "batch_size", 3),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(lambda lib: MISTAKES[mistake](lib, lib.utils.data))


def test_samples_of_different_shapes_are_refused():
    with pytest.raises(RuntimeError, match=r"equal size, but got \[2\] at entry 0 and \[3\] at entry 1"):
        gradcu.utils.data.default_collate([gradcu.ones(2), gradcu.ones(3)])

"""Batches made by worker processes: the same ones in the same order, errors that arrive, and nothing left behind."""

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import gradcu
from gradcu.utils.data import DataLoader, Dataset, TensorDataset

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Python's, on forking with threads
]


class Made(Dataset):
    """Samples that a function makes of their numbers."""

    def __init__(self, make, n=40):
        self.make, self.n = make, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.make(i)


def stream(lib, n=20):
    """Numbers, shared out among the workers."""

    class Stream(lib.utils.data.IterableDataset):
        def __iter__(self):
            info = lib.utils.data.get_worker_info()
            return iter(range(info.id, n, info.num_workers) if info else range(n))

    return Stream()


def same(i):
    return i


def loaded(lib, dataset, **settings):
    return lib.utils.data.DataLoader(dataset, **{"num_workers": 2, "batch_size": 4, **settings})


@pytest.fixture(autouse=True)
def nothing_left():
    """After each test: no process, and no more open files than before."""
    before = open_files()
    yield
    gc.collect()  # PyTorch's iterators
    assert multiprocessing.active_children() == []
    assert open_files() <= before + 3  # what multiprocessing itself keeps


def open_files():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


# --- the same batches as without workers ---


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_workers_change_nothing(torch, workers, shuffle):
    def batches(n):
        torch.manual_seed(3)
        dataset = torch.utils.data.TensorDataset(torch.arange(30), torch.arange(90.0).reshape(30, 3))
        return [[t.tolist() for t in b] for b in loaded(torch, dataset, num_workers=n, shuffle=shuffle)]

    assert batches(workers) == batches(0)


def test_a_hundred_thousand_samples_arrive_in_order():
    loader = DataLoader(Made(same, 100_000), batch_size=100, num_workers=4)
    assert gradcu.cat(list(loader)).tolist() == list(range(100_000))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    for context in (method, multiprocessing.get_context(method)):
        loader = DataLoader(TensorDataset(gradcu.arange(9)), 4, num_workers=1, multiprocessing_context=context)
        assert [b.tolist() for (b,) in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


CONTENTS = {
    "float": lambda i: gradcu.full((700,), float(i)),
    "bfloat16": lambda i: gradcu.full((700,), float(i)).bfloat16(),
    "bool": lambda i: gradcu.ones(5000, dtype=gradcu.bool),
    "complex": lambda i: gradcu.full((500,), 1j * i),
    "empty": lambda i: gradcu.ones(0, 5),
    "nested": lambda i: {"x": [gradcu.ones(600) * i, i], "name": f"n{i}", "array": np.full((30, 30), i)},
    "long text": lambda i: "x" * 3000 + str(i),
    "small": lambda i: i,
}


@pytest.mark.parametrize("content", CONTENTS)
def test_what_arrives_is_what_was_made(content):
    if content == "bfloat16":
        pytest.importorskip("ml_dtypes")
    make = CONTENTS[content]
    for collate_fn in (None, list):
        here, there = (list(DataLoader(Made(make, 8), 4, num_workers=n, collate_fn=collate_fn)) for n in (0, 2))
        assert plain(there) == plain(here)


def plain(x):
    if isinstance(x, (gradcu.Tensor, np.ndarray)):
        return str(x.dtype), tuple(x.shape), x.tolist()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    return [plain(v) for v in x] if isinstance(x, (list, tuple)) else x


def test_batches_lie_in_shared_memory_and_can_be_changed(torch):
    (batch,) = loaded(torch, Made(lambda i: torch.ones(5000)), batch_size=40)
    assert batch.is_shared()
    batch += 1
    assert batch.sum().item() == 400_000


def test_a_view_of_a_large_tensor_travels_alone():
    large = gradcu.zeros(10_000_000)
    started = time.monotonic()
    parts = list(DataLoader(Made(lambda i: large[i : i + 2000], 200), None, num_workers=2))
    assert len(parts) == 200
    assert parts[0].untyped_storage().nbytes() < 100_000
    assert time.monotonic() - started < 60


def test_more_batches_than_files_can_be_kept():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, open_files() + 400), hard))
    try:
        kept = list(DataLoader(Made(lambda i: gradcu.full((2000,), float(i)), 600), None, num_workers=2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [int(x[0]) for x in kept] == list(range(600))


def test_leaves_that_require_grad_arrive_and_results_are_refused():
    for n in (2, 2000):
        first = next(iter(loaded(gradcu, Made(lambda i, n=n: gradcu.ones(n, requires_grad=True)), batch_size=None)))
        assert first.requires_grad
    with pytest.raises(RuntimeError, match=r"Caught RuntimeError in DataLoader worker process(.|\n)*send x.detach"):
        next(iter(loaded(gradcu, Made(lambda i: gradcu.ones(2, requires_grad=True) * 2), batch_size=None)))


# --- iterable data sets ---


def test_streams_are_read_by_all_workers_in_turn(torch):
    assert [b.tolist() for b in loaded(torch, stream(torch))] == [
        [0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15], [16, 18], [17, 19]
    ]  # fmt: skip
    assert [b.tolist() for b in loaded(torch, stream(torch, 9), drop_last=True)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert sorted(loaded(torch, stream(torch, 5), batch_size=None)) == [0, 1, 2, 3, 4]


def test_streams_of_different_lengths(torch):
    class Uneven(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([10] if torch.utils.data.get_worker_info().id else range(5))

    assert [b.tolist() for b in loaded(torch, Uneven(), batch_size=1)] == [[0], [10], [1], [2], [3], [4]]
    assert list(loaded(torch, stream(torch, 0))) == []


# --- what a worker knows ---


def test_worker_info(torch):
    dataset = Made(same, 2)

    def collate(batch):
        info = torch.utils.data.get_worker_info()
        return info.id, info.num_workers, info.seed, len(info.dataset)

    seen = list(loaded(torch, dataset, batch_size=1, collate_fn=collate))
    assert [(i, n, length) for i, n, _, length in seen] == [(0, 2, 2), (1, 2, 2)]
    assert seen[1][2] == seen[0][2] + 1
    assert torch.utils.data.get_worker_info() is None


def test_random_numbers_differ_between_workers_and_follow_the_seed(torch):
    def draw(i):
        return [random.random(), float(np.random.rand()), torch.rand(()).item()]

    def drawn(seed):
        torch.manual_seed(seed)
        return list(loaded(torch, Made(draw, 4), batch_size=None))

    first = drawn(1)
    assert len({number for sample in first for number in sample}) == 12
    assert drawn(1) == first
    assert drawn(2) != first


def test_the_generator_decides_the_seed_and_the_order(torch):
    def drawn():
        generator = torch.Generator().manual_seed(5)
        dataset = Made(lambda i: (i, torch.rand(()).item()), 6)
        return list(loaded(torch, dataset, batch_size=None, shuffle=True, generator=generator))

    assert drawn() == drawn()


def test_worker_init_fn(torch):
    seen = []

    def init(worker_id):
        seen.append(worker_id)

    assert list(loaded(torch, Made(lambda i: list(seen), 2), batch_size=None, worker_init_fn=init)) == [[0], [1]]


def test_an_error_in_worker_init_fn_arrives():
    def init(worker_id):
        raise OSError("no disk")

    with pytest.raises(OSError, match="Caught OSError in DataLoader worker process 0"):
        next(iter(loaded(gradcu, Made(same), worker_init_fn=init)))


def test_persistent_workers_stay(torch):
    loader = loaded(torch, Made(lambda i: os.getpid(), 8), persistent_workers=True)
    passes = [{pid for batch in loader for pid in batch.tolist()} for _ in range(3)]
    assert passes[0] == passes[1] == passes[2]
    for _ in zip(range(1), loader, strict=False):  # a pass that is broken off is no part of the next
        pass
    assert len(list(loader)) == 2
    streams = loaded(torch, stream(torch), persistent_workers=True)
    assert [sum(b.sum().item() for b in streams) for _ in range(2)] == [190, 190]
    other = loaded(torch, Made(lambda i: os.getpid(), 8))
    assert not {p for b in other for p in b.tolist()} & {p for b in other for p in b.tolist()}


def test_order_of_arrival():
    def make(i):
        time.sleep(0.2 * (i == 0))
        return i

    fast_first = list(DataLoader(Made(make, 8), None, num_workers=2, in_order=False))
    assert sorted(fast_first) == list(range(8))
    assert fast_first[0] != 0
    assert list(DataLoader(Made(make, 8), None, num_workers=2)) == list(range(8))


def test_no_more_is_fetched_ahead_than_asked_for():
    made = multiprocessing.Value("i", 0)

    def make(i):
        with made:
            made.value += 1
        return i

    iterator = iter(DataLoader(Made(make, 100), None, num_workers=2, prefetch_factor=3))
    time.sleep(0.3)
    assert made.value <= 6
    next(iterator)
    assert sorted(iterator) == list(range(1, 100))
    assert made.value == 100


# --- errors (of which PyTorch's take ten seconds to clear up) ---


class Unusual(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def fail(error):
    def make(i):
        if i == 5:
            raise error
        return i

    return Made(make)


@pytest.mark.parametrize("error", [ValueError("bad sample"), KeyError("bad sample"), ZeroDivisionError("bad sample")])
def test_an_error_arrives_with_its_class_and_traceback(error):
    with pytest.raises(type(error)) as caught:
        list(loaded(gradcu, fail(error)))
    text = str(caught.value)
    assert text.startswith(f"Caught {type(error).__name__} in DataLoader worker process 1.\nOriginal Traceback (most ")
    assert "in make\n    raise error\n" in text
    assert "bad sample" in text


def test_an_error_that_takes_no_message_is_a_runtime_error():
    with pytest.raises(RuntimeError, match="Caught Unusual in DataLoader worker process"):
        list(loaded(gradcu, fail(Unusual(1, 2))))


def test_an_error_ends_one_batch_and_not_the_pass():
    iterator = iter(loaded(gradcu, fail(ValueError("bad sample"))))
    assert next(iterator).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="bad sample"):
        next(iterator)
    assert next(iterator).tolist() == [8, 9, 10, 11]


def test_what_cannot_be_pickled_is_an_error():
    with pytest.raises(Exception, match=r"Caught \w+ in DataLoader worker process 0(.|\n)*pickle"):
        next(iter(DataLoader(Made(lambda i: lambda: 0), None, num_workers=1)))


@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_worker_that_dies_is_reported(end):
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid(\(s\))? \d+\) (exited unexpectedly|is killed by)"):
        list(loaded(gradcu, Made(lambda i: end() if i == 9 else i)))


def test_a_worker_that_is_late_is_reported():
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0?\.?\d+ seconds"):
        list(loaded(gradcu, Made(lambda i: time.sleep(1.5 * (i == 4))), timeout=0.3, collate_fn=len))


def test_large_tasks_and_large_results_do_not_block_each_other():
    tasks = [list(range(100_000)) for _ in range(6)]
    loader = DataLoader(range(100_000), batch_sampler=tasks, num_workers=2, prefetch_factor=3, collate_fn=str)
    assert [len(text) for text in loader] == [688890] * 6


# --- nothing is left behind ---


def test_a_loop_that_is_left_early_leaves_nothing():
    for _ in DataLoader(Made(lambda i: gradcu.ones(5000)), 2, num_workers=2):
        break
    gc.collect()
    assert multiprocessing.active_children() == []


def test_memory_is_freed_with_its_tensors(collector_off):
    files = open_files()
    kept = list(DataLoader(Made(lambda i: gradcu.ones(5000)), 2, num_workers=2))
    assert open_files() > files
    part = kept[3][1, 2:]
    del kept
    assert part.sum().item() == 4998
    del part
    assert open_files() <= files + 1


@pytest.mark.parametrize("ending", ["interrupt", "kill", "exit", "error"])
def test_however_the_main_process_ends_its_workers_end(ending, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys, time
            from gradcu.utils.data import DataLoader

            class Data:
                def __len__(self):
                    return 1000
                def __getitem__(self, i):
                    return os.getpid()

            if __name__ == "__main__":
                loader = DataLoader(Data(), None, num_workers=2, persistent_workers=True)
                iterator = iter(loader)
                print(next(iterator), next(iterator), flush=True)
                if {ending!r} == "exit":
                    sys.exit()
                if {ending!r} == "error":
                    raise ValueError("planned")
                while True:
                    for x in loader:
                        time.sleep(0.01)
            """
        )
    )
    running = subprocess.Popen(
        [sys.executable, "-W", "error", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    workers = [int(pid) for pid in running.stdout.readline().split()]
    if ending == "interrupt":
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    if ending == "kill":
        running.kill()
    errors = running.communicate(timeout=60)[1]
    expected = {"interrupt": "KeyboardInterrupt", "error": "ValueError: planned"}.get(ending, "")
    assert errors.strip().endswith(expected)
    assert errors.count("Traceback") == bool(expected)
    deadline = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

"""Tensors that processes share."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

import gradcu
import gradcu.multiprocessing as mp
from gradcu import nn

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="tensors are copied on Windows"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Python's, on forking with threads
]


def add_one(x, answers, received):
    x += 1
    answers.put(x[1:])
    received.wait(60)


def echo(inbox, outbox):
    for x in iter(inbox.get, None):
        copy = x.detach().clone()
        x.detach().zero_()
        outbox.put(copy)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_arguments_and_answers_share_memory(method):
    context = mp.get_context(method)
    answers, received, x = context.Queue(), context.Event(), gradcu.zeros(3, 4)
    child = context.Process(target=add_one, args=(x.share_memory_(), answers, received))
    child.start()
    part = answers.get(timeout=60)
    received.set()
    assert x.tolist() == [[1] * 4] * 3
    part += 1
    assert x.tolist() == [[1] * 4, [2] * 4, [2] * 4]
    child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "bfloat16", "complex64"])
def test_queues_carry_every_kind_of_tensor(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    context = mp.get_context("fork")
    there, back = context.Queue(), context.Queue()
    child = context.Process(target=echo, args=(there, back), daemon=True)
    child.start()
    x = gradcu.arange(12).reshape(3, 4).to(getattr(gradcu, dtype))
    for view in (lambda x: x, lambda x: x.t(), lambda x: x[1:, ::2], lambda x: x[1, 1], lambda x: x[:0]):
        t = view(x)
        expected = t.tolist()
        there.put(t)
        answer = back.get(timeout=60)
        assert (answer.dtype, answer.shape, answer.tolist()) == (t.dtype, t.shape, expected)
        assert not t.any()
        x.copy_(gradcu.arange(12).reshape(3, 4))
    there.put(None)
    child.join()


def test_a_sent_tensor_moves_to_shared_memory():
    context = mp.get_context("fork")
    there, back = context.Queue(), context.Queue()
    child = context.Process(target=echo, args=(there, back), daemon=True)
    child.start()
    p = nn.Parameter(gradcu.ones(3))
    base = gradcu.ones(4, 2)
    view = base[1]
    for t in (p, view):
        there.put(t)
        back.get(timeout=60)
    there.put(None)
    child.join()
    assert p.is_shared()
    assert p.tolist() == [0, 0, 0]
    assert base.is_shared()
    assert base.tolist() == [[1, 1], [0, 0], [1, 1], [1, 1]]


def test_parameters_keep_what_they_are():
    p = nn.Parameter(gradcu.ones(3), requires_grad=False)
    p.note = "kept"
    reader, writer = mp.get_context("fork").Pipe()
    writer.send(p)
    q = reader.recv()
    assert (type(q), q.requires_grad, q.note) == (nn.Parameter, False, "kept")
    q[0] = 7
    assert p[0] == 7
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor which requires_grad"):
        writer.send(gradcu.ones(2, requires_grad=True) * 2)


def test_pickles_are_copies_all_the_same():
    x = gradcu.ones(3).share_memory_()
    y = pickle.loads(pickle.dumps(x))
    y[0] = 5
    assert x[0] == 1
    assert not y.is_shared()


def test_modules_share_their_memory(torch):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    parameters = list(model.parameters())
    assert model.share_memory() is model
    assert all(t.is_shared() for t in model.state_dict().values())
    assert all(a is b for a, b in zip(parameters, model.parameters()))


def hogwild(rank, weight):
    x = gradcu.tensor([[1.0, 2.0]])
    for _ in range(20):
        w = weight.detach().requires_grad_()
        ((x @ w - 3) ** 2).sum().backward()
        weight.sub_(0.02 * w.grad)


def test_processes_train_one_weight():
    weight = gradcu.zeros(2, 1).share_memory_()
    mp.spawn(hogwild, (weight,), nprocs=2)
    assert (gradcu.tensor([[1.0, 2.0]]) @ weight).item() == pytest.approx(3, abs=0.05)


def square(x):
    return x * x


def test_pools():
    with mp.get_context("fork").Pool(2) as pool:
        assert [t.tolist() for t in pool.map(square, [gradcu.full((3,), float(i)) for i in range(4)])] == [
            [i * i] * 3 for i in range(4)
        ]


# --- spawn ---


def fail_if_first(rank, how):
    if rank == 0:
        how()
    time.sleep(30)


def divide():
    return 1 / 0


def leave():
    sys.exit(3)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (divide, "ProcessRaisedException", r"Process 0 terminated with the following error:(.|\n)*ZeroDivisionError"),
        (leave, "ProcessExitedException", "process 0 terminated with exit code 3"),
        (kill, "ProcessExitedException", "process 0 terminated with signal SIGKILL"),
    ],
)
def test_the_error_of_one_process_ends_all(torch, how, error, words):
    module = torch.multiprocessing
    started = time.monotonic()
    with pytest.raises(getattr(module, error), match=words) as caught:
        module.start_processes(fail_if_first, (how,), nprocs=2, start_method="fork")
    assert caught.value.error_index == 0
    assert pickle.loads(pickle.dumps(caught.value)).error_pid == caught.value.error_pid
    assert time.monotonic() - started < 20
    assert multiprocessing.active_children() == []


def note(rank, seen):
    seen[rank] = rank + 1


def test_processes_can_be_joined_later(torch):
    seen = multiprocessing.get_context("fork").Array("i", 3)
    started = torch.multiprocessing.start_processes(note, (seen,), nprocs=3, join=False, start_method="fork")
    assert len(set(started.pids())) == 3
    while not started.join(timeout=10):
        pass
    assert list(seen) == [1, 2, 3]


def test_names_are_those_of_python():
    assert mp.Queue is multiprocessing.Queue
    assert {"Process", "Pool", "set_start_method", "get_context"} <= set(dir(mp))
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    with pytest.raises(AssertionError, match="invalid sharing strategy 'none'"):
        mp.set_sharing_strategy("none")


def test_nothing_is_left_in_shared_memory():
    """A process that is killed with shared tensors leaves no file, and Python's tracker has nothing to say."""
    folder = "/dev/shm"
    before = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    script = "import gradcu, os; x = gradcu.ones(1000).share_memory_(); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-9, "")
    if before:
        assert {name for name in os.listdir(folder) if "gradcu" in name} == set()

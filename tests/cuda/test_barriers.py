"""The host finds a barrier that is missing: without any one of them a kernel fails under some order of threads."""

import shutil

import numpy as np
import pytest

from gradcu import backends
from gradcu.backends.gpu import attention, norm, scan
from tests.cuda import hostcupy
from tests.cuda.test_attention import reference

BARRIER = "__syncthreads();"
RNG = np.random.default_rng(0)


@pytest.fixture
def patched(cupy, monkeypatch, tmp_path):
    """A function that takes the n-th barrier out of a source; kernels are then compiled from the changed text."""
    xp = backends.cuda()
    folder = tmp_path / "kernels"
    shutil.copytree(xp.kernels(), folder, ignore=shutil.ignore_patterns("cpu"))
    monkeypatch.setattr(xp, "kernels", lambda: folder)
    monkeypatch.setattr(xp, "kernel", xp.kernel.__wrapped__)

    def without(name, barrier):
        parts = (folder / name).read_text().split(BARRIER)
        if barrier is not None:
            parts[barrier : barrier + 2] = [parts[barrier] + parts[barrier + 1]]
        (folder / name).write_text(BARRIER.join(parts))

    return xp, without


def holds_in_every_order(compute, want):
    """Whether the results are right whichever order threads run in."""
    for order in range(4):
        with hostcupy.schedule(order):
            try:
                got = compute().get()
            except RuntimeError:  # some threads wait for others that never come
                return False
        if not np.allclose(got, want, rtol=1e-9, atol=1e-9):
            return False
    return True


@pytest.mark.parametrize("barrier", [None, 0, 1, 2])
def test_reductions_over_several_warps(patched, barrier):
    xp, without = patched
    without("common.cuh", barrier)
    x = RNG.standard_normal((3, 300))
    want = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    on_device = xp.asarray(x)
    holds = holds_in_every_order(
        lambda: norm.standardize(xp, on_device, None, None, (1,), (1, 300), 0.0, True)[0], want
    )
    assert holds is (barrier is None)


@pytest.mark.parametrize("barrier", [None, 0, 1])
def test_tiles_of_running_sums(patched, barrier):
    xp, without = patched
    assert (xp.kernels() / "scan.cu").read_text().count(BARRIER) == 2
    without("scan.cu", barrier)
    x = RNG.standard_normal((1, 2100))  # three tiles of several warps
    on_device = xp.asarray(x)
    holds = holds_in_every_order(lambda: scan.running_sum(xp, on_device, 1, False), x.cumsum(1))
    assert holds is (barrier is None)


@pytest.mark.parametrize("barrier", [None, *range(7)])  # of the forward pass 2, for queries 3, for keys and values 2
def test_tiles_of_attention(patched, barrier):
    xp, without = patched
    assert (xp.kernels() / "attention.cu").read_text().count(BARRIER) == 7
    without("attention.cu", barrier)
    q, k, v, g = (RNG.standard_normal((1, 1, 40, 4)) for _ in range(4))
    want = np.concatenate(reference(q, k, v, g, None, False, 1.0))
    q, k, v, g = (xp.asarray(a) for a in (q, k, v, g))
    settings = None, False, False, 1.0

    def compute():
        out = attention.attention(xp, q, k, v, *settings)
        grads = attention.attention_vjp(xp, g, (True,) * 4, q, k, v, *settings, out)
        return xp.concatenate([out[0], *grads[:3]])

    assert holds_in_every_order(compute, want) is (barrier is None)

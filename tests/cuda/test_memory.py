"""`gradcu.cuda` on memory: what is counted, and what users read when there is none left; kernels compiled ahead."""

import pytest

import gradcu as torch
from gradcu import backends
from gradcu.backends.gpu.memory import shown

MiB = 1 << 20


@pytest.fixture(autouse=True)
def pool(cupy):
    """CuPy's pool as the source of memory, as it is on a real device, with no more than 8 MiB."""
    allocator = backends.cuda().allocator
    cupy.cuda.set_allocator(allocator)
    torch.cuda.empty_cache()
    allocator.pool.set_limit(8 * MiB)
    yield allocator.pool
    allocator.pool.set_limit(0)
    allocator.peaks.clear()
    cupy.cuda.set_allocator(None)


def bytes_of(n):
    return torch.empty(n, dtype=torch.uint8, device="cuda")


def test_what_is_allocated_and_what_is_held():
    before = torch.cuda.memory_allocated()
    x = bytes_of(MiB)
    assert torch.cuda.memory_allocated() == before + MiB
    del x
    assert torch.cuda.memory_allocated() == before
    assert torch.cuda.memory_reserved() >= MiB
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < MiB
    assert torch.cuda.memory_stats()["reserved_bytes.all.current"] == torch.cuda.memory_reserved()


def test_peak():
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    x, y = bytes_of(MiB), bytes_of(2 * MiB)
    del x, y
    x = bytes_of(MiB)
    assert torch.cuda.max_memory_allocated() == before + 3 * MiB
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == before + x.numel()


def test_peak_is_no_less_than_what_was_allocated_before_it_is_recorded():
    x = bytes_of(2 * MiB)
    del x
    assert torch.cuda.max_memory_allocated() >= 2 * MiB > torch.cuda.memory_allocated()


def test_out_of_memory():
    kept = bytes_of(5 * MiB)
    spare = bytes_of(MiB)
    del spare
    with pytest.raises(torch.OutOfMemoryError) as caught:
        bytes_of(7 * MiB)
    assert torch.OutOfMemoryError is torch.cuda.OutOfMemoryError
    assert isinstance(caught.value, RuntimeError)
    text = str(caught.value)
    assert text.startswith("CUDA out of memory. Tried to allocate 7.00 MiB. GPU 0 has a total capacity of 8.00 GiB of")
    assert "Live tensors take 5.00 MiB" in text
    assert "The pool may hold 8.00 MiB at most" in text
    assert kept.numel() + bytes_of(MiB).numel() == 6 * MiB  # what fits is still given


def test_out_of_memory_inside_of_an_operation_and_of_backward():
    x = torch.ones(MiB // 4, device="cuda", requires_grad=True)  # 1 MiB
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 16\.00 MiB"):
        torch.cat([x] * 16)
    y = torch.exp(x)  # whose gradient needs as much again
    kept = bytes_of(int(5.5 * MiB))
    with pytest.raises(torch.OutOfMemoryError, match=r"Tried to allocate 1\.00 MiB"):
        y.sum().backward()
    assert kept.is_cuda


def test_summary():
    kept = bytes_of(MiB)
    text = torch.cuda.memory_summary()
    assert "allocated by tensors" in text
    assert "held by the pool" in text
    assert "8.00 GiB" in text
    assert "8.00 GiB" not in torch.cuda.memory_summary(abbreviated=True)
    assert kept.numel() == MiB


def test_a_limit(pool):
    torch.cuda.set_per_process_memory_fraction(0.5)
    assert pool.get_limit() == 4 << 30
    with pytest.raises(ValueError, match=r"Invalid fraction value: 2\.0"):
        torch.cuda.set_per_process_memory_fraction(2.0)
    with pytest.raises(TypeError, match="must be `float`"):
        torch.cuda.set_per_process_memory_fraction(1)


def test_sizes_in_words():
    assert [shown(n) for n in (3, 2048, 3 * MiB, 5 << 29)] == ["3 bytes", "2.00 KiB", "3.00 MiB", "2.50 GiB"]


def test_warmup_compiles_the_kernels_of_a_dtype(monkeypatch):
    compiled = []
    monkeypatch.setattr(backends.cuda(), "kernel", lambda family, function: compiled.append((family, function)))
    assert torch.cuda.warmup(torch.bfloat16) == len(compiled)
    assert ("softmax", "softmax<__nv_bfloat16, 8>") in compiled
    assert not any("double" in function for _, function in compiled)
    assert torch.cuda.warmup() > 0
    assert ("random", "uniform<float>") in compiled

"""Tensors on a CUDA device as users meet them: moving, printing, mixing, training; `gradcu.cuda`."""

import copy
import pickle

import numpy as np
import pytest

import gradcu as torch
from gradcu import backends


@pytest.fixture(autouse=True)
def _cuda(cupy):
    backends.cuda()


# --- moving ---


def test_to_and_back():
    x = torch.arange(6.0).reshape(2, 3)
    y = x.to("cuda")
    assert (y.device, y.is_cuda, y.dtype, y.shape) == (torch.device("cuda:0"), True, torch.float32, x.shape)
    assert y.to("cuda") is y
    assert y.cuda(0) is y
    assert y.cpu().tolist() == x.tolist()
    assert y.to("cpu", torch.float64).dtype is torch.float64
    assert x.to(y).device == y.device


def test_a_transposed_tensor_keeps_its_strides():
    x = torch.arange(6.0).reshape(2, 3).t()
    assert x.cuda().stride() == x.cuda().cpu().stride() == (1, 3)


def test_gradients_return_to_where_the_leaf_is():
    x = torch.ones(3, requires_grad=True)
    (x.cuda() * torch.tensor([1.0, 2.0, 3.0], device="cuda")).sum().backward()
    assert x.grad.device == torch.device("cpu")
    assert x.grad.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_stay_on_the_device(make):
    x = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    y = make(x)
    assert y.device == x.device
    assert y.requires_grad
    assert y.tolist() == [1, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda **d: torch.zeros(2, 3, **d),
        lambda **d: torch.full((2,), 7, **d),
        lambda **d: torch.arange(1, 2, 0.25, **d),
        lambda **d: torch.linspace(0, 1, 5, **d),
        lambda **d: torch.eye(3, **d),
        lambda **d: torch.tensor([[1, 2], [3, 4]], **d),
        lambda **d: torch.ones_like(torch.zeros(2), **d),
    ],
)
def test_creation(make):
    x = make(device="cuda")
    assert x.is_cuda
    assert x.tolist() == make().tolist()
    assert x.dtype is make().dtype
    torch.set_default_device("cuda")
    try:
        assert make().is_cuda
    finally:
        torch.set_default_device("cpu")


# --- what users read ---


def test_printing():
    x = torch.tensor([1.0, 2.5], device="cuda")
    assert repr(x) == "tensor([1.0000, 2.5000], device='cuda:0')"
    x.requires_grad_()
    assert repr(x) == "tensor([1.0000, 2.5000], device='cuda:0', requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 5.], device='cuda:0', grad_fn=<MulBackward0>)"
    assert repr(x.device) == "device(type='cuda', index=0)"
    assert x.type() == "gradcu.cuda.FloatTensor"


def test_numbers_can_be_read():
    x = torch.tensor(2.5, device="cuda")
    assert (x.item(), float(x), bool(x), f"{x:.2f}") == (2.5, 2.5, True, "2.50")


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: a @ b,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.nn.functional.linear(a, b),
        lambda a, b: torch.where(a > 0, a, b),
    ],
)
def test_operands_on_two_devices(mix):
    here, there = torch.ones(2, 2), torch.ones(2, 2, device="cuda")
    for a, b in ((here, there), (there, here)):
        with pytest.raises(RuntimeError, match=r"^Expected all tensors to be on the same device, but found"):
            mix(a, b)


def test_a_number_on_the_cpu_goes_with_every_device():
    x = torch.ones(2, device="cuda")
    for y in (x * torch.tensor(3.0), torch.tensor(3.0) * x):
        assert y.is_cuda
        assert y.tolist() == [3, 3]


def test_nothing_is_copied_to_the_host_silently():
    x = torch.ones(2, device="cuda")
    message = r"can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu\(\) to copy the tensor to host memory"
    with pytest.raises(TypeError, match=message):
        x.numpy()
    with pytest.raises(TypeError, match=message):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [1, 1]


def test_a_gradient_of_another_device_is_refused():
    x = torch.ones(2, device="cuda", requires_grad=True)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient on cpu to a tensor on cuda"):
        x.grad = torch.ones(2)


# --- computing ---


def test_an_index_on_the_cpu_picks_from_every_device():
    x = torch.arange(3.0, device="cuda")
    assert x[torch.tensor([2, 0, 2])].tolist() == [2, 0, 2]
    assert x[torch.tensor([True, False, True])].tolist() == [0, 2]


def test_changes_in_place_reach_the_base():
    x = torch.zeros(2, 3, device="cuda")
    x[1].add_(2)
    x[:, 0] = 5
    x[0].copy_(torch.ones(3))
    assert x.tolist() == [[1, 1, 1], [5, 2, 2]]


def test_repeated_elements_are_not_written():
    x = torch.ones(1, device="cuda").expand(3)
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor refers to a single memory"):
        x.add_(1)
    assert x.tolist() == [1, 1, 1]


def test_as_strided_shares_memory():
    x = torch.arange(6.0, device="cuda", requires_grad=True)
    y = x * 1
    y.as_strided((2, 2), (3, 1), 1).mul_(10)
    assert y.tolist() == [0, 10, 20, 3, 40, 50]
    y.sum().backward()
    assert x.grad.tolist() == [1, 10, 10, 1, 10, 10]
    assert x[2:].as_strided((2,), (1,)).storage_offset() == 2


def test_a_matrix_without_inverse():
    with pytest.raises(torch.linalg.LinAlgError, match="singular"):
        torch.linalg.inv(torch.zeros(2, 2, device="cuda"))


def test_pinned_memory():
    x = torch.arange(6).reshape(2, 3).t()
    assert x.pin_memory().cuda().tolist() == x.tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays(dtype):
    dtype = getattr(torch, dtype)
    x = torch.full((4, 3), 1.5, device="cuda", dtype=dtype, requires_grad=True)
    y = (x @ x.t()).sum() + torch.relu(x).sum() + (x * 2.0).mean()
    assert y.dtype is dtype
    y.backward()
    assert x.grad.dtype is dtype
    np.testing.assert_allclose(x.grad.tolist(), 12 + 1 + 1 / 6, rtol=1e-2)


def train(device):
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).to(device)
    x = torch.randn(64, 2).to(device)
    target = (x[:, 0] * x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.device.type == p.grad.device.type == device for p in model.parameters())
    return losses


def test_training_goes_as_on_the_cpu():
    losses = train("cuda")
    assert losses[-1] < 0.5 * losses[0]
    np.testing.assert_allclose(losses, train("cpu"), rtol=1e-3)


# --- random numbers ---


def test_seeds_and_states():
    torch.manual_seed(3)
    x = torch.rand(5, device="cuda")
    state = torch.cuda.get_rng_state()
    y = torch.rand(5, device="cuda")
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.rand(5, device="cuda"), y)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(5, device="cuda"), x)
    torch.cuda.manual_seed_all(4)
    assert not torch.equal(torch.rand(5, device="cuda"), x)


# --- gradcu.cuda ---


def test_devices():
    assert torch.cuda.is_available()
    assert torch.cuda.is_initialized()
    assert torch.cuda.device_count() == 1
    assert torch.cuda.current_device() == 0
    assert torch.cuda.get_device_name() == torch.cuda.get_device_properties("cuda:0").name
    assert torch.cuda.get_device_capability(0) >= (7, 5)
    with torch.cuda.device(0):
        torch.cuda.synchronize()
    with pytest.raises(RuntimeError, match="CUDA error: invalid device ordinal"):
        torch.zeros(2, device="cuda:7")
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        torch.cuda.set_device("cpu")


def test_memory():
    free, whole = torch.cuda.mem_get_info()
    assert 0 < free <= whole
    assert 0 <= torch.cuda.memory_allocated() <= torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()


def test_streams_and_events():
    stream = torch.cuda.Stream()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with torch.cuda.stream(stream):
        assert torch.cuda.current_stream() == stream
        start.record()
        x = torch.ones(3, device="cuda") * 2
        end.record()
    torch.cuda.current_stream().wait_stream(stream)
    end.synchronize()
    assert end.query()
    assert start.elapsed_time(end) >= 0
    assert x.tolist() == [2, 2, 2]
    assert torch.cuda.current_stream() == torch.cuda.default_stream() != stream


class Noted(torch.autograd.Function):
    """Passes on what it gets, and notes the stream in which its backward runs."""

    @staticmethod
    def forward(ctx, x, seen):
        ctx.seen = seen
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        ctx.seen.append(torch.cuda.current_stream())
        if len(ctx.seen) > 2:
            raise ValueError("enough")
        return g * 2, None


def test_backward_runs_in_the_streams_of_the_forward():
    x, seen, stream = torch.ones(3, device="cuda", requires_grad=True), [], torch.cuda.Stream()
    y = Noted.apply(x, seen)
    with torch.cuda.stream(stream):
        y = Noted.apply(y, seen)
    torch.cuda.current_stream().wait_stream(stream)
    total = (y * y).sum()
    total.backward(retain_graph=True)
    assert seen == [stream, torch.cuda.default_stream()]
    assert x.grad.tolist() == [8.0] * 3
    with pytest.raises(ValueError, match="enough"):
        total.backward()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert (x * 2).sum().grad_fn.next_functions[0][0].hooks is None  # nothing is noted outside of the block


def test_sums_are_in_the_order_of_the_index_in_deterministic_mode():
    # In float32 these sums depend on their order: 1e8 + 1 - 1e8 is 0, 1e8 - 1e8 + 1 is 1.
    index = torch.tensor([0, 2, 0, 0], device="cuda")
    values = torch.tensor([[1e8], [5.0], [1.0], [-1e8]], device="cuda")
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(3):
            summed = torch.zeros(3, 1, device="cuda").index_add(0, index, values)
            assert summed.tolist() == [[0.0], [0.0], [5.0]]
    finally:
        torch.use_deterministic_algorithms(False)


def test_sparse_products():
    values = torch.tensor([2.0, 3.0, 4.0], device="cuda", requires_grad=True)
    a = torch.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], values, (2, 3))
    x = torch.ones(3, 2, device="cuda", requires_grad=True)
    y = a @ x
    y.sum().backward()
    assert y.tolist() == [[2, 2], [7, 7]]
    assert (values.grad.tolist(), x.grad.tolist()) == ([2, 2, 2], [[3, 3], [0, 0], [6, 6]])
    assert a.cpu().to_dense().tolist() == [[0, 0, 2], [3, 0, 4]]


def test_distributions():
    a = torch.full((2000,), 2.0, device="cuda", requires_grad=True)
    x = torch.distributions.Gamma(a, 4.0).rsample()
    assert x.is_cuda
    x.mean().backward()
    assert abs(x.mean().item() - 0.5) < 0.05
    assert abs(a.grad.sum().item() - 0.25) < 0.03

"""`amp`: the scaler does what PyTorch's does, step for step; autocast keeps its state."""

import importlib

import numpy as np
import pytest


def run(torch, gradients, **settings):
    """Scale and parameter after each step whose gradient is the given one."""
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, **settings)
    w = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    seen = []
    for g in gradients:
        optimizer.zero_grad()
        scaler.scale((w * g).sum()).backward()
        scaler.unscale_(optimizer)
        total = w.grad.norm().item() if g < 1e30 else None
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), total, w.tolist()))
    return seen, scaler.state_dict()


@pytest.mark.parametrize("settings", [{}, {"enabled": False}, {"growth_factor": 3.0, "backoff_factor": 0.25}])
def test_scaler_does_what_pytorchs_does(original, settings):
    gradients = [0.5, float("inf"), 0.25, 1.0, 2.0, 1.0, float("inf")]
    if not settings.get("enabled", True):
        gradients = [g for g in gradients if g < 1e30]
    ours, theirs = (run(importlib.import_module(name), gradients, **settings) for name in ("gradcu", "torch"))
    assert ours[1] == theirs[1]
    for (scale, total, w), (scale2, total2, w2) in zip(ours[0], theirs[0], strict=True):
        assert (scale, total) == (scale2, pytest.approx(total2) if total2 is not None else None)
        assert w == pytest.approx(w2)


def test_state_goes_on(torch):
    _, state = run(torch, [0.5, 0.5, 0.5])
    scaler = torch.amp.GradScaler("cpu")
    scaler.load_state_dict(state)
    assert scaler.get_scale() == 16.0
    assert scaler.state_dict() == state


def test_wrong_order_is_refused(refused_alike):
    def scaler_after(torch, *calls):
        scaler = torch.amp.GradScaler("cpu")
        w = torch.ones(1, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        scaler.scale(w.sum()).backward()
        for call in calls:
            getattr(scaler, call)(optimizer)

    refused_alike(lambda torch: scaler_after(torch, "unscale_", "unscale_"))
    refused_alike(lambda torch: scaler_after(torch, "step", "step"))
    refused_alike(lambda torch: scaler_after(torch, "step", "unscale_"))
    refused_alike(lambda torch: torch.amp.GradScaler("cpu").load_state_dict({}))


def test_cuda_scaler_without_cuda_hands_on(torch):
    if torch.cuda.is_available():
        pytest.skip("there is CUDA")
    with pytest.warns(UserWarning, match=r"enabled, but CUDA is not available"):
        scaler = torch.amp.GradScaler()
    x = torch.ones(1)
    assert not scaler.is_enabled()
    assert scaler.scale(x) is x
    assert scaler.state_dict() == {}


def test_autocast_state(torch):
    assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.is_autocast_enabled("cpu")
        assert not torch.is_autocast_enabled("cuda")
        assert torch.get_autocast_dtype("cpu") is torch.bfloat16
        with torch.autocast("cpu", enabled=False):
            assert not torch.is_autocast_enabled("cpu")

        @torch.autocast("cpu", enabled=False)
        def inside():
            return torch.is_autocast_enabled("cpu")

        assert not inside()
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_custom_function_in_autocast(torch):
    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x):
            ctx.inside = torch.is_autocast_enabled("cpu"), x.dtype
            return 2 * x

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            assert not torch.is_autocast_enabled("cpu")
            return 2 * g

    x = torch.ones(1, dtype=torch.float16, requires_grad=True)
    with torch.autocast("cpu"):
        y = Double.apply(x)
        assert y.grad_fn.inside == (False, torch.float32)
        y.sum().backward()
    assert x.grad.item() == 2


AUTOCAST = """m @ m|m @ b|b @ m|m.double() @ m.double()|F.linear(m, b, m[0])|F.linear(b, m, b[0])|torch.addmm(m, b, m)
torch.bmm(b[None], m[None])|torch.baddbmm(m[None], b[None], m[None])|torch.addbmm(b, m[None], m[None])
torch.einsum("ij,jk->ik", m, m)|F.conv2d(x, w)|F.conv2d(x.bfloat16(), w, m[0])|F.conv_transpose2d(x, w)|m + b|b.exp()
F.scaled_dot_product_attention(m[None], b[None], m[None])|b.softmax(1)|F.layer_norm(b, (4,), m[0], m[0])
b.sum()|b.mean(0)
F.gelu(b)|F.cross_entropy(b, i)|F.nll_loss(b, i)|F.mse_loss(b, b)|F.mse_loss(b, m)
F.smooth_l1_loss(b, b)|F.l1_loss(b, b)
F.binary_cross_entropy_with_logits(b, b)|torch.cat([b, m])|torch.stack([b, m])|m[0].dot(m[0])|m.mv(m[0])
torch.nn.Linear(4, 4)(m)|torch.nn.LSTM(4, 4)(m)[0]"""


@pytest.mark.parametrize("line", AUTOCAST.replace("\n", "|").split("|"))
def test_autocast_chooses_pytorchs_dtype(original, line):
    found = []
    for torch in (importlib.import_module("gradcu"), original):
        m = torch.arange(16.0).reshape(4, 4) / 16
        names = {"torch": torch, "F": torch.nn.functional, "m": m, "b": m.bfloat16(), "i": torch.tensor([0, 1, 2, 3])}
        names |= {"x": torch.ones(1, 4, 3, 3), "w": torch.ones(4, 4, 2, 2)}
        with torch.autocast("cpu"):
            result = eval(line, names)
        found.append((str(result.dtype).rpartition(".")[2], result.detach().float().numpy()))
    (dtype, values), (expected, others) = found
    assert dtype == expected
    if "torch.nn." not in line:  # which draw weights of their own
        np.testing.assert_allclose(values, others, rtol=0.02)


def test_autocast_trains_parameters_in_their_own_dtype(torch):
    w = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu"):
        first, second = w @ w, torch.mm(w, w)
    assert first.grad_fn.next_functions[0][0] is second.grad_fn.next_functions[1][0]  # converted once
    (first + second).sum().backward()
    assert w.grad.dtype is torch.float32
    assert w.grad.tolist() == [[8, 8], [8, 8]]


def test_autocast_ends_and_nests(torch):
    m = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.float16):
        with torch.autocast("cpu", enabled=False):
            assert (m @ m).dtype is torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (m @ m).dtype is torch.bfloat16
        assert (m @ m).dtype is torch.float16
    assert (m @ m).dtype is torch.float32
    with pytest.raises(RuntimeError, match="same dtype"), torch.autocast("cpu"):
        m @ m.double()
    with pytest.raises(RuntimeError, match="same dtype"):
        m @ m.bfloat16()

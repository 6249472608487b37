"""utils.flop_counter: PyTorch's counts."""

import importlib

import pytest


def counted(torch, run, backward=True):
    counter = importlib.import_module(f"{torch.__name__}.utils.flop_counter").FlopCounterMode(display=False)
    with counter:
        y = run(torch, lambda *shape: torch.ones(shape, requires_grad=True))
        if backward:
            y.sum().backward()
    total, counts = counter.get_total_flops(), counter.get_flop_counts()
    return total, {m: {str(k): n for k, n in c.items()} for m, c in counts.items()}


@pytest.mark.parametrize(
    "run",
    [
        lambda t, x: x(3, 4) @ x(4, 5),
        lambda t, x: x(3, 4) @ t.ones(4, 5),
        lambda t, x: x(2, 3, 4) @ x(2, 4, 5),
        lambda t, x: x(2, 3, 4) @ x(4, 5),
        lambda t, x: x(2, 2, 3, 4) @ x(2, 4, 5),
        lambda t, x: x(3, 4) @ x(4),
        lambda t, x: t.addmm(x(5), x(3, 4), x(4, 5)),
        lambda t, x: t.baddbmm(x(2, 3, 5), x(2, 3, 4), x(2, 4, 5)),
        lambda t, x: t.nn.functional.linear(x(3, 4), x(5, 4), x(5)),
        lambda t, x: t.nn.functional.linear(x(2, 3, 4), x(5, 4)),
        lambda t, x: t.nn.functional.linear(x(4), x(5, 4), x(5)),
        lambda t, x: t.nn.functional.conv2d(x(2, 4, 8, 8), x(6, 4, 3, 3), x(6)),
        lambda t, x: t.nn.functional.conv2d(x(2, 4, 8, 8), x(6, 2, 3, 3), x(6), groups=2, stride=2, padding=1),
        lambda t, x: t.nn.functional.conv1d(t.ones(2, 4, 8), x(6, 4, 3)),
        lambda t, x: t.nn.functional.conv_transpose2d(x(2, 4, 8, 8), x(4, 6, 3, 3), x(6)),
        lambda t, x: t.nn.functional.conv_transpose1d(x(2, 4, 8), x(4, 3, 3), None, groups=2, stride=2),
        lambda t, x: t.einsum("bij,bjk->bik", x(2, 3, 4), x(2, 4, 5)),
        lambda t, x: (x(3, 4).exp() * 2).softmax(-1),
    ],
)
def test_same_counts(original, run):
    import gradcu

    assert counted(gradcu, run) == counted(original, run)


def test_attention_module(original):
    import gradcu

    def run(torch, x):
        return torch.nn.MultiheadAttention(4, 2)(x(3, 2, 4), x(3, 2, 4), x(3, 2, 4))[0]

    assert counted(gradcu, run)[0] == counted(original, run)[0]


def test_attention_is_its_products():
    import gradcu

    total, _ = counted(
        gradcu,
        lambda t, x: t.nn.functional.scaled_dot_product_attention(x(2, 2, 3, 4), x(2, 2, 5, 4), x(2, 2, 5, 4)),
    )
    assert total == 3 * 2 * (2 * 2 * 2 * 3 * 4 * 5)  # two products, and two for each of them backward


@pytest.mark.parametrize("create", [False, True])
def test_only_what_is_asked_for(torch, create):
    def run(torch, x):
        a, b = x(3, 4), x(4, 5)
        return torch.autograd.grad((a @ b).sum(), a, create_graph=create)[0]

    assert counted(torch, run, backward=False)[0] == 240


def test_forward_mode_counts_the_primals_once():
    import gradcu
    from gradcu.autograd import forward_ad

    def run(torch, x):
        with forward_ad.dual_level():
            return forward_ad.make_dual(torch.ones(3, 4), torch.ones(3, 4)) @ torch.ones(4, 5)

    assert counted(gradcu, run, backward=False)[0] == 120


def test_modules(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.Tanh()))
    _, counts = counted(torch, lambda torch, x: net(torch.ones(3, 4)))
    assert counts == {
        "Global": {"aten.addmm": 576, "aten.mm": 960},
        "Sequential": {"aten.addmm": 576, "aten.mm": 960},
        "Sequential.0": {"aten.addmm": 192, "aten.mm": 192},
        "Sequential.2": {"aten.addmm": 384, "aten.mm": 768},
        "Sequential.2.0": {"aten.addmm": 384, "aten.mm": 768},
    }


def test_table(capsys):
    import gradcu as torch
    from gradcu.utils.flop_counter import FlopCounterMode

    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Sequential(torch.nn.Linear(8, 8)))
    with FlopCounterMode(depth=2) as counter:
        net(torch.ones(30000, 4)) @ torch.ones(8, 8)
    shown = capsys.readouterr().out
    assert shown.strip() == counter.get_table(2)
    lines = [line.split() for line in counter.get_table().splitlines()]
    assert lines[0] == ["Module", "FLOP", "%", "Total"]
    assert ["Global", "9600.000K", "100.00%"] in lines
    assert ["Sequential.1.0", "3840.000K", "40.00%"] in lines
    assert "Sequential.1.0" not in shown
    assert "Sequential.1" in shown


def test_nothing_is_left_behind():
    import gradcu as torch
    from gradcu.graph.op import registry

    counted(torch, lambda torch, x: x(2, 2) @ x(2, 2) + 1)
    total, _ = counted(torch, lambda torch, x: torch.zeros(1), backward=False)
    torch.ones(2, 2) @ torch.ones(2, 2)
    assert total == 0
    assert not any(getattr(vars(p).get("record"), "func", None) for p in registry.values())


def test_operations_of_ones_own():
    import gradcu as torch
    from gradcu.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.exp: lambda x, out_val: 10 * x.numel()}
    ) as counter:
        torch.ones(3).exp()
    assert counter.get_flop_counts() == {"Global": {"aten.exp": 30}}

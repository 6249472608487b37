"""utils.checkpoint: the same gradients, with less kept."""

import importlib
import warnings

import pytest


@pytest.fixture
def module(torch):
    return importlib.import_module(f"{torch.__name__}.utils.checkpoint")


@pytest.fixture(params=[True, False], ids=["reentrant", "recomputed"])
def reentrant(request):
    return request.param


def leaf(torch, *values):
    return torch.tensor(values, requires_grad=True)


def test_same_gradients(torch, module, reentrant):
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 0.5, 0.25)

    def part(x):
        return (x * w).sin().exp()

    y = module.checkpoint(part, x * 2, use_reentrant=reentrant)
    (y * 3).sum().backward()
    found = x.grad.clone(), w.grad.clone()
    x.grad = w.grad = None
    (part(x * 2) * 3).sum().backward()
    assert torch.allclose(found[0], x.grad)
    assert torch.allclose(found[1], w.grad)


def test_runs_once_forward_and_once_backward(torch, module, reentrant):
    x, runs = leaf(torch, 1.0, 2.0), []

    def part(x):
        runs.append(torch.is_grad_enabled())
        return x.sin().exp().cos()

    y = module.checkpoint(part, x, use_reentrant=reentrant)
    assert len(runs) == 1
    y.sum().backward()
    assert len(runs) == 2
    assert runs[1]


def test_random_numbers_are_drawn_again(torch, module, reentrant):
    x = torch.ones(50, requires_grad=True)
    torch.manual_seed(0)
    y = module.checkpoint(lambda x: (torch.rand(50) * x).exp(), x, use_reentrant=reentrant)
    later = torch.rand(3)
    state = torch.get_rng_state()
    y.sum().backward()
    assert (torch.get_rng_state() == state).all()
    assert torch.allclose(x.grad, y.detach() * y.detach().log())
    torch.manual_seed(0)
    torch.rand(50)
    assert (torch.rand(3) == later).all()


def test_several_results_and_other_arguments(torch, module, reentrant):
    x, y = leaf(torch, 1.0, 2.0), torch.ones(2)
    a, b, c = module.checkpoint(lambda x, k, y: (x * k, None, x.exp() * y), x, 3.0, y, use_reentrant=reentrant)
    assert b is None
    (a.sum() + c.sum()).backward()
    assert torch.allclose(x.grad, 3 + x.exp())


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # the inner one's, unrecorded
def test_nested(torch, module, reentrant):
    x = leaf(torch, 0.5, 1.0)

    def inner(x):
        return x.sin().exp()

    def outer(x):
        return module.checkpoint(inner, x.cos(), use_reentrant=reentrant).sin()

    module.checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    (expected,) = torch.autograd.grad(inner(x.cos()).sin().sum(), x)
    assert torch.allclose(x.grad, expected)


def test_without_grad(torch, module):
    x = leaf(torch, 1.0)
    with torch.no_grad():
        assert not module.checkpoint(torch.sin, x, use_reentrant=False).requires_grad


class TestReentrant:
    def test_grad_is_refused(self, torch, module):
        x = leaf(torch, 1.0, 2.0)
        y = module.checkpoint(torch.sin, x, use_reentrant=True).sum()
        with pytest.raises(RuntimeError, match="incompatible with"):
            torch.autograd.grad(y, x)

    def test_warnings_and_errors(self, torch, module):
        x = leaf(torch, 1.0, 2.0)
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
            module.checkpoint(torch.sin, torch.ones(2), use_reentrant=True)
        with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
            module.checkpoint(torch.sin, x)
        with pytest.raises(ValueError, match="Unexpected keyword arguments: k"):
            module.checkpoint(torch.sin, x, use_reentrant=True, k=1)
        constant = module.checkpoint(lambda x: x.detach(), x, use_reentrant=True)
        with pytest.raises(RuntimeError, match="none of output has requires_grad=True"):
            constant.sum().backward()


class TestRecomputed:
    def test_grad_and_higher_orders(self, torch, module):
        x = leaf(torch, 0.5, 1.0)
        y = module.checkpoint(lambda x: x.sin().exp(), x, use_reentrant=False)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        assert torch.allclose(h, (x.cos() ** 2 - x.sin()) * x.sin().exp())

    def test_kwargs(self, torch, module):
        x = leaf(torch, 1.0, 2.0)
        y = module.checkpoint(lambda x, *, other: (x * other).exp(), x, use_reentrant=False, other=x * 1)
        y.sum().backward()
        assert torch.allclose(x.grad, 2 * x * (x * x).exp())

    def test_backward_twice(self, torch, module):
        x, runs = leaf(torch, 1.0, 2.0), []

        def part(x):
            runs.append(x)
            return x.sin().exp()

        y = module.checkpoint(part, x, use_reentrant=False).sum()
        y.backward(retain_graph=True)
        y.backward()
        assert len(runs) == 3
        assert torch.allclose(x.grad, 2 * x.cos() * x.sin().exp())
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()

    @pytest.mark.parametrize("early", [True, False])
    def test_early_stop(self, torch, module, early):
        x, steps = leaf(torch, 1.0), []

        def part(x):
            y = x.exp() * x
            steps.append(y)
            return y

        module.checkpoint(part, x, use_reentrant=False, early_stop=early).sum().backward()
        assert len(steps) == (1 if early else 2)
        with module.set_checkpoint_early_stop(not early):
            y = module.checkpoint(part, x, use_reentrant=False)
        del steps[:]
        y.sum().backward()
        assert len(steps) == (1 if early else 0)

    def test_different_the_second_time(self, torch, module):
        x, runs = leaf(torch, 1.0, 2.0), []

        def shorter(x):
            runs.append(x)
            return x.sin().exp() if len(runs) == 1 else x.sin()

        with pytest.raises(module.CheckpointError, match="A different number of tensors was saved"):
            module.checkpoint(shorter, x, use_reentrant=False).sum().backward()
        del runs[:]

        def smaller(x):
            runs.append(x)
            return x.sin().exp() if len(runs) == 1 else x[:1].sin().exp()

        with pytest.raises(module.CheckpointError, match=r"(?s)different metadata.*tensor at position 0"):
            module.checkpoint(smaller, x, use_reentrant=False).sum().backward()
        with pytest.raises(ValueError, match="determinism_check should be one of"):
            module.checkpoint(torch.sin, x, use_reentrant=False, determinism_check="strict")

    def test_contexts(self, torch, module):
        x, seen = leaf(torch, 1.0), []

        class Context:
            def __init__(self, name):
                self.name = name

            def __enter__(self):
                seen.append(self.name)

            def __exit__(self, *exc):
                pass

        y = module.checkpoint(
            lambda x: x.sin().exp(),
            x,
            use_reentrant=False,
            context_fn=lambda: (Context("forward"), Context("again")),
        )
        assert seen == ["forward"]
        y.sum().backward()
        assert seen == ["forward", "again"]


def test_sequential(torch, module, reentrant):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(5)), torch.nn.Tanh())
    x = torch.ones(2, 3, requires_grad=True)
    module.checkpoint_sequential(layers, 3, x, use_reentrant=reentrant).sum().backward()
    found = [x.grad.clone(), *(p.grad.clone() for p in layers.parameters())]
    x.grad = None
    layers.zero_grad()
    layers(x).sum().backward()
    for a, b in zip(found, [x.grad, *(p.grad for p in layers.parameters())], strict=True):
        assert torch.allclose(a, b)


def test_sequential_asks_for_the_mode(torch, module):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.checkpoint_sequential([torch.sin, torch.exp], 2, torch.ones(2, requires_grad=True))
    assert "checkpoint_sequential: the use_reentrant parameter" in str(caught[0].message)

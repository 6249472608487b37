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

    @pytest.mark.parametrize("early", [True, False])
    def test_backward_inside(self, torch, module, early):
        x = leaf(torch, 1.0, 2.0)

        def part(x):
            (g,) = torch.autograd.grad(x.sin().sum(), x, create_graph=True)
            return g * x

        module.checkpoint(part, x, use_reentrant=False, early_stop=early).sum().backward()
        assert torch.allclose(x.grad, x.cos() - x * x.sin())

    def test_thrice_nested(self, torch, module):
        x, runs = leaf(torch, 0.5, 1.0), []

        def nest(depth):
            def part(x):
                runs.append(depth)
                y = x.sin()
                return (module.checkpoint(nest(depth - 1), y, use_reentrant=False) if depth else y).exp()

            return part

        module.checkpoint(nest(2), x, use_reentrant=False).sum().backward()
        assert runs == [2, 1, 0, 2, 1, 0, 1, 0, 0]
        (expected,) = torch.autograd.grad(x.sin().sin().sin().exp().exp().exp().sum(), x)
        assert torch.allclose(x.grad, expected)

    def test_exception_the_second_time(self, torch, module):
        x, runs = leaf(torch, 1.0, 2.0), []

        def part(x):
            runs.append(1)
            if len(runs) == 2:
                raise ValueError("again")
            return x.exp()

        y = module.checkpoint(part, x, use_reentrant=False).sum()
        with pytest.raises(ValueError, match="again"):
            y.backward(retain_graph=True)
        assert torch.is_grad_enabled()
        y.backward()
        assert torch.allclose(x.grad, x.exp())

    def test_determinism_unchecked(self, torch, module):
        x, runs = leaf(torch, 1.0, 2.0), []

        def part(x):
            runs.append(1)
            return x.exp() if len(runs) == 1 else x.exp()[:1].exp()

        module.checkpoint(part, x, use_reentrant=False, determinism_check="none").sum().backward()
        assert len(runs) == 2

    @pytest.mark.parametrize("how", ["argument", "block"])
    def test_debug(self, module, torch, how):
        if torch.__name__ == "torch":
            pytest.skip("its own log takes seconds")
        x, runs = leaf(torch, 1.0, 2.0), []

        def part(x):
            runs.append(1)
            return x.sin().exp() if len(runs) == 1 else x.sin()

        with module.set_checkpoint_debug_enabled(True if how == "block" else None):
            y = module.checkpoint(part, x, use_reentrant=False, debug=how == "argument")
        with pytest.raises(module.CheckpointError) as caught:
            y.sum().backward()
        first, second = str(caught.value).split("The original forward ran:")[1].split("The recomputation ran:")
        assert [line.split("(")[0].strip() for line in first.strip().splitlines()] == ["aten.sin", "aten.exp"]
        assert [line.split("(")[0].strip() for line in second.strip().splitlines()] == ["aten.sin"]
        assert "test_checkpoint.py:" in second


class TestSelective:
    def part(self, x):
        return (x @ x).sin().exp() @ x

    def expected(self, torch, x):
        (g,) = torch.autograd.grad(self.part(x).sum(), x)
        return g

    @pytest.mark.parametrize("kept", [["mm"], ["sin", "exp"], ["mm", "sin", "exp"], []])
    def test_same_gradients(self, torch, module, kept):
        x = torch.arange(9.0).reshape(3, 3).div(9).requires_grad_()
        ops = [getattr(torch.ops.aten, name).default for name in kept]
        y = module.checkpoint(
            self.part, x, use_reentrant=False, context_fn=lambda: module.create_selective_checkpoint_contexts(ops)
        )
        y.sum().backward()
        assert torch.allclose(x.grad, self.expected(torch, x))

    def test_policy(self, torch, module):
        x, asked = torch.arange(9.0).reshape(3, 3).div(9).requires_grad_(), []
        policies = module.CheckpointPolicy

        def policy(ctx, op, *args, **kwargs):
            assert isinstance(ctx, module.SelectiveCheckpointContext)
            if not ctx.is_recompute:
                asked.append(str(op).removesuffix(".default"))
            return policies.MUST_SAVE if op == torch.ops.aten.mm.default else policies.PREFER_RECOMPUTE

        def contexts():
            return module.create_selective_checkpoint_contexts(policy)

        y = module.checkpoint(self.part, x, use_reentrant=False, context_fn=contexts).sum()
        assert asked == ["aten.mm", "aten.sin", "aten.exp", "aten.mm"]
        y.backward(retain_graph=True)
        assert torch.allclose(x.grad, self.expected(torch, x))
        with pytest.raises(RuntimeError, match="Trying to backward an extra time"):
            y.backward()

    def test_what_is_kept_is_not_computed_again(self):
        import gradcu as torch
        from gradcu.utils import checkpoint as module

        x = torch.ones(4, 4, requires_grad=True)

        def products(ops):
            y = module.checkpoint(
                lambda x: (x @ x).sin().exp(),
                x,
                use_reentrant=False,
                context_fn=lambda: module.create_selective_checkpoint_contexts(ops),
            )
            with torch.profiler.profile() as prof:
                y.sum().backward()
            return sum(e.name == "aten::mm" for e in prof.events())

        assert products([]) == 1
        assert products([torch.ops.aten.mm.default]) == 0

    def test_several_results(self):
        import gradcu as torch
        from gradcu.utils import checkpoint as module

        x = torch.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)

        def part(x):
            values, vectors = torch.linalg.eigh(x)
            return (values.exp() * vectors.sin()).exp()

        ops = [torch.ops.aten.linalg_eigh.default, torch.ops.aten.mul.Tensor, torch.ops.aten.stack.default]
        module.checkpoint(
            part, x, use_reentrant=False, context_fn=lambda: module.create_selective_checkpoint_contexts(ops)
        ).sum().backward()
        (g,) = torch.autograd.grad(part(x).sum(), x)
        assert torch.allclose(x.grad, g)

    def test_changed_results(self, torch, module):
        x = torch.ones(3, 3, requires_grad=True)

        def part(x):
            y = x @ x
            z = y.sin()
            y.add_(1)
            return z.exp()

        def run(**options):
            ops = [torch.ops.aten.mm.default]
            module.checkpoint(
                part,
                x,
                use_reentrant=False,
                context_fn=lambda: module.create_selective_checkpoint_contexts(ops, **options),
            ).sum().backward()

        with pytest.raises(RuntimeError, match="Tensor cached during selective activation checkpoint has been mutated"):
            run()

    def test_errors(self, torch, module):
        with pytest.raises(TypeError, match="must be either a function or a list of ops"):
            module.create_selective_checkpoint_contexts(3)
        with pytest.raises(ValueError, match="Expected op in `op_list` to be an"):
            module.create_selective_checkpoint_contexts([torch.sin])


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

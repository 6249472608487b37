"""What scripts do to a graph by accident or at scale: sizes, failures, backward within backward, odd memory."""

import gc
import os
import signal
import threading
import weakref

import pytest

inf, nan = float("inf"), float("nan")


def leaf(torch, *values):
    return torch.tensor(values, requires_grad=True)


class TestSizes:
    @pytest.mark.parametrize("join", ["stack", "cat", "hstack", "sum"])
    def test_thousands_of_inputs(self, torch, join):
        xs = [torch.ones(2, requires_grad=True) for _ in range(5000)]
        y = sum(xs) if join == "sum" else getattr(torch, join)(xs)
        (y * 3).sum().backward()
        assert all(x.grad.tolist() == [3.0, 3.0] for x in xs)

    def test_thousands_of_results(self, torch):
        x = torch.ones(5000, 2, requires_grad=True)
        sum(row * i for i, row in enumerate(x.unbind())).sum().backward()
        assert x.grad[:, 1].tolist() == list(range(5000))

    def test_thousands_of_uses(self, torch):
        x = leaf(torch, 1.0)
        y = x * 1
        torch.cat([y * 2.0 for _ in range(5000)]).sum().backward()
        assert x.grad.item() == 10000.0

    def test_exponentially_many_paths(self, torch):
        x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        y = x
        for _ in range(200):
            y = y + y
        y.backward(retain_graph=True)
        assert x.grad.item() == 2.0**200
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        assert g.item() == 2.0**200

    def test_long_chain_of_views_changed_in_place(self, torch):
        x = torch.ones(300, requires_grad=True)
        y = x * 1
        for i in range(300):
            y[i].mul_(i)
        y.sum().backward()
        assert x.grad.tolist() == list(range(300))

    def test_half_a_million_nodes_for_one_input(self, collector_off):
        import gradcu as torch

        x, w = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
        y = x
        for _ in range(500_000):
            y = y + w
        (g,) = torch.autograd.grad(y, w)
        assert g.item() == 500_000
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None


class TestBackwardWithinBackward:
    @pytest.mark.parametrize("depth", [100, 400])
    def test_deep(self, torch, depth):
        class Within(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, depth):
                ctx.depth = depth
                return x * 1

            @staticmethod
            def backward(ctx, g):
                if ctx.depth:
                    with torch.enable_grad():
                        x = torch.ones(1, requires_grad=True)
                        Within.apply(x, ctx.depth - 1).backward(g)
                    g = x.grad
                return g + 1, None

        x = torch.ones(1, requires_grad=True)
        Within.apply(x, depth).sum().backward()
        assert x.grad.item() == depth + 2

    def test_deep_failure_comes_out_once(self, torch):
        seen = []

        class Within(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, depth):
                ctx.depth = depth
                return x * 1

            @staticmethod
            def backward(ctx, g):
                if not ctx.depth:
                    seen.append(1)
                    raise ValueError("at the bottom")
                with torch.enable_grad():
                    Within.apply(torch.ones(1, requires_grad=True), ctx.depth - 1).backward()
                return g, None

        with torch.no_grad(), torch.enable_grad(), pytest.raises(ValueError, match="at the bottom"):
            Within.apply(torch.ones(1, requires_grad=True), 120).backward()
        assert seen == [1]
        assert torch.is_grad_enabled()

    def test_on_the_same_graph_from_a_hook(self, torch):
        x, runs = leaf(torch, 1.0, 2.0), []
        y = x * x
        loss = y.sum()

        def again(g):
            runs.append(1)
            if len(runs) < 3:
                loss.backward(retain_graph=True)

        y.register_hook(again)
        loss.backward(retain_graph=True)
        assert len(runs) == 3
        assert x.grad.tolist() == [6.0, 12.0]


class TestFailures:
    @pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
    @pytest.mark.parametrize("where", ["tensor", "before", "after", "leaf", "accumulated"])
    def test_in_a_hook(self, torch, kind, where):
        x = leaf(torch, 1.0, 2.0)
        y = x.exp()

        def fail(*_):
            raise kind("here")

        handle = {
            "tensor": y.register_hook,
            "before": y.grad_fn.register_prehook,
            "after": y.grad_fn.register_hook,
            "leaf": x.register_hook,
            "accumulated": x.register_post_accumulate_grad_hook,
        }[where](fail)
        loss = y.sum()
        with torch.no_grad():
            with pytest.raises(kind, match="here"):
                loss.backward(retain_graph=True)
            assert not torch.is_grad_enabled()
        handle.remove()
        x.grad = None
        y.sum().backward()
        assert torch.allclose(x.grad, y)

    def test_interrupted_under_forward_mode(self):
        import gradcu as torch
        from gradcu.autograd import forward_ad
        from gradcu.graph.modes import state

        x = leaf(torch, 1.0, 2.0)
        with forward_ad.dual_level() as level:
            y = forward_ad.make_dual(x, torch.ones(2)).exp()

            def stop(g):
                raise KeyboardInterrupt

            y.register_hook(stop)
            with pytest.raises(KeyboardInterrupt):
                torch.autograd.grad(y.sum(), x)
            assert state.level is level or state.level is not None
        assert state.level is None
        assert state.walk is None
        assert state.grad

    def test_failed_graph_is_freed(self, collector_off):
        import gradcu as torch

        class Fails(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * 2

            @staticmethod
            def backward(ctx, g):
                raise ValueError("in backward")

        x = leaf(torch, 1.0, 2.0)
        y = Fails.apply(x.exp()).tanh()
        node, value = weakref.ref(y.grad_fn), weakref.ref(y)
        with pytest.raises(ValueError, match="in backward") as caught:
            y.sum().backward()
        del y, caught
        assert node() is None
        assert value() is None

    def test_failing_steps_leave_nothing(self, collector_off):
        import gradcu as torch

        w = torch.ones(4, requires_grad=True)

        def step():
            y = (w * 2).tanh()
            y.register_hook(lambda g: g[:1])
            with pytest.raises(RuntimeError, match="hook"):
                (y * y).sum().backward()

        for i in range(200):
            step()
            if i == 20:
                before = len(gc.get_objects())
        assert len(gc.get_objects()) - before < 50


class TestThreads:
    def test_failure_in_one_does_not_touch_others(self, torch):
        x, errors = torch.ones(50, requires_grad=True), []

        def work(i):
            y = x * 2
            if i % 2:
                y.register_hook(lambda g: 1 / 0)
            try:
                for _ in range(20):
                    y.sum().backward(retain_graph=True)
            except ZeroDivisionError as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(errors) == 4
        assert (x.grad == 2.0 * 20 * 4).all()

    def test_many_leaves_of_disjoint_graphs(self, torch):
        found = [None] * 8

        def work(i):
            w = torch.full((30, 30), float(i), requires_grad=True)
            for _ in range(10):
                (w @ w).sum().backward()
            found[i] = (w.grad == 10 * 60.0 * i).all().item()

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert found == [True] * 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestFork:
    def trains(self):
        """Whether a forked child can train; it is killed if it hangs."""
        import gradcu as torch

        pid = os.fork()
        if not pid:
            signal.alarm(30)
            try:
                with torch.enable_grad():
                    x = torch.ones(600_000, requires_grad=True)
                    (torch.nn.functional.gelu(x) + x.exp()).sum().backward()
                    torch.optim.SGD([x], lr=0.1).step()
                os._exit(0 if x[0] < 1 else 1)
            except BaseException:
                os._exit(2)
        return os.waitpid(pid, 0)[1] == 0

    def test_after_kernels_have_run_in_several_threads(self):
        import gradcu as torch

        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            x = torch.ones(600_000, requires_grad=True)
            (torch.nn.functional.gelu(x) + x.exp()).sum().backward()
            assert self.trains()
        finally:
            torch.set_num_threads(before)

    def test_within_a_backward(self):
        import gradcu as torch

        x, found = torch.ones(3, requires_grad=True), []
        y = x * 2
        y.register_hook(lambda g: found.append(self.trains()))
        y.sum().backward()
        assert found == [True]
        assert x.grad.tolist() == [2.0] * 3

    def test_while_another_thread_adds_to_a_leaf(self):
        from gradcu.graph import engine

        with engine._adding:
            assert self.trains()


class TestOddMemory:
    @pytest.mark.parametrize(
        "view",
        [
            lambda x: x.unfold(0, 3, 1),
            lambda x: x.reshape(2, 3).unfold(1, 2, 1).unfold(0, 2, 1),
            lambda x: x.as_strided((4, 2), (1, 1)),
            lambda x: x.as_strided((2, 3), (0, 2), 1),
            lambda x: x.expand(4, 6),
            lambda x: x.reshape(6, 1).expand(6, 3).t(),
            lambda x: x.expand(4, 6).as_strided((6,), (1,), 0),
            lambda x: x.unfold(0, 3, 1).as_strided((4, 3), (1, 1), 0),
            lambda x: x.unfold(0, 3, 1).as_strided((2, 3), (1, 1), 1),
            lambda x: x.reshape(2, 3).diagonal().as_strided((3,), (2,), 0),
            lambda x: x.reshape(2, 3).diagonal().as_strided((2,), (4,), 0),
        ],
    )
    def test_gradient_of_overlapping_views(self, original, view):
        import gradcu

        def run(torch):
            x = torch.arange(6.0, requires_grad=True)
            y = view(x)
            (g,) = torch.autograd.grad((y * y * y).sum(), x, create_graph=True)
            (h,) = torch.autograd.grad((g * g).sum(), x)
            return y.tolist(), g.tolist(), h.tolist()

        assert str(run(gradcu)) == str(run(original))

    def test_views_of_odd_memory_share_it(self, torch):
        x = torch.arange(6.0)
        y = x.unfold(0, 3, 1).as_strided((2,), (1,), 4)
        assert y.tolist() == [4.0, 5.0]
        y.fill_(7.0)
        assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 7.0, 7.0]
        assert x.reshape(2, 3).diagonal()[1:].storage_offset() == 4

    @pytest.mark.parametrize(
        "change",
        [
            lambda y: y[1:].as_strided((2,), (1,), 0).mul_(10),
            lambda y: y[3:].as_strided((4,), (1,), 0).mul_(10),
            lambda y: y.reshape(2, 3).t().as_strided((3,), (1,), 1)[1:].mul_(5),
            lambda y: y[4:].as_strided((2, 2), (2, 1), 0).copy_((y * 3)[:2]),
            lambda y: y.view(2, 3)[1].as_strided((2,), (3,), 0).zero_(),
            lambda y: y.unfold(0, 2, 2).mul_(3),
            lambda y: y[1:].as_strided((2,), (1,), 0).__setitem__(0, y[5]),
        ],
    )
    def test_in_place_through_as_strided(self, original, change):
        import gradcu

        def run(torch):
            x = torch.arange(6.0, requires_grad=True)
            y = x * 1
            change(y)
            (first,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
            (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
            (h,) = torch.autograd.grad((g * g).sum(), x)
            return y.tolist(), first.tolist(), g.tolist(), h.tolist()

        assert run(gradcu) == run(original)

    def test_view_reaching_beyond_a_view_follows_its_base(self, torch):
        x = torch.arange(6.0, requires_grad=True)
        y = x * 1
        z = y[3:].as_strided((4,), (1,), 0)
        y.mul_(3)
        (z * z).sum().backward()
        assert x.grad.tolist() == [0.0, 18.0, 36.0, 54.0, 0.0, 0.0]

    def test_recorded_change_through_a_reshape(self, torch):
        """The gradient that comes in is laid out otherwise than the base."""
        x, w = torch.arange(6.0).reshape(2, 3).requires_grad_(), torch.arange(6.0).reshape(3, 2)
        y = x * 1
        y.view(6)[1:3].mul_(10)
        (g,) = torch.autograd.grad((y.t() ** 2 * w).sum(), x, create_graph=True)
        assert g.tolist() == [[0.0, 400.0, 1600.0], [6.0, 24.0, 50.0]]

    def test_base_with_an_offset(self):
        import numpy as np

        import gradcu as torch

        memory = np.arange(12.0)
        x = torch.ones(6, dtype=torch.float64, requires_grad=True)
        y = torch.from_numpy(memory[4:10])
        y.mul_(x)
        y[4:].as_strided((2,), (1,), 4).mul_(10)
        y.sum().backward()
        assert x.grad.tolist() == [40.0, 50.0, 6.0, 7.0, 8.0, 9.0]


class TestEdges:
    @pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "norm"])
    @pytest.mark.parametrize("values", [[], [1.0, nan, inf], 2.0])
    @pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
    def test_reductions(self, original, name, values):
        import gradcu

        def run(torch):
            x = torch.tensor(values, requires_grad=True)
            y = getattr(torch, name)(x)
            y.backward()
            return str(y.tolist()), str(x.grad.tolist())

        assert run(gradcu) == run(original)

    @pytest.mark.parametrize(
        "call",
        [
            lambda torch: torch.tensor([1, 2], requires_grad=True),
            lambda torch: torch.arange(3).requires_grad_(),
            lambda torch: setattr(torch.arange(3), "requires_grad", True),
            lambda torch: torch.nn.Parameter(torch.arange(3)),
            lambda torch: torch.zeros(2, dtype=torch.bool, requires_grad=True),
            lambda torch: torch.arange(3).sum().backward(),
            lambda torch: torch.autograd.grad(torch.ones(1, requires_grad=True).sum(), torch.arange(3)),
            lambda torch: torch.arange(3).mean(),
            lambda torch: setattr(torch.ones(2), "grad", torch.ones(3)),
            lambda torch: setattr(torch.ones(2), "grad", 3),
        ],
    )
    def test_refused(self, refused_alike, call):
        refused_alike(call)

    def test_gradients_of_a_dtype_of_their_own_are_refused(self, torch):
        with pytest.raises(RuntimeError, match="attempting to assign a gradient"):
            torch.ones(2).grad = torch.ones(2, dtype=torch.float64)

"""autograd.graph: edges, hooks on saved values and on several gradients, versions; threads."""

import gc
import importlib
import os
import threading
import weakref

import pytest


@pytest.fixture
def graph(torch):
    return importlib.import_module(f"{torch.__name__}.autograd.graph")


def leaf(torch, *values):
    return torch.tensor(values, requires_grad=True)


class TestEdges:
    def test_edge_of_leaf_and_result(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        y = x.exp()
        assert graph.get_gradient_edge(y).node is y.grad_fn
        assert graph.get_gradient_edge(x).node.variable is x
        assert isinstance(y.grad_fn, graph.Node)
        parts = x.unbind()
        assert graph.get_gradient_edge(parts[1]).output_nr == 1
        with pytest.raises(RuntimeError, match="does not require gradients"):
            graph.get_gradient_edge(torch.ones(2))

    def test_in_place_of_tensors(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        y = x * 3
        out, to = graph.get_gradient_edge(y), graph.get_gradient_edge(x)
        v = torch.tensor([1.0, 2.0])
        assert torch.autograd.grad(out, to, v, retain_graph=True)[0].tolist() == [3.0, 6.0]
        assert [g.tolist() for g in torch.autograd.grad([out], [to, x], v, retain_graph=True)] == [[3.0, 6.0]] * 2
        torch.autograd.backward(out, v, inputs=[to], retain_graph=True)
        assert x.grad.tolist() == [3.0, 6.0]
        torch.autograd.backward([out, y], [v, v])
        assert x.grad.tolist() == [9.0, 18.0]

    def test_one_of_several_results(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        edge = graph.get_gradient_edge((x * 2).unbind()[1])
        assert torch.autograd.grad(edge, x, torch.tensor(1.0))[0].tolist() == [0.0, 2.0]

    def test_gradient_of_one_is_implied(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        assert torch.autograd.grad(graph.get_gradient_edge((x * x).sum()), x)[0].tolist() == [2.0, 4.0]
        with pytest.raises(RuntimeError, match="only for scalar outputs"):
            torch.autograd.grad(graph.get_gradient_edge(x * x), x)

    def test_wrong_gradients(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        edge = graph.get_gradient_edge(x * 2)
        with pytest.raises(RuntimeError, match="Mismatch in shape"):
            torch.autograd.grad(edge, x, torch.ones(3))
        unused = graph.get_gradient_edge(leaf(torch, 1.0))
        with pytest.raises(RuntimeError, match="materialize_grads cannot be used"):
            torch.autograd.grad(edge, unused, torch.ones(2), materialize_grads=True)


class TestNamedInputs:
    """`inputs` as a dict, of a module's parameters say."""

    @pytest.mark.parametrize("batched", [False, True])
    def test_gradients_have_the_names(self, torch, batched):
        model = torch.nn.Linear(2, 1)
        named = dict(model.named_parameters())
        loss = model(torch.ones(3, 2)).sum()
        vectors = torch.tensor([1.0, 2.0]) if batched else None
        found = torch.autograd.grad(loss, named, vectors, is_grads_batched=batched)
        assert list(found) == ["weight", "bias"]
        assert found["bias"].tolist() == ([[3.0], [6.0]] if batched else [3.0])

    def test_backward_reaches_only_those(self, torch):
        model = torch.nn.Linear(2, 1)
        model(torch.ones(3, 2)).sum().backward(inputs={"bias": model.bias})
        assert model.bias.grad.tolist() == [3.0]
        assert model.weight.grad is None

    @pytest.mark.parametrize("nothing", [{}, []])
    def test_there_must_be_some(self, torch, nothing):
        x = torch.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError, match=r"`inputs` argument to `grad\(\)` cannot be empty"):
            torch.autograd.grad(x.sum(), nothing)

    def test_only_inputs_is_of_no_consequence(self, torch):
        x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
        assert torch.autograd.grad((x * y).sum(), x, None, True, False, True)[0].tolist() == [1.0, 1.0]
        with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
            torch.autograd.grad((x * y).sum(), x, only_inputs=False)
        assert y.grad is None


class TestSavedTensorHooks:
    def test_backward_uses_what_was_unpacked(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t + 1):
            y = x * x
        y.sum().backward()
        assert x.grad.tolist() == [6.0, 10.0]

    def test_packed_as_anything(self, torch, graph):
        x = leaf(torch, 0.5, 1.0)
        with graph.saved_tensors_hooks(lambda t: t.detach().tolist(), torch.tensor):
            y = (x.exp() * x.sin()).sum() + torch.stack([x, x]).prod()
        packed = torch.autograd.grad(y, x)[0]
        plain = torch.autograd.grad((x.exp() * x.sin()).sum() + torch.stack([x, x]).prod(), x)[0]
        assert torch.allclose(packed, plain)

    def test_higher_orders(self, torch, graph):
        x = leaf(torch, 0.5, 1.0)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x.exp() * x
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x)
        assert torch.allclose(h, x.exp() * (x + 2))

    def test_innermost_pair_acts(self, torch, graph):
        x, seen = leaf(torch, 1.0), []

        def pair(name):
            return graph.saved_tensors_hooks(lambda t: (seen.append(name), t)[1], lambda t: t)

        with pair("outer"):
            x.exp()
            with pair("inner"):
                x.exp()
            x.exp()
        x.exp()
        assert seen == ["outer", "inner", "outer"]

    def test_hooks_run_unrecorded_and_as_needed(self, torch, graph):
        x, seen = leaf(torch, 1.0), []
        with graph.saved_tensors_hooks(
            lambda t: (seen.append(torch.is_grad_enabled()), t)[1], lambda t: (seen.append("unpack"), t)[1]
        ):
            y = x.exp()
        assert seen == [False]
        y.backward()
        assert seen == [False, "unpack"]

    def test_saved_leaf_comes_back_as_leaf(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t):
            y = x.sin()
        saved = y.grad_fn._saved_self
        assert saved.is_leaf
        assert saved.requires_grad
        saved.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]

    def test_functions_of_ones_own(self, torch, graph):
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x, None)
                return x * x

            @staticmethod
            def backward(ctx, g):
                return 2 * g * ctx.saved_tensors[0]

        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t + 1, lambda t: t):
            y = Square.apply(x)
        assert y.grad_fn.saved_tensors[1] is None
        y.sum().backward()
        assert x.grad.tolist() == [4.0, 6.0]

    def test_changes_in_place_are_not_noticed(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        y = x * 1
        with graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
            z = y * y
            w = y.exp()
        with torch.no_grad():
            y.zero_()
            w.zero_()
        (z + w).sum().backward()
        assert torch.allclose(x.grad, 2 * x + x.exp())

    def test_inplace_operations_inside(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x * 1
            y.sin_()
            y.exp_()
        y.sum().backward()
        assert torch.allclose(x.grad, x.sin().exp() * x.cos())

    def test_errors(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
            y = x.exp()
        with pytest.raises(TypeError, match="unpack_hook expected to be a Tensor but got result of type int"):
            y.sum().backward()
        with (
            graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
            pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
        ):
            x.exp()
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x.exp()
        y.sum().backward()
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            y.sum().backward()

    def test_disabled(self, torch, graph):
        hooks = graph.saved_tensors_hooks(lambda t: t, lambda t: t)
        with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"), hooks:
            pass
        with hooks, pytest.raises(RuntimeError, match="not now"), graph.disable_saved_tensors_hooks("not now"):
            pass

    def test_set_afterwards(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        y = x.exp()
        raw = y.grad_fn._raw_saved_result
        raw.register_hooks(lambda t: t * 0, lambda t: t + 3)
        assert y.grad_fn._saved_result.tolist() == [3.0, 3.0]
        with pytest.raises(RuntimeError, match="hooks have already been set"):
            raw.register_hooks(lambda t: t, lambda t: t)
        y.sum().backward()
        assert x.grad.tolist() == [3.0, 3.0]
        with pytest.raises(RuntimeError, match="after it has been freed"):
            raw.register_hooks(lambda t: t, lambda t: t)

    def test_one_of_two_set_afterwards(self, torch, graph):
        x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        a, b = x * 1, y * 1
        z = a * b
        z.grad_fn._raw_saved_self.register_hooks(lambda t: t.clone(), lambda t: t)
        with torch.no_grad():
            a.zero_()
        z.sum().backward(retain_graph=True)
        assert y.grad.tolist() == [1.0, 2.0]
        with torch.no_grad():
            b.zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()

    def test_save_on_cpu(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.save_on_cpu():
            y = (x * x).exp()
        y.sum().backward()
        assert torch.allclose(x.grad, 2 * x * (x * x).exp())

    def test_hooks_are_of_one_thread(self, torch, graph):
        x, seen = leaf(torch, 1.0), []
        with graph.saved_tensors_hooks(lambda t: (seen.append(t), t)[1], lambda t: t):
            thread = threading.Thread(target=x.exp)
            thread.start()
            thread.join()
        assert seen == []

    def test_no_cycle(self, torch, graph, collector_off):
        if torch.__name__ == "torch":
            pytest.skip("PyTorch gives pack hooks the result itself")
        x = leaf(torch, 1.0, 2.0)
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            y = x.exp() * x
        alive = weakref.ref(y.grad_fn)
        del y
        assert alive() is None
        assert gc.collect() == 0


class TestMutation:
    def test_saved_tensors_may_change(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.allow_mutation_on_saved_tensors():
            y = x.clone()
            z = y**2
            y.sin_()
            z.sum().backward()
        assert x.grad.tolist() == [2.0, 4.0]

    def test_backward_belongs_inside(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        with graph.allow_mutation_on_saved_tensors() as context:
            y = x**2
            context.clear()
            with pytest.raises(AssertionError, match="originally recorded"):
                y.sum().backward()
            with pytest.raises(RuntimeError, match="cannot be nested"), graph.allow_mutation_on_saved_tensors():
                pass

    def test_increment_version(self, torch, graph):
        x = leaf(torch, 1.0, 2.0)
        y = x * 1
        z = y * y
        graph.increment_version(y)
        assert y._version == 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()
        graph.increment_version([y, x])
        assert (x._version, y._version) == (1, 2)
        with pytest.raises(RuntimeError, match="expect a Iterable"):
            graph.increment_version(3)


class TestMultiGradHooks:
    def test_all(self, torch, graph):
        x, y, seen = leaf(torch, 1.0), leaf(torch, 2.0), []
        z = x * y
        handle = graph.register_multi_grad_hook((x, z, y), seen.append)
        z.sum().backward(retain_graph=True)
        assert [[g.item() for g in grads] for grads in seen] == [[2.0, 1.0, 1.0]]
        (z * 2).sum().backward(retain_graph=True)
        assert len(seen) == 2
        handle.remove()
        z.sum().backward()
        assert len(seen) == 2

    def test_all_of_those_reached(self, torch, graph):
        x, y, seen = leaf(torch, 1.0), leaf(torch, 2.0), []
        graph.register_multi_grad_hook((x, y), seen.append)
        (x * 2).sum().backward()
        assert seen[0][0].item() == 2.0
        assert seen[0][1] is None
        (y * 3).sum().backward()
        assert seen[1][0] is None
        assert seen[1][1].item() == 3.0

    def test_any(self, torch, graph):
        x, y, seen = leaf(torch, 1.0), leaf(torch, 2.0), []
        graph.register_multi_grad_hook((x, y), seen.append, mode="any")
        for count in (1, 2):
            (x * y).sum().backward()
            assert len(seen) == count

    def test_errors(self, torch, graph):
        x = leaf(torch, 1.0)
        with pytest.raises(ValueError, match="Expects mode to be one of"):
            graph.register_multi_grad_hook((x,), print, mode="some")
        with pytest.raises(AssertionError, match="Expected gradient function to be set"):
            graph.register_multi_grad_hook((x, torch.ones(2)), print)


class TestFailures:
    def test_a_failing_hook_leaves_the_graph_usable(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x.exp()

        def fail(g):
            raise ValueError("in a hook")

        handle = y.register_hook(fail)
        with pytest.raises(ValueError, match="in a hook"):
            y.sum().backward(retain_graph=True)
        assert x.grad is None
        assert torch.is_grad_enabled()
        handle.remove()
        y.sum().backward()
        assert torch.allclose(x.grad, x.exp())

    def test_backward_within_backward(self, torch):
        class Inner(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, g):
                with torch.enable_grad():
                    x = ctx.saved_tensors[0].detach().requires_grad_()
                    (x**3).sum().backward()
                return g * x.grad

        x = leaf(torch, 1.0, 2.0)
        Inner.apply(Inner.apply(x)).sum().backward()
        assert x.grad.tolist() == [9.0, 9 * 2.0**8]

    def test_sums_are_kept_apart_when_recorded(self, torch):
        x = leaf(torch, 1.0, 2.0)
        (g,) = torch.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
        assert g.requires_grad
        (h,) = torch.autograd.grad(g.sum(), x)
        assert torch.allclose(h, x.exp() * (x + 2))


class TestThreads:
    def run(self, *functions):
        errors = []

        def guarded(function):
            try:
                function()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert errors == []

    @pytest.mark.parametrize("size", [3, 20_000])
    def test_shared_leaf(self, torch, size):
        x = torch.ones(size, requires_grad=True)
        rounds = 50

        def work():
            for _ in range(rounds):
                (x * 2 + x).sum().backward()

        self.run(*[work] * 8)
        assert (x.grad == 3.0 * rounds * 8).all()

    def test_shared_graph(self, torch):
        x = torch.ones(100, requires_grad=True)
        y = (x.exp() * x).sum()
        self.run(*[lambda: y.backward(retain_graph=True)] * 8)
        assert torch.allclose(x.grad, 8 * 2 * x.exp())

    def test_hooks_run_once_each(self, torch):
        x, seen = torch.ones(3, requires_grad=True), []
        x.register_hook(seen.append)
        self.run(*[lambda: (x * 2).sum().backward()] * 8)
        assert len(seen) == 8
        assert x.grad.tolist() == [16.0] * 3

    def test_modes_are_of_one_thread(self, torch):
        found = []
        with torch.no_grad():
            self.run(lambda: found.append(torch.is_grad_enabled()))
        assert found == [True]

    def test_set_multithreading_enabled(self, torch):
        x = leaf(torch, 2.0)
        with torch.autograd.set_multithreading_enabled(False):
            (x * x).backward(torch.ones(1))
        assert x.grad.tolist() == [4.0]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    def test_fork(self):
        torch = pytest.importorskip("gradcu")
        x = torch.ones(3, requires_grad=True)
        (x * x).sum().backward()
        pid = os.fork()
        if not pid:
            (x * x).sum().backward()
            os._exit(0 if x.grad.tolist() == [4.0] * 3 else 1)
        assert os.waitpid(pid, 0)[1] == 0


class TestBatchedGradients:
    def test_one_backward_for_each(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x**2
        v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        (g,) = torch.autograd.grad(y, x, v, is_grads_batched=True)
        assert g.tolist() == [[2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]


class TestHookOrder:
    def events(self, torch, x, y):
        """What happens on backward from `(3 * y).sum()` to `y`, hooked in every way."""
        log = []
        node = (y * 1).grad_fn.next_functions[0][0]
        node.register_hook(lambda *args: log.append("after the node"))
        node.register_prehook(lambda grads: log.append("before the node"))
        y.register_hook(lambda g: log.append("tensor"))
        y.register_hook(lambda g: (log.append("tensor, later"), 2 * g)[1])
        if y.is_leaf:
            y.register_post_accumulate_grad_hook(lambda t: log.append(f"accumulated {t.grad.tolist()}"))
        else:
            y.retain_grad()
        (3 * y).sum().backward()
        return log

    def test_on_a_result(self, torch):
        x = leaf(torch, 1.0)
        y = x * 5
        assert self.events(torch, x, y) == ["tensor", "tensor, later", "before the node", "after the node"]
        assert y.grad.tolist() == [6.0]  # after both hooks

    def test_on_a_leaf(self, torch):
        x = leaf(torch, 1.0)
        wanted = ["tensor", "tensor, later", "before the node", "accumulated [6.0]", "after the node"]
        assert self.events(torch, x, x) == wanted

    def test_removed_while_running(self, torch):
        x, log, handles = leaf(torch, 1.0), [], []

        def first(g):
            log.append("first")
            handles[1].remove()

        handles += [x.register_hook(first), x.register_hook(lambda g: log.append("second"))]
        for _ in range(2):
            (x * 1).backward()
        assert log == ["first", "second", "first"]

    def test_added_while_running(self, torch):
        x, log = leaf(torch, 1.0), []
        x.register_hook(lambda g: (log.append("first"), x.register_hook(lambda g: log.append("added")))[0])
        (x * 1).backward()
        assert log == ["first"]

    def test_of_a_changed_tensor(self, torch):
        """A hook belongs to the value that the tensor had; `retain_grad` to the tensor."""
        y, log = leaf(torch, 1.0) * 2, []
        y.retain_grad()
        y.register_hook(lambda g: log.append(("old", g.item())))
        y.mul_(3)
        y.register_hook(lambda g: log.append(("new", g.item())))
        y.backward()
        assert log == [("new", 1.0), ("old", 3.0)]
        assert y.grad.item() == 1.0

    def test_retained_by_a_view_of_what_is_changed(self, torch):
        y = leaf(torch, 1.0, 2.0) * 2
        part = y[0]
        part.retain_grad()
        y.mul_(3)
        (y.sum() + 5 * part).backward()
        assert part.grad.item() == 5.0


class TestWhatHooksReturn:
    @pytest.mark.parametrize(
        ("returned", "error"),
        [
            (lambda torch: 3, TypeError),
            (lambda torch: torch.ones(1, dtype=torch.float64), RuntimeError),
            (lambda torch: torch.ones(2, dtype=torch.float32), RuntimeError),
        ],
        ids=["number", "shape", "dtype"],
    )
    @pytest.mark.parametrize("where", ["tensor", "node", "after"])
    def test_no_gradient(self, torch, returned, error, where):
        y = torch.ones(2, dtype=torch.float64, requires_grad=True).exp()
        if where == "tensor":
            y.register_hook(lambda g: returned(torch))
        elif where == "node":
            y.grad_fn.register_prehook(lambda grads: (returned(torch),))
        else:
            y.grad_fn.register_hook(lambda inputs, outputs: (returned(torch),))
        with pytest.raises(error, match=r"hook .*(returned|changed the (size|type) of value)"):
            y.sum().backward()

    def test_no_tuple(self, torch):
        y = leaf(torch, 1.0).exp()
        y.grad_fn.register_hook(lambda inputs, outputs: inputs[0])
        with pytest.raises(TypeError, match="expected tuple, but hook returned 'Tensor'"):
            y.backward()

    def test_none_stops_the_gradient(self, torch):
        x = leaf(torch, 1.0)
        y = x * 2
        y.grad_fn.register_hook(lambda inputs, outputs: (None, None))
        y.backward()
        assert x.grad is None


class TestSavedValues:
    def test_kept_as_it_is(self, torch):
        x = leaf(torch, 2.0)
        saved = (x**2).grad_fn._raw_saved_self
        assert saved.unpack_hook is None
        assert saved.data.item() == saved.unpack().item() == 2.0

    def test_kept_by_hooks(self, torch, graph):
        def unpack(t):
            return t / 10

        with graph.saved_tensors_hooks(lambda t: t * 10, unpack):
            y = leaf(torch, 2.0) ** 2
        saved = y.grad_fn._raw_saved_self
        assert saved.unpack_hook is unpack
        assert saved.data.item() == 20.0
        assert saved.unpack().item() == y.grad_fn._saved_self.item() == 2.0

    def test_gone(self, torch):
        y = leaf(torch, 2.0).exp()
        saved = y.grad_fn._raw_saved_result
        y.backward()
        with pytest.raises(RuntimeError, match="already been freed"):
            saved.unpack()


class TestGradOfALeaf:
    def test_dtype(self, torch):
        x = leaf(torch, 1.0, 2.0)
        assert x.grad_dtype is torch.float32
        x.grad_dtype = torch.float64
        seen = []
        x.register_hook(lambda g: seen.append(g.dtype))
        for _ in range(2):
            (x * 2).sum().backward()
        assert (x.grad.dtype, x.grad.tolist(), seen) == (torch.float64, [4.0, 4.0], [torch.float64] * 2)
        (g,) = torch.autograd.grad((x * 2).sum(), x)
        assert g.dtype is torch.float64

    def test_any_dtype(self, torch):
        x = leaf(torch, 1.0)
        x.grad_dtype = None
        x.grad = torch.ones(1, dtype=torch.float16)
        with pytest.raises(RuntimeError, match="there is already a gradient with dtype"):
            x.grad_dtype = torch.float32

    def test_wrong_dtype(self, torch):
        x = leaf(torch, 1.0)
        with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype"):
            x.grad = torch.ones(1, dtype=torch.float64)
        x.grad_dtype = torch.float64
        x.grad = torch.ones(1, dtype=torch.float64)
        with pytest.raises(RuntimeError, match="grad_dtype must be"):
            x.grad_dtype = 3

    def test_dtype_of_a_result(self, torch):
        y = leaf(torch, 1.0) * 2
        with pytest.raises(RuntimeError, match="grad_dtype can only be accessed on leaf tensors"):
            _ = y.grad_dtype
        with pytest.raises(RuntimeError, match="grad_dtype can only be set on leaf tensors"):
            y.grad_dtype = torch.float64

    def test_is_added_to_in_place(self, torch):
        x = leaf(torch, 1.0)
        (x.grad,) = torch.autograd.grad(x**2, x, create_graph=True)
        before = x.grad
        (x * 3).backward()
        assert x.grad is before
        assert x.grad.item() == 5.0
        assert x.grad.requires_grad

    def test_added_to_a_value_that_backward_needs(self, torch):
        x = leaf(torch, 1.0)
        x.grad = leaf(torch, 1.0).exp()
        y = x.grad.sum()
        (x * 3).backward()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()


class TestVersions:
    def test_preserved(self, torch):
        x = torch.ones(2)
        with torch.autograd._unsafe_preserve_version_counter(x):
            x.mul_(2)
        with torch.autograd._unsafe_preserve_version_counter((x,)):
            x.mul_(2)
        assert x._version == 0

    def test_of_set_(self, torch):
        x, other = torch.ones(2), torch.zeros(3)
        y = x * leaf(torch, 1.0, 2.0)
        x.set_(other)
        assert (x.tolist(), x._version, other._version) == ([0.0, 0.0, 0.0], 1, 0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()

    def test_set_to_what_requires_grad(self, torch):
        x = torch.ones(2).set_(leaf(torch, 1.0))
        assert x.requires_grad
        with pytest.raises(RuntimeError, match=r"derivative for .*set_"):
            x.sum().backward()
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            leaf(torch, 1.0).set_(torch.ones(1))

    def test_of_resize_(self, torch):
        x = torch.ones(2)
        x.resize_(2)
        assert x._version == 0
        x.resize_(3)
        assert x._version == 1
        with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
            leaf(torch, 1.0).resize_as_(x)


class TestInferenceMode:
    def test_views_of_normal_tensors(self, torch):
        x = leaf(torch, 1.0, 2.0) * 1
        with torch.inference_mode():
            part = x[:1]
            assert not part.is_inference()
            part.mul_(2)
        assert (x.tolist(), x._version) == ([2.0, 2.0], 1)
        with pytest.raises(RuntimeError, match="A view was created in inference mode and is being modified inplace"):
            part.mul_(2)

    def test_data(self, torch):
        x = torch.ones(2)
        with torch.inference_mode():
            assert not x.data.is_inference()
            assert (x * 2).data.is_inference()


def test_a_dict_of_hooks_on_a_node(torch):
    x, seen = torch.ones(2, requires_grad=True), []
    y = x * 2
    y._backward_hooks = {0: lambda g: seen.append(g.tolist()), 1: lambda g: g * 3}
    y.grad_fn._register_hook_dict(y)
    y.sum().backward()
    assert seen == [[1.0, 1.0]]
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(TypeError, match="expected a variable"):
        y.grad_fn._register_hook_dict({})

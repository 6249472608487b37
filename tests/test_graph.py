"""The graph layer: nodes, edges, hooks, backward and grad, versions."""

import gc
import warnings
import weakref

import pytest


def leaf(torch, *values):
    return torch.tensor(values, requires_grad=True)


class TestNodes:
    def test_names_and_edges(self, torch):
        x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        z = (x * y + x).sum()
        assert z.grad_fn.name() == "SumBackward0"
        add = z.grad_fn.next_functions[0][0]
        assert add.name() == "AddBackward0"
        assert [f.name().rpartition("::")[2] for f, _ in add.next_functions] == [
            "MulBackward0",
            "AccumulateGrad",
        ]
        assert add.next_functions[1][0].variable is x
        assert [f.variable is v for (f, _), v in zip(add.next_functions[0][0].next_functions, (x, y), strict=True)] == [
            True,
            True,
        ]

    def test_accumulate_grad_is_one_object(self, torch):
        x = leaf(torch, 1.0)
        a, b = (x * 2).grad_fn.next_functions[0][0], (x * 3).grad_fn.next_functions[0][0]
        assert a is b

    def test_saved_values(self, torch):
        x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        node = (x * y).grad_fn
        assert node._saved_self.tolist() == [1.0, 2.0]
        assert node._saved_other.tolist() == [3.0, 4.0]
        assert x.exp().grad_fn._saved_result.tolist() == x.exp().tolist()
        with pytest.raises(AttributeError):
            _ = node._saved_nonsense

    def test_saved_values_have_pytorchs_names(self, torch):
        x, m = leaf(torch, 1.0, 2.0), torch.ones(2, 2)
        assert (x**3).grad_fn._saved_exponent == 3
        assert torch.mv(m, x).grad_fn._saved_self.tolist() == m.tolist()
        assert torch.clamp(x, 0.5, 3.0).grad_fn._saved_max == 3.0
        assert tuple(x.sum().grad_fn._saved_self_sym_sizes) == (2,)
        assert torch.nn.functional.leaky_relu(x, 0.2).grad_fn._saved_negative_slope == 0.2

    def test_saved_values_are_gone_after_backward(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x.exp()
        y.sum().backward()
        with pytest.raises(RuntimeError, match=r"already been freed|after they have already"):
            _ = y.grad_fn._saved_result

    def test_metadata_is_the_users(self, torch):
        node = (leaf(torch, 1.0) * 2).grad_fn
        node.metadata["note"] = 7
        assert node.metadata == {"note": 7}

    def test_calling_a_node(self, torch):
        x, y = leaf(torch, 2.0), leaf(torch, 5.0)
        gx, gy = (x * y).grad_fn(torch.tensor([1.0]))
        assert (gx.item(), gy.item()) == (5.0, 2.0)


class TestBackward:
    def test_accumulates(self, torch):
        x = leaf(torch, 1.0, 2.0)
        (x * x).sum().backward()
        (x * 3).sum().backward()
        assert x.grad.tolist() == [5.0, 7.0]

    def test_gradient_is_not_shared_with_what_came_in(self, torch):
        x, y = leaf(torch, 1.0, 1.0), leaf(torch, 1.0, 1.0)
        g = torch.tensor([1.0, 2.0])
        (x + y).backward(g)
        x.grad.mul_(10)
        assert y.grad.tolist() == [1.0, 2.0]
        assert g.tolist() == [1.0, 2.0]

    def test_diamond_runs_each_node_once(self, torch):
        x = leaf(torch, 1.0)
        y = x
        for _ in range(60):
            y = y + y
        y.backward()
        assert x.grad.item() == 2.0**60

    def test_broadcast_gradients_have_the_inputs_shape(self, torch):
        x, y = torch.ones(3, 1, requires_grad=True), torch.ones(2, 1, 4, requires_grad=True)
        (x * y).sum().backward()
        assert x.grad.shape == (3, 1)
        assert y.grad.shape == (2, 1, 4)
        assert (x.grad == 8).all()
        assert (y.grad == 3).all()

    def test_freed_graph(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = (x * x).sum()
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            y.backward()

    def test_graph_that_saved_nothing_can_be_walked_again(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = (x + x).sum()
        y.backward()
        y.backward()
        assert x.grad.tolist() == [4.0, 4.0]

    def test_several_roots(self, torch):
        x = leaf(torch, 1.0, 2.0)
        torch.autograd.backward([x * 2, (x * x).sum()], [torch.ones(2), None])
        assert x.grad.tolist() == [4.0, 6.0]

    def test_inputs_limits_where_it_goes(self, torch):
        x, y = leaf(torch, 2.0), leaf(torch, 3.0)
        (x * y).backward(torch.ones(1), inputs=[x])
        assert x.grad.item() == 3.0
        assert y.grad is None
        with pytest.raises(RuntimeError, match="cannot be empty"):
            (x * y).sum().backward(inputs=[])

    @pytest.mark.parametrize("shape", [(3,), (2, 2), ()])
    def test_gradient_of_another_shape(self, torch, shape):
        with pytest.raises(RuntimeError, match=r"[Mm]ismatch in shape"):
            (leaf(torch, 1.0, 2.0) * 2).backward(torch.ones(shape))

    def test_not_scalar(self, torch):
        with pytest.raises(RuntimeError, match="implicitly created only for scalar outputs"):
            (leaf(torch, 1.0, 2.0) * 2).backward()

    def test_nothing_requires_grad(self, torch):
        with pytest.raises(
            RuntimeError, match="element 0 of tensors does not require grad and does not have a grad_fn"
        ):
            torch.ones(1).backward()

    def test_non_tensor_gradient(self, torch):
        with pytest.raises((TypeError, RuntimeError)):
            (leaf(torch, 1.0) * 2).backward(3.0)

    @pytest.mark.filterwarnings("ignore:Using backward")
    def test_create_graph_makes_a_differentiable_gradient(self, torch):
        x = leaf(torch, 2.0)
        (x**3).sum().backward(create_graph=True)
        assert x.grad.requires_grad
        (g2,) = torch.autograd.grad(x.grad.sum(), x)
        assert g2.item() == 12.0


class TestGrad:
    def test_leaves_grad_alone(self, torch):
        x, y = leaf(torch, 2.0), leaf(torch, 3.0)
        gx, gy = torch.autograd.grad((x * x * y).sum(), [x, y])
        assert (gx.item(), gy.item(), x.grad, y.grad) == (12.0, 4.0, None, None)

    def test_by_an_intermediate(self, torch):
        x = leaf(torch, 2.0)
        y = x * 3
        z = y * y
        gy, gx = torch.autograd.grad(z.sum(), [y, x])
        assert (gy.item(), gx.item()) == (12.0, 36.0)

    def test_unused(self, torch):
        x, y = leaf(torch, 2.0), leaf(torch, 3.0, 4.0)
        with pytest.raises(RuntimeError, match="not have been used in the graph"):
            torch.autograd.grad((x * 2).sum(), [x, y])
        gx, gy = torch.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)
        assert gx.item() == 2.0
        assert gy is None
        gx, gy = torch.autograd.grad((x * 2).sum(), [x, y], materialize_grads=True)
        assert gy.tolist() == [0.0, 0.0]

    def test_input_that_needs_none(self, torch):
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.grad(leaf(torch, 1.0).sum(), torch.ones(1))

    @pytest.mark.parametrize("create", [False, True])
    def test_what_nothing_asked_for_is_not_computed(self, torch, create):
        x, w, seen = torch.ones(2, 3, requires_grad=True), torch.ones(3, 4, requires_grad=True), []
        y = x @ w
        y.grad_fn.register_hook(lambda inputs, outputs: seen.append([g is not None for g in inputs]))
        torch.autograd.grad(y.sum(), x, retain_graph=True, create_graph=create)
        torch.autograd.grad(y.sum(), w, retain_graph=True, create_graph=create)
        y.sum().backward()
        assert seen == [[True, False], [False, True], [True, True]]

    def test_orders(self, torch):
        x = torch.tensor(1.3, requires_grad=True, dtype=torch.float64)
        y = torch.sin(x * x)
        values = []
        for _ in range(4):
            (y,) = torch.autograd.grad(y, x, create_graph=True)
            values.append(y.item())
        import math

        s, c, v = math.sin(1.69), math.cos(1.69), 1.3
        want = [
            2 * v * c,
            2 * c - 4 * v**2 * s,
            -12 * v * s - 8 * v**3 * c,
            -12 * s - 48 * v**2 * c + 16 * v**4 * s,
        ]
        assert values == pytest.approx(want, rel=1e-12)

    def test_cotangent_is_differentiable(self, torch):
        x, v = leaf(torch, 2.0), leaf(torch, 1.0)
        (g,) = torch.autograd.grad(x * x, x, v, create_graph=True)
        (gv,) = torch.autograd.grad(g, v)
        assert gv.item() == 4.0


class TestHooks:
    def test_order_on_a_result(self, torch):
        x = leaf(torch, 1.0)
        y = x * 2
        said = []
        y.register_hook(lambda g: said.append("first"))
        y.retain_grad()
        y.register_hook(lambda g: said.append("second") or g * 10)
        y.grad_fn.register_prehook(lambda gs: said.append("pre"))
        y.grad_fn.register_hook(lambda gi, go: said.append("post"))
        x.register_hook(lambda g: said.append("leaf"))
        y.sum().backward()
        assert said == ["first", "second", "pre", "post", "leaf"]
        assert y.grad.item() == 10.0
        assert x.grad.item() == 20.0

    def test_node_hook_replaces(self, torch):
        x = leaf(torch, 1.0)
        y = x * 2
        y.grad_fn.register_hook(lambda gi, go: (gi[0] * 100, None))
        y.sum().backward()
        assert x.grad.item() == 200.0

    def test_prehook_replaces(self, torch):
        x = leaf(torch, 1.0)
        y = x * 2
        y.grad_fn.register_prehook(lambda gs: (gs[0] * 3,))
        y.sum().backward()
        assert x.grad.item() == 6.0

    def test_removed(self, torch):
        x = leaf(torch, 1.0)
        with x.register_hook(lambda g: g * 5):
            (x * 1).sum().backward()
        (x * 1).sum().backward()
        assert x.grad.item() == 6.0

    def test_post_accumulate(self, torch):
        x = leaf(torch, 1.0)
        seen = []

        def hook(t):
            seen.append(t.grad.item())
            t.grad = None

        x.register_post_accumulate_grad_hook(hook)
        (x * 2).sum().backward()
        assert seen == [2.0]
        assert x.grad is None
        with pytest.raises(RuntimeError, match="non-leaf"):
            (x * 2).register_post_accumulate_grad_hook(hook)

    def test_hook_on_a_constant(self, torch):
        with pytest.raises(RuntimeError, match="doesn't require gradient"):
            torch.ones(1).register_hook(print)

    def test_hook_that_changes_the_shape(self, torch):
        x = leaf(torch, 1.0)
        x.register_hook(lambda g: torch.ones(3))
        with pytest.raises(RuntimeError, match="size"):
            (x * 2).sum().backward()

    def test_leaf_hook_sees_the_sum_once(self, torch):
        x = leaf(torch, 1.0)
        seen = []
        x.register_hook(lambda g: seen.append(g.item()))
        (x * 2 + x * 3).sum().backward()
        assert seen == [5.0]

    def test_retain_grad_of_a_constant(self, torch):
        with pytest.raises(RuntimeError, match="requires_grad=False"):
            torch.ones(1).retain_grad()

    def test_hooks_run_for_autograd_grad(self, torch):
        x = leaf(torch, 1.0)
        y = x * 2
        y.register_hook(lambda g: g * 7)
        assert torch.autograd.grad(y.sum(), x)[0].item() == 14.0


class TestModes:
    def test_nesting(self, torch):
        x = leaf(torch, 1.0)
        with torch.no_grad():
            assert not (x * 2).requires_grad
            with torch.enable_grad():
                assert (x * 2).requires_grad
            with torch.set_grad_enabled(True):
                assert (x * 2).requires_grad
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled()

    def test_as_a_function(self, torch):
        torch.set_grad_enabled(False)
        try:
            assert not (leaf(torch, 1.0) * 2).requires_grad
        finally:
            torch.set_grad_enabled(True)

    def test_decorators(self, torch):
        x = leaf(torch, 1.0)

        @torch.no_grad()
        def plain():
            return (x * 2).requires_grad

        @torch.no_grad()
        def generator():
            yield (x * 2).requires_grad
            yield (x * 2).requires_grad

        @torch.inference_mode()
        def inference():
            return (x * 2).is_inference()

        assert plain() is False
        assert list(generator()) == [False, False]
        assert inference() is True
        steps = generator()
        next(steps)
        assert torch.is_grad_enabled()

    def test_decorated_generator_that_is_talked_to(self, torch):
        seen = []

        @torch.no_grad()
        def generator():
            try:
                got = yield torch.is_grad_enabled()
                try:
                    yield got, torch.is_grad_enabled()
                except ValueError:
                    yield "caught", torch.is_grad_enabled()
            finally:
                seen.append(torch.is_grad_enabled())

        steps = generator()
        assert next(steps) is False
        assert steps.send(1) == (1, False)
        assert steps.throw(ValueError()) == ("caught", False)
        assert torch.is_grad_enabled()
        steps.close()
        assert seen == [False]
        assert torch.is_grad_enabled()

    def test_decorated_class(self, torch):
        with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

            @torch.no_grad()
            class Made:
                def __init__(self):
                    self.seen = torch.is_grad_enabled()

                def later(self):
                    return torch.is_grad_enabled()

        assert not Made().seen
        assert Made().later()

    def test_inference_mode_off_records(self, torch):
        x = leaf(torch, 1.0)
        with torch.no_grad(), torch.inference_mode(False):
            assert (x * 2).requires_grad
        with torch.inference_mode(), torch.inference_mode(False):
            assert (x * 2).requires_grad
        with torch.inference_mode(), torch.enable_grad():
            assert not (x * 2).requires_grad

    def test_restored_after_an_exception(self, torch):
        with pytest.raises(KeyError), torch.no_grad():
            raise KeyError
        assert torch.is_grad_enabled()

    def test_per_thread(self, torch):
        import threading

        seen = []
        with torch.no_grad():
            worker = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
            worker.start()
            worker.join()
        assert seen == [True]

    def test_inference_tensors(self, torch):
        x = leaf(torch, 1.0)
        with torch.inference_mode():
            y = torch.ones(1) * 2
            assert y.is_inference()
            assert not (x * 2).requires_grad
            y.add_(1)
        with pytest.raises(RuntimeError, match=r"[Ii]nference tensors cannot be saved"):
            x * y
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
            y.add_(1)
        with pytest.raises(RuntimeError, match="do not track version counter"):
            _ = y._version


class TestVersions:
    def test_in_place_counts(self, torch):
        x = torch.zeros(3)
        x.add_(1)
        x[0] = 2
        assert x._version == 2
        assert x.detach()._version == 2
        assert x[1:]._version == 2
        assert x.data._version == 0

    @pytest.mark.parametrize("op", ["exp", "tanh", "sqrt", "sigmoid"])
    def test_changed_result(self, torch, op):
        y = getattr(leaf(torch, 1.0, 2.0), op)()
        y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()

    def test_changed_input(self, torch):
        x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
        y = x * w
        w.mul_(2)
        with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
            y.sum().backward()

    def test_changed_through_detach_or_a_view(self, torch):
        for change in (lambda t: t.detach().add_(1), lambda t: t[:1].add_(1), lambda t: t.view(2, 1).add_(1)):
            x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
            y = x * w
            change(w)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.sum().backward()

    def test_change_of_what_is_not_needed(self, torch):
        x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
        y = x + w
        w.mul_(2)
        y.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]

    def test_data_is_not_watched(self, torch):
        x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
        y = x * w
        w.data.mul_(3)
        y.sum().backward()
        assert x.grad.tolist() == [3.0, 3.0]

    def test_message_names_the_operations(self):
        import gradcu as torch

        x, w = leaf(torch, 1.0, 2.0), torch.ones(2)
        y = x * w
        w.mul_(2)
        with pytest.raises(RuntimeError, match=r"MulBackward0 saved as 'other'.*changed by mul_"):
            y.sum().backward()
        z = x * x
        z.sum().backward()
        with pytest.raises(RuntimeError, match=r"MulBackward0 were freed by an earlier backward\(\)"):
            z.sum().backward()


class TestInPlace:
    def test_leaf_is_refused(self, torch):
        x = leaf(torch, 1.0, 2.0)
        for change in (lambda: x.add_(1), lambda: x[0:1].mul_(2), lambda: x.zero_(), lambda: x.__setitem__(0, 1.0)):
            with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
                change()
        with torch.no_grad():
            x.add_(1)
        assert x.tolist() == [2.0, 3.0]

    def test_gradient_through_an_in_place_chain(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x * 1
        y.mul_(3)
        y += x
        y.exp_()
        y.sum().backward()
        want = [4 * 2.718281828**4, 4 * 2.718281828**8]
        assert x.grad.tolist() == pytest.approx(want, rel=1e-5)

    def test_base_changed_through_a_view(self, torch):
        x = leaf(torch, 1.0, 2.0, 3.0)
        base = x * 1
        view = base[1:]
        view.mul_(x[1:])
        assert type(base.grad_fn).__name__ == "CopySlices"
        base.sum().backward()
        assert x.grad.tolist() == [1.0, 4.0, 6.0]

    def test_view_changed_through_its_base(self, torch):
        x = leaf(torch, 1.0, 2.0, 3.0)
        base = x * 1
        view = base[1:]
        base.mul_(5)
        (view * view).sum().backward()
        assert x.grad.tolist() == [0.0, 100.0, 150.0]

    def test_view_of_a_view(self, torch):
        x = torch.ones(2, 3, requires_grad=True)
        base = x * 1
        inner = base[1].unsqueeze(0)[:, 1:]
        inner.mul_(4)
        assert base.tolist() == [[1, 1, 1], [1, 4, 4]]
        (base * base).sum().backward()
        assert x.grad.tolist() == [[2, 2, 2], [2, 32, 32]]

    def test_constant_base_takes_a_gradient(self, torch):
        x = leaf(torch, 5.0)
        z = torch.zeros(3)
        z[1] = x[0] * 2
        z[2:].add_(x)
        assert z.requires_grad
        (z * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
        assert x.grad.item() == 120.0

    def test_multi_view_outputs_are_refused(self, torch):
        y = leaf(torch, 1.0, 2.0) * 1
        a, _ = y.unbind()
        with pytest.raises(RuntimeError, match="output of a function that returns multiple views"):
            a.add_(1)

    def test_view_made_without_grad(self, torch):
        y = leaf(torch, 1.0, 2.0) * 1
        with torch.no_grad():
            v = y[:1]
        with pytest.raises(RuntimeError, match="no_grad mode"):
            v.mul_(2)

    def test_dtype_never_changes(self, torch):
        x = torch.ones(2, dtype=torch.int64)
        with pytest.raises(RuntimeError, match="can't be cast"):
            x.add_(1.5)
        with pytest.raises(RuntimeError, match=r"can't be cast|integral"):
            x /= 2
        h = torch.ones(2, dtype=torch.float32)
        h += torch.ones(2, dtype=torch.float64)
        assert h.dtype is torch.float32

    def test_shape_never_changes(self, torch):
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            torch.ones(3).add_(torch.ones(2, 3))

    def test_retained_gradient_follows(self, torch):
        x = leaf(torch, 2.0)
        y = x * 1
        y.retain_grad()
        y.mul_(3)
        (y * y).sum().backward()
        assert y.grad.item() == 12.0
        assert x.grad.item() == 36.0

    def test_second_order_through_copy_slices(self, torch):
        x = torch.tensor([2.0, 3.0], requires_grad=True, dtype=torch.float64)
        y = x * x
        y[0].mul_(x[1])
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert g.tolist() == [12.0, 10.0]
        (h,) = torch.autograd.grad(g.sum(), x)
        assert h.tolist() == [2 * 3.0 + 2 * 2.0, 2 * 2.0 + 2.0]


class TestMemory:
    def test_graph_dies_by_reference_counting(self, collector_off):
        import gradcu as torch

        x = leaf(torch, 1.0, 2.0)
        y = x * 2
        node = weakref.ref(y.grad_fn)
        z = (y.exp().tanh() * y).sum()
        z.backward()
        del y, z
        assert node() is None

    def test_graph_of_a_graph_dies_too(self, collector_off):
        import gradcu as torch

        x = leaf(torch, 1.0, 2.0)
        (g,) = torch.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
        node = weakref.ref(g.grad_fn)
        del g
        assert node() is None

    def test_a_thousand_steps_leave_nothing(self, collector_off):
        import gradcu as torch

        w = torch.ones(8, 8, requires_grad=True)
        x = torch.ones(4, 8)

        def step(fail):
            y = (x @ w).tanh()
            y = y * y.sum(0, keepdim=True)
            h = torch.zeros(4, 8)
            h[1:] = y[1:]
            h.add_(1)
            if fail:
                y.add_(1)
            loss = h.exp().mean() + y.sum()
            try:
                loss.backward()
            except RuntimeError:
                assert fail
            w.grad = None

        for fail in (False, True):
            for i in range(1000):
                step(fail)
                if i == 10:
                    before = len(gc.get_objects())
            assert len(gc.get_objects()) - before < 50

    def test_a_million_operations(self):
        import gradcu as torch

        x = torch.tensor(0.5, requires_grad=True)
        y = x
        for _ in range(1_000_000):
            y = y + 1.0
        y.backward()
        assert x.grad.item() == 1.0
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None

    def test_a_million_nodes_die_unwalked(self):
        import gradcu as torch

        y = torch.tensor(0.5, requires_grad=True)
        for _ in range(1_000_000):
            y = y * 1.0
        del y


class TestLeaves:
    def test_requires_grad_rules(self, torch):
        x = torch.ones(2)
        assert x.requires_grad_() is x
        assert x.requires_grad
        with pytest.raises(RuntimeError, match="only change requires_grad flags of leaf"):
            (x * 2).requires_grad = False
        with pytest.raises(RuntimeError, match="floating point"):
            torch.ones(2, dtype=torch.int64).requires_grad_()

    def test_detach(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x * 2
        d = y.detach()
        assert not d.requires_grad
        assert d.grad_fn is None
        assert d.data_ptr() == y.data_ptr()
        assert y.detach_() is y
        assert y.is_leaf
        assert not y.requires_grad

    def test_grad_is_checked(self, torch):
        x = leaf(torch, 1.0, 2.0)
        with pytest.raises(RuntimeError, match=r"size|shape"):
            x.grad = torch.ones(3)
        with pytest.raises(RuntimeError, match="type"):
            x.grad = torch.ones(2, dtype=torch.float64)
        with pytest.raises(TypeError):
            x.grad = 1.0
        x.grad = torch.ones(2)
        del x.grad
        assert x.grad is None

    def test_grad_of_a_result_warns(self, torch):
        y = leaf(torch, 1.0) * 2
        with pytest.warns(UserWarning, match="not a leaf"):
            assert y.grad is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            y.retain_grad()
            y.sum().backward()
            assert y.grad.item() == 1.0

"""`autograd.Function`: everything on ctx, in both styles."""

import weakref

import pytest

# PyTorch compiles its own decompositions when forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def leaf(torch, *values):
    return torch.tensor(values, requires_grad=True)


def test_setup_context_style(torch):
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.factor = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, out = ctx.saved_tensors
            assert out.tolist() == (x * ctx.factor).tolist()
            return g * ctx.factor, None

    x = leaf(torch, 1.0, 2.0)
    Scale.apply(x, 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_needs_input_grad_and_none(torch):
    seen = []

    class Pick(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b, c):
            return a + b

        @staticmethod
        def backward(ctx, g):
            seen.append(ctx.needs_input_grad)
            return None, g, None

    a, b = leaf(torch, 1.0), leaf(torch, 1.0)
    Pick.apply(a, b, "text").sum().backward()
    assert seen == [(True, True, False)]
    assert a.grad is None
    assert b.grad.item() == 1.0


def test_several_results_and_materialized_gradients(torch):
    got = []

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            got.append((g, h))
            return g * 2 + h * 3

    x = leaf(torch, 1.0)
    a, b = Two.apply(x)
    assert a.grad_fn is b.grad_fn
    assert (a.output_nr, b.output_nr) == (0, 1)
    b.sum().backward()
    assert x.grad.item() == 3.0
    assert got[0][0].tolist() == [0.0]


def test_unmaterialized_gradients_are_none(torch):
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            assert h is None
            return g * 2

    x = leaf(torch, 1.0)
    Two.apply(x)[0].sum().backward()
    assert x.grad.item() == 2.0


def test_non_differentiable(torch):
    class Sort(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out, half = x * 1, x * 0.5
            ctx.mark_non_differentiable(half)
            return out, half

        @staticmethod
        def backward(ctx, g, unused):
            return g

    x = leaf(torch, 1.0)
    out, half = Sort.apply(x)
    assert out.requires_grad
    assert not half.requires_grad
    out.sum().backward()
    assert x.grad.item() == 1.0


def test_dirty(torch):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(torch, 1.0)
    y = x * 1
    z = Double.apply(y)
    assert z is y
    assert y._version > 0
    assert y.item() == 2.0
    y.sum().backward()
    assert x.grad.item() == 2.0
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        Double.apply(x)


def test_returning_an_input_or_a_view_of_one(torch):
    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, part):
            return x[:1] if part else x

        @staticmethod
        def backward(ctx, g):
            return g.expand(2) * 10, None

    for part in (False, True):
        x = leaf(torch, 1.0, 2.0)
        y = Same.apply(x, part)
        assert y is not x
        assert type(y.grad_fn).__name__ == "SameBackward"
        y.sum().backward()
        assert x.grad.tolist() == [10.0, 10.0]


def test_once_differentiable(torch):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(torch, 3.0)
    (g,) = torch.autograd.grad(Square.apply(x).sum(), x)
    assert g.item() == 6.0
    v = leaf(torch, 1.0)
    (g,) = torch.autograd.grad(Square.apply(x), x, v, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda torch, g: (g, g), "incorrect number of gradients"),
        (lambda torch, g: (g, None, None, g), "incorrect number of gradients"),
        (lambda torch, g: (torch.ones(7), None, None), "invalid gradient at index 0"),
        (lambda torch, g: (g, g, None), "different (from|than) None"),
    ],
)
def test_wrong_gradients_are_refused(torch, returned, message):
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, n, m):
            return x * n

        @staticmethod
        def backward(ctx, g):
            return returned(torch, g)

    with pytest.raises(RuntimeError, match=message):
        Bad.apply(leaf(torch, 1.0, 2.0), 2, 3).sum().backward()


def test_trailing_nones_are_let_through(torch):
    class Extra(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2, None, None

    x = leaf(torch, 1.0)
    Extra.apply(x).sum().backward()
    assert x.grad.item() == 2.0


def test_saved_tensor_changed_in_place(torch):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(w)
            return x * w

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    x, w = leaf(torch, 1.0), torch.ones(1)
    y = Keep.apply(x, w)
    w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_second_backward_is_refused(torch):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            _ = ctx.saved_tensors
            return g * 2

    y = Keep.apply(leaf(torch, 1.0)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_only_tensors_are_saved(torch):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)
            return x * 2

    with pytest.raises(TypeError, match="can only save variables"):
        Keep.apply(leaf(torch, 1.0))


def test_keywords_and_defaults(torch):
    class Power(torch.autograd.Function):
        @staticmethod
        def forward(x, n=2):
            return x * n

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.n = inputs

        @staticmethod
        def backward(ctx, g):
            return g * ctx.n, None

    x = leaf(torch, 1.0)
    (Power.apply(x) + Power.apply(x, n=5)).sum().backward()
    assert x.grad.item() == 7.0
    with pytest.raises(TypeError, match="unexpected keyword argument 'm'"):
        Power.apply(x, m=1)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_missing_backward_and_old_style_are_refused(torch):
    class F(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError):
        F.apply(leaf(torch, 1.0)).sum().backward()
    with pytest.raises(RuntimeError, match=r"[Ll]egacy autograd function"):
        F()(leaf(torch, 1.0))


def test_exception_in_backward_passes_through(torch):
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Fails.apply(leaf(torch, 1.0)).sum().backward()
    assert torch.is_grad_enabled()


def test_backward_inside_backward(torch):
    class Inner(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                y = x.detach().requires_grad_()
                (y**3).sum().backward()
            return y.grad * g

    x = leaf(torch, 2.0)
    Inner.apply(x).sum().backward()
    assert x.grad.item() == 12.0


def test_node_is_freed_by_reference_counting(collector_off):
    import gradcu as torch

    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = x * 2
            ctx.save_for_backward(x, out)
            return out

        @staticmethod
        def backward(ctx, g):
            _, out = ctx.saved_tensors
            assert out.grad_fn.saved_tensors[1].tolist() == out.tolist()
            return g * 2

    y = Keep.apply(leaf(torch, 1.0))
    node = weakref.ref(y.grad_fn)
    y.sum().backward()
    del y
    assert node() is None


@pytest.mark.parametrize(
    "name",
    [
        "hooks",
        "saved",
        "edges",
        "order",
        "shapes",
        "version",
        "raw",
        "recorded",
        "count",
        "sources",
        "constants",
        "own",
    ],
)
def test_attributes_of_ctx_are_the_users(torch, name):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            setattr(ctx, name, "kept")
            return x * x

        @staticmethod
        def backward(ctx, g):
            assert getattr(ctx, name) == "kept"
            return 2 * g * ctx.saved_tensors[0]

    x = leaf(torch, 3.0)
    Keep.apply(x).sum().backward()
    assert x.grad.item() == 6.0


def test_what_node_and_ctx_share(torch):
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.factor = 2
            with pytest.raises(AttributeError, match="'KeepBackward' object has no attribute 'nonsense'"):
                _ = ctx.nonsense
            return x * 2

        @staticmethod
        def backward(ctx, g):
            assert ctx.name() == "KeepBackward"
            assert ctx.metadata == {"note": 1}
            assert len(ctx.next_functions) == 1
            return g * ctx.factor

    y = Keep.apply(leaf(torch, 1.0))
    assert y.grad_fn.factor == 2
    assert y.grad_fn.needs_input_grad == (True,)
    y.grad_fn.metadata["note"] = 1
    y.sum().backward()


def function(torch, forward=lambda ctx, x: x * 2, backward=lambda ctx, *grads: grads[0], **others):
    """A Function of these static methods."""
    methods = {"forward": forward, "backward": backward, **others}
    return type("Own", (torch.autograd.Function,), {k: staticmethod(v) for k, v in methods.items()})


def saving(ctx, x):
    ctx.save_for_backward(x)
    return x * x


def doubling(ctx, x):
    ctx.mark_dirty(x)
    return x.mul_(2)


class TestSavedTensors:
    def test_as_long_as_the_graph(self, torch):
        y = function(torch, saving).apply(leaf(torch, 1.0))
        node = y.grad_fn
        y.backward(retain_graph=True)
        assert node.saved_tensors[0].item() == 1.0
        y.backward()
        with pytest.raises(RuntimeError, match="already been freed"):
            _ = node.saved_tensors

    def test_old_name_warns(self, torch):
        y = function(torch, saving, lambda ctx, g: 2 * g * ctx.saved_variables[0]).apply(leaf(torch, 3.0))
        with pytest.warns(DeprecationWarning, match="use 'saved_tensors'"):
            y.backward()

    def test_let_go_during_backward(self, torch):
        seen = []

        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            ctx.maybe_clear_saved_tensors()
            try:
                seen.append(ctx.saved_tensors[0].item())
            except RuntimeError:
                seen.append("gone")
            return 2 * g * x

        x = leaf(torch, 3.0)
        y = function(torch, saving, backward).apply(x)
        y.grad_fn.maybe_clear_saved_tensors()  # outside of a backward nothing goes
        y.backward(retain_graph=True)
        y.backward()
        assert seen == [3.0, "gone"]
        assert x.grad.item() == 12.0

    def test_let_go_as_they_are_read(self, torch):
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with pytest.raises(RuntimeError, match="saved_tensors"):
                _ = ctx.saved_tensors
            return 2 * g * x

        own = function(torch, saving, backward)
        own.clear_saved_tensors_on_access = True
        x = leaf(torch, 3.0)
        own.apply(x).backward()
        assert x.grad.item() == 6.0

    def test_only_tensors_are_saved_for_forward(self, torch):
        own = function(torch, lambda ctx, x: ctx.save_for_forward(3))
        with pytest.raises(AssertionError, match="save non-tensors as attributes on ctx"):
            own.apply(leaf(torch, 1.0))


class TestGradients:
    @pytest.mark.parametrize("returned", [3, [1.0]], ids=["number", "list"])
    def test_that_are_no_tensors(self, torch, returned):
        own = function(torch, backward=lambda ctx, g: returned)
        with pytest.raises(RuntimeError, match="expected Variable or None"):
            own.apply(leaf(torch, 1.0)).backward()

    @pytest.mark.parametrize("shape", [(1,), (), (3,)])
    def test_of_another_shape(self, torch, shape):
        own = function(torch, backward=lambda ctx, g: g.new_ones(shape))
        with pytest.raises(RuntimeError, match=r"invalid gradient at index 0 - got .* but expected shape compatible"):
            own.apply(leaf(torch, 1.0, 2.0)).sum().backward()

    def test_of_an_expanded_shape_are_summed(self, torch):
        x = leaf(torch, 1.0, 2.0)
        function(torch, backward=lambda ctx, g: g.new_ones(3, 2)).apply(x).sum().backward()
        assert x.grad.tolist() == [3.0, 3.0]

    def test_of_another_dtype_are_converted(self, torch):
        x = torch.ones(2, dtype=torch.float64, requires_grad=True)
        function(torch, backward=lambda ctx, g: g.float()).apply(x).sum().backward()
        assert x.grad.dtype is torch.float64

    def test_complex_ones_of_real_inputs(self, torch):
        own = function(torch, backward=lambda ctx, g: g * 1j)
        with pytest.raises(RuntimeError):
            own.apply(leaf(torch, 1.0)).backward()

    def test_as_one_list(self, torch):
        own = function(torch, lambda ctx, x: (x * 2, x * 3), lambda ctx, grads: grads.pop(0) + grads.pop())
        own.boxed_grads_call = True
        x = leaf(torch, 1.0)
        own.apply(x)[1].backward()
        assert x.grad.item() == 1.0

    def test_backward_and_vjp(self, torch):
        own = function(torch, vjp=lambda ctx, g: g)
        with pytest.raises(RuntimeError, match="You should only implement one of them"):
            own.apply(leaf(torch, 1.0)).backward()


class TestMarks:
    @pytest.mark.parametrize("mark", ["mark_dirty", "mark_non_differentiable"])
    def test_of_what_is_no_tensor(self, torch, mark):
        own = function(torch, lambda ctx, x: getattr(ctx, mark)(3) or x * 2)
        with pytest.raises(RuntimeError, match=f"{mark} (can only accept|only accepts) variable"):
            own.apply(leaf(torch, 1.0))

    def test_dirty_must_be_returned(self, torch):
        own = function(torch, lambda ctx, x: ctx.mark_dirty(x) or x * 2)
        with pytest.raises(RuntimeError, match="must all be outputs of the Function"):
            own.apply(leaf(torch, 1.0) * 1)

    def test_dirty_that_is_no_input(self, torch):
        def forward(ctx, x):
            t = x.clone()
            ctx.mark_dirty(t)
            return t

        with pytest.warns(UserWarning, match="not an input"):
            y = function(torch, forward).apply(leaf(torch, 1.0))
        assert y.requires_grad

    def test_dirty_view_and_more(self, torch):
        own = function(torch, lambda ctx, x: (doubling(ctx, x), x.clone()))
        with pytest.raises(RuntimeError, match="cannot return more than one Tensor"):
            own.apply((leaf(torch, 1.0) * 1).view(1))

    def test_dirty_one_of_several_views(self, torch):
        a, _ = (leaf(torch, 1.0, 2.0) * 1).unbind(0)
        with pytest.raises(RuntimeError, match="returns multiple views"):
            function(torch, doubling).apply(a)

    def test_dirty_view(self, torch):
        x = leaf(torch, 1.0, 2.0)
        y = x * 1
        part = y[:1]
        own = function(torch, doubling, lambda ctx, g: 2 * g)
        assert own.apply(part) is part
        y.sum().backward()
        assert y.tolist() == [2.0, 2.0]
        assert x.grad.tolist() == [2.0, 1.0]

    def test_dirty_leaf_without_recording(self, torch):
        x = leaf(torch, 1.0)
        with torch.no_grad():
            y = function(torch, doubling).apply(x)
        assert (y.requires_grad, x.requires_grad) == (False, True)
        assert x._version == 2  # that of mul_, and the mark

    def test_non_differentiable_input(self, torch):
        x = leaf(torch, 1.0)
        own = function(torch, lambda ctx, x: ctx.mark_non_differentiable(x) or x)
        y = own.apply(x)
        assert (y is x, y.requires_grad, x.requires_grad) == (False, False, True)


class TestReturned:
    """What forward returns: inputs, views of inputs, and what is no tensor."""

    @pytest.mark.parametrize("forward", [lambda ctx, x: x, lambda ctx, x: x.view(2)], ids=["input", "view"])
    def test_views_must_stay_as_they_are(self, torch, forward):
        x = leaf(torch, 1.0, 2.0) * 1
        y = function(torch, forward).apply(x)
        assert y is not x
        assert y._is_view()
        assert y.data_ptr() == x.data_ptr()
        for change in (lambda: y.mul_(2), lambda: y[:1].mul_(2)):
            with pytest.raises(RuntimeError, match="created inside a custom Function"):
                change()
        x.mul_(2)
        with pytest.raises(RuntimeError, match="its base or another view of its base has been modified inplace"):
            _ = y * 2
        assert "Invalid" in repr(y)

    def test_view_among_several(self, torch):
        y, _ = function(torch, lambda ctx, x: (x.view(2), x.clone())).apply(leaf(torch, 1.0, 2.0) * 1)
        with pytest.raises(RuntimeError, match="returns multiple views"):
            y.mul_(2)

    def test_input_without_recording(self, torch):
        x, c = leaf(torch, 1.0), torch.ones(2)
        own = function(torch, lambda ctx, x: x)
        with torch.no_grad():
            assert own.apply(x).requires_grad is False
        assert own.apply(c) is not c

    @pytest.mark.parametrize("more", [None, 3, "text", [1.0]])
    def test_beside_a_tensor(self, torch, more):
        seen = []
        own = function(torch, lambda ctx, x: (x * 2, more), lambda ctx, *grads: seen.append(grads[1]) or grads[0])
        y, other = own.apply(leaf(torch, 1.0))
        y.backward()
        assert other == more
        assert seen == [None]

    def test_integers_get_zeros(self, torch):
        seen = []
        own = function(torch, lambda ctx, x: (x * 2, x.long()), lambda ctx, *grads: seen.append(grads[1]) or grads[0])
        own.apply(leaf(torch, 1.0))[0].backward()
        assert seen[0].tolist() == [0]

    @pytest.mark.parametrize("returned", [3, None, {}, ()])
    def test_no_tensor_at_all(self, torch, returned):
        assert function(torch, lambda ctx, x: returned).apply(leaf(torch, 1.0)) == returned


class TestForwardMode:
    @pytest.fixture
    def duals(self, torch):
        """`apply(function, *tensors)` with a tangent of threes for each; the results, unpacked."""
        forward_ad = torch.autograd.forward_ad

        def apply(own, *tensors):
            with forward_ad.dual_level():
                given = [forward_ad.make_dual(t, torch.full_like(t, 3.0).detach()) for t in tensors]
                results = own.apply(*given)
                several = results if isinstance(results, tuple) else (results,)
                return [forward_ad.unpack_dual(r) if isinstance(r, torch.Tensor) else r for r in several]

        return apply

    @pytest.mark.parametrize(
        ("jvp", "message"),
        [
            (lambda ctx, t: (t, t), r"invalid number of forward gradients \(expected 1 but got 2\)"),
            (lambda ctx, t: 3, r"expected Variable or None \(got int\) for grad output 0"),
            (lambda ctx, t: [t], r"expected Variable or None \(got list\) for grad output 0"),
            (lambda ctx, t: t[:1], "a different size than that of the original Tensor"),
        ],
    )
    def test_wrong_tangents_are_refused(self, torch, duals, jvp, message):
        with pytest.raises(RuntimeError, match=message):
            duals(function(torch, jvp=jvp), torch.ones(2))

    def test_in_place(self, torch, duals):
        (y,) = duals(function(torch, doubling, jvp=lambda ctx, t: t.mul_(2)), torch.ones(2))
        assert y.primal.tolist() == [2.0, 2.0]
        assert y.tangent.tolist() == [6.0, 6.0]
        with pytest.raises(RuntimeError, match="must modify the corresponding gradient inplace"):
            duals(function(torch, doubling, jvp=lambda ctx, t: t * 2), torch.ones(2))

    @pytest.mark.parametrize("forward", [lambda ctx, x: x, lambda ctx, x: x.view(2)], ids=["input", "view"])
    def test_views(self, torch, duals, forward):
        (y,) = duals(function(torch, forward, jvp=lambda ctx, t: t.view(2)), torch.ones(2))
        assert y.tangent.tolist() == [3.0, 3.0]
        with pytest.raises(RuntimeError, match="the jvp is not returning a view"):
            duals(function(torch, forward, jvp=lambda ctx, t: t.clone()), torch.ones(2))

    def test_constants_have_no_tangent(self, torch, duals):
        def forward(ctx, x):
            y = x.clone()
            ctx.mark_non_differentiable(y)
            return x * 2, y, x.long(), "text"

        own = function(torch, forward, jvp=lambda ctx, t: (2 * t, None, None, None))
        first, second, third, fourth = duals(own, torch.ones(2))
        assert first.tangent.tolist() == [6.0, 6.0]
        assert (second.tangent, third.tangent, fourth) == (None, None, "text")
        own = function(torch, forward, jvp=lambda ctx, t: (2 * t, t, None, None))
        with pytest.raises(RuntimeError, match="gradient at position 1"):
            duals(own, torch.ones(2))

    @pytest.mark.parametrize("materialize", [True, False])
    def test_of_inputs_without_tangent(self, torch, duals, materialize):
        seen = []

        def forward(ctx, x, y, n):
            ctx.set_materialize_grads(materialize)
            return x * y

        own = function(torch, forward, jvp=lambda ctx, *tangents: seen.extend(tangents) or tangents[0] * 1)
        with torch.autograd.forward_ad.dual_level():
            own.apply(torch.autograd.forward_ad.make_dual(torch.ones(1), torch.ones(1)), torch.ones(1), 4)
        assert [t if t is None else t.tolist() for t in seen] == [[1.0], [0.0] if materialize else None, None]

    def test_saved_for_forward(self, torch, duals):
        def forward(ctx, x):
            ctx.save_for_forward(x, None)
            return x**3

        def jvp(ctx, t):
            x, nothing = ctx.saved_tensors
            assert nothing is None
            return 3 * x**2 * t

        (y,) = duals(function(torch, forward, jvp=jvp), torch.full((1,), 2.0))
        assert y.tangent.tolist() == [36.0]

    def test_gradients_have_tangents(self, torch):
        """Forward over reverse: what backward reads of ctx has the tangents that it had in forward."""
        forward_ad = torch.autograd.forward_ad

        def forward(ctx, x):
            out = x**3
            ctx.save_for_backward(x, out)
            return out

        def backward(ctx, g):
            x, out = ctx.saved_tensors
            return g * 3 * out / x

        own = function(torch, forward, backward, jvp=lambda ctx, t: 12 * t)
        x = torch.full((1,), 2.0, dtype=torch.float64, requires_grad=True)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, torch.ones(1, dtype=torch.float64))
            (g,) = torch.autograd.grad(own.apply(dual).sum(), dual, create_graph=True)
            assert g.item() == 12.0
            assert forward_ad.unpack_dual(g).tangent.item() == 12.0


class TestOldStyle:
    def test_instances(self, torch):
        class Own(torch.autograd.function.InplaceFunction):
            @staticmethod
            def forward(ctx, x):
                return x * 2

        with pytest.warns(DeprecationWarning, match="should not be instantiated"):
            own = Own(inplace=True)
        assert own.inplace
        with pytest.raises(RuntimeError, match="non-static forward method is deprecated"):
            own(torch.ones(1))

    def test_ctx_alone(self, torch):
        ctx = torch.autograd.function.FunctionCtx()
        x = torch.ones(1)
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        ctx.mark_dirty(x)
        ctx.mark_non_differentiable(x)
        ctx.set_materialize_grads(False)
        for kept in (ctx.to_save, ctx.saved_for_forward, ctx.dirty_tensors, ctx.non_differentiable):
            assert len(kept) == 1
            assert kept[0] is x
        assert ctx.materialize_grads is False

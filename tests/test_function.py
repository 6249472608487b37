"""`autograd.Function`: everything on ctx, in both styles."""

import weakref

import pytest


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

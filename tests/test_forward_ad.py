"""Forward mode: tensors with tangents. Every fact is one of gradcu and of PyTorch."""

import importlib
import math

import pytest

# PyTorch compiles its own decompositions when forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture
def ad(torch):
    return importlib.import_module(f"{torch.__name__}.autograd.forward_ad")


@pytest.fixture
def dual(torch, ad):
    """A tensor 1, 2, 3 with the tangent 1, 1, 2, in an open level."""
    with ad.dual_level():
        yield ad.make_dual(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 2.0]))


def tangent(ad, t):
    return ad.unpack_dual(t).tangent.tolist()


FUNCTIONS = {
    "chain": lambda torch, x: torch.sin(x) * x.exp() + 2.0 / x - 3.0,
    "broadcast": lambda torch, x: x[:, None] * x + x.sum(),
    "matmul": lambda torch, x: (torch.arange(9.0).reshape(3, 3) @ x).tanh(),
    "views": lambda torch, x: x.view(3, 1).expand(3, 2).t().reshape(-1)[1:5],
    "softmax": lambda torch, x: torch.softmax(x, 0).log(),
    "norm": lambda torch, x: torch.linalg.norm(x) / x.max() + x.sort(descending=True)[0],
    "cat": lambda torch, x: torch.stack([torch.cat([x, torch.ones(2), x * x]).cumsum(0)] * 2).mean(0),
    "where": lambda torch, x: torch.where(x > 1.5, x**3, -x).prod(),
    "complex": lambda torch, x: torch.view_as_real(torch.complex(x, x * x).exp() * 1j),
    "abs of complex": lambda torch, x: (torch.complex(x, x * x) * (1 + 2j)).abs(),
    "complex matmul": lambda torch, x: torch.view_as_real((1j * torch.outer(x, x)) @ torch.complex(x, x * x)),
    "conv": lambda torch, x: torch.nn.functional.conv1d(x[None], x.flip(0).view(1, 1, 3)[:, :, :2], x[:1]),
    "normalized": lambda torch, x: torch.nn.functional.layer_norm(x.expand(2, 3), (3,), x, 2 * x),
    "fft": lambda torch, x: torch.view_as_real(torch.fft.rfft(x)),
    "inverse": lambda torch, x: torch.linalg.inv(torch.diag(x) + torch.ones(3, 3)),
    "parts": lambda torch, x: sum(a * b for a, b in zip(x.unbind(), x.flip(0).split(1))),
    "double": lambda torch, x: (x.double() * x).sum(),
    "loss": lambda torch, x: torch.nn.functional.cross_entropy(x[None], torch.tensor([1])),
    "index": lambda torch, x: x[torch.tensor([2, 0, 2])] * x.gather(0, torch.tensor([1, 1, 0])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_agrees_with_differences(torch, ad, name):
    f = FUNCTIONS[name]
    point = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    along = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with ad.dual_level():
            value, got = ad.unpack_dual(f(torch, ad.make_dual(point, along)))
        plain = f(torch, point)
        want = (f(torch, point + 1e-6 * along) - f(torch, point - 1e-6 * along)) / 2e-6
    finally:
        torch.set_default_dtype(before)
    assert torch.allclose(value, plain)
    assert torch.allclose(got, want, rtol=1e-5, atol=1e-7)


def test_printing_shows_the_tangent(dual):
    assert repr(dual * 2) == "tensor([2., 4., 6.], tangent=tensor([2., 2., 4.]))"
    assert repr(dual.sum()) == "tensor(6., tangent=4.0)"


def test_duals_are_views_and_results_are_not(torch, ad):
    x = torch.ones(2)
    with ad.dual_level():
        d = ad.make_dual(x, torch.ones(2))
        assert d._is_view()
        assert d._base is x
        assert not (d * 2)._is_view()
        assert not d.requires_grad
        d.mul_(3)
    assert x.tolist() == [3.0, 3.0]


def test_modes(torch, ad, dual):
    with torch.no_grad():
        assert tangent(ad, dual * 2) == [2.0, 2.0, 4.0]
    assert ad.unpack_dual(dual.detach()).tangent is None
    assert ad.unpack_dual(dual > 1).tangent is None
    with torch.inference_mode():
        assert ad.unpack_dual(dual * 2).tangent is None


def test_tangents_end_with_their_level(torch, ad):
    with ad.dual_level():
        d = ad.make_dual(torch.ones(2), torch.ones(2))
    assert ad.unpack_dual(d).tangent is None
    assert repr(d * 2) == "tensor([2., 2.])"
    with ad.dual_level():
        assert ad.unpack_dual(d).tangent is None
        assert ad.unpack_dual(d * 2).tangent is None


def test_in_place(torch, ad, dual):
    z = torch.zeros(3)
    z += dual
    assert tangent(ad, z) == [1.0, 1.0, 2.0]
    z.mul_(3.0)
    assert tangent(ad, z) == [3.0, 3.0, 6.0]
    z[1:].mul_(2.0)
    assert tangent(ad, z) == [3.0, 6.0, 12.0]
    z[0] = 5.0
    assert tangent(ad, z) == [0.0, 6.0, 12.0]
    z[torch.tensor([2])] = dual[1]
    assert tangent(ad, z) == [0.0, 6.0, 1.0]
    z.zero_()
    assert tangent(ad, z) == [0.0, 0.0, 0.0]


def test_a_view_that_gets_a_tangent_gives_one_to_its_base(torch, ad, dual):
    z = torch.zeros(2, 3)
    row = z[0]
    row.add_(dual)
    assert tangent(ad, row) == [1.0, 1.0, 2.0]
    assert tangent(ad, z) == [[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]
    z = torch.zeros(2, 3)
    z[1] = dual
    assert tangent(ad, z * 2) == [[0.0, 0.0, 0.0], [2.0, 2.0, 4.0]]


def test_views_share_the_tangent(torch, ad, dual):
    whole = dual * 1
    part = whole.view(3, 1)
    part[1].mul_(5)
    assert tangent(ad, whole) == [1.0, 5.0, 2.0]


def test_reverse_over_forward(torch, ad):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with ad.dual_level():
        got = ad.unpack_dual((ad.make_dual(x, torch.tensor([1.0, 3.0])) ** 3).sum()).tangent
    (g,) = torch.autograd.grad(got, x)
    assert g.tolist() == [6.0, 36.0]


def test_forward_over_reverse(torch, ad):
    """The Hessian times a vector, whether or not the backward is recorded."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for create in (False, True):
        with ad.dual_level():
            d = ad.make_dual(x, torch.tensor([1.0, 3.0]))
            (g,) = torch.autograd.grad((d.exp() * d).sum(), d, create_graph=create)
            got = ad.unpack_dual(g)
        assert got.primal.tolist() == pytest.approx([2 * math.e, 3 * math.e**2], rel=1e-5)
        assert got.tangent.tolist() == pytest.approx([3 * math.e, 12 * math.e**2], rel=1e-5)
        assert got.tangent.requires_grad is create


def test_modules(torch, ad):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    x, v = torch.randn(5, 3), torch.randn(5, 3)
    with ad.dual_level():
        got = ad.unpack_dual(net(ad.make_dual(x, v))).tangent
    want = (net(x + 1e-3 * v) - net(x - 1e-3 * v)) / 2e-3
    assert torch.allclose(got, want, atol=1e-3)


def test_function_jvp(torch, ad, dual):
    seen = []

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y, k):
            ctx.save_for_forward(x, y)
            ctx.k = k
            return x * y * k

        @staticmethod
        def jvp(ctx, x_t, y_t, k_t):
            x, y = ctx.saved_tensors
            seen.append((y_t.tolist(), k_t))
            return (x_t * y + x * y_t) * ctx.k

    got = Product.apply(dual, torch.full((3,), 2.0), 10.0)
    assert tangent(ad, got) == [20.0, 20.0, 40.0]
    assert seen == [([0.0, 0.0, 0.0], None)]


def test_function_jvp_in_place(torch, ad, dual):
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def jvp(ctx, t):
            return t.mul_(2)

    x = dual.clone()
    assert Twice.apply(x) is x
    assert tangent(ad, x) == [2.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("jvp", "error", "message"),
    [
        (None, NotImplementedError, "You must implement the jvp function"),
        (lambda ctx, t: (t, t), RuntimeError, "invalid number of forward gradients"),
        (lambda ctx, t: t.sum(), RuntimeError, "different size than that of the original"),
    ],
)
def test_function_without_a_right_jvp(torch, dual, jvp, error, message):
    body = {"forward": staticmethod(lambda ctx, x: x * 2)}
    if jvp is not None:
        body["jvp"] = staticmethod(jvp)
    own = type("Own", (torch.autograd.Function,), body)
    with pytest.raises(error, match=message):
        own.apply(dual)


def test_errors(torch, ad):
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="no level exists"):
        ad.make_dual(x, x)
    with pytest.raises(RuntimeError, match="Dual level must be a positive number"):
        ad.exit_dual_level()
    with ad.dual_level():
        with pytest.raises(RuntimeError, match="Nested forward mode AD is not supported"):
            ad.enter_dual_level()
        with pytest.raises(RuntimeError, match=r"of size \[3\] while the given forward gradient is of size \[2\]"):
            ad.make_dual(x, torch.ones(2))
        with pytest.raises(ValueError, match="Expected primal to be floating point or complex"):
            ad.make_dual(x.int(), x)
        with pytest.raises(ValueError, match="Expected tangent to be floating point or complex"):
            ad.make_dual(x, x.int())
        d = ad.make_dual(x, x)
        with pytest.raises(RuntimeError, match="already has a forward gradient"):
            ad.make_dual(d, x)
        with pytest.raises(RuntimeError, match="itself has a forward gradient"):
            ad.make_dual(x, d)
        with pytest.raises(TypeError, match="must be Tensor"):
            ad.unpack_dual(3)
        with pytest.raises(NotImplementedError, match="add_out that does not support it"):
            torch.add(x, d, out=torch.zeros(3))
    assert ad.unpack_dual(x).tangent is None


class TestInPlace:
    """Tangents follow changes in place, through views and from constants, as the values do."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda torch, x, y: x.mul_(2),
            lambda torch, x, y: x.mul_(y),
            lambda torch, x, y: x.sin_(),
            lambda torch, x, y: x.zero_(),
            lambda torch, x, y: x.copy_(y),
            lambda torch, x, y: x[1:].mul_(3),
            lambda torch, x, y: x[0].exp_(),
            lambda torch, x, y: x.__setitem__(slice(1, 3), 7.0),
            lambda torch, x, y: x.__setitem__(0, y[2]),
            lambda torch, x, y: x.__setitem__(torch.tensor([0, 2]), y[:2]),
            lambda torch, x, y: x.masked_fill_(torch.tensor([True, False, True]), 0.5),
            lambda torch, x, y: x.view(3, 1).add_(y.view(3, 1)),
            lambda torch, x, y: x.flip(0).mul_(2),
            lambda torch, x, y: x.clamp_(1.5, 2.5),
        ],
    )
    @pytest.mark.parametrize("of", ["both", "changed", "other"])
    def test_as_pytorch(self, original, change, of):
        import gradcu

        def run(torch):
            ad = importlib.import_module(f"{torch.__name__}.autograd.forward_ad")
            with ad.dual_level():
                x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, -1.0, 2.0])
                x = ad.make_dual(x, torch.tensor([1.0, 1.0, 2.0])) if of != "other" else x
                y = ad.make_dual(y, torch.tensor([3.0, 0.5, 1.0])) if of != "changed" else y
                part = x[1:] if of != "other" else None
                change(torch, x, y)
                found = [ad.unpack_dual(t) for t in (x, x[1:] if part is None else part, x * y)]
                return [[None if t is None else t.tolist() for t in dual] for dual in found]

        for got, want in zip(run(gradcu), run(original), strict=True):
            for mine, theirs in zip(got, want, strict=True):
                assert mine == (None if theirs is None else pytest.approx(theirs))

    def test_views_from_before(self):
        """PyTorch gives them tangents; here they are refused rather than taken for constants."""
        import gradcu
        from gradcu.autograd import forward_ad

        with forward_ad.dual_level():
            x = gradcu.ones(3)
            part = x[1:]
            x.mul_(forward_ad.make_dual(gradcu.ones(3), gradcu.ones(3)))
            for use in (lambda: part * 2, lambda: forward_ad.unpack_dual(part)):
                with pytest.raises(RuntimeError, match="make the view anew"):
                    use()
            assert forward_ad.unpack_dual(x[1:]).tangent.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("walked", [False, True])
def test_graphs_of_tangents_die_by_reference_counting(collector_off, walked):
    import gc

    import gradcu

    fw, w = gradcu.autograd.forward_ad, gradcu.ones(3, requires_grad=True)

    def derive():
        with fw.dual_level():
            x = fw.make_dual(gradcu.ones(3), gradcu.ones(3))
            tangent = fw.unpack_dual((x * w).sin() @ w).tangent
        if walked:
            tangent.backward()

    derive()  # which makes classes and functions
    gc.collect()
    for _ in range(3):
        derive()
    assert gc.collect() == 0


def test_a_tangent_remembers_the_versions_of_what_it_came_from(torch):
    fw = torch.autograd.forward_ad
    w, v = torch.ones(3, requires_grad=True), torch.full((3,), 2.0)
    with fw.dual_level():
        tangent = fw.unpack_dual(fw.make_dual(v, torch.ones(3)) * w * w).tangent
        with torch.no_grad():
            w.mul_(3)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            tangent.sum().backward()

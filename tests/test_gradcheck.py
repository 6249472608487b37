"""gradcheck and gradgradcheck: what they let pass, and what they find."""

import importlib

import pytest


@pytest.fixture
def check(torch):
    return importlib.import_module(f"{torch.__name__}.autograd")


@pytest.fixture(params=[False, True], ids=["slow", "fast"])
def fast(request):
    return request.param


@pytest.fixture
def x(torch):
    return torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)


def function(torch, formula, gradient):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return formula(x)

        @staticmethod
        def backward(ctx, g):
            return gradient(g, *ctx.saved_tensors)

    return Own.apply


def test_right_gradients_pass(torch, check, fast, x):
    y = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    assert check.gradcheck(torch.sin, x, fast_mode=fast)
    assert check.gradcheck(lambda x, y: (x.sum() * y, x * 2), (x, y), fast_mode=fast)
    assert check.gradgradcheck(lambda x, y: x.exp() * y, (x, y), fast_mode=fast)
    assert check.gradcheck(lambda x, k: x * k, (x, 2.0), fast_mode=fast)


def test_wrong_gradients_are_found(torch, check, fast, x):
    wrong = function(torch, lambda x: x * x, lambda g, x: 3 * g * x)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        check.gradcheck(wrong, (x,), fast_mode=fast)
    assert check.gradcheck(wrong, (x,), raise_exception=False, fast_mode=fast) is False


def test_the_error_has_a_class(torch, check, x):
    error = importlib.import_module(f"{torch.__name__}.autograd.gradcheck").GradcheckError
    assert issubclass(error, RuntimeError)
    with pytest.raises(error):
        check.gradcheck(function(torch, torch.exp, lambda g, x: g), (x,))


def test_wrong_second_gradients_are_found(torch, check, fast, x):
    once = function(torch, torch.exp, lambda g, x: g * x.exp().detach())
    assert check.gradcheck(once, (x,), fast_mode=fast)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        check.gradgradcheck(once, (x,), fast_mode=fast)


def test_backward_that_differs_from_run_to_run(torch, check, x):
    runs = []

    def gradient(g, x):
        runs.append(g)
        return 2 * g + 1e-7 * len(runs) * (g != 0)

    loose = function(torch, lambda x: 2 * x, gradient)
    with pytest.raises(RuntimeError, match="Backward is not reentrant"):
        check.gradcheck(loose, (x,))
    assert check.gradcheck(loose, (x,), nondet_tol=1e-3)


def test_backward_that_ignores_its_gradient(torch, check, x):
    constant = function(torch, lambda x: x.sum(), lambda g, x: torch.ones_like(x))
    with pytest.raises(RuntimeError, match="backward not multiplied by grad_output"):
        check.gradcheck(constant, (x,))


def test_complex(torch, check, fast, x):
    z = torch.tensor([1 + 2j, -0.5 + 0.3j], dtype=torch.complex128, requires_grad=True)
    assert check.gradcheck(lambda z: z * z.conj() + z**2, (z,), fast_mode=fast)
    assert check.gradcheck(lambda z: z.abs(), (z,), fast_mode=fast)
    assert check.gradcheck(lambda x: torch.complex(x, x * 2), (x,), fast_mode=fast)
    conjugated = function(torch, lambda z: z * (1 + 2j), lambda g, z: g * (1 + 2j))
    with pytest.raises(RuntimeError, match="part of complex outputs only, Jacobian mismatch"):
        check.gradcheck(conjugated, (z,), fast_mode=fast)


def test_inputs_that_do_not_fit(torch, check, x):
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        check.gradcheck(torch.sin, (x.detach(),))
    wide = torch.ones(1, dtype=torch.float64).expand(3).requires_grad_()
    with pytest.raises(RuntimeError, match="stride 0"):
        check.gradcheck(torch.mul, (x, wide))
    with (
        pytest.warns(UserWarning, match="not a double precision"),
        pytest.raises(RuntimeError, match="Jacobian mismatch"),
    ):
        check.gradcheck(torch.sin, (x.detach().float().requires_grad_(),))


def test_results_outside_of_the_graph(torch, check, x):
    with pytest.raises(RuntimeError, match="Numerical gradient for function expected to be zero"):
        check.gradcheck(lambda x: x.detach() * 2, (x,))
    assert check.gradcheck(lambda x: torch.ones(2, dtype=torch.float64), (x,))


def test_inputs_found_elsewhere(torch, check):
    layer = torch.nn.Linear(2, 2).double()
    data = torch.ones(3, 2, dtype=torch.float64)
    before = layer.weight.detach().clone()
    assert check.gradcheck(lambda w, b: layer(data), (layer.weight, layer.bias))
    assert (layer.weight == before).all()


def own(torch, **methods):
    """A Function that doubles, but for these methods."""
    usual = {
        "forward": lambda ctx, x: 2 * x,
        "backward": lambda ctx, g: 2 * g,
        "jvp": lambda ctx, t: 2 * t,
    }
    return type("Own", (torch.autograd.Function,), {k: staticmethod(v) for k, v in {**usual, **methods}.items()}).apply


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # PyTorch's own
class TestForwardMode:
    def test_right_and_wrong_tangents(self, torch, check, fast, x):
        assert check.gradcheck(lambda x: x.sin() * x, (x,), check_forward_ad=True, fast_mode=fast)
        assert check.gradcheck(own(torch), (x,), check_forward_ad=True, fast_mode=fast)
        wrong = own(torch, jvp=lambda ctx, t: 3 * t)
        with pytest.raises(RuntimeError, match="Jacobian computed with forward mode mismatch for output 0"):
            check.gradcheck(wrong, (x,), check_forward_ad=True, fast_mode=fast)
        assert not check.gradcheck(wrong, (x,), check_forward_ad=True, fast_mode=fast, raise_exception=False)

    def test_alone(self, torch, check, fast, x):
        only = {"check_forward_ad": True, "check_backward_ad": False, "fast_mode": fast}
        assert check.gradcheck(own(torch, backward=lambda ctx, g: 3 * g), (x,), **only)

    def test_complex(self, torch, check, fast):
        z = torch.tensor([1 + 2j, 0.5 - 1j], dtype=torch.complex128, requires_grad=True)
        for f in (lambda z: z**2, lambda z: z.abs(), lambda z: z.conj() * z):
            assert check.gradcheck(f, (z,), check_forward_ad=True, fast_mode=fast)

    def test_over_reverse(self, torch, check, fast, x):
        assert check.gradgradcheck(lambda x: x**3, (x,), check_fwd_over_rev=True, fast_mode=fast)
        only = {"check_rev_over_rev": False, "check_undefined_grad": False, "fast_mode": fast}
        assert check.gradgradcheck(lambda x: x**3, (x,), check_fwd_over_rev=True, **only)

    def test_all_columns_at_once(self, torch, check, fast, x):
        both = {"check_forward_ad": True, "check_batched_forward_grad": True, "fast_mode": fast}
        assert check.gradcheck(lambda x: (x.sin(), x[:1] * x), (x,), **both)


def test_all_rows_at_once(torch, check, fast, x):
    assert check.gradcheck(lambda x: (x.sin(), x[:1] * x), (x,), check_batched_grad=True, fast_mode=fast)


def test_complex_results_of_real_inputs(torch, check, fast, x):
    assert check.gradcheck(lambda x: torch.complex(x, x**2), (x,), fast_mode=fast)


def test_nothing_to_check(torch, check, fast):
    x = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    assert check.gradcheck(lambda x: 2 * x, (x,), fast_mode=fast)


def test_constant_results_are_left_out(torch, check, fast, x):
    assert check.gradcheck(lambda x: (2 * x, x.long()), (x,), fast_mode=fast)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradcheck", {"check_backward_ad": False}),
        ("gradcheck", {"check_batched_forward_grad": True}),
        ("gradcheck", {"check_batched_grad": True, "check_backward_ad": False, "check_forward_ad": True}),
        ("gradgradcheck", {"check_rev_over_rev": False}),
        ("gradgradcheck", {"check_rev_over_rev": False, "check_fwd_over_rev": True}),
    ],
)
def test_options_that_need_others(refused_alike, name, options):
    def call(torch):
        x = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        getattr(torch.autograd, name)(lambda x: 2 * x, (x,), **options)

    refused_alike(call)

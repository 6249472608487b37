"""Operations of the user's own: `fuse`, `elementwise`."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import gradcu
from gradcu import func
from gradcu.autograd import forward_ad, gradcheck, gradgradcheck
from gradcu.backends import compiler
from gradcu.expr import NotPointwise
from gradcu.graph.op import registry

F = gradcu.nn.functional
needs_compiler = pytest.mark.skipif(compiler.find() is None, reason="no C++ compiler, or GRADCU_NATIVE=0")


def swish(x, beta=1.0):
    """x, where beta x is large."""
    return x * gradcu.sigmoid(beta * x)


def gated(x, y, mask, scale=2.0, kind="gelu"):
    z = F.gelu(x) if kind == "gelu" else gradcu.tanh(x)
    return gradcu.where(mask, z * y, gradcu.exp(-x) + scale)


def normal(*shape, dtype=gradcu.float64, seed=0):
    return gradcu.tensor(np.random.default_rng(seed).normal(size=shape)).to(dtype).requires_grad_()


fused, product = gradcu.fuse(gated), gradcu.fuse(lambda x, y: x * y.exp())
MASK = gradcu.tensor([[True], [False], [True]])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (gradcu.fuse(swish), lambda: (normal(3, 4),)),
        (lambda x: gradcu.fuse(swish)(x, beta=2), lambda: (normal(5),)),
        (lambda x, y: fused(x, y, MASK), lambda: (normal(3, 4), normal(4, seed=1))),
        (lambda x, y: fused(x, y, MASK, kind="tanh"), lambda: (normal(3, 4), normal(3, 1, seed=1))),
        (gradcu.fuse(lambda x, y: (x * y).exp()), lambda: (normal(), normal(2, 3))),
        (lambda x: product(x, x), lambda: (normal(4),)),
        (gradcu.fuse(lambda x: x), lambda: (normal(4),)),
        (gradcu.fuse(lambda x: x.clamp(-0.5, 0.5) ** 3 / (1 + x.abs())), lambda: (normal(4),)),
        (gradcu.fuse(lambda x, y: F.softplus(x).masked_fill(y > 0, 0.5)), lambda: (normal(4), normal(4, seed=1))),
    ],
)
def test_derivatives_of_fused_functions(function, inputs):
    """Of both orders, and in forward mode."""
    assert gradcheck(function, inputs(), check_forward_ad=True)
    assert gradgradcheck(function, inputs())


@pytest.mark.parametrize("size", [5, 20_000])
@pytest.mark.parametrize("dtype", [gradcu.float16, gradcu.bfloat16, gradcu.float32, gradcu.float64])
def test_a_fused_function_gives_what_the_function_gives(size, dtype):
    if dtype is gradcu.bfloat16:
        pytest.importorskip("ml_dtypes")
    results = []
    for function in (gradcu.fuse(gated), gated):
        x, y = normal(3, size, dtype=dtype), normal(size, dtype=dtype, seed=1)
        out = function(x, y, MASK, 0.5)
        out.sum().backward()
        assert out.dtype is x.grad.dtype is y.grad.dtype is dtype
        results.append([t.detach().double().numpy() for t in (out, x.grad, y.grad)])
    tolerance = {2: 2e-2, 4: 1e-5, 8: 1e-12}[dtype.itemsize]
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_derivatives_stop_where_the_function_says_so():
    """`detach` within a function counts for every order."""

    def function(x):
        return x * x.detach() + x.exp()

    for f in (function, gradcu.fuse(function)):
        x = gradcu.tensor(2.0, dtype=gradcu.float64, requires_grad=True)
        (first,) = gradcu.autograd.grad(f(x), x, create_graph=True)
        (second,) = gradcu.autograd.grad(first, x)
        assert first.item() == 2 + np.exp(2)
        assert second.item() == np.exp(2)


def test_tangents():
    f = gradcu.fuse(swish)
    x, t = normal(4).detach(), normal(4, seed=1).detach()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, t)
        got, want = (forward_ad.unpack_dual(g(dual)).tangent for g in (f, swish))
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12)


def test_as_a_decorator():
    f = gradcu.fuse(swish)
    assert f.__name__ == "swish"
    assert f.__doc__ == swish.__doc__
    assert repr(f) == "<pointwise swish(x, beta=1.0)>"
    assert f(normal(3)).grad_fn.name() == "SwishBackward0"
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        f()
    with pytest.raises(TypeError, match="expected a function"):
        gradcu.fuse(3)
    with pytest.raises(TypeError, match="no \\* or \\*\\*"):
        gradcu.fuse(lambda *x: x[0])


named = gradcu.fuse(swish)
named.__qualname__ = "named"


def test_copies_and_pickles_as_functions_do():
    assert copy.deepcopy([named])[0] is named
    assert pickle.loads(pickle.dumps(named)) is named


@needs_compiler
def test_one_kernel_each_way_and_none_for_a_new_number():
    f = gradcu.fuse(swish)
    x = normal(100, 100)
    for beta in (0.5, 1.5, 2):
        out = f(x, beta)
        np.testing.assert_array_equal(out.detach().numpy(), f._function(x, beta).detach().numpy())
    (operation,) = f._operations.values()
    assert len(operation.with_slope.kernel._built) == 1


@pytest.mark.parametrize("size", [10, 10_000])
def test_large_arrays_get_their_derivative_with_the_result(size):
    """As small ones do in backward: values, gradients of two orders, tangents."""
    f = gradcu.fuse(lambda x: gradcu.relu(gradcu.tanh(x) * x.exp()) * 0.5)
    x, g = normal(size), normal(size).detach()
    out, want = f(x), f._function(x)
    gradcu.testing.assert_close(out, want)
    (ours,) = gradcu.autograd.grad(out, x, g, retain_graph=True)
    gradcu.testing.assert_close(ours, gradcu.autograd.grad(want, x, g)[0])
    ours, theirs = (gradcu.autograd.grad(h(x), x, g, create_graph=True)[0] for h in (f, f._function))
    gradcu.testing.assert_close(*(gradcu.autograd.grad(d.sum(), x)[0] for d in (ours, theirs)))
    gradcu.testing.assert_close(*(gradcu.func.jvp(h, (x.detach(),), (g,))[1] for h in (f, f._function)))


@pytest.mark.parametrize("size", [10, 10_000])
def test_what_is_not_chosen_gets_no_infinite_gradient(size):
    x = gradcu.full((size,), -1.0, requires_grad=True)
    gradcu.fuse(lambda x: gradcu.relu(x * 2))(x).backward(gradcu.full((size,), float("inf")))
    assert not x.grad.any()


@pytest.mark.parametrize("size", [10, 10_000])
def test_an_input_that_is_changed_is_noticed(size):
    x = normal(size)
    y = x * 1
    out = gradcu.fuse(lambda x: gradcu.tanh(x) * x)(y)
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_number_on_which_the_function_branches():
    f = gradcu.fuse(lambda x, n: x**n if n > 1 else x * n)
    x = normal(3)
    for n in (2, 3.0, 0.5):
        np.testing.assert_allclose(f(x, n).detach().numpy(), f._function(x, n).detach().numpy(), rtol=1e-15)
    for n in np.linspace(0, 1, 100):  # too many: they are computed as they come
        assert f(x, float(n)).shape == (3,)
    assert len(f._operations) <= 64


def test_other_dtypes_are_given_to_the_function_itself():
    f = gradcu.fuse(lambda x, y: x * y + 1)
    assert f(gradcu.arange(3), gradcu.arange(3)).tolist() == [1, 2, 5]
    assert f(gradcu.tensor([1j]), 2.0).tolist() == [1 + 2j]


def test_settings_that_cannot_be_compared():
    f = gradcu.fuse(lambda x, powers: sum(x**p for p in powers))
    assert f(gradcu.tensor([2.0]), [1, 2]).tolist() == [6]
    assert f(gradcu.tensor([2.0]), (1, 2)).tolist() == [6]


def test_results_that_are_masks():
    f = gradcu.fuse(lambda x, y: (x > y) & ~(x < 0))
    x = gradcu.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    assert f(x, gradcu.tensor(-2.0)).tolist() == [False, True, True]
    assert not f(x, gradcu.tensor(-2.0)).requires_grad


OUTSIDE = gradcu.ones(3)


def in_place(x):
    y = x * 2
    y.add_(1)
    return y


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.sum(), "sum is no function of single elements"),
        (lambda x: x - x.mean(), "mean is no function"),
        (lambda x: gradcu.softmax(x, 0), "asks for the shape"),
        (lambda x: x * x.shape[-1], "asks for the shape"),
        (lambda x: x.t(), "asks for the shape"),
        (lambda x: x / x.numel(), "asks for the number of elements"),
        (lambda x: x if x > 0 else -x, "or for their values"),
        (lambda x: x * x.item(), "or for their values"),
        (lambda x: x[0], "elements by their index"),
        (lambda x: x.reshape(-1), "number of elements"),
        (lambda x: x @ x, "asks for the shape"),
        (lambda x: x + OUTSIDE, "from elsewhere: make that an argument"),
        (lambda x: (x, x), "returns tuple"),
        (lambda x: x.double(), "changes the dtype"),
        (in_place, "changes a tensor in place"),
    ],
)
def test_what_is_not_pointwise_is_refused(function, message):
    """The error names the function, and the line where there is one."""
    f = gradcu.fuse(function)
    with pytest.raises(NotPointwise, match=message) as caught:
        f(normal(3, dtype=gradcu.float32))
    assert f"{function.__name__} is not pointwise" in str(caught.value)
    if "tuple" not in message:
        assert f"of {__file__}: " in str(caught.value)


def test_an_error_of_the_users_own_is_left_as_it_is():
    def function(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gradcu.fuse(function)(normal(3))


def test_sources():
    f = gradcu.fuse(swish)
    text = f.source()
    assert "// swish: a0 is x, a1 is beta" in text
    assert "// swish_backward: a0 is g, a1 is x, a2 is beta" in text
    assert "// swish_with_derivative: a0 is x, a1 is beta" in text
    assert text.count('extern "C" void') == 3
    assert "double" in f.source(dtype=gradcu.float64)
    assert "from_float16" in f.source(dtype=gradcu.float16)
    cuda = f.source("cuda")
    assert "// E a0, float64 a1 -> E out0" in cuda
    assert "out0 = E(" in cuda
    with pytest.raises(ValueError, match="'cpu' or 'cuda'"):
        f.source("tpu")


@pytest.fixture
def declare():
    """`elementwise`, of which nothing is left."""
    before = set(registry)
    yield gradcu.elementwise
    for name in set(registry) - before:
        del registry[name]


def test_an_operation_from_its_formula(declare):
    op = declare("soft_step", lambda xp, x, beta=1.0: 1 / (1 + xp.exp(-beta * x)))
    assert gradcheck(op, (normal(4),), check_forward_ad=True)
    assert gradgradcheck(lambda x: op(x, beta=2.0), (normal(4),))
    twice = declare("soft_step_twice", lambda xp, x: xp.soft_step(xp.soft_step(x), 2.0))
    assert gradcheck(twice, (normal(4),))
    assert op(normal(2)).grad_fn.name() == "SoftStepBackward0"
    assert op.__name__ == "soft_step"


def test_an_operation_with_a_gradient_of_its_own(declare):
    op = declare("straight_through", lambda xp, x: xp.round(x), lambda xp, g: g)
    x = gradcu.tensor([0.2, 0.7], requires_grad=True)
    op(x).sum().backward()
    assert op(x).tolist() == [0, 1]
    assert x.grad.tolist() == [1, 1]
    product = declare("my_product", lambda xp, x, y: x * y, [lambda xp, g, y: g * y, lambda xp, g, x: g * x])
    assert gradcheck(product, (normal(3), normal(2, 3)))
    assert gradgradcheck(product, (normal(3), normal(2, 3)))


def test_names_of_operations(declare):
    with pytest.raises(ValueError, match="'gelu' is no free name"):
        declare("gelu", lambda xp, x: x * 2)
    with pytest.raises(ValueError, match="is no free name"):
        declare("my op", lambda xp, x: x * 2)
    assert declare("mine", lambda xp, x: x * 2)(gradcu.ones(1)).item() == 2
    assert declare("mine", lambda xp, x: x * 3)(gradcu.ones(1)).item() == 3  # as a cell is run again
    with pytest.raises(NotPointwise, match="sum is no function"):
        declare("total", lambda xp, x: xp.sum(x))


def test_graphs_of_fused_functions_die_by_reference_counting():
    f = gradcu.fuse(swish)
    gc.collect()
    gc.disable()
    try:
        x = normal(3)
        out = f(x)
        (g,) = gradcu.autograd.grad(out.sum(), x, create_graph=True)
        dead = weakref.ref(x), weakref.ref(out)
        del x, out, g
        assert all(r() is None for r in dead)
    finally:
        gc.enable()


def test_transforms():
    """Fused functions under `vmap`, gradients within it, and Jacobians by either mode."""
    x, y = normal(3, 4).detach(), normal(4, seed=1).detach()
    for transform in (
        lambda f: func.vmap(f, in_dims=(0, None))(x, y),
        lambda f: func.vmap(func.grad(lambda a, b: f(a, b).sum(), argnums=1), in_dims=(0, None))(x, y),
        lambda f: func.jacrev(f)(x[0], y),
        lambda f: func.jacfwd(f)(x[0], y),
        lambda f: func.hessian(lambda a: f(a, y).sum())(x[0]),
    ):
        got, want = transform(product), transform(lambda a, b: a * b.exp())
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12)

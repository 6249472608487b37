"""`gradcu.func`: derivatives of functions. Every fact is one of gradcu and of PyTorch."""

import importlib

import pytest

# PyTorch compiles its own decompositions when forward mode is first used, and traces what it linearizes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning"),
]


@pytest.fixture
def func(torch):
    return importlib.import_module(f"{torch.__name__}.func")


def close(torch, got, want):
    return torch.allclose(got, torch.tensor(want), atol=1e-5)


def test_grad(torch, func):
    x = torch.tensor([1.0, 2.0])
    g = func.grad(lambda x: (x**3).sum())(x)
    assert g.tolist() == [3.0, 12.0]
    assert not g.requires_grad
    assert not x.requires_grad


def test_grad_of_chosen_arguments_and_trees(torch, func):
    x, y = torch.tensor(2.0), torch.tensor(5.0)
    assert func.grad(lambda x, y: x * y, argnums=1)(x, y).item() == 2.0
    assert [g.item() for g in func.grad(lambda x, y: x * y, argnums=(1, 0))(x, y)] == [2.0, 5.0]
    g = func.grad(lambda p, k: k * p["w"] * p["b"][0])({"w": x, "b": [y]}, k=3.0)
    assert g["w"].item() == 15.0
    assert g["b"][0].item() == 6.0


def test_grad_and_value_with_aux(torch, func):
    g, (value, aux) = func.grad_and_value(lambda x: (x**2, {"twice": 2 * x}), has_aux=True)(torch.tensor(3.0))
    assert (g.item(), value.item(), aux["twice"].item()) == (6.0, 9.0, 6.0)
    assert not value.requires_grad
    assert not aux["twice"].requires_grad
    g, aux = func.grad(lambda x: (x**2, 2 * x), has_aux=True)(torch.tensor(3.0))
    assert (g.item(), aux.item()) == (6.0, 6.0)


def test_nesting(torch, func):
    x = torch.tensor(2.0)
    assert func.grad(func.grad(func.grad(lambda x: x**4)))(x).item() == 48.0
    # the inner derivative is by y alone: no confusion of perturbations
    assert func.grad(lambda x: x * func.grad(lambda y: x + y)(torch.tensor(1.0)))(x).item() == 1.0


def test_results_can_be_differentiated_by_what_the_caller_tracks(torch, func):
    w = torch.tensor(3.0, requires_grad=True)
    g = func.grad(lambda x: w * x**2)(torch.tensor(2.0))
    g.backward()
    assert w.grad.item() == 4.0
    x = torch.tensor(2.0, requires_grad=True)
    func.grad(lambda x: x**3)(x).backward()
    assert x.grad.item() == 12.0
    with torch.no_grad():
        assert not func.grad(lambda x: w * x**2)(torch.tensor(2.0)).requires_grad


def test_independent_results_have_zero_gradients(torch, func):
    assert func.grad(lambda x: torch.ones(()))(torch.ones(2)).tolist() == [0.0, 0.0]
    assert func.jvp(lambda x: torch.ones(2), (torch.ones(2),), (torch.ones(2),))[1].tolist() == [0.0, 0.0]


def test_vjp(torch, func):
    x = torch.tensor([1.0, 2.0])
    value, pull = func.vjp(lambda x, y: {"p": x * y["v"], "s": x.sum()}, x, {"v": 2 * x})
    assert value["p"].tolist() == [2.0, 8.0]
    for _ in range(2):  # the graph stays
        gx, gy = pull({"p": torch.ones(2), "s": torch.tensor(10.0)})
        assert gx.tolist() == [12.0, 14.0]
        assert gy["v"].tolist() == [1.0, 2.0]


def test_jvp(torch, func):
    x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0])
    value, along = func.jvp(lambda x: {"s": x**2}, (x,), (v,))
    assert value["s"].tolist() == [1.0, 4.0]
    assert along["s"].tolist() == [2.0, 40.0]
    *_, aux = func.jvp(lambda x: (x, x + 1), (x,), (v,), has_aux=True)
    assert aux.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("order", ["jvp of jvp", "jvp of grad", "grad of jvp", "jacfwd of jvp", "jvp of jacrev"])
def test_forward_mode_composes(torch, func, order):
    """All are the second derivative of x**4, 12 x**2, at 2."""
    x, one = torch.tensor(2.0), torch.tensor(1.0)

    def along(f):
        return lambda x: func.jvp(f, (x,), (one,))[1]

    make = {"jvp": along, "grad": func.grad, "jacfwd": func.jacfwd, "jacrev": func.jacrev}
    outer, inner = order.split(" of ")
    assert make[outer](make[inner](lambda x: x**4))(x).item() == 48.0


def test_linearize(torch, func):
    calls = []

    def f(x):
        calls.append(1)
        return x.sin() * x

    x = torch.tensor([0.5, 1.5])
    value, push = func.linearize(f, x)
    runs = len(calls)
    for v in (torch.ones(2), torch.tensor([0.0, 2.0])):
        assert torch.allclose(push(v), func.jvp(lambda x: x.sin() * x, (x,), (v,))[1])
    assert torch.allclose(value, x.sin() * x)
    assert len(calls) == runs


@pytest.mark.parametrize("name", ["jacrev", "jacfwd"])
def test_jacobians(torch, func, name):
    jacobian = getattr(func, name)
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [3.0, 4.0], [5.0, 6.0]])
    assert jacobian(lambda x: x**2)(x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    both = jacobian(lambda x, y: y @ x, argnums=(0, 1))(x, y)
    assert both[0].tolist() == y.tolist()
    assert both[1].shape == (3, 3, 2)
    assert both[1][1].tolist() == [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]
    tree = jacobian(lambda p: {"s": p["x"].sum(), "q": (p["x"] * 2,)})({"x": x})
    assert tree["s"]["x"].tolist() == [1.0, 1.0]
    assert tree["q"][0]["x"].tolist() == [[2.0, 0.0], [0.0, 2.0]]
    got, aux = jacobian(lambda x: (x * 2, x + 1), has_aux=True)(x)
    assert got.tolist() == [[2.0, 0.0], [0.0, 2.0]]
    assert aux.tolist() == [2.0, 3.0]


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_hessians_agree(torch, func):
    x = torch.linspace(-1, 1, 6)
    want = func.hessian(rosenbrock)(x)
    assert want.shape == (6, 6)
    assert torch.allclose(want, want.T)
    rows = [func.grad(lambda x, i=i: func.grad(rosenbrock)(x)[i])(x) for i in range(6)]
    assert torch.allclose(want, torch.stack(rows), rtol=1e-4)
    for outer in (func.jacfwd, func.jacrev):
        for inner in (func.jacfwd, func.jacrev):
            assert torch.allclose(outer(inner(rosenbrock))(x), want, rtol=1e-4)
    parts = func.hessian(lambda x, y: (x * y**2).sum(), argnums=(0, 1))(torch.ones(2), torch.ones(2))
    assert parts[0][1].tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_complex_gradients(torch, func):
    z = torch.tensor([1 + 2j, 3 - 1j])
    assert torch.allclose(func.grad(lambda z: (z * z.conj()).real.sum())(z), 2 * z)
    assert torch.allclose(func.jvp(lambda z: z**2, (z,), (torch.ones_like(z),))[1], 2 * z)
    assert torch.allclose(func.jvp(lambda z: z.abs(), (z,), (z,))[1], z.abs())


def test_vmap(torch, func):
    x, y = torch.arange(6.0).reshape(2, 3), torch.ones(3)
    assert func.vmap(torch.dot, in_dims=(0, None))(x, y).tolist() == [3.0, 12.0]
    assert func.vmap(lambda x: x.sum(), in_dims=1)(x).tolist() == [3.0, 5.0, 7.0]
    assert func.vmap(lambda x: x, out_dims=1)(x).tolist() == x.T.tolist()
    out = func.vmap(lambda d, k: {"a": d["u"] * k}, in_dims=({"u": 0}, None))({"u": x}, 2.0)
    assert out["a"].tolist() == (x * 2).tolist()
    assert func.vmap(func.vmap(lambda a: a * 2))(x).tolist() == (x * 2).tolist()
    assert func.vmap(lambda x, y: x + y)(x, y=y).tolist() == (x + y).tolist()


def test_per_sample_gradients(torch, func):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    params = {n: p.detach() for n, p in net.named_parameters()}
    x, t = torch.randn(5, 3), torch.randn(5, 1)

    def loss(params, x, t):
        return ((func.functional_call(net, params, (x,)) - t) ** 2).mean()

    each = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(params, x, t)
    total = func.grad(loss)(params, x, t)
    for name, p in params.items():
        assert each[name].shape == (5, *p.shape)
        assert torch.allclose(each[name].mean(0), total[name], atol=1e-5)


def test_vmap_randomness(torch, func):
    same = func.vmap(lambda x: x + torch.rand(3), randomness="same")(torch.zeros(2, 3))
    assert torch.equal(same[0], same[1])
    different = func.vmap(lambda x: x + torch.rand(3), randomness="different")(torch.zeros(2, 3))
    assert not torch.equal(different[0], different[1])


def test_functional_call(torch, func):
    net = torch.nn.Linear(2, 1)
    before = net.weight
    new = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    assert func.functional_call(net, new, torch.ones(2)).tolist() == [2.0]
    assert net.weight is before
    parts = ({"weight": new["weight"]}, {"bias": new["bias"]})
    assert func.functional_call(net, parts, (), {"input": torch.ones(2)}).tolist() == [2.0]
    with pytest.raises(RuntimeError, match="Missing key"):
        func.functional_call(net, {"weight": new["weight"]}, torch.ones(2), strict=True)
    with pytest.raises(ValueError, match="appeared in multiple dictionaries"):
        func.functional_call(net, (new, new), torch.ones(2))
    with pytest.raises(RuntimeError):  # and the parameters are back after an error
        func.functional_call(net, new, torch.ones(3))
    assert net.weight is before


def test_tied_weights(torch, func):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    new = {"0.weight": 2 * torch.eye(2)}
    assert func.functional_call(net, new, torch.ones(2)).tolist() == [4.0, 4.0]


def test_ensembles(torch, func):
    nets = [torch.nn.Linear(3, 2) for _ in range(4)]
    params, buffers = func.stack_module_state(nets)
    assert params["weight"].shape == (4, 2, 3)
    assert params["weight"].requires_grad
    assert params["weight"].is_leaf
    x = torch.randn(5, 3)
    out = func.vmap(lambda p, b: func.functional_call(nets[0], (p, b), (x,)))(params, buffers)
    assert torch.allclose(out, torch.stack([net(x) for net in nets]), atol=1e-6)
    with pytest.raises(RuntimeError, match="at least one model"):
        func.stack_module_state([])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f, x: f.grad(lambda x: x)(x), RuntimeError, "return a scalar Tensor, got tensor with 1 dims"),
        (lambda f, x: f.grad(lambda x: 3)(x), RuntimeError, "return a Tensor, got <class 'int'>"),
        (lambda f, x: f.grad(lambda x: x.sum(), has_aux=True)(x), RuntimeError, r"should be a tuple: \(output, aux\)"),
        (lambda f, x: f.grad(lambda x: x, argnums=2)(x), RuntimeError, "Got argnum=2, but only 1 positional inputs"),
        (lambda f, x: f.grad(lambda x: x, argnums=())(x), RuntimeError, "argnums must be non-empty"),
        (lambda f, x: f.grad(lambda x, y: x, argnums=(0, -2))(x, x), RuntimeError, "argnums elements must be unique"),
        (lambda f, x: f.grad(lambda x: x)(2.0), ValueError, "must be Tensor, got <class 'float'>"),
        (lambda f, x: f.grad(lambda x: x)(x.int()), RuntimeError, "only Tensors of floating point dtype"),
        (lambda f, x: f.vjp(lambda x: 3, x), RuntimeError, "to return only tensors, got unsupported type"),
        (lambda f, x: f.vjp(lambda x: x * 2, x)[1]((x, x)), RuntimeError, "structure of cotangents"),
        (lambda f, x: f.vjp(lambda x: x * 2, x)[1](x[:2]), RuntimeError, "Mismatch in shape"),
        (lambda f, x: f.jvp(lambda x: x, x, (x,)), RuntimeError, "Expected primals to be a tuple"),
        (lambda f, x: f.jvp(lambda x: x, (x,), (x, x)), RuntimeError, "the same python structure"),
        (lambda f, x: f.jvp(lambda x: x, (x,), (x[:2],)), RuntimeError, "different size"),
        (lambda f, x: f.jvp(lambda y: x * 1, (x,), (x,), strict=True), RuntimeError, "independent of the inputs"),
        (lambda f, x: f.linearize(lambda x: x * 2, x)[1](x[:2]), RuntimeError, "doesn't match the shape"),
        (lambda f, x: f.vmap(lambda x: x)(3), ValueError, "cannot vmap over non-Tensor arguments"),
        (lambda f, x: f.vmap(lambda: 3)(), ValueError, "got no inputs"),
        (lambda f, x: f.vmap(lambda x, y: x)(x, x[:2]), ValueError, "the same size in the mapped dimension"),
        (lambda f, x: f.vmap(lambda x: x, in_dims=2)(x), ValueError, "dimensionality 1"),
        (lambda f, x: f.vmap(lambda x: x, in_dims=(0, 0))(x), ValueError, "in_dims is not compatible"),
        (lambda f, x: f.vmap(lambda x: 3)(x), ValueError, "must only return Tensors"),
        (lambda f, x: f.vmap(lambda x: x, out_dims=(0, 0))(x), ValueError, "out_dims is not compatible"),
        (lambda f, x: f.vmap(lambda x: x, randomness="b")(x), RuntimeError, "Only allowed values for randomness"),
        (lambda f, x: f.vmap(lambda x: x, chunk_size=0)(x), ValueError, "chunk_size should be None or greater"),
    ],
)
def test_errors(torch, func, call, error, message):
    with pytest.raises(error, match=message):
        call(func, torch.ones(3))

"""autograd.functional: Jacobians, Hessians and products with them."""

import importlib

import pytest


@pytest.fixture
def functional(torch):
    return importlib.import_module(f"{torch.__name__}.autograd.functional")


def test_jacobian_of_one_tensor(torch, functional):
    x = torch.tensor([1.0, 2.0, 3.0])
    found = functional.jacobian(lambda x: x**2, x)
    assert found.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    assert not found.requires_grad
    assert not x.requires_grad


def test_jacobian_of_several(torch, functional):
    x, y = torch.arange(3.0), torch.ones(2)
    (a, b), (c, d) = functional.jacobian(lambda x, y: (x.sum() * y, x * 2), (x, y))
    assert [tuple(t.shape) for t in (a, b, c, d)] == [(2, 3), (2, 2), (3, 3), (3, 2)]
    assert b.tolist() == [[3.0, 0.0], [0.0, 3.0]]
    assert d.tolist() == [[0.0, 0.0]] * 3


def test_jacobian_keeps_the_structure(torch, functional):
    x = torch.ones(2)
    assert isinstance(functional.jacobian(lambda x: (x * 2,), x), tuple)
    assert isinstance(functional.jacobian(lambda x: x * 2, (x,)), tuple)
    assert functional.jacobian(lambda x: torch.ones(3), x).tolist() == [[0.0, 0.0]] * 3


def test_jacobian_can_be_differentiated(torch, functional):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    functional.jacobian(lambda x: x**3, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


@pytest.mark.filterwarnings("ignore:.*jit.script.*:DeprecationWarning")  # PyTorch's own
@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}])
def test_strategies_agree(torch, functional, options):
    found = functional.jacobian(lambda x: x.sin() * x.sum(), torch.tensor([0.5, 1.0]), **options)
    by_hand = functional.jacobian(lambda x: x.sin() * x.sum(), torch.tensor([0.5, 1.0]))
    assert torch.allclose(found, by_hand)


def test_strict(torch, functional):
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="Output 0 of the user-provided function does not require gradients"):
        functional.jacobian(lambda x: torch.ones(2), x, strict=True)
    with pytest.raises(RuntimeError, match="Output 0 of the user-provided function is independent of input 1"):
        functional.jacobian(lambda x, y: x * 2, (x, x), strict=True)
    with pytest.raises(RuntimeError, match="jacobian of the user-provided function is independent of input 0"):
        functional.jacobian(lambda x: x * 2, x, strict=True, create_graph=True)
    with pytest.raises(RuntimeError, match="independent of the input"):
        functional.hessian(lambda x: x.sum(), x, strict=True)
    with pytest.raises(RuntimeError, match="independent of the input"):
        functional.hvp(lambda x: x.sum(), x, x, strict=True)
    with pytest.raises(RuntimeError, match="not supported together"):
        functional.jacobian(lambda x: x, x, strict=True, vectorize=True)


def test_hessian(torch, functional):
    x, y = torch.arange(3.0), torch.ones(2)
    assert functional.hessian(lambda x: (x**3).sum(), x).tolist() == [[0, 0, 0], [0, 6, 0], [0, 0, 12]]
    (a, b), (_, d) = functional.hessian(lambda x, y: (x**3).sum() * y.sum(), (x, y))
    assert a.diagonal().tolist() == [0.0, 12.0, 24.0]
    assert b.tolist() == [[0.0, 0.0], [3.0, 3.0], [12.0, 12.0]]
    assert d.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(RuntimeError, match="should contain a single element"):
        functional.hessian(lambda x: x**3, x)


@pytest.mark.parametrize("name", ["vjp", "jvp"])
def test_products_with_the_jacobian(torch, functional, name):
    x, v = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.5, 2.0])
    matrix = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0]])

    def f(x):
        return matrix @ x.exp()

    value, product = getattr(functional, name)(f, x, v)
    jacobian = functional.jacobian(f, x)
    assert torch.allclose(value, f(x))
    assert torch.allclose(product, v @ jacobian if name == "vjp" else jacobian @ v)
    assert not product.requires_grad


@pytest.mark.parametrize("name", ["vhp", "hvp"])
def test_products_with_the_hessian(torch, functional, name):
    x, v = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.5, 2.0])

    def f(x):
        return (x.exp() * x.flip(0)).sum()

    value, product = getattr(functional, name)(f, x, v)
    assert torch.allclose(value, f(x))
    assert torch.allclose(product, functional.hessian(f, x) @ v)


def test_products_with_tuples(torch, functional):
    x, y = torch.arange(3.0), torch.ones(2)

    def f(x, y):
        return x.sum() * y, x * 2

    outputs, products = functional.vjp(f, (x, y), (torch.ones(2), torch.ones(3)))
    assert [o.tolist() for o in outputs] == [[3.0, 3.0], [0.0, 2.0, 4.0]]
    assert [p.tolist() for p in products] == [[4.0] * 3, [3.0] * 2]
    _, products = functional.jvp(f, (x, y), (x, y))
    assert [p.tolist() for p in products] == [[6.0, 6.0], [0.0, 2.0, 4.0]]


def test_products_with_create_graph(torch, functional):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for name in ("vjp", "jvp"):
        _, product = getattr(functional, name)(lambda x: x**3, x, torch.ones(2), create_graph=True)
        (g,) = torch.autograd.grad(product.sum(), x)
        assert g.tolist() == [6.0, 12.0]


def test_wrong_vectors(torch, functional):
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match=r"v has invalid size: should be .* but got"):
        functional.vjp(lambda x: x, x, torch.ones(2))
    with pytest.raises(RuntimeError, match="The vector v can only be None"):
        functional.jvp(lambda x: x, x)
    with pytest.raises(RuntimeError, match="v is a tuple of invalid length: should be 2 but got 1"):
        functional.vjp(lambda x: (x, x), x, x)
    with pytest.raises(TypeError, match="must be either a Tensor or a tuple of Tensors"):
        functional.jacobian(lambda x: x, [x])
    with pytest.raises(TypeError, match="outputs of the user-provided function"):
        functional.jacobian(lambda x: 3, x)


STRATEGIES = [
    {},
    {"vectorize": True},
    {"vectorize": True, "strategy": "forward-mode"},
]


@pytest.mark.parametrize("options", STRATEGIES, ids=["rows", "vectorized", "forward"])
def test_ways_to_a_jacobian_agree(torch, functional, options):
    def several(x, y):
        return x * y, (x**2).sum(), y[:, None] * 2

    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    (first, second, third) = functional.jacobian(several, (x, y), **options)
    assert [j.tolist() for j in first] == [[[3.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]]
    assert [j.tolist() for j in second] == [[2.0, 4.0], [0.0, 0.0]]
    assert [tuple(j.shape) for j in third] == [(2, 1, 2), (2, 1, 2)]
    assert not first[0].requires_grad


@pytest.mark.parametrize("options", STRATEGIES[1:], ids=["vectorized", "forward"])
def test_jacobian_of_complex_numbers(torch, functional, options):
    """By rows a vjp, which conjugates; by columns the derivative itself."""
    (got,) = functional.jacobian(lambda z: z**2, torch.tensor([1 + 2j]), **options).flatten().tolist()
    assert got == (2 + 4j if "strategy" in options else 2 - 4j)


@pytest.mark.parametrize("inner", STRATEGIES, ids=["rows", "vectorized", "forward"])
def test_ways_to_a_hessian_agree(torch, functional, inner):
    options = {"vectorize": "vectorize" in inner, "outer_jacobian_strategy": inner.get("strategy", "reverse-mode")}
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    (xx, xy), (yx, yy) = functional.hessian(lambda x, y: (x * y**2).sum(), (x, y), **options)
    assert xx.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert xy.tolist() == yx.tolist() == [[6.0, 0.0], [0.0, 8.0]]
    assert yy.tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_vectorized_jacobian_can_be_differentiated(torch, functional):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    j = functional.jacobian(lambda x: x**3, x, create_graph=True, vectorize=True)
    (g,) = torch.autograd.grad(j.sum(), x)
    assert g.tolist() == [6.0, 12.0]


REFUSED = {
    "strategy": lambda f, x: f.jacobian(square, x, strategy="sideways"),
    "forward and create_graph": lambda f, x: f.jacobian(
        square, x, strategy="forward-mode", vectorize=True, create_graph=True
    ),
    "strict and vectorize": lambda f, x: f.jacobian(square, x, strict=True, vectorize=True),
    "input": lambda f, x: f.jacobian(square, 3),
    "one of the inputs": lambda f, x: f.jacobian(square, (x, 3)),
    "output": lambda f, x: f.jacobian(lambda x: 3, x),
    "one of the outputs": lambda f, x: f.vjp(lambda x: (x, 3), x),
    "constant output": lambda f, x: f.jacobian(lambda x: x.detach(), x, strict=True),
    "unused input": lambda f, x: f.jacobian(lambda x, y: x * 2, (x, x), strict=True),
    "unused input of vjp": lambda f, x: f.vjp(lambda x, y: x.sum(), (x, x), strict=True),
    "unused input of jvp": lambda f, x: f.jvp(lambda x, y: x.sum(), (x, x), (x, x), strict=True),
    "unused input of vhp": lambda f, x: f.vhp(lambda x, y: x.sum(), (x, x), (x, x), strict=True),
    "linear": lambda f, x: f.hvp(lambda x: x.sum(), x, x, strict=True),
    "linear jacobian": lambda f, x: f.jacobian(lambda x: 2 * x, x, strict=True, create_graph=True),
    "linear vjp": lambda f, x: f.vjp(lambda x: x.sum(), x, strict=True, create_graph=True),
    "linear jvp": lambda f, x: f.jvp(lambda x: x.sum(), x, x, strict=True, create_graph=True),
    "not scalar": lambda f, x: f.hessian(square, x),
    "several": lambda f, x: f.hvp(lambda x: (x.sum(), x.sum()), x, x),
    "no vector": lambda f, x: f.jvp(square, x),
    "vectors": lambda f, x: f.jvp(square, x, (x, x)),
    "shape of the vector": lambda f, x: f.vjp(square, x, x[:1]),
    "shape in the tuple": lambda f, x: f.vjp(lambda x: (x, x), x, (x, x[:1])),
    "type of the vector": lambda f, x: f.vjp(square, x, 3),
}


def square(x):
    return x**2


@pytest.mark.parametrize("case", REFUSED)
def test_refused(refused_alike, case):
    refused_alike(lambda torch: REFUSED[case](torch.autograd.functional, torch.tensor([1.0, 2.0])))


@pytest.mark.parametrize("name", ["vhp", "hvp"])
def test_value_keeps_its_shape(torch, functional, name):
    value, _ = getattr(functional, name)(lambda x: (x**2).sum().reshape(1), torch.ones(2), torch.ones(2))
    assert value.shape == (1,)

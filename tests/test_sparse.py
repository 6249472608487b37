"""Sparse tensors: what they are, how they print, and their products, against PyTorch's."""

import copy
import warnings

import numpy as np
import pytest

import gradcu

PLACES, VALUES = [[0, 1, 1, 2], [2, 0, 2, 2]], [3.0, 4.0, 5.0, 0.5]
TWICE = [[0, 0, 1, 0], [1, 1, 0, 1]]


@pytest.fixture(autouse=True)
def quiet():
    """PyTorch warns that its sparse tensors are not checked, and that CSR is in beta."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        yield


def matrix(torch, places=PLACES, values=VALUES, size=(3, 4), **settings):
    return torch.sparse_coo_tensor(torch.tensor(places), torch.tensor(values), size, **settings)


def test_parts(torch):
    a = matrix(torch)
    assert isinstance(a, torch.Tensor)
    assert a.is_sparse
    assert not torch.ones(2).is_sparse
    assert a.layout is torch.sparse_coo
    assert (tuple(a.shape), a.dim(), a.numel(), a.dtype, str(a.device)) == ((3, 4), 2, 12, torch.float32, "cpu")
    assert (a._nnz(), a.sparse_dim(), a.dense_dim(), a.is_coalesced()) == (4, 2, 0, False)
    with pytest.raises(RuntimeError, match=r"please call \.coalesce\(\) first"):
        a.indices()
    a = a.coalesce()
    assert a.indices().tolist() == PLACES
    assert a.values().tolist() == VALUES
    assert a.to_dense().tolist() == [[0, 0, 3, 0], [4, 0, 5, 0], [0, 0, 0.5, 0]]


def test_values_at_one_place_add_up(torch):
    values = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    a = torch.sparse_coo_tensor(torch.tensor(TWICE), values, (2, 2))
    assert a.to_dense().tolist() == [[0, 7], [3, 0]]
    b = a.coalesce()
    assert b.is_coalesced()
    assert b.indices().tolist() == [[0, 1], [1, 0]]
    (b.values() * torch.tensor([1.0, 10.0])).sum().backward()
    assert values.grad.tolist() == [1, 1, 10, 1]


def test_from_and_to_dense(torch):
    x = torch.tensor([[0.0, 1.0], [2.0, 0.0]], requires_grad=True)
    a = x.to_sparse()
    assert a.is_coalesced()
    assert a.indices().tolist() == [[0, 1], [1, 0]]
    (a.to_dense() ** 2).sum().backward()
    assert x.grad.tolist() == [[0, 2], [4, 0]]
    assert torch.ones(2).to_dense().tolist() == [1, 1]
    hybrid = torch.sparse_coo_tensor(torch.tensor([[1, 0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), (2, 2))
    assert hybrid.dense_dim() == 1
    assert hybrid.to_dense().tolist() == [[3, 4], [1, 2]]


PRODUCTS = {
    "@": lambda t, a, x, b: a @ x,
    "torch.sparse.mm": lambda t, a, x, b: t.sparse.mm(a, x),
    "torch.mm": lambda t, a, x, b: t.mm(a, x),
    "torch.spmm": lambda t, a, x, b: t.spmm(a, x),
    "torch.matmul": lambda t, a, x, b: t.matmul(a, x),
    "mm": lambda t, a, x, b: a.mm(x),
    "vector": lambda t, a, x, b: a.mv(x[:, 0]),
    "@ vector": lambda t, a, x, b: a @ x[:, 0],
    "transposed": lambda t, a, x, b: a.t() @ b,
    "T": lambda t, a, x, b: a.transpose(0, 1).mm(b),
    "dense @": lambda t, a, x, b: b.t() @ a,
    "torch.mm dense": lambda t, a, x, b: t.mm(b.t(), a),
    "addmm": lambda t, a, x, b: t.addmm(b, a, x, beta=2.0, alpha=0.5),
    "sparse.addmm": lambda t, a, x, b: t.sparse.addmm(b, a, x),
    "coalesced": lambda t, a, x, b: t.sparse.mm(a.coalesce(), x),
    "scaled": lambda t, a, x, b: (a * 2.0 / 3.0) @ x,
    "summed": lambda t, a, x, b: (a + a) @ x,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_and_gradients(original, name):
    rng = np.random.default_rng(0)
    dense, other = rng.standard_normal((2, 3, 2)), rng.standard_normal((4, 2))
    found = []
    for torch in (gradcu, original):
        values = torch.tensor(VALUES, dtype=torch.float64, requires_grad=True)
        x, b = (torch.tensor(v, requires_grad=True) for v in (other, dense[0]))
        a = torch.sparse_coo_tensor(torch.tensor(PLACES), values, (3, 4))
        y = PRODUCTS[name](torch, a, x, b)
        y.pow(2).sum().backward()
        found.append([y.detach(), *(t.grad for t in (values, x, b))])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_sparse_leaf_has_a_sparse_gradient(torch):
    a = matrix(torch, requires_grad=True)
    x = torch.arange(8.0).reshape(4, 2)
    torch.sparse.mm(a, x).sum().backward()
    assert a.grad.is_sparse
    assert a.grad.coalesce().values().tolist() == [9, 1, 9, 9]


def test_a_product_can_be_differentiated_twice():
    values = gradcu.tensor(VALUES, dtype=gradcu.float64, requires_grad=True)
    x = gradcu.randn(4, 2, dtype=gradcu.float64, requires_grad=True)
    product = lambda v, x: gradcu.sparse_coo_tensor(PLACES, v, (3, 4)) @ x  # noqa: E731
    assert gradcu.autograd.gradcheck(product, (values, x))
    assert gradcu.autograd.gradgradcheck(product, (values, x))


@pytest.mark.parametrize("compiled", [True, False])
def test_large_products(original, monkeypatch, compiled):
    if not compiled:
        monkeypatch.setattr("gradcu.backends.rows._compiled", lambda dtype: None)
    rng = np.random.default_rng(1)
    places, values = rng.integers(0, 500, (2, 3000)), rng.standard_normal(3000).astype("float32")
    x = rng.standard_normal((500, 16)).astype("float32")
    ours, theirs = (
        t.sparse_coo_tensor(t.tensor(places), t.tensor(values), (500, 500)) @ t.tensor(x) for t in (gradcu, original)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_rows_without_elements_and_no_elements(torch):
    a = torch.sparse_coo_tensor(torch.tensor([[2], [0]]), torch.tensor([2.0]), (4, 3))
    assert (a @ torch.ones(3, 2)).tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]
    empty = torch.sparse_coo_tensor(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), (4, 3))
    assert (empty @ torch.ones(3, 2)).tolist() == [[0, 0]] * 4
    assert empty.to_dense().tolist() == [[0, 0, 0]] * 4


PRINTED = {
    "coo": lambda t: matrix(t),
    "coalesced": lambda t: matrix(t, TWICE, size=(2, 2)).coalesce(),
    "requires grad": lambda t: matrix(t, requires_grad=True),
    "result": lambda t: t.sparse_coo_tensor(t.tensor(PLACES), t.tensor(VALUES, requires_grad=True) * 2, (3, 4)),
    "double": lambda t: matrix(t).double(),
    "integers": lambda t: matrix(t, values=[1, 2, 3, 4]),
    "vector": lambda t: t.tensor([0.0, 1.0, 2.0]).to_sparse(),
    "hybrid": lambda t: t.sparse_coo_tensor(t.tensor([[0, 1]]), t.ones(2, 3), (2, 3)),
    "empty": lambda t: t.sparse_coo_tensor((2, 3)),
    "many": lambda t: t.sparse_coo_tensor(t.arange(3000).reshape(2, 1500), t.ones(1500)),
    "csr": lambda t: t.sparse_csr_tensor(t.tensor([0, 1, 3]), t.tensor([2, 0, 2]), t.tensor([3.0, 4.0, 5.0]), (2, 3)),
    "to csr": lambda t: matrix(t).to_sparse_csr().double(),
    "difference": lambda t: (matrix(t) - matrix(t, TWICE, size=(3, 4))).coalesce(),
    "of the sums": lambda t: matrix(t, TWICE, size=(2, 2)).coalesce().sqrt(),
    "sum": lambda t: t.sparse.sum(matrix(t), 1),
    "sum of all": lambda t: t.sparse.sum(matrix(t)),
    "softmax": lambda t: t.sparse.softmax(matrix(t), 1),
    "log softmax": lambda t: t.sparse.log_softmax(matrix(t), 0),
    "transposed": lambda t: matrix(t).t().coalesce(),
    "negated": lambda t: -matrix(t),
    "times dense": lambda t: matrix(t).coalesce() * t.arange(12.0).reshape(3, 4),
    "plus dense": lambda t: t.ones(3, 4) + matrix(t),
}


@pytest.mark.parametrize("name", PRINTED)
def test_printing(original, name):
    assert repr(PRINTED[name](gradcu)).replace("gradcu", "torch") == repr(PRINTED[name](original))


def test_csr(torch):
    a = torch.sparse_csr_tensor(torch.tensor([0, 1, 3]), torch.tensor([2, 0, 2]), torch.tensor([3.0, 4.0, 5.0]), (2, 3))
    assert a.layout is torch.sparse_csr
    assert not a.is_sparse
    assert a.crow_indices().tolist() == [0, 1, 3]
    assert a.col_indices().tolist() == [2, 0, 2]
    assert a.values().tolist() == [3, 4, 5]
    assert (a @ torch.ones(3, 2)).tolist() == [[3, 3], [9, 9]]
    assert a.to_dense().tolist() == [[0, 0, 3], [4, 0, 5]]
    assert torch.eye(2).to_sparse_csr().crow_indices().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: matrix(gradcu, values=[1.0]), RuntimeError, "same nnz"),
        (lambda: matrix(gradcu, size=(2, 3)), RuntimeError, "for dim 0, size is 2 but found index 2"),
        (lambda: matrix(gradcu, size=(3,)), RuntimeError, "number of dimensions"),
        (lambda: gradcu.sparse_coo_tensor([0, 1], [1.0, 2.0]), RuntimeError, "sparse_dim x nnz"),
        (lambda: gradcu.sparse_coo_tensor([[0.5]], [1.0]), RuntimeError, "integers"),
        (lambda: gradcu.sparse_csr_tensor([0, 2], [0], [1.0]), RuntimeError, "crow_indices ends at 2"),
        (lambda: matrix(gradcu) @ gradcu.ones(2, 2), RuntimeError, "Expected dim 0 size 4, got 2"),
        (lambda: matrix(gradcu) @ gradcu.ones(4, 2).double(), RuntimeError, "scalar type Float but found Double"),
        (lambda: matrix(gradcu) @ matrix(gradcu).t(), NotImplementedError, "to_dense"),
        (lambda: gradcu.exp(matrix(gradcu)), NotImplementedError, r"exp\(\): .*\.sparse_coo: call to_dense\(\)"),
        (lambda: matrix(gradcu).view(12), NotImplementedError, "to_dense"),
        (lambda: matrix(gradcu)[0], NotImplementedError, "to_dense"),
        (lambda: gradcu.add(gradcu.ones(3, 4), matrix(gradcu)), NotImplementedError, "to_dense"),
        (lambda: matrix(gradcu) + 1, NotImplementedError, "not sparse"),
        (lambda: matrix(gradcu).numpy(), TypeError, "to_dense"),
        (lambda: matrix(gradcu).crow_indices(), RuntimeError, "crow_indices expected"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_in_modules(torch):
    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("adjacency", matrix(torch, TWICE, size=(2, 2)), persistent=False)
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.linear(torch.sparse.mm(self.adjacency, x))

    graph = Graph().double()
    assert graph.adjacency.dtype is torch.float64
    assert graph(torch.ones(2, 3, dtype=torch.float64)).shape == (2, 2)
    assert copy.deepcopy(graph).to("cpu").adjacency.to_dense().tolist() == graph.adjacency.to_dense().tolist()
    assert graph.adjacency.detach().clone().to(torch.float32).dtype is torch.float32


# --- sparse gradients ---


def table(torch, **settings):
    layer = torch.nn.Embedding(5, 2, sparse=True, **settings)
    layer.weight.data = torch.arange(10.0).reshape(5, 2) / 4
    return layer


USED = [[1, 3], [3, 0]]
LOSSES = {
    "rows": lambda t, layer, i: layer(i).exp().sum(),
    "rows twice": lambda t, layer, i: layer(i).sum() + layer(i[0]).exp().sum(),
    "rows before dense ones": lambda t, layer, i: (layer.weight * 3).sum() + layer(i).sum() + layer.weight.exp().sum(),
    "rows after dense ones": lambda t, layer, i: layer(i).sum() + (layer.weight * 3).sum() + layer.weight.exp().sum(),
    "in bags": lambda t, layer, i: t.nn.functional.embedding_bag(i, layer.weight, sparse=True).exp().sum(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_embeddings_have_sparse_gradients(original, loss):
    found = []
    for t in (gradcu, original):
        layer = table(t)
        for _ in range(2):  # the second is added to the first
            LOSSES[loss](t, layer, t.tensor(USED)).backward()
        found.append((layer.weight.grad.is_sparse, layer.weight.grad.to_dense().numpy()))
    assert found[0][0] is found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-6)


def test_sparse_gradients_by_grad_and_by_hooks(torch):
    layer, seen = table(torch, padding_idx=1), []
    layer.weight.register_hook(lambda g: seen.append(g.is_sparse) or g * 2)
    layer(torch.tensor(USED)).sum().backward()
    assert layer.weight.grad.to_dense()[:, 0].tolist() == [2, 0, 0, 4, 0]
    (g,) = torch.autograd.grad((layer(torch.tensor(USED)) ** 2).sum(), layer.weight, create_graph=True)
    assert seen == [True, True]
    (g.to_dense().sum() / 2).backward()
    assert layer.weight.grad.to_dense()[:, 0].tolist() == [6, 0, 0, 12, 0]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {"lr": 0.1, "maximize": True}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}),
        ("SparseAdam", {"lr": 0.1}),
    ],
)
def test_optimizers_step_rows(original, name, settings):
    found = []
    for t in (gradcu, original):
        layer = table(t)
        optimizer = getattr(t.optim, name)(layer.parameters(), **settings)
        for i in (USED, USED, USED[0]):
            optimizer.zero_grad()
            (layer(t.tensor(i)) ** 2).sum().backward()
            optimizer.step()
        found.append((layer.weight.data, optimizer.state_dict()["state"]))
    np.testing.assert_allclose(*(weight.numpy() for weight, _ in found), rtol=1e-6)
    mine, theirs = (state.get(0, {}) for _, state in found)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        np.testing.assert_allclose(np.asarray(value), np.asarray(theirs[key]), rtol=1e-6)


def test_what_takes_no_sparse_gradients_says_so(torch):
    layer = table(torch)
    layer(torch.tensor(USED)).sum().backward()
    for make, message in [
        (lambda p: torch.optim.Adam(p), "does not support sparse gradients, please consider SparseAdam"),
        (lambda p: torch.optim.RMSprop(p), "RMSprop does not support sparse gradients"),
        (lambda p: torch.optim.Adagrad(p, weight_decay=0.1), "weight_decay option is not compatible with sparse"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            make(layer.parameters()).step()
    dense = torch.ones(2, requires_grad=True)
    dense.sum().backward()
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
        torch.optim.SparseAdam([dense]).step()
    with pytest.raises(ValueError, match="max mode does not support sparse"):
        torch.nn.functional.embedding_bag(torch.tensor(USED), layer.weight, mode="max", sparse=True)


def test_sparse_gradients_are_of_leaves():
    with pytest.raises(RuntimeError, match="Pass sparse=False"):
        gradcu.nn.functional.embedding(gradcu.tensor(USED), table(gradcu).weight * 2, sparse=True)

"""`nn.utils`: clipping, vectors of parameters, fusing, normalized weights, parametrizations, pruning: PyTorch's."""

import copy
import importlib

import numpy as np
import pytest

import gradcu

RNG = np.random.default_rng(5)


def utils(lib, name):
    return importlib.import_module(f"{lib.__name__}.nn.utils.{name}")


def copied(lib, layer, original_layer):
    """`layer` with the values of another library's."""
    layer.load_state_dict({k: lib.tensor(v.detach().numpy()) for k, v in original_layer.state_dict().items()})
    return layer


def close(got, want, **kwargs):
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), **{"rtol": 1e-9, "atol": 1e-12, **kwargs})


# --- gradients and vectors ---


def graded(lib):
    params = [lib.tensor(np.arange(n, dtype="f8"), requires_grad=True) for n in (2, 3)]
    for p in params:
        p.grad = p.detach() - 1.5
    return [*params, lib.ones(2, requires_grad=True)]


@pytest.mark.parametrize(("limit", "order"), [(1.0, 2.0), (100.0, 2.0), (1.0, 1), (1.0, float("inf")), (1.0, 3)])
def test_norms_of_gradients_are_clipped(original, limit, order):
    found = []
    for lib in (gradcu, original):
        params = graded(lib)
        total = lib.nn.utils.clip_grad_norm_(params, limit, norm_type=order)
        again = lib.nn.utils.get_total_norm([p.grad for p in params[:2]], order)
        found.append([total, again, *(p.grad for p in params[:2])])
    for got, want in zip(*found, strict=True):
        close(got, want)


def _large(lib, dtype="f4", count=7):
    params = [lib.ones(300 + i, dtype=getattr(lib, {"f4": "float32", "f8": "float64"}[dtype])) for i in range(count)]
    for i, p in enumerate(params):
        p.grad = lib.tensor(np.random.default_rng(i).standard_normal(len(p)).astype(dtype))
    return params


@pytest.mark.parametrize("limit", [0.5, 1e6])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", ["all different", "stepped", "shared", "infinite", "NaN"])
def test_large_gradients_are_clipped_together(original, kind, dtype, limit):
    found = []
    for lib in (gradcu, original):
        params = _large(lib, dtype)
        if kind == "stepped":
            params[2].grad = lib.tensor(np.arange(2 * len(params[2]), dtype=dtype))[::2]
        elif kind == "shared":
            params.append(lib.ones(300, dtype=params[0].dtype))
            params[-1].grad = params[0].grad
        elif kind != "all different":
            params[3].grad[5] = float("inf" if kind == "infinite" else "nan")
        total = lib.nn.utils.clip_grad_norm_(params, limit)
        found.append([total, *(p.grad for p in params)])
    for got, want in zip(*found, strict=True):
        close(got, want, rtol=1e-6 if dtype == "f4" else 1e-9)


def test_clipping_counts_as_a_change(torch):
    """So that no backward takes the values from before."""
    params = _large(torch)
    weight = torch.ones(300, requires_grad=True)
    product = (weight * params[0].grad).sum()
    torch.nn.utils.clip_grad_norm_(params, 0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_values_of_gradients_are_clipped(torch):
    params = graded(torch)
    torch.nn.utils.clip_grad_value_(params, 1)
    assert [p.grad.tolist() for p in params[:2]] == [[-1, -0.5], [-1, -0.5, 0.5]]
    torch.nn.utils.clip_grad_value_(params[0], 0.25)
    assert params[0].grad.tolist() == [-0.25, -0.25]


def test_a_norm_that_is_not_finite_is_refused_on_demand(refused_alike):
    def call(lib):
        p = lib.ones(1, requires_grad=True)
        p.grad = lib.full((1,), float("inf"))
        lib.nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)

    refused_alike(call)


def test_parameters_as_a_vector_and_back(torch):
    a, b = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    vector = torch.nn.utils.parameters_to_vector(a.parameters())
    assert vector.shape == (9,)
    torch.nn.utils.vector_to_parameters(vector, b.parameters())
    assert b.weight.tolist() == a.weight.tolist()
    assert b.bias.requires_grad


# --- fusing and starting ---


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Conv2d", (2, 3, 2), (2, 2, 4, 4)),
        ("Conv1d", (2, 3, 2, 1, 0, 1, 1, False), (2, 2, 4)),
        ("ConvTranspose2d", (2, 3, 2), (2, 2, 4, 4)),
        ("Linear", (2, 3), (4, 2)),
    ],
)
def test_batch_normalization_is_fused_into_the_layer_before(torch, name, args, shape):
    nn = torch.nn
    layer = getattr(nn, name)(*args)
    norm = getattr(nn, f"BatchNorm{max(len(shape) - 2, 1)}d")(3)
    pair = nn.Sequential(layer, norm)
    for _ in range(3):
        pair(torch.tensor(RNG.standard_normal(shape).astype("f4")))
    pair.eval()
    if name == "Linear":
        fused = nn.utils.fuse_linear_bn_eval(layer, norm)
    else:
        fused = nn.utils.fuse_conv_bn_eval(layer, norm, transpose="Transpose" in name)
    x = torch.tensor(RNG.standard_normal(shape).astype("f4"))
    close(fused(x), pair(x), rtol=1e-4, atol=1e-5)
    assert isinstance(fused.weight, nn.Parameter)


def test_modules_are_made_without_values(torch):
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 2, 3, dtype=torch.float64)
    assert (layer.weight.shape, layer.weight.dtype) == ((3, 2), torch.float64)
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        torch.nn.utils.skip_init(torch.nn.ReLU)


def test_memory_formats_change_no_weight(torch):
    layer = torch.nn.Conv2d(2, 3, 2)
    weight = layer.weight.tolist()
    assert torch.nn.utils.convert_conv2d_weight_memory_format(layer, torch.channels_last) is layer
    assert layer.to(memory_format=torch.channels_last).weight.tolist() == weight


# --- weight and spectral normalization ---


def trained(lib, layer, x, steps=3):
    """A result and the parameters and buffers after some steps of SGD."""
    optimizer = lib.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        out = layer(lib.tensor(x))
        (out * out.detach().cos()).sum().backward()
        optimizer.step()
    return [out, *layer.state_dict().values(), layer.eval()(lib.tensor(x))]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("old", [True, False], ids=["hook", "parametrization"])
def test_weight_norm_trains_as_pytorchs(original, old, dim):
    found, base = [], original.nn.Conv1d(2, 3, 2).double()
    for lib in (gradcu, original):
        layer = copied(lib, lib.nn.Conv1d(2, 3, 2).double(), base)
        (lib.nn.utils if old else lib.nn.utils.parametrizations).weight_norm(layer, dim=dim)
        found.append([list(layer.state_dict()), trained(lib, layer, RNG_X)])
    assert found[0][0] == found[1][0]
    for got, want in zip(found[0][1], found[1][1], strict=True):
        close(got, want)


RNG_X = RNG.standard_normal((4, 2, 5))


@pytest.mark.parametrize("old", [True, False], ids=["hook", "parametrization"])
@pytest.mark.parametrize("kind", ["Conv1d", "ConvTranspose1d"])
def test_spectral_norm_trains_as_pytorchs(original, old, kind):
    theirs = getattr(original.nn, kind)(2, 3, 2).double()
    place = original.nn.utils if old else original.nn.utils.parametrizations
    place.spectral_norm(theirs, n_power_iterations=2)
    mine = getattr(gradcu.nn, kind)(2, 3, 2).double()
    (gradcu.nn.utils if old else gradcu.nn.utils.parametrizations).spectral_norm(mine, n_power_iterations=2)
    copied(gradcu, mine, theirs)
    assert dict(mine.state_dict()._metadata) == dict(theirs.state_dict()._metadata)
    for got, want in zip(trained(gradcu, mine, RNG_X), trained(original, theirs, RNG_X), strict=True):
        close(got, want, rtol=1e-7)


def test_spectral_norm_reads_its_oldest_states(torch):
    weight, bias = torch.tensor([[2.0, 1.0], [0.5, 3.0], [1.0, 1.0]]), torch.zeros(3)
    u, scale, v = torch.linalg.svd(weight)
    old = {"weight_orig": weight, "weight": weight / scale[0], "weight_u": u[:, 0], "bias": bias}
    layer = torch.nn.utils.spectral_norm(torch.nn.Linear(2, 3))
    layer.load_state_dict(dict(old))
    np.testing.assert_allclose(layer.weight_v.numpy(), v[0].numpy(), rtol=1e-5)
    del old["weight_u"]
    with pytest.raises(RuntimeError, match="weight_u"):
        layer.load_state_dict(old)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_normalized_weights_become_ordinary_ones_again(torch, name):
    layer = torch.nn.Linear(3, 2)
    u = torch.nn.utils
    getattr(u, name)(layer)
    with pytest.raises(RuntimeError, match=f"Cannot register two {name} hooks on the same parameter weight"):
        getattr(u, name)(layer)
    before = layer.eval()(torch.ones(1, 3))
    getattr(u, f"remove_{name}")(layer)
    assert sorted(n for n, _ in layer.named_parameters()) == ["bias", "weight"]
    close(layer(torch.ones(1, 3)), before, rtol=1e-5)
    assert len(layer._forward_pre_hooks) == 0
    with pytest.raises(ValueError, match=f"{name} of 'weight' not found"):
        getattr(u, f"remove_{name}")(layer)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_states_of_the_old_weight_norm_load_into_the_new(torch):
    old = torch.nn.utils.weight_norm(torch.nn.Linear(3, 2))
    new = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    close(new(torch.ones(1, 3)), old(torch.ones(1, 3)), rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal_matrices_stay_orthogonal(torch, shape, kind, trivial):
    torch.manual_seed(0)
    layer = torch.nn.Linear(shape[1], shape[0], bias=False).double()
    made = torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=trivial)
    assert made is layer
    trained(torch, layer.train(), RNG.standard_normal((2, shape[1])))
    q = layer.weight.detach().numpy()
    q = q if shape[0] >= shape[1] else q.T
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-9)
    if trivial:  # an orthogonal matrix may be assigned
        target = torch.nn.init.orthogonal_(torch.empty(*shape, dtype=torch.float64))
        layer.weight = target
        close(layer.weight, target, atol=1e-7)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
def test_orthogonal_maps_are_pytorchs(original, kind, shape):
    start, found = RNG.standard_normal(shape), []
    for lib in (gradcu, original):
        layer = lib.nn.Linear(shape[1], shape[0], bias=False).double()
        with lib.no_grad():
            layer.weight.copy_(lib.tensor(start))
        lib.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=kind, use_trivialization=False)
        (layer.weight * lib.tensor(start)).sum().backward()
        found.append([layer.weight, layer.parametrizations.weight.original.grad])
    for got, want in zip(*found, strict=True):
        close(got, want, atol=1e-9)


# --- parametrizations ---


def symmetric(lib):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

        def right_inverse(self, x):
            return x.triu()

    return Symmetric()


def doubled(lib):
    class Doubled(lib.nn.Module):
        def forward(self, x):
            return x * 2

    return Doubled()


def summed(lib):
    """A tensor as the sum of two."""

    class Summed(lib.nn.Module):
        def forward(self, x, y):
            return x + y

        def right_inverse(self, z):
            return z * 0.25, z * 0.75

    return Summed()


def test_a_parametrized_weight_is_computed_from_its_original(torch):
    p = utils(torch, "parametrize")
    layer = torch.nn.Linear(3, 3)
    assert p.register_parametrization(layer, "weight", symmetric(torch)) is layer
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, torch.nn.Linear)
    assert p.type_before_parametrizations(layer) is torch.nn.Linear
    assert (layer.weight == layer.weight.T).all()
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer.weight = torch.ones(3, 3)
    assert layer.parametrizations.weight.original.tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    assert (p.is_parametrized(layer), p.is_parametrized(layer, "bias")) == (True, False)


def test_parametrizations_are_applied_in_turn_and_removed(torch):
    p = utils(torch, "parametrize")
    layer = torch.nn.Linear(3, 3)
    original = layer.weight
    p.register_parametrization(layer, "weight", symmetric(torch))
    p.register_parametrization(layer, "weight", doubled(torch))
    value = layer.weight.tolist()
    assert copy.deepcopy(layer).weight.tolist() == value
    assert p.remove_parametrizations(layer, "weight") is layer
    assert type(layer) is torch.nn.Linear
    assert layer.weight is original
    assert layer.weight.tolist() == value
    assert "weight" in dict(layer.named_parameters())
    p.register_parametrization(layer, "weight", doubled(torch))
    p.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.tolist() == value


def test_a_tensor_from_several(torch):
    p = utils(torch, "parametrize")
    layer = torch.nn.Linear(2, 2)
    weight = layer.weight.detach().clone()
    p.register_parametrization(layer, "weight", summed(torch))
    assert [n for n, _ in layer.parametrizations.weight.named_parameters()] == ["original0", "original1"]
    close(layer.weight, weight, rtol=1e-6)
    layer.weight = torch.full((2, 2), 4.0)
    assert layer.parametrizations.weight.original0.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        p.remove_parametrizations(layer, "weight", leave_parametrized=False)
    p.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, torch.nn.Parameter)


def test_cached_parametrizations_are_computed_once(torch):
    p = utils(torch, "parametrize")
    layer = p.register_parametrization(torch.nn.Linear(2, 2), "weight", symmetric(torch))
    with p.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_parametrizations_are_shared_with_another_module(torch):
    p = utils(torch, "parametrize")
    a = p.register_parametrization(torch.nn.Linear(2, 2), "weight", symmetric(torch))
    b = torch.nn.Linear(2, 2)
    p.transfer_parametrizations_and_params(a, b)
    assert b.weight.tolist() == a.weight.tolist()
    assert b.parametrizations.weight.original is a.parametrizations.weight.original


def test_buffers_are_parametrized_too(torch):
    p = utils(torch, "parametrize")
    m = torch.nn.Module()
    m.register_buffer("b", torch.ones(2))
    p.register_parametrization(m, "b", doubled(torch))
    assert m.b.tolist() == [2, 2]
    assert list(m.state_dict()) == ["parametrizations.b.original"]


def wrong(lib, name, result):
    class Wrong(lib.nn.Module):
        def forward(self, *x):
            return result(x[0]) if name == "forward" else x[0]

    if name == "right_inverse":
        Wrong.right_inverse = lambda self, x: result(x)
    return Wrong()


def register(lib, *several, name="weight", then=None):
    layer = lib.nn.Linear(2, 2)
    for parametrization in several:
        utils(lib, "parametrize").register_parametrization(layer, name, parametrization)
    return then(layer) if then else layer


PARAMETRIZED_WRONGLY = {
    "unknown name": lambda lib: register(lib, doubled(lib), name="w"),
    "shape": lambda lib: register(lib, wrong(lib, "forward", lambda x: x[0])),
    "dtype": lambda lib: register(lib, wrong(lib, "forward", lambda x: x.double())),
    "no tensor": lambda lib: register(lib, wrong(lib, "forward", lambda x: 3)),
    "shape of the second": lambda lib: register(lib, doubled(lib), wrong(lib, "forward", lambda x: x[0])),
    "inverse of the second": lambda lib: register(lib, doubled(lib), wrong(lib, "right_inverse", lambda x: x[0])),
    "inverse no tensor": lambda lib: register(lib, wrong(lib, "right_inverse", lambda x: 3)),
    "inverse dtype": lambda lib: register(lib, wrong(lib, "right_inverse", lambda x: x.double())),
    "no inverse": lambda lib: register(lib, doubled(lib), then=lambda m: setattr(m, "weight", lib.ones(2, 2))),
    "remove": lambda lib: utils(lib, "parametrize").remove_parametrizations(lib.nn.Linear(1, 1), "weight"),
    "empty": lambda lib: utils(lib, "parametrize").ParametrizationList([], lib.ones(1)),
    "orthogonal vector": lambda lib: lib.nn.utils.parametrizations.orthogonal(lib.nn.Linear(2, 2), "bias"),
    "orthogonal map": lambda lib: lib.nn.utils.parametrizations.orthogonal(lib.nn.Linear(2, 2), orthogonal_map="qr"),
    "spectral": lambda lib: lib.nn.utils.parametrizations.spectral_norm(lib.nn.Linear(2, 2), n_power_iterations=0),
    "spectral dim": lambda lib: lib.nn.utils.parametrizations.spectral_norm(lib.nn.Linear(2, 2), dim=2),
    "nothing there": lambda lib: lib.nn.utils.parametrizations.spectral_norm(lib.nn.ReLU()),
    "fusing in training": lambda lib: lib.nn.utils.fuse_conv_bn_eval(lib.nn.Conv1d(1, 1, 1), lib.nn.BatchNorm1d(1)),
}


@pytest.mark.parametrize("mistake", PARAMETRIZED_WRONGLY)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(PARAMETRIZED_WRONGLY[mistake])


def test_parametrized_modules_are_not_pickled(torch):
    import pickle

    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(register(torch, doubled(torch)))


# --- pruning ---


PRUNINGS = {
    "identity": (),
    "l1_unstructured": (0.4,),
    "ln_structured": (0.5, 2, 0),
    "ln_structured 1": (1, float("inf"), -1),
    "custom_from_mask": ("mask",),
}


@pytest.mark.parametrize("name", PRUNINGS)
@pytest.mark.parametrize("twice", [False, True])
def test_masks_are_pytorchs(original, name, twice):
    start, found = RNG.standard_normal((4, 5)), []
    mask = RNG.random((4, 5)) > 0.5
    for lib in (gradcu, original):
        layer = lib.nn.Linear(5, 4, bias=False).double()
        with lib.no_grad():
            layer.weight.copy_(lib.tensor(start))
        prune = utils(lib, "prune")
        args = tuple(lib.tensor(mask) if a == "mask" else a for a in PRUNINGS[name])
        for _ in range(1 + twice):
            assert getattr(prune, name.split()[0])(layer, "weight", *args) is layer
        layer(lib.ones(1, 5, dtype=lib.float64)).sum().backward()
        assert prune.is_pruned(lib.nn.Sequential(layer))
        found.append([layer.weight, layer.weight_mask, layer.weight_orig.grad, list(layer.state_dict())])
        prune.remove(layer, "weight")
        assert isinstance(layer.weight, lib.nn.Parameter)
        assert list(layer.state_dict()) == ["weight"]
        assert not prune.is_pruned(layer)
        found[-1].append(layer.weight)
    for got, want in zip(*found, strict=True):
        close(got, want) if not isinstance(got, list) else np.testing.assert_array_equal(got, want)


def test_random_pruning_takes_its_amount(torch):
    prune = utils(torch, "prune")
    layer = torch.nn.Linear(10, 10)
    prune.random_unstructured(layer, "weight", amount=0.3)
    assert layer.weight_mask.sum().item() == 70
    prune.random_unstructured(layer, "weight", amount=20)
    assert layer.weight_mask.sum().item() == 50
    other = torch.nn.Linear(10, 10)
    prune.random_structured(other, "weight", amount=3, dim=1)
    assert sorted(other.weight_mask.sum(0).tolist()) == [0] * 3 + [10] * 7


def test_several_parameters_are_pruned_as_one(original):
    a, b, found = RNG.standard_normal((2, 3)), RNG.standard_normal((3, 2)), []
    for lib in (gradcu, original):
        layers = [lib.nn.Linear(3, 2), lib.nn.Linear(2, 3)]
        with lib.no_grad():
            for layer, value in zip(layers, (a, b), strict=True):
                layer.weight.copy_(lib.tensor(value))
        prune = utils(lib, "prune")
        places = [(layer, "weight") for layer in layers]
        prune.global_unstructured(places, pruning_method=prune.L1Unstructured, amount=4)
        prune.global_unstructured(places, pruning_method=prune.L1Unstructured, amount=0.5)
        found.append([layer.weight_mask for layer in layers])
    for got, want in zip(*found, strict=True):
        close(got, want)


def test_pruned_models_train_on_what_is_left(torch):
    prune = utils(torch, "prune")
    layer = torch.nn.Linear(3, 2)
    prune.l1_unstructured(layer, "weight", amount=2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    layer(torch.ones(1, 3))
    assert (layer.weight == 0).sum().item() == 2


def test_own_ways_to_prune(torch):
    prune = utils(torch, "prune")

    class Threshold(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def __init__(self, limit):
            self.limit = limit

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask[t.abs() < self.limit] = 0
            return mask

    layer = torch.nn.Linear(1, 3)
    layer.weight.data = torch.tensor([[1.0], [-3.0], [2.0]])
    Threshold.apply(layer, "weight", limit=1.5)
    assert layer.weight.tolist() == [[0], [-3], [2]]
    assert Threshold(2.5).prune(torch.tensor([1.0, 3.0])).tolist() == [0, 3]


PRUNED_WRONGLY = {
    "type": lambda p, layer: p.l1_unstructured(layer, "weight", "a"),
    "part": lambda p, layer: p.l1_unstructured(layer, "weight", 1.5),
    "too many": lambda p, layer: p.l1_unstructured(layer, "weight", 7),
    "vector": lambda p, layer: p.ln_structured(layer, "bias", 1, 2, 0),
    "dim": lambda p, layer: p.ln_structured(layer, "weight", 1, 2, 2),
    "remove": lambda p, layer: p.remove(layer, "weight"),
    "global": lambda p, layer: p.global_unstructured([(layer, "weight")], p.LnStructured, amount=1, n=2),
}


@pytest.mark.parametrize("mistake", PRUNED_WRONGLY)
def test_wrong_prunings_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(lambda lib: PRUNED_WRONGLY[mistake](utils(lib, "prune"), lib.nn.Linear(3, 2)))

"""Modules: what they hold, how they are walked, saved, printed and hooked, and that layers are PyTorch's."""

import copy
import math
import pickle

import numpy as np
import pytest

import gradcu
from gradcu import nn

# --- layers: constructor arguments, the shape of an input (None: printed only) ---

LAYERS = [
    ("Linear", (3, 4), {}, (2, 3)),
    ("Linear", (3, 4), {"bias": False}, (2, 3)),
    ("Bilinear", (3, 3, 2), {}, None),
    ("Conv1d", (2, 4, 3), {"stride": 2, "padding": 1}, (2, 2, 7)),
    ("Conv2d", (2, 4, 3), {"padding": "same", "dilation": 2}, (2, 2, 6, 5)),
    ("Conv2d", (2, 4, (3, 2)), {"groups": 2, "bias": False, "padding": 1, "padding_mode": "reflect"}, (2, 2, 6, 5)),
    ("Conv3d", (2, 3, 2), {}, (1, 2, 3, 4, 3)),
    ("ConvTranspose1d", (2, 3, 3), {"stride": 2, "output_padding": 1}, (2, 2, 4)),
    ("ConvTranspose2d", (2, 4, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 2, 4, 3)),
    ("MaxPool2d", (2,), {}, (2, 3, 5, 6)),
    ("AvgPool2d", (2,), {"padding": 1, "count_include_pad": False}, (2, 3, 5, 6)),
    ("AvgPool1d", (2,), {}, (2, 3, 6)),
    ("AdaptiveAvgPool2d", ((2, None),), {}, (2, 3, 5, 6)),
    ("AdaptiveMaxPool1d", (2,), {}, (2, 3, 5)),
    ("LPPool2d", (2, 2), {}, (2, 3, 4, 6)),
    ("BatchNorm1d", (3,), {}, (4, 3)),
    ("BatchNorm2d", (3,), {"momentum": None}, (2, 3, 4, 4)),
    ("BatchNorm2d", (3,), {"affine": False, "track_running_stats": False}, (2, 3, 4, 4)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 4)),
    ("LayerNorm", ((3, 4),), {}, (2, 3, 4)),
    ("LayerNorm", (4,), {"elementwise_affine": False}, (2, 3, 4)),
    ("RMSNorm", (4,), {}, (2, 3, 4)),
    ("GroupNorm", (2, 4), {}, (2, 4, 3)),
    ("LocalResponseNorm", (2,), {}, (2, 4, 3)),
    ("Dropout", (0.0,), {}, (2, 3)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Unflatten", (1, (2, 3)), {}, (2, 6)),
    ("Unfold", (2,), {}, (2, 3, 4, 4)),
    ("PixelShuffle", (2,), {}, (1, 4, 2, 2)),
    ("Upsample", (), {"scale_factor": 2}, (1, 2, 3, 3)),
    ("ZeroPad2d", (1,), {}, (1, 2, 3, 3)),
    ("ReflectionPad1d", ((1, 2),), {}, (1, 2, 4)),
    ("ConstantPad2d", (1, 3.5), {}, (1, 2, 3, 3)),
    ("Identity", (7,), {}, (2,)),
    *((name, (), {}, (3, 4)) for name in "ReLU ReLU6 SiLU Mish SELU Hardswish Hardsigmoid Sigmoid Tanh LogSigmoid "
      "Softsign Tanhshrink ELU CELU LeakyReLU PReLU GELU GLU Hardtanh Softplus Hardshrink Softshrink".split()),
    ("GELU", (), {"approximate": "tanh"}, (3, 4)),
    ("ReLU", (), {"inplace": True}, None),
    ("Threshold", (0.1, 2.0), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4)),
    ("LogSoftmax", (1,), {}, (3, 4)),
    ("Softmin", (1,), {}, (3, 4)),
    ("Softmax2d", (), {}, (2, 3, 2, 2)),
]  # fmt: skip
PRINTED_ONLY = [
    ("Embedding", (3, 4), {"padding_idx": 0, "max_norm": 1.0}),
    ("EmbeddingBag", (3, 4), {}),
    ("CrossEntropyLoss", (), {}),
    ("MSELoss", (), {}),
    ("Dropout", (0.2, True), {}),
    ("MaxUnpool2d", (2,), {}),
    ("FractionalMaxPool2d", (2, 3), {}),
    ("Fold", (2, 2), {}),
    ("CosineSimilarity", (), {}),
    ("RReLU", (), {}),
    ("CTCLoss", (), {}),
    ("LinearCrossEntropyLoss", (3, 2), {"out_features": (4,)}),
    ("CircularPad1d", (1,), {}),
]


def layer_id(case):
    name, args, kwargs = case[:3]
    return "-".join([name, *map(str, args), *kwargs])


@pytest.mark.parametrize("case", [c for c in LAYERS if c[3] is not None], ids=layer_id)
def test_layers_compute_and_differentiate_as_pytorchs(original, case):
    name, args, kwargs, shape = case
    theirs = getattr(original.nn, name)(*args, **kwargs).double()
    mine = getattr(nn, name)(*args, **kwargs).double()
    state = {k: gradcu.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert mine.load_state_dict(state) == ([], [])
    x = np.random.default_rng(1).standard_normal(shape)
    for training in (True, False):
        results = []
        for lib, module in ((gradcu, mine), (original, theirs)):
            module.train(training)
            given = lib.tensor(x, requires_grad=True)
            result = module(given)
            (result * result.detach().cos()).sum().backward()
            results.append([result.detach(), given.grad, *(p.grad for p in module.parameters()), *module.buffers()])
        for got, want in zip(*results, strict=True):
            np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("case", LAYERS + PRINTED_ONLY, ids=layer_id)
def test_layers_print_as_pytorchs(original, case):
    name, args, kwargs = case[:3]
    assert repr(getattr(nn, name)(*args, **kwargs)) == repr(getattr(original.nn, name)(*args, **kwargs))


LOSSES = [
    ("L1Loss", {}),
    ("MSELoss", {"reduction": "sum"}),
    ("SmoothL1Loss", {"beta": 0.5}),
    ("HuberLoss", {"delta": 0.5, "reduction": "none"}),
    ("BCEWithLogitsLoss", {}),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}),
    ("NLLLoss", {"ignore_index": 1}),
    ("KLDivLoss", {"reduction": "batchmean"}),
]


@pytest.mark.parametrize("case", LOSSES, ids=lambda c: c[0])
def test_losses_are_pytorchs(original, case):
    name, settings = case
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((4, 3)), rng.random((4, 3))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        y = np.array([0, 2, 1, 2])
    found = [getattr(lib.nn, name)(**settings)(lib.tensor(x), lib.tensor(y)).numpy() for lib in (gradcu, original)]
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_weights_of_losses_move_and_are_saved(torch):
    loss = torch.nn.CrossEntropyLoss(weight=torch.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype is torch.float64


SEQUENCES = [  # shapes of the inputs
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, [(2, 3), (2, 4)]),
    ("GRUCell", (3, 4), {"bias": False}, [(2, 3)]),
    ("LSTMCell", (3, 4), {}, [(2, 3)]),
    ("RNN", (3, 4), {"num_layers": 2, "bidirectional": True}, [(5, 2, 3), (4, 2, 4)]),
    ("GRU", (3, 4), {"batch_first": True}, [(2, 5, 3)]),
    ("LSTM", (3, 4), {"proj_size": 2, "num_layers": 2}, [(5, 2, 3)]),
    ("LSTM", (3, 4), {"bidirectional": True}, [(5, 3)]),
    ("MultiheadAttention", (4, 2), {"batch_first": True}, [(2, 3, 4)] * 3),
    ("MultiheadAttention", (4, 2), {"kdim": 3, "vdim": 5, "add_bias_kv": True}, [(2, 1, 4), (3, 1, 3), (3, 1, 5)]),
    ("TransformerEncoderLayer", (4, 2, 8), {"norm_first": True, "activation": "gelu"}, [(3, 2, 4)]),
    ("TransformerDecoderLayer", (4, 2, 8), {}, [(3, 2, 4), (5, 2, 4)]),
    ("Transformer", (4, 2, 1, 1, 8), {"batch_first": True}, [(2, 3, 4), (2, 5, 4)]),
]


@pytest.mark.parametrize("case", SEQUENCES, ids=layer_id)
def test_recurrent_layers_and_attention_are_pytorchs(original, case):
    name, args, kwargs, shapes = case
    theirs = getattr(original.nn, name)(*args, **kwargs).double().eval()
    mine = getattr(nn, name)(*args, **kwargs).double().eval()
    assert repr(mine) == repr(theirs)
    mine.load_state_dict({k: gradcu.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    values = [np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes)]

    def flat(result):
        return [t for part in result for t in flat(part)] if isinstance(result, tuple) else [result]

    results = []
    for lib, module in ((gradcu, mine), (original, theirs)):
        given = [lib.tensor(v, requires_grad=True) for v in values]
        outs = flat(module(*given))
        sum((out * out.detach().cos()).sum() for out in outs).backward()
        results.append([t.detach() for t in outs] + [t.grad for t in given] + [p.grad for p in module.parameters()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-7, atol=1e-10)


# --- how parameters start ---


def test_layers_start_with_pytorchs_distributions(torch):
    torch.manual_seed(0)
    for layer, fan_in in ((torch.nn.Linear(64, 500), 64), (torch.nn.Conv2d(8, 200, 3), 72)):
        bound = 1 / math.sqrt(fan_in)
        for values in (layer.weight.detach(), layer.bias.detach()):
            assert 0.98 * bound < values.abs().max().item() <= bound
        assert layer.weight.detach().numpy().std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    embedding = torch.nn.Embedding(100, 50, padding_idx=3).weight.detach()
    assert embedding.numpy().std() == pytest.approx(1, abs=0.05)
    assert not embedding[3].any()


INITIALISERS = {  # by name: arguments, expected mean, deviation and bounds of a tensor (300, 200)
    "uniform_": ((-1, 3), 1, 4 / math.sqrt(12), (-1, 3)),
    "normal_": ((2, 0.5), 2, 0.5, None),
    "trunc_normal_": ((0, 1, -1, 1), 0, 0.5396, (-1, 1)),
    "xavier_uniform_": ((), 0, math.sqrt(2 / 500), (-math.sqrt(6 / 500), math.sqrt(6 / 500))),
    "xavier_normal_": ((2.0,), 0, 2 * math.sqrt(2 / 500), None),
    "kaiming_uniform_": ((), 0, math.sqrt(2 / 200), (-math.sqrt(6 / 200), math.sqrt(6 / 200))),
    "kaiming_normal_": ((0, "fan_out", "relu"), 0, math.sqrt(2 / 300), None),
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_draw_from_their_distribution(torch, name):
    args, mean, std, bounds = INITIALISERS[name]
    torch.manual_seed(1)
    w = torch.nn.Parameter(torch.empty(300, 200))
    assert getattr(torch.nn.init, name)(w, *args) is w
    values = w.detach().numpy()
    assert values.mean() == pytest.approx(mean, abs=4 * std / math.sqrt(values.size) + 1e-3)
    assert values.std() == pytest.approx(std, rel=0.02)
    if bounds:
        assert bounds[0] <= values.min()
        assert values.max() <= bounds[1] + 1e-6
    assert w.is_leaf


def test_initialisers_with_one_result(original):
    def values(lib):
        init = lib.nn.init
        yield init.constant_(lib.empty(2), 3.0)
        yield init.eye_(lib.empty(2, 3))
        yield init.dirac_(lib.empty(4, 2, 3, 3), groups=2)
        q = init.orthogonal_(lib.empty(3, 5), gain=2.0)
        yield (q @ q.T).round(decimals=3) if lib is original else lib.tensor((q.numpy() @ q.numpy().T).round(3))

    for got, want in zip(values(gradcu), values(original), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-3)
    assert all(gradcu.nn.init.calculate_gain(n) == original.nn.init.calculate_gain(n) for n in ("tanh", "relu", "selu"))


def test_sparse_zeroes_its_part_of_each_column(torch):
    w = torch.nn.init.sparse_(torch.empty(10, 4), 0.3)
    assert (w == 0).sum(0).tolist() == [3, 3, 3, 3]


def test_neighbouring_channels_by_the_formula():
    x = gradcu.arange(2.0 * 5 * 3).reshape(2, 5, 3, 1)
    assert gradcu.nn.CrossMapLRN2d(3, alpha=0.5)(x).equal(gradcu.nn.LocalResponseNorm(3, alpha=0.5)(x))
    with pytest.raises(ValueError, match="Expected input to be 4D, got 3D"):
        gradcu.nn.CrossMapLRN2d(3)(x[0])


def test_losses_of_images_have_a_deprecated_name(torch):
    logits, target = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        loss = torch.nn.NLLLoss2d()
    assert loss(logits, target).item() == 0


# --- what a module holds ---


def make(lib):
    """A module with a parameter, buffers, children, a shared child and a gap."""

    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.ones(1))
            self.register_buffer("count", lib.zeros(1))
            self.register_buffer("scratch", lib.zeros(1), persistent=False)
            self.first = lib.nn.Linear(2, 3)
            self.body = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(3, 1, bias=False))
            self.again = self.first
            self.none = None
            self.register_parameter("missing", None)

        def forward(self, x):
            return self.body(self.first(x)) * self.scale

    return Net()


def test_walks_give_pytorchs_names_in_order(original):
    def names(lib):
        net = make(lib)
        return [
            [n for n, _ in net.named_parameters()],
            [n for n, _ in net.named_parameters("p", recurse=False)],
            [n for n, _ in net.named_parameters(remove_duplicate=False)],
            [n for n, _ in net.named_buffers()],
            [n for n, _ in net.named_modules()],
            [n for n, _ in net.named_children()],
            list(net.state_dict()),
            dict(net.state_dict()._metadata),
            [len(list(w)) for w in (net.parameters(), net.modules(), net.children(), net.buffers())],
            repr(net),
        ]

    for got, want in zip(names(gradcu), names(original), strict=True):
        assert got == want


def test_assignment_sorts_values_into_their_places(torch):
    m = torch.nn.Module()
    m.w = torch.nn.Parameter(torch.ones(2))
    m.b = torch.nn.Buffer(torch.zeros(2), persistent=False)
    m.child = torch.nn.ReLU()
    m.plain = torch.ones(3)
    assert (list(m._parameters), list(m._buffers), list(m._modules)) == (["w"], ["b"], ["child"])
    assert list(m.state_dict()) == ["w"]
    m.b = torch.ones(5)
    assert m.get_buffer("b").shape == (5,)
    m.child = None
    assert list(m.children()) == []
    m.plain = torch.nn.Parameter(torch.ones(3))
    assert [n for n, _ in m.named_parameters()] == ["w", "plain"]
    del m.w
    assert not hasattr(m, "w")


def test_lookup_by_dotted_name(torch):
    net = make(torch)
    assert net.get_submodule("body.1") is net.body[1]
    assert net.get_submodule("") is net
    assert net.get_parameter("body.1.weight") is net.body[1].weight
    assert net.get_buffer("count") is net.count


class Early:
    """Makes a module that assigns before `__init__` was called."""

    def __call__(self, lib, what):
        class M(lib.nn.Module):
            def __init__(self):
                self.x = what

        return M()


def set_on(lib, name, value):
    setattr(make(lib), name, value)


MISTAKES = {
    "parameter first": lambda lib: Early()(lib, lib.nn.Parameter(lib.ones(1))),
    "module first": lambda lib: Early()(lib, lib.nn.ReLU()),
    "unknown": lambda lib: make(lib).unknown,
    "tensor as parameter": lambda lib: set_on(lib, "scale", lib.ones(1)),
    "number as module": lambda lib: set_on(lib, "first", 3),
    "number as buffer": lambda lib: set_on(lib, "count", 3),
    "dotted": lambda lib: make(lib).register_parameter("a.b", None),
    "empty": lambda lib: make(lib).register_buffer("", None),
    "taken": lambda lib: make(lib).register_buffer("first", None),
    "dotted module": lambda lib: make(lib).add_module("a.b", None),
    "no module": lambda lib: make(lib).add_module("a", 3),
    "no parameter": lambda lib: make(lib).register_parameter("a", 3),
    "a result": lambda lib: make(lib).register_parameter("a", lib.nn.Parameter(lib.ones(1)) * 2),
    "submodule": lambda lib: make(lib).get_submodule("body.7"),
    "not a module": lambda lib: make(lib).get_submodule("scale"),
    "not a parameter": lambda lib: make(lib).get_parameter("count"),
    "not a buffer": lambda lib: make(lib).get_buffer("scale"),
    "integers": lambda lib: make(lib).to(lib.int64),
    "mode": lambda lib: make(lib).train(1),
    "forward": lambda lib: lib.nn.Module()(1),
    "state dict": lambda lib: make(lib).load_state_dict(3),
    "keys": lambda lib: make(lib).load_state_dict({"scale": lib.ones(1), "more": lib.ones(1), "body.0.x": lib.ones(1)}),
    "shapes": lambda lib: lib.nn.Linear(1, 1).load_state_dict({"weight": lib.ones(2), "bias": lib.ones(1)}),
    "groups": lambda lib: lib.nn.Conv2d(3, 4, 1, groups=2),
    "same": lambda lib: lib.nn.Conv2d(2, 4, 1, stride=2, padding="same"),
    "transposed": lambda lib: lib.nn.ConvTranspose2d(1, 1, 1, padding_mode="circular"),
    "batch norm": lambda lib: lib.nn.BatchNorm2d(3)(lib.ones(2, 3)),
    "group norm": lambda lib: lib.nn.GroupNorm(2, 3),
    "dropout": lambda lib: lib.nn.Dropout(1.5),
    "hardtanh": lambda lib: lib.nn.Hardtanh(1.0, -1.0),
    "gain": lambda lib: lib.nn.init.calculate_gain("nothing"),
    "fan": lambda lib: lib.nn.init.xavier_normal_(lib.ones(3)),
    "list index": lambda lib: lib.nn.ModuleList([lib.nn.ReLU()])[3],
    "list of numbers": lambda lib: lib.nn.ModuleList([3]),
    "dict": lambda lib: lib.nn.ModuleDict(3),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(MISTAKES[mistake])


# --- what is done to a whole tree ---


def test_train_and_eval_reach_all_modules(torch):
    net = make(torch)
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())


def test_conversion_keeps_the_parameters_objects(torch):
    net = make(torch)
    before = list(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    assert net.double() is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]
    assert {p.dtype for p in before} == {p.grad.dtype for p in before} == {torch.float64}
    assert net.count.dtype is torch.float64
    assert net.to(torch.float32).scale.dtype is torch.float32


def test_integers_stay_integers_when_a_module_is_converted(torch):
    norm = torch.nn.BatchNorm1d(2).half()
    assert norm.running_mean.dtype is torch.float16
    assert norm.num_batches_tracked.dtype is torch.int64


def test_apply_goes_from_the_leaves_up(torch):
    seen = []
    make(torch).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_gradients_are_cleared_and_switched_off(torch):
    net = make(torch)
    net(torch.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_share_nothing_and_keep_ties(copied):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net.tied = net[0]
    other = copied(net)
    assert repr(other) == repr(net)
    assert other.tied is other[0]
    assert isinstance(other[0].weight, nn.Parameter)
    with gradcu.no_grad():
        other[0].weight.fill_(7)
    assert 7 not in net[0].weight


# --- state ---


def test_state_comes_back_and_memory_is_shared(torch):
    net, other = make(torch), make(torch)
    state = net.state_dict()
    assert not any(t.requires_grad for t in state.values())
    assert state["scale"].data_ptr() == net.scale.data_ptr()
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert all((a == b).all() for a, b in zip(net.parameters(), other.parameters()))
    assert next(iter(net.state_dict(prefix="x."))) == "x.scale"
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


def test_loading_loosely_tells_what_did_not_match(torch):
    result = make(torch).load_state_dict({"scale": torch.zeros(1), "more": torch.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["more"]
    assert "first.weight" in result.missing_keys
    assert repr(result).startswith("_IncompatibleKeys(missing_keys=")


def test_assign_takes_the_tensors_themselves(torch):
    layer, weight = torch.nn.Linear(2, 1, bias=False), torch.ones(1, 2, dtype=torch.float64)
    layer.load_state_dict({"weight": weight}, assign=True)
    assert layer.weight.dtype is torch.float64
    assert layer.weight.data_ptr() == weight.data_ptr()
    assert isinstance(layer.weight, torch.nn.Parameter)
    assert layer.weight.requires_grad


def test_old_batch_norm_states_load(torch):
    state = torch.nn.BatchNorm1d(2).state_dict()
    del state["num_batches_tracked"], state._metadata
    assert torch.nn.BatchNorm1d(2).load_state_dict(state) == ([], [])


def test_extra_state_is_saved_and_loaded(torch):
    class Counting(torch.nn.Module):
        calls = 0

        def get_extra_state(self):
            return {"calls": self.calls}

        def set_extra_state(self, state):
            self.calls = state["calls"]

    first, second = Counting(), Counting()
    first.calls = 5
    second.load_state_dict(first.state_dict())
    assert list(first.state_dict()) == ["_extra_state"]
    assert second.calls == 5


def test_hooks_around_state_dicts(torch):
    net, seen = torch.nn.Linear(1, 1), []
    net.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append("saving"))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: state.pop("more", None))
    net.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    state = net.state_dict() | {"more": torch.ones(1)}
    del state["bias"]
    net.load_state_dict(state)
    assert seen == ["saving"]


# --- hooks around the forward and backward ---


def test_forward_hooks_see_and_replace(torch):
    net, seen = torch.nn.Identity(), []
    net.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    net.register_forward_hook(lambda m, args, out: seen.append((args[0].item(), out.item())))
    handle = net.register_forward_hook(lambda m, args, out: out * 10)
    first = net.register_forward_hook(lambda m, args, out: out + 100, prepend=True)
    assert net(torch.tensor(1.0)).item() == 1020
    assert seen == [(2, 102)]
    handle.remove()
    first.remove()
    assert net(torch.tensor(1.0)).item() == 2


def test_hooks_with_keyword_arguments(torch):
    class Scale(torch.nn.Module):
        def forward(self, x, by=1):
            return x * by

    net = Scale()
    net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    net.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["by"], with_kwargs=True)
    assert net(torch.tensor(2.0), by=4).item() == 15


def test_always_call_hooks_run_after_an_error(torch):
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise ValueError("broken")

    net, seen = Broken(), []
    net.register_forward_hook(lambda m, args, out: seen.append("usual"))
    net.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        net(1)
    assert seen == [None]


def test_backward_hooks_see_the_gradients_of_inputs_and_outputs(torch):
    net, seen = torch.nn.Tanh(), []
    net.register_full_backward_pre_hook(lambda m, grad_output: seen.append(("before", grad_output[0].item())))
    net.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append((grad_input[0], grad_output[0])))
    x = torch.tensor(0.5, requires_grad=True)
    (net(x) * 3).backward()
    assert seen[0] == ("before", 3)
    grad_input, grad_output = seen[1]
    assert grad_output.item() == 3
    assert grad_input.item() == pytest.approx(3 * (1 - math.tanh(0.5) ** 2))
    assert x.grad.item() == grad_input.item()


def test_backward_hooks_can_replace_gradients(torch):
    net = torch.nn.Identity()
    net.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] + 1,))
    net.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] * 10,))
    x = torch.tensor(0.5, requires_grad=True)
    net(x).backward()
    assert x.grad.item() == 20


def test_backward_hooks_of_several_inputs_and_outputs(torch):
    class Swap(torch.nn.Module):
        def forward(self, a, b, c):
            return b * 2, a * 3

    net, seen = Swap(), []
    net.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append((grad_input, grad_output)))
    a, c = torch.tensor(1.0, requires_grad=True), torch.tensor(1.0)
    x, y = net(a, torch.tensor(1.0), c)
    (x + y * 5).backward()
    ((grad_input, grad_output),) = seen
    assert [g if g is None else g.item() for g in grad_input] == [15, 0, 0]
    assert grad_output[1].item() == 5


def test_backward_hooks_run_where_no_input_requires_grad(torch):
    net, seen = torch.nn.Linear(1, 1, bias=False), []
    net.register_full_backward_hook(lambda m, grad_input, grad_output: seen.append((grad_input, grad_output[0].item())))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        net(torch.ones(1, 1)).sum().backward()
    assert seen == [((None,), 1)]
    assert net.weight.grad.item() == 1


# --- containers ---


def test_sequential_is_a_list_of_steps(torch):
    n = torch.nn
    net = n.Sequential(n.Linear(1, 2), n.ReLU(), n.Linear(2, 1))
    assert [type(m).__name__ for m in net[1:]] == ["ReLU", "Linear"]
    assert net[-1] is net[2]
    net.append(n.Tanh()).insert(0, n.Identity())
    del net[2]
    assert [name for name, _ in net.named_children()] == ["0", "1", "2", "3"]
    assert [type(m).__name__ for m in net] == ["Identity", "Linear", "Linear", "Tanh"]
    assert len(net + n.Sequential(n.ReLU())) == 5
    assert len(n.Sequential(n.ReLU()) * 3) == 3
    assert isinstance(net.pop(0), n.Identity)


def test_module_lists_and_dicts(torch):
    n = torch.nn
    modules = n.ModuleList([n.Linear(1, 1), n.ReLU()])
    modules.extend([n.Tanh()])
    modules.insert(1, n.Sigmoid())
    modules[0] = n.Identity()
    modules += [n.ReLU()]
    assert [type(m).__name__ for m in modules] == ["Identity", "Sigmoid", "ReLU", "Tanh", "ReLU"]
    assert isinstance(modules[1:3], n.ModuleList)
    table = n.ModuleDict({"a": n.ReLU()})
    table.update([("b", n.Tanh())])
    table["c"] = n.ELU()
    assert (list(table), len(table), "b" in table) == (["a", "b", "c"], 3, True)
    assert isinstance(table.pop("a"), n.ReLU)
    assert [k for k, _ in table.items()] == ["b", "c"]


def test_parameter_lists_and_dicts_register_what_they_hold(torch):
    n = torch.nn
    several = n.ParameterList([torch.ones(2), n.Parameter(torch.zeros(1)), 3])
    several.append(torch.ones(4))
    assert [name for name, _ in several.named_parameters()] == ["0", "1", "3"]
    assert several[2] == 3
    table = n.ParameterDict({"a": torch.ones(2)})
    table["b"] = torch.zeros(3)
    assert list(table.state_dict()) == list(table) == ["a", "b"]
    assert table.pop("a").shape == (2,)
    assert dict(table.items()).keys() == {"b"}


def test_containers_print_as_pytorchs(original):
    def texts(lib):
        n = lib.nn
        yield n.ModuleList([n.Linear(1, 2), n.Linear(1, 2), n.ReLU(), n.Sequential(n.ReLU()), n.Sequential(n.ReLU())])
        yield n.ModuleDict({"a": n.ReLU(), "b": n.Sequential(n.Tanh())})
        yield n.ParameterList([lib.ones(2, 3), 3])
        yield n.ParameterDict({"a": lib.ones(2, 3), "b": 3})
        yield n.Sequential()
        yield n.Parameter(lib.ones(2))
        yield n.Buffer(lib.ones(2))

    for got, want in zip(texts(gradcu), texts(original), strict=True):
        assert repr(got).replace("gradcu", "torch") == repr(want)


def test_parameters_share_memory_and_are_leaves(torch):
    data = torch.zeros(2)
    p = torch.nn.Parameter(data)
    data[0] = 5
    assert p.tolist() == [5, 0]
    assert p.is_leaf
    assert p.requires_grad
    assert not torch.nn.Parameter(data, requires_grad=False).requires_grad
    assert type(p * 2) is torch.Tensor


# --- lazy layers ---


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Linear", (4,), (2, 3)),
        ("Conv2d", (4, 3), (2, 3, 5, 5)),
        ("Conv1d", (4, 2), (3, 5)),
        ("ConvTranspose2d", (4, 3), (1, 3, 5, 5)),
        ("BatchNorm2d", (), (2, 3, 4, 4)),
        ("InstanceNorm1d", (), (2, 3, 4)),
    ],
)
def test_lazy_layers_become_ordinary_ones(torch, name, args, shape):
    layer = getattr(torch.nn, f"Lazy{name}")(*args)
    assert layer.has_uninitialized_params()
    assert repr(layer.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        _ = layer.weight.shape
    weight = layer.double().weight
    layer(torch.ones(*shape, dtype=torch.float64))
    plain = getattr(torch.nn, name)
    assert type(layer) is plain
    assert layer.weight is weight
    assert type(weight) is torch.nn.Parameter
    assert weight.dtype == torch.float64
    expected = plain(3, *args) if "Norm" not in name else plain(3, affine=True, track_running_stats=True)
    assert repr(layer) == repr(expected)
    assert [(k, v.shape) for k, v in layer.state_dict().items()] == [
        (k, v.shape) for k, v in expected.state_dict().items()
    ]


def test_lazy_layers_load_and_are_copied(torch):
    trained, fresh = torch.nn.Linear(3, 2), copy.deepcopy(torch.nn.LazyLinear(2))
    fresh.load_state_dict(trained.state_dict())
    x = torch.ones(1, 3)
    assert fresh(x).tolist() == trained(x).tolist()
    assert fresh.in_features == 3


def test_a_lazy_convolution_refuses_a_wrong_input(torch):
    with pytest.raises(RuntimeError, match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to LazyConv2d"):
        torch.nn.LazyConv2d(4, 3)(torch.ones(8, 8))


@pytest.mark.parametrize("name", ["mse_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy"])
@pytest.mark.parametrize("values", [[0, 1], [0.5 + 0j, 1.0]], ids=["integers", "complex"])
def test_losses_are_of_floats(torch, name, values):
    x = torch.tensor(values)
    with pytest.raises(NotImplementedError, match="not implemented for"):
        getattr(torch.nn.functional, name)(x, x)


def test_ctc_loss_of_impossible_steps_has_no_gradient(torch):
    """log_probs are minus infinity where a mask went before log_softmax."""
    log_probs = torch.zeros(4, 2, 3).log_softmax(-1)
    log_probs[1, 0] = -float("inf")
    log_probs.requires_grad_()
    targets, sizes = torch.tensor([[1, 2], [2, 1]]), torch.tensor([2, 2])
    loss = torch.nn.functional.ctc_loss(
        log_probs, targets, torch.tensor([4, 4]), sizes, reduction="none", zero_infinity=True
    )
    loss.sum().backward()
    assert loss[0] == 0
    assert loss[1] > 0
    assert not log_probs.grad[:, 0].any()
    assert log_probs.grad[:, 1].any()


@pytest.mark.parametrize("dtype", [gradcu.float16, gradcu.bfloat16])
def test_the_mean_of_many_losses_in_half_precision(dtype):
    """More of them than the largest number of float16; PyTorch gives NaN."""
    logits = gradcu.zeros(70_000, 3, dtype=dtype, requires_grad=True)
    loss = gradcu.nn.functional.cross_entropy(logits, gradcu.zeros(70_000, dtype=gradcu.int64))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3), rel=0.01)
    assert logits.grad[0, 0].item() == pytest.approx(-2 / 3 / 70_000, rel=0.01)

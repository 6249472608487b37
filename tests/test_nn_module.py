"""The machinery of modules: hooks on all modules, registration, state, and import paths, as PyTorch has them."""

import copy
import importlib
import pickle

import pytest

import gradcu
from gradcu import nn


@pytest.fixture
def everywhere(torch):
    """Registers hooks for all modules, and takes them away after the test."""
    handles = []

    def register(name, *args, **kwargs):
        module = importlib.import_module(f"{torch.__name__}.nn.modules.module")
        handles.append(getattr(module, f"register_module_{name}_hook")(*args, **kwargs))

    yield register
    for handle in handles:
        handle.remove()


# --- hooks ---


def test_hooks_of_all_modules_run_before_those_of_one(torch, everywhere):
    seen, net = [], torch.nn.Sequential(torch.nn.Identity())
    everywhere("forward_pre", lambda m, args: seen.append(("before", type(m).__name__)))
    everywhere("forward", lambda m, args, out: seen.append(("after", type(m).__name__)))
    net[0].register_forward_pre_hook(lambda m, args: seen.append("own before"))
    net[0].register_forward_hook(lambda m, args, out: seen.append("own after"))
    net(torch.ones(1))
    assert seen == [
        ("before", "Sequential"),
        ("before", "Identity"),
        "own before",
        ("after", "Identity"),
        "own after",
        ("after", "Sequential"),
    ]


def test_backward_hooks_of_all_modules(torch, everywhere):
    seen = []
    everywhere("full_backward_pre", lambda m, grad_output: seen.append(grad_output[0].item()))
    everywhere("full_backward", lambda m, grad_input, grad_output: (grad_input[0] * 2,))
    x = torch.ones((), requires_grad=True)
    torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())(x).backward()
    assert seen == [1, 1, 2]
    assert x.grad.item() == 8


def test_registration_hooks_see_and_replace_what_is_registered(torch, everywhere):
    seen = []
    for kind in ("parameter", "buffer", "module"):
        everywhere(f"{kind}_registration", lambda m, name, value: seen.append((type(m).__name__, name)))
    everywhere("buffer_registration", lambda m, name, buffer: buffer + 1)
    net = torch.nn.Sequential(torch.nn.Linear(1, 1))
    net.register_buffer("count", torch.zeros(1))
    assert seen == [("Linear", "weight"), ("Linear", "bias"), ("Sequential", "0"), ("Sequential", "count")]
    assert net.count.item() == 1


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
def test_old_backward_hooks_see_the_last_operation(torch):
    net, seen = torch.nn.Tanh(), []
    handle = net.register_backward_hook(lambda m, grad_input, grad_output: seen.append(grad_output[0].item()))
    net(torch.zeros((), requires_grad=True)).backward(torch.tensor(3.0))
    assert seen == [3]
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        net.register_full_backward_hook(lambda *args: None)
    handle.remove()


def test_hooks_are_removed_through_the_dictionaries(torch):
    net, seen = torch.nn.Identity(), []
    net.register_forward_hook(lambda *args: seen.append("after"))
    net.register_forward_pre_hook(lambda *args: seen.append("before"))
    assert (len(net._forward_hooks), len(net._forward_pre_hooks)) == (1, 1)
    net._forward_hooks.clear()
    net(1)
    assert seen == ["before"]


def test_an_error_in_a_hook_that_is_always_called_is_a_warning(torch):
    net = torch.nn.Linear(1, 1)

    def broken(*args):
        raise KeyError("hook")

    net.register_forward_hook(broken, always_call=True)
    with (
        pytest.warns(UserWarning, match="silenced as another error was raised in forward"),
        pytest.raises((TypeError, AttributeError)),
    ):
        net(None)


def test_hooks_are_copied_with_a_module(torch):
    net = torch.nn.Identity()
    net.register_forward_hook(lambda m, args, out: out + 1)
    assert copy.deepcopy(net)(torch.zeros(())).item() == 1


# --- registration and lookup ---


class Two:
    """A second base that takes arguments."""

    def __init__(self, x=0):
        self.x = x


def test_further_bases_are_initialised_on_demand(torch):
    class Net(torch.nn.Module, Two):
        call_super_init = True

    class Plain(torch.nn.Module, Two):
        pass

    assert Net(x=3).x == 3
    assert not hasattr(Plain(), "x")


def test_submodules_are_replaced_by_dotted_name(torch):
    net = torch.nn.Sequential(torch.nn.Sequential(torch.nn.ReLU()))
    net.set_submodule("0.0", torch.nn.Tanh())
    net.set_submodule("0.new", torch.nn.ELU())
    assert [type(m).__name__ for m in net[0]] == ["Tanh", "ELU"]


def make(lib):
    net = lib.nn.Sequential(lib.nn.Sequential(lib.nn.Linear(1, 1)))
    net[0].number = 3
    return net


MISTAKES = {
    "no target": lambda lib: make(lib).set_submodule("", lib.nn.ReLU()),
    "unknown path": lambda lib: make(lib).set_submodule("1.0", lib.nn.ReLU()),
    "no module there": lambda lib: make(lib).set_submodule("0.number", lib.nn.ReLU()),
    "strict": lambda lib: make(lib).set_submodule("0.new", lib.nn.ReLU(), strict=True),
    "arguments": lambda lib: lib.nn.Module(3),
    "keywords": lambda lib: lib.nn.Module(a=3),
    "no tensor": lambda lib: lib.nn.Linear(1, 1).load_state_dict({"weight": lib.ones(1, 1), "bias": [1.0]}),
    "replacing hook": lambda lib: replacing(lib).state_dict(),
    "pre-hook": lambda lib: pre_hooked(lib)(1),
    "nested": lambda lib: make(lib).load_state_dict({"0.0.weight": lib.ones(2, 1), "0.1.x": 3, "y": 3}),
}


def replacing(lib):
    net = lib.nn.Linear(1, 1)
    net.register_state_dict_post_hook(lambda *args: {})
    return net


def pre_hooked(lib):
    net = lib.nn.Identity()
    net.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    return net


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(MISTAKES[mistake])


def test_named_walks_take_prefixes_and_keep_duplicates(torch):
    net = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False))
    net.again = net[0]
    net[0].register_buffer("b", torch.ones(1))
    assert [n for n, _ in net.named_modules(prefix="x", remove_duplicate=False)] == ["x", "x.0", "x.again"]
    assert [n for n, _ in net.named_buffers("x", remove_duplicate=False)] == ["x.0.b", "x.again.b"]
    assert [n for n, _ in net.named_parameters("x")] == ["x.0.weight"]


# --- state ---


def test_the_other_hooks_of_state_dicts(torch):
    net = torch.nn.Sequential(torch.nn.Linear(1, 1))
    net[0]._register_state_dict_hook(lambda m, state, prefix, meta: state.update({prefix + "extra": meta["version"]}))
    net._register_state_dict_hook(lambda m, state, prefix, meta: dict(state))
    state = net.state_dict()
    assert (type(state), list(state), state["0.extra"]) == (dict, ["0.weight", "0.bias", "0.extra"], 1)
    net[0]._register_load_state_dict_pre_hook(lambda state, prefix, *rest: state.pop(prefix + "extra", None))
    net[0]._register_load_state_dict_pre_hook(
        lambda module, state, prefix, *rest: state.update({prefix + "bias": torch.full((1,), 5.0)}), with_module=True
    )
    net.load_state_dict(state)
    assert net[0].bias.item() == 5


def test_subclasses_override_how_they_are_saved_and_loaded(torch):
    class Renamed(torch.nn.Linear):
        _version = 2

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "w"] = destination.pop(prefix + "weight")

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            assert local_metadata["version"] == 2
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    first, second = torch.nn.Sequential(Renamed(2, 1)), torch.nn.Sequential(Renamed(2, 1))
    assert list(first.state_dict()) == ["0.bias", "0.w"]
    second.load_state_dict(first.state_dict())
    assert second[0].weight.tolist() == first[0].weight.tolist()


def test_assigned_tensors_keep_whether_the_module_trains_them(torch):
    layer = torch.nn.Linear(1, 1).requires_grad_(False)
    state = torch.nn.Linear(1, 1).state_dict(keep_vars=True)
    layer.load_state_dict(state, assign=True)
    assert layer.weight is state["weight"]
    assert not layer.weight.requires_grad


def test_positional_arguments_of_state_dict_are_deprecated(torch):
    state = {}
    with pytest.warns(FutureWarning, match="Positional args are being deprecated"):
        assert torch.nn.Linear(1, 1).state_dict(state, "x.") is state
    assert list(state) == ["x.weight", "x.bias"]


# --- what is done to a whole tree ---


def test_memory_without_values(torch):
    layer = torch.nn.Linear(2, 3)
    weight = layer.weight
    assert layer.to_empty(device="cpu") is layer
    assert layer.weight is weight
    assert weight.shape == (3, 2)


def test_modules_are_shared_between_processes(torch):
    assert torch.nn.Linear(2, 3).share_memory().weight.is_shared()


def test_compiling_a_module_changes_no_result():
    layer = nn.Linear(2, 3)
    layer.compile(fullgraph=True)
    assert layer(gradcu.ones(1, 2)).shape == (1, 3)


def test_pickled_modules_come_back_without_what_later_versions_add(torch):
    layer = pickle.loads(pickle.dumps(torch.nn.Linear(2, 3)))
    assert layer(torch.ones(1, 2)).shape == (1, 3)


# --- import paths ---


PATHS = {
    "activation": ["ReLU", "MultiheadAttention"],
    "batchnorm": ["_BatchNorm", "BatchNorm2d", "SyncBatchNorm"],
    "container": ["Sequential", "ParameterDict"],
    "conv": ["_ConvNd", "Conv2d", "ConvTranspose3d"],
    "dropout": ["Dropout2d"],
    "fold": ["Fold", "Unfold"],
    "instancenorm": ["InstanceNorm1d"],
    "linear": ["Linear", "Identity"],
    "loss": ["CrossEntropyLoss", "_Loss", "_WeightedLoss"],
    "module": ["Module"],
    "normalization": ["LayerNorm", "GroupNorm"],
    "padding": ["ZeroPad2d"],
    "pixelshuffle": ["PixelShuffle"],
    "pooling": ["MaxPool2d", "AdaptiveAvgPool2d"],
    "rnn": ["LSTM", "RNNBase", "RNNCellBase"],
    "sparse": ["Embedding", "EmbeddingBag"],
    "transformer": ["TransformerEncoderLayer"],
    "upsampling": ["Upsample"],
    "utils": ["_single", "_pair", "_triple", "_quadruple", "_ntuple", "_reverse_repeat_tuple"],
}


@pytest.mark.parametrize("name", PATHS)
def test_modules_are_imported_by_their_paths(torch, name):
    module = importlib.import_module(f"{torch.__name__}.nn.modules.{name}")
    for member in PATHS[name]:
        assert getattr(module, member) is getattr(torch.nn, member, getattr(module, member))


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("optim.adam", ["Adam"]),
        ("optim.adamw", ["AdamW"]),
        ("optim.sgd", ["SGD"]),
        ("optim.optimizer", ["Optimizer", "required", "ParamsT"]),
        ("nn.common_types", ["_size_2_t", "_ratio_any_t", "_maybe_indices_t"]),
        ("nn.parallel", ["DataParallel", "DistributedDataParallel", "data_parallel"]),
        ("utils.data.dataloader", ["DataLoader"]),
    ],
)
def test_scripts_import_by_these_paths(torch, path, names):
    module = importlib.import_module(f"{torch.__name__}.{path}")
    assert all(hasattr(module, name) for name in names)


def test_modules_of_several_processes_are_refused():
    with pytest.raises(RuntimeError, match="one process"):
        gradcu.nn.parallel.DistributedDataParallel(gradcu.nn.Linear(1, 1))


def test_numbers_become_tuples(torch):
    utils = importlib.import_module(f"{torch.__name__}.nn.modules.utils")
    assert (utils._pair(3), utils._triple([1, 2, 3]), utils._ntuple(5)(0)) == ((3, 3), (1, 2, 3), (0,) * 5)
    assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)


# --- what layers offer beside their forward ---


def test_bags_over_the_rows_of_a_matrix(torch):
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    bag = torch.nn.EmbeddingBag.from_pretrained(rows, mode="sum")
    assert bag(torch.tensor([[0, 1]])).tolist() == [[4, 6]]
    assert not bag.weight.requires_grad
    assert torch.nn.EmbeddingBag.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="2-dimensional"):
        torch.nn.EmbeddingBag.from_pretrained(rows[0])


def test_lazy_parameters_are_told_apart(torch):
    parameter = importlib.import_module(f"{torch.__name__}.nn.parameter")
    assert parameter.is_lazy(torch.nn.LazyLinear(2).weight)
    assert not parameter.is_lazy(torch.nn.Linear(1, 2).weight)


def test_a_choice_of_attention_changes_no_result(torch):
    attention = importlib.import_module(f"{torch.__name__}.nn.attention")
    x = torch.ones(1, 2, 3, 4)
    plain = torch.nn.functional.scaled_dot_product_attention(x, x, x)
    with attention.sdpa_kernel(attention.SDPBackend.MATH):
        assert torch.nn.functional.scaled_dot_product_attention(x, x, x).tolist() == plain.tolist()


def test_dictionaries_of_parameters_are_sorted_unless_ordered(torch):
    values = {"b": torch.ones(1), "a": torch.ones(2)}
    assert list(torch.nn.ParameterDict(values)) == ["a", "b"]
    assert list(torch.nn.ParameterDict(values.items())) == ["b", "a"]

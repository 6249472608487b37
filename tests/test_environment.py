"""Names that training scripts touch besides tensors: compilers, flags, distribution, assertions, timers."""

import importlib
import re

import pytest

import gradcu


def test_compile_gives_the_function_back():
    def f(x):
        return x + 1

    assert gradcu.compile(f) is f
    assert gradcu.compile(f, mode="max-autotune", fullgraph=True, dynamic=False) is f
    assert gradcu.compile(backend="eager")(f) is f
    model = gradcu.nn.Linear(2, 2)
    assert gradcu.compile(model) is model
    with pytest.raises(RuntimeError, match="Either mode or options"):
        gradcu.compile(f, mode="default", options={})
    assert gradcu.compiler.disable(f) is f
    assert not gradcu.compiler.is_compiling()


def test_jit_gives_the_function_back_and_warns():
    from gradcu import jit

    jit._warn.cache_clear()
    model = gradcu.nn.Linear(2, 2)
    with pytest.warns(UserWarning, match=r"gradcu\.jit\.script"):
        assert jit.script(model) is model
    assert jit.script(model) is model  # once is enough
    with pytest.warns(UserWarning, match=r"gradcu\.jit\.trace"):
        assert jit.trace(model, gradcu.ones(1, 2)) is model
    assert jit.ignore(len) is len is jit.export(len) is jit.unused(len) is jit.ignore(drop=True)(len)
    assert not jit.is_scripting()


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: gradcu.onnx.export(None, None, "m.onnx"), "load_file"),
        (lambda: gradcu.hub.load("pytorch/vision", "resnet18"), "gradcu.load"),
        (lambda: gradcu.hub.load_state_dict_from_url("https://example.com/m.pt"), "safetensors"),
        (lambda: gradcu.jit.load("m.pt"), "load its state_dict"),
        (lambda: gradcu.jit.save(None, "m.pt"), "gradcu.save"),
        (lambda: gradcu.distributed.init_process_group("gloo"), r"is_available\(\) is False"),
        (
            lambda: gradcu.distributed.all_reduce(gradcu.ones(1)),
            r"distributed.all_reduce: gradcu trains in one process",
        ),
        (lambda: gradcu.nn.parallel.DistributedDataParallel(gradcu.nn.ReLU()), r"is_available\(\) is False"),
        (lambda: gradcu.library.custom_op("mine::op"), "autograd.Function"),
        (lambda: gradcu.utils.cpp_extension.load("mine", ["a.cpp"]), "autograd.Function"),
    ],
)
def test_what_cannot_be_done_is_refused_with_advice(call, advice):
    with pytest.raises(RuntimeError, match=advice):
        call()


def test_distributed_says_that_it_is_not_there():
    assert not gradcu.distributed.is_available()
    assert not gradcu.distributed.is_initialized()
    with pytest.raises(AttributeError, match="no attribute 'rpc': gradcu trains in one process"):
        gradcu.distributed.rpc  # noqa: B018


#: lines at the top of well-known scripts, of which most are used only where there is a GPU, or several
IMPORTS = """
import torch.backends.cudnn as cudnn
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.utils.model_zoo as model_zoo
from torch.autograd import Function, Variable
from torch.autograd.variable import Variable
from torch.cuda.amp import GradScaler, autocast
from torch.distributed import destroy_process_group, init_process_group
from torch.hub import load_state_dict_from_url
from torch.nn.modules.utils import _pair, _triple
from torch.nn.parallel import DataParallel, DistributedDataParallel as DDP, data_parallel
from torch.optim.lr_scheduler import LRScheduler, _LRScheduler
from torch.optim.optimizer import Optimizer, required
from torch.utils.data.dataloader import DataLoader, default_collate
from torch.utils.data.dataset import Dataset, random_split
from torch.utils.data.distributed import DistributedSampler
from torch.utils.data.sampler import SubsetRandomSampler
"""


@pytest.mark.parametrize("line", IMPORTS.split("\n")[1:-1])
def test_what_scripts_import_is_there(torch, line):
    exec(line.replace(" torch.", f" {torch.__name__}."), {})


def test_variables_are_tensors(torch):
    data = torch.ones(2)
    x = torch.autograd.Variable(data, requires_grad=True)
    assert x.requires_grad
    assert not data.requires_grad
    assert x.data_ptr() == data.data_ptr()
    assert isinstance(data, torch.autograd.Variable)
    assert not isinstance(3, torch.autograd.Variable)
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got int"):
        torch.autograd.Variable(3)


def test_data_parallel_calls_the_module():
    x = gradcu.ones(2, 3)
    assert gradcu.equal(gradcu.nn.parallel.data_parallel(gradcu.nn.Flatten(0), x), gradcu.ones(6))


def test_determinism_switches(torch):
    try:
        assert not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.get_deterministic_debug_mode() == 1
        torch.set_deterministic_debug_mode("error")
        assert torch.get_deterministic_debug_mode() == 2
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_flags_that_scripts_ask_for(torch):
    for name in ("mkl", "mkldnn", "openmp", "mps", "cudnn"):
        assert getattr(torch.backends, name).is_available() in (True, False)
    assert torch.get_num_interop_threads() >= 1
    assert torch.accelerator.device_count() >= 0
    with torch.device("cpu"):
        assert torch.get_default_device() == torch.device("cpu")


def test_typed_constructors(torch):
    assert isinstance(torch.FloatTensor([1, 2]), torch.FloatTensor)
    assert not isinstance(torch.ones(2), torch.LongTensor)
    assert not isinstance(torch.ones(2), torch.cuda.FloatTensor)
    assert torch.DoubleTensor(2, 3).dtype is torch.float64


A, B = [1.0, 2.0, 3.0], [1.0, 2.5, 3.0]
PAIRS = {
    "close": lambda t: (t.tensor(A), t.tensor(A) + 1e-6),
    "not close": lambda t: (t.tensor(A), t.tensor(B)),
    "matrix": lambda t: (t.tensor([A, B]), t.tensor([B, A])),
    "0-d": lambda t: (t.tensor(1.0), t.tensor(2.0)),
    "integers": lambda t: (t.tensor([1, 2]), t.tensor([1, 4])),
    "booleans": lambda t: (t.tensor([True, False]), t.tensor([True, True])),
    "numbers": lambda t: (1.0, 2.0),
    "equal numbers": lambda t: (1, 1),
    "dtype": lambda t: (t.tensor([1.0]), t.tensor([1])),
    "shape": lambda t: (t.ones(2), t.ones(3)),
    "list": lambda t: ([t.ones(2), t.zeros(2)], [t.ones(2), t.ones(2)]),
    "dict": lambda t: ({"a": t.zeros(1)}, {"a": t.ones(1)}),
    "keys": lambda t: ({"a": t.ones(1)}, {"b": t.ones(1)}),
    "length": lambda t: ([1.0], [1.0, 2.0]),
    "nan": lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")])),
    "infinity": lambda t: (t.tensor([float("inf"), 1.0]), t.tensor([float("inf"), 2.0])),
    "unrelated": lambda t: (t.ones(1), [1.0]),
    "text": lambda t: ("a", "a"),
    "requires grad": lambda t: (t.ones(2, requires_grad=True), t.ones(2)),
    "float64": lambda t: (t.ones(2, dtype=t.float64), t.ones(2, dtype=t.float64) + 1e-6),
}
SETTINGS = [{}, {"rtol": 0.5, "atol": 0.0}, {"equal_nan": True}, {"check_dtype": False}, {"rtol": 0, "atol": 0}]


def outcome(torch, pair, settings):
    try:
        torch.testing.assert_close(*pair(torch), **settings)
    except (AssertionError, TypeError) as error:
        return type(error).__name__, re.sub(r"torch|gradcu(\.tensor)?", "torch", str(error))
    return None


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("pair", PAIRS)
def test_assert_close_says_what_pytorchs_says(original, pair, settings):
    assert outcome(gradcu, PAIRS[pair], settings) == outcome(original, PAIRS[pair], settings)


def test_assert_close_in_the_callers_words(refused_alike):
    refused_alike(lambda t: t.testing.assert_close(t.ones(1), t.zeros(1), msg="no"))
    refused_alike(lambda t: t.testing.assert_close(t.ones(1), t.zeros(1), msg=lambda m: f"no: {m}"))
    refused_alike(lambda t: t.testing.assert_close(t.ones(1), t.zeros(1), rtol=1.0))


def test_timer_times(torch):
    timer = importlib.import_module(f"{torch.__name__}.utils.benchmark").Timer("x + x", globals={"x": torch.ones(3)})
    once = timer.timeit(10)
    assert once.number_per_run == 10
    assert 0 < once.median < 1
    assert "Measurement" in repr(timer.blocked_autorange(min_run_time=0.01))


def test_summary_writer_takes_tensors(tmp_path):
    pytest.importorskip("tensorboardX")
    from gradcu.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", gradcu.tensor(0.5), 1)
        writer.add_histogram("weights", gradcu.randn(10), 1)
        writer.add_image("digit", gradcu.rand(1, 8, 8), 1)
    assert [p for p in tmp_path.iterdir() if "tfevents" in p.name]


def test_torch_function_by_hand(torch):
    class Mine:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return function.__name__, types, args

    def f(x):
        return torch.overrides.handle_torch_function(f, (x,), x)

    mine = Mine()
    assert torch.overrides.has_torch_function((mine,))
    assert torch.overrides.is_tensor_like(mine)
    assert f(mine) == ("f", (Mine,), (mine,))


def test_vmap_is_at_the_top(torch):
    assert torch.vmap(lambda row: row.sum())(torch.ones(3, 2)).tolist() == [2.0, 2.0, 2.0]


def test_losses_to_derive_from_need_no_arguments(torch):
    assert torch.nn.modules.loss._Loss().reduction == "mean"
    loss = torch.nn.modules.loss._WeightedLoss(torch.ones(2), reduction="sum")
    assert loss.reduction == "sum"
    assert list(loss.state_dict()) == ["weight"]

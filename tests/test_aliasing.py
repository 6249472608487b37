"""`install_as_torch()`: what a program that says `import torch` gets. Each case is a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python(code):
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else result.stderr.strip().splitlines()[-1]


INSTALLED = "import gradcu; gradcu.install_as_torch()\n"


def test_modules_go_by_both_names():
    code = """
import importlib, sys
names = "nn nn.functional nn.init utils.data optim.lr_scheduler autograd autograd.functional cuda cuda.amp amp"
for name in (names + " linalg fft special func testing types").split():
    alias, own = (importlib.import_module(f"{root}.{name}") for root in ("torch", "gradcu"))
    assert alias is own is sys.modules["torch." + name] and own.__name__ == "gradcu." + name, name
    assert own.__spec__.name == own.__name__
import torch, torch.nn.functional as F
from torch.utils.data import DataLoader
from torch import Tensor, nn
print(torch is gradcu, F is gradcu.nn.functional, Tensor is gradcu.Tensor)
"""
    assert python(INSTALLED + code) == "True True True"


def test_a_script_trains():
    code = """
import torch
from torch import nn, optim
torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(64, 3)
for _ in range(200):
    loss = torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
print(loss.item() < 1e-4)
"""
    assert python(INSTALLED + code) == "True"


def test_nothing_is_imported_before_it_is_asked_for():
    code = "import sys, torch; print('gradcu.nn' in sys.modules, 'torch.nn' in sys.modules)"
    assert python(INSTALLED + code) == "False False"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("import torch.fx", "ModuleNotFoundError: gradcu has no module 'gradcu.fx'"),
        ("import torch.nn.quantized", "ModuleNotFoundError: gradcu has no module 'gradcu.nn.quantized'"),
        ("from torch import fx", "ImportError: cannot import name 'fx' from 'gradcu'"),
        ("import torch; torch.fx", "AttributeError: module 'gradcu' has no attribute 'fx'"),
    ],
)
def test_what_gradcu_has_not_is_an_error_that_says_so(statement, error):
    assert python(INSTALLED + statement).startswith(error)


def test_refused_once_pytorch_is_imported(original):
    assert python(f"import torch\n{INSTALLED}") == (
        "RuntimeError: PyTorch has been imported already: call gradcu.install_as_torch() before anything imports torch"
    )


def test_installing_twice_is_installing_once():
    code = "gradcu.install_as_torch(); import sys, torch; print(torch.__version__.count('+'))"
    assert python(INSTALLED + code) == "1"


def test_the_version_compares_as_pytorchs():
    assert python(INSTALLED + "import torch; print(torch.__version__ >= '2.0', torch.version.cuda)") == "True None"


def test_submodules_are_attributes():
    code = """
import gradcu as torch
print(torch.nn.functional.relu(torch.ones(1)).item(), torch.utils.data.DataLoader.__name__,
      torch.optim.lr_scheduler.StepLR.__name__, torch.cuda.amp.autocast.__name__,
      torch.autograd.functional.jacobian.__name__, torch.backends.openmp.is_available() in (True, False))
"""
    assert python(code) == "1.0 DataLoader StepLR autocast jacobian True"

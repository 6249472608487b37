"""The type stubs of what declarations make are fresh, and a user's code is checked by them."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SCRIPT = """
import gradcu as torch
import gradcu.nn.functional as F

x = torch.randn(3, requires_grad=True)
y = (x * 2).sum()
y.backward()
(g,) = torch.autograd.grad((1 - x**2).sum(), x)
with torch.no_grad():
    x.sub_(0.1 * g)
    x += x.normal_(mean=0.5)
values, indices = x.topk(2)
u, s, v = torch.linalg.svd(torch.eye(3, dtype=torch.float64))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.layers(x), dim=-1)


m = torch.nn.Linear(3, 4)
optimizer = torch.optim.Adam(m.parameters())
for inputs, targets in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 3), torch.ones(2))):
    F.cross_entropy(m(inputs), targets.long()).backward()
    optimizer.step()
"""


def test_stubs_are_fresh():
    done = subprocess.run([sys.executable, "tools/make_stubs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python tools/make_stubs.py"


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """What `mypy --strict` says of a file of a user's, who has gradcu installed."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("user")

    def run(text):
        (folder / "user.py").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "user.py"]
        environment = os.environ | {"MYPYPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout

    return run


def test_a_training_script_passes_strict_type_checks(check):
    said = check(SCRIPT)
    assert said.startswith("Success"), said


def test_types_are_known_and_mistakes_found(check):
    said = check(
        "import gradcu as torch\n"
        "x = torch.ones(2)\n"
        "reveal_type(torch.relu(x))\n"
        "reveal_type((2 - x.exp()) == x.T)\n"
        "reveal_type(x.add_(1).shape)\n"
        "torch.relu('x')\n"
        "x.exp(out=x)\n"
        "torch.nn.functional.relu(inputs=x)\n",
    )
    expected = [
        (3, 'type is "gradcu.tensor.Tensor"'),
        (4, 'type is "gradcu.tensor.Tensor"'),
        (5, 'type is "gradcu.tensor.Size"'),
        (6, 'incompatible type "str"; expected "Tensor"'),
        (7, 'Unexpected keyword argument "out" for "exp"'),
        (8, 'Unexpected keyword argument "inputs" for "relu"'),
    ]
    for line, words in expected:
        assert any(s.startswith(f"user.py:{line}:") and words in s for s in said.splitlines()), said

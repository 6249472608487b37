"""The examples: the same losses as with `import torch`, step by step; each of them learns and runs as a script."""

import ast
import importlib
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
STEPS = 20
#: by name: the model of an example, and what its `train` is given besides
SETUPS = {
    "train_digits": lambda e: (e.Net(), [digits(e)]),
    "char_gpt": lambda e: (e.GPT(), [e.batches(STEPS)]),
    "vae_digits": lambda e: (e.VAE(), [e.batches(1)]),
    "lstm_forecast": lambda e: (e.Forecaster(), [e.batches(STEPS)]),
    "gcn_digits": lambda e: (e.GCN(), [e.graph(), STEPS]),
}


def load(name, library):
    """The example as a module that imports `library`: only the line of the import differs."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert source.count("import gradcu as torch") == 1
    module = types.ModuleType(f"{name}_on_{library}")
    exec(compile(source.replace("import gradcu as torch", f"import {library} as torch"), name, "exec"), module.__dict__)
    return module


def digits(example):
    images, _, labels, _ = example.digits()
    return [(images[i : i + 32], labels[i : i + 32]) for i in range(0, 32 * STEPS, 32)]


def same_noise(monkeypatch, library):
    """`randn` draws from NumPy's generator, so that both libraries draw the same numbers."""
    torch, rng = importlib.import_module(library), np.random.default_rng(0)

    def randn(*size, dtype=None, device=None):
        shape = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        return torch.from_numpy(rng.standard_normal(tuple(shape)).astype("float32"))

    def normal_sample(self, sample_shape=()):
        return self.loc + randn(self._extended_shape(sample_shape)) * self.scale

    monkeypatch.setattr(importlib.import_module(f"{library}.distributions").Normal, "rsample", normal_sample)


@pytest.mark.parametrize("name", SETUPS)
def test_losses_are_pytorchs(original, monkeypatch, name):
    found, state = [], None
    for library in ("gradcu", "torch"):
        same_noise(monkeypatch, library)
        example = load(name, library)
        model, arguments = SETUPS[name](example)
        if state is None:
            state = {k: np.array(v.detach().numpy()) for k, v in model.state_dict().items()}
        else:
            model.load_state_dict({k: original.from_numpy(v) for k, v in state.items()})
        found.append([loss for loss, _ in zip(example.train(model, *arguments), range(STEPS), strict=False)])
    assert len(found[0]) == STEPS
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4)
    assert np.mean(found[0][-5:]) < np.mean(found[0][:5])


@pytest.mark.parametrize("name", SETUPS)
def test_runs_as_a_script(name):
    short = ["--epochs", "1"] if name in ("train_digits", "vae_digits") else ["--steps", "3"]
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--device", "cpu", *short]
    run = subprocess.run(command, cwd=EXAMPLES.parent, env=environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("gradcu on cpu, ")


def environment():
    import os

    return {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}


@pytest.mark.parametrize("name", SETUPS)
def test_is_short_and_says_how_to_run_it(name):
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) < 150
    assert f"python examples/{name}.py" in ast.get_docstring(ast.parse(source))
    assert f"[{name}.py]({name}.py)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")

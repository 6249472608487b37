"""Training scripts in the manner of well-known public ones run as they are, and have PyTorch's losses, step by step.

The files of tests/scripts are plain PyTorch programs. Their `losses()` gives the loss of each step, and other results.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from same_draws import NAMES, losses

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.filterwarnings("ignore")  # the scripts use names that PyTorch has deprecated


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_pytorchs(name):
    found = losses(name, "gradcu")
    assert np.isfinite(found).all()
    if importlib.util.find_spec("torch"):
        np.testing.assert_allclose(found, losses(name, "torch"), rtol=1e-4, atol=1e-6)


def test_unchanged_scripts_run_where_gradcu_is_installed_as_torch():
    names = ["dcgan", "ddpm", "mnist", "nanogpt", "policy_gradients", "translation", "word_language_model"]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "same_draws.py"), *names],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for name, line in zip(names, run.stdout.splitlines(), strict=True):
        np.testing.assert_allclose([float(word) for word in line.split()], losses(name, "gradcu"), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scripts_know_nothing_of_gradcu(name):
    assert "gradcu" not in (HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8")

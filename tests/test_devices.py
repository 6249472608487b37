"""The idioms by which scripts choose a device, and CUDA's questions where there is no CUDA."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_choosing_a_device(torch):
    assert torch.backends.mps.is_available() is False
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    same = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    assert device == same
    assert torch.ones(2, device=device).device.type == device
    assert torch.accelerator.device_count() == torch.cuda.device_count()


def test_switches_that_scripts_set(torch):
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before
    try:
        torch.backends.cuda.matmul.allow_tf32 = True
        assert torch.get_float32_matmul_precision() == "high"
        torch.set_float32_matmul_precision("highest")
        assert torch.backends.cuda.matmul.allow_tf32 is False
        with pytest.warns(UserWarning, match="exact is not one of 'highest', 'high', or 'medium'"):
            torch.set_float32_matmul_precision("exact")
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision("highest")


def python(code, **environment):
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_without_a_device_questions_are_answered():
    code = """if True:
        from gradcu import cuda
        print(cuda.is_available(), cuda.device_count(), cuda.is_initialized())
        print(cuda.memory_allocated(), cuda.max_memory_reserved())
        cuda.manual_seed(1), cuda.manual_seed_all(1), cuda.empty_cache()"""
    assert python(code, CUDA_VISIBLE_DEVICES="").split() == ["False", "0", "False", "0", "0"]


def test_without_a_device_the_error_says_what_to_do():
    code = """if True:
        import gradcu
        try:
            gradcu.zeros(2).to("cuda")
        except RuntimeError as error:
            print(error)"""
    told = python(code, CUDA_VISIBLE_DEVICES="")
    assert 'pip install "gradcu[cuda13]"' in told or "nvidia-smi" in told


def test_devices_print_and_compare(torch):
    assert str(torch.device("cuda", 1)) == "cuda:1"
    assert torch.device("cuda") != torch.device("cuda:0")
    assert repr(torch.device("cuda:1")) == "device(type='cuda', index=1)"

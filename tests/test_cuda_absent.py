"""Without CUDA everything answers as a PyTorch built for the CPU does, and errors say which command mends what."""

import io
import json
import subprocess
import sys

import pytest

import gradcu

pytestmark = pytest.mark.skipif(gradcu.cuda.is_available(), reason="this machine has CUDA")


def test_questions_are_answered(torch):
    cuda = torch.cuda
    assert (cuda.is_available(), cuda.device_count(), cuda.is_initialized()) == (False, 0, False)
    assert (cuda.memory_allocated(), cuda.max_memory_allocated(), cuda.memory_reserved()) == (0, 0, 0)
    assert cuda.empty_cache() is None
    assert cuda.manual_seed(3) is cuda.manual_seed_all(3) is None


NEEDS_A_DEVICE = {
    "to": lambda: gradcu.ones(2).to("cuda"),
    "cuda": lambda: gradcu.ones(2).cuda(),
    "creation": lambda: gradcu.zeros(2, device="cuda:0"),
    "module": lambda: gradcu.nn.Linear(1, 1).cuda(),
    "init": gradcu.cuda.init,
    "current device": gradcu.cuda.current_device,
    "name": gradcu.cuda.get_device_name,
    "properties": gradcu.cuda.get_device_properties,
    "synchronize": gradcu.cuda.synchronize,
    "memory": gradcu.cuda.mem_get_info,
    "generator": lambda: gradcu.Generator(device="cuda"),
}


@pytest.mark.parametrize("what", NEEDS_A_DEVICE)
def test_what_needs_a_device_says_what_to_do(what):
    with pytest.raises(RuntimeError, match=r"pip install|nvidia-smi"):
        NEEDS_A_DEVICE[what]()


def test_without_cupy_the_extras_are_named():
    script = "import sys; sys.modules['cupy'] = None\nimport gradcu\ngradcu.cuda.init()"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert "RuntimeError" in done.stderr
    assert "gradcu[cuda13]" in done.stderr
    assert "gradcu[cuda12]" in done.stderr


def test_importing_gradcu_imports_no_cupy():
    script = "import sys, gradcu; gradcu.ones(2).sum(); print('cupy' in sys.modules, 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False False\n"


def test_a_cuda_checkpoint_is_refused_and_mapped():
    writer = pytest.importorskip("safetensors.numpy")
    tree = {"kind": "dict", "items": [["t", {"kind": "Tensor", "name": "t", "device": "cuda:0"}]]}
    content = writer.save({"t": gradcu.ones(2).numpy()}, {"gradcu": json.dumps(tree)})
    with pytest.raises(RuntimeError, match="deserialize object on a CUDA device but"):
        gradcu.load(io.BytesIO(content))
    assert gradcu.load(io.BytesIO(content), map_location="cpu")["t"].tolist() == [1, 1]

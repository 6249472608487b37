"""The op that CONTRIBUTING.md tells readers to paste works, and the sweep tests it unasked."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def test_the_pasted_op(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import pytest
import gradcu as torch
from gradcu.ops.elementwise import Elementwise, expose
{block}
x = torch.tensor([1.0, 2.0], requires_grad=True)
assert x.cube().tolist() == torch.cube(x).tolist() == [1.0, 8.0]
assert x.cube().grad_fn.name() == "CubeBackward0"
x.cube().sum().backward()
assert x.grad.tolist() == [3.0, 12.0]
assert torch.ones(2).cube_().tolist() == [1.0, 1.0]
sweep = {str(ROOT / "tests" / "test_ops.py")!r}
sys.exit(pytest.main([sweep, "-k", "cube", "-q", "-p", "no:cacheprovider", "--rootdir", {str(ROOT)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1[0-9] passed", done.stdout), done.stdout

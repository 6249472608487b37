"""The programs that a newcomer runs: `gradcu demo`, the example script, the README's script, the notebook."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path

import pytest

import gradcu
from gradcu.__main__ import main

for needed in ("sklearn", "tqdm", "matplotlib", "safetensors"):
    pytest.importorskip(needed)

from matplotlib import image  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def demo(*arguments: str | Path) -> str:
    """Run `gradcu demo` on the CPU and return what it printed."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(["demo", "--device", "cpu", *map(str, arguments)]) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a run of four epochs."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo("--epochs", "4", "--out", folder)


def accuracy(text: str) -> float:
    return float(re.search(r"^test accuracy: ([\d.]+)%", text, re.M)[1]) / 100


def test_learns_to_read_digits(trained):
    _, text = trained
    assert accuracy(text) >= 0.97
    losses = [float(x) for x in re.findall(r"loss ([\d.]+)", text)]
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 5


def test_says_device_parameters_and_data(trained):
    _, text = trained
    assert "device: cpu\n" in text
    assert "parameters: 10,026\n" in text
    assert "1,437 to train on, 360 held out" in text


def test_checkpoint_is_a_plain_safetensors_file(trained):
    folder, _ = trained
    tensors = load_file(folder / "checkpoint.safetensors")
    assert tensors["model.0.weight"].shape == (16, 1, 3, 3)
    assert tensors["optimizer.0.exp_avg"].shape == (16, 1, 3, 3)
    assert tensors["losses"].shape == (4,)


@pytest.mark.parametrize("name", ["loss.png", "predictions.png"])
def test_pictures_show_something(trained, name):
    pixels = image.imread(trained[0] / name)
    assert min(pixels.shape[:2]) >= 300
    assert pixels[..., :3].std() > 0.01


def test_resumed_run_equals_an_unbroken_one(trained, tmp_path):
    demo("--epochs", "3", "--out", tmp_path)
    text = demo("--epochs", "1", "--resume", "--out", tmp_path)
    assert "resumed after epoch 3" in text
    assert re.findall(r"epoch +(\d+): loss", text) == ["4"]
    whole, parts = (load_file(folder / "checkpoint.safetensors") for folder in (trained[0], tmp_path))
    assert whole.keys() == parts.keys()
    assert all((whole[name] == parts[name]).all() for name in whole)


def test_resume_without_a_checkpoint_is_explained(tmp_path, capsys):
    assert main(["demo", "--resume", "--out", str(tmp_path)]) == 1
    assert "no checkpoint to resume from" in capsys.readouterr().err


def test_missing_packages_are_named_with_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "sklearn" in error
    assert 'pip install "gradcu[demo]"' in error


@pytest.mark.skipif(gradcu.cuda.is_available(), reason="this machine has CUDA")
def test_missing_cuda_is_explained(tmp_path, capsys):
    assert main(["demo", "--device", "cuda", "--out", str(tmp_path)]) == 1
    assert "cuda" in capsys.readouterr().err.lower()


@pytest.mark.parametrize("epochs", ["0", "-1", "many"])
def test_senseless_epochs_are_refused(epochs, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", epochs])
    assert "--epochs" in capsys.readouterr().err


@pytest.mark.parametrize("library", ["gradcu", "torch"])
def test_example_runs_with_either_library(library, tmp_path, monkeypatch, capsys):
    pytest.importorskip(library)
    text = (ROOT / "examples" / "train_digits.py").read_text(encoding="utf-8")
    assert text.count("import gradcu as torch") == 1
    assert len(text.splitlines()) < 80
    script = tmp_path / "train_digits.py"
    script.write_text(text.replace("import gradcu as torch", f"import {library} as torch"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(script), "--device", "cpu", "--epochs", "3"])
    runpy.run_path(str(script), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown.startswith(f"{library} on cpu, 10,026 parameters")
    assert float(re.findall(r"accuracy ([\d.]+)%", shown)[-1]) >= 96


@pytest.mark.parametrize("library", ["gradcu", "torch"])
def test_readme_script_runs_with_either_library(library, capsys):
    pytest.importorskip(library)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (script,) = [block for block in blocks if "backward()" in block]
    exec(script.replace("import gradcu as torch", f"import {library} as torch"), {})
    loss, correct = re.fullmatch(
        r"tensor\(([\d.]+), grad_fn=<\w+>\) tensor\(([\d.]+)\)\n", capsys.readouterr().out
    ).groups()
    assert float(loss) < 0.3
    assert float(correct) > 0.9


def executed(name: str, library: str) -> tuple[list, str]:
    """The cells of code of a notebook that has been run with a library in place of gradcu, and what they printed."""
    for needed in (library, "ipykernel"):
        pytest.importorskip(needed)
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in code), "a committed notebook holds no outputs"
    code[0].source = code[0].source.replace("import gradcu as torch", f"import {library} as torch")
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    return code, "".join(output.get("text", "") for cell in code for output in cell.outputs)


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
def test_notebook_makes_a_kernel():
    code, shown = executed("custom_kernels.ipynb", "gradcu")
    for words in (
        "SnakeBackward0\nAccumulateGrad\n",
        "True True\n",
        "// snake_backward: a0 is g, a1 is x, a2 is a\n",
        "static void snake_row(",
        "centred is not pointwise: mean is no function of single elements (line 3 of ",
    ):
        assert words in shown
    assert any("image/png" in output.get("data", {}) for output in code[-1].outputs)


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize("library", ["gradcu", "torch"])
def test_notebook_shows_what_it_tells(library):
    code, shown = executed("autograd_tutorial.ipynb", library)
    for words in (
        "grad_fn=<SumBackward0>)",
        "Trying to backward through the graph a second time",
        "grad can be implicitly created only for scalar outputs",
        "Mismatch in shape",
        "<class 'AccumulateGrad'> True ()",
        "grad_fn=<MulConstantBackward>)",
        "6 t:   [12.0, -6.0]",
        "an incorrect number of gradients (expected 2, got 1)",
        "with the hook: tensor([30., 30.])",
        "a Tensor that is not a leaf Tensor is being accessed",
        "modified by an inplace operation",
        "a leaf Variable that requires grad is being used in an in-place operation",
    ):
        assert words in shown
    assert any("image/png" in output.get("data", {}) for output in code[-1].outputs)

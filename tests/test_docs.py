"""The pages of docs/ stay true: the functions that they name exist where they say, and their examples run."""

import ast
import re
from pathlib import Path

import pytest

import gradcu

ROOT = Path(__file__).resolve().parent.parent
AUTOGRAD = (ROOT / "docs" / "autograd.md").read_text(encoding="utf-8")


def test_the_example_of_the_backward_pass():
    (example, *_) = re.findall(r"```python\n(.*?)```", AUTOGRAD, re.S)
    names: dict = {}
    exec(example, names)
    assert names["loss"].grad_fn.name() == "SumBackward0"
    order, node = [], names["loss"].grad_fn
    while node is not None:
        order.append(node.name())
        node = node.next_functions[-1 if node.name() == "MmBackward0" else 0][0] if node.next_functions else None
    assert order == ["SumBackward0", "TanhBackward0", "AddBackward0", "MmBackward0", "AccumulateGrad"]
    assert names["w"].grad.shape == (2, 1)


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`((?:graph|ops|autograd|backends)/\w+\.py)`", AUTOGRAD))))
def test_files_that_the_backward_pass_goes_through(file):
    assert (ROOT / "gradcu" / file).is_file()


@pytest.mark.parametrize(
    ("function", "file"),
    re.findall(r"`(?:[\w]+\.)?(\w+)` \(`((?:graph|ops|autograd|backends)/\w+\.py)`(?:, `[\w.]+`)?\)", AUTOGRAD),
)
def test_functions_that_the_backward_pass_goes_through(function, file):
    assert re.search(rf"\b{function}\b", (ROOT / "gradcu" / file).read_text(encoding="utf-8"))


def test_the_text_of_tanhs_node():
    (text,) = re.findall(r"```python\n(def raw\(.*?)```", AUTOGRAD, re.S)
    from gradcu.graph import written

    seen = []
    before = written._compiled
    try:
        written._compiled = lambda lines, *rest: (seen.append("\n".join(lines)), before(lines, *rest))[1]
        node = gradcu.ones(2, requires_grad=True).tanh().grad_fn
        type(node).write("raw")
    finally:
        written._compiled = before
    assert [ast.unparse(ast.parse(t)) for t in seen] == [ast.unparse(ast.parse(text))]


def test_the_page_on_profiling_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "profiling.md").read_text(encoding="utf-8"), re.S):
        exec(block, names)
    printed = capsys.readouterr().out
    assert "AddmmBackward0" in printed
    assert (tmp_path / "trace.json").stat().st_size > 100
    forward = 2 * 128 * (64 * 64 + 64)
    assert int(printed.split()[-1]) == forward * 2 + 2 * 128 * 64  # weights' gradients, and that of the hidden layer

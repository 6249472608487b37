"""What the package promises before any op runs: what it imports, what its layers know, what its metadata say."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradcu
from gradcu.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gradcu"


def imported(file: Path) -> Iterator[str]:
    """The top-level packages that a file imports anywhere in its text, late imports too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_loads_no_optional_package():
    optional = {"cupy", "cupyx", "scipy", "matplotlib", "sklearn", "safetensors", "torch"}
    loaded = set(python("import sys, gradcu; print(*{m.partition('.')[0] for m in sys.modules})").split())
    assert "numpy" in loaded
    assert not loaded & optional


def test_work_on_the_cpu_loads_no_cupy():
    code = "import sys, gradcu as t; t.rand(3, requires_grad=True).sum().backward(); print('cupy' in sys.modules)"
    assert python(code) == "False"


def test_graph_layer_knows_no_array_library():
    files = sorted((PACKAGE / "graph").rglob("*.py"))
    assert files
    assert {f.name: found for f in files if (found := {"numpy", "cupy", "cupyx"} & set(imported(f)))} == {}


def test_only_the_cupy_backend_imports_cupy():
    users = {f.relative_to(PACKAGE).as_posix() for f in PACKAGE.rglob("*.py") if {"cupy", "cupyx"} & set(imported(f))}
    assert users <= {"backends/cupy.py"}


def test_version_is_the_one_of_the_build():
    namespace: dict[str, str] = {}
    exec((PACKAGE / "version.py").read_text(encoding="utf-8"), namespace)
    assert gradcu.__version__ == namespace["__version__"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", gradcu.__version__)


def test_command_line_states_the_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"gradcu {gradcu.__version__}\n"


def test_numpy_is_the_only_required_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [re.split(r"[<>=!~ ]", d)[0] for d in project["dependencies"]] == ["numpy"]


def test_files_named_in_the_readme_exist():
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_graph_layer_stays_small():
    """What records and walks can be read in one sitting: lines of code, without comments, docstrings and blank ones."""
    assert sum(map(lines_of_code, (ROOT / "gradcu" / "graph").glob("*.py"))) <= 1500


def lines_of_code(path):
    source = path.read_text(encoding="utf-8")
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)

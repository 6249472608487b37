"""Write the type stubs of what declarations make: `python tools/make_stubs.py` (`--check` only compares).

Functions and methods are attached when `gradcu.ops` is imported, where no type checker or editor sees them. The stubs
say what they are: `gradcu/_functions.pyi`, `gradcu/_methods.pyi`, and one for each module that is filled the same way
(`gradcu/nn/functional.pyi`, ...); `tests/test_stubs.py` holds them fresh.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import gradcu
from gradcu.ops import functions, namespaces
from gradcu.tensor import Tensor

PACKAGE = pathlib.Path(gradcu.__file__).parent
HEADER = """# Made by tools/make_stubs.py from the declarations in gradcu/ops; do not edit.
# ruff: noqa
# fmt: off
from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from {root} import devices, dtypes
"""
KNOWN = {"Any", "Callable", "Iterator", "Sequence", "None", "devices", "dtypes"}
OPERATORS = {
    f"__{kind}{n}__"
    for kind in ("", "r", "i")
    for n in "add sub mul div truediv floordiv mod pow matmul and or xor lshift rshift eq ne lt le gt ge".split()
}
#: containers that an annotation leaves open, and what strict checkers want said of them
BARE = re.compile(r"\bbuiltins\.(tuple|list|dict)\b(?!\[)")
FILLED = {"tuple": "[Any, ...]", "list": "[Any]", "dict": "[Any, Any]"}
BUILTINS = {"int", "float", "bool", "str", "tuple", "list", "dict", "complex", "object", "type", "slice", "set"}
WORD = re.compile(r"(?<![.\w])[A-Za-z_]\w*")


class Stub:
    """The text of one stub: lines, and the classes of gradcu that they name."""

    def __init__(self, root: str) -> None:
        self.root, self.lines = root, list[str]()
        self.imported = {"Tensor": f"from {root}tensor import Tensor"}

    def annotation(self, text: Any, scope: dict[str, Any]) -> str:
        """An annotation, read in `scope`, in the stub's own names; Any where it speaks of what cannot be imported."""
        if text is inspect.Parameter.empty:
            return "Any"
        text = text if isinstance(text, str) else getattr(text, "__name__", str(text))

        def known(found: re.Match) -> str:
            name = found[0]
            if name in BUILTINS:
                return f"builtins.{name}"
            if name in KNOWN or name in self.imported:
                return name
            value = scope[name]
            if inspect.isclass(value) and value.__module__.startswith("gradcu."):
                module = value.__module__.removeprefix("gradcu.")
                renamed = "" if name == value.__name__ else f" as {name}"
                self.imported[name] = f"from {self.root}{module} import {value.__name__}{renamed}"
                return name
            if isinstance(value, (types.UnionType, types.GenericAlias)):  # an alias
                return WORD.sub(known, re.sub(r"\b[a-z_.]+\.(?=[A-Z])", "", str(value)))
            raise KeyError(name)

        try:
            return BARE.sub(lambda found: found[0] + FILLED[found[1]], WORD.sub(known, text))
        except KeyError:
            return "Any"

    def function(self, name: str, f: Callable, method: bool = False) -> None:
        """Add `def name(...) -> ...: ...`, as a method if asked."""
        s = inspect.signature(f)
        scope = inspect.unwrap(f).__globals__
        parameters = list(s.parameters.values())
        if method:
            del parameters[0]
        if method or name.endswith("_"):  # these take no out=
            parameters = [p for p in parameters if p.name != "out"]
        elif hasattr(f, "__wrapped__") and "out" not in s.parameters:
            out = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
            has_keywords = any(p.kind is p.VAR_KEYWORD for p in parameters)
            parameters.insert(len(parameters) - has_keywords, out)
        parts, starred = ["self"] if method else [], False
        for p in parameters:
            kind = self.annotation(p.annotation, scope)
            if p.kind is p.VAR_POSITIONAL:
                starred = True
                parts.append(f"*{p.name}: {kind}")
            elif p.kind is p.VAR_KEYWORD:
                parts.append(f"**{p.name}: {kind}")
            else:
                if p.kind is p.KEYWORD_ONLY and not starred:
                    starred = True
                    parts.append("*")
                parts.append(f"{p.name}: {kind}" + ("" if p.default is p.empty else f" = {default(p.default)}"))
        is_tensor = method and (name in OPERATORS or (name.endswith("_") and not name.endswith("__")))
        returns = "Tensor" if is_tensor else self.annotation(s.return_annotation, scope)
        ignored = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
        self.lines.append(f"{'    ' * method}def {name}({', '.join(parts)}) -> {returns}: ...{ignored}")

    def member(self, name: str, value: Any) -> None:
        """Add what a module is filled with under a name."""
        if not inspect.isclass(value):
            if inspect.isfunction(value):
                self.function(name, value)
            else:
                self.annotation(type(value).__name__, {type(value).__name__: type(value)})
                self.lines.append(f"{name}: {type(value).__name__}")
        elif issubclass(type(value), type) and type(value) is not type:  # FloatTensor and its kin
            self.lines.append(f"class {name}(Tensor): ...")
        else:
            self.imported[name] = f"from {self.root}{value.__module__.removeprefix('gradcu.')} import {name} as {name}"

    def text(self) -> str:
        head = HEADER.format(root=self.root) + "\n".join(sorted(self.imported.values()))
        return f"{head}\n\n" + "\n".join(self.lines) + "\n"


def default(value: Any) -> str:
    plain = value is None or (type(value) in (bool, int, float, str) and repr(value) not in ("inf", "nan"))
    return repr(value) if plain else "..."


def members() -> Iterator[tuple[str, Any]]:
    """What `gradcu.ops` has put on Tensor."""
    tree = ast.parse(inspect.getsource(sys.modules["gradcu.tensor"]))
    body = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Tensor").body
    own = {n.name for n in body if isinstance(n, ast.FunctionDef)}
    own |= {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    for name, value in sorted(vars(Tensor).items()):
        if name not in own:
            yield name, value


def stubs() -> dict[str, str]:
    """The text of each stub, by its path in the package."""
    made = {}
    for path, space in {"_functions": functions, **namespaces}.items():
        module = importlib.import_module(f"gradcu.{path}") if space is not functions else None
        more = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
        stub = Stub("." * (path.count(".") + 1))
        for name, value in sorted({**space, **more}.items()):
            if name.isidentifier():
                stub.member(name, value)
        made[f"{path.replace('.', '/')}.pyi"] = stub.text()
    stub = Stub(".")
    stub.lines = ["class TensorMethods:"]
    for name, value in members():
        if isinstance(value, property) and value.fget is not None:
            stub.lines.append("    @property")
            stub.function(name, value.fget, True)
        elif isinstance(value, types.FunctionType):
            stub.function(name, value, True)
    made["_methods.pyi"] = stub.text()
    return made


def main() -> int:
    stale = []
    for name, text in stubs().items():
        path = PACKAGE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    print(
        "stubs: " + (", ".join(stale) + (" are stale" if "--check" in sys.argv else " written") if stale else "fresh")
    )
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())

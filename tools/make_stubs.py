"""Write the type stubs of what declarations make: `python tools/make_stubs.py` (`--check` only compares).

Functions and methods are attached when `gradcu.ops` is imported, where no type checker or editor sees them. The stubs
`gradcu/_functions.pyi` and `gradcu/_methods.pyi` say what they are; `tests/test_stubs.py` holds them fresh.
"""

from __future__ import annotations

import inspect
import pathlib
import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import gradcu
from gradcu.ops import functions
from gradcu.tensor import Tensor

PACKAGE = pathlib.Path(gradcu.__file__).parent
HEADER = """# Made by tools/make_stubs.py from the declarations in gradcu/ops; do not edit.
# ruff: noqa
from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import devices, dtypes
from .layouts import memory_format
from .tensor import Size, Tensor
{more}
"""
KNOWN = {
    "Any",
    "Callable",
    "Iterator",
    "Sequence",
    "Size",
    "Tensor",
    "memory_format",
    "None",
    "devices",
    "dtypes",
    "device",
}
OPERATORS = {
    f"__{kind}{n}__"
    for kind in ("", "r", "i")
    for n in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift eq ne lt le gt ge".split()
}
BUILTINS = {"int", "float", "bool", "str", "tuple", "list", "dict", "complex", "object", "type", "slice", "set"}


def annotation(text: Any) -> str:
    """An annotation in the stub's own names; Any where it speaks of others."""
    if text is inspect.Parameter.empty:
        return "Any"
    text = text if isinstance(text, str) else getattr(text, "__name__", str(text))
    names = set(re.findall(r"(?<![.\w])([A-Za-z_]\w*)", re.sub(r"\"[^\"]*\"", "", text)))
    if not names <= KNOWN | BUILTINS or '"' in text:
        return "Any"
    return re.sub(r"(?<![.\w])(" + "|".join(BUILTINS) + r")\b", r"builtins.\1", text)


def default(value: Any) -> str:
    return (
        repr(value)
        if value is None or type(value) in (bool, int, float, str) and repr(value) not in ("inf", "nan")
        else "..."
    )


def signature(name: str, f: Callable, method: bool) -> str:
    """`def name(...) -> ...: ...` of a function, as a method if asked."""
    if inspect.isclass(f):
        return f"from {f.__module__.replace('gradcu', '', 1)} import {f.__name__} as {name}"
    try:
        s = inspect.signature(f)
    except (TypeError, ValueError):
        return (
            f"def {name}(self, *args: Any, **kwargs: Any) -> Any: ..."
            if method
            else f"def {name}(*args: Any, **kwargs: Any) -> Any: ..."
        )
    parts, starred = [], False
    parameters = list(s.parameters.values())
    if method:
        parameters = parameters[1:]
        parts.append("self")
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL:
            starred = True
            parts.append(f"*{p.name}: {annotation(p.annotation)}")
        elif p.kind is p.VAR_KEYWORD:
            parts.append(f"**{p.name}: {annotation(p.annotation)}")
        else:
            if p.kind is p.KEYWORD_ONLY and not starred:
                starred = True
                parts.append("*")
            given = "" if p.default is p.empty else f" = {default(p.default)}"
            parts.append(f"{p.name}: {annotation(p.annotation)}{given}")
    if hasattr(f, "__wrapped__") and "out" not in s.parameters and not name.endswith("_"):
        has_keywords = any(p.kind is p.VAR_KEYWORD for p in parameters)
        parts.insert(len(parts) - has_keywords, ("" if starred else "*, ") + "out: Any = None")
    returns = "Tensor" if name in OPERATORS else annotation(s.return_annotation)
    return f"def {name}({', '.join(parts)}) -> {returns}: ..."


def members() -> Iterator[tuple[str, Any]]:
    """What `gradcu.ops` has put on Tensor."""
    own = inspect.getsource(sys.modules["gradcu.tensor"].Tensor)
    for name, value in sorted(vars(Tensor).items()):
        if not re.search(rf"^    (?:def {name}\b|{name}\b.*=|.*\b{name} =)", own, re.M):
            yield name, value


def stubs() -> dict[str, str]:
    """The text of each stub, by file name."""
    lines = [signature(n, f, False) for n, f in sorted(functions.items()) if n.isidentifier()]
    exported = "".join(f"    {n!r},\n" for n in sorted(functions) if n.isidentifier())
    text = HEADER.format(more="") + "\n".join(lines) + f"\n\n__all__ = [\n{exported}]\n"
    inside = []
    for name, value in members():
        if isinstance(value, property):
            inside += ["    @property", f"    def {name}(self) -> Any: ..."]
        elif isinstance(value, types.FunctionType):
            inside.append("    " + signature(name, value, True))
    more = "\nclass TensorMethods:\n" + "\n".join(inside) + "\n"
    return {"_functions.pyi": text, "_methods.pyi": HEADER.format(more=more)}


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

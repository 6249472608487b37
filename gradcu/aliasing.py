"""`install_as_torch`: programs that say `import torch` get gradcu."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import gradcu

__all__ = ["install_as_torch"]

_API = "2.13.0"  # PyTorch's version whose names and results gradcu follows


def install_as_torch() -> None:
    """Have `import torch`, and that of any module inside it, give gradcu and its modules from now on.

    For code that cannot be edited; elsewhere `import gradcu as torch` does. Nothing is imported before it is asked for.
    A module that gradcu has not raises ModuleNotFoundError, and a name AttributeError or ImportError, that says so.
    `__version__` becomes PyTorch's, with gradcu's behind it, because programs compare it.

    Raises RuntimeError if PyTorch has been imported: the two cannot go by one name.

    >>> install_as_torch()  # doctest: +SKIP
    >>> import torch.nn.functional as F  # doctest: +SKIP
    """
    present = sys.modules.get("torch")
    if present is gradcu:
        return
    if present is not None:
        raise RuntimeError(
            "PyTorch has been imported already: call gradcu.install_as_torch() before anything imports torch"
        )
    sys.meta_path.insert(0, _Alias())
    sys.modules["torch"] = gradcu
    gradcu.__version__ = f"{_API}+gradcu.{gradcu.__version__}"


class _Alias(MetaPathFinder, Loader):
    """Finds `torch.x.y` as the module `gradcu.x.y`: one module under two names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("torch."):
            return None
        own = "gradcu" + fullname.removeprefix("torch")
        if own not in sys.modules and importlib.util.find_spec(own) is None:
            raise ModuleNotFoundError(
                f"gradcu has no module '{own}', which was asked for as '{fullname}' after gradcu.install_as_torch()",
                name=fullname,
            )
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module("gradcu" + spec.name.removeprefix("torch"))
        spec.loader_state = module.__spec__  # the import system is about to put its own there
        return module

    def exec_module(self, module: ModuleType) -> None:
        alias = module.__spec__
        assert alias is not None
        module.__spec__ = alias.loader_state

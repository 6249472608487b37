"""`gradcu.utils`: loading data, recomputing in backward what would take memory to keep, a table of a model's layers."""

from __future__ import annotations

import importlib
from typing import Any

from . import checkpoint as checkpoint, data as data
from .model_summary import summary as summary


def __getattr__(name: str) -> Any:
    if name in ("benchmark", "cpp_extension", "tensorboard"):
        return importlib.import_module(f"gradcu.utils.{name}")
    raise AttributeError(f"module 'gradcu.utils' has no attribute '{name}'")

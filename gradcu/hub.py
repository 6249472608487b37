"""`gradcu.hub`: refuses, and says what to do."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["download_url_to_file", "help", "list", "load", "load_state_dict_from_url"]


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"gradcu.hub.{name}: gradcu downloads neither code nor weights. Fetch the weights as safetensors (with "
        "huggingface_hub, say), read them with gradcu.load, and pass them to module.load_state_dict."
    )


def load(repo_or_dir: Any, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: repositories of models are code for PyTorch."""
    _refuse("load")


def list(github: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError, as `load`."""
    _refuse("list")


def help(github: Any, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError, as `load`."""
    _refuse("help")


def load_state_dict_from_url(url: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: checkpoints of PyTorch are pickles, and those can run any code."""
    _refuse("load_state_dict_from_url")


def download_url_to_file(url: str, dst: str, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError."""
    _refuse("download_url_to_file")

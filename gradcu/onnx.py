"""`gradcu.onnx`: refuses, and says what to do."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["export", "is_in_onnx_export"]


def export(model: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: load the weights into the same module in PyTorch, and export that."""
    raise RuntimeError(
        "gradcu.onnx.export: gradcu writes no ONNX. Save model.state_dict() with gradcu.save, load the file into the "
        "same module in PyTorch (safetensors.torch.load_file), and call torch.onnx.export there."
    )


def is_in_onnx_export() -> bool:
    """False: nothing is ever exported."""
    return False

"""`SummaryWriter`: training curves for TensorBoard, written by the package tensorboardX."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

try:
    from tensorboardX import SummaryWriter as _Writer
except ImportError:
    raise ImportError(
        "gradcu.utils.tensorboard needs the package tensorboardX: pip install 'gradcu[tensorboard]'"
    ) from None

__all__ = ["SummaryWriter"]


def _arrays(value: Any) -> Any:
    """`value` with NumPy arrays for tensors, which is what the package takes."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    return {k: _arrays(v) for k, v in value.items()} if isinstance(value, dict) else value


class SummaryWriter(_Writer):
    """tensorboardX's SummaryWriter, whose `add_...` methods take tensors.

    >>> with SummaryWriter("runs/first") as writer:
    ...     writer.add_scalar("loss", tensor(0.5), 1)
    """


def _takes_tensors(name: str) -> Any:
    original = getattr(_Writer, name)

    def method(self: SummaryWriter, *args: Any, **kwargs: Any) -> Any:
        return original(self, *_arrays(args), **_arrays(kwargs))

    method.__name__, method.__doc__ = name, original.__doc__
    return method


for _name in """add_scalar add_scalars add_histogram add_image add_images add_image_with_boxes add_video add_audio
        add_pr_curve add_embedding add_mesh add_hparams""".split():
    setattr(SummaryWriter, _name, _takes_tensors(_name))

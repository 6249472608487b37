"""What a model consists of, layer by layer, with the shapes that pass through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..dtypes import dtype
from ..graph.modes import no_grad
from ..nn.module import Module
from ..ops.creation import zeros
from ..tensor import Tensor


@dataclass
class Layer:
    """One call of a module: where it is in the tree, what came out, and how many parameters are its own."""

    name: str
    kind: str
    depth: int
    parameters: int
    output: str = "--"
    repeated: bool = False


@dataclass
class Summary:
    """The result of `summary`; printing it gives the table."""

    layers: list[Layer] = field(default_factory=list)
    total_params: int = 0
    trainable_params: int = 0
    param_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0

    def __str__(self) -> str:
        head = ("Layer (type)", "Output shape", "Parameters")
        rows = [
            (
                "   " * layer.depth + f"{layer.kind} ({layer.name})" if layer.name else layer.kind,
                layer.output,
                _count(layer),
            )
            for layer in self.layers
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) + 2 for i in range(3)]
        line = "=" * sum(widths)

        def text(row: tuple[str, str, str]) -> str:
            return row[0].ljust(widths[0]) + row[1].ljust(widths[1]) + row[2].rjust(widths[2])

        sizes = {"Input": self.input_bytes, "Outputs of layers": self.output_bytes, "Parameters": self.param_bytes}
        return "\n".join(
            [
                line,
                text(head),
                line,
                *map(text, rows),
                line,
                f"Parameters: {self.total_params:,}",
                f"Trainable: {self.trainable_params:,}",
                f"Not trainable: {self.total_params - self.trainable_params:,}",
                *(f"{what} (MB): {n / 1e6:.2f}" for what, n in sizes.items()),
                line,
            ]
        )

    __repr__ = __str__


def _count(layer: Layer) -> str:
    if layer.repeated:
        return "(repeated)"
    return f"{layer.parameters:,}" if layer.parameters else "--"


def summary(
    model: Module,
    input_size: Any = None,
    input_data: Any = None,
    *,
    dtypes: Sequence[dtype] | None = None,
    depth: int = 3,
    device: Any = None,
    mode: str = "eval",
) -> Summary:
    """A table of a model's modules, their parameters, and the shapes of what they return; the model stays as it is.

    input_size: the shape of the input, with the batch, or a list of shapes for several. input_data: the input itself,
    or a list or tuple of inputs. With neither no shapes are shown. dtypes: of the inputs that are made. depth: of the
    tree that is shown. mode: "eval" or "train", for the call.

    Raises ValueError for another mode and for both a size and data.

    >>> print(summary(nn.Linear(3, 2), (1, 3)))  # doctest: +ELLIPSIS
    ====...
    Layer (type)  Output shape  Parameters
    ====...
    Linear        [1, 2]                 8
    ...
    """
    if mode not in ("eval", "train"):
        raise ValueError(f'mode must be "eval" or "train", not {mode!r}')
    if input_size is not None and input_data is not None:
        raise ValueError("summary() takes input_size or input_data, not both")
    if device is None:
        device = next((p.device for p in model.parameters()), None)
    if input_size is not None:
        several = [input_size] if all(isinstance(n, int) for n in input_size) else list(input_size)
        kinds = list(dtypes) if dtypes else [None] * len(several)
        inputs = [zeros(*size, dtype=kind, device=device) for size, kind in zip(several, kinds, strict=True)]
    else:
        inputs = list(input_data) if isinstance(input_data, (list, tuple)) else [input_data]
    result = Summary()
    if input_size is None and input_data is None:
        for name, module in model.named_modules():
            result.layers.append(_layer(name.rpartition(".")[2], module, name.count(".") + bool(name)))
    else:
        _call(model, inputs, result, mode)
    result.layers = [layer for layer in result.layers if layer.depth <= depth]
    for p in model.parameters():
        result.total_params += p.numel()
        result.trainable_params += p.numel() * p.requires_grad
        result.param_bytes += p.nbytes
    result.input_bytes = sum(t.nbytes for t in inputs if isinstance(t, Tensor))
    return result


def _layer(name: str, module: Module, depth: int) -> Layer:
    return Layer(name, module._get_name(), depth, sum(p.numel() for p in module.parameters(recurse=False)))


def _call(model: Module, inputs: list[Any], result: Summary, mode: str) -> None:
    """Call the model once with hooks on all modules that note what passes."""
    names = {id(m): name.rpartition(".")[2] for name, m in model.named_modules()}
    seen: set[int] = set()
    stack: list[Layer] = []

    def enter(module: Module, args: Any) -> None:
        layer = _layer(names[id(module)], module, len(stack))
        layer.repeated = id(module) in seen and layer.parameters > 0
        seen.add(id(module))
        result.layers.append(layer)
        stack.append(layer)

    def leave(module: Module, args: Any, output: Any) -> None:
        layer = stack.pop()
        layer.output = _shape(output)
        if not module._modules:
            result.output_bytes += sum(t.nbytes for t in _tensors(output))

    modes = [(m, m.training) for m in model.modules()]
    handles = [h for m in model.modules() for h in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))]
    try:
        with no_grad():
            model.train(mode == "train")
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for m, training in modes:
            m.training = training


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for part in value for t in _tensors(part)] if isinstance(value, (list, tuple)) else []


def _shape(output: Any) -> str:
    shapes = [str(list(t.shape)) for t in _tensors(output)]
    return ", ".join(shapes) if shapes else "--"

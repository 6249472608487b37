"""Errors that say what PyTorch's say, and more: which operation, which shapes, which call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor import Tensor
from .node import Freed, Node


def stale(node: Node) -> RuntimeError:
    """Why the saved values of a node cannot be used."""
    if isinstance(node.saved, Freed):
        return RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            f"already been freed). Saved intermediate values of {node.name()} were freed by an earlier "
            f"{node.saved.by}. "
            "Specify retain_graph=True there if you need to backward through the graph a second time or if you need to "
            "access saved tensors after calling backward."
        )
    values = getattr(node.saved, "values", node.saved)  # of a `Packed`, those that hooks do not keep
    for n, value in zip(type(node).saved_names, values, strict=False):
        counter = value._counter if isinstance(value, Tensor) else None
        if counter is not None and counter.value:
            return _modified(node, n, value._array, counter.value, counter.changed_by)
    for counter in node.output_version or ():
        if counter.value:
            return _modified(node, "result", values[-1], counter.value, counter.changed_by)
    return _modified(node, "an input", None, 0, "an operation")


def wrong_argument(name: str, argument: str, position: int, value: Any) -> Exception:
    """The error for an argument that is no tensor, or one whose elements are not strided."""
    if isinstance(value, Tensor):
        return NotImplementedError(
            f"{name}(): argument '{argument}' has the layout {value.layout}: call to_dense() on it first"
        )
    return TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {type(value).__name__}"
    )


def _modified(node: Node, what: str, array: Any, version: int, by: str) -> RuntimeError:
    from .. import dtypes

    where = ""
    if array is not None and hasattr(array, "dtype"):
        where = f"[{dtypes.from_numpy(array.dtype)} {list(array.shape)}]"
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{where}, which {node.name()} saved as '{what}', is at version {version}; expected version {node.version} "
        f"instead. It was changed by {by or 'an in-place operation'}: change a clone() of it, or use the out-of-place "
        "form."
    )


def overlapping(name: str) -> RuntimeError:
    """The error for a change in place of memory in which several elements are one."""
    return RuntimeError(
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        f"Please clone() the tensor before performing the operation ({name})."
    )


def broadcast_error(shapes: Sequence[tuple[int, ...]]) -> RuntimeError | None:
    """PyTorch's message for shapes that do not broadcast; None if they do."""
    longest = max(map(len, shapes), default=0)
    for axis in range(1, longest + 1):
        seen: dict[int, int] = {}
        for i, shape in enumerate(shapes):
            if len(shape) >= axis and shape[-axis] != 1:
                seen.setdefault(shape[-axis], i)
        if len(seen) > 1:
            (m, _), (n, _) = list(seen.items())[:2]
            return RuntimeError(
                f"The size of tensor a ({m}) must match the size of tensor b ({n}) at non-singleton dimension "
                f"{longest - axis}"
            )
    return None


def device_error(name: str, devices: Sequence[Any]) -> RuntimeError:
    """PyTorch's message for operands on different devices."""
    first, other = devices[0], next(d for d in devices if d != devices[0])
    return RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {first} and {other}! "
        f"(when calling {name}; move one of them with .to('{first}'))"
    )


def explain(name: str, tensors: Sequence[Any], error: Exception) -> Exception:
    """An error of the array library, as PyTorch would have raised it."""
    there = [t for t in tensors if isinstance(t, Tensor)]
    devices = [t.device for t in there]
    if len(set(devices)) > 1:
        return device_error(name, devices)
    if isinstance(error, (ValueError, IndexError)) and "broadcast" in str(error):
        return broadcast_error([t._array.shape for t in there]) or _named(name, there, error)
    if isinstance(error, (ValueError, TypeError, ArithmeticError)) and type(error).__module__ in (
        "builtins",
        "numpy",
        "numpy.exceptions",
    ):
        return _named(name, there, error)
    return error


def _named(name: str, there: Sequence[Tensor], error: Exception) -> RuntimeError:
    operands = ", ".join(f"{t.dtype}{list(t._array.shape)} on {t.device}" for t in there)
    if isinstance(error, TypeError) and "not supported for the input types" in str(error):
        return NotImplementedError(f'"{name}" is not implemented for these dtypes: {name}({operands})')
    return RuntimeError(f"{name}({operands}): {error}")

"""How tensors print: the text of ``repr(tensor)``, character for character that of PyTorch, and its options.

Only the elements that will be shown are ever read, so a large tensor prints as quickly as a small one.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["format_sparse", "format_tensor", "get_printoptions", "printoptions", "set_printoptions"]


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()

_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print, for the whole process.

    Args:
        precision: digits after the decimal point (4).
        threshold: a tensor with more elements than this is summarised (1000).
        edgeitems: how many items a summary shows at each end of each dimension (3).
        linewidth: where lines are broken (80).
        profile: ``"default"``, ``"short"`` or ``"full"``, a set of the values above, each of which may still be
            overridden in the same call. As in PyTorch, any other name changes nothing.
        sci_mode: whether floats are in scientific notation; ``None`` decides by the values of each tensor. As in
            PyTorch, every call sets it, so a call without it goes back to ``None``.

    Example::

        >>> gradcu.set_printoptions(precision=2)
        >>> gradcu.tensor([1.12345])
        tensor([1.12])
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = _PROFILES.get(profile, {}) if profile is not None else {}
    for name, value in {**chosen, **{k: v for k, v in given.items() if v is not None}}.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments for :func:`set_printoptions`."""
    return dataclasses.asdict(_options)


@contextmanager
def printoptions(**kwargs: Any) -> Iterator[None]:
    """Set print options for a ``with`` block; takes the arguments of :func:`set_printoptions`.

    Example::

        >>> with printoptions(precision=1):
        ...     print(gradcu.tensor([0.25]))
        tensor([0.2])
    """
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    data: np.ndarray,
    *,
    dtype: str,
    default_dtype: str = "float32",
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    tangent: str | None = None,
    prefix: str = "tensor(",
    package: str = "gradcu",
    indent: int = 0,
) -> str:
    """The repr of a tensor.

    Args:
        data: the values, of any shape, on the host; bfloat16 as an ``ml_dtypes`` array.
        dtype: the name of the tensor's dtype, shown where it cannot be guessed from the values.
        default_dtype: the name of the default floating dtype, which is not shown.
        device: the device to show, or None for the default device.
        requires_grad: whether to show ``requires_grad=True``; a `grad_fn` is shown in its place.
        grad_fn: the name of the node that made the tensor.
        tangent: the repr of the forward-mode tangent.
        prefix: what stands before the values.
        package: what stands before the dtype's name.
        indent: how many columns are taken to the left of `prefix`.

    Example::

        >>> format_tensor(np.ones(2), dtype="float64", grad_fn="MulBackward0")
        'tensor([1., 1.], dtype=gradcu.float64, grad_fn=<MulBackward0>)'
    """
    default_complex = "complex128" if default_dtype == "float64" else "complex64"
    # Empty brackets say nothing of the dtype, so only the default one goes without saying.
    implied = (default_dtype, default_complex, "int64", "bool") if data.size else (default_dtype,)
    needs_size = _options.edgeitems == 0 if data.size else data.ndim != 1

    suffixes = []
    if device is not None:
        suffixes.append(f"device='{device}'")
    if needs_size:
        suffixes.append(f"size={data.shape}")
    if dtype not in implied:
        suffixes.append(f"dtype=torch.{dtype}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")

    indent += len(prefix)
    text = _format_values(data, indent)
    # The column after the values; PyTorch counts two too many until the first break.
    column = len(text) - text.rfind("\n") - 1 + (0 if "\n" in text else indent) + 2
    return _with_suffixes(prefix + text, column, suffixes, indent, package) + ")"


def _with_suffixes(
    text: str, column: int, suffixes: list[str], indent: int, package: str, new_line: bool = False
) -> str:
    """`text`, which ends in `column`, and the suffixes, in lines of the set width; `new_line`: the first in a new one.

    Suffixes name "torch", which becomes `package` here, so that lines break where PyTorch breaks them.
    """
    for suffix in suffixes:
        renamed = re.sub(r"\btorch\.", f"{package}.", suffix)
        if new_line or column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + renamed
            column, new_line = indent + len(suffix), False
        else:
            text += ", " + renamed
            column += len(suffix) + 2
    return text


def format_sparse(
    parts: dict[str, np.ndarray],
    *,
    size: tuple[int, ...],
    dtype: str,
    default_dtype: str,
    layout: str,
    device: str | None = None,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    package: str = "gradcu",
) -> str:
    """The repr of a sparse tensor; `parts` are its indices and its values, by name, the values last."""
    indent = len("tensor(")
    shown = []
    for name, data in parts.items():
        prefix = f"{name}=tensor("
        text = prefix + _format_values(data, indent + len(prefix))
        if not data.size:
            text += f", size={data.shape}"
        shown.append(text + ")")
    text = "tensor(" + (",\n" + " " * indent).join(shown)
    suffixes = [f"size={tuple(size)}", f"nnz={len(parts['values'])}"]
    if device is not None:
        suffixes.append(f"device='{device}'")
    if dtype not in (default_dtype, "complex128" if default_dtype == "float64" else "complex64", "int64", "bool"):
        suffixes.append(f"dtype=torch.{dtype}")
    suffixes.append(f"layout=torch.{layout.removeprefix(f'{package}.')}")
    if grad_fn is not None:
        suffixes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    column = len(text) - text.rfind("\n") + 1
    return _with_suffixes(text, column, suffixes, indent, package, new_line="indices" in parts) + ")"


def _format_values(data: np.ndarray, indent: int) -> str:
    """The values in nested brackets, the first of which stands in column `indent`."""
    edge = _options.edgeitems
    summarize = data.size > _options.threshold
    if data.size == 0:
        return "[]"
    if summarize and edge == 0 and data.ndim:
        return "[...]"

    cut = [summarize and n > 2 * edge for n in data.shape]
    if any(cut):
        shown = [np.r_[:edge, n - edge : n] if c else np.arange(n) for n, c in zip(data.shape, cut, strict=True)]
        data = data[np.ix_(*shown)]
    cells, width = _format_cells(data.reshape(-1))

    # Join cells to rows, rows to matrices, and so on outwards.
    for axis in reversed(range(data.ndim)):
        n, newline = data.shape[axis], "\n" + " " * (indent + axis + 1)
        innermost = axis == data.ndim - 1
        groups = [cells[i : i + n] for i in range(0, len(cells), n)]
        if cut[axis]:
            dots = " ..." if innermost else "..."
            groups = [[*group[:edge], dots, *group[edge:]] for group in groups]
        if innermost:
            per_line = max(1, (_options.linewidth - indent - axis) // (width + 2))
            groups = [[", ".join(g[i : i + per_line]) for i in range(0, len(g), per_line)] for g in groups]
        blank_lines = "\n" * max(0, data.ndim - axis - 2)
        cells = ["[" + ("," + blank_lines + newline).join(group) + "]" for group in groups]
    return cells[0]


def _format_cells(values: np.ndarray) -> tuple[list[str], int]:
    """The text of each of some values (1-d), and the width that they take."""
    if values.dtype.kind == "c":
        real, real_width = _format_cells(values.real)
        imag, imag_width = _format_cells(values.imag)
        imag = [text.lstrip() for text in imag]
        cells = [f"{re}{'' if im.startswith('-') else '+'}{im}j" for re, im in zip(real, imag, strict=True)]
        return cells, real_width + imag_width + 1
    if values.dtype.kind in "biu":
        cells = [str(value) for value in values.tolist()]
        width = max(map(len, cells))
    else:
        numbers = [float(value) for value in values.tolist()]
        ordinary = [x for x in numbers if math.isfinite(x) and x != 0]
        text = _float_style(ordinary)
        cells = [text(x) for x in numbers]
        # Zeros and non-finite values do not count towards the width, though they may be wider.
        width = max((len(text(x)) for x in ordinary), default=1)
    return [cell.rjust(width) for cell in cells], width


def _float_style(ordinary: list[float]) -> Callable[[float], str]:
    """How to write floats, chosen by those that are finite and not zero."""
    precision = _options.precision
    scientific = _options.sci_mode
    if not ordinary:
        scientific = False
    elif scientific is None:
        largest, smallest = max(map(abs, ordinary)), min(map(abs, ordinary))
        scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4

    if scientific:
        return lambda x: f"{x:.{precision}e}"
    if all(x.is_integer() for x in ordinary):
        return lambda x: f"{x:.0f}." if math.isfinite(x) else str(x)
    return lambda x: f"{x:.{precision}f}"

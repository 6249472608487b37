"""`gradcu.testing`: assertions about tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradcu

from .backends import host
from .tensor import Tensor

__all__ = ["assert_close"]

#: (rtol, atol) by dtype; all others must be equal
_TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip
_NUMBERS = (bool, int, float, complex)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that `|actual - expected| <= atol + rtol * |expected|` in every element, and that their kinds agree.

    Tensors, numbers, NumPy arrays, and sequences and mappings of them. The tolerances follow the dtype if not given:
    1.3e-6 and 1e-5 for float32. Raises AssertionError that names the greatest difference and where it is; TypeError for
    what cannot be compared; ValueError for one tolerance without the other.

    >>> testing.assert_close(tensor([1.0]), tensor([1.000001]))
    """
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout, "stride": check_stride}
    tolerances = None if rtol is None else (rtol, atol)
    for place, a, b in _pairs(actual, expected, (), allow_subclasses):
        found = _difference(a, b, tolerances, equal_nan, checks)
        if found:
            found += f"\n\nThe failure occurred for item {''.join(f'[{p!r}]' for p in place)}" if place else ""
            raise AssertionError(found if msg is None else msg(found) if callable(msg) else msg)


def _pairs(actual: Any, expected: Any, place: tuple, allow_subclasses: bool) -> Any:
    """What is to be compared with what, and where it is in what was given."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing, additional = expected.keys() - actual.keys(), actual.keys() - expected.keys()
        if missing or additional:
            raise AssertionError(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(missing)}\n"
                f"Additional keys in the actual mapping: {sorted(additional)}"
            )
        for key in actual:
            yield from _pairs(actual[key], expected[key], (*place, key), allow_subclasses)
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for i, (a, b) in enumerate(zip(actual, expected)):
            yield from _pairs(a, b, (*place, i), allow_subclasses)
    else:
        if actual is None and expected is None:
            return
        related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
        alike = related if allow_subclasses else type(actual) is type(expected)
        numbers = all(isinstance(v, _NUMBERS) for v in (actual, expected))
        if not numbers and not (alike and isinstance(actual, (Tensor, host.ndarray, host.generic))):
            raise TypeError(
                f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
            )
        yield place, actual, expected


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _difference(actual: Any, expected: Any, tolerances: Any, equal_nan: bool, checks: dict[str, bool]) -> str | None:
    """How the two differ, in words; None if they are close."""
    if isinstance(actual, _NUMBERS):
        whole = isinstance(actual, int) and isinstance(expected, int)
        inexact = gradcu.complex128 if complex in (type(actual), type(expected)) else gradcu.float64
        a, b = (gradcu.tensor(v, dtype=gradcu.int64 if whole else inexact) for v in (actual, expected))
    else:
        a, b = gradcu.as_tensor(actual).detach(), gradcu.as_tensor(expected).detach()
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    for name, wanted in checks.items():
        ours, theirs = (getattr(t, name)() if name == "stride" else getattr(t, name) for t in (a, b))
        if wanted and ours != theirs:
            return f"The values for attribute '{name}' do not match: {ours} != {theirs}."
    if tolerances is None:
        pairs = [_TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (a, b)]
        tolerances = max(p[0] for p in pairs), max(p[1] for p in pairs)
    rtol, atol = tolerances
    wide = gradcu.promote_types(a.dtype, b.dtype)
    a, b = (t.to("cpu", gradcu.int64 if wide.category < 2 else wide) for t in (a, b))
    close = gradcu.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if close.all():
        return None
    exact = rtol == atol == 0
    gap = (a - b).abs()
    relative = gap / b.abs()
    allowed = (lambda limit: "") if exact else (lambda limit: f" (up to {limit} allowed)")
    if a.dim() == 0:
        return (
            f"Scalars are not {'equal' if exact else 'close'}!\n\n"
            f"Expected {b.item()} but got {a.item()}.\n"
            f"Absolute difference: {gap.item()}{allowed(atol)}\n"
            f"Relative difference: {relative.item()}{allowed(rtol)}"
        )
    bad = int((~close).sum())
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!\n",
        f"Mismatched elements: {bad} / {a.numel()} ({bad / a.numel():.1%})",
    ]
    for name, values, limit in (("absolute", gap, atol), ("relative", relative, rtol)):
        # elements that match, infinities above all, must not hide those that do not
        values = gradcu.where(close, gradcu.zeros_like(values), values)
        worst = int(values.flatten().argmax())
        index = tuple(int(i) for i in host.unravel_index(worst, a.shape))
        lines.append(f"Greatest {name} difference: {values.flatten()[worst].item()} at index {index}{allowed(limit)}")
    return "\n".join(lines)

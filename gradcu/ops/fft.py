"""Fourier transforms. Three primitives, complex to complex, real to complex and complex to real, do all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, devices, dtypes
from ..graph.op import Primitive
from ..tensor import Tensor, from_array, wrap_dim
from .expose import expose, functions
from .index import place_at
from .linalg import not_tensor, type_name
from .out import write_out

#: the normalisation with which the transform in the other direction is the adjoint; the same for a real transform
OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _by_axes(name: str) -> Callable:
    """NumPy's n-dimensional transform; one axis goes the shorter way."""

    def transform(xp: Any, x: Any, axes: tuple[int, ...], norm: str, *shape: Any) -> Any:
        if len(axes) == 1:
            return getattr(xp.fft, name)(x, *(s[0] for s in shape), axis=axes[0], norm=norm)
        return getattr(xp.fft, f"{name}n")(x, *shape, axes=axes, norm=norm)

    return transform


_fft, _ifft, _rfft, _irfft = map(_by_axes, ("fft", "ifft", "rfft", "irfft"))


def _c2c_gradient(xp: Any, g: Any, x_dtype: Any, axes: tuple[int, ...], norm: str, inverse: bool) -> Any:
    """The matrix is symmetric. Real numbers may come in too."""
    back = xp.fft_c2c(g, axes, norm, inverse)
    return back if x_dtype.kind == "c" else xp.real(back)


fft_c2c = Primitive(
    "fft_c2c",
    lambda xp, x, axes, norm, inverse: (_ifft if inverse else _fft)(xp, x, axes, norm),
    {"x": _c2c_gradient},
    kind="linear",
    node="FftC2CBackward0",
    samples=lambda make: [(make(4), (0,), "backward", False), (make(2, 3), (0, 1), "ortho", True)],
)


def _last(ndim: int, axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,) + (slice(None),) * (ndim - axis - 1)


def _r2c_gradient(xp: Any, g: Any, x_shape: tuple[int, ...], axes: tuple[int, ...], norm: str) -> Any:
    axis = axes[-1]
    shape = (*g.shape[:axis], x_shape[axis], *g.shape[axis + 1 :])
    whole = xp.place_at(g, shape, _last(g.ndim, axis, slice(0, g.shape[axis])))
    return xp.real(xp.fft_c2c(whole, axes, OPPOSITE[norm], True))


fft_r2c = Primitive(
    "fft_r2c",
    lambda xp, x, axes, norm: _rfft(xp, x, axes, norm),
    {"x": _r2c_gradient},
    kind="linear",
    node="FftR2CBackward0",
    holomorphic=False,
    samples=lambda make: [(make(4), (0,), "backward"), (make(5), (0,), "forward"), (make(2, 3), (0, 1), "ortho")],
)


def _c2r_gradient(xp: Any, g: Any, x_shape: tuple[int, ...], axes: tuple[int, ...], norm: str) -> Any:
    """Each frequency but the first, and the last of an even number, stands for its mirror image too."""
    half = xp.fft_r2c(g, axes, OPPOSITE[norm])
    axis = axes[-1]
    twice = _last(g.ndim, axis, slice(1, (g.shape[axis] + 1) // 2))
    return half + xp.place_at(xp.getitem(half, twice), half.shape, twice)


fft_c2r = Primitive(
    "fft_c2r",
    lambda xp, x, axes, norm, shape: _irfft(xp, x, axes, norm, shape),
    {"x": _c2r_gradient},
    kind="linear",
    node="FftC2RBackward0",
    holomorphic=False,
    samples=lambda make: [
        (functions["complex"](make(3), make(3)), (0,), "backward", (4,)),
        (functions["complex"](make(2, 2), make(2, 2)), (0, 1), "ortho", (2, 3)),
    ],
)


# --- arguments ---


def _norm(norm: str | None) -> str:
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return norm or "backward"


def _input(name: str, x: Any, kind: str) -> Any:
    """The tensor in the dtype that the transform takes: "complex", "real" (complex is refused), or "any"."""
    if not isinstance(x, Tensor):
        raise not_tensor(name, input=x)
    t: Any = x
    if kind == "real":
        if x.is_complex():
            raise RuntimeError(f"{name.removeprefix('fft_')} expects a real input tensor, but got {type_name(x)}")
        if x.dtype.category < 2:
            t = t.to(dtypes.get_default_dtype())
    elif not x.is_complex() and (kind == "complex" or not x.dtype.is_floating_point):
        t = t.to(x.dtype.to_complex() if x.dtype.is_floating_point else dtypes.get_default_dtype().to_complex())
    if x.dtype.is_floating_point and x.dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {type_name(x)}")
    return t


def _resized(x: Any, axes: Sequence[int], sizes: Sequence[int]) -> Any:
    """Cut, or filled up with zeros, at the end of each axis."""
    own = x._array.shape
    if all(own[a] == n for a, n in zip(axes, sizes)):
        return x
    shape, part = list(own), [slice(None)] * len(own)
    for a, n in zip(axes, sizes):
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
        shape[a], part[a] = n, slice(0, min(n, own[a]))
    if any(own[a] > n for a, n in zip(axes, sizes)):
        x = x[tuple(part)]
    return x if x._array.shape == tuple(shape) else place_at.record((x,), (tuple(shape), tuple(part)))


def _axes(x: Any, s: Any, dim: Any) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The axes of an n-dimensional transform, and their lengths if given."""
    ndim = x._array.ndim
    if dim is None:
        count = ndim if s is None else len((s,) if isinstance(s, int) else s)
        if count > ndim:
            raise RuntimeError(f"Got shape with {count} values but input tensor only has {ndim} dimensions.")
        dim = tuple(range(ndim - count, ndim))
    axes = tuple(wrap_dim(d, ndim) for d in ((dim,) if isinstance(dim, int) else dim))
    if len(set(axes)) != len(axes):
        raise RuntimeError("FFT dims must be unique")
    if s is None:
        return axes, None
    s = (s,) if isinstance(s, int) else tuple(s)
    if len(s) != len(axes):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    for n in s:
        if n != -1 and n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return axes, s


def _check_lengths(x: Any, axes: Sequence[int]) -> None:
    for a in axes:
        if x._array.shape[a] < 1:
            raise RuntimeError(f"Invalid number of data points ({x._array.shape[a]}) specified")


def _transform(name: str, x: Any, s: Any, dim: Any, norm: str | None, way: str, inverse: bool, one: bool) -> Tensor:
    """Any of the transforms. way: "c2c", "r2c" (the half that is not redundant) or "c2r"."""
    mode = _norm(norm)
    x = _input(name, x, {"r2c": "real", "c2r": "complex", "c2c": "any"}[way])
    if one and not x._array.ndim:
        raise IndexError(f"Dimension specified as {dim[0]} but tensor has no dimensions")
    axes, sizes = _axes(x, s, dim)
    if not axes:
        if way == "c2c":
            return functions["clone"](x)
        raise RuntimeError(f"{name.removeprefix('fft_')} must transform at least one axis")
    own = tuple(x._array.shape[a] for a in axes)
    full = list(own if sizes is None else (m if n == -1 else n for n, m in zip(sizes, own)))
    if way == "c2r":
        if sizes is None or sizes[-1] == -1:
            full[-1] = 2 * (own[-1] - 1)
        if full[-1] < 1:
            raise RuntimeError(f"Invalid number of data points ({full[-1]}) specified")
        taken = (*full[:-1], full[-1] // 2 + 1)
    else:
        taken = tuple(full)
    x = _resized(x, axes, taken)
    _check_lengths(x, axes)
    if way == "c2c":
        return fft_c2c.record((x,), (axes, mode, inverse))
    if way == "r2c":
        if not inverse:
            return fft_r2c.record((x,), (axes, mode))
        return fft_r2c.record((x,), (axes, OPPOSITE[mode])).conj()
    if inverse:
        return fft_c2r.record((x,), (axes, mode, tuple(full)))
    return fft_c2r.record((x.conj(),), (axes, OPPOSITE[mode], tuple(full)))


def _declare(name: str, way: str, inverse: bool, what: str) -> None:
    """The transform over one dimension, over two and over any number."""

    def one(
        input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
    ) -> Tensor:
        if n is not None and n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
        result = _transform(f"fft_{name}", input, None if n is None else (n,), (dim,), norm, way, inverse, True)
        return result if out is None else write_out(result, out, f"fft_{name}")

    def two(
        input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, out: Tensor | None = None
    ) -> Tensor:
        result = _transform(f"fft_{name}2", input, s, dim, norm, way, inverse, False)
        return result if out is None else write_out(result, out, f"fft_{name}2")

    def several(
        input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, out: Tensor | None = None
    ) -> Tensor:
        result = _transform(f"fft_{name}n", input, s, dim, norm, way, inverse, False)
        return result if out is None else write_out(result, out, f"fft_{name}n")

    lengths = "Lengths cut the input, or fill it up with zeros, first. `norm` says which direction is divided by the "
    for function, suffix, over in ((one, "", "`dim`"), (two, "2", "the two dimensions `dim`"), (several, "n", "`dim`")):
        function.__name__ = function.__qualname__ = name + suffix
        function.__doc__ = (
            f"{what}, over {over}. {lengths}number of elements: backward, forward, or ortho for its root."
        )
        expose(function=False, method=False, into="fft")(function)


_declare("fft", "c2c", False, "The discrete Fourier transform")
_declare("ifft", "c2c", True, "The inverse of `fft`")
_declare("rfft", "r2c", False, "The Fourier transform of real numbers: the half that is not redundant")
_declare("irfft", "c2r", True, "The inverse of `rfft`, real")
_declare("hfft", "c2r", False, "The Fourier transform, real, of Hermitian input of which one half is given")
_declare("ihfft", "r2c", True, "The inverse of `hfft`")


def _shift(name: str, amount: Callable[[int], int], what: str) -> None:
    def function(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
        if not isinstance(input, Tensor):
            raise not_tensor(f"fft_{name}", input=input)
        shape = input._array.shape
        dims = tuple(range(len(shape))) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        if not dims:
            return functions["clone"](input)
        return functions["roll"](input, tuple(amount(shape[wrap_dim(d, len(shape))]) for d in dims), dims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = what
    expose(function=False, method=False, into="fft")(function)


_shift("fftshift", lambda n: n // 2, "Frequency 0 moved to the middle, in all dimensions or in `dim`.")
_shift("ifftshift", lambda n: (n + 1) // 2, "The inverse of `fftshift`.")


def _frequencies(name: str, what: str) -> None:
    def function(
        n: int,
        d: float = 1.0,
        *,
        out: Tensor | None = None,
        dtype: dtypes.dtype | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        where = devices.resolve(device)
        raw = (dtype or dtypes.get_default_dtype()).numpy
        xp = backends.for_device(where)
        result = from_array(getattr(xp.fft, name)(n, d=1.0).astype(raw) / raw.type(d) if n else xp.empty(0, dtype=raw))
        if out is not None:
            return write_out(result, out, f"fft_{name}")
        return result.requires_grad_(True) if requires_grad else result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = what
    expose(function=False, method=False, into="fft")(function)


_frequencies("fftfreq", "The frequencies that the elements of `fft` of n samples, d apart, stand for.")
_frequencies("rfftfreq", "The frequencies that the elements of `rfft` of n samples, d apart, stand for.")

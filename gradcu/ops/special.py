"""Special functions, as `gradcu.special` has them. How they are computed is in `numerics`; some need SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import backends
from ..tensor import Tensor, from_array
from . import numerics
from .arithmetic import underivable
from .expose import expose, namespaces
from .out import write_out
from .pointwise import Elementwise

namespaces.setdefault("special", {})


def public(p: Elementwise, doc: str, *aliases: str, tensor: bool = True, name: str = "") -> Callable:
    """Make `p` public as `special.<name>`; `tensor`: as `gradcu.<name>`, a method and in place as well."""
    function = p.unary()
    function.__doc__ = doc
    return expose(*aliases, function=tensor, method=tensor, inplace=tensor, into="special", name=name or p.name)(
        function
    )


def library(name: str) -> Callable:
    """The forward formula that is SciPy's function `name`."""

    def forward(xp: Any, x: Any) -> Any:
        return xp.special(name)(x).astype(x.dtype, copy=False)

    return forward


# --- the error function ---

_SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0

erf = Elementwise("erf", numerics.erf, lambda xp, g, x: g * (_SLOPE * xp.exp(-x * x)), result="float", kinds="bif")
erfc = Elementwise("erfc", numerics.erfc, lambda xp, g, x: g * (-_SLOPE * xp.exp(-x * x)), result="float", kinds="bif")
erfinv = Elementwise(
    "erfinv",
    numerics.erfinv,
    lambda xp, g, out: g * ((1 / _SLOPE) * xp.exp(out * out)),
    result="float",
    kinds="bif",
    domain=(-0.9, 0.9),
)
erfcx = Elementwise(
    "erfcx",
    numerics.erfcx,
    lambda xp, g, x, out: g * (2 * x * out - _SLOPE),
    node="SpecialErfcxBackward0",
    result="float",
    kinds="bif",
)
ndtr = Elementwise(
    "ndtr",
    lambda xp, x: 0.5 * xp.erfc(x * -math.sqrt(0.5)),
    lambda xp, g, x: g * ((1 / math.sqrt(2 * math.pi)) * xp.exp(-0.5 * (x * x))),
    node="MulBackward1",
    result="float",
    kinds="bif",
)
log_ndtr = Elementwise(
    "log_ndtr",
    numerics.log_ndtr,
    lambda xp, g, x: g * (math.sqrt(2 / math.pi) / xp.erfcx(x * -math.sqrt(0.5))),
    node="SpecialLogNdtrBackward0",
    result="float",
    kinds="bif",
)
ndtri = Elementwise(
    "ndtri",
    library("ndtri"),
    lambda xp, g, out: g * (math.sqrt(2 * math.pi) * xp.exp(0.5 * (out * out))),
    node="SpecialNdtriBackward0",
    result="float",
    kinds="bif",
    domain=(0.1, 0.9),
)

public(erf, "The error function: the integral of 2 / sqrt(pi) * exp(-t ** 2) from 0 to `input`.")
public(erfc, "`1 - erf(input)`, precise where that is small.")
public(erfinv, "The number with this error function; NaN outside of [-1, 1].")
public(erfcx, "`exp(input ** 2) * erfc(input)`.", tensor=False)
public(ndtr, "The probability that a standard normal number is less than `input`.", tensor=False)
public(log_ndtr, "The logarithm of `ndtr(input)`, precise in the tails.", tensor=False)
public(ndtri, "The number below which a standard normal is with this probability. Needs SciPy.", tensor=False)

# --- the gamma function ---


def _polygamma(xp: Any, x: Any, n: int = 1) -> Any:
    if n == 0:
        return xp.digamma(x)
    wide = x if x.dtype.itemsize >= 8 else x.astype(xp.float64)
    value = numerics.zeta(xp, xp.asarray(n + 1.0, dtype=wide.dtype), wide) * ((-1) ** (n + 1) * math.factorial(n))
    return value.astype(x.dtype)


lgamma = Elementwise(
    "lgamma", numerics.lgamma, lambda xp, g, x: g * xp.digamma(x), result="float", kinds="bif", domain=(0.2, 3.0)
)
digamma = Elementwise(
    "digamma", numerics.digamma, lambda xp, g, x: g * xp.polygamma(x, 1), result="float", kinds="bif", domain=(0.2, 3.0)
)
polygamma_ = Elementwise(
    "polygamma",
    _polygamma,
    lambda xp, g, x, n: g * xp.polygamma(x, n + 1),
    result="float",
    kinds="bif",
    domain=(0.5, 3.0),
)
igamma_ = Elementwise(
    "igamma",
    lambda xp, x, y: xp.special("gammainc")(x, y).astype(y.dtype, copy=False),
    underivable("igamma: input"),
    lambda xp, g, x, y: g * xp.exp((x - 1) * xp.log(y) - y - xp.lgamma(x)),
    kinds="f",
    domain=(0.5, 3.0),
)
igammac_ = Elementwise(
    "igammac",
    lambda xp, x, y: xp.special("gammaincc")(x, y).astype(y.dtype, copy=False),
    underivable("igammac: input"),
    lambda xp, g, x, y: -g * xp.exp((x - 1) * xp.log(y) - y - xp.lgamma(x)),
    kinds="f",
    domain=(0.5, 3.0),
)

log_gamma = public(lgamma, "The logarithm of the absolute value of the gamma function.", "special.gammaln")
del namespaces["special"]["lgamma"]
public(digamma, "The derivative of `lgamma`.", "special.psi")


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of `digamma`. Raises RuntimeError for negative n."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    result = polygamma_.apply((input,), (n,))
    return result if out is None else write_out(result, out, "polygamma", (input,))


expose(method=False, into="special")(polygamma)


@expose(function=False, inplace=True, name="polygamma")
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma`. Raises RuntimeError for negative n."""
    return polygamma(n, input)


@expose("special.multigammaln", inplace=True, out=True)
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of p dimensions, without a constant lost. Raises RuntimeError if p < 1."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if not input.is_floating_point():
        input = input + 0.0
    total = log_gamma(input)
    for i in range(1, p):
        total = total + log_gamma(input - 0.5 * i)
    return total + (0.25 * math.log(math.pi) * p * (p - 1))


def _of_two(p: Elementwise, name: str, doc: str, *aliases: str, tensor: bool = True) -> None:
    """Make `p`, one of whose operands may be a number, public as `public` does."""

    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            raise TypeError(f"{name}(): one of the arguments must be Tensor")
        operands = p.prepare((input, other))
        a = next(t for t in operands if isinstance(t, Tensor))._array
        xp = backends.namespaces[type(a)]
        operands = [t if isinstance(t, Tensor) else from_array(xp.asarray(t, dtype=a.dtype)) for t in operands]
        result = p.record(operands)
        return result if out is None else write_out(result, out, name, (input, other))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    expose(*aliases, function=tensor, method=tensor, inplace=tensor, into="special")(function)


_of_two(
    igamma_, "igamma", "The lower incomplete gamma function, of (a, x), by gamma(a). Needs SciPy.", "special.gammainc"
)
_of_two(
    igammac_,
    "igammac",
    "The upper incomplete gamma function, of (a, x), by gamma(a). Needs SciPy.",
    "special.gammaincc",
)
for _n in ("igamma", "igammac"):
    del namespaces["special"][_n]

zeta = Elementwise(
    "zeta",
    lambda xp, x, y: numerics.zeta(xp, x.astype(xp.float64), y.astype(xp.float64)).astype(y.dtype),
    underivable("special_zeta: input"),
    lambda xp, g, x, y: g * (-x * xp.zeta(x + 1, y)),
    node="SpecialZetaBackward0",
    result="float",
    kinds="bif",
    domain=((1.5, 3.0), (0.5, 3.0)),
)
_of_two(zeta, "zeta", "Hurwitz' zeta function: the sum of 1 / (other + k) ** input over k >= 0.", tensor=False)

# --- logarithms ---


def _xlogy(xp: Any, x: Any, y: Any, log: Callable) -> Any:
    return xp.where((x == 0) & (y == y), 0, x * log(xp.where((x == 0) & (y == y), 1, y)))


xlogy = Elementwise(
    "xlogy",
    lambda xp, x, y: _xlogy(xp, x, y, xp.log),
    lambda xp, g, x, y: xp.where((x == 0) & (y <= 0), 0, xp.xlogy(g, y)),
    lambda xp, g, x, y: g * (x / y),
    result="float",
    kinds="bif",
    domain=(0.2, 3.0),
)
xlog1py = Elementwise(
    "xlog1py",
    lambda xp, x, y: _xlogy(xp, x, y, xp.log1p),
    lambda xp, g, x, y: xp.where((x == 0) & (y <= -1), 0, xp.xlog1py(g, y)),
    lambda xp, g, x, y: g * (x / (1 + y)),
    node="SpecialXlog1PyBackward0",
    result="float",
    kinds="bif",
    domain=(0.2, 3.0),
)
_of_two(xlogy, "xlogy", "`input * log(other)`, and 0 where `input` is 0 (unless `other` is NaN).")
_of_two(xlog1py, "xlog1py", "`input * log1p(other)`, and 0 where `input` is 0 (unless `other` is NaN).", tensor=False)

entr = Elementwise(
    "entr",
    lambda xp, x: xp.where(x < 0, -float("inf"), -xp.xlogy(x, x)),
    lambda xp, g, x: g * (-1 - xp.log(x)),
    node="SpecialEntrBackward0",
    result="float",
    kinds="bif",
    domain=(0.1, 3.0),
)
public(entr, "`-input * log(input)`: 0 at 0 and -inf below.", tensor=False)


def _logit(xp: Any, x: Any, eps: float | None = None) -> Any:
    if eps is not None:
        x = xp.minimum(xp.maximum(x, eps), 1 - eps)
    return xp.log(x / (1 - x))


def _logit_x(xp: Any, g: Any, x: Any, eps: float | None) -> Any:
    low, high = (0, 1) if eps is None else (eps, 1 - eps)
    inside = (x >= low) & (x <= high)
    slope = g / (x * (1 - x))
    return xp.where(inside, slope, float("nan") if eps is None else 0)


logit_ = Elementwise("logit", _logit, _logit_x, result="float", kinds="bif", domain=(0.1, 0.9))


@expose(into="special", inplace=True, out=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """`log(input / (1 - input))`, of `input` limited to [eps, 1 - eps] if given; NaN outside of [0, 1]."""
    return logit_.apply((input,), (eps,))


# --- Bessel functions ---


def _over(xp: Any, x: Any, numerator: Any) -> Any:
    """`numerator / x`, for Bessel's I1, whose slope at 0 is 1/2."""
    return xp.where(x == 0, 0.5, numerator / xp.where(x == 0, 1, x))


i0 = Elementwise("i0", library("i0"), lambda xp, g, x: g * xp.i1(x), result="float", kinds="bif")
i1 = Elementwise(
    "i1",
    library("i1"),
    lambda xp, g, x, out: g * (xp.i0(x) - _over(xp, x, out)),
    node="SpecialI1Backward0",
    result="float",
    kinds="bif",
)
i0e = Elementwise(
    "i0e",
    library("i0e"),
    lambda xp, g, x, out: g * (xp.i1e(x) - xp.sgn(x) * out),
    node="SpecialI0EBackward0",
    result="float",
    kinds="bif",
    domain=(0.1, 3.0),
)
i1e = Elementwise(
    "i1e",
    library("i1e"),
    lambda xp, g, x, out: g * (xp.i0e(x) - xp.sgn(x) * out - _over(xp, x, out)),
    node="SpecialI1EBackward0",
    result="float",
    kinds="bif",
    domain=(0.1, 3.0),
)
public(i0, "The modified Bessel function of the first kind of order 0. Needs SciPy.")
public(i0e, "`exp(-abs(input)) * i0(input)`. Needs SciPy.", tensor=False)
public(i1, "The modified Bessel function of the first kind of order 1. Needs SciPy.", tensor=False)
public(i1e, "`exp(-abs(input)) * i1(input)`. Needs SciPy.", tensor=False)

for _name, _scipy, _doc in (
    ("bessel_j0", "j0", "The Bessel function of the first kind of order 0"),
    ("bessel_j1", "j1", "The Bessel function of the first kind of order 1"),
    ("bessel_y0", "y0", "The Bessel function of the second kind of order 0"),
    ("bessel_y1", "y1", "The Bessel function of the second kind of order 1"),
    ("modified_bessel_i0", "i0", "The modified Bessel function of the first kind of order 0"),
    ("modified_bessel_i1", "i1", "The modified Bessel function of the first kind of order 1"),
    ("modified_bessel_k0", "k0", "The modified Bessel function of the second kind of order 0"),
    ("modified_bessel_k1", "k1", "The modified Bessel function of the second kind of order 1"),
    (
        "scaled_modified_bessel_k0",
        "k0e",
        "`exp(input)` times the modified Bessel function of the second kind of order 0",
    ),
    (
        "scaled_modified_bessel_k1",
        "k1e",
        "`exp(input)` times the modified Bessel function of the second kind of order 1",
    ),
):
    _p = Elementwise(
        _name, library(_scipy), underivable(f"special_{_name}"), node="NotImplemented", result="float", kinds="bif"
    )
    public(_p, f"{_doc}. Needs SciPy.", tensor=False)

spherical_bessel_j0 = Elementwise(
    "spherical_bessel_j0",
    lambda xp, x: xp.where(x == 0, 1, xp.sin(x) / xp.where(x == 0, 1, x)),
    underivable("special_spherical_bessel_j0"),
    node="NotImplemented",
    result="float",
    kinds="bif",
)
airy_ai = Elementwise(
    "airy_ai",
    lambda xp, x: xp.special("airy")(x)[0].astype(x.dtype, copy=False),
    underivable("special_airy_ai"),
    node="NotImplemented",
    result="float",
    kinds="bif",
)
public(spherical_bessel_j0, "`sin(input) / input`, which is 1 at 0.", tensor=False)
public(airy_ai, "Airy's function Ai. Needs SciPy.", tensor=False)

# --- orthogonal polynomials ---


def _recurrence(first: Callable, step: Callable) -> Callable:
    """The formula of polynomials with P(0) = 1, P(1) = first(x), P(k + 1) = step(k, x, P(k), P(k - 1))."""

    def forward(xp: Any, x: Any, n: Any) -> Any:
        n = xp.astype(n, xp.int64)
        before, now = xp.ones_like(x), first(x)
        out = xp.where(n == 0, before, xp.where(n == 1, now, xp.zeros_like(x)))
        for k in range(1, int(xp.max(n)) if n.size else 0):
            before, now = now, step(k, x, now, before)
            out = xp.where(n == k + 1, now, out)
        return out

    return forward


def _chebyshev(k: int, x: Any, now: Any, before: Any) -> Any:
    return 2 * x * now - before


_POLYNOMIALS: dict[str, tuple[Callable, Callable]] = {
    "chebyshev_polynomial_t": (lambda x: x, _chebyshev),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _chebyshev),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _chebyshev),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _chebyshev),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda k, x, now, before: 2 * (x * now - k * before)),
    "hermite_polynomial_he": (lambda x: x, lambda k, x, now, before: x * now - k * before),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": (lambda x: x, lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1)),
}
for _name in [n for n in _POLYNOMIALS if n.startswith("chebyshev")]:
    _first, _step = _POLYNOMIALS[_name]
    _POLYNOMIALS[f"shifted_{_name}"] = (
        lambda x, f=_first: f(2 * x - 1),
        lambda k, x, now, before: _chebyshev(k, 2 * x - 1, now, before),
    )
for _name, (_first, _step) in _POLYNOMIALS.items():
    _p = Elementwise(
        _name,
        _recurrence(_first, _step),
        underivable(f"special_{_name}"),
        underivable(f"special_{_name}"),
        node="NotImplemented",
        result="float",
        kinds="bif",
    )
    _of_two(_p, _name, "The polynomial of this name of degree `other` at `input`, by its recurrence.", tensor=False)

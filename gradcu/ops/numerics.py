"""Special functions that NumPy lacks, as formulas over a namespace: erf, gamma, zeta and their kin.

The polynomials below were fitted for gradcu, with 40 digits, by interpolation at Chebyshev nodes (by linear programming
for the single precision of erf). Errors stay within a few units in the last place unless a docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends

# erf(x) = x P(x^2) for |x| < 1
_ERF = (
    1.1283791670955126, -0.37612638903183543, 0.1128379167094513, -0.026866170643256995, 0.005223977607269946,
    -0.0008548325982543225, 0.00012055295112667001, -1.4924740785377576e-05, 1.6447471190594618e-06,
    -1.6208829856810202e-07, 1.3721520406351094e-08, -7.798543850549947e-10,
)  # fmt: skip

# erf(x) = tanh(x P(x^2)) in single precision, to 1e-7: the least maximum over |x| < 3.95, beyond which tanh gives 1
_ERF_SINGLE = (
    1.12837927, 0.102769055, -0.00019182966, -0.000619785626, 8.76376752e-05, -5.66852922e-06, 1.41855121e-07,
)  # fmt: skip

# exp(x^2) erfc(x) (1 + 2 x) = P((x - 3) / (x + 3)) for x >= 0, after Shepherd and Laframboise, Math. Comp. 36 (1981)
_ERFCX = (
    1.2530080582697296, -0.13562110612458117, -0.0475622943534492, 0.1296451587027594, -0.11927366341538638,
    0.0683080273440099, -0.02377051491717134, 0.0025293918156939696, 0.0018886903449991718, -0.0007798322696543306,
    -0.00010515971958448065, 0.0001250993424583729, 4.949196649968345e-06, -2.0100542268525612e-05,
    -7.308281468783614e-07, 3.472370944977168e-06, 3.5576086684080595e-07, -6.166011460398726e-07,
    -1.4047654315428462e-07, 1.0183620603842736e-07, 4.1064013667940355e-08, -1.3312919661038687e-08,
    -8.217595058711455e-09, 9.862533510345587e-10, 8.393734858690877e-10,
)  # fmt: skip

# lgamma(2 + x) = x P(x) for |x| < 1/2
_LGAMMA = (
    0.42278433509846713, 0.32246703342411326, -0.06735230105319814, 0.020580808427780335, -0.007385551028668096,
    0.002890510331036772, -0.0011927539120033873, 0.0005096695153484373, -0.00022315475069647703,
    9.945767440096764e-05, -4.492635166770342e-05, 2.0505584372896933e-05, -9.438454884054723e-06,
    4.3847319318293745e-06, -2.044935323180052e-06, 9.199898075671394e-07, -4.303234692956732e-07,
    2.7880013392491846e-07, -1.341570273460026e-07,
)  # fmt: skip

# B(2), B(4), ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)

_BLOCK = 16384  # elements that stay in the cache through all steps of a formula


def polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """c0 + c1 x + c2 x^2 + ..., by Horner's rule."""
    r = x * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        r += c
        r *= x
    r += coefficients[0]
    return r


def in_blocks(formula: Callable, *, wide: bool = False) -> Callable:
    """`formula(xp, x)` for any array: in blocks if it is large and on the CPU, half precision (all, if `wide`) raised.

    Each block stays in the cache through the many steps of the formula.
    """

    def forward(xp: Any, x: Any) -> Any:
        d = x.dtype
        if d.itemsize < 4 or (wide and d.itemsize < 8):
            return forward(xp, x.astype(xp.float64 if wide else xp.float32)).astype(d)
        if xp is not backends.host or x.size <= _BLOCK:
            return formula(xp, x)
        flat = x.reshape(-1)
        out = xp.empty(x.shape, dtype=d)
        into = out.reshape(-1)
        for i in range(0, x.size, _BLOCK):
            into[i : i + _BLOCK] = formula(xp, flat[i : i + _BLOCK])
        return out

    return forward


# --- the error function ---


def _erf(xp: Any, x: Any) -> Any:
    if x.dtype.itemsize == 4:
        return xp.tanh(x * polynomial(_ERF_SINGLE, x * x))
    a = abs(x)
    far = xp.copysign(1 - _erfcx_positive(xp, a) * xp.exp(-a * a), x)
    return xp.where(a < 1, x * polynomial(_ERF, xp.minimum(a, 1) ** 2), far)


def _erfcx_positive(xp: Any, a: Any) -> Any:
    return polynomial(_ERFCX, 1 - 6 / (a + 3)) / (1 + 2 * a)


def _gauss(xp: Any, a: Any) -> Any:
    """exp(-a^2) with the rounding error of the square put right, as Cody does."""
    head = xp.floor(xp.minimum(a, 40) * 16) / 16
    return xp.exp(-head * head) * xp.exp(-(a - head) * (a + head))


def _erfc(xp: Any, x: Any) -> Any:
    a = abs(x)
    tail = _erfcx_positive(xp, a) * _gauss(xp, a)
    near = 1 - x * polynomial(_ERF, xp.minimum(a, 0.5) ** 2)
    return xp.where(a < 0.5, near, xp.where(x > 0, tail, 2 - tail))


def _erfcx(xp: Any, x: Any) -> Any:
    r = _erfcx_positive(xp, abs(x))
    return xp.where(x < 0, 2 * xp.exp(x * x) - r, r)


def _log_ndtr(xp: Any, x: Any) -> Any:
    """log of the probability that a standard normal is less than x: from the far tail by erfcx."""
    t = x * math.sqrt(0.5)
    low = xp.minimum(t, 0)
    return xp.where(x < -1, xp.log(0.5 * _erfcx_positive(xp, -low)) - low * low, xp.log1p(-0.5 * _erfc(xp, t)))


def _erfinv(xp: Any, y: Any) -> Any:
    """Winitzki's elementary formula, to 2e-3, then Halley's method on erf, in the tails on erfc."""
    a = abs(y)
    w = -xp.log((1 - a) * (1 + a))
    t = 2 / (math.pi * 0.147) - 0.5 * w
    x = xp.sqrt(xp.sqrt(t * t + w / 0.147) - t)
    for _ in range(3):  # each step triples the digits
        error = xp.where(a < 0.5, _erf(xp, x) - a, (1 - a) - _erfc(xp, x)) * (0.5 * math.sqrt(math.pi)) * xp.exp(x * x)
        x = x - error / (1 + x * error)
    x = xp.where(a < 1, x, xp.where(a == 1, float("inf"), float("nan")))
    return xp.where(y == 0, y, xp.copysign(x, y))


# --- the gamma function ---


def _stirling(xp: Any, z: Any) -> Any:
    """lgamma for z >= 8."""
    s = 1 / (z * z)
    terms = [b / ((2 * k + 1) * (2 * k + 2)) for k, b in enumerate(_BERNOULLI[:8])]
    return (z - 0.5) * (xp.log(z) - 1) + (0.5 * math.log(2 * math.pi) - 0.5) + polynomial(terms, s) / z


def _lgamma(xp: Any, x: Any) -> Any:
    """Stirling's series for large x, polynomials around 1 and 2, reflection for x < 1/2."""
    y = xp.where(x < 0.5, 1 - x, x)
    u = xp.minimum(y - xp.where(y < 1.5, 1, 2), 0.5)
    near = u * polynomial(_LGAMMA, u) - xp.where(y < 1.5, xp.log1p(u), 0)
    z = xp.where(y < 8, y + 6, y)
    product = y
    for k in range(1, 6):
        product = product * (y + k)
    far = _stirling(xp, z) - xp.where(y < 8, xp.log(product), 0)
    r = xp.where(y < 2.5, near, far)
    fraction = x - xp.round(x)
    r = xp.where(x < 0.5, math.log(math.pi) - xp.log(abs(xp.sin(math.pi * fraction))) - r, r)
    return xp.where((x <= 0) & (fraction == 0) | (x == -float("inf")), float("inf"), r)


def _digamma(xp: Any, x: Any) -> Any:
    """The asymptotic series after eight steps of the recurrence; reflection for x < 1/2."""
    y = xp.where(x < 0.5, 1 - x, x)
    z = y + 8
    s = 1 / (z * z)
    terms = [b / (2 * k + 2) for k, b in enumerate(_BERNOULLI[:8])]
    r = xp.log(z) - 0.5 / z - polynomial(terms, s) * s
    for k in range(8):
        r = r - 1 / (y + k)
    fraction = x - xp.round(x)
    r = xp.where(x < 0.5, r - math.pi / xp.tan(math.pi * fraction), r)
    pole = xp.where(x == 0, xp.copysign(float("inf"), -x), float("nan"))
    return xp.where((fraction == 0) & (x <= 0), pole, r)


def zeta(xp: Any, s: Any, q: Any) -> Any:
    """Hurwitz' zeta function, the sum of (q + k) ** -s over k >= 0, for s > 1: by Euler and Maclaurin's formula."""
    lowest = float(xp.min(xp.where(q > -1000, q, 0))) if q.size else 0.0
    steps = 10 + math.ceil(max(0.0, -lowest))
    total = q**-s
    for k in range(1, steps):
        total = total + (q + k) ** -s
    w = q + steps
    power = w**-s
    total = total + power * (w / (s - 1) + 0.5)
    factor = s / w
    factorial = 2.0
    for k, b in enumerate(_BERNOULLI):
        total = total + (b / factorial) * (power * factor)
        n = 2 * k + 1
        factor = factor * ((s + n) * (s + n + 1) / (w * w))
        factorial *= (n + 2) * (n + 3)
    pole = xp.where(q == xp.floor(q), float("inf"), xp.where(s == xp.floor(s), total, float("nan")))
    total = xp.where(q <= 0, pole, total)
    return xp.where(s > 1, total, xp.where(s == 1, float("inf"), float("nan")))


erf = in_blocks(_erf)
erfc = in_blocks(_erfc, wide=True)
erfcx = in_blocks(_erfcx, wide=True)
erfinv = in_blocks(_erfinv, wide=True)
log_ndtr = in_blocks(_log_ndtr, wide=True)
lgamma = in_blocks(_lgamma, wide=True)
digamma = in_blocks(_digamma, wide=True)

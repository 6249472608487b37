"""How operations reach users: `gradcu.<name>`, `Tensor.<name>`, `Tensor.<name>_`, and `out=`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .inplace import inplace as make_inplace
from .out import write_out

#: the public functions, by name; `gradcu/__init__.py` puts them into the package
functions: dict[str, Callable] = {}
#: those of `gradcu.nn.functional`, `gradcu.special`, `gradcu.linalg`, `gradcu.fft`
namespaces: dict[str, dict[str, Callable]] = {}


def expose(
    *aliases: str,
    function: bool = True,
    method: bool = True,
    inplace: bool = False,
    out: bool | str = False,
    into: str | tuple[str, ...] = (),
    name: str = "",
) -> Callable[[Callable], Callable]:
    """Decorator: make a function public under its name and `aliases`.

    function: as `gradcu.<name>`. method: as `Tensor.<name>`. inplace: as `Tensor.<name>_`, too. out: give it an
    `out=` argument; a text is a rule for it, as in `write_out`. into: further namespaces ("nn.functional", "special",
    ...), where an alias may be meant by "special.expit". name: if it is not the function's own.
    """

    def decorate(f: Callable) -> Callable:
        own, given = name or f.__name__, f
        if (function or method) and "dim" in getattr(f, "__annotations__", ()):
            f = with_numpy_names(f)
        public = with_out(f, own, "" if out is True else out) if out else f
        for n in (own, *aliases):
            space, _, short = n.rpartition(".")
            if space:
                namespaces.setdefault(space, {})[short] = public
                continue
            if function:
                functions[n] = public
            for space in (into,) if isinstance(into, str) else into:
                namespaces.setdefault(space, {})[n] = public
            if method:
                setattr(Tensor, n, f)  # methods take no out=
            if inplace:
                in_place = make_inplace(f, f"{n}_")
                setattr(Tensor, f"{n}_", in_place)
                if function and n + "_" in FUNCTIONS_IN_PLACE:
                    functions[f"{n}_"] = in_place
        return given

    return decorate


#: in-place forms that PyTorch has as functions as well
FUNCTIONS_IN_PLACE = frozenset(
    """abs_ acos_ acosh_ alpha_dropout_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_
    ceil_ celu_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ detach_ dropout_ erf_ erfc_ exp2_
    exp_ expm1_ fill_ fix_ floor_ frac_ gcd_ i0_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_
    rad2deg_ reciprocal_ relu_ resize_as_ round_ rrelu_ rsqrt_ selu_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_
    threshold_ trunc_ xlogy_ zero_""".split()
)


def with_numpy_names(f: Callable) -> Callable:
    """`f` that takes NumPy's names `axis` and `keepdims`, too."""

    @functools.wraps(f)
    def function(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return f(*args)
        for numpy_name, own in (("axis", "dim"), ("keepdims", "keepdim")):
            if numpy_name in kwargs:
                kwargs[own] = kwargs.pop(numpy_name)
        return f(*args, **kwargs)

    return function


def with_out(f: Callable, name: str, rule: str = "") -> Callable:
    """`f` with an `out=` argument: a tensor, or a tuple of them for several results. `rule` is `write_out`'s."""

    @functools.wraps(f)
    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = f(*args, **kwargs)
        if out is None:
            return result
        inputs = (*args, *kwargs.values())
        if isinstance(result, tuple) and isinstance(out, (tuple, list)):
            written = [write_out(r, o, name, inputs, rule) for r, o in zip(result, out, strict=True)]
            return type(result)(*written) if hasattr(result, "_fields") else tuple(written)
        return write_out(result, out, name, inputs, rule)

    return function

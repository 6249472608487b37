"""Random numbers: tensors of them, samples from distributions, and tensors filled with them in place."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import backends, devices, dtypes
from ..graph.errors import explain
from ..graph.op import Primitive
from ..layouts import preserve_format, strided
from ..random import (
    Generator,
    default_generator,
    generator_of,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from ..tensor import Tensor, from_array
from .creation import array_like, deliver, finish, raw_dtype, scalar, sizes
from .expose import expose, functions
from .inplace import inplace
from .shape import unbroadcast

# --- raw arrays of random numbers, of any floating or complex dtype ---

_FRACTION_BITS = {"float16": 11, "bfloat16": 8}  # that many bits of a number below one are exact


def uniform_array(source: Any, shape: Any, raw: Any) -> Any:
    """Uniform in [0, 1)."""
    if raw.kind == "c":
        return _complex(uniform_array, source, shape, raw)
    if raw in _WIDE:
        return source.random(shape, dtype=raw)
    bits = _FRACTION_BITS[raw.name]
    return (source.integers(0, 1 << bits, shape, dtype="uint16").astype("float32") * 0.5**bits).astype(raw)


def normal_array(source: Any, shape: Any, raw: Any) -> Any:
    """Of mean 0 and variance 1."""
    if raw.kind == "c":
        return _complex(normal_array, source, shape, raw) * math.sqrt(0.5)
    if raw in _WIDE:
        return source.standard_normal(shape, dtype=raw)
    return source.standard_normal(shape, dtype="float32").astype(raw)


def exponential_array(source: Any, shape: Any, raw: Any) -> Any:
    """Of mean 1, and never 0, so that its logarithm is finite."""
    tiny = dtypes.finfo(dtypes.from_numpy(raw)).tiny
    values = source.standard_exponential(shape, dtype=raw if raw in _WIDE else "float32")
    return values.clip(tiny).astype(raw, copy=False)


_WIDE = (dtypes.float32.numpy, dtypes.float64.numpy)


def _complex(real_array: Callable, source: Any, shape: Any, raw: Any) -> Any:
    real = dtypes.from_numpy(raw).to_real().numpy
    return real_array(source, (*shape, 2), real).view(raw)[..., 0]


def _moved(values: Any, scale: float, start: float) -> Any:
    """`values * scale + start` in place; both parts of complex values, as PyTorch does it."""
    values *= scale
    values += complex(start, start) if values.dtype.kind == "c" else start
    return values


def keep_mask(source: Any, shape: Any, p: float) -> Any:
    """True with probability `p`: what dropout keeps."""
    return source.random(shape, dtype="float32") < p


def _source(x: Tensor, generator: Generator | None) -> Any:
    return generator_of(x.device, generator).source


def _written(made: Any, values: Any) -> Any:
    """`made` with the values in it; the values, if they differ between the examples of a vmap and `made` does not."""
    if backends.innermost(backends.namespaces[type(made)], type(values)) is not backends.namespaces[type(made)]:
        return values
    made[...] = values
    return made


def _floating(raw: Any, what: str) -> Any:
    """Raise NotImplementedError for dtypes that hold no fractions."""
    if raw.kind in "biu":
        raise NotImplementedError(f"\"{what}\" not implemented for '{dtypes.from_numpy(raw).type_name}'")
    return raw


# --- of a given size ---


def _sized(name: str, make: Callable, kernel: str, says: str) -> tuple[Callable, Callable]:
    """`name` and `name_like`."""

    def function(
        *size: Any,
        generator: Generator | None = None,
        out: Tensor | None = None,
        dtype: dtypes.dtype | None = None,
        layout: Any = strided,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **keyword: Any,
    ) -> Tensor:
        shape = sizes(size, keyword.pop("size", None), name)
        if keyword:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(keyword))}'")
        where = devices.resolve(device) if out is None else out.device
        raw = _floating(raw_dtype(dtype, out, name) or dtypes.get_default_dtype().numpy, kernel)
        return deliver(make(generator_of(where, generator).source, shape, raw), out, name, requires_grad, pin_memory)

    def like(
        input: Tensor,
        *,
        generator: Generator | None = None,
        dtype: dtypes.dtype | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = preserve_format,
    ) -> Tensor:
        made = array_like(input, "empty", f"{name}_like", dtype, device, memory_format)
        _floating(made.dtype, kernel)
        where = backends.namespaces[type(made)].device_of(made)
        values = make(generator_of(where, generator).source, made.shape, made.dtype)
        return finish(_written(made, values), requires_grad, pin_memory)

    function.__name__ = function.__qualname__ = name
    like.__name__ = like.__qualname__ = f"{name}_like"
    function.__doc__ = f"A tensor of the given size, of numbers {says}. Raises NotImplementedError for integers."
    like.__doc__ = f"Numbers {says}, in a tensor of the shape, strides, dtype and device of `input` unless named."
    return expose(method=False)(function), expose(method=False)(like)


rand, rand_like = _sized("rand", uniform_array, "check_uniform_bounds", "uniform in [0, 1)")
randn, randn_like = _sized("randn", normal_array, "normal_kernel_cpu", "of the standard normal distribution")


def _integers(source: Any, low: int, high: int, shape: Any, raw: Any) -> Any:
    """Integers from `low` up to but without `high`. Raises RuntimeError where they do not fit the dtype."""
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    d = dtypes.from_numpy(raw)
    if raw.kind in "biu":
        least, most = dtypes.limits(d)
        for bound, what in ((low, "from"), (high - 1, "to - 1")):
            if not least <= bound <= most:
                raise RuntimeError(f"{what} is out of bounds for {d.name}")
        return source.integers(low, high, shape, dtype=raw)
    return source.integers(low, high, shape, dtype="int64").astype(raw)


@expose(method=False)
def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Integers uniform in [low, high), int64 unless named: `randint(high, size)` or `randint(low, high, size)`.

    Raises RuntimeError for an empty range and for bounds beyond the dtype.
    """
    if isinstance(high, (tuple, list)):
        high, size = None, high
    if high is None:
        low, high = None, low
    if high is None or not isinstance(size, (tuple, list)):
        raise TypeError(
            "randint() received an invalid combination of arguments: expected (int high, tuple of ints size) or "
            "(int low, int high, tuple of ints size)"
        )
    low, high = (int(scalar(v, "randint", n, 1)) for v, n in ((low or 0, "low"), (high, "high")))
    where = devices.resolve(device) if out is None else out.device
    raw = raw_dtype(dtype, out, "randint") or dtypes.int64.numpy
    source = generator_of(where, generator).source
    made = _integers(source, low, high, sizes((size,), None, "randint"), raw)
    return deliver(made, out, "randint", requires_grad, pin_memory)


@expose(method=False)
def randint_like(
    input: Tensor,
    low: Any = None,
    high: Any = None,
    *,
    generator: Generator | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Integers uniform in [low, high), or [0, low), in a tensor like `input`, of its dtype unless named."""
    if high is None:
        low, high = 0, low
    made = array_like(input, "empty", "randint_like", dtype, device, memory_format)
    where = backends.namespaces[type(made)].device_of(made)
    low, high = (int(scalar(v, "randint_like", n)) for v, n in ((low or 0, "low"), (high, "high")))
    values = _integers(generator_of(where, generator).source, low, high, made.shape, made.dtype)
    return finish(_written(made, values), requires_grad, pin_memory)


@expose(method=False)
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """The integers from 0 to n - 1 in random order, int64 unless named."""
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    raw = raw_dtype(dtype, out, "randperm") or dtypes.int64.numpy
    if n and raw.kind in "iu" and n - 1 > dtypes.limits(dtypes.from_numpy(raw))[1]:
        raise RuntimeError(f"value cannot be converted to type {raw.name} without overflow")
    where = devices.resolve(device) if out is None else out.device
    order = generator_of(where, generator).source.permutation(n)
    return deliver(order.astype(raw, copy=False), out, "randperm", requires_grad, pin_memory)


# --- samples whose parameters are tensors; the gradient by those is zero, as PyTorch has it ---


def _no_gradient(name: str) -> Callable:
    """The gradient by a parameter: zeros of its shape."""
    return eval(
        f"lambda xp, g, {name}_shape: xp.zeros_like(unbroadcast(xp, g, {name}_shape))", {"unbroadcast": unbroadcast}
    )


normal_sample = Primitive(
    "normal_sample",
    lambda xp, x, y, values: values,
    {"x": _no_gradient("x"), "y": _no_gradient("y")},
    inputs=2,
    node="NormalBackward3",
    samples=lambda make: [(make(2, 3), make(2, 3), make(2, 3)._array), (make(), make(), make()._array)],
)


def _check_std(std: Any) -> None:
    if isinstance(std, Tensor):
        if std._array.dtype.kind == "c":
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if not std.is_cuda and (backends.elements(std._array) < 0).any():
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


@expose(method=False)
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtypes.dtype | None = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """Samples of normal distributions: of the means and deviations in tensors, or all of one in a tensor of a size.

    Raises RuntimeError for negative deviations.
    """
    _check_std(std)
    given = next((t for t in (mean, std) if isinstance(t, Tensor)), None)
    if given is None:
        if size is None:
            raise TypeError('normal() missing 1 required positional arguments: "size"')
        where = devices.resolve(device) if out is None else out.device
        raw = _floating(raw_dtype(dtype, out, "normal") or dtypes.get_default_dtype().numpy, "normal_kernel_cpu")
        values = normal_array(generator_of(where, generator).source, sizes((size,), None, "normal"), raw)
        return deliver(_moved(values, std, mean), out, "normal", requires_grad, pin_memory)
    raw = _floating(given._array.dtype, "normal_kernel_cpu")
    shapes = [t._array.shape for t in (mean, std) if isinstance(t, Tensor)]
    try:
        shape = backends.host.broadcast_shapes(*shapes)
    except ValueError as error:
        raise explain("normal", (mean, std), error) from None
    loc, scale = (t._array if isinstance(t, Tensor) else t for t in (mean, std))
    values = (normal_array(_source(given, generator), shape, raw) * scale + loc).astype(raw, copy=False)
    result = normal_sample.record((mean, std), (values,))
    return result if out is None else deliver(result._array, out, "normal")


bernoulli_sample = Primitive(
    "bernoulli_sample",
    lambda xp, x, noise: xp.astype(noise < x, x.dtype),
    {"x": _no_gradient("x")},
    node="BernoulliBackward0",
    samples=lambda make: [(make(2, 3), 0.5)],
)


def _probabilities(p: Tensor, kernel: str) -> None:
    """Check probabilities where that costs no wait for a device."""
    _floating(p._array.dtype, kernel)
    a = p._array
    if not p.is_cuda and a.size and not backends.elements((a >= 0) & (a <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")


@expose(out=True)
def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probabilities in `input` (or `p` everywhere), else 0.

    Raises RuntimeError for probabilities outside of [0, 1].
    """
    a = input._array
    if p is not None:
        return from_array(keep_mask(_source(input, generator), a.shape, _probability(p)).astype(a.dtype))
    _probabilities(input, "bernoulli_tensor_cpu_p_")
    wide = a.dtype if a.dtype in _WIDE else dtypes.float32.numpy
    return bernoulli_sample.record((input,), (uniform_array(_source(input, generator), a.shape, wide),))


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return p


poisson_sample = Primitive(
    "poisson_sample",
    lambda xp, x, values: xp.broadcast_to(xp.astype(xp.asarray(values), x.dtype), x.shape),
    {"x": _no_gradient("x")},
    node="PoissonBackward0",
    samples=lambda make: [(make(2, 3), 1.0)],
)


@expose(method=False)
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Samples of Poisson distributions of the rates in `input`. Raises RuntimeError for negative rates."""
    a = input._array
    _floating(a.dtype, "poisson_cpu")
    if not input.is_cuda and (backends.elements(a) < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return poisson_sample.record((input,), (_source(input, generator).poisson(a.astype("float64")),))


@expose(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials succeed, each with probability `prob`; both are floating tensors that broadcast."""
    _floating(count._array.dtype, "binomial_cpu")
    _probabilities(prob, "binomial_cpu")
    values = _source(count, generator).binomial(count._array.astype("int64"), prob._array.astype("float64"))
    return from_array(values.astype(count._array.dtype))


@expose()
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn with the weights in `input`, (n,) or (rows, n): (num_samples,) or (rows, num_samples), int64.

    Raises RuntimeError for weights that are negative, not finite or all zero, and where more are drawn without
    replacement than there are. Without replacement the smallest of exponential variates divided by the weights are
    taken (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
    """
    p = input._array
    xp = backends.namespaces[type(p)]
    if p.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not input.is_floating_point():
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {input.dtype.type_name}")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    n = p.shape[-1]
    if not replacement and num_samples > n:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if n > 1 << 24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    p = p.astype("float64")
    if not backends.elements(xp.isfinite(p) & (p >= 0)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not backends.elements(p.sum(-1) > 0).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.type_name}")
    source = _source(input, generator)
    if not replacement:
        keys = xp.where(p > 0, exponential_array(source, p.shape, p.dtype) / xp.where(p > 0, p, 1.0), xp.inf)
        drawn = xp.argsort(keys, axis=-1, kind="stable")[..., :num_samples]
        return deliver(drawn.astype("int64"), out, "multinomial")
    # Each row's cumulative weights go from r to r + 1, so that one search serves all rows.
    ends = xp.cumsum(p.reshape(-1, n), -1)
    ends /= ends[:, -1:]
    rows = xp.arange(ends.shape[0])[:, None]
    draws = source.random((ends.shape[0], num_samples)) + rows
    found = xp.searchsorted((ends + rows).ravel(), draws.ravel(), side="right").reshape(draws.shape) - rows * n
    last = (
        n - 1 - xp.argmax(p.reshape(-1, n)[:, ::-1] > 0, axis=-1)[:, None]
    )  # rounding may lead beyond the last weight
    drawn = xp.minimum(found, last).reshape(*p.shape[:-1], num_samples)
    return deliver(drawn.astype("int64"), out, "multinomial")


# --- in place ---


def sampler(node: str) -> Callable:
    """Decorator of a function that gives values for a tensor: the method that writes them over it.

    The method takes the function's parameters from the third on, and `generator=`.
    """

    def decorate(values: Callable) -> Callable:
        name = values.__name__
        primitive = Primitive(
            f"{name}values",
            lambda xp, x, values: xp.broadcast_to(xp.astype(xp.asarray(values), x.dtype, copy=False), x.shape),
            {"x": lambda xp, g: xp.zeros_like(g)},
            node=node,
            samples=lambda make: [(make(2, 3), 1.0), (make(), 0.5)],
        )
        write = inplace(lambda old, made: primitive.record((old,), (made,)), name)

        @functools.wraps(values)
        def method(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
            return write(self, values(_source(self, generator), self, *args, **kwargs))

        _, x, *own = inspect.signature(values).parameters.values()
        last = inspect.Parameter("generator", inspect.Parameter.KEYWORD_ONLY, default=None)
        own.insert(len(own) - any(p.kind is p.VAR_KEYWORD for p in own), last)
        shown = inspect.Signature([x.replace(name="self"), *own], return_annotation="Tensor")
        method.__signature__ = shown  # type: ignore[attr-defined]
        setattr(Tensor, name, method)
        return method

    return decorate


@sampler("UniformBackward0")
def uniform_(source: Any, x: Tensor, from_: float = 0.0, to: float = 1.0, **named: float) -> Any:
    """Fill with numbers uniform in [from, to). Raises RuntimeError if from > to."""
    from_ = named.pop("from", from_)
    raw = _floating(x._array.dtype, "check_uniform_bounds")
    if from_ > to:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}")
    return _moved(uniform_array(source, x._array.shape, raw), to - from_, from_)


@sampler("NormalBackward0")
def normal_(source: Any, x: Tensor, mean: float = 0.0, std: float = 1.0) -> Any:
    """Fill with samples of a normal distribution. Raises RuntimeError for a negative deviation."""
    _check_std(std)
    return _moved(normal_array(source, x._array.shape, _floating(x._array.dtype, "normal_kernel_cpu")), std, mean)


def _continuous(x: Tensor, name: str) -> Any:
    if not x.is_floating_point():
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {x.dtype.type_name}"
        )
    return x._array.dtype


@sampler("ExponentialBackward0")
def exponential_(source: Any, x: Tensor, lambd: float = 1.0) -> Any:
    """Fill with samples of an exponential distribution of rate `lambd`, which must be positive."""
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return exponential_array(source, x._array.shape, _continuous(x, "Exponential")) / lambd


@sampler("CauchyBackward0")
def cauchy_(source: Any, x: Tensor, median: float = 0.0, sigma: float = 1.0) -> Any:
    """Fill with samples of a Cauchy distribution of scale `sigma`, which must be positive."""
    raw = _continuous(x, "Cauchy")
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    xp = backends.namespaces[type(x._array)]
    values = xp.tan((source.random(x._array.shape) - 0.5) * math.pi) * sigma + median
    return xp.clip(values, *dtypes.limits(x.dtype)).astype(raw)


@sampler("GeometricBackward0")
def geometric_(source: Any, x: Tensor, p: float) -> Any:
    """Fill with the number of trials, each successful with probability `p` in (0, 1), up to the first success."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    xp = backends.namespaces[type(x._array)]
    values = xp.ceil(source.standard_exponential(x._array.shape) / -math.log1p(-p))
    return xp.maximum(values, 1.0).astype(x._array.dtype)


@sampler("LogNormalBackward0")
def log_normal_(source: Any, x: Tensor, mean: float = 1.0, std: float = 2.0) -> Any:
    """Fill with numbers whose logarithms are of a normal distribution of the given mean and deviation."""
    raw = _floating(x._array.dtype, "log_normal_cpu")
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    xp = backends.namespaces[type(x._array)]
    return xp.exp(normal_array(source, x._array.shape, raw) * std + mean)


@sampler("RandomBackward0")
def random_(source: Any, x: Tensor, from_: Any = None, to: Any = None, **named: Any) -> Any:
    """Fill with integers uniform in [from, to), in [0, to), or over all that the dtype holds exactly."""
    from_ = named.pop("from", from_)
    raw = x._array.dtype
    if to is None:
        from_, to = 0, from_
    if to is None:
        digits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53, "bool": 1}
        bits = digits.get(x.dtype.name) or x.dtype.itemsize * 8 - x.dtype.is_signed
        to = (1 << bits) + (raw.kind == "f")
        if bits >= 63:
            return source.integers(0, (1 << 63) - 1, x._array.shape, dtype="int64", endpoint=True)
    return _integers(source, int(from_), int(to), x._array.shape, raw)


@sampler("BernoulliBackward2")
def bernoulli_(source: Any, x: Tensor, p: float | Tensor = 0.5) -> Any:
    """Fill with 1 with probability `p`, a number or a tensor that broadcasts to this shape, else with 0.

    Raises RuntimeError for probabilities outside of [0, 1].
    """
    if isinstance(p, Tensor):
        _probabilities(p, "bernoulli_tensor_cpu_p_")
        return source.random(x._array.shape) < p._array
    return keep_mask(source, x._array.shape, _probability(p))


for _function in (manual_seed, seed, initial_seed, get_rng_state, set_rng_state):
    expose(method=False)(_function)
functions.update(Generator=Generator, default_generator=default_generator)  # type: ignore[call-overload]

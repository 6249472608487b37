"""`vmap`: a function of single examples applied to a batch of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..ops import functions
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor
from ..utils._pytree import flatten, spread, unflatten


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """A function that applies `func` to each slice of its inputs and stacks the results.

    in_dims: the dimension of each input to take slices along, None for inputs that all calls share: one for all, or a
    tuple that follows the arguments. Keyword arguments are shared. out_dims: where the new dimension
    of each result goes; None keeps the result of the first slice. randomness: "same" starts every call with one state
    of the random numbers. chunk_size changes nothing.

    `func` is called in a loop, once per slice: what holds of it holds here (random numbers, `.item()`, branches on
    values), and so does its cost.

    Raises ValueError for dims that do not fit the inputs or results.

    >>> vmap(lambda x, y: x @ y, in_dims=(0, None))(ones(2, 3), ones(3))
    tensor([3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, structure, dims = _inputs(name, in_dims, args)
        count = _batch(name, in_dims, leaves, dims)
        start = get_rng_state() if randomness == "same" else None
        results, shape = [], None
        for i in range(count):
            if start is not None:
                set_rng_state(start)
            at = [t if d is None else t.select(d, i) for t, d in zip(leaves, dims, strict=True)]
            found, shape = flatten(func(*unflatten(at, structure), **kwargs))
            results.append(found)
        return _outputs(name, out_dims, results, shape)

    return wrapper


def _inputs(name: str, in_dims: Any, args: tuple) -> tuple[list[Any], Any, list[Any]]:
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{where}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            f"got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a "
            "function with no inputs. The latter is unsupported."
        )
    leaves, structure = flatten(args)
    dims = spread(in_dims, structure)
    if dims is None:
        raise ValueError(
            f"{where}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{flatten(in_dims)[1]} but inputs has structure {structure}."
        )
    for t, d in zip(leaves, dims, strict=True):
        if d is None:
            continue
        if not isinstance(d, int):
            raise ValueError(
                f"{where}: Got in_dim={d} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(t, Tensor):
            raise ValueError(
                f"{where}: Got in_dim={d} for an input but the input is of type {type(t)}. We cannot vmap over "
                "non-Tensor arguments, please use None as the respective in_dim"
            )
        n = t.dim()
        if not -n <= d < n:
            raise ValueError(
                f"{where}: Got in_dim={d} for some input, but that input is a Tensor of dimensionality {n} so expected "
                f"in_dim to satisfy -{n} <= in_dim < {n}."
            )
    return leaves, structure, dims


def _batch(name: str, in_dims: Any, leaves: list[Any], dims: list[Any]) -> int:
    """The length of the dimension that is sliced."""
    sizes = [t.shape[d] for t, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one in_dim must not be None.")
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            "mapped dimension"
        )
    if not sizes[0]:
        raise ValueError(f"vmap({name}): the mapped dimension has size 0, so there is no result to take the shape of")
    return sizes[0]


def _outputs(name: str, out_dims: Any, results: list[list[Any]], shape: Any) -> Any:
    dims = spread(out_dims, shape)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {flatten(out_dims)[1]} but outputs has structure {shape}."
        )
    stacked = []
    for d, values in zip(dims, zip(*results, strict=True), strict=True):
        if d is None:
            stacked.append(values[0])
            continue
        if not isinstance(d, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of "
                "ints representing where in the outputs the vmapped dimension should appear."
            )
        for value in values:
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(value)}. Did you mean to "
                    "set out_dims= to None for output?"
                )
        stacked.append(functions["stack"](values, d))
    return unflatten(stacked, shape)

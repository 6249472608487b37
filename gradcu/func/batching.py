"""`vmap`: a function of single examples applied to a batch of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import backends
from ..backends.batched import Level
from ..ops import functions
from ..ops.batch import batch, outside
from ..tensor import Tensor, from_array
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
    tuple that follows the arguments. Keyword arguments are shared. out_dims: where the new dimension of each result
    goes; None for results that are the same for all slices. randomness: whether random operations raise ("error"),
    draw for each slice ("different") or once for all ("same"). chunk_size: how many slices at once; all, if None.

    `func` runs once, on tensors that look like one slice and hold all of them (`gradcu.backends.batched`). It can be a
    derivative, or another vmap. What it cannot do is look at values: `.item()` and `if` on a tensor raise RuntimeError.

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
        size = _batch_size(name, in_dims, leaves, dims)

        def run(part: list[Any], count: int) -> tuple[list[Any], list[Any], Any]:
            with Level(count, randomness) as level:
                given = [
                    t if d is None else batch.record((t,), (level, d % t.dim()))
                    for t, d in zip(part, dims, strict=True)
                ]
                results, shape = flatten(func(*unflatten(given, structure), **kwargs))
                places = _places(name, out_dims, shape)
                return [shown(name, r, d, level) for r, d in zip(results, places, strict=True)], places, shape

        if chunk_size is None or chunk_size >= size:
            results, _, shape = run(leaves, size)
            return unflatten(results, shape)
        chunks = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            part = [t if d is None else t.narrow(d, start, count) for t, d in zip(leaves, dims, strict=True)]
            found, places, shape = run(part, count)
            chunks.append(found)
        joined = [
            several[0] if d is None else functions["cat"](several, d)
            for d, several in zip(places, zip(*chunks, strict=True), strict=True)
        ]
        return unflatten(joined, shape)

    return wrapper


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor with all examples that `tensor` stands for within a vmap, to look at; `recurse`: out of every vmap.

    >>> vmap(lambda x: print(debug_unwrap(x).shape) or x)(ones(3, 2)).shape
    gradcu.Size([3, 2])
    gradcu.Size([3, 2])
    """
    array = tensor._array
    if not backends.namespaces[type(array)].depth:
        return tensor
    return from_array(backends.elements(array) if recurse else array.array)


def shown(name: str, result: Any, dim: int | None, level: Level) -> Any:
    """A result of `func` with the axis of examples at `dim`; None: it must have none.

    Raises ValueError where it cannot have it, or must not.
    """
    if not isinstance(result, Tensor):
        if dim is None:
            return result
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(result)}. Did you mean to set "
            "out_dims= to None for output?"
        )
    if dim is None:
        if type(result._array) is not level.kind:
            return result
        if not result._array.whole:
            raise ValueError(f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None")
        return outside(result, 0, level).select(0, 0)
    n = result.dim() + 1
    if not -n <= dim < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return outside(result, dim % n, level)


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


def _batch_size(name: str, in_dims: Any, leaves: list[Any], dims: list[Any]) -> int:
    """The length of the dimension that is sliced."""
    sizes = [t.shape[d] for t, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one in_dim must not be None.")
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            "mapped dimension"
        )
    return sizes[0]


def _places(name: str, out_dims: Any, shape: Any) -> list[Any]:
    """Where the new dimension of each result goes."""
    dims = spread(out_dims, shape)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {flatten(out_dims)[1]} but outputs has structure {shape}."
        )
    for d in dims:
        if d is not None and not isinstance(d, int):
            raise ValueError(
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of "
                "ints representing where in the outputs the vmapped dimension should appear."
            )
    return dims

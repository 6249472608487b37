"""Derivatives of functions, by the same graph that `backward` walks.

A transform runs the function on inputs of its own: leaves, or where the caller wants derivatives too, results of an
operation that changes nothing. What comes out is cut off from those leaves again, unless it leads on to something that
was there before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd
from ..autograd import forward_ad
from ..autograd.forward import primal_of, tangent_of, zeros_like
from ..backends.batched import Level, running
from ..graph.modes import enable_grad, state
from ..graph.node import Output
from ..ops import functions
from ..ops.batch import batch, outside, within
from ..ops.index import alias
from ..tensor import Tensor, edge_of
from ..utils._pytree import Structure, flatten, tree_map, unflatten


class _Run:
    """One run of a function on inputs of its own."""

    def __init__(self) -> None:
        self.record = state.grad  # whether the caller may differentiate what comes out
        self.leaves: set[Tensor] = set()

    def own(self, t: Any) -> Tensor:
        """The input that stands for `t`."""
        if not isinstance(t, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(t)}")
        t = within(t, running.levels)  # it may be the same for all examples, unlike its gradient
        if self.record and edge_of(t) is not None:
            with enable_grad():
                return alias.record((t,), (...,))
        leaf = t.detach().requires_grad_()
        self.leaves.add(leaf)
        tangent = tangent_of(t)
        with enable_grad():
            return leaf if tangent is None else forward_ad.make_dual(leaf, tangent)

    def leads_on(self, *tensors: Tensor) -> bool:
        """Whether a gradient of the tensors goes further than to this run's leaves."""
        if not self.record:
            return False
        seen, stack = set(), [edge_of(t) for t in tensors]
        while stack:
            edge = stack.pop()
            node = edge.node if type(edge) is Output else edge
            if node is None or node in seen:
                continue
            seen.add(node)
            if node._outputs:
                stack += node.edges
            elif node not in self.leaves:
                return True
        return False

    def release(self, t: Any) -> Any:
        """A result for the caller."""
        if not isinstance(t, Tensor) or not t.requires_grad or self.leads_on(t):
            return t
        tangent = tangent_of(t)
        free = t.detach()
        return free if tangent is None else forward_ad.make_dual(free, tangent)

    def pull(self, results: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor | None]) -> list[Tensor]:
        """The gradients of the inputs, zeros where there are none; recorded where that leads on to something."""
        pairs = [(r, g) for r, g in zip(results, grads, strict=True) if r.requires_grad]
        create = self.leads_on(*(r for r, _ in pairs), *(g for _, g in pairs if g is not None))
        if not pairs:
            return [zeros_like(t) for t in inputs]
        found = autograd.grad(
            [r for r, _ in pairs],
            inputs,
            [g for _, g in pairs],
            retain_graph=True,
            create_graph=create,
            materialize_grads=True,
        )
        return [self.release(g) for g in found] if create else list(found)

    def rows(self, result: Tensor, inputs: Sequence[Tensor], chunk_size: int | None = None) -> list[Tensor]:
        """The Jacobians of one result by the inputs: one walk, or one for each `chunk_size` rows."""
        n = result.numel()
        if edge_of(result) is None or not n:
            return [t.new_zeros((*result.shape, *t.shape)) for t in inputs]
        parts = [self.pull([result], inputs, [seeds]) for seeds in _basis(result, 0)] if n == 1 else []
        for start in range(0, n if n > 1 else 0, chunk_size or n):
            seeds = _basis(result, slice(start, start + (chunk_size or n)))
            with Level(len(seeds), "different") as level:
                found = self.pull([result], inputs, [batch.record((seeds,), (level, 0))])
                parts.append([outside(g, 0, level) for g in found])
        joined = parts[0] if len(parts) == 1 else [functions["cat"](p) for p in zip(*parts, strict=True)]
        return [g.reshape((*result.shape, *t.shape)) for g, t in zip(joined, inputs, strict=True)]


def _chosen(argnums: Any, args: tuple) -> tuple[int, ...]:
    """The positions of the arguments to differentiate by."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    several = argnums if isinstance(argnums, tuple) else (argnums,)
    if not several:
        raise RuntimeError("argnums must be non-empty")
    positions = []
    for n in several:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
        positions.append(n % len(args))
    if len(set(positions)) < len(positions):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(positions)}")
    return tuple(positions)


def _own_arguments(run: _Run, args: tuple, argnums: Any) -> tuple[list[Any], list[Tensor], Structure]:
    """The arguments with those of `argnums` replaced by inputs of the run; these, flat; the structure of the latter."""
    positions = _chosen(argnums, args)
    picked = tuple(args[i] for i in positions)
    leaves, structure = flatten(picked if isinstance(argnums, tuple) else picked[0])
    inputs = [run.own(t) for t in leaves]
    mine = unflatten(inputs, structure)
    given = list(args)
    for i, a in zip(positions, mine if isinstance(argnums, tuple) else (mine,), strict=True):
        given[i] = a
    return given, inputs, structure


def _with_aux(result: Any, where: str) -> tuple[Any, Any]:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{where}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def _tensors(result: Any, where: str) -> tuple[list[Tensor], Structure]:
    """The results of a function, which must be tensors."""
    leaves, structure = flatten(result)
    for t in leaves:
        if not isinstance(t, Tensor):
            raise RuntimeError(f"{where}: expected f(*primals) to return only tensors, got unsupported type {type(t)}")
    return leaves, structure


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns (gradient, value) of `func`, whose value is a scalar.

    argnums: by which positional arguments; a tuple gives a tuple of gradients. has_aux: `func` returns (value, aux),
    and the new function (gradient, (value, aux)). Raises RuntimeError for other values.

    >>> grad_and_value(lambda x: x**2)(tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        where, run = "grad_and_value(f)(*args)", _Run()
        given, inputs, structure = _own_arguments(run, args, argnums)
        aux = None
        with enable_grad():
            value = func(*given, **kwargs)
        if has_aux:
            value, aux = _with_aux(value, where)
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{where}: Expected f(*args) to return a Tensor, got {type(value)}")
        if value.dim():
            raise RuntimeError(
                f"{where}: Expected f(*args) to return a scalar Tensor, got tensor with {value.dim()} dims. Maybe you "
                "wanted to use the vjp or jacrev APIs instead?"
            )
        gradient = unflatten(run.pull([value], inputs, [None]), structure)
        value = run.release(value)
        return gradient, (value, tree_map(run.release, aux)) if has_aux else value

    return wrapper


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """A function that returns the gradient of `func`, whose value is a scalar; see `grad_and_value`.

    has_aux: `func` returns (value, aux), and the new function (gradient, aux).

    >>> grad(grad(lambda x: x**3))(tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)` and a function that maps gradients of its results to a tuple of those of `primals`.

    has_aux: `func` returns (results, aux), and aux is returned third. Raises RuntimeError for results that are no
    tensors, and for gradients of another structure or shape.

    >>> value, pull = vjp(lambda x: x**2, tensor([1.0, 2.0]))
    >>> pull(tensor([1.0, 1.0]))
    (tensor([2., 4.]),)
    """
    where, run = "vjp(f, *primals)", _Run()
    leaves, structure = flatten(primals)
    inputs = [run.own(t) for t in leaves]
    with enable_grad():
        result = func(*unflatten(inputs, structure))
    aux = None
    if has_aux:
        result, aux = _with_aux(result, where)
    results, shape = _tensors(result, where)

    def pull(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        grads, given = flatten(cotangents)
        if given != shape:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                f"function. cotangents: {given}, primal output: {shape}"
            )
        for i, (r, g) in enumerate(zip(results, grads, strict=True)):
            if r.shape != g.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of "
                    f"{r.shape}."
                )
        found = unflatten(run.pull(results, inputs, grads), structure)
        return found

    value = unflatten([run.release(r) for r in results], shape)
    return (value, pull, tree_map(run.release, aux)) if has_aux else (value, pull)


def _directions(primals: Any, tangents: Any, where: str) -> tuple[list[Tensor], list[Tensor], Structure]:
    """Primals and tangents, flat."""
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{where}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    (points, structure), (directions, other) = flatten(primals), flatten(tangents)
    if structure != other:
        raise RuntimeError(
            f"{where}: Expected primals and tangents to have the same python structure. For example, if primals is a "
            f"tuple of 3 tensors, tangents also must be. Got primals with structure {structure} and tangents with "
            f"structure {other}"
        )
    for what, several in (("primals", points), ("tangents", directions)):
        if not several:
            raise RuntimeError(f"{where}: Expected {what} to contain at least one Tensor.")
        for t in several:
            if not isinstance(t, Tensor):
                raise RuntimeError(f"{where}: Expected {what} to only contain Tensors, got {type(t)}")
    return points, directions, structure


def jvp(func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the derivative of it along `tangents`, a tuple of the same structure.

    It is computed in forward mode; within another `jvp`, by differentiating the vjp. strict: raise RuntimeError for
    results that do not depend on the primals. has_aux: as for `vjp`.

    >>> jvp(torch.sin, (tensor(0.0),), (tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    where = "jvp(f, primals, tangents)"
    points, directions, structure = _directions(primals, tangents, where)
    if state.level is not None:
        value, push, *more = _linear(func, points, structure, has_aux, where)
        return (value, push(directions), *more)
    aux: tuple = ()
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, t) for p, t in zip(points, directions, strict=True)]
        result = func(*unflatten(duals, structure))
        if has_aux:
            result, extra = _with_aux(result, where)
            aux = (tree_map(primal_of, extra),)
        results, shape = _tensors(result, where)
        along = [tangent_of(r) for r in results]
        results = [primal_of(r) for r in results]
    if strict and None in along:
        raise RuntimeError(
            f"{where[:-1]}, strict=True): The output of f is independent of the inputs. This is not allowed with "
            "strict=True."
        )
    moved = [zeros_like(r) if t is None else t for r, t in zip(results, along, strict=True)]
    return (unflatten(results, shape), unflatten(moved, shape), *aux)


def _linear(func: Callable, points: list, structure: Structure, has_aux: bool, where: str) -> tuple:
    """The value, the derivative as a function of flat tangents, and aux: the vjp is linear, and its vjp the jvp."""
    run = _Run()
    inputs = [run.own(t) for t in points]
    aux: tuple = ()
    with enable_grad():
        result = func(*unflatten(inputs, structure))
        if has_aux:
            result, extra = _with_aux(result, where)
            aux = (tree_map(run.release, extra),)
        results, shape = _tensors(result, where)
        seeds = [zeros_like(r).requires_grad_(r.is_floating_point() or r.is_complex()) for r in results]
        run.leaves |= set(seeds)
        used = [i for i, r in enumerate(results) if r.requires_grad]
        pulled = (
            autograd.grad(
                [results[i] for i in used],
                inputs,
                [seeds[i] for i in used],
                create_graph=True,
                materialize_grads=True,
            )
            if used
            else ()
        )

    def push(directions: list[Tensor]) -> Any:
        moved = run.pull(pulled, seeds, directions) if used else [zeros_like(s) for s in seeds]
        return unflatten(moved, shape)

    return (unflatten([run.release(r) for r in results], shape), push, *aux)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """`func(*primals)`, and its derivative there as a function of tangents, which does not run `func` again.

    >>> value, push = linearize(torch.sin, tensor(0.0))
    >>> push(tensor(2.0))
    tensor(2.)
    """
    points, structure = flatten(primals)
    value, push = _linear(func, points, structure, False, "linearize(f, *primals)")

    def along(*tangents: Any) -> Any:
        directions, given = flatten(tangents)
        if given != structure:
            raise RuntimeError(f"Expected the tangents {given} to have the same argspec as the primals {structure}")
        for i, (p, t) in enumerate(zip(points, directions, strict=True)):
            if p.shape != t.shape:
                raise RuntimeError(
                    f"tangent:{i} with shape {t.shape} in flattened pytree doesn't match the shape {p.shape} of the "
                    "corresponding primal."
                )
        return push(directions)

    return value, along


def _basis(t: Tensor, rows: Any) -> Tensor:
    """Tensors of a shape with a one in one place each, along a new first dimension; those of some places alone."""
    n = t.numel()
    return functions["eye"](n, dtype=t.dtype, device=t.device)[rows].reshape((-1, *t.shape))


def jacrev(
    func: Callable, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable:
    """A function that returns the Jacobian of `func`, row by row in reverse mode: for few results of many inputs.

    The Jacobian of a result by an input has the shape of the one followed by that of the other; trees of results hold
    trees of inputs. has_aux: as for `grad`. chunk_size: how many rows to compute at once; all, if None.

    >>> jacrev(lambda x: x**2)(tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_chunk_size(chunk_size, "jacrev")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        where, run = "vjp(f, *primals)", _Run()
        given, inputs, structure = _own_arguments(run, args, argnums)
        aux = None
        with enable_grad():
            result = func(*given, **kwargs)
        if has_aux:
            result, aux = _with_aux(result, where)
        results, shape = _tensors(result, where)
        jacobians = [unflatten(run.rows(r, inputs, chunk_size), structure) for r in results]
        found = unflatten(jacobians, shape)
        return (found, tree_map(run.release, aux)) if has_aux else found

    return wrapper


def jacfwd(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable:
    """A function that returns the Jacobian of `func`, column by column: for many results of few inputs.

    Its arguments and results are those of `jacrev`. `func` runs once; each column is a derivative of it there.
    """
    _check_chunk_size(chunk_size, "jacfwd")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        positions = _chosen(argnums, args)
        picked = tuple(args[i] for i in positions)
        points, structure = flatten(picked if isinstance(argnums, tuple) else picked[0])
        for t in points:
            if isinstance(t, Tensor) and not (t.is_floating_point() or t.is_complex()):
                raise ValueError(f"Expected primal to be floating point or complex, but got: {t.dtype}")

        def of_picked(mine: Any) -> Any:
            given = list(args)
            for i, a in zip(positions, mine if isinstance(argnums, tuple) else (mine,), strict=True):
                given[i] = a
            return func(*given, **kwargs)

        value, push, *aux = _linear(
            of_picked, points, Structure(tuple, (), (structure,)), has_aux, "jvp(f, primals, tangents)"
        )
        results, shape = flatten(value)
        columns = [_columns(push, points, i, results, chunk_size) for i in range(len(points))]
        jacobians = [unflatten([c[k] for c in columns], structure) for k in range(len(results))]
        found = unflatten(jacobians, shape)
        return (found, *aux) if has_aux else found

    return wrapper


def _columns(push: Callable, points: list, i: int, results: list, chunk_size: int | None) -> list[Tensor]:
    """The Jacobians of the results by one of the points, by the derivatives along its basis."""
    p, n = points[i], points[i].numel()
    along: list[Any] = [zeros_like(q) for q in points]
    parts = []
    for start in range(0, n, chunk_size or n or 1):
        seeds = _basis(p, slice(start, start + (chunk_size or n)))
        with Level(len(seeds), "different") as level:
            along[i] = batch.record((seeds,), (level, 0))
            parts.append([outside(t, t.dim(), level) for t in flatten(push(along))[0]])
    joined = [functions["cat"](several, -1) for several in zip(*parts, strict=True)]
    return [t.reshape((*r.shape, *p.shape)) for t, r in zip(joined or map(zeros_like, results), results, strict=True)]


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """A function that returns the second derivatives of `func`: the Jacobian of its Jacobian.

    >>> hessian(lambda x: (x**3).sum())(tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)  # the graph of the gradient is walked once for each row


def _check_chunk_size(size: int | None, name: str) -> None:
    if size is not None and size <= 0:
        raise ValueError(f"{name}: `chunk_size` should be greater than 0.")

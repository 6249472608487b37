"""`gradcu.autograd.gradcheck`: compare the gradients of a function with finite differences.

A complex output is checked as two real ones. The gradient of a real s by a complex z is ds/dx + i ds/dy, as in PyTorch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import autograd, backends
from ..graph.modes import enable_grad
from ..tensor import Tensor, from_array

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensors = Tensor | Sequence[Tensor]


class GradcheckError(RuntimeError):
    """The gradients of a function are not those that finite differences give."""


_SLOW = """
These are the projections v J u of fast mode. The whole Jacobians are:

Numerical:
{}
Analytical:
{}

The max per-element difference (slow mode) is: {}.
"""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensors,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func` at `inputs`, which should be float64 or complex128, are those of differences.

    eps: the step. atol, rtol: how near they must be. nondet_tol: how far two runs of backward may differ.
    check_grad_dtypes: gradients must have the dtype of the inputs. check_forward_ad: check forward mode too.
    check_batched_grad, check_batched_forward_grad: check also that all rows, or columns, at once are what they are one
    by one. fast_mode: compare one random projection of the Jacobian only. check_undefined_grad, masked: accepted; a
    backward is never given None alone here.

    Raises GradcheckError for the first failure, or returns False with `raise_exception=False`; ValueError if no input
    requires grad.

    >>> gradcheck(lambda x: x.sin(), tensor([1.0], dtype=float64, requires_grad=True))
    True
    """
    assert check_forward_ad or check_backward_ad, (
        "Expected at least one of check_forward_ad or check_backward_ad to be True"
    )
    assert not check_batched_forward_grad or check_forward_ad, (
        "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
    )
    assert not check_batched_grad or check_backward_ad, (
        "Setting check_batched_grad=True requires check_backward_ad to be True"
    )
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check = _Check(func, given, eps, atol, rtol, nondet_tol)
    try:
        check.inputs_are_fit()
        check.run(fast_mode, check_backward_ad, check_forward_ad, check_grad_dtypes)
        if check_batched_grad:
            check.batched()
        if check_batched_forward_grad:
            check.batched_tangents()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the gradients of the gradients of `func` are those of differences; see `gradcheck`.

    grad_outputs: the gradients of the outputs to try; random if left out.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    assert check_fwd_over_rev or check_rev_over_rev, (
        "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
    )
    assert not check_undefined_grad or check_rev_over_rev, (
        "Setting check_undefined_grad=True requires check_rev_over_rev to be True"
    )
    assert not check_batched_grad or check_rev_over_rev, (
        "Setting check_batched_grad=True requires check_rev_over_rev to be True"
    )
    if grad_outputs is None:
        with enable_grad():
            outputs = _differentiable(func(*given))
        random = np.random.default_rng(0)
        grads: tuple[Any, ...] = tuple(_random_like(o, random, gen_non_contig_grad_outputs) for o in outputs)
    else:
        grads = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    count = len(grads)

    def gradient(*args: Any) -> tuple[Tensor, ...]:
        at, vectors = args[: len(args) - count], args[len(args) - count :]
        at = tuple(a.view_as(a) if isinstance(a, Tensor) and a.requires_grad else a for a in at)
        wanted = [a for a in at if isinstance(a, Tensor) and a.requires_grad]
        outputs = _differentiable(func(*at))
        found = autograd.grad(outputs, wanted, vectors, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient,
        given + grads,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _differentiable(outputs: Any) -> tuple[Tensor, ...]:
    several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return tuple(o for o in several if o.requires_grad)


def _random_like(t: Tensor, random: np.random.Generator, gaps: bool) -> Tensor:
    """Normal numbers of the shape, dtype and device of a tensor, for every second place in memory with `gaps`."""
    shape = (*t.shape, 2) if gaps else tuple(t.shape)
    values: Any = random.standard_normal(shape)
    if t.is_complex():
        values = values + 1j * random.standard_normal(shape)
    xp = backends.namespaces[type(t._array)]
    array = xp.asarray(values).astype(t._array.dtype)
    return from_array(array[..., 0] if gaps else array).requires_grad_()


def _host(t: Tensor) -> np.ndarray:
    """The values on the CPU as float64 or complex128."""
    array = backends.to_host(t._array)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


class _Check:
    """One call of `gradcheck`. Jacobians are arrays on the CPU of shape (elements of input, elements of output)."""

    def __init__(
        self, func: Callable, inputs: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet_tol: float
    ) -> None:
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.wanted = [(i, t) for i, t in enumerate(inputs) if isinstance(t, Tensor) and t.requires_grad]

    def inputs_are_fit(self) -> None:
        for i, t in self.wanted:
            if t._array.dtype.char not in "dD":
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                    "will likely fail if all the inputs are not of double precision floating point or complex. ",
                    stacklevel=4,
                )
            if any(step == 0 and n > 1 for step, n in zip(t._array.strides, t._array.shape, strict=True)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                    "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                    ".contiguous on the input before passing it to gradcheck."
                )
            if t.is_leaf is False:
                t.retain_grad()
        if not self.wanted:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of them have "
                "requires_grad=True."
            )

    def run(self, fast: bool, backward: bool, forward: bool, dtypes: bool) -> None:
        with enable_grad():
            outputs = _differentiable(self.func(*self.inputs))
        if not outputs:
            for _, t in self.wanted:
                steps = (self.difference(t, step) for step in _unit_steps(t))
                if any((abs(d) > self.eps).any() for ds in steps for d in ds):
                    raise GradcheckError("Numerical gradient for function expected to be zero")
            return
        if backward:
            for number, out in enumerate(outputs):
                parts = (("imaginary", 1j), ("real", 1.0)) if out.is_complex() else (("", 1.0),)
                for part, unit in parts:
                    context = f"While considering the {part} part of complex outputs only, " if part else ""
                    (self.project if fast else self.compare)(number, out, unit, context, dtypes)
            self.multiplied(outputs)
        if forward:
            for i, t in self.wanted:
                (self.project_tangents if fast else self.compare_tangents)(i, t)

    def difference(self, t: Tensor, step: np.ndarray) -> list[np.ndarray]:
        """The derivative of each differentiable output along `step` of the input `t`, flat.

        The input is changed in place, so that functions which find it elsewhere follow it.
        """
        xp = backends.namespaces[type(t._array)]
        array, before = t._array, xp.copy(t._array)
        offset = xp.asarray((self.eps * step).astype(before.dtype))
        sides = []
        try:
            for side in (before - offset, before + offset):
                array[...] = side
                outputs = self.func(*self.inputs)
                several = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
                chosen = _differentiable(several) or several
                sides.append([_host(o.detach()).reshape(-1) for o in chosen])
        finally:
            array[...] = before
        return [(b - a) / (2 * self.eps) for a, b in zip(*sides, strict=True)]

    def numerical(self, t: Tensor, number: int, unit: complex) -> np.ndarray:
        rows = [self.difference(t, step)[number] for step in _unit_steps(t)]
        if not rows:
            return np.zeros((0, 0))
        jacobian = np.array([row.imag if unit == 1j else row.real for row in rows])
        return jacobian[: t.numel()] + 1j * jacobian[t.numel() :] if t.is_complex() else jacobian

    def gradients(self, out: Tensor, vector: np.ndarray, dtypes: bool = False) -> list[np.ndarray]:
        """The gradients of the inputs for one gradient of an output, zeros for None."""
        xp = backends.namespaces[type(out._array)]
        g = from_array(xp.asarray(vector.astype(out._array.dtype)))
        found = autograd.grad(out, [t for _, t in self.wanted], g, retain_graph=True, allow_unused=True)
        results = []
        for (_, t), r in zip(self.wanted, found, strict=True):
            if r is not None and dtypes and r.dtype is not t.dtype:
                raise GradcheckError(f"Expected grad to have dtype {t.dtype}, but got {r.dtype} instead")
            results.append(np.zeros(tuple(t.shape), dtype=_kind(t)) if r is None else _host(r))
        return results

    def analytical(self, out: Tensor, unit: complex, dtypes: bool) -> list[np.ndarray]:
        """For each input its Jacobian, by one backward for each element of the output."""
        count = out.numel()
        columns = []
        for j in range(count):
            vector = np.zeros(count, dtype=complex if out.is_complex() else float)
            vector[j] = unit if out.is_complex() else 1.0
            columns.append(self.gradients(out, vector.reshape(tuple(out.shape)), dtypes))
        return [
            np.array([c[i].reshape(-1) for c in columns], dtype=_kind(t)).reshape(count, t.numel()).T
            for i, (_, t) in enumerate(self.wanted)
        ]

    def compare(self, number: int, out: Tensor, unit: complex, context: str, dtypes: bool) -> None:
        """Slow mode: the whole Jacobian of one output."""
        found, again = (self.analytical(out, unit, dtypes) for _ in range(2))
        for (i, t), a, b in zip(self.wanted, found, again, strict=True):
            n = self.numerical(t, number, unit)
            if a.size and not np.allclose(a, n, rtol=self.rtol, atol=self.atol):
                raise GradcheckError(context + _mismatch(number, i, from_array(n), from_array(a)))
            if a.size and abs(a - b).max() > self.nondet_tol:
                raise GradcheckError(_not_reentrant(context, self.nondet_tol))

    def project(self, number: int, out: Tensor, unit: complex, context: str, dtypes: bool) -> None:
        """Fast mode: one number v J u for each input, of random v and u."""
        random = np.random.default_rng(number)
        v = _unit(random, tuple(out.shape))
        found, again = (self.gradients(out, v * unit if out.is_complex() else v, dtypes) for _ in range(2))
        for (i, t), g, g2 in zip(self.wanted, found, again, strict=True):
            u = _unit(random, tuple(t.shape))
            along = [self.difference(t, step)[number] for step in ((u, 1j * u) if t.is_complex() else (u,))]
            values = [float(((d.imag if unit == 1j else d.real) * v.reshape(-1)).sum()) for d in along]
            n: Any = complex(*values) if t.is_complex() else values[0]
            a: Any = complex((g * u).sum()) if t.is_complex() else float((g * u).sum())
            atol = self.atol * abs(u).sum() * abs(v).sum()
            if not np.allclose(a, n, rtol=self.rtol, atol=atol):
                slow_n, slow_a = self.numerical(t, number, unit), self.analytical(out, unit, dtypes)
                whole = slow_a[[j for j, _ in self.wanted].index(i)]
                raise GradcheckError(
                    context
                    + _mismatch(number, i, n, a)
                    + _SLOW.format(from_array(slow_n), from_array(whole), abs(slow_n - whole).max())
                )
            if g.size and abs(g - g2).max() > self.nondet_tol:
                raise GradcheckError(_not_reentrant(context, self.nondet_tol))

    def multiplied(self, outputs: tuple[Tensor, ...]) -> None:
        """A gradient of zero must give zero."""
        for out in outputs:
            for g in self.gradients(out, np.zeros(tuple(out.shape))):
                if g.any():
                    raise GradcheckError("backward not multiplied by grad_output")

    def along(self, t: Tensor, steps: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each output, its derivatives along steps of the input `t`, by differences and by forward mode."""
        from . import forward_ad

        xp = backends.namespaces[type(t._array)]
        found: list[tuple[list, list]] = []
        for step in steps:
            differences = self.difference(t, step)
            with forward_ad.dual_level(), enable_grad():
                dual = forward_ad.make_dual(t, from_array(xp.asarray(step.astype(t._array.dtype))))
                results = self.func(*(dual if x is t else x for x in self.inputs))
                several = results if isinstance(results, (tuple, list)) else (results,)
                chosen = _differentiable(several) or [r for r in several if r._array.dtype.kind in "fc"]
                tangents = [forward_ad.unpack_dual(r).tangent for r in chosen]
                arrays = [None if g is None else _host(g.detach()).reshape(-1) for g in tangents]
            found = found or [([], []) for _ in differences]
            for (numerical, analytical), n, a in zip(found, differences, arrays, strict=True):
                numerical.append(n)
                analytical.append(np.zeros_like(n) if a is None else a)
        return [(np.array(n), np.array(a)) for n, a in found]

    def compare_tangents(self, i: int, t: Tensor) -> None:
        """Forward mode along each element of one input."""
        for number, (n, a) in enumerate(self.along(t, _unit_steps(t))):
            if not np.allclose(n, a, rtol=self.rtol, atol=self.atol):
                raise GradcheckError(_mismatch(number, i, from_array(n), from_array(a), " computed with forward mode"))

    def project_tangents(self, i: int, t: Tensor) -> None:
        """Forward mode along one random direction of one input."""
        u = _unit(np.random.default_rng(i), tuple(t.shape))
        for n, a in self.along(t, (u, 1j * u) if t.is_complex() else (u,)):
            if not np.allclose(n, a, rtol=self.rtol, atol=self.atol * abs(u).sum()):
                self.compare_tangents(i, t)

    def batched_tangents(self) -> None:
        """A Jacobian by forward mode must be the same by all columns at once."""
        from .functional import jacobian

        for i, t in self.wanted:

            def of_one(x: Tensor, t: Tensor = t) -> tuple[Tensor, ...]:
                results = self.func(*(x if one is t else one for one in self.inputs))
                several = results if isinstance(results, (tuple, list)) else (results,)
                return tuple(r for r in several if r._array.dtype.kind in "fc")

            together = jacobian(of_one, t, vectorize=True, strategy="forward-mode")
            for number, (whole, (_, a)) in enumerate(zip(together, self.along(t, _unit_steps(t)), strict=True)):
                columns = _host(whole).reshape(-1, t.numel()).T
                if not np.allclose(columns, a[: t.numel()], rtol=self.rtol, atol=self.atol):
                    raise GradcheckError(
                        f"For output {number} and input {i}: gradcheck failed while testing batched forward gradients: "
                        "all columns at once are others than those of a loop."
                    )

    def batched(self) -> None:
        """`is_grads_batched` must give what one backward for each gradient gives."""
        wanted = [t for _, t in self.wanted]
        random = np.random.default_rng(0)
        with enable_grad():
            outputs = _differentiable(self.func(*self.inputs))
        for number, out in enumerate(outputs):
            xp = backends.namespaces[type(out._array)]
            pair = xp.asarray(random.standard_normal((2, *out.shape))).astype(out._array.dtype)
            options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
            together = autograd.grad(out, wanted, from_array(pair), is_grads_batched=True, **options)
            single = [autograd.grad(out, wanted, from_array(g), **options) for g in pair]
            for i, whole in enumerate(together):
                rows = [_host(s[i]) for s in single if s[i] is not None]
                if rows and not np.allclose(_host(whole), np.stack(rows), rtol=self.rtol, atol=self.atol):
                    raise GradcheckError(
                        f"For output {number} and input {self.wanted[i][0]}: gradcheck failed while testing batched "
                        "gradient computation: is_grads_batched=True gives other gradients than a loop."
                    )


def _kind(t: Tensor) -> type:
    return complex if t.is_complex() else float


def _unit_steps(t: Tensor) -> list[np.ndarray]:
    """A step along each element of a tensor; for a complex one then along the imaginary parts."""
    shape, count = tuple(t.shape), t.numel()
    steps: list[np.ndarray] = [np.eye(1, count, i).reshape(shape) for i in range(count)]
    return steps + [1j * s for s in steps] if t.is_complex() else steps


def _unit(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A random array of length one."""
    values = np.asarray(random.standard_normal(shape))
    return values / max(float(np.sqrt((values**2).sum())), 1e-300)


def _mismatch(number: int, i: int, n: Any, a: Any, how: str = "") -> str:
    return f"Jacobian{how} mismatch for output {number} with respect to input {i},\nnumerical:{n}\nanalytical:{a}\n"


def _not_reentrant(context: str, tolerance: float) -> str:
    return (
        f"{context}Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
        f"gives different values, although analytical gradient matches numerical gradient. The tolerance for "
        f"nondeterminism was {tolerance}. If the operation is random by nature, give nondet_tol=<tol>."
    )

"""The registry sweep: every declared primitive, new ones unasked, on samples that its declaration gives.

Value under odd strides, broadcasting, 0-d and empty shapes, every dtype; gradients of both orders against finite
differences; that nothing is kept which no formula needs.
"""

import dis
import inspect
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gradcu
from gradcu.autograd import forward_ad
from gradcu.backends.batched import PASSAGES
from gradcu.graph.op import registry
from gradcu.ops.pointwise import Elementwise
from gradcu.tensor import Tensor, from_array


def differentiable(p):
    """Whether there is a formula for every input (PyTorch does not differentiate Bessel's functions, for one)."""
    formulas = p.vjp.values() if isinstance(p.vjp, dict) else [p.vjp]
    return p.vjp is not None and not any(getattr(f, "raises", False) for f in formulas)


PRIMITIVES = [p for p in registry.values() if p.name not in PASSAGES]
DIFFERENTIABLE = [p for p in PRIMITIVES if differentiable(p)]
POINTWISE = [p for p in PRIMITIVES if isinstance(p, Elementwise)]
HALF = ["float16", "bfloat16"]


def by_name(primitives):
    return pytest.mark.parametrize("p", primitives, ids=lambda p: p.name)


def domains(p):
    """The range of values for each input."""
    one = isinstance(p.domain[0], (int, float))
    return [p.domain] * len(p.inputs) if one else list(p.domain)


def maker(p, dtype="float64", seed=0):
    """`make(*shape)` as declarations use it: a new input with values in the next input's domain."""
    rng = np.random.default_rng((zlib.crc32(p.name.encode()), seed))
    ranges = itertools.cycle(domains(p))
    if isinstance(p, Elementwise) and "f" not in p.kinds:
        return lambda *shape: from_array(rng.integers(1, 9, shape))

    def make(*shape, low=None, high=None):
        a, b = next(ranges)
        values = rng.uniform(a if low is None else low, b if high is None else high, shape)
        return from_array(values.astype(gradcu.dtype.by_name[dtype].numpy))

    return make


def samples(p, dtype="float64"):
    """Argument tuples: the declaration's own, or for pointwise operations shapes that meet every rule."""
    make = maker(p, dtype)
    if p.samples is not None:
        return [tuple(s) for s in p.samples(make)]
    if isinstance(p, Elementwise):
        n = len(p.inputs)
        shapes = [[(2, 3)] * n, [()] * n, [(0, 3)] * n]
        if n > 1:
            shapes += [[(2, 3), (3,)] + [(2, 1)] * (n - 2), [(2, 1), (1, 3)] + [()] * (n - 2)]
        extra = tuple(p._defaults[a] for a in p.attributes)
        return [tuple(make(*s) for s in row) + extra for row in shapes]
    return []


def split(p, sample):
    """A sample as (inputs, attributes)."""
    n = len(p.inputs)
    return list(sample[:n]), tuple(sample[n:])


def floating(t):
    return isinstance(t, Tensor) and t._array.dtype.kind == "f"


def inexact(t):
    return isinstance(t, Tensor) and t._array.dtype.kind in "fc"


def tensors_in(inputs):
    return [t for one in inputs for t in (one if isinstance(one, (list, tuple)) else [one]) if isinstance(t, Tensor)]


def run(p, inputs, attributes):
    """Apply, and give the differentiable results as a list."""
    result = p.record(inputs, attributes)
    several = result if isinstance(result, tuple) else (result,)
    return [several[i] for i in p.differentiable]


def like(inputs, arrays, requires_grad=True):
    """The same structure of inputs with other values."""
    rest = iter(arrays)

    def fresh(t):
        return from_array(np.array(next(rest))).requires_grad_(requires_grad)

    return [
        [fresh(t) for t in one]
        if isinstance(one, (list, tuple)) and one and isinstance(one[0], Tensor)
        else fresh(one)
        if floating(one)
        else one
        for one in inputs
    ]


def structured(inputs, tensors, which=floating):
    """The same structure of inputs with other floating tensors (or others that `which` tells)."""
    rest = iter(tensors)
    return [
        [next(rest) if which(t) else t for t in one]
        if isinstance(one, (list, tuple)) and one and isinstance(one[0], Tensor)
        else next(rest)
        if which(one)
        else one
        for one in inputs
    ]


def differing(p, inputs, which=floating):
    """For each floating tensor among the inputs (or others that `which` tells), whether there is a formula for it."""
    names = p.inputs * (len(inputs[0]) if p.variadic else 1)
    given = zip(names, inputs[0] if p.variadic else inputs, strict=True)
    return [callable(p.vjp) or p.vjp.get(n) is not None for n, t in given if which(t)]


def floats(inputs):
    return [t for t in tensors_in(inputs) if floating(t)]


def objective(p, inputs, attributes, weights):
    """A scalar of the results, the same weights for every call."""
    total = 0.0
    for r, w in zip(run(p, inputs, attributes), weights, strict=True):
        if r._array.dtype.kind == "c":
            total = total + (gradcu.view_as_real(r) * from_array(np.stack([w, w[::-1] if w.ndim else w], -1))).sum()
        elif r._array.dtype.kind == "f":
            total = total + (r * from_array(w)).sum()
    return total


def weights_for(p, inputs, attributes):
    rng = np.random.default_rng(5)
    return [rng.uniform(0.5, 1.5, r.shape) for r in run(p, inputs, attributes)]


LAYOUTS = ["plain", "fortran", "stepped", "reversed"]


def laid_out(array, how):
    if how == "fortran" and array.ndim:  # which NumPy would make 1-d
        return np.asfortranarray(array)
    if how == "stepped" and array.ndim:
        return np.repeat(array, 2, axis=0)[::2]
    if how == "reversed" and array.ndim:
        return np.ascontiguousarray(array[::-1])[::-1]
    return array


def numeric(f, arrays, step=1e-6):
    """The gradient of f at arrays by central differences."""
    grads = []
    for k, a in enumerate(arrays):
        g = np.zeros(a.shape)
        for index in np.ndindex(a.shape):
            ends = []
            for sign in (1, -1):
                moved = [np.array(b) for b in arrays]
                moved[k][index] += sign * step
                ends.append(f(moved))
            g[index] = (ends[0] - ends[1]) / (2 * step)
        grads.append(g)
    return grads


@by_name([p for p in PRIMITIVES if not isinstance(p, Elementwise)])
def test_has_samples(p):
    assert samples(p), f"{p.name}: declare samples=lambda make: [...], so that the sweep can test it"


@by_name(DIFFERENTIABLE)
def test_gradient(p):
    for sample in samples(p):
        inputs, attributes = split(p, sample)
        arrays = [np.array(t._array) for t in floats(inputs)]
        weights = weights_for(p, inputs, attributes)
        leaves = like(inputs, arrays)
        total = objective(p, leaves, attributes, weights)
        if not isinstance(total, Tensor) or not total.requires_grad:
            continue
        grads = gradcu.autograd.grad(total, floats(leaves), retain_graph=True, materialize_grads=True)
        for got, x in zip(
            grads, floats(leaves), strict=True
        ):  # each without the others, whose formulas do not run then
            (alone,) = gradcu.autograd.grad(total, x, retain_graph=True, materialize_grads=True)
            np.testing.assert_allclose(alone.numpy(), got.numpy(), rtol=1e-12, atol=1e-14)

        def value(moved, inputs=inputs, attributes=attributes, weights=weights):
            return objective(p, like(inputs, moved), attributes, weights).item()

        want = numeric(value, arrays)
        for got, wanted in zip(grads, want, strict=True):
            np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-4, atol=2e-6, err_msg=f"{p.name}{attributes}")


@by_name(DIFFERENTIABLE)
def test_second_gradient(p):
    for sample in samples(p):
        inputs, attributes = split(p, sample)
        arrays = [np.array(t._array) for t in floats(inputs)]
        if sum(a.size for a in arrays) > 60:
            continue
        weights = weights_for(p, inputs, attributes)
        rng = np.random.default_rng(9)
        pushes = [rng.uniform(0.5, 1.5, a.shape) for a in arrays]

        def slope(moved, create, inputs=inputs, attributes=attributes, weights=weights, pushes=pushes):
            leaves = like(inputs, moved)
            total = objective(p, leaves, attributes, weights)
            if not isinstance(total, Tensor) or not total.requires_grad:
                return None, leaves
            grads = gradcu.autograd.grad(total, floats(leaves), create_graph=create, materialize_grads=True)
            value = sum(((g * from_array(v)).sum() for g, v in zip(grads, pushes, strict=True)), gradcu.tensor(0.0))
            return value, leaves

        value, leaves = slope(arrays, True)
        if value is None:
            continue
        if value.requires_grad:
            got = gradcu.autograd.grad(value, floats(leaves), materialize_grads=True)
        else:
            got = [gradcu.zeros(a.shape, dtype=gradcu.float64) for a in arrays]
        want = numeric(lambda moved: slope(moved, False)[0].item(), arrays, 1e-5)
        for mine, wanted in zip(got, want, strict=True):
            np.testing.assert_allclose(mine.numpy(), wanted, rtol=1e-3, atol=1e-5, err_msg=f"{p.name}{attributes}")


@by_name(DIFFERENTIABLE)
def test_tangent(p):
    """Forward mode along a random direction, against differences; with a tangent for one input, and for all."""
    rng = np.random.default_rng(3)
    for sample in samples(p):
        inputs, attributes = split(p, sample)
        arrays = [np.array(t._array) for t in floats(inputs)]
        moving = [i for i, has in enumerate(differing(p, inputs)) if has]
        for chosen in {tuple(moving), tuple(moving[:1])} - {()}:
            pushes = [rng.uniform(0.5, 1.5, a.shape) if i in chosen else None for i, a in enumerate(arrays)]
            with forward_ad.dual_level():
                duals = [
                    from_array(a) if v is None else forward_ad.make_dual(from_array(a), from_array(v))
                    for a, v in zip(arrays, pushes, strict=True)
                ]
                outs = run(p, structured(inputs, duals), attributes)
                got = [forward_ad.unpack_dual(out) for out in outs]
            ends = []
            for step in (1e-6, -1e-6):
                moved = [a if v is None else a + step * v for a, v in zip(arrays, pushes, strict=True)]
                ends.append([r.numpy() for r in run(p, like(inputs, moved, False), attributes)])
            for (primal, tangent), high, low in zip(got, *ends, strict=True):
                if primal._array.dtype.kind in "fc":
                    assert tangent is not None, f"{p.name}{attributes} has no tangent"
                    assert tangent.shape == primal.shape
                    assert tangent.dtype is primal.dtype
                    np.testing.assert_allclose(
                        tangent.numpy(), (high - low) / 2e-6, rtol=1e-4, atol=1e-5, err_msg=f"{p.name}{attributes}"
                    )


#: of complex numbers these are other operations, refused by the public function, or no functions (the phases of
#: singular vectors are free)
REAL_ALONE = {"complex", "view_as_complex", "softsign", "cholesky", "svd"}
REAL_ALONE |= {"mse_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}


def points(p, dtype):
    """Samples of an operation as (inputs, attributes, arrays of the inputs to differentiate by, directions)."""
    for number, sample in enumerate(samples(p)):
        inputs, attributes = split(p, sample)
        rng = np.random.default_rng(number)
        arrays = [np.array(t._array) for t in tensors_in(inputs) if inexact(t)]
        if dtype == "complex128":
            arrays = [a + 1j * rng.uniform(-0.5, 0.5, a.shape) for a in arrays]
            try:
                run(p, structured(inputs, map(from_array, arrays), inexact), attributes)
            except (RuntimeError, NotImplementedError, TypeError, ValueError):
                return  # not for complex numbers
        pushes = [
            random_like(rng, a) if has else None for a, has in zip(arrays, differing(p, inputs, inexact), strict=True)
        ]
        if 0 < sum(a.size for a in arrays) <= 60 and any(v is not None for v in pushes):
            yield inputs, attributes, arrays, pushes


def random_like(rng, a):
    real = rng.uniform(0.5, 1.5, a.shape)
    return real + 1j * rng.uniform(0.5, 1.5, a.shape) if a.dtype.kind == "c" else real


def dual(leaves, pushes):
    return [t if v is None else forward_ad.make_dual(t, from_array(v)) for t, v in zip(leaves, pushes, strict=True)]


def leaves_of(arrays):
    return [from_array(np.array(a)).requires_grad_() for a in arrays]


def inner(t, weights):
    """The real inner product of a tensor with an array."""
    product = t * from_array(weights.conj())
    return product.real.sum() if product.is_complex() else product.sum()


def gradients(value, leaves, **options):
    """The gradients as a list, None for leaves that the value does not depend on."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return [None] * len(leaves)
    return list(gradcu.autograd.grad(value, leaves, allow_unused=True, **options))


def agree(got, want, message):
    """Tensors or arrays, None for zeros."""
    for a, b in zip(got, want, strict=True):
        if a is not None or b is not None:
            first, second = (0.0 if t is None else t.detach().numpy() for t in (a, b))
            np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-8, err_msg=message)


def takes_complex(p):
    return p.name not in REAL_ALONE and (not isinstance(p, Elementwise) or "c" in p.kinds)


FORWARD = [(p, "float64") for p in DIFFERENTIABLE] + [(p, "complex128") for p in DIFFERENTIABLE if takes_complex(p)]
by_field = pytest.mark.parametrize(("p", "dtype"), FORWARD, ids=[f"{p.name}-{dtype}" for p, dtype in FORWARD])


@by_field
def test_tangent_by_double_backward(p, dtype):
    """J v of forward mode is the gradient of <J^T u, v> by u."""
    for inputs, attributes, arrays, pushes in points(p, dtype):
        with forward_ad.dual_level():
            outs = run(p, structured(inputs, dual(map(from_array, arrays), pushes), inexact), attributes)
            got = [forward_ad.unpack_dual(o).tangent for o in outs if inexact(o)]
        leaves = leaves_of(arrays)
        outs = [o for o in run(p, structured(inputs, leaves, inexact), attributes) if inexact(o)]
        probes = [gradcu.zeros_like(o, requires_grad=o.requires_grad) for o in outs]
        back = gradcu.autograd.grad(
            [o for o in outs if o.requires_grad],
            leaves,
            [u for u in probes if u.requires_grad],
            create_graph=True,
            allow_unused=True,
        )
        value = sum(inner(g, v) for g, v in zip(back, pushes, strict=True) if g is not None and v is not None)
        want = gradients(value, [u for u in probes if u.requires_grad])
        agree([t for t, u in zip(got, probes, strict=True) if u.requires_grad], want, f"{p.name}{attributes}")


@by_field
def test_second_derivatives_of_all_ways_agree(p, dtype):
    """H v as the gradient of <gradient, v>, the tangent of the gradient, and the gradient of the tangent."""
    for inputs, attributes, arrays, pushes in points(p, dtype):

        def value(tensors, inputs=inputs, attributes=attributes):
            outs = [o for o in run(p, structured(inputs, tensors, inexact), attributes) if inexact(o)]
            rng = np.random.default_rng(1)
            return sum((inner(o, random_like(rng, o._array)) for o in outs), gradcu.tensor(0.0))

        leaves = leaves_of(arrays)
        grads = gradients(value(leaves), leaves, create_graph=True)
        along = sum(inner(g, v) for g, v in zip(grads, pushes, strict=True) if g is not None and v is not None)
        want = gradients(along, leaves)
        with forward_ad.dual_level():
            leaves = leaves_of(arrays)
            total = value(dual(leaves, pushes))
            over_reverse = [
                None if g is None else forward_ad.unpack_dual(g).tangent
                for g in gradients(total, leaves, create_graph=True)
            ]
            over_forward = gradients(forward_ad.unpack_dual(total).tangent, leaves)
        agree(over_reverse, want, f"forward over reverse of {p.name}{attributes}")
        agree(over_forward, want, f"reverse over forward of {p.name}{attributes}")


@by_name(PRIMITIVES)
@settings(max_examples=10)
@given(data=st.data())
def test_layout_does_not_matter(p, data):
    """The same values, however each input lies in memory, and in both precisions."""
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    inputs, attributes = split(p, data.draw(st.sampled_from(samples(p, dtype))))

    def moved(t):
        how = data.draw(st.sampled_from(LAYOUTS))
        return from_array(laid_out(t._array, how)) if isinstance(t, Tensor) else t

    odd = [[moved(t) for t in one] if isinstance(one, (list, tuple)) else moved(one) for one in inputs]
    first, second = p.record(inputs, attributes), p.record(odd, attributes)
    slack = 1e-11 if dtype == "float64" else 1e-4
    for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (first, second)), strict=True):
        assert a.dtype is b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=slack, atol=slack, equal_nan=True)


@by_name(DIFFERENTIABLE)
def test_float32_stays_float32(p):
    for sample in samples(p, "float32"):
        inputs, attributes = split(p, sample)
        if any(isinstance(t, Tensor) and t._array.dtype == np.float64 for t in tensors_in(inputs)):
            continue
        leaves = like(inputs, [t._array for t in floats(inputs)])
        if not floats(leaves):
            continue
        outs = run(p, leaves, attributes)
        for out in outs:
            if out._array.dtype.kind in "fc" and not {"dtype", "target"} & set(p.attributes):
                assert out._array.dtype in (np.float32, np.complex64), p.name
        out = next((o for o in outs if o.requires_grad), None)
        if out is None:
            continue
        grads = gradcu.autograd.grad(out, floats(leaves), gradcu.ones_like(out), allow_unused=True)
        for g, t in zip(grads, floats(leaves), strict=True):
            assert g is None or (g.dtype is gradcu.float32 and g.shape == t.shape), p.name


@by_name([p for p in POINTWISE if differentiable(p)])
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision(p, dtype):
    pytest.importorskip("ml_dtypes")
    if not all(low <= 0.9 <= high for low, high in domains(p)):
        pytest.skip("no number that every half type represents well lies in the domain")
    args = [gradcu.tensor([0.5, 0.75, 0.875], dtype=getattr(gradcu, dtype), requires_grad=True) for _ in p.inputs]
    wide = [a.detach().double() for a in args]
    extra = tuple(p._defaults[a] for a in p.attributes)
    out = p.apply(args, extra)
    assert out.dtype is getattr(gradcu, dtype)
    np.testing.assert_allclose(
        out.detach().double().numpy(), p.apply(wide, extra).numpy(), rtol=2e-2, atol=2e-2, err_msg=p.name
    )
    out.backward(gradcu.ones_like(out))
    assert all(a.grad is None or a.grad.dtype is a.dtype for a in args)


@st.composite
def operands(draw, count):
    """Shapes that broadcast, and for each operand a way to lie in memory."""
    full = draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    made = []
    for _ in range(count):
        keep = draw(st.integers(0, len(full)))
        shape = tuple(1 if draw(st.booleans()) else n for n in full[len(full) - keep :])
        made.append((shape, draw(st.sampled_from(LAYOUTS))))
    return made


@by_name(POINTWISE)
@settings(max_examples=12)
@given(data=st.data())
def test_broadcasting_and_strides_of_pointwise(p, data):
    shapes = data.draw(operands(len(p.inputs)))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    make = maker(p, dtype, 1)
    arrays = [laid_out(make(*shape)._array, how) for shape, how in shapes]
    extra = tuple(p._defaults[a] for a in p.attributes)
    want = np.broadcast_shapes(*(s for s, _ in shapes))
    leaves = [from_array(a).requires_grad_(differentiable(p)) for a in arrays]
    out = p.apply(leaves, extra)
    assert out.shape == want
    whole = p.apply([from_array(np.array(np.broadcast_to(a, want))) for a in arrays], extra)
    np.testing.assert_allclose(out.detach().numpy(), whole.numpy(), rtol=1e-5, atol=1e-6, equal_nan=True)
    if out.requires_grad:
        out.backward(gradcu.ones_like(out))
        assert all(leaf.grad is None or leaf.grad.shape == leaf.shape for leaf in leaves)
        assert all(leaf.grad is None or leaf.grad.dtype is leaf.dtype for leaf in leaves)


def test_formulas_name_only_what_exists():
    """Every `xp.name` of a formula is there in the backend's namespace and among the recorded operations."""
    from gradcu import backends
    from gradcu.graph.recorded import namespace

    for p in DIFFERENTIABLE:
        formulas = p.vjp.values() if isinstance(p.vjp, dict) else [p.vjp]
        for f in formulas:
            steps = [] if f is None else list(dis.get_instructions(inspect.unwrap(f)))
            for before, step in itertools.pairwise(steps):
                if before.argval == "xp" and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                    name = step.argval
                    assert hasattr(backends.host, name), f"{p.name}: the backend has no {name}"
                    assert hasattr(namespace, name), f"{p.name}: {name} is not a recorded operation"

"""Linear algebra, contractions and Fourier transforms: against PyTorch, and what their definitions promise."""

import itertools

import numpy as np
import pytest

import gradcu


def numbers(*shape, dtype="float64", seed=0):
    rng = np.random.default_rng((seed, *shape))
    x = rng.uniform(-1, 1, shape)
    return (x + 1j * rng.uniform(-1, 1, shape) if dtype == "complex128" else x).astype(dtype)


def hermitian(n, dtype):
    """Positive-definite."""
    x = numbers(n, n, dtype=dtype)
    return x @ x.conj().T + n * np.eye(n)


def results(out):
    return [r for r in (out if isinstance(out, tuple) else (out,)) if r.requires_grad]


def both(original, f, *arrays, phase=False):
    """f's results and gradients agree with PyTorch's. phase: compare what does not depend on the vectors' phases."""
    found = []
    for library in (gradcu, original):
        leaves = [library.tensor(a, requires_grad=True) for a in arrays]
        outs = [o.abs() if phase else o for o in results(f(library, *leaves))]
        total = sum(((o * library.tensor(numbers(*o.shape, seed=7))).abs() ** 2).sum() for o in outs)
        found.append(
            (
                [o.detach().resolve_conj().numpy() for o in outs],
                [g.resolve_conj().numpy() for g in library.autograd.grad(total, leaves)],
            )
        )
    for mine, theirs in zip(found[0][0] + found[0][1], found[1][0] + found[1][1], strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-8)


DTYPES = pytest.mark.parametrize("dtype", ["float64", "complex128"])


@DTYPES
@pytest.mark.parametrize(
    "f",
    [
        lambda t, a: t.linalg.cholesky(a),
        lambda t, a: t.linalg.cholesky(a, upper=True),
        lambda t, a: t.cholesky_inverse(t.linalg.cholesky(a)),
        lambda t, a: t.linalg.eigvalsh(a),
        lambda t, a: t.linalg.solve(a, a[:, 0]),
        lambda t, a: t.linalg.lu_factor(a)[0],
        lambda t, a: t.linalg.matrix_exp(a / 9),
        lambda t, a: t.linalg.matrix_power(a, -3),
    ],
)
def test_positive_definite(original, f, dtype):
    both(original, f, hermitian(4, dtype))


@DTYPES
def test_vectors_up_to_phase(original, dtype):
    both(original, lambda t, a: t.linalg.eigh(a), hermitian(4, dtype), phase=True)
    both(original, lambda t, a: t.linalg.eig(a), numbers(4, 4, dtype=dtype) + np.diag(np.arange(4.0)), phase=True)
    for shape in ((4, 3), (3, 4), (2, 3, 3)):
        both(original, lambda t, a: t.linalg.svd(a, full_matrices=False), numbers(*shape, dtype=dtype), phase=True)


@DTYPES
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3)])
def test_factors_multiply_to_the_matrix(shape, dtype):
    x = numbers(*shape, dtype=dtype)
    t = gradcu.tensor(x)
    u, s, vh = gradcu.linalg.svd(t, full_matrices=False)
    q, r = gradcu.linalg.qr(t)
    p, low, up = gradcu.linalg.lu(t)
    for product in ((u * s.unsqueeze(-2)) @ vh, q @ r, p.to(t.dtype) @ low @ up):
        np.testing.assert_allclose(product.numpy(), x, atol=1e-12)


def test_determinant_of_singular_matrices():
    x = numbers(3, 3)
    x[2] = x[0] + x[1]
    leaf = gradcu.tensor(x, requires_grad=True)
    gradcu.linalg.det(leaf).backward()
    minors = [[np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(3)] for i in range(3)]
    signs = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))
    np.testing.assert_allclose(leaf.grad.numpy(), signs * minors, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "shape", "words"),
    [
        (gradcu.linalg.inv, (2, 2), "linalg.inv: The diagonal element 1 is zero"),
        (gradcu.linalg.inv, (3, 2, 2), r"linalg.inv: \(Batch element 0\): The diagonal element 1 is zero"),
        (gradcu.linalg.cholesky, (2, 2), r"\(the leading minor of order 1 is not positive-definite\)"),
        (lambda a: gradcu.linalg.solve(a, a), (2, 2), "The solver failed because the input matrix is singular"),
    ],
)
def test_singular_matrices_are_refused(f, shape, words):
    with pytest.raises(gradcu.linalg.LinAlgError, match=words):
        f(gradcu.zeros(shape))


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ((2, 3), (2, 3), r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 2x3\)"),
        ((3,), (2,), "inconsistent tensor size"),
        ((2, 3), (2,), r"size mismatch, got input \(2\), mat \(2x3\), vec \(2\)"),
        ((2, 3, 4), (3, 4, 5), r"must match the size of tensor b \(3\)"),
        ((), (3,), "need to be at least 1D, but they are 0D and 1D"),
    ],
)
def test_shapes_that_do_not_multiply(a, b, words):
    with pytest.raises(RuntimeError, match=words):
        gradcu.ones(a) @ gradcu.ones(b)


def test_dtypes_that_do_not_multiply():
    with pytest.raises(RuntimeError, match="same dtype, but got: float != double"):
        gradcu.ones(2, 2) @ gradcu.ones(2, 2, dtype=gradcu.float64)
    with pytest.raises(NotImplementedError, match="Bool"):
        gradcu.ones(2, 2, dtype=gradcu.bool) @ gradcu.ones(2, 2, dtype=gradcu.bool)


SHAPES = [(3,), (2, 3), (3, 2), (4, 2, 3), (4, 3, 2), (1, 3, 2), (5, 4, 3, 2)]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(SHAPES, SHAPES)))
def test_matmul_of_all_ranks(original, a, b):
    try:
        original.ones(a) @ original.ones(b)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            gradcu.ones(a) @ gradcu.ones(b)
    else:
        both(original, lambda t, x, y: t.matmul(x, y), numbers(*a), numbers(*b, seed=1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_added_up_in_float32(dtype):
    kind = getattr(gradcu, dtype)
    x = gradcu.full((1, 4096), 0.25, dtype=gradcu.float32).to(kind)
    assert (x @ x.T).item() == 256.0  # an accumulator of eight bits would stop short of it
    assert (x @ x.T).dtype is kind


def test_addmm_of_half_precision_adds_with_one_rounding():
    x, y = (gradcu.tensor([[n]], dtype=gradcu.bfloat16) for n in (55, 3))
    # float32(-4.7) * 55 + 9 = -249.4999971 comes before the tie at -249.5, to which the rounded product would lead
    assert gradcu.addmm(x, y, y, beta=-4.7).item() == -249.0


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bqhd,bkhd->bhqk", [(2, 3, 2, 4), (2, 5, 2, 4)]),
        ("bhqk,bkhd->bqhd", [(2, 2, 3, 5), (2, 5, 2, 4)]),
        ("ii->i", [(3, 3)]),
        ("iji->j", [(3, 2, 3)]),
        ("...ij,...j", [(2, 1, 3, 4), (5, 4)]),
        ("ij,j,jk,k->", [(2, 3), (3,), (3, 4), (4,)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,ij->ij", [(2, 3), (1, 3)]),
        ("ba", [(2, 3)]),
        ("ab,cd->acbd", [(2, 3), (4, 5)]),
        ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 2)]),
    ],
)
def test_einsum(original, equation, shapes):
    both(original, lambda t, *xs: t.einsum(equation, *xs), *(numbers(*s, seed=i) for i, s in enumerate(shapes)))


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 4, 7, 8])
def test_fourier_transforms(original, n, norm):
    real, complex_ = numbers(2, 5), numbers(2, 5, dtype="complex128")
    for name in ("fft", "ifft", "rfft", "ihfft"):
        both(original, lambda t, x, name=name: getattr(t.fft, name)(x, n, norm=norm), real)
    for name in ("fft", "ifft", "irfft", "hfft"):
        both(original, lambda t, x, name=name: getattr(t.fft, name)(x, n, norm=norm), complex_)


def test_results_print_with_their_names():
    text = repr(gradcu.linalg.eigh(gradcu.eye(2)))
    assert text.startswith("gradcu.return_types.linalg_eigh(\neigenvalues=tensor([1., 1.]),\neigenvectors=tensor(")

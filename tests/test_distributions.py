"""Distributions against PyTorch's: densities, entropies, divergences and their gradients; samples by their moments."""

import importlib
import math
from dataclasses import dataclass

import numpy as np
import pytest

import gradcu
from gradcu import distributions


@dataclass
class Case:
    """A distribution by its class and parameters, and values at which to ask for its density."""

    name: str
    make: object  # (D, *parameters) -> distribution
    parameters: tuple
    values: object


P3, LOGITS3 = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], [[0.1, -1.0, 2.0], [0.0, 0.5, -0.5]]
ONE_HOT = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
SIMPLEX = [[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
REAL, POSITIVE, UNIT = [[-1.5, 0.3], [0.0, 2.5]], [[0.3, 2.0], [1.1, 4.5]], [[0.2, 0.9], [0.5, 0.01]]
LOC, SCALE, SHAPE = [0.5, -1.0], [0.7, 2.0], [0.6, 3.5]
COV = [[2.0, 0.3], [0.3, 0.5]]
TRIL = [[1.2, 0.0], [-0.4, 0.6]]

CASES = [
    Case("Normal", lambda D, *p: D.Normal(*p), (LOC, SCALE), REAL),
    Case("LogNormal", lambda D, *p: D.LogNormal(*p), (LOC, SCALE), POSITIVE),
    Case("HalfNormal", lambda D, *p: D.HalfNormal(*p), (SCALE,), POSITIVE),
    Case("Cauchy", lambda D, *p: D.Cauchy(*p), (LOC, SCALE), REAL),
    Case("HalfCauchy", lambda D, *p: D.HalfCauchy(*p), (SCALE,), POSITIVE),
    Case("Uniform", lambda D, *p: D.Uniform(*p), ([-3.0, -4.0], [3.0, 4.0]), REAL),
    Case("Exponential", lambda D, *p: D.Exponential(*p), (SCALE,), POSITIVE),
    Case("Laplace", lambda D, *p: D.Laplace(*p), (LOC, SCALE), REAL),
    Case("Gamma", lambda D, *p: D.Gamma(*p), (SHAPE, SCALE), POSITIVE),
    Case("Chi2", lambda D, *p: D.Chi2(*p), (SHAPE,), POSITIVE),
    Case("InverseGamma", lambda D, *p: D.InverseGamma(*p), ([2.5, 3.5], SCALE), POSITIVE),
    Case("StudentT", lambda D, *p: D.StudentT(*p), ([2.5, 5.0], LOC, SCALE), REAL),
    Case("FisherSnedecor", lambda D, *p: D.FisherSnedecor(*p), ([2.5, 5.0], [6.0, 9.0]), POSITIVE),
    Case("Beta", lambda D, *p: D.Beta(*p), (SHAPE, [1.5, 2.0]), UNIT),
    Case("Kumaraswamy", lambda D, *p: D.Kumaraswamy(*p), ([1.6, 3.5], [1.5, 2.0]), UNIT),
    Case("Dirichlet", lambda D, *p: D.Dirichlet(*p), ([[0.5, 1.5, 3.0], [1.0, 2.0, 0.7]],), SIMPLEX),
    Case("Gumbel", lambda D, *p: D.Gumbel(*p), (LOC, SCALE), REAL),
    Case("Weibull", lambda D, *p: D.Weibull(*p), (SCALE, [1.5, 0.8]), POSITIVE),
    Case("Pareto", lambda D, *p: D.Pareto(*p), ([0.2, 1.0], [2.5, 4.0]), [[0.3, 2.0], [1.1, 4.5]]),
    Case("VonMises", lambda D, *p: D.VonMises(*p), (LOC, SCALE), REAL),
    Case("Bernoulli probs", lambda D, *p: D.Bernoulli(*p), ([0.2, 0.7],), [[1.0, 0.0], [0.0, 1.0]]),
    Case("Bernoulli logits", lambda D, *p: D.Bernoulli(logits=p[0]), (LOC,), [[1.0, 0.0], [0.0, 1.0]]),
    Case("Geometric", lambda D, *p: D.Geometric(*p), ([0.2, 0.7],), [[1.0, 0.0], [5.0, 2.0]]),
    Case("Binomial", lambda D, *p: D.Binomial(5, *p), ([0.2, 0.7],), [[1.0, 0.0], [5.0, 2.0]]),
    Case("NegativeBinomial", lambda D, *p: D.NegativeBinomial(*p), ([3.0, 2.5], [0.2, 0.7]), [[1.0, 0.0], [5.0, 2.0]]),
    Case("Poisson", lambda D, *p: D.Poisson(*p), (SHAPE,), [[1.0, 0.0], [5.0, 2.0]]),
    Case("Categorical probs", lambda D, *p: D.Categorical(*p), (P3,), [[1, 0], [2, 1]]),
    Case("Categorical logits", lambda D, *p: D.Categorical(logits=p[0]), (LOGITS3,), [[1, 0], [2, 1]]),
    Case("OneHotCategorical", lambda D, *p: D.OneHotCategorical(*p), (P3,), ONE_HOT),
    Case("Multinomial", lambda D, *p: D.Multinomial(4, *p), (P3,), [[4.0, 0.0, 0.0], [1.0, 2.0, 1.0]]),
    Case("MVN covariance", lambda D, *p: D.MultivariateNormal(*p), (LOC, COV), REAL),
    Case("MVN precision", lambda D, *p: D.MultivariateNormal(p[0], precision_matrix=p[1]), (LOC, COV), REAL),
    Case("MVN scale_tril", lambda D, *p: D.MultivariateNormal(p[0], scale_tril=p[1]), ([LOC, LOC], TRIL), REAL),
    Case("RelaxedBernoulli", lambda D, *p: D.RelaxedBernoulli(*p), (0.7, [0.2, 0.7]), UNIT),
    Case("RelaxedOneHot", lambda D, *p: D.RelaxedOneHotCategorical(*p), (0.7, P3), SIMPLEX),
    Case("Independent", lambda D, *p: D.Independent(D.Normal(*p), 1), (LOC, SCALE), REAL),
    Case(
        "MixtureSameFamily",
        lambda D, *p: D.MixtureSameFamily(D.Categorical(logits=p[0]), D.Normal(p[1], p[2])),
        ([0.1, -0.4], LOC, SCALE),
        [-0.5, 0.3, 2.0],
    ),
    Case(
        "mixture of vectors",
        lambda D, *p: D.MixtureSameFamily(D.Categorical(p[0]), D.Independent(D.Normal(p[1], p[2]), 1)),
        ([0.2, 0.8], [[0.0, 1.0], [2.0, 3.0]], [[1.0, 0.5], [0.3, 1.0]]),
        REAL,
    ),
    Case(
        "logistic",
        lambda D, *p: D.TransformedDistribution(D.Uniform(0.0, 1.0), [D.SigmoidTransform().inv, D.AffineTransform(*p)]),
        (LOC, SCALE),
        REAL,
    ),
    Case(
        "falling",
        lambda D, *p: D.TransformedDistribution(D.Normal(*p), [D.AffineTransform(1.0, -2.0), D.ExpTransform()]),
        (LOC, SCALE),
        POSITIVE,
    ),
    Case(
        "stick breaking",
        lambda D, *p: D.TransformedDistribution(D.Normal(*p), D.StickBreakingTransform()),
        (LOC, SCALE),
        SIMPLEX,
    ),
]
BY_NAME = {case.name: case for case in CASES}
KL = [
    ("Normal", "Normal"), ("LogNormal", "LogNormal"), ("HalfNormal", "HalfNormal"), ("Cauchy", "Cauchy"),
    ("Uniform", "Uniform"), ("Exponential", "Exponential"), ("Laplace", "Laplace"), ("Gamma", "Gamma"),
    ("Beta", "Beta"), ("Dirichlet", "Dirichlet"), ("Gumbel", "Gumbel"), ("Pareto", "Pareto"), ("Poisson", "Poisson"),
    ("Bernoulli probs", "Bernoulli logits"), ("Geometric", "Geometric"), ("Binomial", "Binomial"),
    ("Categorical probs", "Categorical logits"), ("OneHotCategorical", "OneHotCategorical"),
    ("MVN covariance", "MVN precision"), ("Independent", "Independent"), ("Chi2", "Gamma"), ("Uniform", "Normal"),
    ("Exponential", "Gamma"), ("Exponential", "Normal"), ("Gamma", "Exponential"), ("Gamma", "Normal"),
    ("Laplace", "Normal"), ("Normal", "Laplace"), ("Beta", "Uniform"), ("Bernoulli probs", "Poisson"),
]  # fmt: skip


def build(torch, case, shift=0.0):
    """The distribution in float64, and its parameters, which require grad."""
    parameters = [torch.tensor(p, dtype=torch.float64) for p in case.parameters]
    parameters = [(p * (1 + shift)).requires_grad_() for p in parameters]
    return case.make(importlib.import_module(f"{torch.__name__}.distributions"), *parameters), parameters


def values_of(torch, case):
    values = torch.tensor(case.values)
    return values.double() if values.dtype is torch.float32 else values


def value_and_gradients(torch, result, parameters):
    """Result and gradients as NumPy arrays; None for no gradient."""
    gradients = [None] * len(parameters)
    if result.requires_grad:
        weights = torch.linspace(1, 2, result.numel(), dtype=result.dtype).reshape(result.shape)
        gradients = torch.autograd.grad((result * weights).sum(), parameters, allow_unused=True)
    return [None if t is None else t.detach().numpy() for t in (result, *gradients)]


def same(ours, theirs, rtol=1e-7):
    for a, b in zip(ours, theirs, strict=True):
        if a is None or b is None:  # one may give zeros where the other gives nothing
            assert not np.any(b if a is None else a)
        else:
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-9)
            assert a.shape == b.shape


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
@pytest.mark.parametrize("question", ["log_prob", "entropy", "mean", "variance", "stddev", "mode", "cdf", "icdf"])
def test_answers_and_gradients(original, case, question):
    outcomes = []
    for torch in (original, gradcu):
        distribution, parameters = build(torch, case)
        try:
            found = getattr(distribution, question)
            if question in ("log_prob", "cdf"):
                found = found(values_of(torch, case))
            elif question == "icdf":
                found = found(torch.tensor([[0.3, 0.6], [0.9, 0.05]], dtype=torch.float64))
            elif callable(found):
                found = found()
        except NotImplementedError:
            if torch is original:
                pytest.skip("PyTorch has no answer")
            raise
        if question == "cdf" and case.name in ("Gamma", "Chi2", "InverseGamma"):
            found, parameters = found.detach(), []  # the derivative by the shape is not implemented
        outcomes.append(value_and_gradients(torch, found, parameters))
    rtol = 1e-6 if case.name == "VonMises" else 1e-7  # PyTorch's Bessel and digamma functions are approximate
    same(outcomes[1], outcomes[0], rtol)


@pytest.mark.parametrize("pair", KL, ids=" ".join)
def test_divergences_and_gradients(original, pair):
    outcomes = []
    for torch in (original, gradcu):
        p, ours = build(torch, BY_NAME[pair[0]])
        q, theirs = build(torch, BY_NAME[pair[1]], 0.25)
        kl = importlib.import_module(f"{torch.__name__}.distributions").kl_divergence(p, q)
        outcomes.append(value_and_gradients(torch, kl, [*ours, *theirs]))
    same(outcomes[1], outcomes[0])


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_shapes_text_and_expand(original, case):
    seen = []
    for torch in (original, gradcu):
        d, _ = build(torch, case)
        wide = d.expand((3, *d.batch_shape))
        samples = wide.sample((5,))
        seen.append(
            [
                repr(d), tuple(d.batch_shape), tuple(d.event_shape), repr(d.support), d.has_rsample,
                d.has_enumerate_support, tuple(wide.batch_shape), type(wide).__name__, tuple(samples.shape),
                str(samples.dtype), tuple(wide.log_prob(samples).shape), samples.requires_grad,
            ]
        )  # fmt: skip
    text = [str(part).replace("gradcu", "torch") for part in seen[1]]
    assert text == [str(part) for part in seen[0]]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_samples_have_the_moments_and_lie_in_the_support(case):
    gradcu.manual_seed(0)
    d, _ = build(gradcu, case)
    x = d.sample((20_000,))
    assert d.support.check(x).all()
    try:
        mean, variance = d.mean.detach().numpy(), d.variance.detach().numpy()
    except NotImplementedError:
        # the density is that of the samples: entropies by the two agree
        return
    if case.name == "VonMises":  # its variance is circular
        x = x.numpy()
        np.testing.assert_allclose(1 - np.cos(x - mean).mean(0), variance, atol=0.03)
        return
    if case.name.startswith("Categorical") or not np.isfinite([mean, variance]).all():
        return
    error = np.sqrt(variance / 20_000) + 1e-12
    assert (np.abs(x.numpy().mean(0) - mean) < 5 * error).all()
    if case.name not in ("Pareto", "InverseGamma", "StudentT", "FisherSnedecor", "LogNormal"):  # of heavy tails
        np.testing.assert_allclose(x.numpy().var(0), variance, rtol=0.15)


def test_categorical_samples_have_the_frequencies():
    gradcu.manual_seed(0)
    x = distributions.Categorical(gradcu.tensor(P3)).sample((20_000,)).numpy()
    counts = np.stack([np.bincount(column, minlength=3) for column in x.T]) / 20_000
    np.testing.assert_allclose(counts, P3, atol=0.02)


REPARAMETERISED = ["Normal", "LogNormal", "HalfNormal", "Uniform", "Exponential", "Laplace", "Gamma", "Chi2", "Beta",
                   "Dirichlet", "Gumbel", "Weibull", "StudentT", "Kumaraswamy", "MVN scale_tril"]  # fmt: skip


@pytest.mark.parametrize("name", REPARAMETERISED)
def test_gradients_of_samples_are_those_of_their_expectation(name):
    """d/dp E[x], by the samples' own gradients and by the mean's."""
    gradcu.manual_seed(1)
    d, parameters = build(gradcu, BY_NAME[name])
    mean = d.mean
    weights = gradcu.linspace(1, 2, mean.numel(), dtype=gradcu.float64).reshape(mean.shape)
    expected = gradcu.autograd.grad((mean * weights).sum(), parameters, allow_unused=True) if mean.requires_grad else ()
    batches = []
    for _ in range(20):
        d, parameters = build(gradcu, BY_NAME[name])
        x = d.rsample((1_000,))
        grads = gradcu.autograd.grad((x * weights).sum() / 1_000, parameters)
        batches.append([g.numpy() for g in grads])
    for i, p in enumerate(parameters):
        found = np.stack([b[i] for b in batches])
        want = expected[i].numpy() if i < len(expected) and expected[i] is not None else np.zeros(p.shape)
        error = found.std(0) / math.sqrt(len(found)) + 1e-9
        assert (np.abs(found.mean(0) - want) < 6 * error).all(), (found.mean(0), want, error)


@pytest.mark.parametrize("a", [1e-3, 0.1, 0.5, 1.0, 3.0, 50.0, 2_000.0])
def test_implicit_gradient_of_gamma_samples(original, a):
    from gradcu.backends import host
    from gradcu.distributions.gamma_sample import log_slope

    z = np.maximum(np.random.default_rng(0).standard_gamma(np.full(200, a)), 1e-300)
    ours = log_slope(host, np.full(200, a), np.log(z)) * z
    alpha, sample = original.full((200,), a, dtype=original.float64), original.from_numpy(z)
    np.testing.assert_allclose(ours, original._standard_gamma_grad(alpha, sample), rtol=1e-3)  # theirs is rational


def test_implicit_gradient_against_the_quantile_function():
    special = pytest.importorskip("scipy.special")
    from gradcu.backends import host
    from gradcu.distributions.gamma_sample import log_slope

    for a in (0.05, 0.7, 4.0, 300.0):
        p = np.linspace(0.02, 0.98, 20)
        z, h = special.gammaincinv(a, p), 1e-5 * a
        slope = (special.gammaincinv(a + h, p) - special.gammaincinv(a - h, p)) / (2 * h)
        np.testing.assert_allclose(log_slope(host, np.full(20, a), np.log(z)) * z, slope, rtol=1e-5)


@pytest.mark.parametrize("a", [1.0, 1.5, 20.0])
def test_gamma_variates_by_rejection_are_gamma_variates(a):
    stats = pytest.importorskip("scipy.stats")
    from gradcu.distributions.gamma_sample import _standard_gamma

    z = _standard_gamma(np, np.random.default_rng(0), np.full(5_000, a))
    assert stats.kstest(z, stats.gamma(a).cdf).pvalue > 0.01


def test_gradient_of_gamma_samples_cannot_be_differentiated(torch):
    a = torch.tensor([2.0], requires_grad=True)
    sample = importlib.import_module(f"{torch.__name__}.distributions").Gamma(a, 1.0).rsample()
    (g,) = torch.autograd.grad(sample.sum(), a, create_graph=True)
    with pytest.raises(RuntimeError):
        (g * g).sum().backward()


def test_dirichlet_of_tiny_concentrations_does_not_underflow():
    gradcu.manual_seed(0)
    x = distributions.Dirichlet(gradcu.full((3,), 1e-4)).sample((1_000,))
    assert x.isfinite().all()
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(x.mean(0), 1 / 3, atol=0.06)


REFUSED = {
    "negative scale": lambda D, t: D.Normal(0.0, -1.0),
    "no simplex": lambda D, t: D.Categorical(probs=t.tensor([-1.0, 2.0])),
    "neither": lambda D, t: D.Categorical(),
    "both": lambda D, t: D.Bernoulli(0.3, 0.4),
    "half": lambda D, t: D.Bernoulli(0.3).log_prob(t.tensor(0.5)),
    "number": lambda D, t: D.Normal(0.0, 1.0).log_prob(3),
    "outside": lambda D, t: D.Beta(1.0, 1.0).log_prob(t.tensor(2.0)),
    "event": lambda D, t: D.Dirichlet(t.ones(3)).log_prob(t.ones(2)),
    "batch": lambda D, t: D.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)),
    "0-d": lambda D, t: D.Dirichlet(t.tensor(1.0)),
    "0-d probs": lambda D, t: D.Categorical(t.tensor(1.0)),
    "empty interval": lambda D, t: D.Uniform(1.0, 0.0),
    "matrices": lambda D, t: D.MultivariateNormal(t.zeros(2)),
    "not positive": lambda D, t: D.MultivariateNormal(t.zeros(2), -t.eye(2)),
    "independent": lambda D, t: D.Independent(D.Normal(0.0, 1.0), 1),
    "counts": lambda D, t: D.Binomial(t.tensor([2.0, 3.0]), 0.5).enumerate_support(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_pytorchs_words(refused_alike, name):
    refused_alike(lambda t: REFUSED[name](importlib.import_module(f"{t.__name__}.distributions"), t))


def test_validation_can_be_switched_off(torch):
    D = importlib.import_module(f"{torch.__name__}.distributions")
    assert D.Normal(0.0, -1.0, validate_args=False).scale == -1
    D.Distribution.set_default_validate_args(False)
    try:
        assert D.Bernoulli(3.0).probs == 3
    finally:
        D.Distribution.set_default_validate_args(True)


def test_enumerated_supports(original):
    for make in (
        lambda D, t: D.Bernoulli(t.tensor([0.1, 0.2])),
        lambda D, t: D.Binomial(3, t.tensor([0.1, 0.2])),
        lambda D, t: D.Categorical(t.ones(2, 3)),
        lambda D, t: D.OneHotCategorical(t.ones(2, 3)),
    ):
        for expand in (True, False):
            ours, theirs = (
                make(importlib.import_module(f"{t.__name__}.distributions"), t).enumerate_support(expand)
                for t in (gradcu, original)
            )
            np.testing.assert_array_equal(ours, theirs)


CONSTRAINTS = {
    "real": REAL, "positive": REAL, "nonnegative": REAL, "unit_interval": REAL, "boolean": REAL,
    "nonnegative_integer": REAL, "positive_integer": REAL, "real_vector": REAL, "simplex": SIMPLEX + ONE_HOT,
    "one_hot": SIMPLEX + ONE_HOT, "lower_triangular": [COV, TRIL], "lower_cholesky": [COV, TRIL],
    "symmetric": [COV, TRIL], "positive_definite": [COV, [[1.0, 2.0], [2.0, 1.0]]],
    "positive_semidefinite": [COV, [[1.0, 2.0], [2.0, 1.0]]], "square": [COV, TRIL],
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(original, name):
    found = []
    for torch in (gradcu, original):
        constraint = getattr(importlib.import_module(f"{torch.__name__}.distributions").constraints, name)
        held = constraint.check(torch.tensor(CONSTRAINTS[name]))
        found.append((held.tolist(), repr(constraint), constraint.event_dim, constraint.is_discrete))
    assert found[0] == found[1]


TRANSFORMS = {
    "exp": (lambda D, t: D.ExpTransform(), REAL),
    "power": (lambda D, t: D.PowerTransform(t.tensor(-1.5)), POSITIVE),
    "sigmoid": (lambda D, t: D.SigmoidTransform(), REAL),
    "softplus": (lambda D, t: D.SoftplusTransform(), REAL),
    "tanh": (lambda D, t: D.TanhTransform(), REAL),
    "affine": (lambda D, t: D.AffineTransform(t.tensor([1.0, 2.0]), t.tensor([-3.0, 0.5])), REAL),
    "affine of vectors": (lambda D, t: D.AffineTransform(1.0, -2.0, event_dim=1), REAL),
    "stick breaking": (lambda D, t: D.StickBreakingTransform(), REAL),
    "inverse": (lambda D, t: D.ExpTransform().inv, POSITIVE),
    "composed": (lambda D, t: D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.StickBreakingTransform()]), REAL),
    "independent": (lambda D, t: D.IndependentTransform(D.ExpTransform(), 1), REAL),
    "reshaped": (lambda D, t: D.ReshapeTransform((2,), (2, 1)), REAL),
    "cdf": (lambda D, t: D.CumulativeDistributionTransform(D.Normal(0.5, 2.0)), REAL),
    "of a simplex": (lambda D, t: D.biject_to(D.constraints.simplex), REAL),
    "of an interval": (lambda D, t: D.transform_to(D.constraints.interval(-1.0, 3.0)), REAL),
    "of numbers above": (lambda D, t: D.biject_to(D.constraints.greater_than(2.0)), REAL),
    "of numbers below": (lambda D, t: D.biject_to(D.constraints.less_than(2.0)), REAL),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(original, name):
    make, values = TRANSFORMS[name]
    found = []
    for torch in (gradcu, original):
        transform = make(importlib.import_module(f"{torch.__name__}.distributions"), torch)
        x = torch.tensor(values)
        y = transform(x)
        found.append([t.numpy() for t in (y, transform.inv(y), transform.log_abs_det_jacobian(x, y))])
        assert transform.domain.check(x).all()
        assert transform.codomain.check(y).all()
        assert tuple(transform.forward_shape(x.shape)) == tuple(y.shape)
        assert tuple(transform.inverse_shape(y.shape)) == tuple(x.shape)
        assert transform == transform.inv.inv
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-5)


def test_a_cached_transform_gives_back_what_it_was_given(torch):
    D = importlib.import_module(f"{torch.__name__}.distributions")
    transform, x = D.TanhTransform(cache_size=1), torch.tensor([20.0])
    assert transform.inv(transform(x)) is x
    assert torch.isinf(D.TanhTransform().inv(torch.tanh(x)))


def test_divergence_of_ones_own_classes(torch):
    D = importlib.import_module(f"{torch.__name__}.distributions")

    class Mine(D.Normal):
        pass

    @D.register_kl(Mine, D.Normal)
    def _mine(p, q):
        return "mine"

    assert D.kl_divergence(Mine(0.0, 1.0), D.Normal(0.0, 1.0)) == "mine"
    assert D.kl_divergence(D.Normal(0.0, 1.0), Mine(0.0, 1.0)) == 0
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.3))


def test_straight_through_samples_have_the_gradient_of_probs(torch):
    D = importlib.import_module(f"{torch.__name__}.distributions")
    probs = torch.tensor([0.2, 0.3, 0.5], requires_grad=True)
    x = D.OneHotCategoricalStraightThrough(probs).rsample()
    assert torch.isclose(x.sum(), torch.tensor(1.0))
    x[0].backward()
    assert torch.allclose(probs.grad, torch.tensor([0.8, -0.2, -0.2]))


def test_probs_made_without_grad_still_lead_to_logits(torch):
    D = importlib.import_module(f"{torch.__name__}.distributions")
    logits = torch.tensor([0.3], requires_grad=True)
    d = D.Bernoulli(logits=logits)
    d.sample()
    d.mean.sum().backward()
    assert logits.grad is not None

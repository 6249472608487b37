"""`vmap`: every operation on many examples at once against one example at a time, and how it composes."""

import re

import numpy as np
import pytest

import gradcu
from gradcu.ops.batch import batch
from gradcu.tensor import Tensor, from_array
from tests.test_ops import DIFFERENTIABLE, PRIMITIVES, by_name, samples, split


def examples(t):
    """Three tensors like one: of other values where any do."""
    a = t._array
    return from_array(np.stack([a, a * 0.9, a * 0.8] if a.dtype.kind in "fc" else [a, a, a]))


def several(result):
    return result if isinstance(result, tuple) else (result,)


def cases(p):
    """By sample: the examples, and the function of one; all inputs having examples, and each alone."""
    for sample in samples(p):
        inputs, attributes = split(p, sample)
        flat = list(inputs[0] if p.variadic else inputs)
        places = [i for i, t in enumerate(flat) if isinstance(t, Tensor)]
        for which in [places] + [[i] for i in places if len(places) > 1]:

            def one(*tensors, which=which, flat=flat, attributes=attributes):
                given = [tensors[which.index(i)] if i in which else t for i, t in enumerate(flat)]
                return several(p.record([given] if p.variadic else given, attributes))

            if which:
                yield one, [examples(flat[i]) for i in which]


def in_turn(function, stacked):
    """The function of each example, stacked; None where the shape of a result depends on values."""
    rows = [function(*(t[i].clone() for t in stacked)) for i in range(3)]
    if any(len({r.shape for r in column}) > 1 for column in zip(*rows, strict=True)):
        return None
    return [np.stack([r._array for r in column]) for column in zip(*rows, strict=True)]


def agree(function, stacked):
    wanted = in_turn(function, stacked)
    if wanted is not None:
        for got, want in zip(gradcu.func.vmap(function)(*stacked), wanted, strict=True):
            assert got._array.dtype == want.dtype
            np.testing.assert_allclose(got._array, want, rtol=1e-8, atol=1e-8)


@by_name(PRIMITIVES)
def test_values(p):
    for one, stacked in cases(p):
        agree(one, stacked)


@by_name(DIFFERENTIABLE)
def test_gradients_of_each_example(p):
    for one, stacked in cases(p):
        places = [i for i, t in enumerate(stacked) if t._array.dtype.kind == "f"]
        if not places:
            continue

        def gradients(*tensors, one=one, places=places):
            leaves = [t.detach().requires_grad_() if i in places else t for i, t in enumerate(tensors)]
            results = [r.abs() if r.is_complex() else r for r in one(*leaves) if r.requires_grad]
            wanted = [leaves[i] for i in places]
            return gradcu.autograd.grad([r.sum() for r in results], wanted, materialize_grads=True) if results else ()

        agree(gradients, stacked)


@by_name(DIFFERENTIABLE)
def test_many_gradients_in_one_walk(p):
    for sample in samples(p):
        inputs, attributes = split(p, sample)
        flat = inputs[0] if p.variadic else inputs
        leaves = [
            t.detach().requires_grad_() if isinstance(t, Tensor) and t._array.dtype.kind == "f" else t for t in flat
        ]
        result = several(p.record([leaves] if p.variadic else leaves, attributes))
        outputs = [r for r in result if r.requires_grad]
        wanted = [t for t in leaves if isinstance(t, Tensor) and t.requires_grad]
        if not outputs or not wanted:
            continue
        rows = [examples(gradcu.ones_like(r)) for r in outputs]
        options = {"retain_graph": True, "materialize_grads": True}
        got = gradcu.autograd.grad(outputs, wanted, rows, is_grads_batched=True, **options)
        for i in range(3):
            want = gradcu.autograd.grad(outputs, wanted, [r[i] for r in rows], **options)
            for g, w in zip(got, want, strict=True):
                np.testing.assert_allclose(g[i]._array, w._array, rtol=1e-8, atol=1e-8)


def test_gradient_of_what_all_examples_share(torch):
    x, w = torch.arange(6.0).reshape(3, 2), torch.tensor([0.5, -1.0], requires_grad=True)
    torch.func.vmap(lambda one: (one * w).sum().sin())(x).sum().backward()
    expected = ((x * w.detach()).sum(1).cos()[:, None] * x).sum(0)
    assert torch.allclose(w.grad, expected)


def test_per_sample_gradients(torch):
    x, w = torch.arange(6.0).reshape(3, 2), torch.ones(2, 4)

    def loss(w, one):
        return (one @ w).tanh().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(w, x)
    assert found.shape == (3, 2, 4)
    for i in range(3):
        assert torch.allclose(found[i], torch.func.grad(loss)(w, x[i]))


def test_values_cannot_be_looked_at(torch):
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        torch.func.vmap(lambda x: x if x.sum() > 0 else -x)(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"\.item\(\)"):
        torch.func.vmap(lambda x: x * x.sum().item())(torch.ones(2, 3))


def test_a_change_in_place_of_the_batch_reaches_the_tensor(torch):
    x = torch.zeros(3, 2)
    torch.func.vmap(lambda one: one.add_(1))(x)
    assert x.tolist() == [[1.0, 1.0]] * 3


def test_what_is_shared_cannot_take_the_values_of_each(torch):
    shared = torch.zeros(2)
    with pytest.raises(RuntimeError, match=r"vmap|doesn't match the broadcast shape"):
        torch.func.vmap(lambda one: shared.add_(one))(torch.ones(3, 2))


def test_results_that_were_saved_cannot_be_changed_unnoticed(torch):
    x = torch.ones(3, requires_grad=True)
    y = torch.func.vmap(lambda one: one.exp())(x)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_random_numbers(torch):
    x = torch.zeros(4)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        torch.func.vmap(lambda one: one + torch.rand(()))(x)
    same = torch.func.vmap(lambda one: one + torch.rand(()), randomness="same")(x)
    assert len(set(same.tolist())) == 1
    different = torch.func.vmap(lambda one: one + torch.rand(()), randomness="different")(x)
    assert len(set(different.tolist())) == 4
    dropped = torch.func.vmap(torch.nn.functional.dropout, randomness="different")(torch.ones(8, 16))
    assert len({tuple(row) for row in dropped.tolist()}) > 1


def test_within_one_another(torch):
    x, y = torch.arange(3.0), torch.arange(4.0)
    table = torch.func.vmap(torch.func.vmap(lambda a, b: a * b + b, (None, 0)), (0, None))(x, y)
    assert torch.equal(table, x[:, None] * y + y)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_in_chunks(torch, size):
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(torch.func.vmap(lambda one: one * 2, chunk_size=size)(x), x * 2)


def test_batching_leaves_nothing_behind(collector_off):
    import weakref

    x = gradcu.ones(3, requires_grad=True)
    with gradcu.backends.batched.Level(3, "error") as level:
        inner = batch.record((x,), (level, 0))
        seen = weakref.ref(inner)
        del inner
    assert seen() is None
    assert not gradcu.backends.batched.running.levels


class Cube(gradcu.autograd.Function):
    @staticmethod
    def forward(x, y):
        return x**3 * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * 3 * x**2 * y, g * x**3


class Generated(Cube):
    generate_vmap_rule = True


class Written(Cube):
    @staticmethod
    def vmap(info, in_dims, x, y):
        Written.told = (info.batch_size, info.randomness, in_dims)
        return Cube.apply(x, y), 0


@pytest.mark.parametrize("function", [Generated, Written])
def test_functions_of_ones_own(function):
    x, y = gradcu.arange(6.0).reshape(3, 2), gradcu.tensor([2.0, 3.0])

    def loss(x, y):
        return function.apply(x, y).sum()

    dx, dy = gradcu.vmap(gradcu.func.grad(loss, (0, 1)), (0, None))(x, y)
    assert gradcu.equal(dx, 3 * x**2 * y)
    assert gradcu.equal(dy, x**3)
    both = gradcu.func.grad(lambda x, y: gradcu.vmap(loss, (0, None))(x, y).sum(), (0, 1))(x, y)
    assert gradcu.equal(both[1], (x**3).sum(0))


def test_what_a_function_of_ones_own_is_told():
    gradcu.vmap(Written.apply, (0, None), randomness="same")(gradcu.ones(3, 2), gradcu.ones(2))
    assert Written.told == (3, "same", (0, None))


def test_a_function_without_a_rule_says_what_to_do():
    with pytest.raises(RuntimeError, match="generate_vmap_rule=True"):
        gradcu.vmap(Cube.apply)(gradcu.ones(3, 2), gradcu.ones(3, 2))
    with pytest.raises(RuntimeError, match="both generate_vmap_rule=True and an overridden"):
        gradcu.vmap(type("Both", (Written,), {"generate_vmap_rule": True}).apply)(gradcu.ones(3), gradcu.ones(3))


@pytest.mark.parametrize(
    "draw",
    [
        "rand(2)", "randn(2)", "randint(0, 99, (4,))", "randperm(9)", "rand_like(x)", "randn_like(x)",
        "bernoulli(x.sigmoid())", "multinomial(x.sigmoid(), 2)", "normal(x, 1.0)", "poisson(x.exp() * 9)",
        "empty_like(x).uniform_()", "empty_like(x).normal_()", "zeros_like(x).exponential_()",
        "nn.functional.dropout(x)", "nn.functional.gumbel_softmax(x, -1)",
    ],
)  # fmt: skip
def test_random_operations(torch, draw):
    def draws(x):
        return eval(f"torch.{draw}", {"torch": torch, "x": x})

    x = (torch.arange(16.0) / 8 - 1).repeat(6, 1)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        torch.func.vmap(draws)(x)
    different = torch.func.vmap(draws, randomness="different")(x)
    assert len({tuple(row) for row in different.tolist()}) > 1


def test_an_ensemble(torch):
    models = [torch.nn.Linear(2, 3) for _ in range(4)]
    params, buffers = torch.func.stack_module_state(models)
    x = torch.arange(4.0).reshape(2, 2)
    found = torch.func.vmap(
        lambda p, b: torch.func.functional_call(models[0], (p, b), (x,)),
    )(params, buffers)
    assert torch.allclose(found, torch.stack([m(x) for m in models]))


def test_batch_norm_needs_its_running_statistics_dropped(torch):
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    x = torch.arange(12.0).reshape(2, 3, 2)
    with pytest.raises(RuntimeError, match="running_mean or running_var"):
        torch.func.vmap(model)(x)
    torch.func.replace_all_batch_norm_modules_(model)
    assert torch.allclose(torch.func.vmap(model)(x), torch.stack([model(one) for one in x]))


def test_printing(torch):
    shown = []
    torch.func.vmap(lambda x: shown.append(repr(x)) or x)(torch.tensor([1.0, 2.0]))
    assert re.fullmatch(r"BatchedTensor\(lvl=\d+, bdim=0, value=\n    tensor\(\[1., 2.\]\)\n\)", shown[0])


AT_ONCE = """convolution convolution_input convolution_weight take_class put_class cross_entropy gather scatter
    scatter_add index_select index_add getitem_indexed put_indexed take_rows sorted topk max_at cummax
    softmax layer_normal batch_normal group_normal solve solve_triangular cholesky_solve det inv cholesky qr
    svd eigh fft_c2c fft_r2c diagonal_view trace triangle clone tile windows constant_pad""".split()


@by_name([p for p in PRIMITIVES if p.name in AT_ONCE])
def test_all_examples_at_once(p, monkeypatch):
    """No example is computed by itself in what people use most."""
    from gradcu.backends.batched import namespace

    def refuse(function, kind, size, *args):
        assert size is None, "example by example"
        return each(function, kind, size, *args)

    each = namespace.each
    monkeypatch.setattr(namespace, "each", refuse)
    for one, stacked in cases(p):
        gradcu.vmap(one)(*stacked)

"""Optimizers take PyTorch's steps, keep PyTorch's state and refuse what PyTorch refuses."""

import copy

import numpy as np
import pytest

import gradcu
from gradcu import nn, optim

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((12, 3)), np.sign(RNG.standard_normal((12, 2)))
WEIGHT, BIAS = 0.5 * RNG.standard_normal((3, 2)), 0.5 * RNG.standard_normal(2)

CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.5}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "betas": (0.5, 0.6), "eps": 1e-3, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.01, "betas": (0.8, 0.6), "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "t0": 3, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "eps": (1e-3, 1e-2), "d": 2.0, "beta2_decay": -0.5, "weight_decay": 0.1}),
]


def names(case):
    return "-".join([case[0], *(str(k) for k in case[1])])


def leaves(lib):
    return [lib.tensor(WEIGHT.copy(), requires_grad=True), lib.tensor(BIAS.copy(), requires_grad=True)]


def loss_of(lib, params):
    weight, bias = params
    margin = lib.tensor(Y) * (lib.tensor(X) @ weight + bias)
    return ((-margin).exp() + 1.0).log().sum() / 24 + 0.05 * (weight * weight).sum()


def steps(lib, optimizer, params, count):
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(lib, params).backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in params]


@pytest.mark.parametrize("case", CASES, ids=names)
def test_twenty_steps_equal_pytorchs(original, case):
    name, settings = case
    found, expected = [
        steps(lib, getattr(lib.optim, name)(params, **settings), params, 20)
        for lib, params in ((lib, leaves(lib)) for lib in (gradcu, original))
    ]
    for mine, theirs in zip(found, expected):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lr": 0.1},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "lr": 9.0},
    ],
    ids=str,
)
def test_lbfgs_takes_pytorchs_steps(original, settings):
    found = []
    for lib in (gradcu, original):
        params = leaves(lib)
        optimizer = lib.optim.LBFGS(params, max_iter=4, **settings)

        def closure():
            optimizer.zero_grad()  # noqa: B023
            loss = loss_of(lib, params)  # noqa: B023
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(3)]
        state = optimizer.state_dict()["state"][0]
        found.append((losses, params[0].detach().numpy(), state["n_iter"], state["func_evals"], set(state)))
    (mine, values, *counts), (theirs, expected, *others) = found
    np.testing.assert_allclose(mine, theirs, rtol=1e-8)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert counts == others


@pytest.mark.parametrize("settings", [{}, {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}], ids=str)
@pytest.mark.parametrize("shape", [(3, 2), (2, 5)], ids=str)
def test_muon_takes_pytorchs_steps(original, settings, shape):
    start, found = np.random.default_rng(0).standard_normal(shape), []
    for lib in (gradcu, original):
        p = lib.tensor(start.copy(), requires_grad=True)
        optimizer = lib.optim.Muon([p], **settings)
        for _ in range(3):
            optimizer.zero_grad()
            (p.exp() * p).sum().backward()
            optimizer.step()
        found.append(p.detach().numpy())
    np.testing.assert_allclose(*found, atol=2e-3 * settings.get("lr", 1e-3) * 3)  # bfloat16 inside
    with pytest.raises(ValueError, match="only supports 2D parameters"):
        gradcu.optim.Muon([gradcu.zeros(3, requires_grad=True)])


@pytest.mark.parametrize("case", CASES, ids=names)
def test_state_dict_has_pytorchs_layout(original, case):
    name, settings = case
    mine, theirs = [], []
    for lib, states in ((gradcu, mine), (original, theirs)):
        params = leaves(lib)
        optimizer = getattr(lib.optim, name)(params, **settings)
        steps(lib, optimizer, params, 3)
        states.append(optimizer.state_dict())
    (mine,), (theirs,) = mine, theirs
    assert mine["param_groups"] == theirs["param_groups"]
    assert mine["state"].keys() == theirs["state"].keys()
    for key, state in theirs["state"].items():
        assert list(mine["state"][key]) == list(state)
        for what, value in state.items():
            got = mine["state"][key][what]
            assert str(got.dtype).split(".")[1] == str(value.dtype).split(".")[1]
            np.testing.assert_allclose(got.numpy(), value.numpy(), rtol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=names)
def test_resuming_from_a_state_dict_goes_on_as_without_a_break(case):
    name, settings = case
    params = leaves(gradcu)
    first = getattr(optim, name)(params, **settings)
    steps(gradcu, first, params, 5)
    state = copy.deepcopy(first.state_dict())
    others = [p.detach().clone().requires_grad_() for p in params]
    second = getattr(optim, name)(others, lr=7.0)
    second.load_state_dict(state)
    for mine, theirs in zip(steps(gradcu, first, params, 5), steps(gradcu, second, others, 5)):
        np.testing.assert_array_equal(mine, theirs)


def test_many_elements_are_stepped_as_few_are():
    values = RNG.standard_normal(200_001).astype("f4")
    gradient = RNG.standard_normal(200_001).astype("f4")
    for name in ("SGD", "Adam"):
        whole = gradcu.tensor(values, requires_grad=True)
        part = gradcu.tensor(values[-5:], requires_grad=True)
        for p, g in ((whole, gradient), (part, gradient[-5:])):
            p.grad = gradcu.tensor(g)
            getattr(optim, name)([p], lr=0.1, weight_decay=0.1).step()
        np.testing.assert_array_equal(whole.detach().numpy()[-5:], part.detach().numpy())


def test_transposed_and_complex_parameters(original):
    matrix = RNG.standard_normal((4, 3))
    points = RNG.standard_normal(3) + 1j * RNG.standard_normal(3)
    results = []
    for lib in (gradcu, original):
        transposed = lib.tensor(matrix).t().requires_grad_()
        complex_ = lib.tensor(points, requires_grad=True)
        optimizer = lib.optim.Adam([transposed, complex_], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            ((transposed * transposed).sum() + (complex_.abs() ** 2).sum()).backward()
            optimizer.step()
        results.append(
            [transposed.detach().numpy(), complex_.detach().numpy(), optimizer.state[complex_]["exp_avg"].shape]
        )
    for mine, theirs in zip(*results):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7)


def test_groups_have_settings_of_their_own(torch):
    a, b, c = (torch.tensor([1.0], requires_grad=True) for _ in range(3))
    optimizer = torch.optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [c], "lr": 0.0})
    for p in (a, b, c):
        p.grad = torch.ones(1)
    optimizer.step()
    assert [round(p.item(), 6) for p in (a, b, c)] == [0.9, 0.5, 1.0]


def test_parameters_without_gradients_stay(torch):
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    a.grad = torch.ones(2)
    optimizer = torch.optim.Adam([a, b])
    optimizer.step()
    assert b.tolist() == [1, 1]
    assert b not in optimizer.state


def test_a_step_is_seen_by_the_version_check():
    p = gradcu.ones(2, requires_grad=True)
    y = (p * p).sum()
    p.grad = gradcu.ones(2)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*SGD\.step"):
        y.backward()


def test_closure_is_called_with_gradients_on(torch):
    p = torch.tensor([2.0], requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 4
    assert p.item() == 1


def test_hooks_run_around_the_step(torch):
    p = torch.tensor([1.0], requires_grad=True)
    p.grad = torch.ones(1)
    optimizer, seen = torch.optim.SGD([p], lr=1.0), []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.step()
    before.remove()
    optimizer.step()
    assert seen == [1, 0, -1]


def test_zero_grad_sets_to_none_or_zero(torch):
    p = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([p], lr=1.0)
    p.grad = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_prints_as_in_pytorch(original, name):
    assert repr(getattr(optim, name)(leaves(gradcu))) == repr(getattr(original.optim, name)(leaves(original)))


MISTAKES = {
    "a tensor": lambda lib: lib.optim.SGD(lib.ones(2, requires_grad=True)),
    "nothing": lambda lib: lib.optim.SGD([]),
    "numbers": lambda lib: lib.optim.SGD([1]),
    "a set": lambda lib: lib.optim.SGD([{"params": {1}}]),
    "a result": lambda lib: lib.optim.SGD([lib.ones(2, requires_grad=True) * 2]),
    "negative lr": lambda lib: lib.optim.SGD(leaves(lib), lr=-1),
    "negative momentum": lambda lib: lib.optim.SGD(leaves(lib), momentum=-1),
    "nesterov alone": lambda lib: lib.optim.SGD(leaves(lib), nesterov=True),
    "beta": lambda lib: lib.optim.Adam(leaves(lib), betas=(1.0, 0.9)),
    "eps": lambda lib: lib.optim.Adam(leaves(lib), eps=-1),
    "decay": lambda lib: lib.optim.AdamW(leaves(lib), weight_decay=-1),
    "twice": lambda lib: lib.optim.SGD([{"params": (p := leaves(lib))}, {"params": p}]),
    "fused and foreach": lambda lib: lib.optim.Adam(leaves(lib), fused=True, foreach=True),
    "fused and differentiable": lambda lib: lib.optim.SGD(leaves(lib), fused=True, differentiable=True),
    "rates": lambda lib: lib.optim.Adam(leaves(lib), lr=lib.tensor([0.1, 0.2])),
    "other groups": lambda lib: lib.optim.SGD(leaves(lib)).load_state_dict({"state": {}, "param_groups": []}),
    "other sizes": lambda lib: lib.optim.SGD(leaves(lib)).load_state_dict(
        {"state": {}, "param_groups": [{"params": []}]}
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(MISTAKES[mistake])


def test_steps_that_would_have_to_be_recorded_are_refused():
    p = gradcu.ones(2, requires_grad=True) * 2
    with pytest.raises(NotImplementedError, match="differentiable=True: steps are not recorded"):
        optim.SGD([p], differentiable=True)


def test_training_lowers_the_loss():
    gradcu.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    x, y = gradcu.tensor(X, dtype=gradcu.float32), gradcu.tensor(Y[:, :1], dtype=gradcu.float32)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4

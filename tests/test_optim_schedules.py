"""Schedules of learning rates, averages of models, and the hooks of optimizers, as PyTorch has them."""

import copy
import functools
import importlib
import warnings

import numpy as np
import pytest

import gradcu

SCHEDULES = [
    ("LambdaLR", {"lr_lambda": [lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 - 0.01 * epoch}),
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 2, 7], "gamma": 0.5}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 3}),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 4}),
    ("ExponentialLR", {"gamma": 0.8}),
    ("PolynomialLR", {"total_iters": 7, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [0.5, 1.0], "step_size_up": 3, "step_size_down": 2}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9}),
    (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "scale_fn": lambda x: 1 / x, "scale_mode": "cycle"},
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "epochs": 4, "steps_per_epoch": 5, "three_phase": True}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20, "anneal_strategy": "linear", "cycle_momentum": False}),
]


def names(case):
    return "-".join([case[0], *(str(k) for k in case[1])])


def optimizer_of(lib, name="SGD", **settings):
    a, b = (lib.ones(2, dtype=lib.float64, requires_grad=True) for _ in range(2))
    if name == "SGD":
        settings = {"momentum": 0.9, **settings}
    return getattr(lib.optim, name)([{"params": [a]}, {"params": [b], "lr": 0.2}], lr=0.1, **settings)


def schedules(lib):
    return importlib.import_module(f"{lib.__name__}.optim.lr_scheduler")


def settings_of(optimizer):
    kept = ("lr", "momentum", "betas", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
    return [np.hstack([group[key] for key in kept if key in group]) for group in optimizer.param_groups]


def run(optimizer, schedule, count):
    found = [(*settings_of(optimizer), schedule.get_last_lr())]
    for _ in range(count):
        optimizer.step()
        schedule.step()
        found.append((*settings_of(optimizer), schedule.get_last_lr()))
    return found


def alike(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        for got, want in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("case", SCHEDULES, ids=names)
def test_schedules_set_what_pytorchs_set(original, case, name):
    found = []
    for lib in (gradcu, original):
        optimizer = optimizer_of(lib, name)
        found.append(run(optimizer, getattr(schedules(lib), case[0])(optimizer, **case[1]), 18))
    alike(*found)


@pytest.mark.parametrize("case", SCHEDULES, ids=names)
def test_schedules_resume_from_pytorchs_state(original, case):
    theirs, mine = optimizer_of(original), optimizer_of(gradcu)
    name, settings = case
    there = getattr(original.optim.lr_scheduler, name)(theirs, **settings)
    run(theirs, there, 4)
    here = getattr(gradcu.optim.lr_scheduler, name)(mine, **settings)
    state = copy.deepcopy(there.state_dict())
    public = [{k for k in d if k[0] != "_" and "momentums" not in k} for d in (here.state_dict(), state)]
    assert public[0] == public[1]
    here.load_state_dict(state)
    mine.load_state_dict(copy.deepcopy(theirs.state_dict()))
    alike(run(mine, here, 10), run(theirs, there, 10))


@pytest.mark.parametrize("case", [c for c in SCHEDULES if c[0] not in ("CyclicLR", "OneCycleLR")], ids=names)
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_schedules_go_to_an_epoch(original, case):
    if case[0] == "MultiplicativeLR":
        return  # which has no closed form
    found = []
    for lib in (gradcu, original):
        optimizer = optimizer_of(lib)
        schedule = getattr(schedules(lib), case[0])(optimizer, **case[1])
        optimizer.step()
        found.append([])
        for epoch in (5, 2, 9):
            schedule.step(epoch)
            found[-1].append((*settings_of(optimizer), schedule.get_last_lr()))
    alike(*found)


def warm_up_then(lib, optimizer, *rest):
    s = schedules(lib)
    return s.SequentialLR(optimizer, [s.LinearLR(optimizer, 0.1, total_iters=4), *rest], milestones=[4, 9][: len(rest)])


COMBINED = {
    "warm-up, cosine": lambda lib, o: warm_up_then(lib, o, schedules(lib).CosineAnnealingLR(o, 8)),
    "three": lambda lib, o: warm_up_then(
        lib, o, schedules(lib).ExponentialLR(o, 0.9), schedules(lib).StepLR(o, 2, gamma=0.5)
    ),
    "chained": lambda lib, o: schedules(lib).ChainedScheduler(
        [schedules(lib).ConstantLR(o, 0.1, 4), schedules(lib).ExponentialLR(o, 0.9)]
    ),
    "nested": lambda lib, o: schedules(lib).SequentialLR(
        o,
        [warm_up_then(lib, o, schedules(lib).ConstantLR(o, 0.5, 3)), schedules(lib).PolynomialLR(o, 9)],
        milestones=[6],
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call:UserWarning")  # the nested ones step when they are made
@pytest.mark.parametrize("name", COMBINED)
def test_combined_schedules_set_what_pytorchs_set(original, name):
    found = []
    for lib in (gradcu, original):
        optimizer = optimizer_of(lib)
        found.append(run(optimizer, COMBINED[name](lib, optimizer), 16))
    alike(*found)


@pytest.mark.filterwarnings("ignore:Detected call:UserWarning")  # the nested ones step when they are made
@pytest.mark.parametrize("name", COMBINED)
def test_combined_schedules_resume(name):
    first, second = optimizer_of(gradcu), optimizer_of(gradcu)
    a, b = COMBINED[name](gradcu, first), COMBINED[name](gradcu, second)
    run(first, a, 5)
    b.load_state_dict(copy.deepcopy(a.state_dict()))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    alike(run(second, b, 8), run(first, a, 8))


@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 1},
        {"mode": "max", "patience": 0, "cooldown": 2, "factor": 0.5},
        {"threshold_mode": "abs", "threshold": 0.5, "patience": 0, "min_lr": [0.01, 0.1]},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 1},
    ],
    ids=str,
)
def test_plateaus_are_found_where_pytorch_finds_them(original, settings):
    metrics = [1.0, 0.9, 0.9, 0.8999, 0.5, 0.6, 0.55, -1.0, -1.0001, -1.2, -1.0, 0.0, 0.0, 2.0, 2.0, 1.0]
    found = []
    for lib in (gradcu, original):
        optimizer = optimizer_of(lib)
        schedule = schedules(lib).ReduceLROnPlateau(optimizer, **settings)
        found.append([])
        for metric in metrics:
            schedule.step(lib.tensor(metric))
            found[-1].append((schedule.get_last_lr(), [schedule.num_bad_epochs, schedule.best]))
        other = schedules(lib).ReduceLROnPlateau(optimizer)
        other.load_state_dict(schedule.state_dict())
        assert (other.best, other.mode, other.patience) == (schedule.best, schedule.mode, schedule.patience)
    alike(*found)


def test_rates_that_are_tensors_are_changed_in_place(torch):
    p, rate = torch.ones(1, requires_grad=True), torch.tensor(0.5)
    optimizer = torch.optim.SGD([p], lr=rate)
    schedule = schedules(torch).ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert rate.item() == 0.25
    assert optimizer.param_groups[0]["initial_lr"].item() == 0.5


def test_the_wrong_order_of_steps_is_warned_of(torch):
    schedule = schedules(torch).StepLR(optimizer_of(torch), 2)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        schedule.step()
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        schedule.get_lr()
    with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
        schedule.step(3)


def test_a_step_that_was_replaced_is_warned_of(torch):
    optimizer = optimizer_of(torch)
    schedule = schedules(torch).StepLR(optimizer, 2)
    step = optimizer.step
    optimizer.step = lambda: step()
    optimizer.step()
    with pytest.warns(UserWarning, match=r"`optimizer.step\(\)` has been overridden after"):
        schedule.step()


def test_a_step_that_was_wrapped_is_not_warned_of(torch):
    optimizer = optimizer_of(torch)
    schedule = schedules(torch).StepLR(optimizer, 2)
    optimizer.step = functools.wraps(optimizer.step)(lambda step=optimizer.step: step())
    optimizer.step()
    schedule.step()


def test_own_schedules_define_get_lr(torch):
    class Halving(schedules(torch).LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(torch)
    schedule = Halving(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == [0.05, 0.1]


MISTAKES = {
    "no optimizer": lambda s, o: s.StepLR(3, 2),
    "no initial rate": lambda s, o: s.StepLR(o, 2, last_epoch=3),
    "functions": lambda s, o: s.LambdaLR(o, [abs]),
    "no function": lambda s, o: s.MultiplicativeLR(o, 3),
    "constant": lambda s, o: s.ConstantLR(o, 2.0),
    "linear start": lambda s, o: s.LinearLR(o, 0.0),
    "linear end": lambda s, o: s.LinearLR(o, 0.5, 2.0),
    "cycle": lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0),
    "minimum": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, eta_min="a"),
    "epoch": lambda s, o: s.CosineAnnealingWarmRestarts(o, 1).step(-1),
    "rates": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
    "no steps": lambda s, o: s.OneCycleLR(o, 1.0),
    "steps": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=0),
    "epochs": lambda s, o: s.OneCycleLR(o, 1.0, epochs=1.5, steps_per_epoch=2),
    "part": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=3, pct_start=2.0),
    "strategy": lambda s, o: s.OneCycleLR(o, 1.0, total_steps=3, anneal_strategy="square"),
    "too many steps": lambda s, o: run(o, s.OneCycleLR(o, 1.0, total_steps=3), 5),
    "none in a row": lambda s, o: s.SequentialLR(o, [], []),
    "none chained": lambda s, o: s.ChainedScheduler([]),
    "milestones": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2)], [2]),
    "plateau in a row": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "no schedule": lambda s, o: s.ChainedScheduler([3], o),
    "factor": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, mode="most"),
    "threshold mode": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="most"),
    "least rates": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_in_pytorchs_words(refused_alike, mistake):
    refused_alike(lambda lib: MISTAKES[mistake](schedules(lib), optimizer_of(lib)))


def test_cycling_needs_an_optimizer_with_momentum(refused_alike):
    refused_alike(lambda lib: schedules(lib).CyclicLR(optimizer_of(lib, "Adagrad"), 0.1, 0.2))


# --- averages of models ---


def swa(lib):
    return importlib.import_module(f"{lib.__name__}.optim.swa_utils")


AVERAGES = {
    "mean": lambda s: {},
    "ema": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.9)},
    "ema of each": lambda s: {"avg_fn": s.get_ema_avg_fn(0.9), "use_buffers": True},
    "own": lambda s: {"avg_fn": lambda averaged, current, count: averaged * 0.5 + current * 0.5},
    "swa": lambda s: {"multi_avg_fn": s.get_swa_multi_avg_fn()},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averages_of_models_are_pytorchs(original, name):
    values, found = np.random.default_rng(0).standard_normal((4, 2, 3)), []
    for lib in (gradcu, original):
        model = lib.nn.Sequential(lib.nn.Linear(3, 2, bias=False), lib.nn.BatchNorm1d(2)).double()
        averaged = swa(lib).AveragedModel(model, **AVERAGES[name](swa(lib)))
        for value in values:
            with lib.no_grad():
                model[0].weight.copy_(lib.tensor(value))
                model[1].running_mean.copy_(lib.tensor(value[:, 0]))
            averaged.update_parameters(model)
        found.append({key: t.numpy() for key, t in averaged.state_dict().items()})
    assert list(found[0]) == list(found[1])
    for key in found[0]:
        np.testing.assert_allclose(found[0][key], found[1][key], rtol=1e-6)  # its multi_avg_fn divides in float32


def test_an_averaged_model_computes_as_its_module(torch):
    model = torch.nn.Linear(2, 1)
    averaged = swa(torch).AveragedModel(model)
    assert averaged.module is not model
    assert averaged(torch.ones(1, 2)).item() == model(torch.ones(1, 2)).item()
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa(torch).AveragedModel(model, avg_fn=abs, multi_avg_fn=abs)
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        swa(torch).get_ema_avg_fn(2)


def test_statistics_of_batches_are_computed_anew(original):
    data, found = np.random.default_rng(1).standard_normal((3, 5, 2)), []
    for lib in (gradcu, original):
        model = lib.nn.Sequential(lib.nn.BatchNorm1d(2)).double().eval()
        swa(lib).update_bn([(lib.tensor(batch), 0) for batch in data], model)
        assert not model.training
        assert model[0].momentum == 0.1
        found.append([t.numpy() for t in model.buffers()])
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    "settings", [{}, {"anneal_strategy": "linear", "anneal_epochs": 3}, {"anneal_epochs": 0}], ids=str
)
def test_rates_anneal_to_those_of_averaging(original, settings):
    found = []
    for lib in (gradcu, original):
        optimizer = optimizer_of(lib)
        found.append(run(optimizer, swa(lib).SWALR(optimizer, swa_lr=[0.05, 0.5], **settings), 12))
    alike(*found)


# --- hooks of optimizers ---


def test_hooks_around_state_dicts(torch):
    optimizer, seen = optimizer_of(torch), []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("second"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: {k: v for k, v in state.items() if k != "more"})
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert seen == ["first", "second", "loaded"]
    assert "more" in state


def test_hooks_of_all_optimizers(torch):
    optimizer, seen = optimizer_of(torch), []
    module = importlib.import_module(f"{torch.__name__}.optim.optimizer")
    handles = [
        module.register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("before all")),
        module.register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("after all")),
    ]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after"))
    optimizer.step()
    for handle in handles:
        handle.remove()
    assert seen == ["before all", "before", "after", "after all"]


def test_a_hook_before_the_step_returns_arguments_or_nothing(torch):
    optimizer = optimizer_of(torch)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3"):
        optimizer.step()


def test_parameters_may_have_names(torch):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.named_parameters())
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    optimizer.add_param_group({"params": [("more", torch.ones(1, requires_grad=True))]})
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [torch.ones(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="Some param names are missing"):
        torch.optim.SGD([("a", torch.ones(1, requires_grad=True)), torch.ones(1, requires_grad=True)])

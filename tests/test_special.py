"""gradcu's own special functions against SciPy's, over their whole domain."""

import math

import numpy as np
import pytest

import gradcu

special = pytest.importorskip("scipy.special")

RNG = np.random.default_rng(0)
EDGES = [0.0, -0.0, 1e-300, 1e-10, 1.0, -1.0, 2.0, -2.0, np.inf, -np.inf, np.nan]
REALS = np.concatenate([RNG.normal(size=20000) * 3, EDGES])
POSITIVE = np.concatenate([RNG.uniform(0.01, 60, 20000), 10.0 ** np.arange(-10, 10)])


@pytest.mark.parametrize(
    ("name", "reference", "values", "rtol"),
    [
        ("erf", special.erf, REALS, 2e-15),
        ("erfc", special.erfc, np.append(REALS, np.linspace(3, 26, 500)), 1e-13),
        ("erfcx", special.erfcx, REALS, 5e-15),
        ("log_ndtr", special.log_ndtr, REALS, 1e-13),
        ("erfinv", special.erfinv, np.append(np.linspace(-1, 1, 4001), [1 - 1e-15, 1e-20, 2.0]), 5e-15),
        ("gammaln", special.gammaln, np.append(POSITIVE, [0.0, -1.0, -2.5, np.inf]), 1e-12),
        ("digamma", special.digamma, np.append(POSITIVE, [0.0, -0.0, -1.0, -2.5]), 1e-11),
    ],
)
def test_agrees_with_scipy(name, reference, values, rtol):
    got = getattr(gradcu.special, name)(gradcu.tensor(values)).numpy()
    np.testing.assert_allclose(got, reference(values), rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_polygamma_and_zeta_agree_with_scipy(order):
    values = RNG.uniform(0.1, 30, 500)
    x = gradcu.tensor(values)
    np.testing.assert_allclose(gradcu.polygamma(order, x).numpy(), special.polygamma(order, values), rtol=1e-12)
    np.testing.assert_allclose(
        gradcu.special.zeta(order + 1.0, x).numpy(), special.zeta(order + 1.0, values), rtol=1e-12
    )


def test_erf_of_float32_is_good_to_a_few_units_in_the_last_place():
    values = np.linspace(-6, 6, 100001, dtype=np.float32)
    got = gradcu.erf(gradcu.tensor(values)).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, special.erf(values.astype(np.float64)), rtol=8e-7, atol=0)


def test_without_scipy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.special", None)
    with pytest.raises(ModuleNotFoundError, match=r"gradcu\[special\]"):
        gradcu.special.i1(gradcu.tensor([1.0]))
    assert gradcu.erf(gradcu.tensor(0.0)).item() == 0.0


@pytest.mark.parametrize("name", ["xlogy", "xlog1py"])
def test_xlogy_has_a_slope_where_the_factor_is_zero(torch, name):
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)
    getattr(torch.special, name)(x, y).sum().backward()
    shift = name == "xlog1py"
    assert x.grad.tolist() == pytest.approx([math.log(2 + shift), 0, math.log(0.5 + shift)])

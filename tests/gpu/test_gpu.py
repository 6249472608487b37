"""The registry sweep on a real device: `pytest -m gpu tests/gpu`. Without one it fails, saying what is missing."""

import pytest

import gradcu
from tests.cuda.test_sweep import both_precisions, check_gradient, check_value
from tests.test_ops import DIFFERENTIABLE, PRIMITIVES, by_name

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device():
    gradcu.cuda.init()
    return "cuda"


@by_name(PRIMITIVES)
@both_precisions
def test_value(p, dtype, device):
    check_value(p, dtype, device)


@by_name(DIFFERENTIABLE)
@both_precisions
def test_gradient(p, dtype, device):
    check_gradient(p, dtype, device)

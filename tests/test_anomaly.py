"""detect_anomaly: the forward line at fault is shown, NaN is found."""

import warnings

import pytest

pytestmark = pytest.mark.filterwarnings(
    "ignore:Anomaly Detection has been enabled", "ignore:invalid value:RuntimeWarning"
)


def line_at_fault(x):
    return x.sqrt()  # its backward divides by zero


def test_nan_names_the_function(torch):
    x = torch.zeros(1, requires_grad=True)
    with (
        torch.autograd.detect_anomaly(),
        pytest.warns(
            UserWarning, match="(?s)Error detected in SqrtBackward0. Traceback of forward call.*line_at_fault"
        ),
        pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"),
    ):
        (line_at_fault(x) * 0).sum().backward()


def test_without_the_forward_pass(torch):
    x = torch.zeros(1, requires_grad=True)
    y = (x.sqrt() * 0).sum()
    with (
        torch.autograd.detect_anomaly(),
        pytest.warns(UserWarning, match="No forward pass information available"),
        pytest.raises(RuntimeError, match="nan values"),
    ):
        y.backward()


def test_nan_may_be_let_pass(torch):
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0).sum().backward()
    assert x.grad.isnan().all()


def test_errors_in_backward(torch):
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ValueError("in backward")

    x = torch.ones(1, requires_grad=True)
    with (
        torch.autograd.detect_anomaly(),
        pytest.warns(UserWarning, match="(?s)Error detected in FailsBackward.*Fails.apply"),
        pytest.raises(ValueError, match="in backward"),
    ):
        Fails.apply(x).sum().backward()


def test_second_order_shows_both_passes(torch):
    x = torch.zeros(1, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autograd.detect_anomaly():
            (g,) = torch.autograd.grad((x**1.5).sum(), x, create_graph=True)
            zero = (g * 0).sum()
            with pytest.raises(RuntimeError, match="nan values"):
                zero.backward()
    texts = [str(w.message) for w in caught]
    assert any("Error detected in" in t for t in texts)
    assert any("Previous calculation was induced by PowBackward0" in t for t in texts)


def test_switches(torch):
    assert not torch.is_anomaly_enabled()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        assert torch.is_anomaly_enabled()
        assert not torch.is_anomaly_check_nan_enabled()
        with torch.autograd.set_detect_anomaly(False):
            assert not torch.is_anomaly_enabled()
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(True)
    assert torch.is_anomaly_enabled()
    torch.autograd.set_detect_anomaly(False)
    assert not torch.is_anomaly_enabled()


def test_says_that_it_is_slow(torch):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.autograd.detect_anomaly()
    assert "should only be enabled for debugging" in str(caught[0].message)


def test_where_nodes_were_made(torch):
    x = torch.ones(1, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        y = line_at_fault(x)
    assert "line_at_fault" in y.grad_fn.metadata["traceback_"][-1]
    assert "traceback_" not in line_at_fault(x).grad_fn.metadata

"""Fixtures: most tests state a fact of the original and run on gradcu and, where it is installed, on PyTorch itself."""

import importlib
import importlib.util
import sys

import pytest
from hypothesis import settings

# The same examples in every run: a failure is always one's own change.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture(params=["gradcu", pytest.param("torch", marks=pytest.mark.skipif(not HAS_TORCH, reason="no PyTorch"))])
def torch(request):
    """The library under test: the same facts must hold for both."""
    return importlib.import_module(request.param)


@pytest.fixture
def original():
    """PyTorch, to compare with."""
    return pytest.importorskip("torch")


@pytest.fixture
def refused_alike(original):
    """Asserts that `call(library)` is refused by both libraries: the same class of error, in the same words."""

    def check(call):
        with pytest.raises(Exception) as theirs:
            call(original)
        with pytest.raises(type(theirs.value)) as ours:
            call(importlib.import_module("gradcu"))
        assert str(ours.value).replace("gradcu", "torch") == str(theirs.value)

    return check


@pytest.fixture
def collector_off():
    """The cyclic collector switched off, with nothing left for it to do."""
    import gc

    gc.collect()
    gc.disable()
    yield
    gc.enable()


def pytest_ignore_collect(collection_path, config):
    """tests/cuda puts a host-backed CuPy into its process: it runs alone, as `pytest tests/cuda`."""
    if collection_path.name == "cuda" and not any("cuda" in argument for argument in config.args):
        return True
    return None


def pytest_report_header():
    return f"PyTorch to compare with: {'yes' if HAS_TORCH else 'not installed'}; Python {sys.version.split()[0]}"

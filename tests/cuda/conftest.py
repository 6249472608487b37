"""The fixtures that give a test CuPy on the host, and NVRTC; the test is skipped where they are not installed."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.cuda import hostcupy, nvrtc


@pytest.fixture(scope="session")
def cupy() -> ModuleType:
    """Real CuPy over host memory, from `hostcupy.install()`."""
    if (reason := hostcupy.missing()) is not None:
        pytest.skip(reason)
    if "cupy" in sys.modules and not hostcupy.installed():
        pytest.skip("this process has imported cupy for a real device already: run tests/cuda by itself")
    hostcupy.install()
    import cupy

    return cupy


@pytest.fixture(scope="session")
def compiler() -> ModuleType:
    """`tests.cuda.nvrtc`, where NVRTC is installed."""
    if hostcupy.missing() is None and "cupy" not in sys.modules:
        hostcupy.install()  # NVRTC needs it not, but tests that do may follow in this process
    if (reason := nvrtc.missing()) is not None:
        pytest.skip(reason)
    return nvrtc


@pytest.fixture
def orders(request: pytest.FixtureRequest, cupy: ModuleType) -> Iterator[None]:
    """Runs the threads of kernels in an order that depends on the test's dtype.

    A kernel is one template for all of them, so that it passes under every order with no test more.
    """
    dtypes = ["float32", "float64", "float16", "bfloat16"]
    dtype = request.node.callspec.params.get("dtype") if hasattr(request.node, "callspec") else None
    with hostcupy.schedule(dtypes.index(dtype) if dtype in dtypes else 2):
        yield

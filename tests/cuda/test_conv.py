"""Convolutions by columns and cuBLAS against the formulas on the CPU, in double precision."""

import pytest

from gradcu import backends
from gradcu.backends.gpu import conv
from gradcu.ops.conv import _forward, _input_adjoint, _weight_adjoint
from tests.cuda.test_lines import close, every_dtype, some

host = backends.host
#: input, weight, stride, padding, dilation, groups
CASES = [
    ((3, 2, 9), (4, 2, 3), (2,), ((1, 0),), (1,), 1),
    ((2, 4, 6, 5), (6, 2, 2, 3), (1, 2), ((1, 1), (0, 2)), (2, 1), 2),
    ((2, 3, 5, 5), (3, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    ((3, 3, 4, 4), (2, 3, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), (1, 1, 1), ((0, 1), (1, 0), (0, 0)), (1, 1, 1), 1),
]


@pytest.fixture
def xp(cupy):
    return backends.cuda()


@pytest.fixture(params=[None, 1], ids=["whole", "parts"])
def parts(request, monkeypatch):
    """Whether the batch is cut into single samples."""
    if request.param is not None:
        monkeypatch.setattr(conv, "COLUMNS", request.param)


@every_dtype
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolution_and_its_adjoints(xp, parts, dtype, case):
    x_shape, w_shape, *settings = case
    (x, x64), (w, w64), (b, b64) = some(dtype, *x_shape), some(dtype, *w_shape), some(dtype, w_shape[0])
    want = _forward(host, x64, w64, b64, *settings)
    on = [xp.asarray(a) for a in (x, w, b)]
    close(conv.forward(xp, *on, *settings), want, dtype, 30)
    close(conv.forward(xp, *on[:2], None, *settings), _forward(host, x64, w64, None, *settings), dtype, 30)
    y, y64 = some(dtype, *want.shape)
    got = conv.input_adjoint(xp, xp.asarray(y), on[1], x_shape[2:], *settings)
    close(got, _input_adjoint(host, y64, w64, x_shape[2:], *settings), dtype, 60)
    got = conv.weight_adjoint(xp, on[0], xp.asarray(y), w_shape[2:], *settings)
    close(got, _weight_adjoint(host, x64, y64, w_shape[2:], *settings), dtype, 120)


def test_what_is_left_to_the_formula(xp):
    x, w = xp.ones((1, 1, 4)), xp.ones((1, 1, 2), dtype="f4")
    settings = (1,), ((0, 0),), (1,), 1
    assert conv.forward(xp, x, w, None, *settings) is None
    assert conv.forward(xp, x.astype("i4"), w, None, *settings) is None

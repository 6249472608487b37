"""Products of matrices and vectors, alone and added to a tensor: the primitives that `linalg` makes public."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

from .. import backends
from ..graph.op import Primitive
from .shape import unbroadcast


def fold(xp: Any, x: Any) -> Any:
    """The leading dimensions made into one; a vector is a row."""
    return x if x.ndim == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _matmul_x(xp: Any, g: Any, y: Any, x_shape: tuple) -> Any:
    if y.ndim == 2:
        return xp.matmul(g, y.mT)
    return unbroadcast(xp, xp.matmul(g, y.mT), x_shape)


def _matmul_y(xp: Any, g: Any, x: Any, y_shape: tuple) -> Any:
    if len(y_shape) == 2 and x.ndim > 2:  # one product of two matrices, in place of a batch of them and a sum
        x, g = fold(xp, x), fold(xp, g)
    if x.ndim == 2:
        return xp.matmul(x.mT, g)
    return unbroadcast(xp, xp.matmul(x.mT, g), y_shape)


def _product(name: str, node: str, samples: Any) -> Primitive:
    return Primitive(
        name,
        lambda xp, x, y: xp.matmul(x, y),
        {"x": _matmul_x, "y": _matmul_y},
        inputs=2,
        kind="multilinear",
        node=node,
        saved={"y": "mat2"},
        samples=samples,
    )


mm_ = Primitive(
    "mm",
    lambda xp, x, y: xp.matmul(x, y),
    {"x": lambda xp, g, y: xp.matmul(g, y.mT), "y": lambda xp, g, x: xp.matmul(x.mT, g)},
    inputs=2,
    kind="multilinear",
    node="MmBackward0",
    saved={"y": "mat2"},
    samples=lambda make: [(make(2, 3), make(3, 4)), (make(2, 0), make(0, 3)), (make(0, 2), make(2, 1))],
)
matmul_ = _product(
    "matmul",
    "MmBackward0",
    lambda make: [
        (make(2, 3), make(3, 4)),
        (make(2, 2, 3), make(3, 4)),
        (make(2, 0), make(0, 3)),
        (make(0, 2), make(2, 1)),
    ],
)
bmm_ = _product(
    "bmm",
    "BmmBackward0",
    lambda make: [(make(2, 2, 3), make(2, 3, 4)), (make(2, 1, 2, 3), make(3, 3, 2)), (make(2, 3), make(2, 3, 2))],
)
mv_ = Primitive(
    "mv",
    lambda xp, x, y: xp.matmul(x, y),
    {
        "x": lambda xp, g, y: xp.expand_dims(g, -1) * y,
        "y": lambda xp, g, x: xp.mv(xp.matrix_transpose(fold(xp, x)), xp.reshape(g, (math.prod(g.shape),))),
    },
    inputs=2,
    kind="multilinear",
    node="MvBackward0",
    saved={"y": "vec"},
    samples=lambda make: [(make(2, 3), make(3)), (make(2, 2, 3), make(3)), (make(2, 0), make(0))],
)
dot_ = Primitive(
    "dot",
    lambda xp, x, y: xp.matmul(x, y),
    {"x": lambda xp, g, y: g * y, "y": lambda xp, g, x: g * x},
    inputs=2,
    kind="multilinear",
    saved={"y": "tensor"},
    samples=lambda make: [(make(3), make(3)), (make(1), make(1)), (make(0), make(0))],
)
vdot_ = Primitive(
    "vdot",
    lambda xp, x, y: xp.matmul(xp.conj(x), y),
    {"x": lambda xp, g, y: xp.conj(g) * y, "y": lambda xp, g, x: g * x},
    inputs=2,
    holomorphic=False,
    samples=lambda make: [(make(3), make(3)), (make(0), make(0))],
)


def _linear_x(xp: Any, g: Any, y: Any, x_shape: tuple) -> Any:
    return xp.matmul(g, y) if len(x_shape) > 1 else xp.reshape(xp.matmul(fold(xp, g), y), x_shape)


def _linear_y(xp: Any, g: Any, x: Any) -> Any:
    return xp.matmul(xp.matrix_transpose(fold(xp, g)), fold(xp, x))


def _linear(xp: Any, z: Any, x: Any, y: Any) -> Any:
    out = xp.matmul(x, y.T)
    out += z
    return out


def _linear_jvp(xp: Any, dz: Any, dx: Any, dy: Any, x: Any, y: Any) -> Any:
    parts = [] if dx is None else [xp.linear_without_bias(dx, y)]
    parts += [] if dy is None else [xp.linear_without_bias(x, dy)]
    parts += [] if dz is None else [dz]
    return functools.reduce(operator.add, parts)


linear_ = Primitive(
    "linear",
    _linear,
    {
        "z": lambda xp, g, z_shape: unbroadcast(xp, g, z_shape),
        "x": _linear_x,
        "y": _linear_y,
    },
    inputs=3,
    jvp=_linear_jvp,
    node="AddmmBackward0",
    saved={"x": "mat1", "y": "mat2"},
    samples=lambda make: [
        (make(4), make(2, 3), make(4, 3)),
        (make(2), make(2, 2, 3), make(2, 3)),
        (make(2), make(3), make(2, 3)),
    ],
)
linear_without_bias = Primitive(
    "linear_without_bias",
    lambda xp, x, y: xp.matmul(x, y.T),
    {"x": _linear_x, "y": _linear_y},
    inputs=2,
    kind="multilinear",
    node="MmBackward0",
    saved={"y": "mat2"},
    samples=lambda make: [(make(2, 3), make(4, 3)), (make(2, 2, 3), make(4, 3)), (make(0, 3), make(2, 3))],
)


def _combined(xp: Any, x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """`beta * x + alpha * product`, in the memory of the product; x is not looked at if beta is zero."""
    if product.dtype.kind in "biu":
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product *= alpha
    if beta != 0:
        product += x if beta == 1 else x * beta
    return product


def _added(name: str, factors: tuple[str, str], product: Any, vjp_y: Any, vjp_z: Any, samples: Any) -> Primitive:
    """`beta * x + alpha * product(y, z)`; `factors` is how PyTorch calls y and z."""

    def forward(xp: Any, x: Any, y: Any, z: Any, beta: Any, alpha: Any) -> Any:
        if y.itemsize > 2 or y.dtype.kind not in "fV" or xp is not backends.host:
            return _combined(xp, x, product(xp, y, z), beta, alpha)
        wide = product(xp, xp.astype(y, xp.float32), xp.astype(z, xp.float32))  # no BLAS has half precision
        x = xp.astype(x, xp.float64)  # so that `beta * x` is exact and added with one rounding, as by PyTorch
        return xp.astype(_combined(xp, x, wide, xp.float32(beta), alpha), y.dtype)

    return Primitive(
        name,
        forward,
        {
            "x": lambda xp, g, x_shape, beta: unbroadcast(xp, g if beta == 1 else g * beta, x_shape),
            "y": lambda xp, g, z, y_shape, alpha: vjp_y(xp, g if alpha == 1 else g * alpha, z, y_shape),
            "z": lambda xp, g, y, z_shape, alpha: vjp_z(xp, g if alpha == 1 else g * alpha, y, z_shape),
        },
        inputs=3,
        saved=dict(zip("yz", factors, strict=True)),
        samples=samples,
    )


addmm_ = _added(
    "addmm",
    ("mat1", "mat2"),
    lambda xp, y, z: xp.matmul(y, z),
    _matmul_x,
    _matmul_y,
    lambda make: [(make(4), make(2, 3), make(3, 4), 1, 1), (make(2, 1), make(2, 3), make(3, 4), 0.5, 2)],
)
baddbmm_ = _added(
    "baddbmm",
    ("batch1", "batch2"),
    lambda xp, y, z: xp.matmul(y, z),
    _matmul_x,
    _matmul_y,
    lambda make: [(make(2, 2, 4), make(2, 2, 3), make(2, 3, 4), 1, 1), (make(4), make(2, 2, 3), make(2, 3, 4), 0.5, 2)],
)
addbmm_ = _added(
    "addbmm",
    ("batch1", "batch2"),
    # the sum over the batch is part of one product of matrices
    lambda xp, y, z: xp.matmul(
        y.transpose(1, 0, 2).reshape(y.shape[1], y.shape[0] * y.shape[2]),
        z.reshape(y.shape[0] * y.shape[2], z.shape[2]),
    ),
    lambda xp, g, z, y_shape: xp.matmul(g, xp.matrix_transpose(z)),
    lambda xp, g, y, z_shape: xp.matmul(xp.matrix_transpose(y), g),
    lambda make: [(make(2, 4), make(2, 2, 3), make(2, 3, 4), 1, 1), (make(4), make(2, 2, 3), make(2, 3, 4), 0.5, 2)],
)
addmv_ = _added(
    "addmv",
    ("mat", "vec"),
    lambda xp, y, z: xp.matmul(y, z),
    lambda xp, g, z, y_shape: xp.expand_dims(g, 1) * z,
    lambda xp, g, y, z_shape: xp.mv(xp.matrix_transpose(y), g),
    lambda make: [(make(2), make(2, 3), make(3), 1, 1), (make(1), make(2, 3), make(3), 0.5, 2)],
)
addr_ = _added(
    "addr",
    ("vec1", "vec2"),
    lambda xp, y, z: y[:, None] * z,
    lambda xp, g, z, y_shape: xp.mv(g, z),
    lambda xp, g, y, z_shape: xp.mv(xp.matrix_transpose(g), y),
    lambda make: [(make(2, 3), make(2), make(3), 1, 1), (make(3), make(2), make(3), 0.5, 2)],
)

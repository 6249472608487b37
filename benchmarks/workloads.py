"""The benchmarks' workloads, each written once against PyTorch's API and run by every library that offers it.

A workload is a function `(torch, device) -> step`. Calling it makes data and parameters, from NumPy's seeded generator,
so that all libraries start from the same values. `step()` does the timed work and returns the tensors by which two
libraries are compared: the loss, the gradients and, where it trains, the parameters.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Step = Callable[[], Iterable[Any]]
Build = Callable[[Any, str], Step]


@dataclass(frozen=True)
class Workload:
    """`target` bounds the ratio of times to the reference; `ops` is how many ops a step records, where counted."""

    name: str
    build: Build
    target: float | None
    ops: int | None


WORKLOADS: dict[str, Workload] = {}


def workload(name: str, target: float | None = None, ops: int | None = None) -> Callable[[Build], Build]:
    """Register the decorated function as the workload `name`."""

    def register(build: Build) -> Build:
        WORKLOADS[name] = Workload(name, build, target, ops)
        return build

    return register


class Maker:
    """Makes a library's tensors from one seeded stream of NumPy numbers."""

    def __init__(self, torch: Any, device: str) -> None:
        self.torch, self.device, self.rng = torch, device, np.random.default_rng(0)

    def normal(self, *shape: int, scale: float = 1.0, grad: bool = False) -> Any:
        values = np.asarray(scale * self.rng.standard_normal(shape), dtype=np.float32)
        return self.torch.tensor(values, device=self.device, requires_grad=grad)

    def labels(self, count: int, classes: int) -> Any:
        return self.torch.tensor(self.rng.integers(0, classes, count), device=self.device)

    def module(self, module: Any) -> Any:
        """The module on the device, its weights scaled by fan-in and its biases near zero."""
        module = module.to(self.device)
        with self.torch.no_grad():
            for p in module.parameters():
                shape = tuple(p.shape)
                scale = float(np.prod(shape[1:])) ** -0.5 if len(shape) > 1 else 0.1
                p.copy_(self.normal(*shape, scale=scale))
        return module


def clear_grads(parameters: Iterable[Any]) -> None:
    for p in parameters:
        p.grad = None


def trained(loss: Any, parameters: list[Any]) -> list[Any]:
    return [loss, *parameters, *(p.grad for p in parameters)]


@workload("scalar chain", target=0.7, ops=1000)
def scalar_chain(torch: Any, device: str) -> Step:
    # These values keep every derivative in the chain near one: nothing explodes and nothing becomes denormal.
    scale = torch.tensor(1.02, device=device, requires_grad=True)
    shift = torch.tensor(0.001, device=device, requires_grad=True)

    def step() -> Iterable[Any]:
        clear_grads((scale, shift))
        y = shift
        for _ in range(200):
            y = y * scale
            y = torch.sin(y)
            y = y + shift
            y = torch.tanh(y)
            y = -y
        y.backward()
        return y, scale.grad, shift.grad

    return step


@workload("tiny MLP", target=0.7)
def tiny_mlp(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    x, target = make.normal(8, 4), make.normal(8, 1)
    widths = (4, 16, 16, 1)
    params = []
    for n_in, n_out in pairwise(widths):
        params += [make.normal(n_in, n_out, scale=n_in**-0.5, grad=True), make.normal(n_out, scale=0.1, grad=True)]
    w1, b1, w2, b2, w3, b3 = params

    def step() -> Iterable[Any]:
        clear_grads(params)
        hidden = torch.tanh(x @ w1 + b1)
        hidden = torch.tanh(hidden @ w2 + b2)
        loss = ((hidden @ w3 + b3 - target) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in params:
                p -= 0.01 * p.grad
        return trained(loss, params)

    return step


def classifier_step(torch: Any, model: Any, optimizer: Any, x: Any, labels: Any) -> Step:
    params = list(model.parameters())

    def step() -> Iterable[Any]:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return trained(loss, params)

    return step


@workload("MLP with Adam", target=1.0)
def mlp_adam(torch: Any, device: str) -> Step:
    make, nn = Maker(torch, device), torch.nn
    x, labels = make.normal(128, 784), make.labels(128, 10)
    layers = nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    model = make.module(nn.Sequential(*layers))
    return classifier_step(torch, model, torch.optim.Adam(model.parameters(), lr=1e-4), x, labels)


@workload("CNN", target=1.2)
def cnn(torch: Any, device: str) -> Step:
    make, nn = Maker(torch, device), torch.nn
    x, labels = make.normal(64, 1, 28, 28), make.labels(64, 10)
    model = make.module(
        nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 10),
        )
    )
    return classifier_step(torch, model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9), x, labels)


@workload("transformer block", target=1.3)
def transformer_block(torch: Any, device: str) -> Step:
    make, F = Maker(torch, device), torch.nn.functional
    batch, seq, dim, heads = 8, 64, 128, 4
    x, direction = make.normal(batch, seq, dim, grad=True), make.normal(batch, seq, dim)
    # No bias on the projections to q, k and v: the gradient of the keys' bias is zero but for rounding.
    shapes = (3 * dim, dim), (dim, dim), (4 * dim, dim), (dim, 4 * dim)
    w_qkv, w_out, w_up, w_down = weights = [make.normal(*s, scale=s[1] ** -0.5, grad=True) for s in shapes]
    b_out, b_up, b_down = biases = [make.normal(n, scale=0.1, grad=True) for n in (dim, 4 * dim, dim)]
    gain1, shift1, gain2, shift2 = norms = [make.normal(dim, grad=True) for _ in range(4)]
    leaves = [x, *weights, *biases, *norms]

    def attention(y: Any) -> Any:
        qkv = F.linear(y, w_qkv).reshape(batch, seq, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = torch.softmax(torch.matmul(q, k.transpose(-2, -1)) * (dim // heads) ** -0.5, dim=-1)
        mixed = torch.matmul(weights, v).transpose(1, 2).reshape(batch, seq, dim)
        return F.linear(mixed, w_out, b_out)

    def step() -> Iterable[Any]:
        clear_grads(leaves)
        y = x + attention(F.layer_norm(x, (dim,), gain1, shift1))
        hidden = F.gelu(F.linear(F.layer_norm(y, (dim,), gain2, shift2), w_up, b_up))
        y = y + F.linear(hidden, w_down, b_down)
        loss = (y * direction).mean()
        loss.backward()
        return loss, *(leaf.grad for leaf in leaves)

    return step


@workload("LSTM cell loop")
def lstm_loop(torch: Any, device: str) -> Step:
    make, F = Maker(torch, device), torch.nn.functional
    batch, size, length = 32, 64, 20
    inputs = [make.normal(batch, size) for _ in range(length)]
    zeros = torch.zeros(batch, size, device=device)
    w_x, w_h = (make.normal(4 * size, size, scale=size**-0.5, grad=True) for _ in range(2))
    bias = make.normal(4 * size, scale=0.1, grad=True)

    def step() -> Iterable[Any]:
        clear_grads((w_x, w_h, bias))
        hidden = cell = zeros
        for x in inputs:
            gates = F.linear(x, w_x, bias) + F.linear(hidden, w_h)
            enter, forget, update, leave = gates.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(update)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
        loss = (hidden**2).mean()
        loss.backward()
        return loss, w_x.grad, w_h.grad, bias.grad

    return step


@workload("pointwise chain")
def pointwise_chain(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    x, y = make.normal(1_000_000, grad=True), make.normal(1_000_000, grad=True)
    direction = make.normal(1_000_000)

    def step() -> Iterable[Any]:
        clear_grads((x, y))
        z = torch.nn.functional.gelu(x) * y
        z = torch.sigmoid(z) + x
        z = torch.tanh(z) * y + z
        z.backward(direction)
        return z, x.grad, y.grad

    return step


def activations(*names: str, size: int, fused: bool = False) -> Build:
    """Activations on top of each other, forward and backward; `fused` by gradcu's `fuse`, which PyTorch has not."""

    def build(torch: Any, device: str) -> Step:
        make = Maker(torch, device)
        x, direction = make.normal(size, grad=True), make.normal(size)
        functions = [getattr(torch.nn.functional, name) for name in names]

        def chain(y: Any) -> Any:
            for function in functions:
                y = function(y)
            return y

        run = torch.fuse(chain) if fused and hasattr(torch, "fuse") else chain

        def step() -> Iterable[Any]:
            clear_grads((x,))
            y = run(x)
            y.backward(direction)
            return y, x.grad

        return step

    return build


workload("gelu, 1M")(activations("gelu", size=1_000_000))
for _name in ("gelu", "silu", "softplus", "sigmoid"):
    workload(f"{_name} x 3, 4M", target=0.5)(activations(_name, _name, _name, size=4_000_000))
    for _size in (1, 4):
        _chain = activations(_name, _name, _name, size=_size * 1_000_000, fused=True)
        workload(f"fused {_name} x 3, {_size}M", target=0.5)(_chain)
workload("activations, 1M", target=0.5)(activations("gelu", "silu", "softplus", "sigmoid", size=1_000_000))


@workload("mask and rows, 1M", target=0.5)
def mask_and_rows(torch: Any, device: str) -> Step:
    """Operands that broadcast, and a choice: what attention and normalisation do beside their products."""
    make = Maker(torch, device)
    x, direction = make.normal(1000, 1000, grad=True), make.normal(1000, 1000)
    scale, shift = make.normal(1000, grad=True), make.normal(1000, grad=True)
    mask = make.normal(1000, 1000) > 0

    def step() -> Iterable[Any]:
        clear_grads((x, scale, shift))
        y = torch.addcmul(shift, torch.nn.functional.softplus(x), scale)
        y = torch.where(mask, y, 0.1 * x)
        y.backward(direction)
        return y, x.grad, scale.grad, shift.grad

    return step


@workload("matmul", target=1.1)
def matmul(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    a, b, direction = make.normal(512, 512, grad=True), make.normal(512, 512, grad=True), make.normal(512, 512)

    def step() -> Iterable[Any]:
        clear_grads((a, b))
        c = a @ b
        c.backward(direction)
        return c, a.grad, b.grad

    return step


@workload("Hessian", target=1.0)
def hessian(torch: Any, device: str) -> Step:
    make, size = Maker(torch, device), 48
    x, mix = make.normal(size, scale=0.5, grad=True), make.normal(size, size, scale=size**-0.5)

    def step() -> Iterable[Any]:
        rosenbrock = (2 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        value = rosenbrock + 4 * (torch.tanh(mix @ x) ** 2).sum() + torch.exp(x).mean()
        (gradient,) = torch.autograd.grad(value, x, create_graph=True)
        rows = [torch.autograd.grad(gradient[i], x, retain_graph=True)[0] for i in range(size)]
        return value, gradient, torch.stack(rows)

    return step


@workload("norm, softmax, cross-entropy", target=0.8)
def normalised_classifier(torch: Any, device: str) -> Step:
    make, F = Maker(torch, device), torch.nn.functional
    x, labels = make.normal(4096, 512, grad=True), make.labels(4096, 512)
    gain, shift = make.normal(512, grad=True), make.normal(512, grad=True)

    def step() -> Iterable[Any]:
        clear_grads((x, gain, shift))
        loss = F.cross_entropy(torch.softmax(F.layer_norm(x, (512,), gain, shift), dim=-1), labels)
        loss.backward()
        return loss, x.grad, gain.grad, shift.grad

    return step


@workload("batch and group norm", target=1.0)
def image_norms(torch: Any, device: str) -> Step:
    make, F = Maker(torch, device), torch.nn.functional
    x, direction = make.normal(16, 64, 32, 32, grad=True), make.normal(16, 64, 32, 32)
    leaves = x, *(make.normal(64, grad=True) for _ in range(4))

    def step() -> Iterable[Any]:
        clear_grads(leaves)
        y = F.batch_norm(x, None, None, leaves[1], leaves[2], True)
        F.group_norm(y, 8, leaves[3], leaves[4]).backward(direction)
        return [leaf.grad for leaf in leaves]

    return step


@workload("AdamW, 120 tensors", target=0.6)
def adamw(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    params = [make.normal(16_000, grad=True) for _ in range(120)]
    for p in params:
        p.grad = make.normal(16_000)
    optimizer = torch.optim.AdamW(params, lr=1e-3)

    def step() -> Iterable[Any]:
        optimizer.step()
        return params

    return step


@workload("depthwise convolution", target=1.0)
def depthwise(torch: Any, device: str) -> Step:
    make, F = Maker(torch, device), torch.nn.functional
    x, direction = make.normal(16, 64, 32, 32, grad=True), make.normal(16, 64, 32, 32)
    weight = make.normal(64, 1, 3, 3, grad=True)

    def step() -> Iterable[Any]:
        clear_grads((x, weight))
        F.conv2d(x, weight, padding=1, groups=64).backward(direction)
        return x.grad, weight.grad

    return step


@workload("nn.LSTM", target=1.0)
def lstm_layer(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    layer = make.module(torch.nn.LSTM(64, 128))
    x, direction = make.normal(50, 32, 64, grad=True), make.normal(50, 32, 128)
    leaves = [x, *layer.parameters()]

    def step() -> Iterable[Any]:
        clear_grads(leaves)
        layer(x)[0].backward(direction)
        return [leaf.grad for leaf in leaves]

    return step


@workload("embedding", target=0.6)
def embedding(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    table, indices, direction = make.normal(10_000, 64, grad=True), make.labels(16_384, 10_000), make.normal(16_384, 64)

    def step() -> Iterable[Any]:
        clear_grads((table,))
        torch.nn.functional.embedding(indices, table).backward(direction)
        return (table.grad,)

    return step


@workload("cumulative sums", target=0.8)
def cumulative(torch: Any, device: str) -> Step:
    make = Maker(torch, device)
    x, direction = make.normal(1000, 1000, grad=True), make.normal(1000, 1000)

    def step() -> Iterable[Any]:
        clear_grads((x,))
        x.cumsum(0).cumsum(1).backward(direction)
        return (x.grad,)

    return step

"""Gradients of updates: MAML by create_graph, by functional_call, and by torch.func over a batch of tasks; an ensemble."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(1, 20), nn.Linear(20, 20), nn.Linear(20, 1)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def by_hand(net, x1, y1, x2, y2, alpha=0.01):
    fast_weights = list(net.parameters())
    for _ in range(2):
        h = F.relu(F.linear(x1, fast_weights[0], fast_weights[1]))
        h = F.relu(F.linear(h, fast_weights[2], fast_weights[3]))
        loss = F.mse_loss(F.linear(h, *fast_weights[4:]), y1)
        gradients = torch.autograd.grad(loss, fast_weights, create_graph=True)
        fast_weights = [w - alpha * g for w, g in zip(fast_weights, gradients)]
    names = [name for name, _ in net.named_parameters()]
    return F.mse_loss(functional_call(net, dict(zip(names, fast_weights)), (x2,)), y2)


def losses():
    rng = np.random.default_rng(0)

    def tasks(count=4, outer=10):
        amplitude, phase = rng.uniform(0.1, 5.0, (count, 1, 1)), rng.uniform(0, np.pi, (count, 1, 1))
        xs = rng.uniform(-5, 5, (count, 2 * outer, 1))
        ys = amplitude * np.sin(xs + phase)
        return [
            torch.tensor(a, dtype=torch.float) for a in (xs[:, :outer], ys[:, :outer], xs[:, outer:], ys[:, outer:])
        ]

    out = []
    net = Net()
    opt = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(5):
        meta_loss = 0
        for x1, y1, x2, y2 in zip(*tasks()):
            meta_loss = meta_loss + by_hand(net, x1, y1, x2, y2) / 4
        opt.zero_grad()
        meta_loss.backward()
        opt.step()
        out.append(meta_loss.item())

    def get_loss_for_task(params, x1, y1, x2, y2):
        def inner_loss(params, x1, y1):
            return F.mse_loss(functional_call(net, params, (x1,)), y1)

        grads = grad(inner_loss)(params, x1, y1)
        new_params = {k: params[k] - 0.01 * grads[k] for k in params}
        return inner_loss(new_params, x2, y2)

    for _ in range(5):
        params = dict(net.named_parameters())
        inner_losses = vmap(get_loss_for_task, in_dims=(None, 0, 0, 0, 0))(params, *tasks())
        loss2 = sum(inner_losses) / len(inner_losses)
        opt.zero_grad()
        loss2.backward()
        opt.step()
        out.append(loss2.item())

    models = [Net() for _ in range(3)]
    params, buffers = stack_module_state(models)
    base = copy.deepcopy(models[0])
    x, y = torch.tensor(rng.standard_normal((16, 1)), dtype=torch.float), torch.ones(16, 1)
    ensemble = torch.optim.SGD(params.values(), lr=0.02)
    for _ in range(5):
        predictions = vmap(lambda p, b, x: functional_call(base, (p, b), (x,)), in_dims=(0, 0, None))(
            params, buffers, x
        )
        loss = F.mse_loss(predictions, y.expand_as(predictions), reduction="none").mean(dim=(1, 2)).sum()
        ensemble.zero_grad()
        loss.backward()
        ensemble.step()
        out.append(loss.item())
    per_sample = vmap(grad(lambda p, x, y: F.mse_loss(functional_call(net, p, (x[None],))[0], y)), in_dims=(None, 0, 0))
    out.append(per_sample({k: v.detach() for k, v in net.named_parameters()}, x, y)["fc2.weight"].norm().item())
    return out

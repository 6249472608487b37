"""Equations as losses: a neural ODE by Runge-Kutta with an adjoint Function, and a physics-informed net by double grad."""

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad


class ODEFunc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), nn.Linear(20, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3)


def rk4_step(f, t, dt, y):
    k1 = f(t, y)
    k2 = f(t + dt / 2, y + dt * k1 / 2)
    k3 = f(t + dt / 2, y + dt * k2 / 2)
    k4 = f(t + dt, y + dt * k3)
    return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def odeint(f, y0, t):
    ys = [y0]
    for t0, t1 in zip(t[:-1], t[1:]):
        ys.append(rk4_step(f, t0, t1 - t0, ys[-1]))
    return torch.stack(ys)


class Adjoint(torch.autograd.Function):
    """Solves forward without a graph, and backward by evaluating the vector-Jacobian products of each step again."""

    @staticmethod
    def forward(ctx, f, y0, t, *params):
        ctx.f = f
        with torch.no_grad():
            ys = odeint(f, y0, t)
        ctx.save_for_backward(t, ys, *params)
        return ys

    @staticmethod
    def backward(ctx, grad_ys):
        t, ys, *params = ctx.saved_tensors
        a, grads = grad_ys[-1], [torch.zeros_like(p) for p in params]
        for i in range(len(t) - 1, 0, -1):
            with torch.enable_grad():
                y = ys[i - 1].detach().requires_grad_(True)
                step = rk4_step(ctx.f, t[i - 1], t[i] - t[i - 1], y)
                a, *more = torch.autograd.grad(step, (y, *params), a, allow_unused=True)
            a = a + grad_ys[i - 1]
            grads = [g + m if m is not None else g for g, m in zip(grads, more)]
        return None, a, None, *grads


class PINN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 16), nn.Linear(16, 16), nn.Linear(16, 1)])
        self.lambda_1 = nn.Parameter(torch.tensor([0.0]))

    def forward(self, x, t):
        h = torch.cat([x, t], dim=1)
        for layer in self.layers[:-1]:
            h = torch.sin(layer(h))
        return self.layers[-1](h)

    def residual(self, x, t):
        u = self(x, t)
        u_t = grad(u, t, grad_outputs=torch.ones_like(u), retain_graph=True, create_graph=True)[0]
        u_x = grad(u, x, grad_outputs=torch.ones_like(u), retain_graph=True, create_graph=True)[0]
        u_xx = grad(u_x, x, grad_outputs=torch.ones_like(u_x), retain_graph=True, create_graph=True)[0]
        return u_t + (1 + self.lambda_1) * u * u_x - (0.01 / np.pi) * u_xx


def losses():
    rng = np.random.default_rng(0)
    t = torch.linspace(0.0, 2.0, 8)
    true_A, true_y0 = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]]), torch.tensor([[2.0, 0.0]])
    with torch.no_grad():
        true_y = odeint(lambda t, y: torch.mm(y**3, true_A), true_y0, t)
    out = []
    for adjoint in (False, True):
        func = ODEFunc()
        optimizer = torch.optim.RMSprop(func.parameters(), lr=1e-3)
        for _ in range(4):
            optimizer.zero_grad()
            pred_y = Adjoint.apply(func, true_y0, t, *func.parameters()) if adjoint else odeint(func, true_y0, t)
            loss = torch.mean(torch.abs(pred_y - true_y))
            loss.backward()
            optimizer.step()
            out.append(loss.item())
    model = PINN()
    X, T = (torch.tensor(rng.uniform(-1, 1, (32, 1)), requires_grad=True).float() for _ in range(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(10):
        optimizer.zero_grad(set_to_none=False)
        loss = (model.residual(X, T) ** 2).mean() + ((model(X, 0 * T) + torch.sin(np.pi * X)) ** 2).mean()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out

"""Densities: a RealNVP flow over MultivariateNormal, a VQ-VAE with straight-through codes, a Gaussian process by Cholesky."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import distributions


class RealNVP(nn.Module):
    def __init__(self, mask, prior):
        super().__init__()
        self.prior = prior
        self.mask = nn.Parameter(mask, requires_grad=False)
        nets = lambda last: nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2), *last)  # noqa: E731
        self.t = torch.nn.ModuleList([nets([]) for _ in range(len(mask))])
        self.s = torch.nn.ModuleList([nets([nn.Tanh()]) for _ in range(len(mask))])

    def f(self, x):
        log_det_J, z = x.new_zeros(x.shape[0]), x
        for i in reversed(range(len(self.t))):
            z_ = self.mask[i] * z
            s = self.s[i](z_) * (1 - self.mask[i])
            t = self.t[i](z_) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + z_
            log_det_J -= s.sum(dim=1)
        return z, log_det_J

    def log_prob(self, x):
        z, logp = self.f(x)
        return self.prior.log_prob(z) + logp


class VectorQuantizer(nn.Module):
    def __init__(self, num_embeddings, embedding_dim, commitment_cost=0.25):
        super().__init__()
        self._embedding_dim, self._commitment_cost = embedding_dim, commitment_cost
        self._embedding = nn.Embedding(num_embeddings, embedding_dim)
        self._embedding.weight.data.uniform_(-1 / num_embeddings, 1 / num_embeddings)

    def forward(self, inputs):
        inputs = inputs.permute(0, 2, 3, 1).contiguous()
        input_shape = inputs.shape
        flat_input = inputs.view(-1, self._embedding_dim)
        weight = self._embedding.weight
        distances = (
            torch.sum(flat_input**2, dim=1, keepdim=True)
            + torch.sum(weight**2, dim=1)
            - 2 * torch.matmul(flat_input, weight.t())
        )
        encoding_indices = torch.argmin(distances, dim=1).unsqueeze(1)
        encodings = torch.zeros(encoding_indices.shape[0], len(weight), device=inputs.device)
        encodings.scatter_(1, encoding_indices, 1)
        quantized = torch.matmul(encodings, weight).view(input_shape)
        loss = F.mse_loss(quantized, inputs.detach()) + self._commitment_cost * F.mse_loss(quantized.detach(), inputs)
        quantized = inputs + (quantized - inputs).detach()
        avg_probs = torch.mean(encodings, dim=0)
        perplexity = torch.exp(-torch.sum(avg_probs * torch.log(avg_probs + 1e-10)))
        return loss, quantized.permute(0, 3, 1, 2).contiguous(), perplexity


def gaussian_process(rng, steps=8):
    x = torch.from_numpy(np.sort(rng.uniform(0, 1, 20)))
    y = torch.sin(x * 6) + 0.1 * torch.from_numpy(rng.standard_normal(20))
    raw = nn.ParameterDict(
        {n: nn.Parameter(torch.zeros((), dtype=torch.float64)) for n in ("length", "scale", "noise")}
    )
    optimizer = torch.optim.Adam(raw.parameters(), lr=0.1)
    for _ in range(steps):
        length, scale, noise = (F.softplus(raw[n]) for n in ("length", "scale", "noise"))
        K = scale * torch.exp(-0.5 * torch.cdist(x[:, None], x[:, None]) ** 2 / length**2)
        K = K + noise * torch.eye(len(x), dtype=x.dtype)
        L = torch.linalg.cholesky(K)
        alpha = torch.cholesky_solve(y[:, None], L)
        nll = 0.5 * y @ alpha.squeeze() + L.diagonal().log().sum()
        other = -distributions.MultivariateNormal(torch.zeros_like(y), covariance_matrix=K).log_prob(y)
        optimizer.zero_grad()
        nll.backward()
        optimizer.step()
        yield nll.item()
        yield other.item()


def losses():
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(np.array([[0, 1], [1, 0]] * 2).astype(np.float32))
    prior = distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    flow, out = RealNVP(masks, prior), []
    optimizer = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad is True], lr=1e-3)
    points = torch.from_numpy(rng.standard_normal((64, 2)).astype(np.float32)) ** 2
    for _ in range(10):
        loss = -flow.log_prob(points).mean()
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        optimizer.step()
        out.append(loss.item())
    encoder, decoder = nn.Conv2d(1, 6, 4, 2, 1), nn.ConvTranspose2d(6, 1, 4, 2, 1)
    vq, data = VectorQuantizer(8, 6), torch.from_numpy(rng.random((8, 1, 8, 8)).astype(np.float32))
    parameters = [p for m in (encoder, vq, decoder) for p in m.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, amsgrad=False)
    for _ in range(10):
        optimizer.zero_grad()
        vq_loss, quantized, perplexity = vq(encoder(data))
        loss = F.mse_loss(decoder(quantized), data) / torch.var(data) + vq_loss
        loss.backward()
        optimizer.step()
        out += [loss.item(), perplexity.item()]
    return out + list(gaussian_process(rng))

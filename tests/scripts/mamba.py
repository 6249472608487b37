"""A state space model: projections by einsum, causal depthwise conv1d, softplus steps, the scan as a loop and by cumsum."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class RMSNorm(nn.Module):
    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(d_model))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class MambaBlock(nn.Module):
    def __init__(self, d_model, d_state, scan):
        super().__init__()
        self.d_inner, self.d_state, self.dt_rank, self.scan = 2 * d_model, d_state, math.ceil(d_model / 16), scan
        self.in_proj = nn.Linear(d_model, self.d_inner * 2, bias=False)
        self.conv1d = nn.Conv1d(
            in_channels=self.d_inner, out_channels=self.d_inner, bias=True, kernel_size=4, groups=self.d_inner,
            padding=3,
        )  # fmt: skip
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + d_state * 2, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner, bias=True)
        A = torch.arange(1, d_state + 1, dtype=torch.float32).repeat(self.d_inner, 1)
        self.A_log = nn.Parameter(torch.log(A))
        self.A_log._no_weight_decay = True
        self.D = nn.Parameter(torch.ones(self.d_inner))
        dt = torch.exp(torch.rand(self.d_inner) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x):
        (b, l, d) = x.shape
        (x, res) = self.in_proj(x).split(split_size=[self.d_inner, self.d_inner], dim=-1)
        x = self.conv1d(x.mT)[:, :, :l].mT
        x = F.silu(x)
        return self.ssm(x) * F.silu(res)

    def ssm(self, x):
        A, D = -torch.exp(self.A_log.float()), self.D.float()
        (delta, B, C) = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        delta = F.softplus(self.dt_proj(delta))
        deltaA = torch.einsum("bld,dn->bldn", delta, A)
        deltaB_u = torch.einsum("bld,bln,bld->bldn", delta, B, x)
        if self.scan == "cumsum":
            decay = deltaA.cumsum(dim=1)
            states = torch.exp(decay) * torch.cumsum(deltaB_u * torch.exp(-decay), dim=1)
            return torch.einsum("bldn,bln->bld", states, C) + x * D
        deltaA = torch.exp(deltaA)
        h = torch.zeros((x.shape[0], self.d_inner, self.d_state), device=deltaA.device)
        ys = []
        for i in range(x.shape[1]):
            h = deltaA[:, i] * h + deltaB_u[:, i]
            ys.append(torch.einsum("bdn,bn->bd", h, C[:, i, :]))
        return torch.stack(ys, dim=1) + x * D


class Mamba(nn.Module):
    def __init__(self, vocab, d_model, scan):
        super().__init__()
        self.embedding, self.norm_f = nn.Embedding(vocab, d_model), RMSNorm(d_model)
        self.block, self.norm = MambaBlock(d_model, 4, scan), RMSNorm(d_model)
        self.out_proj = nn.Linear(2 * d_model, d_model, bias=False)
        self.lm_head = nn.Linear(d_model, vocab, bias=False)
        self.lm_head.weight = self.embedding.weight

    def forward(self, input_ids):
        x = self.embedding(input_ids)
        return self.lm_head(self.norm_f(self.out_proj(self.block(self.norm(x))) + x))


def losses():
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 24, (4, 13)))
    out = []
    for scan in ("loop", "cumsum"):
        model = Mamba(24, 16, scan)
        decay = [p for p in model.parameters() if not getattr(p, "_no_weight_decay", False)]
        groups = [{"params": decay}, {"params": [model.block.A_log], "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=3e-3, weight_decay=0.1)
        for _ in range(8):
            logits = model(tokens[:, :-1])
            loss = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            out.append(loss.item())
    return out

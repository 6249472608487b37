"""A mixture of experts: top-k gates, tokens picked by where, added back by index_add_, a balancing loss, noisy gating."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions.normal import Normal


class Expert(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w1, self.w2, self.w3 = (
            nn.Linear(*shape, bias=False) for shape in ((dim, hidden), (hidden, dim), (dim, hidden))
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class SparseMoeBlock(nn.Module):
    def __init__(self, dim, num_experts=4, top_k=2):
        super().__init__()
        self.num_experts, self.top_k = num_experts, top_k
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList([Expert(dim, 32) for _ in range(num_experts)])

    def forward(self, hidden_states):
        batch_size, sequence_length, hidden_dim = hidden_states.shape
        hidden_states = hidden_states.view(-1, hidden_dim)
        router_logits = self.gate(hidden_states)
        routing_weights = F.softmax(router_logits, dim=1, dtype=torch.float)
        routing_weights, selected_experts = torch.topk(routing_weights, self.top_k, dim=-1)
        routing_weights /= routing_weights.sum(dim=-1, keepdim=True)
        routing_weights = routing_weights.to(hidden_states.dtype)
        final = torch.zeros((batch_size * sequence_length, hidden_dim), dtype=hidden_states.dtype)
        expert_mask = torch.nn.functional.one_hot(selected_experts, num_classes=self.num_experts).permute(2, 1, 0)
        for expert_idx in range(self.num_experts):
            idx, top_x = torch.where(expert_mask[expert_idx])
            current_state = hidden_states[None, top_x].reshape(-1, hidden_dim)
            current_hidden_states = self.experts[expert_idx](current_state) * routing_weights[top_x, idx, None]
            final.index_add_(0, top_x, current_hidden_states.to(hidden_states.dtype))
        density = F.one_hot(selected_experts[:, 0], self.num_experts).float().mean(0)
        balance = (density * router_logits.softmax(-1).mean(0)).sum() * self.num_experts
        return final.reshape(batch_size, sequence_length, hidden_dim), balance


class NoisyMoE(nn.Module):
    def __init__(self, dim, num_experts=4, k=2):
        super().__init__()
        self.k, self.experts = k, nn.ModuleList([Expert(dim, 16) for _ in range(num_experts)])
        self.w_gate = nn.Parameter(torch.zeros(dim, num_experts), requires_grad=True)
        self.w_noise = nn.Parameter(torch.zeros(dim, num_experts), requires_grad=True)
        self.register_buffer("mean", torch.tensor([0.0]))
        self.register_buffer("std", torch.tensor([1.0]))

    def forward(self, x):
        clean, stddev = x @ self.w_gate, F.softplus(x @ self.w_noise) + 1e-2
        noisy = clean + torch.randn_like(clean) * stddev
        top_logits, top_indices = noisy.topk(self.k + 1, dim=1)
        gates = torch.zeros_like(noisy, requires_grad=True)
        gates = gates.scatter(1, top_indices[:, : self.k], top_logits[:, : self.k].softmax(1))
        load = Normal(self.mean, self.std).cdf((clean - top_logits[:, self.k :]) / stddev).sum(0)
        importance = gates.sum(0)
        balance = sum(v.float().var() / (v.float().mean() ** 2 + 1e-10) for v in (importance, load))
        sorted_experts, index_sorted = torch.nonzero(gates).sort(0)
        _, expert_index = sorted_experts.split(1, dim=1)
        batch_index = torch.nonzero(gates)[index_sorted[:, 1], 0]
        part_sizes = (gates > 0).sum(0).tolist()
        inputs = torch.split(x[batch_index].squeeze(1), part_sizes, dim=0)
        outputs = torch.cat([e(i) for e, i in zip(self.experts, inputs)], 0)
        nonzero_gates = torch.gather(gates[batch_index.flatten()], 1, expert_index)
        zeros = torch.zeros(gates.size(0), x.size(1), requires_grad=True)
        return zeros.index_add(0, batch_index, outputs.mul(nonzero_gates)), balance


def losses():
    rng = np.random.default_rng(0)
    x, target = (torch.from_numpy(rng.standard_normal((4, 6, 8))).float() for _ in range(2))
    moe, noisy, norm = SparseMoeBlock(8), NoisyMoE(8), nn.LayerNorm(8)
    parameters = [*moe.parameters(), *noisy.parameters(), *norm.parameters()]
    optimizer, out = torch.optim.NAdam(parameters, lr=3e-3), []
    for _ in range(12):
        y, balance = moe(norm(x))
        z, noisy_balance = noisy(y.flatten(0, 1))
        loss = F.mse_loss(y, target) + F.mse_loss(z, target.flatten(0, 1)) + 0.01 * (balance + noisy_balance)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out

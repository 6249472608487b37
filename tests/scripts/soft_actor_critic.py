"""Continuous control: a squashed Gaussian policy by rsample, twin critics, a learned temperature, Polyak averages; DDPG."""

import copy
import itertools

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions.normal import Normal

LOG_STD_MIN, LOG_STD_MAX = -20, 2


def combined_shape(length, shape=None):
    if shape is None:
        return (length,)
    return (length, shape) if np.isscalar(shape) else (length, *shape)


def mlp(sizes, activation, output_activation=nn.Identity):
    layers = []
    for j in range(len(sizes) - 1):
        act = activation if j < len(sizes) - 2 else output_activation
        layers += [nn.Linear(sizes[j], sizes[j + 1]), act()]
    return nn.Sequential(*layers)


class SquashedGaussianMLPActor(nn.Module):
    def __init__(self, obs_dim, act_dim, hidden, act_limit):
        super().__init__()
        self.net = mlp([obs_dim, hidden, hidden], nn.ReLU, nn.ReLU)
        self.mu_layer, self.log_std_layer = nn.Linear(hidden, act_dim), nn.Linear(hidden, act_dim)
        self.act_limit = act_limit

    def forward(self, obs, deterministic=False, with_logprob=True):
        net_out = self.net(obs)
        mu, log_std = self.mu_layer(net_out), self.log_std_layer(net_out)
        std = torch.exp(torch.clamp(log_std, LOG_STD_MIN, LOG_STD_MAX))
        pi_distribution = Normal(mu, std)
        pi_action = mu if deterministic else pi_distribution.rsample()
        logp_pi = None
        if with_logprob:
            logp_pi = pi_distribution.log_prob(pi_action).sum(axis=-1)
            logp_pi -= (2 * (np.log(2) - pi_action - F.softplus(-2 * pi_action))).sum(axis=1)
        return self.act_limit * torch.tanh(pi_action), logp_pi


class QFunction(nn.Module):
    def __init__(self, obs_dim, act_dim, hidden):
        super().__init__()
        self.q = mlp([obs_dim + act_dim, hidden, 1], nn.ReLU)

    def forward(self, obs, act):
        return torch.squeeze(self.q(torch.cat([obs, act], dim=-1)), -1)


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.pi = SquashedGaussianMLPActor(3, 2, 16, 1.0)
        self.q1, self.q2 = QFunction(3, 2, 16), QFunction(3, 2, 16)

    def act(self, obs, deterministic=False):
        with torch.no_grad():
            return self.pi(obs, deterministic, False)[0].numpy()


def losses():
    rng = np.random.default_rng(0)
    buffer = {n: np.zeros(combined_shape(64, d), dtype=np.float32) for n, d in (("obs", 3), ("obs2", 3), ("act", 2))}
    buffer |= {n: np.zeros(64, dtype=np.float32) for n in ("rew", "done")}
    ac = ActorCritic()
    for i in range(64):
        buffer["obs"][i] = obs = rng.standard_normal(3)
        buffer["act"][i] = ac.act(torch.as_tensor(obs, dtype=torch.float32))
        buffer["obs2"][i], buffer["rew"][i] = rng.standard_normal(3), obs.sum()
    ac_targ = copy.deepcopy(ac)
    for p in ac_targ.parameters():
        p.requires_grad = False
    q_params = list(itertools.chain(ac.q1.parameters(), ac.q2.parameters()))
    log_alpha = torch.tensor(np.log(0.2), dtype=torch.float32, requires_grad=True)
    pi_optimizer, q_optimizer = torch.optim.Adam(ac.pi.parameters(), lr=1e-3), torch.optim.Adam(q_params, lr=1e-3)
    alpha_optimizer, out = torch.optim.Adam([log_alpha], lr=1e-2), []
    for _ in range(10):
        idxs = rng.integers(0, 64, size=16)
        o, o2, a, r, d = (
            torch.as_tensor(buffer[n][idxs], dtype=torch.float32) for n in ("obs", "obs2", "act", "rew", "done")
        )
        q_optimizer.zero_grad()
        with torch.no_grad():
            a2, logp_a2 = ac.pi(o2)
            q_pi_targ = torch.min(ac_targ.q1(o2, a2), ac_targ.q2(o2, a2))
            backup = r + 0.99 * (1 - d) * (q_pi_targ - log_alpha.exp() * logp_a2)
        loss_q = ((ac.q1(o, a) - backup) ** 2).mean() + ((ac.q2(o, a) - backup) ** 2).mean()
        loss_q.backward()
        q_optimizer.step()
        for p in q_params:
            p.requires_grad = False
        pi_optimizer.zero_grad()
        pi, logp_pi = ac.pi(o)
        loss_pi = (log_alpha.exp().detach() * logp_pi - torch.min(ac.q1(o, pi), ac.q2(o, pi))).mean()
        loss_pi.backward()
        pi_optimizer.step()
        alpha_loss = -(log_alpha * (logp_pi - 2).detach()).mean()
        alpha_optimizer.zero_grad()
        alpha_loss.backward()
        alpha_optimizer.step()
        for p in q_params:
            p.requires_grad = True
        with torch.no_grad():
            for p, p_targ in zip(ac.parameters(), ac_targ.parameters()):
                p_targ.data.mul_(0.995)
                p_targ.data.add_((1 - 0.995) * p.data)
        out += [loss_q.item(), loss_pi.item(), alpha_loss.item(), log_alpha.exp().item()]
    return out

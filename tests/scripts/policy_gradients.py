"""REINFORCE, actor-critic and PPO on a small environment: Categorical, saved log-probabilities, returns, entropy."""

from collections import deque, namedtuple
from itertools import count

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])
eps = np.finfo(np.float32).eps.item()


class Pole:
    """A cart that falls to one side unless pushed to the other."""

    def reset(self):
        self.state, self.rng = np.array([0.02, -0.01, 0.03, 0.01], dtype=np.float32), np.random.default_rng(0)
        return self.state, {}

    def step(self, action):
        x, v, angle, spin = self.state
        force = 1.0 if action == 1 else -1.0
        noise = self.rng.normal(0, 0.01)
        new = (x + 0.1 * v, v + 0.1 * force, angle + 0.1 * spin, spin + 0.1 * (2 * angle - force) + noise)
        self.state = np.array(new, dtype=np.float32)
        return self.state, 1.0, bool(abs(angle) > 0.4), False, {}


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.dropout = nn.Dropout(p=0.1)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def episode(env, model):
    state, _ = env.reset()
    for _ in range(1, 15):
        probs, state_value = model(torch.from_numpy(state).float())
        m = Categorical(probs)
        action = m.sample()
        model.saved_actions.append(SavedAction(m.log_prob(action), state_value))
        state, reward, done, _, _ = env.step(action.item())
        model.rewards.append(reward)
        if done:
            break


def finish_episode(model, optimizer, critic):
    R, policy_losses, value_losses, returns = 0, [], [], deque()
    for r in model.rewards[::-1]:
        R = r + 0.99 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - value.item() if critic else R
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    if critic:
        loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    else:
        loss = torch.stack(policy_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


def ppo(env, model, optimizer, epochs=4, clip=0.2):
    states, actions, old_log_probs, rewards = [], [], [], []
    state, _ = env.reset()
    for t in count():
        with torch.no_grad():
            dist = Categorical(logits=model(torch.as_tensor(state)[None])[0].log())
        action = dist.sample()
        states.append(state)
        actions.append(action)
        old_log_probs.append(dist.log_prob(action))
        state, reward, done, _, _ = env.step(action.item())
        rewards.append(reward)
        if done or t == 15:
            break
    states, actions = torch.as_tensor(np.array(states)), torch.cat(actions)
    old_log_probs, out = torch.cat(old_log_probs), []
    returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
    for _ in range(epochs):
        probs, values = model(states)
        dist = Categorical(probs)
        advantages = (returns - values.squeeze(-1)).detach()
        ratio = (dist.log_prob(actions) - old_log_probs).exp()
        surrogate = torch.min(ratio * advantages, torch.clamp(ratio, 1 - clip, 1 + clip) * advantages)
        loss = -surrogate.mean() + 0.5 * F.mse_loss(values.squeeze(-1), returns) - 0.01 * dist.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        optimizer.step()
        out.append(loss.item())
    return out


def losses():
    env, out = Pole(), []
    for critic in (False, True):
        model = Policy()
        optimizer = optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(5):
            episode(env, model)
            out.append(finish_episode(model, optimizer, critic))
        model.eval()
        out += ppo(env, model, optim.Adam(model.parameters(), lr=3e-3, eps=1e-5))
    return out

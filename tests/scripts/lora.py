"""Fine-tuning a frozen net: low-rank adapters put in by setattr, a parametrization, weight averages, a frozen backbone."""

import copy
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.parametrize as parametrize
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn


class LoRALinear(nn.Linear):
    def __init__(self, in_features, out_features, r=4, lora_alpha=8, **kwargs):
        nn.Linear.__init__(self, in_features, out_features, **kwargs)
        self.lora_A = nn.Parameter(self.weight.new_zeros((r, in_features)))
        self.lora_B = nn.Parameter(self.weight.new_zeros((out_features, r)))
        self.scaling, self.merged = lora_alpha / r, False
        self.weight.requires_grad = False
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def train(self, mode: bool = True):
        nn.Linear.train(self, mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * (self.lora_B @ self.lora_A) * self.scaling
            self.merged = not mode
        return self

    def forward(self, x):
        result = F.linear(x, self.weight, bias=self.bias)
        if not self.merged:
            result += (x @ self.lora_A.transpose(0, 1) @ self.lora_B.transpose(0, 1)) * self.scaling
        return result


class Symmetric(nn.Module):
    def forward(self, X):
        return X.triu() + X.triu(1).transpose(-1, -2)


def mark_only_lora_as_trainable(model):
    for n, p in model.named_parameters():
        p.requires_grad = "lora_" in n or "mix" in n


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.mix, self.fc2 = nn.Linear(10, 16), nn.Linear(16, 16), nn.Linear(16, 3)
        self.bn = nn.BatchNorm1d(16)

    def forward(self, x):
        return self.fc2(self.bn(self.mix(torch.relu(self.fc1(x)))))


def losses():
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.standard_normal((32, 10))).float(), torch.from_numpy(rng.integers(0, 3, 32))
    model = Net()
    parametrize.register_parametrization(model.mix, "weight", Symmetric())
    for name in ("fc1", "fc2"):
        old = getattr(model, name)
        new = LoRALinear(old.in_features, old.out_features)
        missing = new.load_state_dict(old.state_dict(), strict=False)
        assert missing.missing_keys == ["lora_A", "lora_B"]
        setattr(model, name, new)
    mark_only_lora_as_trainable(model)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.1, momentum=0.9)
    swa_model, ema_model = AveragedModel(model), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=4)
    swa_scheduler, out = SWALR(optimizer, anneal_strategy="linear", anneal_epochs=3, swa_lr=0.05), []
    for epoch in range(12):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema_model.update_parameters(model)
        if epoch > 6:
            swa_model.update_parameters(model)
            swa_scheduler.step()
        else:
            scheduler.step()
        out += [loss.item(), optimizer.param_groups[0]["lr"]]
    update_bn([x[:16], x[16:]], swa_model)
    for m in (swa_model, ema_model, model):
        m.eval()
        out.append(F.cross_entropy(m(x), y).item())
        m.train()
    assert torch.allclose(before["fc1.weight"], model.state_dict()["fc1.weight"])
    parametrize.remove_parametrizations(model.mix, "weight")
    return out + [F.cross_entropy(model(x), y).item()]

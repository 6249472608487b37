"""Parts that scripts write themselves, as subclasses: optimizers (SAM, Lion), a schedule, losses, layers, Functions, samplers."""

import math
from collections import defaultdict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Function
from torch.nn.modules.loss import _Loss, _WeightedLoss
from torch.optim.lr_scheduler import _LRScheduler
from torch.optim.optimizer import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data.dataloader import default_collate


class SAM(Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, adaptive=False, **kwargs):
        assert rho >= 0.0, f"Invalid rho, should be non-negative: {rho}"
        defaults = dict(rho=rho, adaptive=adaptive, **kwargs)
        super(SAM, self).__init__(params, defaults)
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norms = [p.grad.norm(p=2) for group in self.param_groups for p in group["params"] if p.grad is not None]
        grad_norm = torch.norm(torch.stack(norms), p=2)
        for group in self.param_groups:
            scale = group["rho"] / (grad_norm + 1e-12)
            for p in group["params"]:
                if p.grad is None:
                    continue
                self.state[p]["old_p"] = p.data.clone()
                e_w = (torch.pow(p, 2) if group["adaptive"] else 1.0) * p.grad * scale.to(p)
                p.add_(e_w)
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def step(self, closure=None):
        closure = torch.enable_grad()(closure)
        self.first_step(zero_grad=True)
        closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in filter(lambda p: p.grad is not None, group["params"]):
                grad, state = p.grad, self.state[p]
                if len(state) == 0:
                    state["step"], state["exp_avg"] = 0, torch.zeros_like(p, memory_format=torch.preserve_format)
                exp_avg, (beta1, beta2) = state["exp_avg"], group["betas"]
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                update = exp_avg.clone().mul_(beta1).add(grad, alpha=1 - beta1).sign_()
                p.add_(update, alpha=-group["lr"])
                exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)
        return loss


class WarmupCosine(_LRScheduler):
    def __init__(self, optimizer, warmup, total, last_epoch=-1):
        self.warmup, self.total = warmup, total
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        if self.last_epoch < self.warmup:
            return [base_lr * (self.last_epoch + 1) / self.warmup for base_lr in self.base_lrs]
        progress = (self.last_epoch - self.warmup) / (self.total - self.warmup)
        return [0.5 * base_lr * (1 + math.cos(math.pi * progress)) for base_lr in self.base_lrs]


class FocalLoss(_WeightedLoss):
    def __init__(self, weight=None, gamma=2.0, reduction="mean"):
        super().__init__(weight, reduction=reduction)
        self.gamma = gamma

    def forward(self, input, target):
        log_pt = F.log_softmax(input, dim=-1).gather(1, target.view(-1, 1)).view(-1)
        loss = -1 * (1 - log_pt.exp()) ** self.gamma * log_pt
        if self.weight is not None:
            loss = loss * self.weight.type_as(loss).gather(0, target.data.view(-1))
        return loss.mean() if self.reduction == "mean" else loss.sum()


class L2(_Loss):
    def forward(self, input):
        return input.pow(2).mean() if self.reduction == "mean" else input.pow(2).sum()


class GradientReversal(Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.alpha, None


class Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.sign()

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input.ge(1)] = 0
        grad_input[input.le(-1)] = 0
        return grad_input


class WSConv2d(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        weight = weight / (weight.view(weight.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(WSConv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Mish(), nn.AvgPool2d(2))
        self.classifier, self.domain = nn.Linear(128, 3), nn.Linear(128, 2)
        self.register_buffer("calls", torch.tensor(0, dtype=torch.long))
        self.grads = defaultdict(list)
        self.classifier.register_full_backward_hook(
            lambda m, gi, go: self.grads["out"].append(go[0].abs().sum().item())
        )
        self.features[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,))

    def forward(self, x):
        self.calls += 1
        h = self.features(x).flatten(1)
        return self.classifier(Binarize.apply(h) + h), self.domain(GradientReversal.apply(h, 0.1))


class Items(Dataset):
    def __init__(self, rng):
        self.images, self.labels = rng.standard_normal((24, 8, 8)).astype("float32"), rng.integers(0, 3, 24)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"image": self.images[i][None], "label": self.labels[i], "meta": {"index": i, "name": f"item {i}"}}


class ByLabel(Sampler):
    def __init__(self, labels):
        self.order = np.argsort(labels, kind="stable").reshape(3, -1).T.ravel()

    def __iter__(self):
        return iter(self.order.tolist())

    def __len__(self):
        return len(self.order)


def collate(items):
    return default_collate([item for item in items if item is not None])


def losses():
    items, out = Items(np.random.default_rng(0)), []
    loader = DataLoader(items, batch_size=8, sampler=ByLabel(items.labels), collate_fn=collate, pin_memory=False)
    for kind in ("sam", "lion"):
        model, criterion, penalty = Net(), FocalLoss(torch.tensor([1.0, 2.0, 0.5])), L2()
        if kind == "sam":
            optimizer = SAM(model.parameters(), torch.optim.SGD, lr=0.05, momentum=0.9)
        else:
            optimizer = Lion(model.parameters(), lr=1e-3, weight_decay=0.1)
        scheduler = WarmupCosine(optimizer.base_optimizer if kind == "sam" else optimizer, 2, 9)
        for _ in range(3):
            for batch in loader:
                assert batch["meta"]["name"][0] == f"item {batch['meta']['index'][0]}"

                def closure():
                    optimizer.zero_grad()
                    classes, domains = model(batch["image"])
                    loss = criterion(classes, batch["label"]) + F.cross_entropy(domains, batch["label"] % 2)
                    loss = loss + 0.01 * penalty(classes)
                    loss.backward()
                    return loss

                loss = closure()
                optimizer.step(closure)
                scheduler.step()
                out += [loss.item(), scheduler.get_last_lr()[0]]
        out += [model.calls.item(), *model.grads["out"]]
    return out

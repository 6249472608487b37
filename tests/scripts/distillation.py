"""A student of a teacher (KLDivLoss at a temperature, hidden features), mixup and EMA teachers; then SimCLR's loss."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def net(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.ReLU(), nn.Linear(width, width), nn.Hardswish())


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.features, self.classifier = net(width), nn.Linear(width, 5)
        self.projector = nn.Sequential(nn.Linear(width, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, x):
        hidden = self.features(x)
        return self.classifier(hidden), self.projector(hidden)


def info_nce_loss(features, batch_size, n_views=2, temperature=0.07):
    labels = torch.cat([torch.arange(batch_size) for i in range(n_views)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
    features = F.normalize(features, dim=1)
    similarity_matrix = torch.matmul(features, features.T)
    mask = torch.eye(labels.shape[0], dtype=torch.bool)
    labels = labels[~mask].view(labels.shape[0], -1)
    similarity_matrix = similarity_matrix[~mask].view(similarity_matrix.shape[0], -1)
    positives = similarity_matrix[labels.bool()].view(labels.shape[0], -1)
    negatives = similarity_matrix[~labels.bool()].view(similarity_matrix.shape[0], -1)
    logits = torch.cat([positives, negatives], dim=1)
    return F.cross_entropy(logits / temperature, torch.zeros(logits.shape[0], dtype=torch.long))


def losses():
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.standard_normal((16, 1, 6, 6))).float(), torch.from_numpy(rng.integers(0, 5, 16))
    teacher, student = Model(32), Model(16)
    teacher.eval()
    for param in teacher.parameters():
        param.requires_grad = False
    T, ce_loss, kl_loss = 2, nn.CrossEntropyLoss(), nn.KLDivLoss(reduction="batchmean", log_target=True)
    optimizer, out = torch.optim.Adam(student.parameters(), lr=5e-3), []
    for _ in range(8):
        optimizer.zero_grad()
        with torch.no_grad():
            teacher_logits, teacher_hidden = teacher(x)
        student_logits, student_hidden = student(x)
        soft_targets = nn.functional.softmax(teacher_logits / T, dim=-1)
        soft_prob = nn.functional.log_softmax(student_logits / T, dim=-1)
        soft_targets_loss = torch.sum(soft_targets * (soft_targets.log() - soft_prob)) / soft_prob.size()[0] * (T**2)
        same = kl_loss(soft_prob, soft_targets.log()) * T**2
        cosine = nn.CosineEmbeddingLoss()(student_hidden, teacher_hidden, target=torch.ones(x.size(0)))
        loss = 0.25 * soft_targets_loss + 0.1 * same + 0.75 * ce_loss(student_logits, y) + 0.25 * cosine
        loss.backward()
        optimizer.step()
        out += [loss.item(), (same - soft_targets_loss).abs().lt(1e-4).item()]
    ema = copy.deepcopy(student)
    for _ in range(8):
        lam = np.random.default_rng(1).beta(0.2, 0.2)
        index = torch.randperm(x.size()[0])
        mixed_x, y_a, y_b = lam * x + (1 - lam) * x[index, :], y, y[index]
        logits, _ = student(mixed_x)
        mixup = lam * ce_loss(logits, y_a) + (1 - lam) * ce_loss(logits, y_b)
        views = torch.cat([x, x.flip(-1) + 0.1 * torch.randn_like(x)], dim=0)
        contrastive = info_nce_loss(student(views)[1], len(x))
        with torch.no_grad():
            targets = torch.softmax(ema(x)[0], -1)
        consistency = F.kl_div(F.log_softmax(student(x)[0], -1), targets, reduction="batchmean")
        loss = mixup + contrastive + consistency
        student.zero_grad()
        loss.backward()
        optimizer.step()
        for ema_param, param in zip(ema.parameters(), student.parameters()):
            ema_param.data.mul_(0.9).add_(param.data, alpha=1 - 0.9)
        out += [loss.item(), contrastive.item()]
    return out

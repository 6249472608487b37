"""A vision transformer: patches by a strided convolution or by unfolding, class token, mixed attention, label smoothing."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def pair(t):
    return t if isinstance(t, tuple) else (t, t)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden_dim, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, dim)
        )

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, dim, heads, dim_head):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.attend = nn.Softmax(dim=-1)
        self.to_qkv = nn.Linear(dim, heads * dim_head * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim), nn.Dropout(0.1))

    def forward(self, x):
        qkv = self.to_qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).permute(0, 2, 1, 3) for t in qkv)
        dots = torch.matmul(q, k.transpose(-1, -2)) * self.scale
        out = torch.matmul(self.attend(dots), v)
        return self.to_out(out.permute(0, 2, 1, 3).flatten(2))


class ViT(nn.Module):
    def __init__(self, *, image_size, patch_size, num_classes, dim, depth, heads, conv_stem):
        super().__init__()
        (height, width), (p1, p2) = pair(image_size), pair(patch_size)
        assert height % p1 == 0 and width % p2 == 0
        self.patch, self.conv_stem = (p1, p2), conv_stem
        if conv_stem:
            self.proj = nn.Conv2d(3, dim, kernel_size=(p1, p2), stride=(p1, p2))
        else:
            self.proj = nn.Sequential(nn.LayerNorm(3 * p1 * p2), nn.Linear(3 * p1 * p2, dim), nn.LayerNorm(dim))
        self.pos_embedding = nn.Parameter(torch.randn(1, height // p1 * (width // p2) + 1, dim) * 0.02)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        self.layers = nn.ModuleList([])
        for _ in range(depth):
            self.layers.append(nn.ModuleList([Attention(dim, heads, 8), FeedForward(dim, dim * 2, 0.1)]))
        self.mlp_head = nn.Linear(dim, num_classes)

    def forward(self, img):
        if self.conv_stem:
            x = self.proj(img).flatten(2).transpose(1, 2)
        else:
            x = self.proj(F.unfold(img, kernel_size=self.patch, stride=self.patch).mT)
        b, n, _ = x.shape
        x = torch.cat((self.cls_token.expand(b, -1, -1), x), dim=1)
        x += self.pos_embedding[:, : (n + 1)]
        for attn, ff in self.layers:
            x = attn(x) + x
            x = ff(x) + x
        return self.mlp_head(x[:, 0])


def losses():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((8, 3, 16, 16), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, 5, 8))
    out = []
    for conv_stem in (True, False):
        model = ViT(image_size=16, patch_size=4, num_classes=5, dim=32, depth=2, heads=4, conv_stem=conv_stem)
        decay = [p for n, p in model.named_parameters() if p.ndim > 1 and "pos" not in n]
        rest = [p for n, p in model.named_parameters() if p.ndim <= 1 or "pos" in n]
        groups = [{"params": decay}, {"params": rest, "weight_decay": 0.0, "lr": 1e-4}]
        optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.05)
        warmup = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=1e-5)
        scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[3])
        criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        for _ in range(10):
            with torch.autocast("cpu", enabled=False):
                loss = criterion(model(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            total = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            scheduler.step()
            out += [loss.item(), total.item(), scheduler.get_last_lr()[0]]
    return out

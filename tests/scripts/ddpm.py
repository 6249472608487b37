"""Denoising diffusion: schedules in buffers, sinusoidal times, a small UNet of GroupNorm and SiLU, EMA, ancestral sampling."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import einsum, nn


def exists(x):
    return x is not None


def extract(a, t, x_shape):
    b, *_ = t.shape
    out = a.gather(-1, t)
    return out.reshape(b, *((1,) * (len(x_shape) - 1)))


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim, theta=10000):
        super().__init__()
        self.dim, self.theta = dim, theta

    def forward(self, x):
        device = x.device
        half_dim = self.dim // 2
        emb = math.log(self.theta) / (half_dim - 1)
        emb = torch.exp(torch.arange(half_dim, device=device) * -emb)
        emb = x[:, None] * emb[None, :]
        return torch.cat((emb.sin(), emb.cos()), dim=-1)


class ResnetBlock(nn.Module):
    def __init__(self, dim, dim_out, *, time_emb_dim=None):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_emb_dim, dim_out * 2)) if exists(time_emb_dim) else None
        self.proj, self.norm, self.act = nn.Conv2d(dim, dim_out, 3, padding=1), nn.GroupNorm(4, dim_out), nn.SiLU()
        self.res_conv = nn.Conv2d(dim, dim_out, 1) if dim != dim_out else nn.Identity()

    def forward(self, x, time_emb=None):
        h = self.norm(self.proj(x))
        if exists(self.mlp) and exists(time_emb):
            scale, shift = self.mlp(time_emb)[..., None, None].chunk(2, dim=1)
            h = h * (scale + 1) + shift
        return self.act(h) + self.res_conv(x)


class LinearAttention(nn.Module):
    def __init__(self, dim, heads=2, dim_head=8):
        super().__init__()
        self.scale, self.heads = dim_head**-0.5, heads
        self.norm, self.to_qkv = nn.GroupNorm(1, dim), nn.Conv2d(dim, heads * dim_head * 3, 1, bias=False)
        self.to_out = nn.Conv2d(heads * dim_head, dim, 1)

    def forward(self, x):
        b, _, h, w = x.shape
        q, k, v = (t.reshape(b, self.heads, -1, h * w) for t in self.to_qkv(self.norm(x)).chunk(3, dim=1))
        q, k = q.softmax(dim=-2) * self.scale, k.softmax(dim=-1)
        context = einsum("b h d n, b h e n -> b h d e", k, v)
        return self.to_out(einsum("b h d e, b h d n -> b h e n", context, q).reshape(b, -1, h, w)) + x


class Unet(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.init_conv = nn.Conv2d(1, dim, 7, padding=3)
        self.time_mlp = nn.Sequential(SinusoidalPosEmb(dim), nn.Linear(dim, 16), nn.GELU(), nn.Linear(16, 16))
        block = partial(ResnetBlock, time_emb_dim=16)
        self.down, self.mid, self.attn = nn.Conv2d(dim, 2 * dim, 4, 2, 1), block(2 * dim, 2 * dim), LinearAttention(16)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(2 * dim, dim, 3, padding=1))
        self.final, self.out = block(2 * dim, dim), nn.Conv2d(dim, 1, 1)

    def forward(self, x, time):
        x, t = self.init_conv(x), self.time_mlp(time)
        h = self.up(self.attn(self.mid(self.down(x), t)))
        return self.out(self.final(torch.cat((h, x), dim=1), t))


class GaussianDiffusion(nn.Module):
    def __init__(self, model, timesteps=20):
        super().__init__()
        self.model, self.num_timesteps = model, timesteps
        steps = torch.linspace(0, timesteps, timesteps + 1, dtype=torch.float64) / timesteps
        alphas_cumprod = torch.cos((steps + 0.008) / 1.008 * math.pi * 0.5) ** 2
        alphas_cumprod = alphas_cumprod / alphas_cumprod[0]
        betas = torch.clip(1 - (alphas_cumprod[1:] / alphas_cumprod[:-1]), 0, 0.999)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        alphas_cumprod_prev = F.pad(alphas_cumprod[:-1], (1, 0), value=1.0)
        posterior_variance = betas * (1.0 - alphas_cumprod_prev) / (1.0 - alphas_cumprod)
        register_buffer = lambda name, val: self.register_buffer(name, val.to(torch.float32))  # noqa: E731
        register_buffer("betas", betas)
        register_buffer("sqrt_alphas_cumprod", torch.sqrt(alphas_cumprod))
        register_buffer("sqrt_one_minus_alphas_cumprod", torch.sqrt(1.0 - alphas_cumprod))
        register_buffer("posterior_log_variance_clipped", torch.log(posterior_variance.clamp(min=1e-20)))

    def forward(self, x_start):
        t = torch.randint(0, self.num_timesteps, (x_start.shape[0],), device=x_start.device).long()
        noise = torch.randn_like(x_start)
        x = extract(self.sqrt_alphas_cumprod, t, x_start.shape) * x_start
        x = x + extract(self.sqrt_one_minus_alphas_cumprod, t, x_start.shape) * noise
        loss = F.mse_loss(self.model(x, t), noise, reduction="none")
        return loss.flatten(1).mean(dim=1).mean()

    @torch.inference_mode()
    def sample(self, shape):
        img = torch.randn(shape, device=self.betas.device)
        for t in reversed(range(self.num_timesteps)):
            batched = torch.full((shape[0],), t, device=img.device, dtype=torch.long)
            beta, sigma = (extract(a, batched, shape) for a in (self.betas, self.sqrt_one_minus_alphas_cumprod))
            mean = (img - beta / sigma * self.model(img, batched)) / torch.sqrt(1 - beta)
            noise = torch.randn_like(img) if t > 0 else 0.0
            img = mean + (0.5 * extract(self.posterior_log_variance_clipped, batched, shape)).exp() * noise
        return img.clamp_(-1.0, 1.0)


def losses():
    images = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (8, 1, 8, 8)).astype(np.float32))
    diffusion, out = GaussianDiffusion(Unet()), []
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=2e-3, betas=(0.9, 0.99))
    ema = torch.optim.swa_utils.AveragedModel(diffusion, avg_fn=lambda old, new, n: old.lerp(new, 0.1))
    for _ in range(10):
        optimizer.zero_grad()
        for _ in range(2):
            loss = diffusion(images) / 2
            loss.backward()
        torch.nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        ema.update_parameters(diffusion)
        out.append(loss.item())
    ema.eval()
    return out + ema.module.sample((2, 1, 8, 8)).flatten().tolist()[::16]

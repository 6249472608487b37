"""Fields: volume rendering with exclusive cumprod and inverse-CDF samples, SIREN layers, a TCN with weight_norm."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils import weight_norm

img2mse = lambda x, y: torch.mean((x - y) ** 2)  # noqa: E731
mse2psnr = lambda x: -10.0 * torch.log(x) / torch.log(torch.Tensor([10.0]))  # noqa: E731


class NeRF(nn.Module):
    def __init__(self, W=32, input_ch=27, skips=(1,)):
        super().__init__()
        self.skips = skips
        self.pts_linears = nn.ModuleList(
            [nn.Linear(input_ch, W)]
            + [nn.Linear(W, W) if i not in skips else nn.Linear(W + input_ch, W) for i in range(2)]
        )
        self.alpha_linear, self.rgb_linear = nn.Linear(W, 1), nn.Linear(W, 3)

    def forward(self, x):
        h = x
        for i, _ in enumerate(self.pts_linears):
            h = F.relu(self.pts_linears[i](h))
            if i in self.skips:
                h = torch.cat([x, h], -1)
        return torch.cat([self.rgb_linear(h), self.alpha_linear(h)], -1)


def embed(x, freqs=4):
    bands = 2.0 ** torch.linspace(0.0, freqs - 1, steps=freqs)
    return torch.cat([x] + [fn(x * freq) for freq in bands for fn in (torch.sin, torch.cos)], -1)


def raw2outputs(raw, z_vals, rays_d):
    dists = z_vals[..., 1:] - z_vals[..., :-1]
    dists = torch.cat([dists, torch.Tensor([1e10]).expand(dists[..., :1].shape)], -1)
    dists = dists * torch.norm(rays_d[..., None, :], dim=-1)
    rgb = torch.sigmoid(raw[..., :3])
    alpha = 1.0 - torch.exp(-F.relu(raw[..., 3]) * dists)
    weights = alpha * torch.cumprod(torch.cat([torch.ones((alpha.shape[0], 1)), 1.0 - alpha + 1e-10], -1), -1)[:, :-1]
    rgb_map = torch.sum(weights[..., None] * rgb, -2)
    depth_map = torch.sum(weights * z_vals, -1)
    disp_map = 1.0 / torch.max(1e-10 * torch.ones_like(depth_map), depth_map / torch.sum(weights, -1))
    return rgb_map, disp_map, weights


def sample_pdf(bins, weights, N_samples):
    weights = weights + 1e-5
    pdf = weights / torch.sum(weights, -1, keepdim=True)
    cdf = torch.cumsum(pdf, -1)
    cdf = torch.cat([torch.zeros_like(cdf[..., :1]), cdf], -1)
    u = torch.rand(list(cdf.shape[:-1]) + [N_samples]).contiguous()
    inds = torch.searchsorted(cdf, u, right=True)
    below = torch.max(torch.zeros_like(inds - 1), inds - 1)
    above = torch.min((cdf.shape[-1] - 1) * torch.ones_like(inds), inds)
    inds_g = torch.stack([below, above], -1)
    matched_shape = [inds_g.shape[0], inds_g.shape[1], cdf.shape[-1]]
    cdf_g = torch.gather(cdf.unsqueeze(1).expand(matched_shape), 2, inds_g)
    bins_g = torch.gather(bins.unsqueeze(1).expand(matched_shape), 2, inds_g)
    denom = cdf_g[..., 1] - cdf_g[..., 0]
    denom = torch.where(denom < 1e-5, torch.ones_like(denom), denom)
    t = (u - cdf_g[..., 0]) / denom
    return bins_g[..., 0] + t * (bins_g[..., 1] - bins_g[..., 0])


class SineLayer(nn.Module):
    def __init__(self, in_features, out_features, is_first=False, omega_0=30):
        super().__init__()
        self.omega_0, self.linear = omega_0, nn.Linear(in_features, out_features)
        with torch.no_grad():
            bound = 1 / in_features if is_first else np.sqrt(6 / in_features) / omega_0
            self.linear.weight.uniform_(-bound, bound)

    def forward(self, input):
        return torch.sin(self.omega_0 * self.linear(input))


class Chomp1d(nn.Module):
    def __init__(self, chomp_size):
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x):
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    def __init__(self, n_inputs, n_outputs, kernel_size, dilation, padding):
        super().__init__()
        conv = weight_norm(nn.Conv1d(n_inputs, n_outputs, kernel_size, padding=padding, dilation=dilation))
        conv.weight.data.normal_(0, 0.01)
        self.net = nn.Sequential(conv, Chomp1d(padding), nn.ReLU(), nn.Dropout(0.2))
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None

    def forward(self, x):
        return F.relu(self.net(x) + (x if self.downsample is None else self.downsample(x)))


def losses():
    rng, out = np.random.default_rng(0), []
    rays_o, rays_d, target = (torch.Tensor(rng.random((16, 3))) for _ in range(3))
    model = NeRF()
    optimizer = torch.optim.Adam(params=list(model.parameters()), lr=5e-3, betas=(0.9, 0.999))
    for step in range(8):
        z_vals = torch.linspace(0.0, 1.0, steps=8).expand([16, 8])
        mids = 0.5 * (z_vals[..., 1:] + z_vals[..., :-1])
        upper, lower = torch.cat([mids, z_vals[..., -1:]], -1), torch.cat([z_vals[..., :1], mids], -1)
        z_vals = lower + (upper - lower) * torch.rand(z_vals.shape)
        pts = rays_o[..., None, :] + rays_d[..., None, :] * z_vals[..., :, None]
        rgb0, _, weights = raw2outputs(model(embed(pts)), z_vals, rays_d)
        z_samples = sample_pdf(0.5 * (z_vals[..., 1:] + z_vals[..., :-1]), weights[..., 1:-1], 8).detach()
        z_vals, _ = torch.sort(torch.cat([z_vals, z_samples], -1), -1)
        pts = rays_o[..., None, :] + rays_d[..., None, :] * z_vals[..., :, None]
        rgb, disp, _ = raw2outputs(model(embed(pts)), z_vals, rays_d)
        optimizer.zero_grad()
        img_loss = img2mse(rgb, target)
        (img_loss + img2mse(rgb0, target)).backward()
        optimizer.step()
        for param_group in optimizer.param_groups:
            param_group["lr"] = 5e-3 * (0.1 ** (step / 10))
        out += [img_loss.item(), mse2psnr(img_loss).item(), disp.mean().item()]
    coords = torch.stack(torch.meshgrid(*2 * (torch.linspace(-1, 1, steps=8),), indexing="ij"), dim=-1).reshape(-1, 2)
    siren = nn.Sequential(SineLayer(2, 32, is_first=True), SineLayer(32, 32), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(lr=1e-4, params=siren.parameters())
    for _ in range(5):
        points = coords.clone().detach().requires_grad_(True)
        y = siren(points)
        gradient = torch.autograd.grad(y, [points], grad_outputs=torch.ones_like(y), create_graph=True)[0]
        laplace = 0.0
        for i in range(gradient.shape[-1]):
            laplace += torch.autograd.grad(gradient[..., i].sum(), points, create_graph=True)[0][..., i : i + 1]
        loss = ((gradient - points) ** 2).sum(-1).mean() + 1e-4 * (laplace**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    tcn = nn.Sequential(
        *[TemporalBlock(2 if i == 0 else 8, 8, 3, 2**i, 2 * 2**i) for i in range(2)], nn.Flatten(), nn.Linear(128, 1)
    )
    x, y = (torch.from_numpy(rng.standard_normal(shape)).float() for shape in ((8, 2, 16), (8, 1)))
    optimizer = torch.optim.Adam(tcn.parameters(), lr=4e-3)
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.mse_loss(tcn(x), y)
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    return out

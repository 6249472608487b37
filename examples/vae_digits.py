"""Train a variational autoencoder on scikit-learn's handwritten digits, and draw some of its own.

python examples/vae_digits.py [--device cpu|cuda] [--epochs N]

Kingma and Welling, "Auto-Encoding Variational Bayes", 2014.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import gradcu as torch  # `import torch` works too: nothing else changes

nn, F = torch.nn, torch.nn.functional
Normal, kl_divergence = torch.distributions.Normal, torch.distributions.kl_divergence

LATENT = 8


def batches(epochs, size=64, seed=0):
    """All images in random order, again for each epoch: (size, 64), from 0 to 1."""
    images = (load_digits().data / 16).astype("float32")
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - size + 1, size):
            yield torch.from_numpy(images[order[start : start + size]])


class VAE(nn.Module):
    def __init__(self, hidden=256):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, hidden), nn.SiLU(), nn.Linear(hidden, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, hidden), nn.SiLU(), nn.Linear(hidden, 64))

    def posterior(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        return Normal(mean, (0.5 * log_variance).exp())


def train(model, batches, lr=1e-3):
    """One step for each batch of images; yields the losses: the negative evidence lower bound for an image."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    device = next(model.parameters()).device
    prior = Normal(torch.zeros(LATENT, device=device), torch.ones(LATENT, device=device))
    for x in batches:
        x = x.to(device)
        posterior = model.posterior(x)
        logits = model.decoder(posterior.rsample())
        missed = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        loss = missed + kl_divergence(posterior, prior).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


@torch.no_grad()
def draw(model, count):
    """Digits from the prior, as text."""
    device = next(model.parameters()).device
    images = torch.sigmoid(model.decoder(torch.randn(count, LATENT, device=device))).cpu()
    shades = (images.reshape(count, 8, 8) * 4.99).long().tolist()
    return "\n".join("   ".join("".join(" .:*#"[s] * 2 for s in image[row]) for image in shades) for row in range(8))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = VAE().to(args.device)
    print(f"{torch.__name__} on {args.device}, {sum(p.numel() for p in model.parameters()):,} parameters")
    progress = tqdm(train(model, batches(args.epochs)), total=args.epochs * (1797 // 64))
    for loss in progress:
        progress.set_postfix(loss=f"{loss:.2f}")
    print(draw(model, 5))


if __name__ == "__main__":
    main()

"""Train an LSTM to forecast the Mackey-Glass series, which is chaotic, and compare with the naive forecast.

python examples/lstm_forecast.py [--device cpu|cuda] [--steps N]

Mackey and Glass, "Oscillation and chaos in physiological control systems", 1977.
"""

import argparse

import numpy as np
from tqdm import tqdm

import gradcu as torch  # `import torch` works too: nothing else changes

nn, F = torch.nn, torch.nn.functional

WINDOW, AHEAD = 48, 6


def series(length=3000, delay=17, step=0.1):
    """x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x(t), at whole t, of mean 0 and deviation 1."""
    per_unit = round(1 / step)
    x = np.full((length + 300) * per_unit, 1.2)
    for i in range(delay * per_unit, len(x) - 1):
        before = x[i - delay * per_unit]
        x[i + 1] = x[i] + step * (0.2 * before / (1 + before**10) - 0.1 * x[i])
    x = x[300 * per_unit :: per_unit]  # without how it began
    return ((x - x.mean()) / x.std()).astype("float32")


def windows(values, starts):
    """Inputs (n, WINDOW, 1), and the values AHEAD of each of their places."""
    index = starts[:, None] + np.arange(WINDOW)
    return torch.from_numpy(values[index][..., None]), torch.from_numpy(values[index + AHEAD][..., None])


def batches(count, size=32, seed=0):
    """Random windows of the first two thirds of the series."""
    values, rng = series()[:2000], np.random.default_rng(seed)
    for _ in range(count):
        yield windows(values, rng.integers(0, len(values) - WINDOW - AHEAD, size))


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=1, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        states, _ = self.lstm(x)
        return x + self.head(states)


def train(model, batches, lr=5e-3):
    """One step for each batch of windows and what comes after; yields the losses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    device = next(model.parameters()).device
    for x, y in batches:
        loss = F.mse_loss(model(x.to(device)), y.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = Forecaster().to(args.device)
    print(f"{torch.__name__} on {args.device}, {sum(p.numel() for p in model.parameters()):,} parameters")
    progress = tqdm(train(model, batches(args.steps)), total=args.steps)
    for loss in progress:
        progress.set_postfix(loss=f"{loss:.4f}")
    held_out = series()[2000:]
    x, y = (part.to(args.device) for part in windows(held_out, np.arange(0, len(held_out) - WINDOW - AHEAD)))
    with torch.no_grad():
        ours, naive = F.mse_loss(model(x)[:, -1], y[:, -1]).item(), F.mse_loss(x[:, -1], y[:, -1]).item()
    print(f"squared error {AHEAD} steps ahead: {ours:.4f}; of saying that nothing changes: {naive:.4f}")


if __name__ == "__main__":
    main()

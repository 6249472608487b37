"""Train a small convolutional network on scikit-learn's 1,797 handwritten digits.

python examples/train_digits.py [--device cpu|cuda] [--epochs N]
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import gradcu as torch  # `import torch` works too: nothing else changes

nn, F = torch.nn, torch.nn.functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return self.head(F.max_pool2d(x, 2).flatten(1))


def digits():
    data = load_digits()
    images = (data.images[:, None] / 16).astype("float32")
    labels = data.target.astype("int64")
    split = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    return [torch.from_numpy(part) for part in split]


def train(model, batches, lr=2e-3):
    """One step for each batch, an image tensor and its labels; yields the losses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    torch.manual_seed(0)
    train_x, test_x, train_y, test_y = (part.to(args.device) for part in digits())
    dataset = torch.utils.data.TensorDataset(train_x, train_y)
    loader = torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True)
    model = Net().to(args.device)
    print(f"{torch.__name__} on {args.device}, {sum(p.numel() for p in model.parameters()):,} parameters")

    batches = (batch for _ in range(args.epochs) for batch in loader)
    progress = tqdm(train(model, batches), total=args.epochs * len(loader))
    for loss in progress:
        progress.set_postfix(loss=f"{loss:.4f}")
    model.eval()
    with torch.no_grad():
        accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
    print(f"test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()

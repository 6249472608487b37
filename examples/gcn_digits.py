"""Train a graph network on the graph of digits that look alike, where only 50 of 1,797 are labelled.

python examples/gcn_digits.py [--device cpu|cuda] [--steps N]

Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", 2017.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import kneighbors_graph
from tqdm import tqdm

import gradcu as torch  # `import torch` works too: nothing else changes

nn, F = torch.nn, torch.nn.functional


def graph(neighbors=8):
    """Features (n, 64), labels (n), and the normalised adjacency matrix, sparse: D^-1/2 (A + I) D^-1/2."""
    data = load_digits()
    near = kneighbors_graph(data.data, neighbors, include_self=True)
    edges = ((near + near.T) > 0).tocoo()
    degree = np.bincount(edges.row)
    weights = (1 / np.sqrt(degree[edges.row] * degree[edges.col])).astype("float32")
    places = torch.from_numpy(np.stack([edges.row, edges.col]).astype("int64"))
    adjacency = torch.sparse_coo_tensor(places, torch.from_numpy(weights), edges.shape, check_invariants=True)
    features = torch.from_numpy((data.data / 16).astype("float32"))
    return features, torch.from_numpy(data.target.astype("int64")), adjacency


def labelled(labels, each=5):
    """The positions of the first few of each digit."""
    labels = labels.cpu().numpy()
    return torch.from_numpy(np.concatenate([np.flatnonzero(labels == digit)[:each] for digit in range(10)]))


class GCN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.first, self.second = nn.Linear(64, hidden), nn.Linear(hidden, 10)

    def forward(self, x, adjacency):
        x = F.relu(torch.sparse.mm(adjacency, self.first(x)))
        return torch.sparse.mm(adjacency, self.second(x))


def train(model, data, steps, lr=1e-2):
    """Steps on the whole graph; yields the losses of the labelled digits."""
    features, labels, adjacency = data
    known = labelled(labels).to(labels.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=5e-4)
    for _ in range(steps):
        loss = F.cross_entropy(model(features, adjacency)[known], labels[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()

    torch.manual_seed(0)
    data = [part.to(args.device) for part in graph()]
    model = GCN().to(args.device)
    print(f"{torch.__name__} on {args.device}, {sum(p.numel() for p in model.parameters()):,} parameters")
    progress = tqdm(train(model, data, args.steps), total=args.steps)
    for loss in progress:
        progress.set_postfix(loss=f"{loss:.4f}")
    features, labels, adjacency = data
    with torch.no_grad():
        right = model(features, adjacency).argmax(1) == labels
    right[labelled(labels).to(args.device)] = False  # those were shown
    print(f"{right.sum().item() / (len(labels) - 50):.2%} of the unlabelled digits are right")


if __name__ == "__main__":
    main()

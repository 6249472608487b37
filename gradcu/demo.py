"""`gradcu demo`: a small convolutional network learns to read handwritten digits.

The data are the 1,797 scans of 8 x 8 pixels that scikit-learn carries (E. Alpaydin and C. Kaynak, Optical Recognition
of Handwritten Digits, UCI Machine Learning Repository, 1998), so nothing is downloaded.
"""

import time
from importlib import import_module
from pathlib import Path
from typing import Any

import gradcu as torch
from gradcu import nn, optim
from gradcu.nn import functional as F
from gradcu.utils.data import DataLoader, TensorDataset

CHECKPOINT = "checkpoint.safetensors"
CURVE = "loss.png"
PREDICTIONS = "predictions.png"
BATCH = 32
LEARNING_RATE = 2e-3


class DemoError(Exception):
    """What the user can mend: a missing package, device or checkpoint."""


def network() -> nn.Sequential:
    """Two convolutions with batch normalisation, one pooling, a linear layer: (N, 1, 8, 8) images to (N, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def run(device: str, epochs: int, out: Path, resume: bool = False, seed: int = 0) -> float:
    """Train for `epochs` more epochs, write three files into `out` and return the accuracy on held-out digits.

    Args:
        device: "auto" (CUDA where it works), "cpu" or "cuda".
        epochs: how many epochs this run adds.
        out: folder for checkpoint.safetensors, loss.png and predictions.png; made if missing.
        resume: go on from the checkpoint in `out`: weights, optimizer state, epoch number and losses.
        seed: of the first weights and of the order of the batches. The split into train and test is always the same.

    Raises:
        DemoError: a package or the asked device is missing, or there is no checkpoint to resume from.
    """
    _require("sklearn", "tqdm", "matplotlib", "safetensors")
    from tqdm import tqdm

    chosen = _device(device)
    train, (test_x, test_y) = _digits()
    torch.manual_seed(seed)
    model = network().to(chosen)
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    losses: list[float] = []
    if resume:
        losses = _load(out / CHECKPOINT, model, optimizer)
    out.mkdir(parents=True, exist_ok=True)

    first, last = len(losses) + 1, len(losses) + epochs
    print(f"device: {_describe(chosen)}")
    print(f"parameters: {sum(p.numel() for p in model.parameters()):,}")
    print(f"digits: {len(train):,} to train on, {len(test_y):,} held out")
    if resume:
        print(f"resumed after epoch {len(losses)}")
    began = time.perf_counter()
    accuracy = 0.0
    steps = -(-len(train) // BATCH)
    with tqdm(total=epochs * steps, unit="batch") as bar:
        for epoch in range(first, last + 1):
            # The order depends on the epoch's number alone, so a resumed run takes the batches an unbroken one takes.
            generator = torch.Generator().manual_seed(seed + epoch)
            loader = DataLoader(train, batch_size=BATCH, shuffle=True, generator=generator)
            model.train()
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x.to(chosen)), y.to(chosen))
                loss.backward()
                optimizer.step()
                total += loss.item() * len(y)
                bar.update()
            losses.append(total / len(train))
            accuracy = (_predict(model, test_x, chosen) == test_y).float().mean().item()
            bar.write(f"epoch {epoch:3d}: loss {losses[-1]:.4f}, test accuracy {accuracy:.2%}")
            _save(out / CHECKPOINT, model, optimizer, losses)

    _draw_losses(losses, out / CURVE)
    _draw_predictions(test_x, test_y, _predict(model, test_x, chosen), out / PREDICTIONS)
    print(f"test accuracy: {accuracy:.2%} after epoch {last} ({time.perf_counter() - began:.1f} s)")
    print(f"wrote {', '.join(str(out / name) for name in (CHECKPOINT, CURVE, PREDICTIONS))}")
    return accuracy


def _require(*modules: str) -> None:
    """Raise DemoError unless all of `modules` can be imported."""
    missing = []
    for name in modules:
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise DemoError(f'missing {", ".join(missing)}; install with: pip install "gradcu[demo]"')


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise DemoError(str(error)) from error
    return device


def _describe(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def _digits() -> tuple[TensorDataset, tuple[torch.Tensor, torch.Tensor]]:
    """The digits as (N, 1, 8, 8) float32 in [0, 1] with int64 labels: a data set to train on, and the 20% held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images[:, None] / 16).astype("float32")
    labels = digits.target.astype("int64")
    split = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = (torch.from_numpy(part) for part in split)
    return TensorDataset(train_x, train_y), (test_x, test_y)


def _predict(model: nn.Module, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(images.to(device)).argmax(1).cpu()


def _save(path: Path, model: nn.Module, optimizer: optim.Optimizer, losses: list[float]) -> None:
    """Write weights, optimizer state and losses as one flat dict: a safetensors file holds named tensors alone."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    torch.serialization.save_file(tensors, path)


def _load(path: Path, model: nn.Module, optimizer: optim.Optimizer) -> list[float]:
    """Take what `_save` wrote into `model` and `optimizer`, on whichever device they are, and return the losses."""
    if not path.is_file():
        raise DemoError(f"no checkpoint to resume from at {path}; run once without --resume")
    weights: dict[str, torch.Tensor] = {}
    state: dict[int, dict[str, Any]] = {}
    losses: list[float] = []
    for key, value in torch.serialization.load_file(path).items():
        kind, _, name = key.partition(".")
        if kind == "model":
            weights[name] = value
        elif kind == "optimizer":
            index, _, name = name.partition(".")
            state.setdefault(int(index), {})[name] = value
        else:
            losses = value.tolist()
    model.load_state_dict(weights)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return losses


def _draw_losses(losses: list[float], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, len(losses) + 1), losses, marker="o", markersize=4)
    axes.set(xlabel="epoch", ylabel="mean training loss", title="Handwritten digits", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _draw_predictions(images: torch.Tensor, labels: torch.Tensor, predicted: torch.Tensor, path: Path) -> None:
    """Draw 40 held-out digits, the misread ones first, each under what the network took it for."""
    from matplotlib.figure import Figure

    wrong = (predicted != labels).tolist()
    order = sorted(range(len(wrong)), key=lambda i: not wrong[i])[:40]
    figure = Figure(figsize=(10, 6), layout="constrained")
    figure.suptitle(f"{sum(wrong)} of {len(wrong)} held-out digits misread (red, first)")
    for axes, i in zip(figure.subplots(5, 8).flat, order):
        axes.imshow(images[i, 0].numpy(), cmap="gray_r")
        title = f"{predicted[i].item()}, is {labels[i].item()}" if wrong[i] else f"{predicted[i].item()}"
        axes.set_title(title, color="tab:red" if wrong[i] else "black", fontsize=10)
        axes.axis("off")
    figure.savefig(path, dpi=120)

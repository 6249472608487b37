"""Train a small transformer to write Python, character by character, on sources of the standard library.

python examples/char_gpt.py [--device cpu|cuda] [--steps N]
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

import gradcu as torch  # `import torch` works too: nothing else changes

nn, F = torch.nn, torch.nn.functional

CONTEXT, WIDTH, HEADS, LAYERS = 64, 64, 4, 2
CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))


def corpus():
    """The text of some modules, as numbers."""
    library = Path(argparse.__file__).parent
    text = "".join((library / f"{name}.py").read_text(encoding="utf-8") for name in "argparse ast shutil".split())
    code = {c: i for i, c in enumerate(CHARACTERS)}
    return np.array([code.get(c, 0) for c in text], dtype=np.int64)


def batches(count, size=16, seed=0):
    """Random pieces of the corpus, and the same one character on."""
    text, rng = corpus(), np.random.default_rng(seed)
    for _ in range(count):
        pieces = text[rng.integers(0, len(text) - CONTEXT - 1, size)[:, None] + np.arange(CONTEXT + 1)]
        yield torch.from_numpy(pieces[:, :-1].copy()), torch.from_numpy(pieces[:, 1:].copy())


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(len(CHARACTERS), WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, len(CHARACTERS), bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02 if isinstance(module, nn.Embedding) else 0.05)

    def forward(self, x):
        x = self.tokens(x) + self.positions(torch.arange(x.shape[1], device=x.device))
        return self.head(self.norm(self.blocks(x)))


def train(model, batches, lr=3e-3):
    """One step for each batch, characters and those that follow them; yields the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    device = next(model.parameters()).device
    for x, y in batches:
        logits = model(x.to(device))
        loss = F.cross_entropy(logits.flatten(0, 1), y.to(device).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield loss.item()


@torch.no_grad()
def write(model, text, length):
    """`text` and what the model writes after it."""
    device = next(model.parameters()).device
    for _ in range(length):
        known = torch.tensor([[CHARACTERS.index(c) for c in text[-CONTEXT:]]], device=device)
        chances = F.softmax(model(known)[0, -1] / 0.8, dim=-1)
        text += CHARACTERS[torch.multinomial(chances, 1).item()]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()

    torch.manual_seed(0)
    model = GPT().to(args.device)
    print(f"{torch.__name__} on {args.device}, {sum(p.numel() for p in model.parameters()):,} parameters")
    progress = tqdm(train(model, batches(args.steps)), total=args.steps)
    for loss in progress:
        progress.set_postfix(loss=f"{loss:.4f}")
    print(write(model, "def ", 300))


if __name__ == "__main__":
    main()

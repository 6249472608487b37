"""Character models from bigrams to GRUs, on padded names with -1 as the index to ignore."""

import torch
import torch.nn as nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader

WORDS = "emma olivia ava isabella sophia mia charlotte amelia harper evelyn abigail emily luna ella avery".split()


class CharDataset(Dataset):
    def __init__(self, words):
        self.words = words
        self.chars = sorted(set("".join(words)))
        self.max_word_length = max(len(w) for w in words)
        self.stoi = {ch: i + 1 for i, ch in enumerate(self.chars)}

    def __len__(self):
        return len(self.words)

    def __getitem__(self, idx):
        ix = torch.tensor([self.stoi[w] for w in self.words[idx]], dtype=torch.long)
        x = torch.zeros(self.max_word_length + 1, dtype=torch.long)
        y = torch.zeros(self.max_word_length + 1, dtype=torch.long)
        x[1 : 1 + len(ix)] = ix
        y[: len(ix)] = ix
        y[len(ix) + 1 :] = -1
        return x, y


class Bigram(nn.Module):
    def __init__(self, vocab_size, n_embd=16):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros((vocab_size, vocab_size)))

    def forward(self, idx):
        return self.logits[idx]


class MLP(nn.Module):
    def __init__(self, vocab_size, n_embd=16, block_size=3):
        super().__init__()
        self.block_size, self.blank = block_size, vocab_size
        self.wte = nn.Embedding(vocab_size + 1, n_embd)
        self.mlp = nn.Sequential(nn.Linear(block_size * n_embd, 32), nn.Tanh(), nn.Linear(32, vocab_size))

    def forward(self, idx):
        embs = []
        for _ in range(self.block_size):
            embs.append(self.wte(idx))
            idx = torch.roll(idx, 1, 1)
            idx[:, 0] = self.blank
        return self.mlp(torch.cat(embs, -1))


class RNNCell(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.xh_to_h = nn.Linear(2 * n_embd, n_embd)

    def forward(self, xt, hprev):
        return F.tanh(self.xh_to_h(torch.cat([xt, hprev], dim=1)))


class GRUCell(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.xh_to_z, self.xh_to_r, self.xh_to_hbar = (nn.Linear(2 * n_embd, n_embd) for _ in range(3))

    def forward(self, xt, hprev):
        xh = torch.cat([xt, hprev], dim=1)
        r, z = F.sigmoid(self.xh_to_r(xh)), F.sigmoid(self.xh_to_z(xh))
        hbar = F.tanh(self.xh_to_hbar(torch.cat([xt, r * hprev], dim=1)))
        return (1 - z) * hprev + z * hbar


class RNN(nn.Module):
    def __init__(self, vocab_size, cell_type, n_embd=16):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, n_embd))
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.cell = cell_type(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab_size)

    def forward(self, idx):
        b, t = idx.size()
        emb = self.wte(idx)
        hprev = self.start.expand((b, -1))
        hiddens = []
        for i in range(t):
            hprev = self.cell(emb[:, i, :], hprev)
            hiddens.append(hprev)
        return self.lm_head(torch.stack(hiddens, 1))


def losses():
    dataset = CharDataset(WORDS)
    vocab_size = len(dataset.chars) + 1
    sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=int(1e10))
    assert sampler.num_samples == int(1e10)
    models = [Bigram(vocab_size), MLP(vocab_size), RNN(vocab_size, RNNCell), RNN(vocab_size, GRUCell)]
    out = []
    for model in models:
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8)
        for _ in range(4):
            for X, Y in DataLoader(dataset, shuffle=True, pin_memory=False, batch_size=5):
                logits = model(X)
                loss = F.cross_entropy(logits.view(-1, logits.size(-1)), Y.view(-1), ignore_index=-1)
                model.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                out.append(loss.item())
    return out

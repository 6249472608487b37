"""Bags of words with offsets, a skip-gram model with negative samples, names by an RNN of Linear layers, a linear probe."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

device = torch.device("cpu")


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, sparse=False)
        self.fc = nn.Linear(embed_dim, num_class)
        self.init_weights()

    def init_weights(self):
        initrange = 0.5
        self.embedding.weight.data.uniform_(-initrange, initrange)
        self.fc.weight.data.uniform_(-initrange, initrange)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


class SkipGram(nn.Module):
    def __init__(self, emb_size, emb_dimension):
        super().__init__()
        self.u_embeddings = nn.Embedding(emb_size, emb_dimension)
        self.v_embeddings = nn.Embedding(emb_size, emb_dimension)
        nn.init.uniform_(self.u_embeddings.weight.data, -1.0 / emb_dimension, 1.0 / emb_dimension)

    def forward(self, pos_u, pos_v, neg_v):
        emb_u, emb_v, emb_neg_v = self.u_embeddings(pos_u), self.v_embeddings(pos_v), self.v_embeddings(neg_v)
        score = torch.sum(torch.mul(emb_u, emb_v), dim=1)
        score = -F.logsigmoid(torch.clamp(score, max=10, min=-10))
        neg_score = torch.bmm(emb_neg_v, emb_u.unsqueeze(2)).squeeze()
        neg_score = -torch.sum(F.logsigmoid(-torch.clamp(neg_score, max=10, min=-10)), dim=1)
        return torch.mean(score + neg_score)


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(input_size + hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, input, hidden):
        combined = torch.cat((input, hidden), 1)
        return self.softmax(self.i2o(combined)), self.i2h(combined)

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


class Texts(Dataset):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.items = [(int(rng.integers(1, 5)), rng.integers(0, 40, rng.integers(1, 9)).tolist()) for _ in range(32)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate_batch(batch):
    label_list, text_list, offsets = [], [], [0]
    for _label, _text in batch:
        label_list.append(_label - 1)
        processed_text = torch.tensor(_text, dtype=torch.int64)
        text_list.append(processed_text)
        offsets.append(processed_text.size(0))
    offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
    return torch.tensor(label_list).to(device), torch.cat(text_list).to(device), offsets.to(device)


def losses():
    rng, texts, out = np.random.default_rng(0), Texts(), []
    assert len(WeightedRandomSampler([1.0] * len(texts), 8)) == 8
    model = TextClassificationModel(40, 16, 4).to(device)
    criterion = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 1.0, 0.5]))
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1.0, gamma=0.1)
    for _ in range(2):
        for label, text, offsets in DataLoader(texts, batch_size=8, shuffle=True, collate_fn=collate_batch):
            optimizer.zero_grad()
            predicted_label = model(text, offsets)
            loss = criterion(predicted_label, label)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            out += [loss.item(), (predicted_label.argmax(1) == label).sum().item()]
        scheduler.step()
    skip_gram = SkipGram(40, 8)
    optimizer = torch.optim.Adagrad(skip_gram.parameters(), lr=0.05)
    for _ in range(8):
        pos_u, pos_v, neg_v = (torch.LongTensor(rng.integers(0, 40, shape)) for shape in (16, 16, (16, 3)))
        optimizer.zero_grad()
        loss = skip_gram.forward(pos_u, pos_v, neg_v)
        loss.backward()
        optimizer.step()
        out.append(loss.item())
    rnn, criterion = RNN(26, 16, 4), nn.NLLLoss()
    for name in ("satoshi", "jackson", "dovesky", "dumas", "perez"):
        line_tensor = torch.zeros(len(name), 1, 26)
        for li, letter in enumerate(name):
            line_tensor[li][0]["abcdefghijklmnopqrstuvwxyz".find(letter)] = 1
        hidden = rnn.initHidden()
        rnn.zero_grad()
        for i in range(line_tensor.size()[0]):
            output, hidden = rnn(line_tensor[i], hidden)
        loss = criterion(output, torch.tensor([len(name) % 4], dtype=torch.long))
        loss.backward()
        for p in rnn.parameters():
            p.data.add_(p.grad.data if p.grad is not None else 0, alpha=-0.05)
        top_n, top_i = output.topk(1)
        out += [loss.item(), top_i[0].item()]
    return out

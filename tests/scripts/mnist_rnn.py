"""A picture read line by line by an LSTM, trained on TensorDataset batches with a split, and gradients clipped by value."""

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.rnn = nn.LSTM(input_size=12, hidden_size=16, num_layers=2, batch_first=True, bidirectional=True, dropout=0)
        self.batchnorm = nn.BatchNorm1d(32)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, input):
        input = input.reshape(-1, 12, 12)
        output, (h_n, c_n) = self.rnn(input)
        assert h_n.shape == c_n.shape == (4, len(input), 16)
        output = self.batchnorm(output[:, -1, :])
        output = nn.functional.relu(self.fc1(output))
        return nn.functional.log_softmax(self.fc2(output), dim=1)


def losses():
    rng = np.random.default_rng(0)
    X = torch.Tensor(rng.standard_normal((64, 1, 12, 12)))
    y = torch.LongTensor(rng.integers(0, 10, 64))
    whole = TensorDataset(X, y)
    train, held_out = random_split(whole, [48, 16], generator=torch.Generator().manual_seed(42))
    assert len(train) + len(held_out) == 64
    loader = DataLoader(TensorDataset(X[:48], y[:48]), batch_size=16, shuffle=True, drop_last=True)
    model = Net()
    criterion = nn.NLLLoss()
    optimizer = optim.RMSprop(model.parameters(), lr=2e-3, momentum=0.9)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    out = []
    for _ in range(4):
        for inputs, labels in loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), clip_value=0.1)
            optimizer.step()
            _, predicted = torch.max(outputs.data, 1)
            out += [loss.item(), (predicted == labels).sum().item()]
        scheduler.step()
    return out
